//! `finflow verify` on what a run left.

use std::path::Path;

use serde_json::Value;

use crate::finflow::{State, finflow};
use crate::lake;

/// The report and the exit code.
pub fn verify(state: &Path, args: &[&str]) -> (Value, Option<i32>) {
    let output =
        finflow().args(["verify", "--json", "--state"]).arg(state).args(args).output().expect("finflow starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_str(text.trim()).unwrap_or_else(|error| panic!("{error}: {text:?}, {errors}"));
    (report, output.status.code())
}

/// Asserts that claims, objects and metrics of the lake agree.
pub fn assert_verified(state: &Path) -> Value {
    let (report, code) = verify(state, &[]);
    assert_eq!((&report["differences"], code), (&serde_json::json!([]), Some(0)), "{report}");
    report
}

#[test]
fn a_run_is_verified_and_damage_is_named() {
    let state = State::new();
    let summary = state.summary(&["--feed", "demo"]);
    let report = assert_verified(state.path());
    assert_eq!(report["lake"]["rows"], summary["store"]["rows"]);
    assert!(report["metrics"]["compared"].as_u64().expect("a count") > 0, "{report}");
    assert_eq!(report["metrics"]["other_settings"], 0, "{report}");

    // Settings of which no window was made: nothing could be compared, and that is said.
    let (report, code) = verify(state.path(), &["--set", "windows=7m"]);
    assert_eq!(code, Some(1), "{report}");
    assert!(report["differences"].to_string().contains("other settings"), "{report}");

    let trades = lake::objects(state.path(), "trades");
    std::fs::remove_file(&trades[0]).expect("the object is there");
    let (report, code) = verify(state.path(), &[]);
    assert_eq!(code, Some(1));
    let name = trades[0].file_name().expect("a name").to_string_lossy().into_owned();
    let differences = report["differences"].as_array().expect("a list");
    let said: Vec<&str> = differences.iter().filter_map(Value::as_str).collect();
    assert!(said[0].contains(&name) && said[0].contains("missing"), "{said:?}");
    // The metrics that those trades made have no trades any more.
    assert!(said.iter().any(|line| line.starts_with("metrics of")), "{said:?}");
}

#[test]
fn wrong_words_and_an_empty_place_have_their_exit_codes() {
    let code = |args: &[&str]| finflow().arg("verify").args(args).output().expect("finflow starts").status.code();
    assert_eq!(code(&["--set", "windows=nonsense"]), Some(2));
    let state = State::new();
    assert_eq!(code(&["--state", state.path().to_str().expect("utf-8")]), Some(1));
}

/// Through every stage: from the file to the lake's tables, and back by folding what is stored there.
#[test]
fn news_is_joined_to_the_metrics_of_its_symbol_and_verified() {
    const S: i64 = 1_000_000_000;
    let state = State::new();
    let mut text = String::new();
    for n in 0..60 {
        let time = 1_700_000_000 * S + n * 10 * S;
        text += &format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"V","symbol":"AAPL","trade_id":"{n}","price":{},"quantity":1,"event_time":{time}}}"#,
            100 + n
        );
        text.push('\n');
        if n % 6 == 3 {
            text += &format!(
                r#"{{"kind":"news","schema_version":1,"symbol":"AAPL","news_id":"{n}","headline":"h","sentiment":0.{n:02},"scored_by":"vader","event_time":{time}}}"#
            );
            text.push('\n');
        }
    }
    let file = state.path().join("news.jsonl");
    std::fs::write(&file, text).expect("the folder is writable");
    state.summary(&["--feed", file.to_str().expect("utf-8")]);
    let report = assert_verified(state.path());
    assert!(report["metrics"]["compared"].as_u64().expect("a count") >= 9, "{report}");
    let news = lake::rows(state.path(), "news");
    assert_eq!(news.len(), 10);
    assert!(news.iter().all(|row| row["scored_by"] == "vader"), "{news:?}");
    let mut counts: Vec<(i64, u64)> = lake::rows(state.path(), "metrics")
        .iter()
        .filter(|row| row["window"] == "1m")
        .filter_map(|row| Some((row["window_start"].as_i64()?, row["news_count"].as_u64()?)))
        .collect();
    counts.sort_unstable();
    counts.dedup_by_key(|(start, _)| *start);
    let counts: Vec<u64> = counts.into_iter().map(|(_, count)| count).collect();
    assert!(counts.len() >= 9 && counts.is_sorted() && *counts.last().expect("some") == 10, "{counts:?}");
}
