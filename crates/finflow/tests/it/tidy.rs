//! The rules of ARCHITECTURE.md that a text search can hold. A rule that is not here or in a type is a wish.

use std::path::{Path, PathBuf};

/// Longer than this wants a reason.
const LONGEST_LINES: usize = 500;
const LONG: [(&str, &str); 2] = [
    ("crates/streams/src/stateful/engine.rs", "one loop, and all its turns in one place"),
    ("crates/streams/src/consumer.rs", "one type and what the group says to it"),
];

const SERVICES: [&str; 6] = ["ingest", "aggregate", "alert", "store", "logger", "gateway"];
const FILES: [&str; 7] = [
    "src/main.rs",
    "src/lib.rs",
    "src/config.rs",
    "src/pipeline.rs",
    "src/observe.rs",
    "src/error.rs",
    "tests/it/main.rs",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Path from the root, and text, of every Rust file below these folders.
fn sources(folders: &[&str]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in folders {
        walk(&root().join(folder), &mut found);
    }
    assert!(found.len() > 10, "no sources found below {folders:?}");
    let root = root();
    let name = |path: &PathBuf| path.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
    found.iter().map(|path| (name(path), std::fs::read_to_string(path).expect("readable"))).collect()
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            walk(&path, found);
        } else if path.extension().is_some_and(|ext| ext == "rs") {
            found.push(path);
        }
    }
}

/// No code line outside `allowed` holds `word`; comments may.
fn only(word: &str, allowed: &[&str]) {
    for (path, text) in sources(&["crates", "services"]) {
        if allowed.iter().any(|folder| path.starts_with(folder)) || path.ends_with("it/tidy.rs") {
            continue;
        }
        let line = text.lines().find(|line| line.contains(word) && !line.trim_start().starts_with("//"));
        assert!(line.is_none(), "{path} names {word}: {line:?}");
    }
}

#[test]
fn long_files_have_a_reason() {
    for (path, text) in sources(&["crates", "services"]) {
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(long, _)| *long == path);
        assert!(lines <= LONGEST_LINES || excused, "{path} has {lines} lines: split it, or give a reason in tidy.rs");
    }
}

/// Cargo builds and tests by default what the list says: a crate that is not in it would be tested by nobody.
#[test]
fn every_crate_but_the_sql_engine_is_built_by_default() {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("readable");
    let (_, list) = manifest.split_once("default-members = [").expect("there is a list");
    let (list, _) = list.split_once(']').expect("the list ends");
    assert!(list.contains("\"services/*\""), "{list}");
    for entry in std::fs::read_dir(root().join("crates")).expect("readable").flatten() {
        let name = entry.file_name().into_string().expect("text");
        let listed = list.contains(&format!("\"crates/{name}\""));
        assert_eq!(listed, name != "finflow-query", "crates/{name} in default-members of Cargo.toml");
    }
}

#[test]
fn every_service_has_the_same_files() {
    for service in SERVICES {
        for file in FILES {
            let path = root().join("services").join(service).join(file);
            assert!(path.exists(), "services/{service} has no {file}");
        }
        let main =
            std::fs::read_to_string(root().join("services").join(service).join("src/main.rs")).expect("readable");
        assert!(main.lines().count() <= 15, "services/{service}/src/main.rs is more than a few lines");
    }
}

#[test]
fn only_streams_names_the_kafka_client() {
    only("rdkafka::", &["crates/streams", "crates/devbroker/tests", "crates/testkit"]);
}

#[test]
fn only_lake_and_msk_name_the_aws_sdk() {
    only("aws_sdk_s3", &["crates/lake", "crates/devs3/tests", "services/store/tests"]);
    only("aws_sigv4", &["crates/lake", "crates/msk"]);
}

#[test]
fn only_the_harness_reads_the_wall_clock() {
    only("SystemTime::now", &["crates/harness", "crates/testkit", "crates/devbroker", "crates/streams/tests"]);
}

#[test]
fn the_market_does_no_input_or_output() {
    for (path, text) in sources(&["crates/market/src"]) {
        if path.contains("tests") {
            continue;
        }
        for word in ["std::fs", "std::net", "std::env", "SystemTime", "Instant::now", "println!"] {
            let own = text.split("#[cfg(test)]").next().unwrap_or_default();
            assert!(!own.contains(word), "{path} names {word}");
        }
    }
}

/// `deploy/strimzi/topics.yaml` makes what the code expects: the same topics, partitions and settings, on three brokers.
#[test]
fn every_topic_has_its_manifest() {
    let manifest = std::fs::read_to_string(root().join("deploy/strimzi/topics.yaml")).expect("readable");
    let documents: Vec<&str> = manifest.split("\n---\n").skip(1).collect();
    let topics = streams::topic::all();
    assert_eq!(documents.len(), topics.len());
    for (document, spec) in documents.iter().zip(&topics) {
        let has = |line: &str| document.lines().any(|found| found.trim() == line);
        assert!(has(&format!("name: {}", spec.name)), "{} is not at its place", spec.name);
        assert!(has(&format!("partitions: {}", spec.partitions)), "partitions of {}", spec.name);
        for (name, value) in spec.settings(3) {
            assert!(has(&format!("{name}: {value}")), "{}: {name}: {value}", spec.name);
        }
    }
}
