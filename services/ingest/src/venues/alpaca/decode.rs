//! Frames of Alpaca to events.
//!
//! A trade id is unique only together with the exchange: both make the id here, `D-96921`.

use market::{Cancel, Correction, Event, Price, Quantity, Quote, Side, Trade};
use serde_json::value::RawValue;

use super::messages::{self, Control};
use crate::sources::Bad;
use crate::venues::json::{conditions, each, id, price, quantity, read, rfc3339};
use crate::venues::{Heard, Said};

pub const VENUE: &str = "ALPACA";

pub fn hear(frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
    let items: Vec<&RawValue> = read(frame)?;
    each(&items, |item| {
        let control: Control = read(item)?;
        let event = match &*control.kind {
            "t" => Event::Trade(trade(item, received)?),
            "x" => Event::Cancel(cancel(item, received)?),
            "c" => Event::Correction(correction(item, received)?),
            // Only comes where it was asked for.
            "q" => Event::Quote(quote(item, received)?),
            "b" | "d" | "u" => return heard.found.ignore("bar"),
            "success" | "error" | "subscription" => return say(control, heard),
            _ => return heard.found.ignore("other"),
        };
        if let Some(time) = event.event_time() {
            heard.found.recorded.get_or_insert(time);
        }
        heard.found.events.push(event);
        Ok(())
    })
}

fn say(control: Control, heard: &mut Heard) -> Result<(), Bad> {
    let reason = control.msg.into_owned();
    let said = match (&*control.kind, control.code, &*reason) {
        ("subscription", ..) => Said::SubscribedAll(control.trades),
        ("success", _, "connected") => Said::Welcome,
        ("success", _, "authenticated") => Said::Authenticated,
        ("success", ..) => return heard.found.ignore("status"),
        // Wrong key, wrong plan: nothing that another try would change.
        (_, Some(402 | 408 | 409 | 411), _) => Said::KeyRefused(reason),
        (_, Some(406), _) => Said::KeyInUse(reason),
        (_, Some(401 | 404 | 407 | 500), _) => Said::TooFast(reason),
        (_, Some(403), _) => return heard.found.ignore("status"),
        _ => Said::Refused { own_name: None, request: None, reason },
    };
    heard.say("status", said)
}

fn identity(exchange: Option<&RawValue>, number: &RawValue) -> Result<String, Bad> {
    let number = id("i", number)?;
    Ok(match exchange {
        Some(exchange) => format!("{}-{number}", id("x", exchange)?),
        None => number,
    })
}

fn trade(item: &[u8], received: i64) -> Result<Trade, Bad> {
    let trade: messages::Trade = read(item)?;
    let side = match trade.tks.as_deref() {
        Some("B") => Some(Side::Buy),
        Some("S") => Some(Side::Sell),
        _ => None,
    };
    Ok(Trade {
        venue: VENUE.to_owned(),
        trade_id: Some(identity(trade.x, trade.i)?),
        symbol: trade.symbol.into_owned(),
        price: price("p", trade.p)?,
        quantity: quantity("s", trade.s)?,
        side,
        conditions: conditions(trade.c),
        event_time: rfc3339("t", &trade.t)?,
        receive_time: Some(received),
        backfilled: false,
    })
}

/// A price of 0 is none: nobody bids, or offers.
fn quote(item: &[u8], received: i64) -> Result<Quote, Bad> {
    let quote: messages::Quote = read(item)?;
    let side = |what: &str, text, size| -> Result<(Option<Price>, Option<Quantity>), Bad> {
        let price = price(what, text)?;
        Ok(if price.get().is_zero() { (None, None) } else { (Some(price), Some(quantity(what, size)?)) })
    };
    let ((bid, bid_quantity), (ask, ask_quantity)) =
        (side("bp", quote.bp, quote.bs)?, side("ap", quote.ap, quote.r#as)?);
    Ok(Quote {
        venue: VENUE.to_owned(),
        symbol: quote.symbol.into_owned(),
        bid,
        bid_quantity,
        ask,
        ask_quantity,
        event_time: rfc3339("t", &quote.t)?,
        receive_time: Some(received),
    })
}

fn cancel(item: &[u8], received: i64) -> Result<Cancel, Bad> {
    let cancel: messages::Cancel = read(item)?;
    Ok(Cancel {
        venue: VENUE.to_owned(),
        trade_id: identity(cancel.x, cancel.i)?,
        symbol: cancel.symbol.into_owned(),
        price: cancel.p.map(|text| price("p", text)).transpose()?,
        quantity: cancel.s.map(|text| quantity("s", text)).transpose()?,
        trade_time: None,
        event_time: rfc3339("t", &cancel.t)?,
        receive_time: Some(received),
    })
}

fn correction(item: &[u8], received: i64) -> Result<Correction, Bad> {
    let correction: messages::Correction = read(item)?;
    Ok(Correction {
        venue: VENUE.to_owned(),
        trade_id: identity(correction.x, correction.oi)?,
        corrected_id: correction.ci.map(|number| identity(correction.x, number)).transpose()?,
        symbol: correction.symbol.into_owned(),
        price: price("cp", correction.cp)?,
        quantity: quantity("cs", correction.cs)?,
        conditions: conditions(correction.cc),
        original_price: correction.op.map(|text| price("op", text)).transpose()?,
        original_quantity: correction.os.map(|text| quantity("os", text)).transpose()?,
        trade_time: None,
        event_time: rfc3339("t", &correction.t)?,
        receive_time: Some(received),
    })
}
