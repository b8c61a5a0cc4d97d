//! Frames of Kraken's WebSocket v2 to events. `side` is the taker's.

use market::{Event, Quote, Side, Trade};
use serde_json::value::RawValue;

use super::messages::{self, Message};
use super::rest::VENUE;
use crate::sources::{Bad, shown};
use crate::venues::json::{each, id, price, quantity, read, rfc3339};
use crate::venues::{Heard, Said};

pub fn hear(frame: &[u8], received: i64, quotes: bool, heard: &mut Heard) -> Result<(), Bad> {
    let message: Message = read(frame)?;
    let Some(channel) = message.channel.as_deref() else { return answer(frame, message, heard) };
    match channel {
        "trade" => {
            let old = message.kind.as_deref() == Some("snapshot");
            let trades: Vec<&RawValue> = read(message.data.map_or("[]", RawValue::get).as_bytes())?;
            each(&trades, |item| {
                let trade = trade(item, received, old)?;
                heard.found.recorded.get_or_insert(trade.event_time);
                heard.found.events.push(Event::Trade(trade));
                Ok(())
            })
        }
        // Comes on connection, and when the state of the exchange changes.
        "status" => heard.say("status", Said::Welcome),
        "heartbeat" => heard.found.ignore("heartbeat"),
        "ticker" if quotes => {
            let tickers: Vec<&RawValue> = read(message.data.map_or("[]", RawValue::get).as_bytes())?;
            each(&tickers, |item| {
                let quote = quote(item, received)?;
                heard.found.recorded.get_or_insert(quote.event_time);
                heard.found.events.push(Event::Quote(quote));
                Ok(())
            })
        }
        "ticker" => heard.found.ignore("ticker"),
        "ohlc" => heard.found.ignore("bar"),
        _ => heard.found.ignore("other"),
    }
}

fn answer(frame: &[u8], message: Message, heard: &mut Heard) -> Result<(), Bad> {
    if let Some(error) = message.error {
        let reason = error.into_owned();
        let said = match reason.to_ascii_lowercase() {
            text if text.contains("rate limit") => Said::TooFast(reason),
            _ => {
                let own_name = message.symbol.map(|name| name.into_owned());
                Said::Refused { own_name, request: None, reason }
            }
        };
        return heard.say("refusal", said);
    }
    match (message.method.as_deref(), message.success, message.result) {
        (Some("subscribe"), Some(true), Some(result)) => match (result.channel.as_deref(), result.symbol) {
            (Some("trade"), Some(name)) => heard.say("answer", Said::Subscribed(name.into_owned())),
            _ => heard.found.ignore("answer"),
        },
        (Some("pong"), ..) => heard.found.ignore("ping"),
        (Some(_), ..) => heard.found.ignore("answer"),
        _ if message.success == Some(false) => Err(Bad::new("venue_error", shown(frame))),
        _ => heard.found.ignore("other"),
    }
}

fn quote(item: &[u8], received: i64) -> Result<Quote, Bad> {
    let ticker: messages::Ticker = read(item)?;
    // Without a time of the venue's, that of receipt is all there is.
    let event_time = ticker.timestamp.map(|text| rfc3339("timestamp", &text)).transpose()?.unwrap_or(received);
    Ok(Quote {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", ticker.symbol),
        bid: Some(price("bid", ticker.bid)?),
        bid_quantity: Some(quantity("bid_qty", ticker.bid_qty)?),
        ask: Some(price("ask", ticker.ask)?),
        ask_quantity: Some(quantity("ask_qty", ticker.ask_qty)?),
        event_time,
        receive_time: Some(received),
    })
}

fn trade(item: &[u8], received: i64, old: bool) -> Result<Trade, Bad> {
    let trade: messages::Trade = read(item)?;
    let side = match &*trade.side {
        "buy" => Side::Buy,
        "sell" => Side::Sell,
        other => return Err(Bad::new("unknown_side", format!("side `{other}` is neither buy nor sell"))),
    };
    Ok(Trade {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", trade.symbol),
        trade_id: Some(id("trade_id", trade.trade_id)?),
        price: price("price", trade.price)?,
        quantity: quantity("qty", trade.qty)?,
        side: Some(side),
        conditions: Vec::new(),
        event_time: rfc3339("timestamp", &trade.timestamp)?,
        receive_time: Some(received),
        backfilled: old,
    })
}
