use super::*;
use crate::codec::Reason;

const TRADE: &str = r#"{"kind":"trade","schema_version":1,"venue":"BINANCE","symbol":"BINANCE:BTCUSDT","trade_id":"3735683259","price":61837.63,"quantity":0.02,"side":"sell","conditions":[],"event_time":1723161255342000000,"receive_time":1723161254070000000}"#;
const PLAIN: &str = r#"{"symbol":"BINANCE:BTCUSDT","price":7296.89,"volume":0.011467,"timestamp":1575526691134}"#;
const ROW: &str = r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.300049,"High":2568.300049,"Low":2568.300049,"Close":2568.300049,"Adj Close":2568.300049,"Volume":0.0,"CloseUSD":333.87900637}"#;

fn written(text: &str) -> String {
    let mut out = Vec::new();
    Event::decode(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}")).encode(&mut out);
    String::from_utf8(out).unwrap()
}

fn reason(text: &str) -> Reason {
    Event::decode(text.as_bytes()).expect_err(text).reason
}

/// The trade with one piece of its text replaced.
fn with(old: &str, new: &str) -> String {
    assert!(TRADE.contains(old), "{old}");
    TRADE.replacen(old, new, 1)
}

#[test]
fn numbers_may_be_strings_and_ids_may_be_numbers() {
    assert_eq!(written(&with(r#":61837.63"#, r#":"61837.63000000""#)), TRADE);
    assert_eq!(written(&with(r#":"3735683259""#, ":3735683259")), TRADE);
    assert_eq!(written(&with(r#":0.02"#, ":2e-2")), TRADE);
}

#[test]
fn a_trade_is_borrowed_from_its_record() {
    use std::borrow::Cow;
    let Ok(EventRef::Trade(trade)) = EventRef::decode(TRADE.as_bytes()) else { panic!("a trade") };
    assert!(matches!(trade.symbol, Cow::Borrowed("BINANCE:BTCUSDT")));
    assert!(matches!(trade.trade_id, Some(Cow::Borrowed("3735683259"))));
    let escaped = with("BINANCE:BTCUSDT", r"BINANCE\u003aBTCUSDT");
    let Ok(EventRef::Trade(trade)) = EventRef::decode(escaped.as_bytes()) else { panic!("a trade") };
    assert!(matches!(&trade.symbol, Cow::Owned(symbol) if symbol == "BINANCE:BTCUSDT"));
}

#[test]
fn unknown_fields_and_the_order_of_fields_do_not_matter() {
    let reordered = r#" {"price":61837.63,"new":{"a":[1,2,{"b":null}]},"quantity":0.02,"event_time":1723161255342000000,
        "receive_time":1723161254070000000,"venue":"BINANCE","symbol":"BINANCE:BTCUSDT","trade_id":"3735683259","bid":"x",
        "side":"sell","schema_version":1,"kind":"trade"} "#;
    assert_eq!(written(reordered), TRADE);
}

#[test]
fn the_plain_form_is_a_trade_of_the_venue_its_symbol_names() {
    assert_eq!(
        written(PLAIN),
        r#"{"kind":"trade","schema_version":1,"venue":"BINANCE","symbol":"BINANCE:BTCUSDT","price":7296.89,"quantity":0.011467,"conditions":[],"event_time":1575526691134000000}"#
    );
    assert_eq!(
        written(r#"{"symbol":"AAPL","price":"129.58","volume":1,"timestamp":1672348887666.25,"trade_id":77}"#),
        r#"{"kind":"trade","schema_version":1,"venue":"","symbol":"AAPL","trade_id":"77","price":129.58,"quantity":1,"conditions":[],"event_time":1672348887666250000}"#
    );
}

#[test]
fn times_of_the_plain_form_are_exact_or_refused() {
    let at = |timestamp: &str| PLAIN.replace("1575526691134", timestamp);
    for (timestamp, ns) in
        [("-1", -1_000_000), ("1e3", 1_000_000_000), ("0.000001", 1), ("9223372036854.775807", i64::MAX)]
    {
        assert_eq!(Event::decode(at(timestamp).as_bytes()).unwrap().event_time(), Some(ns), "{timestamp}");
    }
    for timestamp in ["0.0000001", "9223372036855", "9223372036854.775808", "1e400", "99999999999999999999999"] {
        assert_eq!(reason(&at(timestamp)), Reason::BadTime, "{timestamp}");
    }
    assert_eq!(reason(&at("\"2024-01-01\"")), Reason::WrongType);
    assert_eq!(reason(&at("null")), Reason::MissingField);
}

#[test]
fn the_seeds_index_row_is_a_days_bar() {
    assert_eq!(
        written(ROW),
        r#"{"kind":"bar","schema_version":1,"symbol":"HSI","interval":"1d","start":536371200000000000,"end":536457600000000000,"open":2568.300049,"high":2568.300049,"low":2568.300049,"close":2568.300049,"volume":0,"extra":{"adj_close":2568.300049,"close_usd":333.87900637}}"#
    );
    assert_eq!(reason(&ROW.replace("1986-12-31", "31/12/1986")), Reason::BadTime);
    assert_eq!(reason(&ROW.replace("1986-12-31", "2262-04-11")), Reason::BadTime);
    assert_eq!(reason(&ROW.replace(r#""Close":2568.300049"#, r#""Close":NaN"#)), Reason::NotFinite);
    assert_eq!(reason(r#"{"Index":"HSI","Date":"1986-12-31"}"#), Reason::MissingField);
}

#[test]
fn every_mistake_has_its_reason() {
    for (text, expected) in [
        (String::new(), Reason::Empty),
        ("nonsense".into(), Reason::NotJson),
        ("[]".into(), Reason::NotJson),
        ("42".into(), Reason::NotJson),
        (TRADE[..TRADE.len() - 1].into(), Reason::NotJson),
        (format!("{TRADE}}}"), Reason::NotJson),
        ("{}".into(), Reason::MissingField),
        (r#"{"kind":"trade"}"#.into(), Reason::MissingField),
        (with(r#""price":61837.63,"#, ""), Reason::MissingField),
        (with("61837.63", "null"), Reason::MissingField),
        (with(r#""price":"#, r#""price":1,"price":"#), Reason::DuplicateField),
        (with(r#""price":"#, r#""price":1,"pr\u0069ce":"#), Reason::DuplicateField),
        (with("61837.63", "true"), Reason::WrongType),
        (with("61837.63", "\"a lot\""), Reason::WrongType),
        (with("61837.63", "[61837.63]"), Reason::WrongType),
        (with("1723161255342000000", "\"1723161255342000000\""), Reason::WrongType),
        (with("1723161255342000000", "1.5"), Reason::WrongType),
        (with("\"3735683259\"", "1.5"), Reason::WrongType),
        (with("[]", "[1]"), Reason::WrongType),
        (with("[]", "\"@\""), Reason::WrongType),
        (with("61837.63", "1e400"), Reason::Precision),
        (with("61837.63", "0.0000000000000000001"), Reason::Precision),
        (with("61837.63", "NaN"), Reason::NotFinite),
        (with("61837.63", "\"NaN\""), Reason::NotFinite),
        (with("61837.63", "-Infinity"), Reason::NotFinite),
        (with("0.02", "-0.02"), Reason::NegativeSize),
        (with("1723161255342000000", "9223372036854775808"), Reason::BadTime),
        (with("BINANCE:BTCUSDT", ""), Reason::BadSymbol),
        (with("BINANCE:BTCUSDT", r"BTC\n"), Reason::BadSymbol),
        (with("\"sell\"", "\"short\""), Reason::BadValue),
        (with("\"schema_version\":1", "\"schema_version\":0"), Reason::BadValue),
        (with("\"kind\":\"trade\"", "\"kind\":\"order\""), Reason::UnknownKind),
        (with("\"schema_version\":1", "\"schema_version\":2"), Reason::FutureSchema),
    ] {
        assert_eq!(reason(&text), expected, "{text}");
    }
    assert_eq!(Event::decode(&[b'{', 0xff, b'}']).unwrap_err().reason, Reason::NotUtf8);
}

#[test]
fn a_bar_or_a_gap_that_ends_before_it_starts_is_refused() {
    let bar = written(ROW);
    assert_eq!(reason(&bar.replace("536457600000000000", "536371200000000000")), Reason::BadTime);
    assert_eq!(reason(&bar.replace(r#""high":2568.300049"#, r#""high":2568.3"#)), Reason::BadValue);
    assert_eq!(reason(&bar.replace(r#""close_usd":"#, r#""adj_close":"#)), Reason::DuplicateField);
    assert_eq!(reason(&bar.replace("333.87900637", "\"inf\"")), Reason::NotFinite);
    let gap = r#"{"kind":"gap","schema_version":1,"symbol":"AAPL","from":2,"to":2,"cause":"disconnect"}"#;
    assert_eq!(written(gap), gap);
    assert_eq!(reason(&gap.replace("\"to\":2", "\"to\":1")), Reason::BadTime);
}

#[test]
fn names_from_outside_are_escaped() {
    let bar = written(ROW).replace("adj_close", r#"a\"\n\\"#);
    assert_eq!(written(&bar), bar);
}

#[test]
fn a_refusal_stays_short_whatever_was_read() {
    let huge = with("BINANCE:BTCUSDT", &"é".repeat(5_000_000));
    let error = Event::decode(huge.as_bytes()).unwrap_err();
    assert_eq!(error.reason, Reason::BadSymbol);
    assert!(error.detail.len() < 300, "{}", error.detail.len());
}

#[test]
fn a_borrowed_event_is_written_as_an_owned_one() {
    let trade = |more: &str| {
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":"61837.630","quantity":2e-2,"event_time":7{more}}}"#
        )
    };
    let gap = r#"{"kind":"gap","schema_version":1,"symbol":"X:A","from":1,"to":2,"cause":"dropped"}"#;
    let full = r#","trade_id":"a\"b","side":"sell","conditions":["@","\u00e9\n"],"receive_time":8,"backfilled":true"#;
    for text in [&trade(""), &trade(full), &trade(r#","conditions":[ ]"#), gap] {
        let mut borrowed = Vec::new();
        EventRef::decode(text.as_bytes()).unwrap().encode(&mut borrowed);
        assert_eq!(String::from_utf8(borrowed).unwrap(), written(text), "{text}");
    }
}
