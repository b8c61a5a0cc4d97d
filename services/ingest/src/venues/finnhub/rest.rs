//! Finnhub by REST: the last price of a symbol, and the news of a company.
//!
//! The key goes in a header. A symbol that it does not know is answered with zeros.

use market::{Event, time};
use serde_json::value::RawValue;

use super::decode::{VENUE, item};
use super::messages;
use crate::sources::Bad;
use crate::times;
use crate::venues::Rate;
use crate::venues::json::{digits, price, read};
use crate::venues::limits::{MINUTE, SECOND};
use crate::venues::poll::{Ask, Page, Poll, PollLimits, Reach, Refusal, Request, price_update, quoted};

/// Of the free key; the second holds for every plan.
const LIMITS: PollLimits = PollLimits {
    name: "finnhub_rest",
    address: "https://finnhub.io",
    keys_of: "finnhub",
    symbols: &["AAPL", "GOOGL", "MSFT", "TSLA"],
    reads: &["quote", "news"],
    rates: &[Rate::new(60, MINUTE), Rate::new(30, SECOND)],
    every: MINUTE,
};

/// News that is published late is looked for so far back.
const OVERLAP_NS: i64 = 86_400_000_000_000;

pub struct FinnhubRest;

impl Poll for FinnhubRest {
    fn limits(&self) -> &'static PollLimits {
        &LIMITS
    }

    /// Its symbols pass as they are.
    fn own_name(&self, symbol: &str) -> Option<String> {
        market::symbol::is_valid(symbol).then(|| symbol.to_owned())
    }

    fn request(&self, ask: &Ask, reach: Reach, key: &str) -> Request {
        let name = quoted(&ask.own_name);
        let path = if ask.what == "quote" {
            format!("/api/v1/quote?symbol={name}")
        } else {
            // By days, and whole: what is more than it gives at once is of an older day.
            let day = |ns: i64| time::rfc3339(ns)[..10].to_owned();
            let from = day(reach.newest.unwrap_or(reach.now).saturating_sub(OVERLAP_NS));
            format!("/api/v1/company-news?symbol={name}&from={from}&to={}", day(reach.now))
        };
        Request { path, header: Some(("x-finnhub-token", key.to_owned())) }
    }

    fn read(&self, ask: &Ask, reach: Reach, answer: &[u8]) -> Result<Page, Refusal> {
        if ask.what == "quote" { quote(ask, reach.now, answer) } else { news(ask, reach.now, answer) }
    }
}

/// The last price, as a price update: there is no bid and no ask in it.
fn quote(ask: &Ask, received: i64, answer: &[u8]) -> Result<Page, Refusal> {
    let quote: messages::Quote = read(answer).map_err(Refusal::Unread)?;
    if digits(quote.t) == b"0" {
        return Err(Refusal::Nothing(format!("it has no quote of `{}`: is that its name there?", ask.own_name)));
    }
    let update = (|| {
        let price = price("c", quote.c)?;
        let seconds = digits(quote.t);
        let event_time = times::count(seconds, 1_000_000_000).ok_or_else(|| Bad::time("t", seconds))?;
        let id = format!("quote-{}-{price}", String::from_utf8_lossy(seconds));
        Ok(price_update(VENUE, &ask.symbol, id, price, event_time, received))
    })();
    let mut page = Page::default();
    page.put(answer, update);
    Ok(page)
}

/// One event per item, for the symbol that was asked for.
fn news(ask: &Ask, received: i64, answer: &[u8]) -> Result<Page, Refusal> {
    let items: Vec<&RawValue> = read(answer).map_err(Refusal::Unread)?;
    let mut page = Page::default();
    for text in items.iter().map(|item| item.get().as_bytes()) {
        page.put(text, read(text).and_then(|news| item(&news, &ask.symbol, received)).map(Event::News));
    }
    page.events.sort_by_key(|event| event.event_time());
    Ok(page)
}
