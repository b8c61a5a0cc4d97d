//! The seeds' data set: daily bars of stock indexes.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::finflow::{State, assert_balanced, outcome, produced, summary};
use crate::lake;
use crate::verify::assert_verified;

const HEADER: &str = "Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD\n";

/// `days` invented rows for each of three indexes, grouped by index as in the seeds' file.
pub fn write_index(path: &Path, days: u32) {
    let mut text = HEADER.to_owned();
    for (n, index) in ["HSI", "000001.SS", "J203.JO"].iter().enumerate() {
        for day in 0..days {
            let (year, month, date) = (1999 + day / 336, day / 28 % 12 + 1, day % 28 + 1);
            let price = 1000 + n as u32 * 100 + day % 97;
            writeln!(
                text,
                "{index},{year}-{month:02}-{date:02},{price}.25,{price}.75,{price}.125,{price}.5,{price}.5,{}.0,{price}.065",
                u64::from(day) * 1_000_003
            )
            .expect("a string takes everything");
        }
    }
    std::fs::write(path, text).expect("the file is writable");
}

#[test]
fn every_row_is_in_kafka_once_and_on_s3_once() {
    let state = State::new();
    let file = state.path().join("index.csv");
    write_index(&file, 400);
    let summary = state.summary(&["--feed", file.to_str().expect("utf-8")]);
    assert_eq!(produced(&summary, "raw-market-data"), 1200, "{summary}");
    assert_eq!(summary["read"], 1200, "events, not lines: {summary}");
    assert_eq!(outcome(&summary, "late"), 0);
    assert_eq!(outcome(&summary, "invalid"), 0);
    assert_balanced(&summary);
    let rows = lake::rows(state.path(), "bars");
    assert_eq!(rows.len(), 1200);
    lake::assert_once(&rows);
    let hsi = rows.iter().filter(|row| row["symbol"] == "HSI").count();
    assert_eq!(hsi, 400);
    assert_verified(state.path());
}

#[test]
fn the_whole_data_set() {
    let (Some(file), Some(facts)) =
        (testkit::shared("data/index/indexProcessed.csv.gz"), testkit::shared("data/index/facts.csv"))
    else {
        return;
    };
    let state = State::new();
    let output = state.once(&["--feed", file.to_str().expect("utf-8")]);
    let summary = summary(&output);
    assert_eq!(produced(&summary, "raw-market-data"), 104_224, "{summary}");
    assert_eq!(outcome(&summary, "late"), 0, "{summary}");
    assert_balanced(&summary);
    check_facts(&lake::rows(state.path(), "bars"), &facts);
    let objects = lake::objects(state.path(), "bars").len();
    assert!(objects <= 500, "{objects} objects");
    assert_verified(state.path());
    assert_eq!(summary["store"]["rows"].as_u64().expect("rows"), 104_224 + stored_besides(&summary), "{summary}");
}

/// With the roll-ups that are off otherwise: in the order of the file no bar is late. That the weeks and months are right is the
/// matter of the windows' own tests.
#[test]
fn the_whole_data_set_is_rolled_up() {
    let Some(file) = testkit::shared("data/index/indexProcessed.csv.gz") else { return };
    let state = State::new();
    let config = state.path().with_extension("yaml");
    // Its windows are some 26,000 rows of some 3,000 days: objects that nobody looks at here.
    let yaml = "aggregate: {rollups: [{bars: 1d, windows: [1w, 1mo]}]}\nstore: {metrics: ''}\n";
    std::fs::write(&config, yaml).expect("the file is writable");
    let words = ["--feed", file.to_str().expect("utf-8"), "--config", config.to_str().expect("utf-8")];
    let summary = state.summary(&words);
    assert_eq!((outcome(&summary, "folded"), outcome(&summary, "late")), (104_224, 0), "{summary}");
    assert!(summary["metrics"].as_u64().expect("metrics") > 20_000, "{summary}");
    assert_balanced(&summary);
}

/// Rows of other tables: what the other topics hold.
fn stored_besides(summary: &Value) -> u64 {
    summary["metrics"].as_u64().expect("metrics") + summary["alerts"].as_u64().expect("alerts")
}

/// Row counts and volumes per index, as computed independently for `facts.csv`.
pub fn check_facts(rows: &[Value], facts: &Path) {
    lake::assert_once(rows);
    let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for row in rows {
        let entry = found.entry(row["symbol"].as_str().expect("a symbol").to_owned()).or_default();
        entry.0 += 1;
        entry.1 += row["volume"].as_u64().expect("a whole volume");
    }
    let facts = std::fs::read_to_string(facts).expect("facts.csv");
    let mut expected = BTreeMap::new();
    for line in facts.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        expected.insert(fields[0].to_owned(), (fields[1].parse().expect("rows"), fields[5].parse().expect("volume")));
    }
    assert_eq!(found, expected);
    assert_eq!(found.values().map(|(_, volume)| volume).sum::<u64>(), 140_457_056_939_342);
}
