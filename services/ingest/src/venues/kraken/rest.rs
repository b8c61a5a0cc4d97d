//! Kraken REST `Trades`: `{"error":[],"result":{"XBTUSDT":[[price,volume,time,"b|s","m|l",misc,trade_id],…],"last":"…"}}`.
//!
//! The time is a count of seconds with up to seven fraction digits; it is read as digits, not as a double, which could
//! not hold it. `b|s` is the taker's side. Kraken's REST says `XBT` where everything else says `BTC`.

use market::{Event, Side, Trade};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::sources::{Bad, Found, price, quantity, shown};
use crate::times;

pub const VENUE: &str = "KRAKEN";

type Row<'a> = (&'a str, &'a str, &'a RawValue, &'a str, IgnoredAny, IgnoredAny, u64);

/// One item of the answer, under the key `pair`. `symbol` overrides the pair's own name.
pub fn decode(item: &[u8], pair: &str, symbol: Option<&str>, found: &mut Found) -> Result<(), Bad> {
    if pair == "error" {
        return Err(Bad::new("venue_error", format!("Kraken answered with an error: {}", shown(item))));
    }
    let row: RowOf = serde_json::from_slice(item).map_err(|error| Bad::json(&error))?;
    let (price_text, volume, time, side, _, _, id) = row.0;
    let time = time.get().as_bytes();
    let event_time = times::count(time, 1_000_000_000).ok_or_else(|| Bad::time("time", time))?;
    let side = match side {
        "b" => Side::Buy,
        "s" => Side::Sell,
        other => return Err(Bad::new("unknown_side", format!("side `{other}` is neither b nor s"))),
    };
    found.recorded.get_or_insert(event_time);
    found.events.push(Event::Trade(Trade {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", symbol.map_or_else(|| pair_name(pair), str::to_owned)),
        trade_id: Some(id.to_string()),
        price: price("price", price_text.as_bytes())?,
        quantity: quantity("volume", volume.as_bytes())?,
        side: Some(side),
        conditions: Vec::new(),
        event_time,
        receive_time: None,
        backfilled: false,
    }));
    Ok(())
}

#[derive(serde::Deserialize)]
struct RowOf<'a>(#[serde(borrow)] Row<'a>);

/// `XBTUSDT` and the older `XXBTZUSD` as the WebSocket names them: `BTC/USDT`, `BTC/USD`. A pair that is not
/// understood keeps its name.
pub fn pair_name(raw: &str) -> String {
    const QUOTES: [&str; 16] = [
        "USDT", "USDC", "ZUSD", "ZEUR", "ZGBP", "ZJPY", "ZCAD", "USD", "EUR", "GBP", "JPY", "CAD", "CHF", "AUD",
        "XXBT", "XBT",
    ];
    if raw.contains('/') {
        return raw.to_owned();
    }
    let Some((base, quote)) = QUOTES
        .iter()
        .find_map(|quote| raw.strip_suffix(quote).filter(|base| base.len() >= 2).map(|base| (base, *quote)))
    else {
        return raw.to_owned();
    };
    let plain = |code: &str| {
        // The four-letter codes of old: X for a crypto currency, Z for a state's.
        let code = match code.as_bytes() {
            [b'X' | b'Z', rest @ ..] if rest.len() == 3 => &code[1..],
            _ => code,
        };
        match code {
            "XBT" => "BTC".to_owned(),
            "XDG" => "DOGE".to_owned(),
            other => other.to_owned(),
        }
    };
    format!("{}/{}", plain(base), plain(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_keeps_its_digits() {
        let mut found = Found::default();
        decode(br#"["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]"#, "XBTUSDT", None, &mut found)
            .unwrap();
        let Event::Trade(trade) = &found.events[0] else { panic!("{found:?}") };
        assert_eq!((trade.symbol.as_str(), trade.trade_id.as_deref()), ("KRAKEN:BTC/USDT", Some("10218208")));
        assert_eq!(trade.event_time, 1_762_795_433_971_744_500);
        assert_eq!(
            (trade.price.to_string(), trade.quantity.to_string()),
            ("105433.6".to_owned(), "0.00027625".to_owned())
        );
        assert_eq!(trade.side, Some(Side::Buy));
    }

    #[test]
    fn pairs_are_named_as_the_websocket_names_them() {
        for (raw, name) in [
            ("XBTUSDT", "BTC/USDT"),
            ("XXBTZUSD", "BTC/USD"),
            ("ETHUSD", "ETH/USD"),
            ("XETHXXBT", "ETH/BTC"),
            ("XDGUSD", "DOGE/USD"),
            ("BTC/USD", "BTC/USD"),
            ("WEIRD", "WEIRD"),
        ] {
            assert_eq!(pair_name(raw), name, "{raw}");
        }
    }

    #[test]
    fn what_is_no_trade_is_refused_with_a_reason() {
        let decode = |text: &str, key: &str| {
            super::decode(text.as_bytes(), key, None, &mut Found::default()).unwrap_err().reason
        };
        assert_eq!(decode(r#"["EGeneral:Invalid arguments"]"#, "error"), "venue_error");
        assert_eq!(decode("[1]", "XBTUSDT"), "not_json");
        assert_eq!(decode(r#"["1e400","1",1.5,"b","l","",1]"#, "XBTUSDT"), "precision");
        assert_eq!(decode(r#"["1","-1",1.5,"b","l","",1]"#, "XBTUSDT"), "negative_size");
        assert_eq!(decode(r#"["1","1",1e9,"b","l","",1]"#, "XBTUSDT"), "bad_time");
        assert_eq!(decode(r#"["1","1",1.5,"?","l","",1]"#, "XBTUSDT"), "unknown_side");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String, key: String) {
            let _ = decode(text.as_bytes(), &key, None, &mut Found::default());
            pair_name(&text);
        }
    }
}
