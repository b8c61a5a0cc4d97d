//! Recorded trades of Binance against Binance's own one-minute klines of the same minutes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use market::{Metrics, Span};

use crate::finflow::{State, assert_balanced, outcome, produced};
use crate::lake;
use crate::verify::assert_verified;

const CAPTURES: [(&str, u64); 4] = [
    ("spot_btcusdt_20240808", 9_757),
    ("spot_btcusdt_20240809", 10_147),
    ("spot_ethusdt_20240808", 6_106),
    ("usdm_btcusdt_20240808", 21_313),
];

/// The last revision of every window of `window` in the embedded lake.
pub fn finals(state: &Path, window: &str) -> BTreeMap<(String, i64), Metrics> {
    finals_of(&lake::lines(state, "metrics"), window)
}

/// The same of rows read elsewhere.
pub fn finals_of(lines: &[String], window: &str) -> BTreeMap<(String, i64), Metrics> {
    let window: Span = window.parse().expect("a window");
    let mut last: BTreeMap<(String, i64), Metrics> = BTreeMap::new();
    for line in lines {
        let metrics = Metrics::decode(line.as_bytes()).expect("metrics decode");
        if metrics.window != window {
            continue;
        }
        let key = (metrics.symbol.clone(), metrics.window_start);
        if last.get(&key).is_none_or(|known| known.rev < metrics.rev) {
            last.insert(key, metrics);
        }
    }
    last
}

pub fn testdata(name: &str) -> String {
    testkit::testdata(&format!("binance/{name}.trades.csv.gz")).to_string_lossy().into_owned()
}

/// minute (UTC seconds), count, volume, VWAP to 12 decimals: Binance's count, volume and quote volume ÷ volume.
const MINUTES: [(i64, u64, &str, &str); 5] = [
    (1_723_161_300, 2_005, "136.45", "61802.159190912422"),
    (1_723_161_360, 1_992, "203.143", "61728.377789537419"),
    (1_723_161_420, 4_717, "607.148", "61665.043946121868"),
    (1_723_161_480, 7_387, "890.437", "61643.479629440376"),
    (1_723_161_540, 3_461, "466.221", "61681.752625257121"),
];

#[test]
fn five_minutes_agree_with_binance() {
    let state = State::new();
    let summary = state.summary(&["--feed", &testdata("usdm_btcusdt_20240808")]);
    assert_eq!(outcome(&summary, "folded"), 21_313, "{summary}");
    assert_balanced(&summary);
    check_minutes(&finals(state.path(), "1m"));
}

pub fn check_minutes(bars: &BTreeMap<(String, i64), Metrics>) {
    for (second, count, volume, vwap) in MINUTES {
        let bar = &bars[&("BINANCE_USDM:BTCUSDT".to_owned(), second * 1_000_000_000)];
        assert_eq!(bar.trade_count, count);
        assert_eq!(bar.volume.to_string(), volume);
        assert_eq!(bar.vwap.expect("a vwap").to_string(), vwap);
        assert!(bar.is_final, "{bar:?}");
    }
    if let Some(klines) = testkit::shared("data/binance_bars/BTCUSDT-usdm-1m-20240808T2350-20240809T0009.csv") {
        against_klines(bars, &klines);
    }
}

fn against_klines(bars: &BTreeMap<(String, i64), Metrics>, klines: &Path) {
    let text = std::fs::read_to_string(klines).expect("klines");
    let mut checked = 0;
    for line in text.lines().skip(1) {
        let field: Vec<&str> = line.split(',').collect();
        let start = field[0].parse::<i64>().expect("open time, ms") * 1_000_000;
        if !MINUTES.iter().any(|(second, ..)| second * 1_000_000_000 == start) {
            continue;
        }
        let bar = &bars[&("BINANCE_USDM:BTCUSDT".to_owned(), start)];
        let exact = |text: &str| text.parse::<market::Decimal>().expect("a number").to_string();
        let text = |price: Option<market::Price>| price.expect("a price").to_string();
        assert_eq!(
            [text(bar.open), text(bar.high), text(bar.low), text(bar.close)],
            [1, 2, 3, 4].map(|i| exact(field[i]))
        );
        assert_eq!(bar.volume.to_string(), exact(field[5]));
        assert_eq!(bar.quote_volume.expect("quote volume").to_string(), exact(field[7]));
        assert_eq!(bar.trade_count.to_string(), field[8]);
        assert_eq!(bar.buy_volume.expect("buy volume").to_string(), exact(field[9]));
        checked += 1;
    }
    assert_eq!(checked, MINUTES.len());
}

/// Spot and futures of one pair are different symbols, and two files of one symbol are one series.
#[test]
fn four_captures_in_one_run_mix_no_markets() {
    let captures = CAPTURES.map(|(name, count)| (testkit::shared(&format!("data/binance_ws/{name}.gz")), count));
    let mut feeds = vec!["--feed".to_owned()];
    for (path, _) in &captures {
        let Some(path) = path else { return };
        feeds.push(path.to_string_lossy().into_owned());
    }
    let state = State::new();
    let summary = state.summary(&feeds.iter().map(String::as_str).collect::<Vec<_>>());
    let trades: u64 = CAPTURES.iter().map(|(_, count)| count).sum();
    assert_eq!(produced(&summary, "raw-market-data"), trades, "{summary}");
    assert_eq!(outcome(&summary, "folded"), trades, "{summary}");
    assert_balanced(&summary);
    let rows = lake::rows(state.path(), "trades");
    lake::assert_once(&rows);
    let count = |symbol: &str| rows.iter().filter(|row| row["symbol"] == symbol).count() as u64;
    assert_eq!(count("BINANCE:BTCUSDT"), 9_757 + 10_147);
    assert_eq!(count("BINANCE:ETHUSDT"), 6_106);
    assert_eq!(count("BINANCE_USDM:BTCUSDT"), 21_313);
    assert_verified(state.path());
}

/// Each pass of a loop moves times and ids on by the span of the file: nothing is late, nothing is a duplicate.
#[test]
fn a_looped_capture_has_no_late_and_no_duplicate() {
    let state = State::new();
    let summary = state.summary(&["--feed", &testdata("spot_ethusdt_20240808"), "--loop", "--passes", "3"]);
    assert_eq!(outcome(&summary, "folded"), 3 * 6_106, "{summary}");
    assert_eq!(outcome(&summary, "late"), 0);
    assert_eq!(outcome(&summary, "duplicate"), 0);
    assert_balanced(&summary);
    // The windows forget ids in time; who reads the lake sees them all.
    let rows = lake::rows(state.path(), "trades");
    let ids: BTreeSet<&str> = rows.iter().filter_map(|row| row["trade_id"].as_str()).collect();
    assert_eq!(ids.len(), rows.len());
    let report = assert_verified(state.path());
    assert!(report["metrics"]["compared"].as_u64() > Some(0), "{report}");
}
