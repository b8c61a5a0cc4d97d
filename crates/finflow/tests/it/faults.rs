//! Parts that go away in the middle of a run and come back, and records of strangers in every topic.
//!
//! `FINFLOW_TEST_OUTAGE_SECONDS` (3) sets how long a part stays away; `make soak-outage` takes 60.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::Shutdown;
use serde_json::Value;
use streams::{Env, Outgoing, Producer};
use testkit::free_addr;
use tokio::runtime::Runtime;

use crate::finflow::{State, assert_balanced, outcome, produced, sum, summary};
use crate::index::write_index;
use crate::lake;

const DEADLINE: Duration = Duration::from_secs(60);

fn outage() -> Duration {
    let seconds = std::env::var("FINFLOW_TEST_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// A broker and an S3 of the test's own, on addresses that stay the same when they are started again.
struct Outside {
    runtime: Runtime,
    state: State,
    kafka: SocketAddr,
    s3: SocketAddr,
}

impl Outside {
    fn new() -> Outside {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
        Outside { runtime, state: State::new(), kafka: free_addr(), s3: free_addr() }
    }

    fn start_kafka(&self) -> devbroker::Broker {
        let options = devbroker::Options::new(self.state.path().join("kafka"), self.kafka);
        self.runtime.block_on(devbroker::Broker::start(options)).expect("the broker starts")
    }

    fn start_s3(&self) -> devs3::Server {
        let start = devs3::Server::start(self.state.path().join("s3"), self.s3);
        self.runtime.block_on(start).expect("the S3 starts")
    }

    /// A run of the index file on these parts, slow enough to be disturbed.
    fn run(&self, state: &State, days: u32) -> Child {
        let path = state.path().join("index.csv");
        write_index(&path, days);
        let feed = path.to_str().expect("utf-8");
        // Objects all along, so that an S3 that is away is missed.
        let config = state.path().join("finflow.yaml");
        std::fs::write(&config, "store:\n  rotate:\n    rows: 50\n").expect("the file is writable");
        let mut command: Command = state.up(&["--once", "--json", "--speed", "200/s", "--feed", feed]);
        command.arg("--config").arg(&config);
        command.args(["--brokers", &self.kafka.to_string(), "--s3-endpoint", &format!("http://{}", self.s3)]);
        command.env("AWS_ACCESS_KEY_ID", devs3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", devs3::SECRET_KEY);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("finflow starts")
    }

    fn lake(&self) -> &Path {
        self.state.path()
    }
}

fn assert_whole(outside: &Outside, summary: &Value, rows: usize) {
    assert_eq!(produced(summary, "raw-market-data"), rows as u64, "{summary}");
    assert_eq!(outcome(summary, "other_kind"), rows as u64, "{summary}");
    assert_balanced(summary);
    let stored = lake::rows(outside.lake(), "bars");
    assert_eq!(stored.len(), rows);
    lake::assert_once(&stored);
}

/// Ends the run, which must say in its log that it noticed.
fn summary_of(child: Child, notice: &str) -> Value {
    let output = child.wait_with_output().expect("finflow ends");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains(notice), "no {notice:?} in: {log}");
    summary(&output)
}

fn some_on_disk(folder: &Path) {
    testkit::eventually(DEADLINE, "the run has begun", || (crate::restart::size_bytes(folder) > 60_000).then_some(()));
}

#[test]
fn a_broker_that_goes_away_and_comes_back_loses_nothing() {
    let outside = Outside::new();
    let _s3 = outside.start_s3();
    let broker = outside.start_kafka();
    let state = State::new();
    let child = outside.run(&state, 400);
    some_on_disk(&outside.state.path().join("kafka"));
    outside.runtime.block_on(broker.stop());
    std::thread::sleep(outage());
    let broker = outside.start_kafka();
    let summary = summary_of(child, "broker does not answer, trying again until it does");
    assert_whole(&outside, &summary, 1200);
    outside.runtime.block_on(broker.stop());
}

#[test]
fn an_s3_that_goes_away_and_comes_back_loses_nothing() {
    let outside = Outside::new();
    let s3 = outside.start_s3();
    let broker = outside.start_kafka();
    let state = State::new();
    let child = outside.run(&state, 400);
    some_on_disk(&outside.state.path().join("kafka"));
    outside.runtime.block_on(s3.stop());
    std::thread::sleep(outage());
    let _s3 = outside.start_s3();
    let summary = summary_of(child, "the object store does not work, trying again");
    assert_whole(&outside, &summary, 1200);
    outside.runtime.block_on(broker.stop());
}

/// Bytes that are no record of ours, in every topic there is: each stage goes on, and what nobody can read is counted.
#[test]
fn an_alien_record_in_every_topic_stops_no_stage() {
    const ALIENS: [&[u8]; 5] =
        [b"", b"\xff\xfe\x00", b"{\"kind\":\"ufo\",\"schema_version\":1}", b"[1,2", b"{\"kind\":\"trade\"}"];
    // The second one looks like a key of the alert's state.
    const KEYS: [&str; 2] = ["alien", "KRAKEN:BTC/USD"];
    const EACH: usize = ALIENS.len() * KEYS.len();
    let outside = Outside::new();
    let _s3 = outside.start_s3();
    let broker = outside.start_kafka();
    let kafka = streams::KafkaConfig { brokers: outside.kafka.to_string(), ..Default::default() };
    let env = Env::standalone("test", &Shutdown::new());
    streams::Admin::new(&env, &kafka)
        .and_then(|admin| admin.apply(&streams::topic::all(), 1))
        .expect("topics are made");
    let producer = Producer::new(&env, &kafka).expect("a producer");
    for spec in streams::topic::all() {
        for (key, alien) in KEYS.iter().flat_map(|key| ALIENS.iter().map(move |alien| (key, alien))) {
            let (key, value) = (Some(key.as_bytes()), Some(*alien));
            let out = Outgoing { topic: &spec.name, partition: None, key, value, headers: &[] };
            producer.send(&out).expect("it is queued");
        }
    }
    producer.flush(DEADLINE).expect("it is written");
    let state = State::new();
    let child = outside.run(&state, 40);
    let summary = summary(&child.wait_with_output().expect("finflow ends"));
    assert_eq!(outcome(&summary, "other_kind"), 120, "{summary}");
    assert_eq!(outcome(&summary, "invalid"), EACH as u64, "{summary}");
    assert_balanced(&summary);
    // Those of raw-market-data and those of aggregated-metrics, beside the ones put there.
    assert_eq!(produced(&summary, "dead-letter-queue"), 2 * EACH as u64, "{summary}");
    assert_eq!(sum(&summary["invalid"]), 2 * EACH as u64, "{summary}");
    let letters = lake::rows(outside.lake(), "dead_letters");
    lake::assert_once(&letters);
    assert_eq!(letters.len(), 3 * EACH, "what was dead already is stored as it is");
    assert_eq!(lake::rows(outside.lake(), "bars").len(), 120);
    outside.runtime.block_on(broker.stop());
}
