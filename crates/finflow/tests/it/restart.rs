//! Interrupted runs: the next one on the same state goes on where the last one stopped, and nothing is lost or doubled.

use std::path::Path;
use std::process::Child;
use std::time::Duration;

use testkit::signal;

use crate::finflow::{State, assert_balanced_since, ends, produced};
use crate::index::write_index;
use crate::lake;
use crate::verify::assert_verified;

const ROWS: u32 = 900;
const DEADLINE: Duration = Duration::from_secs(60);

pub fn size_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_bytes(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Starts a slow run and returns once some of the feed is on the broker's disk, but not all of it.
fn half_way(state: &State, file: &str, grown_bytes: u64) -> Child {
    let kafka = state.path().join("kafka");
    let before = size_bytes(&kafka);
    let child = state.start(&["--once", "--speed", "300/s", "--feed", file]);
    testkit::eventually(DEADLINE, "the feed reaches the broker", || {
        (size_bytes(&kafka) > before + grown_bytes).then_some(())
    });
    child
}

/// Up to where the runs so far have consumed each partition of `raw-market-data`, asked of the broker itself.
fn consumed(state: &State) -> Vec<i64> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let any_port = ([127, 0, 0, 1], 0).into();
    let options = devbroker::Options::new(state.path().join("kafka"), any_port);
    let broker = runtime.block_on(devbroker::Broker::start(options)).expect("the broker starts");
    let admin = testkit::Brokers::at(&broker.addr().to_string()).admin();
    let committed = admin.committed("finflow-aggregate", "raw-market-data").expect("the committed positions");
    runtime.block_on(broker.stop());
    committed.into_iter().map(|position| position.unwrap_or(0)).collect()
}

fn assert_whole(state: &State, file: &str) {
    let before = consumed(state);
    let summary = state.summary(&["--feed", file]);
    assert!(produced(&summary, "raw-market-data") < u64::from(ROWS), "nothing was left of the first run: {summary}");
    assert_balanced_since(&summary, &before);
    let rows = lake::rows(state.path(), "bars");
    assert_eq!(rows.len() as u32, ROWS, "{summary}");
    lake::assert_once(&rows);
    // And once more: nothing is left to do.
    let again = state.summary(&["--feed", file]);
    assert_eq!(produced(&again, "raw-market-data"), 0, "{again}");
    assert_balanced_since(&again, &ends(&summary));
    assert_eq!(lake::rows(state.path(), "bars").len() as u32, ROWS);
    assert_verified(state.path());
}

#[test]
fn ctrl_c_then_go_on() {
    let state = State::new();
    let path = state.path().join("index.csv");
    write_index(&path, ROWS / 3);
    let file = path.to_str().expect("utf-8");
    let mut child = half_way(&state, file, 20_000);
    signal(&child, "INT");
    let status = child.wait().expect("finflow ends");
    assert_eq!(status.code(), Some(1), "an interrupted run is not a whole one: {status:?}");
    let stored = lake::rows(state.path(), "bars").len() as u32;
    assert!(stored < ROWS, "interrupted half-way: {stored} rows");
    assert_whole(&state, file);
}

#[test]
fn kill_9_three_times_then_go_on() {
    let state = State::new();
    let path = state.path().join("index.csv");
    write_index(&path, ROWS / 3);
    let file = path.to_str().expect("utf-8");
    for _ in 0..3 {
        let mut child = half_way(&state, file, 20_000);
        child.kill().expect("SIGKILL");
        child.wait().expect("finflow ends");
    }
    assert_whole(&state, file);
}
