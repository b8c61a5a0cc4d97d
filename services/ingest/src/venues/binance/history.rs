//! Trades of Binance spot by REST, upward from an id:
//! `[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]`.
//!
//! The futures have the like, but want a key for it.

use market::{Event, Side, Trade};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::Market;
use crate::sources::{Bad, Found};
use crate::venues::history::{History, Missing};
use crate::venues::json::{each, millis, price, quantity, read};
use crate::venues::{Rate, limits::MINUTE};

const MOST: u64 = 1_000;

pub struct Spot;

#[derive(Deserialize)]
struct Row<'a> {
    id: u64,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    qty: &'a RawValue,
    #[serde(borrow)]
    time: &'a RawValue,
    #[serde(rename = "isBuyerMaker")]
    buyer_is_maker: bool,
}

impl History for Spot {
    fn address(&self) -> &'static str {
        "https://api.binance.com"
    }

    /// A request weighs 25, and an address may spend 6000 a minute: less than half of it, since others may ask from here.
    fn rate(&self) -> Rate {
        Rate::new(100, MINUTE)
    }

    fn begin(&self, missing: &Missing) -> u64 {
        missing.first
    }

    fn request(&self, missing: &Missing, place: u64) -> String {
        let most = (missing.last.saturating_sub(place) + 1).clamp(1, MOST);
        format!("/api/v3/historicalTrades?symbol={}&fromId={place}&limit={most}", missing.own_name)
    }

    fn read(&self, missing: &Missing, place: u64, page: &[u8], found: &mut Found) -> Result<Option<u64>, Bad> {
        let rows: Vec<&RawValue> = read(page)?;
        let mut highest = None;
        each(&rows, |item| {
            let row: Row = read(item)?;
            highest = highest.max(Some(row.id));
            let market = Market::Spot.venue();
            found.events.push(Event::Trade(Trade {
                venue: market.to_owned(),
                symbol: format!("{market}:{}", missing.own_name),
                trade_id: Some(row.id.to_string()),
                price: price("price", row.price)?,
                quantity: quantity("qty", row.qty)?,
                side: Some(if row.buyer_is_maker { Side::Sell } else { Side::Buy }),
                conditions: Vec::new(),
                event_time: millis("time", row.time)?,
                receive_time: None,
                backfilled: true,
            }));
            Ok(())
        })?;
        Ok(highest.filter(|id| *id >= place && *id < missing.last).map(|id| id + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venues::history::tests::{missing, read};

    /// The row is of the venue's documentation.
    #[test]
    fn a_page_goes_upward_from_an_id() {
        let missing = missing("BTCUSDT", 28_457, 30_000);
        assert_eq!(Spot.begin(&missing), 28_457);
        assert_eq!(Spot.request(&missing, 28_457), "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=28457&limit=1000");
        assert_eq!(Spot.request(&missing, 29_999), "/api/v3/historicalTrades?symbol=BTCUSDT&fromId=29999&limit=2");
        let page = r#"[{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,"isBuyerMaker":true,"isBestMatch":true}]"#;
        let (trades, next) = read(&Spot, &missing, 28_457, page);
        assert_eq!((trades.len(), next), (1, Ok(Some(28_458))));
        let Trade { symbol, trade_id, price, quantity, side, event_time, backfilled, .. } = &trades[0];
        assert_eq!((symbol.as_str(), trade_id.as_deref()), ("BINANCE:BTCUSDT", Some("28457")));
        assert_eq!((price.to_string(), quantity.to_string()), ("4.000001".to_owned(), "12".to_owned()));
        assert_eq!((*side, *event_time, *backfilled), (Some(Side::Sell), 1_499_865_549_590_000_000, true));
        assert_eq!(read(&Spot, &missing, 30_000, "[]").1, Ok(None), "the venue has no more");
        let last = page.replace("28457", "30000");
        assert_eq!(read(&Spot, &missing, 29_999, &last).1, Ok(None), "nothing more is missing");
    }

    #[test]
    fn a_bad_row_takes_none_of_the_others_with_it() {
        let row = |id: u64, qty: &str| {
            format!(r#"{{"id":{id},"price":"4","qty":{qty},"time":1499865549590,"isBuyerMaker":false}}"#)
        };
        let page = format!("[{},{},{}]", row(1, "\"1\""), row(2, "\"-1\""), row(3, "\"1\""));
        let (trades, next) = read(&Spot, &missing("BTCUSDT", 1, 3), 1, &page);
        assert_eq!((trades.len(), next.unwrap_err().reason), (2, "negative_size"));
        let refusal = r#"{"code":-1121,"msg":"Invalid symbol."}"#;
        assert_eq!(read(&Spot, &missing("X", 1, 3), 1, refusal).1.unwrap_err().reason, "not_json");
    }
}
