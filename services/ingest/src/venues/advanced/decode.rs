//! Frames of Coinbase Advanced Trade to events.
//!
//! `side` is the maker's, as on the Exchange feed: `SELL` means that the taker bought.

use market::{Event, Quote, Side, Trade};

use super::messages::{self, Message, Subscriptions, Ticker, Tickers, Trades};
use crate::sources::{Bad, shown};
use crate::venues::coinbase::decode::VENUE;
use crate::venues::json::{each, id, price, quantity, read, rfc3339};
use crate::venues::{Heard, Said};

pub fn hear(frame: &[u8], received: i64, quotes: bool, heard: &mut Heard) -> Result<(), Bad> {
    let message: Message = read(frame)?;
    heard.sequence = message.sequence_num;
    match (message.channel.as_deref(), message.kind.as_deref()) {
        (Some("market_trades"), _) => each(&message.events, |event| trades(event, received, heard)),
        (Some("subscriptions"), _) => {
            let mut names = Vec::new();
            each(&message.events, |event| {
                let mut all: Subscriptions = read(event)?;
                names.append(&mut all.subscriptions.remove("market_trades").unwrap_or_default());
                Ok(())
            })?;
            heard.say("subscriptions", Said::SubscribedAll(names))
        }
        (Some("heartbeats"), _) => heard.found.ignore("heartbeat"),
        (Some("ticker"), _) if quotes => {
            let time = message.timestamp.as_deref().map(|text| rfc3339("timestamp", text)).transpose()?;
            each(&message.events, |event| tickers(event, time.unwrap_or(received), received, heard))
        }
        (Some("ticker" | "ticker_batch"), _) => heard.found.ignore("ticker"),
        (Some("candles"), _) => heard.found.ignore("bar"),
        (None, Some("error")) => {
            let reason = message.message.map_or_else(|| shown(frame), |text| text.into_owned());
            let said = if reason.to_ascii_lowercase().contains("rate limit") {
                Said::TooFast(reason)
            } else {
                Said::Refused { own_name: None, request: None, reason }
            };
            heard.say("refusal", said)
        }
        _ => heard.found.ignore("other"),
    }
}

fn trades(event: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
    let event: Trades = read(event)?;
    let mut trades = event.trades;
    let old = event.kind == "snapshot";
    if old {
        // Newest first; ours go in the order in which they happened.
        trades.reverse();
    }
    each(&trades, |item| {
        let trade = trade(item, received, old)?;
        heard.found.recorded.get_or_insert(trade.event_time);
        heard.found.events.push(Event::Trade(trade));
        Ok(())
    })
}

/// At `time`, which is the whole message's.
fn tickers(event: &[u8], time: i64, received: i64, heard: &mut Heard) -> Result<(), Bad> {
    let event: Tickers = read(event)?;
    each(&event.tickers, |item| {
        let ticker: Ticker = read(item)?;
        heard.found.recorded.get_or_insert(time);
        heard.found.events.push(Event::Quote(Quote {
            venue: VENUE.to_owned(),
            symbol: format!("{VENUE}:{}", ticker.product_id),
            bid: Some(price("best_bid", ticker.best_bid)?),
            bid_quantity: ticker.best_bid_quantity.map(|text| quantity("best_bid_quantity", text)).transpose()?,
            ask: Some(price("best_ask", ticker.best_ask)?),
            ask_quantity: ticker.best_ask_quantity.map(|text| quantity("best_ask_quantity", text)).transpose()?,
            event_time: time,
            receive_time: Some(received),
        }));
        Ok(())
    })
}

fn trade(item: &[u8], received: i64, old: bool) -> Result<Trade, Bad> {
    let trade: messages::Trade = read(item)?;
    let side = match &*trade.side {
        "SELL" => Side::Buy,
        "BUY" => Side::Sell,
        other => return Err(Bad::new("unknown_side", format!("side `{other}` is neither BUY nor SELL"))),
    };
    Ok(Trade {
        venue: VENUE.to_owned(),
        symbol: format!("{VENUE}:{}", trade.product_id),
        trade_id: Some(id("trade_id", trade.trade_id)?),
        price: price("price", trade.price)?,
        quantity: quantity("size", trade.size)?,
        side: Some(side),
        conditions: Vec::new(),
        event_time: rfc3339("time", &trade.time)?,
        receive_time: Some(received),
        backfilled: old,
    })
}
