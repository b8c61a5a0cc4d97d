//! What venues do that no recording here shows: extra fields, `null`, numbers as texts, exponents, sizes of zero, empty
//! lists, unknown kinds; and bytes that no venue sends.

use proptest::prelude::*;

use super::super::{Heard, NAMES, of};
use super::{RECEIVED, heard, told};

#[test]
fn numbers_are_read_from_their_digits_in_every_form() {
    for (p, v) in [("3.844E-5", "0.1"), ("\"3.844E-5\"", "\"0.1\""), ("0.00003844", "1E-1")] {
        let frame = format!(r#"{{"data":[{{"p":{p},"s":"X:Y","t":1000,"v":{v},"new":{{"a":[1]}}}}],"type":"trade"}}"#);
        assert_eq!(told("finnhub", frame.as_bytes()), "X:Y - 0.00003844x0.1 - @1000000", "{frame}");
    }
    // Far more digits than a double has.
    let frame = br#"{"data":[{"c":[],"p":12345678901234567.123456789012345678,"s":"A","t":1,"v":0}],"type":"trade"}"#;
    assert_eq!(told("finnhub", frame), "A - 12345678901234567.123456789012345678x0 - @1000");
}

#[test]
fn a_bad_trade_takes_none_of_its_neighbours_with_it() {
    let frame = br#"{"type":"trade","data":[{"p":1,"s":"A","t":1,"v":1},{"p":null,"s":"B","t":1,"v":1},{"p":2,"s":"C","t":1,"v":-1},{"p":3,"s":"D","t":1,"v":1}]}"#;
    assert_eq!(told("finnhub", frame), "A - 1x1 - @1000; D - 3x1 - @1000; bad not_a_number");
    let frame = br#"[{"ev":"T","sym":"A","x":4,"i":"1","p":1,"s":1,"t":1},{"ev":"T","sym":"B"},{"ev":"status","status":"auth_failed","message":"no"}]"#;
    assert_eq!(told("massive", frame), "A 4-1 1x1 - @1000; KeyRefused(\"no\"); bad not_json");
}

#[test]
fn empty_frames_and_unheard_of_kinds_are_no_errors() {
    for (venue, frame, expected) in [
        ("finnhub", r#"{"data":[],"type":"trade"}"#, ""),
        ("finnhub", r#"{"data":null,"type":"trade"}"#, ""),
        ("finnhub", r#"{"type":"pr","data":[{"symbol":"PAE"}]}"#, "ignored other"),
        ("massive", "[]", ""),
        ("massive", r#"[{"ev":"LULD","T":"AAPL"}]"#, "ignored other"),
        ("alpaca", r#"[{"T":"s","S":"AAPL","sc":"H"}]"#, "ignored other"),
        ("kraken", r#"{"channel":"trade","type":"update","data":[]}"#, ""),
        ("kraken", r#"{"channel":"instrument","type":"update","data":{}}"#, "ignored other"),
        ("coinbase", r#"{"type":"rfq_match","x":1}"#, "ignored other"),
        ("coinbase_advanced", r#"{"channel":"status","sequence_num":3,"events":[]}"#, "#3; ignored other"),
        ("binance", r#"{"stream":"x","data":{"e":"unheard"}}"#, "ignored other"),
    ] {
        assert_eq!(told(venue, frame.as_bytes()), expected, "{venue} {frame}");
    }
}

#[test]
fn amendments_of_alpaca_name_the_trade_they_amend() {
    let cancel =
        br#"[{"T":"x","S":"AAPL","i":5,"x":"D","p":126.5,"s":1,"a":"C","z":"C","t":"2021-02-22T15:51:44.208123456Z"}]"#;
    assert_eq!(told("alpaca", cancel), "cancel AAPL D-5");
    let correction = br#"[{"T":"c","S":"AAPL","x":"D","oi":5,"op":126.5,"os":1,"oc":["@"],"ci":6,"cp":126.4,"cs":2,"cc":[],"z":"C","t":"2021-02-22T15:51:44Z"}]"#;
    assert_eq!(told("alpaca", correction), "correction AAPL D-5→D-6 126.4x2");
}

#[test]
fn an_id_is_unique_only_with_what_it_belongs_to() {
    let frame = br#"[{"ev":"T","sym":"A","x":4,"i":"1","p":1,"s":1,"t":1},{"ev":"T","sym":"A","x":5,"i":"1","p":1,"s":1,"t":1},{"ev":"T","sym":"A","x":4,"i":"1","trfi":202,"p":1,"ds":"0.5","t":1}]"#;
    assert_eq!(told("massive", frame), "A 4-1 1x1 - @1000; A 5-1 1x1 - @1000; A 4-1-202 1x0.5 - @1000");
}

/// The id is one of the sequence: without it a gap would be declared that is none.
#[test]
fn an_id_that_is_used_for_no_market_trade_is_told() {
    let frame = br#"{"e":"trade","E":5,"T":4,"s":"BTCUSDT","t":77,"p":"0","q":"0","X":"INSURANCE_FUND","m":false}"#;
    assert_eq!(told("binance_usdm", frame), "Used { symbol: \"BINANCE_USDM:BTCUSDT\", id: 77, time: 4000000 }");
}

fn samples(venue: &str) -> Vec<&'static [u8]> {
    let all = super::words::WORDS.iter().filter(|(of, ..)| *of == venue);
    let samples: Vec<&[u8]> = all.map(|(_, frame, _)| frame.as_bytes()).collect();
    assert!(!samples.is_empty(), "{venue}");
    samples
}

proptest! {
    #[test]
    fn arbitrary_bytes_make_no_decoder_panic(bytes: Vec<u8>) {
        for venue in NAMES {
            heard(venue, &bytes);
        }
    }

    /// Damage keeps most of the form, and so reaches deeper than noise does.
    #[test]
    fn damaged_frames_make_no_decoder_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        for venue in NAMES {
            for sample in samples(venue) {
                let mut bytes = sample.to_vec();
                for (at, byte) in &edits {
                    let at = at.index(bytes.len());
                    bytes[at] = *byte;
                }
                if cuts {
                    bytes.truncate(cut.index(bytes.len()));
                }
                heard(venue, &bytes);
            }
        }
    }

    /// JSON with the right names and any values in their places.
    #[test]
    fn any_values_make_no_decoder_panic(
        value in prop::sample::select(vec!["null", "-1", "1e999", "1E-19", "\"\"", "[]", "{}", "true", "\"\\u0000\"", "9223372036854775808"]),
        which in any::<prop::sample::Index>(),
    ) {
        for venue in NAMES {
            for sample in samples(venue) {
                let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(sample) else { continue };
                let mut places = Vec::new();
                paths(&json, String::new(), &mut places);
                if places.is_empty() { continue; }
                let path = &places[which.index(places.len())];
                let marker = "\u{1}here";
                *json.pointer_mut(path).unwrap() = marker.into();
                let text = json.to_string().replace(&serde_json::to_string(marker).unwrap(), value);
                let mut heard = Heard::default();
                let _ = of(venue).unwrap().decode(text.as_bytes(), RECEIVED, &mut heard);
            }
        }
    }
}

fn paths(json: &serde_json::Value, at: String, found: &mut Vec<String>) {
    match json {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                paths(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), found);
            }
        }
        serde_json::Value::Array(list) => {
            for (n, value) in list.iter().enumerate() {
                paths(value, format!("{at}/{n}"), found);
            }
        }
        _ => found.push(at),
    }
}
