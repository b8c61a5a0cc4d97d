//! Frames of Massive to events.
//!
//! A trade id is unique only together with the exchange, and with the reporting facility where there is one: the three
//! make the id here, `4-12345` or `4-12345-202`.

use market::{Event, Quote, Side, Trade};
use serde_json::value::RawValue;

use super::messages::{self, CryptoTrade, Kind, Status};
use crate::sources::Bad;
use crate::venues::json::{conditions, each, id, millis, price, quantity, read};
use crate::venues::{Heard, Said};

pub const VENUE: &str = "MASSIVE";

pub fn hear(frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
    let items: Vec<&RawValue> = read(frame)?;
    each(&items, |item| {
        let kind: Kind = read(item)?;
        let event = match &*kind.ev {
            "T" => Event::Trade(stock(item, received)?),
            "XT" => Event::Trade(crypto(item, received)?),
            // Only come where they were asked for.
            "Q" | "XQ" => Event::Quote(quote(item, received)?),
            "status" => return status(item, heard),
            "A" | "AM" | "XA" | "XAS" => return heard.found.ignore("bar"),
            _ => return heard.found.ignore("other"),
        };
        if let Some(time) = event.event_time() {
            heard.found.recorded.get_or_insert(time);
        }
        heard.found.events.push(event);
        Ok(())
    })
}

fn status(item: &[u8], heard: &mut Heard) -> Result<(), Bad> {
    let status: Status = read(item)?;
    let message = status.message.into_owned();
    let said = match &*status.status {
        "connected" => Said::Welcome,
        "auth_success" => Said::Authenticated,
        "auth_failed" => Said::KeyRefused(message),
        // Not a word about the key: we were late.
        "auth_timeout" => Said::TooFast(message),
        "max_connections" => Said::KeyInUse(message),
        "success" => match message.strip_prefix("subscribed to: ") {
            Some(topic) if topic.starts_with("Q.") || topic.starts_with("XQ.") => return heard.found.ignore("status"),
            Some(topic) => Said::Subscribed(topic.to_owned()),
            None => return heard.found.ignore("status"),
        },
        "error" | "not_authorized" => Said::Refused { own_name: None, request: None, reason: message },
        _ => return heard.found.ignore("status"),
    };
    heard.say("status", said)
}

/// A side that is left out has nobody.
fn quote(item: &[u8], received: i64) -> Result<Quote, Bad> {
    let quote: messages::Quote = read(item)?;
    let symbol = match (quote.sym, quote.pair) {
        (Some(ticker), _) => ticker.into_owned(),
        (None, Some(pair)) => format!("{VENUE}:{pair}"),
        (None, None) => return Err(Bad::new("missing_field", "neither `sym` nor `pair`: no symbol")),
    };
    Ok(Quote {
        venue: VENUE.to_owned(),
        symbol,
        bid: quote.bp.map(|text| price("bp", text)).transpose()?,
        bid_quantity: quote.bs.map(|text| quantity("bs", text)).transpose()?,
        ask: quote.ap.map(|text| price("ap", text)).transpose()?,
        ask_quantity: quote.r#as.map(|text| quantity("as", text)).transpose()?,
        event_time: millis("t", quote.t)?,
        receive_time: Some(received),
    })
}

fn stock(item: &[u8], received: i64) -> Result<Trade, Bad> {
    let trade: messages::Trade = read(item)?;
    let mut trade_id = format!("{}-{}", id("x", trade.x)?, id("i", trade.i)?);
    if let Some(facility) = trade.trfi {
        trade_id = format!("{trade_id}-{}", id("trfi", facility)?);
    }
    let size = trade.ds.or(trade.s).ok_or_else(|| Bad::new("missing_field", "neither `s` nor `ds`: no size"))?;
    Ok(Trade {
        venue: VENUE.to_owned(),
        symbol: trade.sym.into_owned(),
        trade_id: Some(trade_id),
        price: price("p", trade.p)?,
        quantity: quantity("s", size)?,
        side: None,
        conditions: conditions(trade.c),
        event_time: millis("t", trade.t)?,
        receive_time: Some(received),
        backfilled: false,
    })
}

fn crypto(item: &[u8], received: i64) -> Result<Trade, Bad> {
    let trade: CryptoTrade = read(item)?;
    let exchange = id("x", trade.x)?;
    let trade_id = trade.i.map(|text| id("i", text)).transpose()?.map(|id| format!("{exchange}-{id}"));
    let conditions = conditions(trade.c);
    let side = match conditions.first().map(String::as_str) {
        Some("1") => Some(Side::Sell),
        Some("2") => Some(Side::Buy),
        _ => None,
    };
    Ok(Trade {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", trade.pair),
        trade_id,
        price: price("p", trade.p)?,
        quantity: quantity("s", trade.s)?,
        side,
        conditions,
        event_time: millis("t", trade.t)?,
        receive_time: Some(received),
        backfilled: false,
    })
}
