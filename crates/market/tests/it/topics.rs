//! `docs/topics.md` says what the code does.

use std::collections::{BTreeMap, BTreeSet};

use market::metrics::{ClosedBy, Quality, Undefined, VwapReason};
use market::{AlertState, Direction, GapCause, Kind, Reason, RuleKind, Side};

use crate::{root, written_back};

fn page() -> String {
    let path = root().join("docs/topics.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The name after `json` and the text of every example of the page.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let mut examples = Vec::new();
    let mut rest = page;
    while let Some((_, fence)) = rest.split_once("```json ") {
        let (name, body) = fence.split_once('\n').expect("a fence ends its line");
        let (body, after) = body.split_once("\n```").expect("a fence is closed");
        examples.push((name, body));
        rest = after;
    }
    examples
}

/// The first cells of the table that follows a heading, without their backticks.
fn table<'a>(page: &'a str, heading: &str) -> Vec<&'a str> {
    let section = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no {heading:?}")).1;
    let lines = section.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    lines.skip(2).filter_map(|line| line.split('`').nth(1)).collect()
}

/// Those of its fields that may be left out.
fn optional<'a>(page: &'a str, name: &str) -> BTreeSet<&'a str> {
    let section = page.split_once(&format!("\n### {name}\n")).unwrap_or_else(|| panic!("no {name:?}")).1;
    let section = section.split_once("\n### ").map_or(section, |(section, _)| section);
    let rows = section.lines().filter(|line| line.starts_with("| `") && line.contains(", optional |"));
    rows.filter_map(|line| line.split('`').nth(1)).collect()
}

#[test]
fn every_example_is_written_back_to_the_same_bytes() {
    let page = page();
    let examples = examples(&page);
    let kinds: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).chain(["metrics", "alert"]).collect();
    let shown: BTreeSet<&str> = examples.iter().map(|(name, _)| *name).filter(|name| kinds.contains(name)).collect();
    assert_eq!(shown, kinds, "each record has an example");
    for (i, (name, example)) in examples.iter().enumerate() {
        match *name {
            "accepted" => {
                let (next, means) = examples[i + 1];
                assert_eq!(next, "means", "{example}");
                assert_eq!(written_back("event", example).as_deref(), Ok(means));
            }
            "means" => assert_eq!(written_back("event", example).as_deref(), Ok(*example)),
            // The mark of a state topic: the crate that owns it reads it.
            "meta" => assert!(serde_json::from_str::<serde_json::Value>(example).is_ok(), "{example}"),
            kind => assert_eq!(written_back(kind, example).as_deref(), Ok(*example), "{kind}"),
        }
    }
}

#[test]
fn every_table_of_fields_is_what_its_example_has_in_that_order() {
    let page = page();
    let mut shown: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, example) in examples(&page) {
        if matches!(name, "accepted" | "means" | "meta") {
            continue;
        }
        let value: serde_json::Value = serde_json::from_str(example).unwrap();
        let is_left_out = |field: &&str| value.get(field).is_none() && optional(&page, name).contains(field);
        let fields: Vec<_> = table(&page, &format!("### {name}")).into_iter().filter(|f| !is_left_out(f)).collect();
        shown.entry(name).or_default().extend(fields.clone());
        let places: Vec<_> = fields.iter().map(|field| example.find(&format!("\"{field}\":"))).collect();
        assert!(places.iter().all(Option::is_some), "{name}: {fields:?} {places:?}");
        assert!(places.is_sorted(), "{name}: {fields:?} {places:?}");
        assert_eq!(value.as_object().unwrap().len(), fields.len(), "{name}");
    }
    for (name, shown) in shown {
        assert_eq!(
            shown,
            table(&page, &format!("### {name}")).into_iter().collect(),
            "{name}: some example has each field"
        );
    }
}

#[test]
fn every_word_of_every_vocabulary_is_on_the_page() {
    let page = page();
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(table(&page, "Why a value is no record of ours:"), reasons);
    let undefined: Vec<&str> = Undefined::ALL.iter().map(|why| why.as_str()).collect();
    assert_eq!(table(&page, "#### Numbers that are null"), undefined);
    let row = |heading: &str, field: &str| {
        let section = page.split_once(&format!("\n### {heading}\n")).unwrap().1;
        let line = section.lines().find(|line| line.starts_with(&format!("| `{field}` |"))).unwrap().to_owned();
        line.split(" | ").nth(1).unwrap().split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
    };
    macro_rules! words {
        ($heading:literal, $field:literal, $words:ty) => {
            let words: Vec<&str> = <$words>::ALL.iter().map(|word| word.as_str()).collect();
            assert_eq!(row($heading, $field), words, "{}.{}", $heading, $field);
        };
    }
    words!("trade", "side", Side);
    words!("gap", "cause", GapCause);
    words!("metrics", "closed_by", ClosedBy);
    words!("metrics", "vwap_reason", VwapReason);
    words!("metrics", "quality", Quality);
    words!("metrics", "quote_volume_reason", Undefined);
    words!("alert", "rule_kind", RuleKind);
    words!("alert", "state", AlertState);
    words!("alert", "direction", Direction);
}

#[test]
fn the_partition_on_the_page_is_the_one_computed() {
    assert!(page().contains("the key `21` belongs to partition\n  340 of 1000"));
    assert_eq!(market::symbol::partition(b"21", 1000), 340);
}

#[test]
fn the_example_alert_has_the_id_it_would_be_given() {
    let page = page();
    let (_, example) = examples(&page).into_iter().find(|(name, _)| *name == "alert").unwrap();
    let alert = market::Alert::decode(example.as_bytes()).unwrap();
    let id = market::Alert::id(&alert.rule, &alert.symbol, alert.window, alert.window_start, alert.state);
    assert_eq!(alert.alert_id, id);
}
