//! The tables and examples of `docs/` against the code and a run of it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::finflow::{State, finflow};

fn page(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the table below the line that begins with `before`.
fn table<'a>(page: &'a str, before: &str) -> Vec<Vec<&'a str>> {
    let below = page.lines().skip_while(|line| !line.starts_with(before)).skip(1);
    let lines = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &'a str| line.trim_matches('|').split(" | ").map(str::trim).collect();
    let rows: Vec<Vec<&str>> = lines.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "no table below {before:?}");
    rows
}

/// What a command prints on standard output.
fn printed(args: &[&str]) -> String {
    let output = finflow().args(args).output().expect("finflow starts");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn every_reason_of_every_stage_is_on_the_page() {
    let page = page("topics.md");
    let own = |stage: &'static str, reasons: &[&'static str]| -> Vec<(String, &str)> {
        let shared = |reason: &&&str| market::Reason::parse(reason).is_some();
        reasons.iter().filter(|reason| !shared(reason)).map(|reason| (format!("`{reason}`"), stage)).collect()
    };
    let expected = [own("aggregate", &aggregate::REASONS), own("ingest", &ingest::sources::REASONS)].concat();
    let rows = table(&page, "Stages add reasons of their own:");
    let documented: Vec<(String, &str)> = rows.iter().map(|row| (row[0].to_owned(), row[1])).collect();
    assert_eq!(documented, expected);
    let of_a_line = format!("timestamp, but `{}` and `{}`.", ingest::FILE_HEADER, ingest::LINE_HEADER);
    assert!(page.replace('\n', " ").contains(&of_a_line), "{of_a_line}");
}

#[test]
fn every_internal_topic_is_on_the_page_with_its_key() {
    let page = page("topics.md");
    let topics = streams::topic::all();
    let compacted = topics.iter().filter(|spec| spec.cleanup == streams::topic::Cleanup::Compact);
    let expected: Vec<String> = compacted.map(|spec| format!("`{}`", spec.name)).collect();
    let documented: Vec<&str> = table(&page, "## Internal topics").iter().map(|row| row[0]).collect();
    assert_eq!(documented, expected);
}

#[test]
fn the_ports_are_the_ones_that_are_opened() {
    let page = page("cli.md");
    let mut documented: Vec<(String, String)> = Vec::new();
    for row in table(&page, "## Ports") {
        let stage = row[1].split('`').nth(1).unwrap_or("").to_owned();
        documented.push((row[0].to_owned(), stage));
    }
    let setting = |stage: &str, key: &str| {
        let text = printed(&[stage, "--print-config", "--feed", "Cargo.toml"][..if stage == "ingest" { 4 } else { 2 }]);
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).expect("the key is there");
        line.trim_matches(['\'', '"']).strip_prefix("127.0.0.1:").expect("on loopback").to_owned()
    };
    let up = printed(&["up", "--help"]);
    let default = |flag: &str| {
        let below = up.split_once(flag).expect("the flag is there").1;
        let (_, port) = below.split_once("[default: 127.0.0.1:").expect("it has a default");
        port.chars().take_while(char::is_ascii_digit).collect::<String>()
    };
    let mut expected = vec![(setting("gateway", "http"), String::new())];
    for stage in ["ingest", "aggregate", "alert", "store", "logger", "gateway"] {
        expected.push((setting(stage, "admin"), stage.to_owned()));
    }
    expected.push((default("--kafka-addr"), "finflow up".to_owned()));
    expected.push((default("--s3-addr"), "finflow up".to_owned()));
    assert_eq!(default("--http"), expected[0].0);
    assert_eq!(documented, expected);
}

#[test]
fn the_exit_codes_are_the_ones_of_the_process() {
    let page = page("cli.md");
    let codes: Vec<&str> = table(&page, "## Exit codes").iter().map(|row| row[0]).collect();
    assert_eq!(codes, ["0", "1", "2", "130, 143"]);
    let state = State::new();
    let feed = state.path().join("columns.csv");
    std::fs::write(&feed, "Index,Date\nHSI,1986-12-31\n").expect("the file is writable");
    let feed = feed.to_str().expect("utf-8");
    let nowhere = ["--brokers", "127.0.0.1:1", "--admin", "off", "--feed"];
    let code = |args: &[&str]| finflow().args(args).output().expect("finflow starts").status.code();
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&[&["ingest"], &nowhere[..], &[feed]].concat()), Some(1));
    assert_eq!(code(&["ingest", "--no-such-flag"]), Some(2));
    // Both signals wait while the process is stopped, so that the second one surely finds it draining.
    let mut child =
        finflow().arg("aggregate").args(&nowhere[..4]).stderr(Stdio::null()).spawn().expect("finflow starts");
    std::thread::sleep(std::time::Duration::from_secs(1));
    for signal in ["-STOP", "-TERM", "-INT", "-CONT"] {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }
    let ended = child.wait().expect("it ends").code().expect("by itself").to_string();
    assert!(codes[3].split(", ").any(|code| code == ended), "{ended}");
}

/// Names of the fields, with `*` for those that are data: topics, partitions, reasons.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    const DATA: [&str; 8] = [
        "/topics",
        "/topics/*",
        "/outcomes_by_partition",
        "/invalid",
        "/ignored",
        "/store/topics",
        "/store/partitions",
        "/store/partitions/*/*/skipped",
    ];
    const OF_TOPICS: [&str; 2] = ["/store/topics/*", "/store/partitions/*"];
    found.insert(path.to_owned());
    for (name, value) in value.as_object().into_iter().flatten() {
        let name = if DATA.contains(&path) || OF_TOPICS.contains(&path) { "*" } else { name };
        fields(value, &format!("{path}/{name}"), found);
    }
}

#[test]
fn the_documented_summary_has_the_fields_of_a_run() {
    let page = page("cli.md");
    let example = page.split_once("```json summary\n").and_then(|(_, rest)| rest.split_once("\n```"));
    let example: Value = serde_json::from_str(example.expect("the page has an example").0).expect("JSON");
    let state = State::new();
    let (index, events) = (state.path().join("index.csv"), state.path().join("events.jsonl"));
    let header = "Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD\n";
    let row = "HSI,1986-12-31,2568.3,2568.3,2568.3,2568.3,2568.3,0.0,333.8\n";
    std::fs::write(&index, format!("{header}{row}HSI,31/12/1986,1,1,1,1,1,1,1\n")).expect("the file is writable");
    let heartbeat = r#"{"kind":"heartbeat","schema_version":1,"venue":"COINBASE","receive_time":1618617600101000000}"#;
    std::fs::write(&events, heartbeat).expect("the file is writable");
    let run = state.summary(&["--feed", index.to_str().expect("utf-8"), events.to_str().expect("utf-8")]);
    let of = |value: &Value| {
        let mut found = BTreeSet::new();
        fields(value, "", &mut found);
        found
    };
    assert_eq!(of(&example), of(&run), "docs/cli.md, {run}");
    let rows = table(&page, "## The summary of a run");
    let documented: BTreeSet<&str> = rows.iter().filter_map(|row| row[0].split('`').nth(1)).collect();
    assert_eq!(documented, run.as_object().expect("an object").keys().map(String::as_str).collect());
}
