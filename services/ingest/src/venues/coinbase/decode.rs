//! Coinbase Exchange feed: matches.
//!
//! `{"type":"match","trade_id":280232,"side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}`
//! `side` is the *maker's*: `sell` means that the taker bought. `last_match` comes once per product after subscribing
//! and is an old trade: it says what may have been missed and is not counted as traded now.

use market::{Event, Quote, Side, Trade};

use super::messages::{Error, Heartbeat, Kind, Match, Subscriptions, Ticker};
use crate::sources::{Bad, Found, price, quantity, shown};
use crate::times;
use crate::venues::json::read;
use crate::venues::{Heard, Said};

pub const VENUE: &str = "COINBASE";

#[derive(Clone, Debug, Default)]
pub struct Frames {
    pub quotes: bool,
}

impl Frames {
    pub fn decode(&self, frame: &[u8], received: Option<i64>, found: &mut Found) -> Result<(), Bad> {
        // Order book messages are nearly all of a feed; they are known from their first bytes.
        if frame.starts_with(br#"{"type":"l2update""#) {
            return found.ignore("l2update");
        }
        if frame.starts_with(br#"{"type":"snapshot""#) {
            return found.ignore("snapshot");
        }
        let kind: Kind = serde_json::from_slice(frame).map_err(|error| Bad::json(&error))?;
        match kind.kind {
            "match" => trade(frame, received, found),
            "last_match" => found.ignore("last_match"),
            "ticker" if self.quotes => quote(frame, received, found),
            "ticker" => found.ignore("ticker"),
            "l2update" => found.ignore("l2update"),
            "snapshot" => found.ignore("snapshot"),
            "heartbeat" => found.ignore("heartbeat"),
            "subscriptions" => found.ignore("subscriptions"),
            "error" => Err(Bad::new("venue_error", shown(frame))),
            _ => found.ignore("other"),
        }
    }

    /// A frame of a live connection: beside its trade, what it says about the connection.
    pub fn hear(&self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        let kind: Kind = read(frame)?;
        match kind.kind {
            "last_match" => {
                trade(frame, Some(received), &mut heard.found)?;
                old(&mut heard.found);
                Ok(())
            }
            "subscriptions" => {
                let list: Subscriptions = read(frame)?;
                let matches = list.channels.iter().filter(|channel| channel.name == "matches");
                let names = matches.flat_map(|channel| &channel.product_ids).map(|name| (*name).to_owned()).collect();
                heard.say("subscriptions", Said::SubscribedAll(names))
            }
            "heartbeat" => {
                let heartbeat: Heartbeat = read(frame)?;
                heard.found.ignore("heartbeat")?;
                if heartbeat.last_trade_id > 0 {
                    let time = times::rfc3339(heartbeat.time.as_bytes());
                    let time = time.ok_or_else(|| Bad::time("time", heartbeat.time.as_bytes()))?;
                    let symbol = format!("{VENUE}:{}", heartbeat.product_id);
                    heard.said.push(Said::LastId { symbol, id: heartbeat.last_trade_id, time });
                }
                Ok(())
            }
            "error" => {
                let error: Error = read(frame)?;
                let reason = match error.reason {
                    Some(reason) => format!("{}: {reason}", error.message),
                    None => error.message.into_owned(),
                };
                let said = match reason.to_ascii_lowercase() {
                    text if text.contains("rate limit") => Said::TooFast(reason),
                    _ => Said::Refused { own_name: None, request: None, reason },
                };
                heard.say("refusal", said)
            }
            _ => self.decode(frame, Some(received), &mut heard.found),
        }
    }
}

fn quote(frame: &[u8], received: Option<i64>, found: &mut Found) -> Result<(), Bad> {
    let frame: Ticker = serde_json::from_slice(frame).map_err(|error| Bad::json(&error))?;
    let time = frame.time.as_bytes();
    let event_time = times::rfc3339(time).ok_or_else(|| Bad::time("time", time))?;
    found.recorded.get_or_insert(event_time);
    let size = |what: &str, text: Option<&str>| text.map(|text| quantity(what, text.as_bytes())).transpose();
    found.events.push(Event::Quote(Quote {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", frame.product_id),
        bid: Some(price("best_bid", frame.best_bid.as_bytes())?),
        bid_quantity: size("best_bid_size", frame.best_bid_size)?,
        ask: Some(price("best_ask", frame.best_ask.as_bytes())?),
        ask_quantity: size("best_ask_size", frame.best_ask_size)?,
        event_time,
        receive_time: received,
    }));
    Ok(())
}

/// These trades are of before the subscription.
pub fn old(found: &mut Found) {
    for event in &mut found.events {
        if let Event::Trade(trade) = event {
            trade.backfilled = true;
        }
    }
}

fn trade(frame: &[u8], received: Option<i64>, found: &mut Found) -> Result<(), Bad> {
    let frame: Match = serde_json::from_slice(frame).map_err(|error| Bad::json(&error))?;
    let time = frame.time.as_bytes();
    let event_time = times::rfc3339(time).ok_or_else(|| Bad::time("time", time))?;
    let side = match frame.side {
        "sell" => Side::Buy,
        "buy" => Side::Sell,
        other => return Err(Bad::new("unknown_side", format!("side `{other}` is neither buy nor sell"))),
    };
    found.recorded.get_or_insert(event_time);
    found.events.push(Event::Trade(Trade {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", frame.product_id),
        trade_id: Some(frame.trade_id.to_string()),
        price: price("price", frame.price.as_bytes())?,
        quantity: quantity("size", frame.size.as_bytes())?,
        side: Some(side),
        conditions: Vec::new(),
        event_time,
        receive_time: received,
        backfilled: false,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> (Found, Result<(), Bad>) {
        let mut found = Found::default();
        let result = Frames::default().decode(text.as_bytes(), Some(7), &mut found);
        (found, result)
    }

    /// Recorded 2021-04-17; the maker sold, so the taker bought.
    #[test]
    fn a_match_is_a_trade_of_the_takers_side() {
        let (found, result) = decode(
            r#"{"type":"match","trade_id":280232,"maker_order_id":"2a0d0b74-5c4d-4a0b-8b7c-2f7ea4a1b7c1","taker_order_id":"3c82","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}"#,
        );
        result.unwrap();
        let Event::Trade(trade) = &found.events[0] else { panic!("{found:?}") };
        assert_eq!((trade.symbol.as_str(), trade.price.to_string()), ("COINBASE:SKL-BTC", "0.00001305".to_owned()));
        assert_eq!((trade.side, trade.event_time), (Some(Side::Buy), 1_618_677_817_089_723_000));
        assert_eq!(trade.receive_time, Some(7));
    }

    #[test]
    fn other_messages_are_told_apart() {
        for (text, kind) in [
            (r#"{"type":"last_match","trade_id":881613}"#, "last_match"),
            (r#"{"type":"l2update","product_id":"SKL-USD"}"#, "l2update"),
            (r#"{"type":"heartbeat","sequence":90}"#, "heartbeat"),
            (r#"{"type":"something new"}"#, "other"),
        ] {
            let (found, result) = decode(text);
            assert_eq!((result, found.ignored, found.events.len()), (Ok(()), Some(kind), 0), "{text}");
        }
        assert_eq!(decode(r#"{"type":"error","message":"x"}"#).1.unwrap_err().reason, "venue_error");
        assert_eq!(decode("{").1.unwrap_err().reason, "not_json");
        assert_eq!(decode(r#"{"type":"match","trade_id":1}"#).1.unwrap_err().reason, "not_json");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = Frames::default().decode(&bytes, None, &mut Found::default());
        }
    }
}
