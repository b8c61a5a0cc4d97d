//! `finflow lake expire` and `finflow compact` on what runs left, and runs on what they left.

use harness::{Clock, SystemClock};
use serde_json::Value;

use crate::finflow::{State, finflow};
use crate::lake;
use crate::verify::verify;

const AUG_8_2024: i64 = 1_723_075_200_000_000_000;

/// A run over a trade each second from this moment on, of one symbol.
fn run(state: &State, name: &str, from_ns: i64) -> Value {
    let file = state.path().join(format!("{name}.jsonl"));
    let trade = |n: i64| {
        let time = from_ns + n * 1_000_000_000;
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","trade_id":"{time}","price":1,"quantity":1,"event_time":{time}}}"#
        )
    };
    std::fs::write(&file, (0..100).map(|n| trade(n) + "\n").collect::<String>()).expect("the file is writable");
    state.summary(&["--feed", file.to_str().expect("utf-8")])
}

fn expire(state: &State, args: &[&str]) -> (String, String, Option<i32>) {
    let mut command = finflow();
    command.args(["lake", "expire", "--state"]).arg(state.path()).args(args);
    let output = command.output().expect("finflow starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn old_days_go_and_the_lake_still_adds_up_and_grows() {
    let state = State::new();
    run(&state, "old", AUG_8_2024);
    // Everything is of a last claim: nothing may go.
    let (said, _, code) = expire(&state, &["--older-than", "30d"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.ends_with("0 objects of 0 partitions deleted\n") && said.contains("keep   trades/dt=2024-08-08/"),
        "{said}"
    );

    let now = SystemClock.now_ns();
    run(&state, "new", now - 600_000_000_000);
    let trades = lake::objects(state.path(), "trades");
    let (said, _, code) = expire(&state, &["--older-than", "30d", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("old    trades/dt=2024-08-08, 1 objects") && said.contains("none deleted"), "{said}");
    assert_eq!(lake::objects(state.path(), "trades"), trades, "a dry run");

    let (said, _, code) = expire(&state, &["--older-than", "30d"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("delete metrics/dt=2024-08-08, 1 objects"), "{said}");
    let left = lake::objects(state.path(), "trades");
    assert!(left.len() < trades.len() && !left.iter().any(|path| path.to_string_lossy().contains("2024")), "{left:?}");
    let check = || {
        let (report, code) = verify(state.path(), &[]);
        assert_eq!((&report["differences"], code), (&serde_json::json!([]), Some(0)), "{report}");
        assert!(report["lake"]["expired"].as_u64().is_some_and(|rows| rows > 100), "{report}");
        assert_eq!(report["metrics"], Value::Null, "what they were made of is not there any more");
    };
    check();
    // The store takes nothing for lost, and stores nothing again.
    let summary = run(&state, "newer", now - 300_000_000_000);
    assert_eq!(lake::rows(state.path(), "trades").len(), 200, "{summary}");
    check();
}

#[test]
fn the_rules_of_s3_are_printed_and_wrong_words_are_refused() {
    let state = State::new();
    let (rules, _, code) =
        expire(&state, &["--older-than", "90d", "--table", "trades", "--prefix", "a", "--lifecycle"]);
    assert_eq!(code, Some(0));
    let rules: Value = serde_json::from_str(&rules).expect("JSON");
    let rule = serde_json::json!({
        "ID": "finflow-trades", "Status": "Enabled", "Filter": {"Prefix": "a/trades/"}, "Expiration": {"Days": 90},
    });
    let unfinished = serde_json::json!({
        "ID": "finflow-unfinished-uploads", "Status": "Enabled", "Filter": {"Prefix": "a/"},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    });
    assert_eq!(rules["Rules"], serde_json::json!([rule, unfinished]));
    let (all, _, _) = expire(&state, &["--older-than", "90d", "--lifecycle"]);
    assert!(!all.contains("bars/") && !all.contains("_claims"), "bars only if they are named, claims never: {all}");
    for (args, reason) in [
        (&["--older-than", "1h"][..], "no number of days"),
        (&["--older-than", "36h"], "no number of days"),
        (&["--older-than", "9d", "--table", "tradse"], "there is no table `tradse`"),
    ] {
        let (_, said, code) = expire(&state, args);
        assert!(code == Some(2) && said.contains(reason), "{args:?}: {said}");
    }
}

#[test]
fn past_days_are_compacted_checked_and_may_then_expire() {
    const DAY: i64 = 86_400_000_000_000;
    let state = State::new();
    run(&state, "first", AUG_8_2024);
    run(&state, "second", AUG_8_2024 + DAY);
    run(&state, "now", SystemClock.now_ns() - 600_000_000_000);
    let compact = || {
        let output = finflow().args(["compact", "--state"]).arg(state.path()).output().expect("finflow starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = compact();
    assert!(said.contains("raw-market-data[") && !said.contains("\n0 claims made"), "{said}");
    assert!(compact().starts_with("0 claims made"), "once is enough");
    let check = || {
        let (report, code) = verify(state.path(), &["--no-metrics", "--prefix", "compact"]);
        assert_eq!((&report["differences"], code), (&serde_json::json!([]), Some(0)), "{report}");
        report["lake"]["rows"].as_u64().expect("a count")
    };
    // The trades of two days, and what was told of them; of today nothing.
    let rows = check();
    assert!(rows > 200, "{rows}");
    let compacted = lake::objects(state.path(), "compact/trades");
    assert_eq!(compacted.len(), 2, "{compacted:?}");

    // The second day is of the last claim of the compacted root, which may have to be made again.
    let (said, _, code) = expire(&state, &["--older-than", "30d", "--table", "trades"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("delete trades/dt=2024-08-08") && !said.contains("delete trades/dt=2024-08-09"), "{said}");
    assert_eq!(check(), rows);
}
