//! What `up` takes from flags, the environment and the file, and that a later one wins.

use std::fs::File;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;

use crate::finflow::{State, produced, summary};
use crate::index::write_index;
use crate::stages::Process;
use crate::tools::Bench;

const DEADLINE: Duration = Duration::from_secs(60);

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("finflow.yaml");
    std::fs::write(&path, text).expect("the file is writable");
    path.to_str().expect("utf-8").to_owned()
}

fn index(state: &State) -> String {
    let path = state.path().join("index.csv");
    write_index(&path, 2);
    path.to_str().expect("utf-8").to_owned()
}

fn run(state: &State, words: &[&str]) -> Output {
    state.up(&["--once", "--json"]).args(words).output().expect("finflow starts")
}

#[test]
fn a_kafka_and_an_s3_that_the_settings_name_are_used() {
    let bench = Bench::new();
    let s3 = testkit::S3::start();
    let feed = bench.index(2);
    let config = write(bench.state.path(), &format!("store: {{s3: {{endpoint: '{}'}}}}\n", s3.endpoint));
    let mut command = bench.state.up(&["--once", "--json", "--config", &config, "--feed", &feed]);
    command.env("AWS_ACCESS_KEY_ID", &s3.access_key).env("AWS_SECRET_ACCESS_KEY", &s3.secret_key);
    let summary = summary(&command.output().expect("finflow starts"));
    assert_eq!(produced(&summary, "raw-market-data"), 6, "{summary}");
    assert_eq!(summary["store"]["rows"], 6, "{summary}");
    let ends: i64 = bench.admin().watermarks("raw-market-data").expect("the topic is there").iter().map(|p| p.1).sum();
    assert_eq!(ends, 6, "the broker of `.env`");
    for part in ["kafka", "s3"] {
        assert!(!bench.state.path().join(part).exists(), "no {part} is embedded");
    }
    // A flag that only an embedded broker has says that one is wanted.
    let embedded = run(&bench.state, &["--feed", &feed, "--kafka-addr", "127.0.0.1:0"]);
    assert!(embedded.status.success(), "{}", String::from_utf8_lossy(&embedded.stderr));
    assert!(bench.state.path().join("kafka").exists());
}

#[test]
fn the_file_is_above_the_defaults_and_below_the_flags() {
    let state = State::new();
    let feed = index(&state);
    let text = format!("ingest: {{feeds: ['{feed}'], loop: true, passes: 2}}\nstore: {{s3: {{bucket: other}}}}\n");
    let config = write(state.path(), &text);
    let twice = summary(&run(&state, &["--config", &config]));
    assert_eq!(produced(&twice, "raw-market-data"), 12, "{twice}");
    assert!(state.path().join("s3/other").is_dir(), "the bucket of the file");
    let state = State::new();
    let once = summary(&run(&state, &["--config", &config, "--passes", "1", "--bucket", "mine"]));
    assert_eq!(produced(&once, "raw-market-data"), 6, "{once}");
    assert!(state.path().join("s3/mine").is_dir() && !state.path().join("s3/other").exists(), "the bucket of the flag");
}

#[test]
fn a_speed_that_is_given_replaces_every_other_pace() {
    let state = State::new();
    let feed = index(&state);
    let config = write(state.path(), "ingest: {rate: 0.01}\n");
    let summary = summary(&run(&state, &["--config", &config, "--speed", "max", "--feed", &feed]));
    assert!(summary["seconds"].as_f64().expect("seconds") < 60.0, "{summary}");
}

#[test]
fn the_process_has_the_settings_of_a_process() {
    let state = State::new();
    let feed = index(&state);
    let config = write(state.path(), "log: {level: info, format: human}\n");
    let output = run(&state, &["--config", &config, "--feed", &feed]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.contains("starting")).unwrap_or_else(|| panic!("{said}"));
    assert!(serde_json::from_str::<Value>(line).is_err() && line.contains("INFO"), "{line}");
    let output = run(&state, &["--config", &config, "--feed", &feed, "--log-level", "error"]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "the flag wins");
    let config = write(state.path(), "otlp: {sample_ratio: 7}\n");
    assert_eq!(run(&state, &["--config", &config, "--feed", &feed]).status.code(), Some(2));
}

/// `up` itself speaks to Kafka as its stages do: with TLS to a broker that has none it makes no topic.
#[test]
fn topics_are_made_with_the_settings_of_the_stages() {
    let bench = Bench::new();
    let feed = bench.index(1);
    let log = bench.state.path().join("log");
    let mut command = bench.state.up(&["--once", "--feed", &feed]);
    command.env("FINFLOW_KAFKA__SECURITY__PROTOCOL", "ssl").stderr(File::create(&log).expect("the file is writable"));
    let mut process = Process(command.spawn().expect("finflow starts"));
    let waits = format!("waiting for Kafka at {}", bench.addr);
    testkit::eventually(DEADLINE, "it says what it waits for", || {
        std::fs::read_to_string(&log).is_ok_and(|said| said.contains(&waits)).then_some(())
    });
    assert_eq!(bench.admin().list().expect("an answer").len(), 0, "nothing was made without TLS");
    testkit::signal(&process.0, "INT");
    let status = testkit::eventually(DEADLINE, "it ends", || process.0.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(1), "no summary of a run that did not happen");
}
