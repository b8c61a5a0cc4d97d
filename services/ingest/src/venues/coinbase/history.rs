//! Trades of Coinbase Exchange by REST, downward from an id:
//! `[{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"price":"10.00000000","size":"0.01000000","side":"buy"}]`. As in the
//! feed, `side` is the maker's.

use market::{Event, Side, Trade};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::decode::VENUE;
use super::subscribe;
use crate::sources::{Bad, Found};
use crate::venues::history::{History, Missing};
use crate::venues::json::{Text, each, price, quantity, read, rfc3339};
use crate::venues::{Rate, limits::SECOND};

const MOST: u64 = 1_000;

pub struct Exchange;

#[derive(Deserialize)]
struct Row<'a> {
    trade_id: u64,
    #[serde(borrow)]
    side: Text<'a>,
    #[serde(borrow)]
    size: &'a RawValue,
    #[serde(borrow)]
    price: &'a RawValue,
    #[serde(borrow)]
    time: Text<'a>,
}

impl History for Exchange {
    fn address(&self) -> &'static str {
        "https://api.exchange.coinbase.com"
    }

    /// Half of the ten a second that an address may ask.
    fn rate(&self) -> Rate {
        Rate::new(5, SECOND)
    }

    /// The page after an id is of those before it.
    fn begin(&self, missing: &Missing) -> u64 {
        missing.last.saturating_add(1)
    }

    fn request(&self, missing: &Missing, place: u64) -> String {
        let most = place.saturating_sub(missing.first).clamp(1, MOST);
        format!("/products/{}/trades?after={place}&limit={most}", missing.own_name)
    }

    fn read(&self, missing: &Missing, place: u64, page: &[u8], found: &mut Found) -> Result<Option<u64>, Bad> {
        let rows: Vec<&RawValue> = read(page)?;
        let mut lowest = u64::MAX;
        each(&rows, |item| {
            let row: Row = read(item)?;
            lowest = lowest.min(row.trade_id);
            let side = match &*row.side {
                "sell" => Side::Buy,
                "buy" => Side::Sell,
                other => return Err(Bad::new("unknown_side", format!("side `{other}` is neither buy nor sell"))),
            };
            found.events.push(Event::Trade(Trade {
                venue: VENUE.to_owned(),
                symbol: subscribe::symbol(&missing.own_name),
                trade_id: Some(row.trade_id.to_string()),
                price: price("price", row.price)?,
                quantity: quantity("size", row.size)?,
                side: Some(side),
                conditions: Vec::new(),
                event_time: rfc3339("time", &row.time)?,
                receive_time: None,
                backfilled: true,
            }));
            Ok(())
        })?;
        Ok((lowest > missing.first && lowest < place).then_some(lowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venues::history::tests::{missing, read};

    /// The rows are of the venue's documentation.
    #[test]
    fn a_page_goes_downward_from_an_id() {
        let missing = missing("BTC-USD", 70, 74);
        assert_eq!(Exchange.request(&missing, Exchange.begin(&missing)), "/products/BTC-USD/trades?after=75&limit=5");
        let page = r#"[{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"price":"10.00000000","size":"0.01000000","side":"buy"},{"time":"2014-11-07T01:08:43.642366Z","trade_id":73,"price":"100.00000000","size":"0.01000000","side":"sell"}]"#;
        let (trades, next) = read(&Exchange, &missing, 75, page);
        assert_eq!((trades.len(), next), (2, Ok(Some(73))));
        let Trade { symbol, trade_id, price, side, event_time, backfilled, .. } = &trades[0];
        assert_eq!((symbol.as_str(), trade_id.as_deref()), ("COINBASE:BTC-USD", Some("74")));
        assert_eq!((price.to_string().as_str(), *side, *backfilled), ("10", Some(Side::Sell), true));
        assert_eq!((*event_time, trades[1].side), (1_415_398_768_578_544_000, Some(Side::Buy)));
        assert_eq!(read(&Exchange, &missing, 73, "[]").1, Ok(None), "the venue has no more");
        assert_eq!(read(&Exchange, &missing, 73, &page.replace("73", "70")).1, Ok(None), "nothing more is missing");
    }
}
