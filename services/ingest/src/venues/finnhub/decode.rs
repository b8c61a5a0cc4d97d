//! Frames of Finnhub to events.
//!
//! One frame may hold many trades of several symbols, equal ones among them: each is a trade of its own.

use market::{Event, News, Trade};

use super::messages::{self, Message};
use crate::lexicon;
use crate::sources::{Bad, shown};
use crate::times;
use crate::venues::json::{conditions, digits, each, id, millis, price, quantity, read};
use crate::venues::{Heard, Said};

pub const VENUE: &str = "FINNHUB";

pub fn hear(frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
    let message: Message = read(frame)?;
    match &*message.kind {
        "trade" => each(&message.data.unwrap_or_default(), |item| {
            let trade = trade(item, received)?;
            heard.found.recorded.get_or_insert(trade.event_time);
            heard.found.events.push(Event::Trade(trade));
            Ok(())
        }),
        "news" => each(&message.data.unwrap_or_default(), |item| news(item, received, heard)),
        "ping" => heard.found.ignore("ping"),
        "error" => {
            let reason = message.msg.map_or_else(|| shown(frame), |text| text.into_owned());
            let lower = reason.to_ascii_lowercase();
            let said = if lower.contains("api key") || lower.contains("token") {
                Said::KeyRefused(reason)
            } else if lower.contains("limit") {
                Said::TooFast(reason)
            } else {
                Said::Refused { own_name: None, request: None, reason }
            };
            heard.say("refusal", said)
        }
        _ => heard.found.ignore("other"),
    }
}

fn trade(item: &[u8], received: i64) -> Result<Trade, Bad> {
    let trade: messages::Trade = read(item)?;
    Ok(Trade {
        venue: VENUE.to_owned(),
        symbol: trade.s.into_owned(),
        trade_id: None,
        price: price("p", trade.p)?,
        quantity: quantity("v", trade.v)?,
        side: None,
        conditions: conditions(trade.c),
        event_time: millis("t", trade.t)?,
        receive_time: Some(received),
        backfilled: false,
    })
}

/// One event per symbol that the item is about.
fn news(text: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
    let news: messages::News = read(text)?;
    for symbol in news.related.split(',').map(str::trim).filter(|symbol| !symbol.is_empty()) {
        let event = item(&news, symbol, received)?;
        heard.found.recorded.get_or_insert(event.event_time);
        heard.found.events.push(Event::News(event));
    }
    if heard.found.events.is_empty() { heard.found.ignore("other") } else { Ok(()) }
}

/// The item as news of one symbol.
pub fn item(item: &messages::News, symbol: &str, received: i64) -> Result<News, Bad> {
    let time = digits(item.datetime);
    let sentiment = Some(lexicon::score(&item.headline, item.summary.as_deref()));
    Ok(News {
        symbol: symbol.to_owned(),
        news_id: id("id", item.id)?,
        publisher: item.source.as_deref().map(str::to_owned),
        headline: item.headline.to_string(),
        summary: item.summary.as_deref().map(str::to_owned),
        url: item.url.as_deref().map(str::to_owned),
        sentiment,
        scored_by: Some(lexicon::NAME.to_owned()),
        relevance: None,
        event_time: times::count(time, 1_000_000_000).ok_or_else(|| Bad::time("datetime", time))?,
        receive_time: Some(received),
    })
}
