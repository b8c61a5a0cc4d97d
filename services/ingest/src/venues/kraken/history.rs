//! Trades of Kraken by REST, upward from a time: the answers that [`super::rest`] reads.

use std::collections::BTreeMap;

use market::Event;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::rest;
use crate::sources::{Bad, Found, shown};
use crate::venues::history::{History, Missing};
use crate::venues::json::{Text, each, read};
use crate::venues::{Rate, limits::SECOND};

/// REST has finer times than the WebSocket: one that was rounded up must not hide the trade that it is of.
const MARGIN_NS: i64 = 1_000_000;

pub struct Spot;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    error: Vec<Text<'a>>,
    /// The trades under the pair's name, and `last`.
    #[serde(borrow, default)]
    result: BTreeMap<Text<'a>, &'a RawValue>,
}

impl History for Spot {
    fn address(&self) -> &'static str {
        "https://api.kraken.com"
    }

    /// One a second is what an address may ask of public data.
    fn rate(&self) -> Rate {
        Rate::new(1, SECOND)
    }

    fn begin(&self, missing: &Missing) -> u64 {
        u64::try_from(missing.from.saturating_sub(MARGIN_NS)).unwrap_or(0)
    }

    fn request(&self, missing: &Missing, place: u64) -> String {
        format!("/0/public/Trades?pair={}&since={place}&count=1000", pair(&missing.own_name))
    }

    fn read(&self, missing: &Missing, place: u64, page: &[u8], found: &mut Found) -> Result<Option<u64>, Bad> {
        let answer: Answer = read(page)?;
        if let Some(error) = answer.error.first() {
            return Err(Bad::new("venue_error", format!("Kraken answered with an error: {}", shown(error.as_bytes()))));
        }
        let (mut last, mut rows) = (None, Vec::new());
        for (name, value) in &answer.result {
            match &**name {
                "last" => last = value.get().trim_matches('"').parse::<u64>().ok(),
                _ => rows = read::<Vec<&RawValue>>(value.get().as_bytes())?,
            }
        }
        each(&rows, |item| rest::decode(item, "", Some(&missing.own_name), found))?;
        let mut highest = 0;
        for event in &mut found.events {
            if let Event::Trade(trade) = event {
                trade.backfilled = true;
                highest = trade.trade_id.as_deref().and_then(|id| id.parse().ok()).unwrap_or(0).max(highest);
            }
        }
        // From just before the last trade: others may have its very time.
        let next = last.map(|last| last.saturating_sub(1)).filter(|next| *next > place);
        Ok(next.filter(|_| !rows.is_empty() && highest < missing.last))
    }
}

/// REST has the older names of a few currencies, and no slash: `XBTUSD` for `BTC/USD`.
fn pair(own_name: &str) -> String {
    let old = |code: &str| match code {
        "BTC" => "XBT".to_owned(),
        "DOGE" => "XDG".to_owned(),
        other => other.to_owned(),
    };
    own_name.split('/').map(old).collect()
}

#[cfg(test)]
mod tests {
    use market::Trade;

    use super::*;
    use crate::venues::history::tests::{missing, read};

    /// The rows are of the venue's documentation.
    #[test]
    fn a_page_goes_upward_from_a_time() {
        let missing = missing("BTC/USD", 61_044_952, 61_044_960);
        assert_eq!(
            Spot.request(&missing, Spot.begin(&missing)),
            "/0/public/Trades?pair=XBTUSD&since=1699999999999000000&count=1000"
        );
        let page = r#"{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952],["30243.30000","0.00376960",1688669598.2804112,"s","l","",61044953]],"last":"1688669598280411200"}}"#;
        let (trades, next) = read(&Spot, &missing, 5, page);
        assert_eq!((trades.len(), next), (2, Ok(Some(1_688_669_598_280_411_199))));
        let Trade { symbol, trade_id, event_time, backfilled, .. } = &trades[0];
        assert_eq!((symbol.as_str(), trade_id.as_deref()), ("KRAKEN:BTC/USD", Some("61044952")));
        assert_eq!((*event_time, *backfilled), (1_688_669_597_827_736_900, true));
        // The venue has no more than it gave: asked again it would say the same.
        assert_eq!(read(&Spot, &missing, 1_688_669_598_280_411_199, page).1, Ok(None));
        assert_eq!(read(&Spot, &missing, 5, &page.replace("61044953", "61044960")).1, Ok(None));
        assert_eq!(read(&Spot, &missing, 5, r#"{"error":[],"result":{"XXBTZUSD":[],"last":"9"}}"#).1, Ok(None));
    }

    #[test]
    fn an_error_is_an_answer_like_any_other() {
        let (trades, next) = read(&Spot, &missing("BTC/USD", 1, 2), 5, r#"{"error":["EAPI:Rate limit exceeded"]}"#);
        let bad = next.unwrap_err();
        assert_eq!((trades.len(), bad.reason), (0, "venue_error"));
        assert!(bad.detail.contains("EAPI:Rate limit exceeded"), "{}", bad.detail);
        assert_eq!(pair("DOGE/BTC"), "XDGXBT");
    }
}
