//! The binary under test.

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// `finflow` with an empty environment of settings, so that the machine's own cannot change a result.
pub fn finflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_finflow"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FINFLOW_") || name == "KAFKA_BOOTSTRAP_SERVERS" {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A state folder and the runs on it.
pub struct State(tempfile::TempDir);

impl State {
    pub fn new() -> State {
        State(tempfile::tempdir().expect("a temporary folder"))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn up(&self, args: &[&str]) -> Command {
        self.up_at("127.0.0.1:0", args)
    }

    /// With the page at this address.
    pub fn up_at(&self, http: &str, args: &[&str]) -> Command {
        let mut command = finflow();
        command.arg("up").arg("--state").arg(self.path()).args(["--http", http]);
        // Of itself a run with an end opens no admin port: none that a test beside it could take from it.
        if !args.contains(&"--once") {
            command.args(["--admin", "127.0.0.1:0"]);
        }
        command.args(args);
        // Where a log or a `.env` might be looked for.
        command.current_dir(self.path());
        command
    }

    /// Runs `up --once --json --speed max` to its end.
    pub fn once(&self, args: &[&str]) -> Output {
        let output = self.up(&["--once", "--json", "--speed", "max"]).args(args).output();
        output.expect("finflow starts")
    }

    /// The summary of a run that must succeed.
    pub fn summary(&self, args: &[&str]) -> Value {
        summary(&self.once(args))
    }

    pub fn start(&self, args: &[&str]) -> Child {
        self.up(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("finflow starts")
    }
}

pub fn summary(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "exit {:?}\nstdout: {text}\nstderr: {errors}", output.status.code());
    serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: stdout {text:?}, stderr {errors}"))
}

/// What a topic of the summary counts, over all its partitions.
pub fn produced(summary: &Value, topic: &str) -> u64 {
    let partitions = summary["topics"][topic].as_object().unwrap_or_else(|| panic!("no {topic} in {summary}"));
    partitions.values().map(|partition| partition["produced"].as_u64().expect("a count")).sum()
}

/// A run on topics that were empty, or that no stage had read yet.
pub fn assert_balanced(summary: &Value) {
    assert_balanced_since(summary, &[0, 0, 0]);
    let kept = |partition: &str| {
        let share = &summary["store"]["partitions"]["raw-market-data"][partition];
        count(&share["rows"]) + sum(&share["skipped"])
    };
    for (partition, counts) in summary["topics"]["raw-market-data"].as_object().expect("partitions") {
        assert_eq!(kept(partition), count(&counts["end"]), "rows and skips stored of partition {partition}: {summary}");
    }
}

/// Every record that lay in `raw-market-data` beyond these offsets has exactly one outcome: by partition, against the
/// ends that Kafka tells and no stage counts.
pub fn assert_balanced_since(summary: &Value, before: &[i64]) {
    let partitions = summary["topics"]["raw-market-data"].as_object().expect("partitions");
    assert_eq!(partitions.len(), before.len(), "{summary}");
    for ((partition, counts), before) in partitions.iter().zip(before) {
        let grown = counts["end"].as_i64().expect("an end") - before;
        let outcomes = sum(&summary["outcomes_by_partition"][partition]);
        assert_eq!(outcomes as i64, grown, "outcomes of partition {partition}: {summary}");
    }
    assert_eq!(sum(&summary["outcomes"]), count(&summary["consumed"]), "{summary}");
}

/// Where the partitions of `raw-market-data` ended after a run.
pub fn ends(summary: &Value) -> Vec<i64> {
    let partitions = summary["topics"]["raw-market-data"].as_object().expect("partitions");
    partitions.values().map(|counts| counts["end"].as_i64().expect("an end")).collect()
}

fn count(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("no count: {value}"))
}

/// Of an object of counts; what is not there counts nothing.
pub fn sum(counts: &Value) -> u64 {
    counts.as_object().map_or(0, |counts| counts.values().map(count).sum())
}

pub fn outcome(summary: &Value, name: &str) -> u64 {
    summary["outcomes"][name].as_u64().unwrap_or_else(|| panic!("no outcome {name} in {summary}"))
}
