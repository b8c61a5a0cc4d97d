//! The commands of a person beside a running Kafka: `topics`, `replay`, `tail`. A `.env` says where it is.

use std::fs::File;
use std::process::{Command, Output};
use std::time::Duration;

use harness::Shutdown;
use serde_json::{Value, json};
use streams::{Admin, Env, KafkaConfig, topic};
use testkit::{eventually, signal};
use tokio::runtime::Runtime;

use crate::finflow::{State, finflow};
use crate::index::write_index;
use crate::stages::Process;

const DEADLINE: Duration = Duration::from_secs(60);

/// An embedded broker, and a folder whose `.env` names it.
pub struct Bench {
    pub addr: String,
    pub state: State,
    broker: Option<devbroker::Broker>,
    runtime: Runtime,
    _kafka: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Bench {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
        let kafka = tempfile::tempdir().expect("a temporary folder");
        let options = devbroker::Options::new(kafka.path(), ([127, 0, 0, 1], 0).into());
        let broker = runtime.block_on(devbroker::Broker::start(options)).expect("a broker starts");
        let (addr, state) = (broker.addr().to_string(), State::new());
        let line = format!("KAFKA_BOOTSTRAP_SERVERS={addr}\n");
        std::fs::write(state.path().join(".env"), line).expect("the file is writable");
        Bench { addr, state, broker: Some(broker), runtime, _kafka: kafka }
    }

    /// `finflow` in that folder.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = finflow();
        command.current_dir(self.state.path()).args(words);
        command
    }

    /// What a command that must succeed prints.
    fn lines(&self, words: &[&str]) -> Vec<Value> {
        let output = self.command(words).output().expect("finflow starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {:?}: {errors}", output.status.code());
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    pub fn admin(&self) -> Admin {
        let kafka = KafkaConfig { brokers: self.addr.clone(), ..KafkaConfig::default() };
        Admin::new(&Env::standalone("test", &Shutdown::new()), &kafka).expect("an admin client")
    }

    /// The path of a file of `days` × 3 rows.
    pub fn index(&self, days: u32) -> String {
        let path = self.state.path().join("index.csv");
        write_index(&path, days);
        path.to_str().expect("utf-8").to_owned()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop());
        }
    }
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn topics_are_made_and_listed_and_a_file_is_sent_and_read() {
    let bench = Bench::new();
    let applied = &bench.lines(&["topics", "apply", "--json"])[0];
    assert_eq!(applied["created"].as_array().map(Vec::len), Some(topic::all().len()), "{applied}");
    let again = &bench.lines(&["topics", "apply", "--json"])[0];
    assert_eq!((&again["created"], &again["differs"]), (&json!([]), &json!([])), "{again}");

    let file = bench.index(20);
    let sent = &bench.lines(&["replay", &file])[0];
    assert_eq!(sent["lines"], 60, "{sent}");
    let listed = bench.lines(&["topics", "list", "--json"]);
    let raw = listed.iter().find(|row| row["topic"] == topic::RAW).expect("it is listed");
    let ends: i64 = raw["offsets"].as_array().expect("offsets").iter().filter_map(|ends| ends[1].as_i64()).sum();
    assert_eq!((raw["partitions"].as_i64(), ends), (Some(3), 60), "{raw}");

    let read = bench.lines(&["tail", topic::RAW, "--from-beginning", "--until-end", "--json"]);
    assert_eq!(read.len(), 60);
    let value: Value = serde_json::from_str(read[0]["value"].as_str().expect("text")).expect("JSON");
    assert_eq!((&read[0]["key"], &value["kind"]), (&value["symbol"], &json!("bar")), "{}", read[0]);
    let of_key = bench.lines(&["tail", topic::RAW, "--from-beginning", "--until-end", "--json", "--key", "HSI"]);
    assert_eq!(of_key.len(), 20);
    let first = bench.lines(&["tail", topic::RAW, "--from-beginning", "--max", "7", "--json"]);
    assert_eq!(first.len(), 7);
}

/// Not as Finflow would have made them.
#[test]
fn topics_are_listed_as_the_broker_has_them() {
    let bench = Bench::new();
    let other = topic::Spec { retention: Duration::from_secs(24 * 3600), ..topic::Spec::delete(topic::RAW, 5) };
    let compacted = topic::Spec::compact(topic::ALERTS, 2);
    bench.admin().apply(&[other, compacted], 1).expect("the topics are made");
    let listed = bench.lines(&["topics", "list", "--json"]);
    let row = |name: &str| listed.iter().find(|row| row["topic"] == name).expect("it is listed");
    let raw = row(topic::RAW);
    assert_eq!(
        (&raw["partitions"], &raw["cleanup"], &raw["retention_ms"]),
        (&json!(5), &json!("delete"), &json!(86_400_000)),
        "{raw}"
    );
    assert_eq!(row(topic::ALERTS)["cleanup"], "compact");
    assert_eq!(row(topic::METRICS), &json!({"topic": topic::METRICS, "missing": true}));
    let text = bench.command(&["topics", "list"]).output().expect("finflow starts").stdout;
    let text = String::from_utf8(text).expect("text");
    let line = text.lines().find(|line| line.starts_with(topic::RAW)).expect("a line");
    assert!(line.contains("5 partitions") && line.contains("delete, 1 d"), "{line}");
    let copies = bench.command(&["topics", "list", "--replication", "1"]).output().expect("finflow starts");
    assert_eq!(copies.status.code(), Some(2), "a list has no use for it: {}", errors(&copies));
}

/// Each of these would go on without an error where the settings were not read.
#[test]
fn the_settings_of_a_secured_kafka_reach_every_command() {
    let bench = Bench::new();
    bench.admin().apply(&topic::all(), 1).expect("the topics are made");
    let file = bench.index(1);
    let config = bench.state.path().join("secured.yaml");
    std::fs::write(&config, "kafka: {librdkafka: {acks: '0'}}\n").expect("the file is writable");
    let config = config.to_str().expect("utf-8");
    let tail = ["tail", topic::RAW, "--from-beginning", "--until-end"];
    for words in [&["topics", "list"][..], &["topics", "apply"], &tail, &["replay", &file]] {
        let environment =
            [("FINFLOW_KAFKA__SECURITY__PROTOCOL", "sasl_ssl"), ("FINFLOW_KAFKA__SECURITY__USERNAME", "me")];
        let output = bench.command(words).envs(environment).output().expect("finflow starts");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", errors(&output));
        assert!(errors(&output).contains("needs both username and password"), "{words:?}: {}", errors(&output));
        let output = bench.command(words).args(["--config", config]).output().expect("finflow starts");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", errors(&output));
        assert!(errors(&output).contains("kafka.librdkafka.acks"), "{words:?}: {}", errors(&output));
    }
    // TLS against a broker that has none: no answer, and so no list.
    let tls = bench.command(&["topics", "list"]).env("FINFLOW_KAFKA__SECURITY__PROTOCOL", "ssl").output();
    let tls = tls.expect("finflow starts");
    assert_eq!(tls.status.code(), Some(1), "{}", errors(&tls));
    let log = bench.state.path().join("log");
    let mut command = bench.command(&tail);
    command.env("FINFLOW_KAFKA__SECURITY__PROTOCOL", "ssl").stderr(File::create(&log).expect("the file is writable"));
    let mut process = Process(command.spawn().expect("finflow starts"));
    let waits = format!("waiting for Kafka at {}", bench.addr);
    eventually(DEADLINE, "it says what it waits for", || {
        std::fs::read_to_string(&log).is_ok_and(|said| said.contains(&waits)).then_some(())
    });
    signal(&process.0, "INT");
    let status = eventually(DEADLINE, "it ends", || process.0.try_wait().expect("a child"));
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_broker_is_named_by_the_flag_else_the_environment_else_the_file() {
    const NOBODY: &str = "127.0.0.1:1";
    let bench = Bench::new();
    let config = bench.state.path().join("finflow.yaml");
    std::fs::write(&config, format!("kafka: {{brokers: '{NOBODY}'}}\n")).expect("the file is writable");
    let config = config.to_str().expect("utf-8");
    let apply = |words: &[&str], environment: &[(&str, &str)]| {
        let mut command = bench.command(&["topics", "apply", "--config", config]);
        let output = command.args(words).envs(environment.iter().copied()).output().expect("finflow starts");
        assert!(output.status.success(), "{words:?} {environment:?}: {}", errors(&output));
    };
    // `.env` is part of the environment.
    apply(&[], &[]);
    apply(&[], &[("KAFKA_BOOTSTRAP_SERVERS", NOBODY), ("FINFLOW_KAFKA__BROKERS", &bench.addr)]);
    apply(&["--brokers", &bench.addr], &[("FINFLOW_KAFKA__BROKERS", NOBODY)]);
}

#[test]
fn a_long_replay_tells_its_progress_without_a_terminal() {
    let bench = Bench::new();
    bench.admin().apply(&topic::all(), 1).expect("the topics are made");
    let file = bench.index(400);
    let log = bench.state.path().join("log");
    let mut command = bench.command(&["replay", &file, "--speed", "50/s"]);
    command.stderr(File::create(&log).expect("the file is writable"));
    let process = Process(command.spawn().expect("finflow starts"));
    let said = eventually(DEADLINE, "two lines", || {
        std::fs::read_to_string(&log).ok().filter(|said| said.lines().count() >= 2)
    });
    drop(process);
    // Nothing but progress: what is not worth a warning is not said.
    assert!(said.lines().all(|line| line.contains("replaying: ") && line.contains("rows/s")), "{said}");
}

/// `never` was the word of these two commands.
#[test]
fn a_recording_is_rebased_by_the_words_of_ingest() {
    let bench = Bench::new();
    bench.admin().apply(&topic::all(), 1).expect("the topics are made");
    let file = bench.index(1);
    for word in ["none", "never", "now"] {
        let summary = &bench.lines(&["replay", &file, "--set", "resume=false", "--rebase", word])[0];
        assert_eq!(summary["lines"], 3, "{word}: {summary}");
    }
    for words in [&["up"][..], &["replay", &file]] {
        let output = bench.command(words).args(["--rebase", "later"]).output().expect("finflow starts");
        assert_eq!(output.status.code(), Some(2), "{}", errors(&output));
        assert!(errors(&output).contains("[possible values: now, none]"), "{}", errors(&output));
    }
}

/// The whole way of an operator: stop, more partitions, start.
#[test]
fn three_partitions_become_six() {
    let bench = Bench::new();
    let index = bench.index(40);
    bench.lines(&["topics", "apply", "--json"]);
    bench.lines(&["replay", &index]);
    let stage = ["aggregate", "--until-end", "--admin", "off", "--windows", "1d"];
    bench.lines(&stage);
    let done = bench.lines(&["repartition", "aggregate", "--partitions", "6", "--set", "windows=1d", "--json"]);
    assert_eq!((&done[0]["from"], &done[0]["to"], &done[0]["folded"]), (&json!(3), &json!(6), &json!(0)));
    let there = bench.admin().list().expect("topics are listed");
    assert_eq!((there[topic::RAW], there["finflow-aggregate-state"]), (6, 6));
    let nothing = bench.lines(&stage);
    assert_eq!(nothing[0]["msgs"], 0, "the positions went with it: {nothing:?}");
    let output = bench.command(&["repartition", "aggregate", "--partitions", "5"]).output().expect("finflow starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && errors.contains("has 6 partitions already"), "{errors}");
}
