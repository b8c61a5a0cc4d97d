//! Frames of Massive to events.
//!
//! A trade id is unique only together with the exchange, and with the reporting facility where there is one: the three
//! make the id here, `4-12345` or `4-12345-202`.

use market::{Event, Side, Trade};
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
        let trade = match &*kind.ev {
            "T" => stock(item, received)?,
            "XT" => crypto(item, received)?,
            "status" => return status(item, heard),
            "A" | "AM" | "XA" | "XAS" => return heard.found.ignore("bar"),
            _ => return heard.found.ignore("other"),
        };
        heard.found.recorded.get_or_insert(trade.event_time);
        heard.found.events.push(Event::Trade(trade));
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
            Some(topic) => Said::Subscribed(topic.to_owned()),
            None => return heard.found.ignore("status"),
        },
        "error" | "not_authorized" => Said::Refused { own_name: None, request: None, reason: message },
        _ => return heard.found.ignore("status"),
    };
    heard.say("status", said)
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
