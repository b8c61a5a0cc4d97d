use market::{Input, Quality, Quantity};

use super::*;

fn rule(text: &str) -> Rule {
    serde_json::from_str(text).unwrap()
}

fn metrics(start: i64, rev: u32, close: &str, change: &str) -> Metrics {
    let price = Some(Price::new(close.parse().unwrap()));
    Metrics {
        symbol: "BINANCE:BTCUSDT".to_owned(),
        window: "1m".parse().unwrap(),
        window_start: start,
        window_end: start + 60_000_000_000,
        rev,
        is_final: true,
        closed_by: None,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Quantity::ZERO,
        quote_volume: None,
        vwap: None,
        vwap_reason: Some(market::VwapReason::ZeroVolume),
        twap: None,
        average: None,
        min: price,
        max: price,
        change_pct: Some(change.parse().unwrap()),
        trade_count: 1,
        volatility: None,
        buy_volume: None,
        partial: false,
        quality: Quality::Complete,
        input: Input { partition: 0, first_offset: 0, last_offset: 0 },
        late: 0,
        duplicate: 0,
        backfilled: 0,
        config: String::new(),
        bars: None,
        averages: Vec::new(),
        input_before: Vec::new(),
        gap: false,
        reasons: Default::default(),
        sentiment: None,
    }
}

/// Judges one window after the other; `+` fired, `-` resolved, `.` nothing.
fn story(rule: &Rule, windows: &[(&str, &str)]) -> String {
    let mut memory = Memory::default();
    let mut story = String::new();
    for (n, (close, change)) in windows.iter().enumerate() {
        let start = n as i64 * 60_000_000_000;
        story.push(match rule.judge(&metrics(start, 0, close, change), (0, n as i64), &mut memory, "c") {
            Verdict::Judged(Some(alert)) if alert.state == AlertState::Fired => '+',
            Verdict::Judged(Some(_)) => '-',
            Verdict::Judged(None) => '.',
            Verdict::Stale => 's',
            Verdict::NotMine => 'n',
        });
    }
    story
}

#[test]
fn a_threshold_fires_once_until_the_value_is_back() {
    let high = rule(r#"{"name":"high","window":"1m","above":100}"#);
    let closes = ["99", "100", "100.01", "101", "100", "100.5"].map(|close| (close, "0"));
    assert_eq!(story(&high, &closes), "..+.-+");
    let low = rule(r#"{"name":"low","window":"1m","below":100}"#);
    assert_eq!(story(&low, &closes), "+-...."); // 99 is below; 100 is back
}

/// A thousand crossings between the two levels: one alert, one resolution.
#[test]
fn hysteresis_keeps_a_swinging_value_quiet() {
    let high = rule(r#"{"name":"high","window":"1m","above":100,"clear":98}"#);
    let mut closes = vec![("101", "0")];
    closes.extend((0..1000).map(|n| (if n % 2 == 0 { "99" } else { "101" }, "0")));
    closes.push(("98", "0"));
    let story = story(&high, &closes);
    assert_eq!((story.matches('+').count(), story.matches('-').count()), (1, 1));
}

#[test]
fn a_move_fires_in_either_direction() {
    let moves = rule(r#"{"name":"m","window":"1m","move_pct":0.5}"#);
    assert_eq!(story(&moves, &[("1", "0.4"), ("1", "0.5"), ("1", "0.6"), ("1", "-0.7"), ("1", "0.1")]), ".+.+-");
}

#[test]
fn a_revision_is_judged_and_a_repeat_is_not() {
    let high = rule(r#"{"name":"high","window":"1m","above":100}"#);
    let mut memory = Memory::default();
    let mut judge = |start, rev| high.judge(&metrics(start, rev, "101", "0"), (0, 0), &mut memory, "c");
    assert!(matches!(judge(60, 0), Verdict::Judged(Some(_))));
    assert_eq!(judge(60, 0), Verdict::Stale);
    assert_eq!(judge(60, 1), Verdict::Judged(None));
    assert_eq!(judge(0, 7), Verdict::Stale, "an older window says nothing about now");
}

#[test]
fn an_alert_says_what_decided() {
    let high = rule(r#"{"name":"high","symbols":"BINANCE:*","window":"1m","metric":"close","above":100}"#);
    let Verdict::Judged(Some(alert)) = high.judge(&metrics(0, 3, "101.5", "0"), (2, 77), &mut Memory::default(), "c")
    else {
        panic!("it fires");
    };
    assert_eq!(alert.alert_id, "high/BINANCE:BTCUSDT/1m/0/fired");
    assert_eq!(alert.input, Coordinates { partition: 2, offset: 77, rev: 3 });
    assert_eq!((alert.value.to_string(), alert.threshold.to_string()), ("101.5".to_owned(), "100".to_owned()));
}

#[test]
fn patterns() {
    for (pattern, text, matches) in [
        ("*", "AAPL", true),
        ("AAPL", "AAPL", true),
        ("AAPL", "AAPLX", false),
        ("BINANCE:*", "BINANCE:BTCUSDT", true),
        ("BINANCE:*", "BINANCE_USDM:BTCUSDT", false),
        ("*USDT", "BINANCE:BTCUSDT", true),
        ("B*:*T", "BINANCE:BTCUSDT", true),
        ("*A*A*", "A", false),
        ("", "AAPL", false),
    ] {
        assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
    }
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    for (text, word) in [
        (r#"{"name":"","window":"1m","above":1}"#, "name"),
        (r#"{"name":"a b","window":"1m","above":1}"#, "name"),
        (r#"{"name":"r","window":"1m"}"#, "exactly one"),
        (r#"{"name":"r","window":"1m","above":1,"below":2}"#, "exactly one"),
        (r#"{"name":"r","window":"1m","metric":"price","above":1}"#, "metric"),
        (r#"{"name":"r","window":"1m","move_pct":-1}"#, "move_pct"),
        (r#"{"name":"r","window":"1m","above":1,"clear":2}"#, "clear"),
        (r#"{"name":"r","window":"1m","below":1,"clear":0}"#, "clear"),
    ] {
        let error = rule(text).validate().unwrap_err();
        assert!(error.contains(word), "{text}: {error}");
    }
    rule(r#"{"name":"r-1","window":"5m/1m","move_pct":0.5,"clear":0.1}"#).validate().unwrap();
}
