//! What goes wrong around a run: each is said clearly, with where and what to do, and nothing is lost.

use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::finflow::{State, assert_balanced, outcome, produced, summary};
use crate::index::write_index;
use crate::lake;
use crate::verify::assert_verified;

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The run fails with this exit code, and its errors hold all of these.
fn refused(output: &Output, code: i32, words: &[&str]) {
    let errors = errors(output);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    for word in words {
        assert!(errors.contains(word), "no {word:?} in: {errors}");
    }
}

fn index(state: &State, days: u32) -> String {
    let path = state.path().join("index.csv");
    write_index(&path, days);
    path.to_str().expect("utf-8").to_owned()
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_chooses_another() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = taken.local_addr().expect("an address").to_string();
    for flag in ["--http", "--kafka-addr", "--s3-addr"] {
        let state = State::new();
        let feed = index(&state, 1);
        let mut command = match flag {
            "--http" => state.up_at(&addr, &["--once", "--feed", &feed]),
            flag => state.up(&["--once", "--feed", &feed, flag, &addr]),
        };
        let output = command.output().expect("finflow starts");
        refused(&output, 1, &[&addr, flag]);
    }
}

#[test]
fn wrong_settings_are_usage_errors_with_the_nearest_name() {
    let state = State::new();
    let feed = index(&state, 1);
    let config = state.path().join("finflow.yaml");
    std::fs::write(&config, "aggregate:\n  windws: [1m]\n").expect("the file is writable");
    let config = config.to_str().expect("utf-8");
    refused(&state.once(&["--feed", &feed, "--config", config]), 2, &["windws", "windows"]);
    refused(&state.once(&["--feed", &feed, "--config", "/nowhere.yaml"]), 2, &["/nowhere.yaml"]);
    refused(&state.once(&["--feed", "/nowhere.csv"]), 2, &["/nowhere.csv"]);
    let slow = state.up(&["--once", "--speed", "quick", "--feed", &feed]).output().expect("finflow starts");
    refused(&slow, 2, &["quick", "max"]);
    let slow = crate::finflow::finflow().args(["replay", &feed, "--speed", "quick"]).output().expect("finflow starts");
    refused(&slow, 2, &["quick", "max"]);
    refused(&state.up(&["--no-such-flag"]).output().expect("finflow starts"), 2, &["--no-such-flag"]);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named() {
    let state = State::new();
    let feed = index(&state, 1);
    let file = state.path().join("a-file");
    std::fs::write(&file, "").expect("the file is writable");
    let inside = file.join("state");
    let output = crate::finflow::finflow()
        .args(["up", "--once", "--http", "127.0.0.1:0", "--feed", &feed, "--state"])
        .arg(&inside)
        .output()
        .expect("finflow starts");
    refused(&output, 1, &[inside.to_str().expect("utf-8"), "--state"]);
}

/// One bad row is a dead letter and a count; the rows around it are taken.
#[test]
fn bad_rows_are_counted_and_kept_and_the_rest_goes_on() {
    let state = State::new();
    let feed = index(&state, 10);
    let mut text = std::fs::read_to_string(&feed).expect("the file");
    text.push_str(",,,,,,,,\n");
    text.push_str("HSI,31/12/2001,1,1,1,1,1,1,1\n");
    text.push_str("HSI,2001-12-30,NaN,1,1,1,1,1,1\n");
    text.push_str("HSI,2001-12-29,1e400,1,1,1,1,1,1\n");
    text.push_str("HSI,2001-12-28,1,1,1,1,1,-5,1\n");
    text.push_str("HSI,2001-12-2");
    std::fs::write(&feed, text).expect("the file is writable");
    let output = state.once(&["--feed", &feed]);
    let summary = summary(&output);
    assert_eq!(produced(&summary, "raw-market-data"), 30, "{summary}");
    assert_balanced(&summary);
    let invalid: u64 = summary["invalid"].as_object().expect("invalid").values().filter_map(|n| n.as_u64()).sum();
    assert_eq!(invalid, 6, "{summary}");
    assert_eq!(produced(&summary, "dead-letter-queue"), 6, "{summary}");
    assert_eq!(lake::rows(state.path(), "dead_letters").len(), 6);
    assert_eq!(lake::rows(state.path(), "bars").len(), 30);
    assert_verified(state.path());
}

#[test]
fn a_wrong_s3_secret_is_said_and_not_shown() {
    let s3 = testkit::S3::start();
    let state = State::new();
    let feed = index(&state, 1);
    let output = state
        .up(&["--once", "--speed", "max", "--feed", &feed, "--s3-endpoint", &s3.endpoint])
        .env("AWS_ACCESS_KEY_ID", &s3.access_key)
        .env("AWS_SECRET_ACCESS_KEY", "wrong-secret-of-mine")
        .output()
        .expect("finflow starts");
    refused(&output, 1, &[&s3.endpoint, "secret"]);
    assert!(!errors(&output).contains("wrong-secret-of-mine"));
}

/// Nothing listens at the start, for longer than one question to a broker may take: it is said, and waited for. When a
/// broker comes, the run goes to its end.
#[test]
fn a_broker_that_comes_late_loses_nothing() {
    let (state, broker_state) = (State::new(), State::new());
    let feed = index(&state, 20);
    let addr = testkit::free_addr();
    let (s3, brokers) = (testkit::S3::start(), addr.to_string());
    let mut command = state.up(&["--once", "--json", "--speed", "max", "--feed", &feed, "--brokers", &brokers]);
    command.args(["--s3-endpoint", &s3.endpoint]);
    command.env("AWS_ACCESS_KEY_ID", &s3.access_key).env("AWS_SECRET_ACCESS_KEY", &s3.secret_key);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("finflow starts");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(12) {
        assert!(child.try_wait().expect("a child").is_none(), "it waits");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let options = devbroker::Options::new(broker_state.path(), addr);
    let broker = runtime.block_on(devbroker::Broker::start(options)).expect("a broker starts");
    let output = child.wait_with_output().expect("finflow ends");
    let summary = summary(&output);
    assert_eq!(produced(&summary, "raw-market-data"), 60, "{summary}");
    assert_eq!(outcome(&summary, "other_kind"), 60, "{summary}");
    let said = errors(&output);
    assert!(said.contains(&format!("waiting for Kafka at {brokers}")), "{said}");
    runtime.block_on(broker.stop());
}
