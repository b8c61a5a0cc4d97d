//! Trade lists of freqtrade: `[[time in ms, id, type, side, price, amount, cost], …]`.
//!
//! The file does not say which exchange it is of; freqtrade keeps that in the folder's name, and so do we. The pair is
//! the file's name: `…/binance/XRP_ETH-trades.json.gz` gives `BINANCE:XRP/ETH`.

use std::path::Path;

use market::{Event, Side, Trade};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Bad, Found, price, quantity};
use crate::times;

/// Whose trades these are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub venue: String,
    pub symbol: String,
}

impl Owner {
    /// From the file's place; `None` if its name holds no pair.
    pub fn of_path(path: &str) -> Option<Owner> {
        const EXCHANGES: [&str; 8] = ["binance", "kraken", "bybit", "okx", "gate", "kucoin", "bitstamp", "coinbase"];
        let path = Path::new(path);
        let name = path.file_name()?.to_str()?;
        let pair = name.split(['-', '.']).next().filter(|pair| pair.contains('_'))?.replacen('_', "/", 1);
        let folder = path.parent().and_then(Path::file_name).and_then(|folder| folder.to_str()).unwrap_or_default();
        let exchange = EXCHANGES.iter().find(|exchange| folder.eq_ignore_ascii_case(exchange)).unwrap_or(&"freqtrade");
        let venue = exchange.to_uppercase();
        Some(Owner { symbol: format!("{venue}:{pair}"), venue })
    }
}

#[derive(Deserialize)]
struct Row<'a>(
    #[serde(borrow)] &'a RawValue,
    Option<&'a str>,
    IgnoredAny,
    &'a str,
    #[serde(borrow)] &'a RawValue,
    #[serde(borrow)] &'a RawValue,
    IgnoredAny,
);

pub fn decode(item: &[u8], owner: &Owner, found: &mut Found) -> Result<(), Bad> {
    let Row(time, id, _, side, price_text, amount, _) =
        serde_json::from_slice(item).map_err(|error| Bad::json(&error))?;
    let time = time.get().as_bytes();
    let event_time = times::count(time, 1_000_000).ok_or_else(|| Bad::time("time", time))?;
    let side = match side {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => return Err(Bad::new("unknown_side", format!("side `{other}` is neither buy nor sell"))),
    };
    found.recorded.get_or_insert(event_time);
    found.events.push(Event::Trade(Trade {
        venue: owner.venue.clone(),
        symbol: owner.symbol.clone(),
        trade_id: id.filter(|id| !id.is_empty()).map(str::to_owned),
        price: price("price", price_text.get().as_bytes())?,
        quantity: quantity("amount", amount.get().as_bytes())?,
        side: Some(side),
        conditions: Vec::new(),
        event_time,
        receive_time: None,
        backfilled: false,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner() -> Owner {
        Owner::of_path("user_data/data/binance/XRP_ETH-trades.json.gz").unwrap()
    }

    #[test]
    fn the_folder_names_the_venue_and_the_file_the_pair() {
        assert_eq!(owner(), Owner { venue: "BINANCE".to_owned(), symbol: "BINANCE:XRP/ETH".to_owned() });
        assert_eq!(Owner::of_path("XRP_ETH-trades.json").unwrap().symbol, "FREQTRADE:XRP/ETH");
        assert_eq!(Owner::of_path("trades.json"), None);
    }

    #[test]
    fn a_row_keeps_its_digits() {
        let mut found = Found::default();
        decode(br#"[1570752011620,"13519807",null,"sell",0.00141342,23.0,0.03250866]"#, &owner(), &mut found).unwrap();
        let Event::Trade(trade) = &found.events[0] else { panic!("{found:?}") };
        assert_eq!((trade.price.to_string(), trade.quantity.to_string()), ("0.00141342".to_owned(), "23".to_owned()));
        assert_eq!((trade.event_time, trade.side), (1_570_752_011_620_000_000, Some(Side::Sell)));
        assert_eq!(trade.trade_id.as_deref(), Some("13519807"));
    }

    #[test]
    fn what_is_no_trade_is_refused_with_a_reason() {
        let reason = |text: &str| decode(text.as_bytes(), &owner(), &mut Found::default()).unwrap_err().reason;
        assert_eq!(reason("[1]"), "not_json");
        assert_eq!(reason(r#"[1,"1",null,"sell",1e400,1,1]"#), "precision");
        assert_eq!(reason(r#"[1,"1",null,"sell",1,-1,1]"#), "negative_size");
        assert_eq!(reason(r#"["x","1",null,"sell",1,1,1]"#), "bad_time");
        assert_eq!(reason(r#"[1,"1",null,"hold",1,1,1]"#), "unknown_side");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_text_never_panics(text: String) {
            let _ = decode(text.as_bytes(), &owner(), &mut Found::default());
        }
    }
}
