//! Trades of Kraken's REST answer against Kraken's own one-minute OHLC with VWAP.

use serde_json::Value;

use crate::binance::finals;
use crate::finflow::{State, outcome};

fn json(path: &std::path::Path) -> Value {
    let bytes = std::fs::read(path).expect("readable");
    serde_json::from_reader(flate2::read::MultiGzDecoder::new(&bytes[..])).expect("JSON")
}

/// Kraken cuts its VWAP to one decimal.
fn cut(vwap: &str) -> String {
    let (whole, rest) = vwap.split_once('.').unwrap_or((vwap, "0"));
    format!("{whole}.{}", &rest[..1])
}

#[test]
fn two_hundred_and_seventy_three_minutes_agree_with_kraken() {
    let (Some(trades), Some(ohlc)) = (
        testkit::shared("data/kraken_rest/XBTUSDT-trades.json.gz"),
        testkit::shared("data/kraken_rest/XBTUSDT-ohlc-1m.json.gz"),
    ) else {
        return;
    };
    let state = State::new();
    let summary = state.summary(&["--feed", trades.to_str().expect("utf-8")]);
    assert_eq!(outcome(&summary, "folded"), 1_000, "{summary}");
    let bars = finals(state.path(), "1m");
    let symbol = bars.keys().next().expect("bars").0.clone();
    let first = bars.keys().next().expect("bars").1;
    let ohlc = json(&ohlc);
    let result = ohlc["result"].as_object().expect("result");
    let rows = result.values().find_map(Value::as_array).expect("rows");
    let exact = |value: &Value| value.as_str().expect("text").parse::<market::Decimal>().expect("a number").to_string();
    let mut agreed = 0;
    for row in rows {
        let start = row[0].as_i64().expect("seconds") * 1_000_000_000;
        // The trades begin in the middle of their first minute.
        if row[7] == 0 || start <= first {
            continue;
        }
        let Some(bar) = bars.get(&(symbol.clone(), start)) else { panic!("no bar for {row}") };
        let text = |price: Option<market::Price>| price.expect("a price").to_string();
        let prices = [text(bar.open), text(bar.high), text(bar.low), text(bar.close)];
        assert_eq!(prices, [1, 2, 3, 4].map(|i| exact(&row[i])), "{row}");
        assert_eq!(bar.volume.to_string(), exact(&row[6]), "{row}");
        assert_eq!(Some(bar.trade_count), row[7].as_u64(), "{row}");
        assert_eq!(cut(&bar.vwap.expect("a vwap").to_string()), row[5].as_str().expect("text"), "{row}");
        agreed += 1;
    }
    assert_eq!(agreed, 273);
}
