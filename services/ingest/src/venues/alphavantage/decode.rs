//! Answers of Alpha Vantage to events.

use std::collections::BTreeMap;

use market::{Bar, Decimal, Event, Interval, News, Price, Quantity, new_york_to_utc};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::VENUE;
use super::messages::{Article, MetaData, Quote, Row, Top};
use crate::sources::{self, Bad};
use crate::times;
use crate::venues::json::{digits, price, quantity, read};
use crate::venues::poll::{Ask, Page, Reach, Refusal, price_update};

/// When the exchanges of New York close, on their clocks.
const CLOSE_NS: i64 = 16 * 3_600_000_000_000;

fn of<'a>(top: &Top<'a>, key: &str) -> Result<&'a RawValue, Refusal> {
    let missing = || Refusal::Unread(Bad::new("missing_field", format!("the answer has no `{key}`")));
    top.get(key).copied().ok_or_else(missing)
}

/// Bars whose end has passed: the newest may still change.
pub fn bars(top: &Top, symbol: &str, interval: Interval, reach: Reach) -> Result<Page, Refusal> {
    let meta: MetaData = read(of(top, "Meta Data")?.get().as_bytes()).map_err(Refusal::Unread)?;
    if meta.zone != "US/Eastern" {
        let what = format!("times in the zone `{}`, only US/Eastern is known", sources::shown(meta.zone.as_bytes()));
        return Err(Refusal::Unread(Bad::new("bad_time", what)));
    }
    // By their times, which sort as texts.
    let rows = of(top, &format!("Time Series ({})", meta.interval))?;
    let rows: BTreeMap<String, &RawValue> = read(rows.get().as_bytes()).map_err(Refusal::Unread)?;
    let mut page = Page::default();
    for (time, row) in rows {
        match bar(&time, row, symbol, interval, reach.now) {
            Ok(bar) if bar.end <= reach.now => page.events.push(Event::Bar(bar)),
            Ok(_) => {}
            Err(bad) => page.bad.push((format!("{{\"{time}\":{row}}}").into_bytes(), bad)),
        }
    }
    if let (Some(newest), Some(Event::Bar(oldest))) = (reach.newest, page.events.first()) {
        // Reached back to, the newest that was taken is in the answer.
        page.gap = (oldest.start > newest).then(|| (newest.saturating_add(interval.ns()), oldest.start));
        page.gap = page.gap.filter(|(from, to)| from < to);
    }
    Ok(page)
}

fn bar(time: &str, row: &RawValue, symbol: &str, interval: Interval, received: i64) -> Result<Bar, Bad> {
    let row: Row = read(row.get().as_bytes())?;
    let local = times::rfc3339(time.as_bytes()).ok_or_else(|| Bad::time("the time of a row", time.as_bytes()))?;
    let start = new_york_to_utc(local);
    Ok(Bar {
        symbol: symbol.to_owned(),
        interval,
        start,
        end: start.saturating_add(interval.ns()),
        open: price("1. open", row.open)?,
        high: price("2. high", row.high)?,
        low: price("3. low", row.low)?,
        close: price("4. close", row.close)?,
        volume: quantity("5. volume", row.volume)?,
        extra: BTreeMap::new(),
        receive_time: Some(received),
    })
}

/// The last price, as a price update: there is no bid and no ask in it. Of its time only the day is said; it is taken for that of the
/// answer, but not for later than the close. The volume of the day tells one from the next.
pub fn quote(top: &Top, symbol: &str, received: i64) -> Result<Page, Refusal> {
    let text = of(top, "Global Quote")?.get();
    let fields: BTreeMap<String, &RawValue> = read(text.as_bytes()).map_err(Refusal::Unread)?;
    if fields.is_empty() {
        return Err(Refusal::Nothing(format!("it has no quote of `{symbol}`: is that its name there?")));
    }
    let mut page = Page::default();
    let update = read::<Quote>(text.as_bytes()).and_then(|quote| {
        let local = times::date(quote.day.as_bytes()).ok_or_else(|| Bad::time("the day", quote.day.as_bytes()))?;
        let price: Price = price("05. price", quote.price)?;
        let volume: Quantity = quantity("06. volume", quote.volume)?;
        let event_time = received.min(new_york_to_utc(local.saturating_add(CLOSE_NS)));
        let id = format!("{}-{volume}-{price}", quote.day);
        Ok(price_update(VENUE, symbol, id, price, event_time, received))
    });
    page.put(text.as_bytes(), update);
    Ok(page)
}

/// One event per item, for the symbol that was asked for, with the vendor's score for it.
pub fn news(top: &Top, ask: &Ask, received: i64, most: usize) -> Result<Page, Refusal> {
    let feed: Vec<&RawValue> = read(of(top, "feed")?.get().as_bytes()).map_err(Refusal::Unread)?;
    let mut page = Page { full: feed.len() >= most, ..Page::default() };
    for item in feed {
        let item = item.get().as_bytes();
        page.put(item, article(item, ask, received).map(Event::News));
    }
    Ok(page)
}

fn article(item: &[u8], ask: &Ask, received: i64) -> Result<News, Bad> {
    let article: Article = read(item)?;
    let published = article.time_published.as_bytes();
    let event_time = times::compact(published).ok_or_else(|| Bad::time("time_published", published))?;
    let of_ours = article.ticker_sentiment.iter().find(|ticker| ticker.ticker == ask.own_name);
    let score = |what: &str, value: &RawValue, least: &str| {
        let text = digits(value);
        let score = Decimal::parse(text).map_err(|error| sources::number(what, text, error))?;
        let bound = |text: &str| Decimal::parse(text.as_bytes()).expect("it is a number");
        if score < bound(least) || score > bound("1") {
            return Err(Bad::new("not_a_number", format!("{what} {score} is not from {least} to 1")));
        }
        Ok(score)
    };
    Ok(News {
        symbol: ask.symbol.clone(),
        // It gives no ids; the address is one, and is too long for one.
        news_id: Sha256::digest(article.url.as_bytes())[..8].iter().map(|byte| format!("{byte:02x}")).collect(),
        publisher: article.source.map(Into::into),
        headline: article.title.trim().to_owned(),
        summary: article.summary.map(Into::into),
        url: Some(article.url.clone().into_owned()),
        sentiment: of_ours.map(|of| score("ticker_sentiment_score", of.ticker_sentiment_score, "-1")).transpose()?,
        scored_by: of_ours.map(|_| "alphavantage".to_owned()),
        relevance: of_ours.map(|of| score("relevance_score", of.relevance_score, "0")).transpose()?,
        event_time,
        receive_time: Some(received),
    })
}
