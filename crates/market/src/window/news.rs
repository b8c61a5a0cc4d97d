//! What the news of a symbol says, joined to its records: the mean of the scores of a span of time up to the window's end.
//!
//! In: scored news in the order of the partition, and records on their way out. Out: `sentiment` and `news_count` of a record.
//!
//! A record counts an item if it was published in `[window_end − span, window_end)`, *and* stands in the partition before the last
//! trade of the window. So the sentiment of a window is what was known at its last trade: a function of the partition's records, which
//! neither the clock nor speed, batches or restarts can change. The mean is weighted by relevance (1 where none is given), exact, and
//! rounded once.
//!
//! An item of an id that a symbol has is not counted again. What no window that is still to come can count is forgotten, with the next
//! news of the symbol; of more than [`MOST`] items the oldest are.

use std::collections::{BTreeMap, BTreeSet};

use crate::decimal::Decimal;
use crate::event;
use crate::metrics::{Metrics, Sentiment};
use crate::wide::Wide;

use super::bytes::{Reader, Short, Writer};

/// Items of one symbol: all of them are one value of the changelog, which must fit into a record.
const MOST: usize = 4_096;
/// The longest id that is kept as it is: more of it would not make it another.
const LONGEST_ID: usize = 64;

#[derive(Debug)]
struct Item {
    /// When it was published.
    time: i64,
    /// Where it stands in the partition.
    place: i64,
    id: Box<str>,
    score: Decimal,
    weight: Decimal,
}

/// The scored news of all symbols of one partition.
pub(crate) struct Newsroom {
    /// Nanoseconds; 0: nothing is joined.
    span: i64,
    /// In the order of their times.
    symbols: BTreeMap<Box<str>, Vec<Item>>,
    dirty: BTreeSet<Box<str>>,
}

impl Newsroom {
    pub fn new(span: i64) -> Self {
        Self { span: span.max(0), symbols: BTreeMap::new(), dirty: BTreeSet::new() }
    }

    /// Takes an item. Windows of its symbol that end at or before `over` are final; `None`: it has none.
    pub fn take(&mut self, news: &event::News, place: i64, over: Option<i64>) {
        let Some(score) = news.sentiment.filter(|_| self.span > 0) else { return };
        let mut end = news.news_id.len().min(LONGEST_ID);
        while !news.news_id.is_char_boundary(end) {
            end -= 1;
        }
        let id = &news.news_id[..end];
        let items = self.symbols.entry(news.symbol.as_str().into()).or_default();
        if items.iter().any(|item| *item.id == *id) {
            return;
        }
        let weight = news.relevance.unwrap_or(Decimal::ONE);
        let item = Item { time: news.event_time, place, id: id.into(), score, weight };
        items.insert(items.partition_point(|other| (other.time, other.place) < (item.time, item.place)), item);
        let newest = items.last().map_or(i64::MIN, |item| item.time);
        let oldest = over.unwrap_or(newest).saturating_sub(self.span);
        let old = items.partition_point(|item| item.time < oldest);
        items.drain(..old.max(items.len().saturating_sub(MOST)));
        self.dirty.insert(news.symbol.as_str().into());
    }

    /// Gives records what they are to say.
    pub fn join(&self, records: &mut [Metrics]) {
        for metrics in records {
            let items = self.symbols.get(metrics.symbol.as_str());
            metrics.sentiment = items.and_then(|items| self.of(items, metrics.window_end, metrics.input.last_offset));
        }
    }

    fn of(&self, items: &[Item], end: i64, before: i64) -> Option<Sentiment> {
        let first = items.partition_point(|item| item.time < end.saturating_sub(self.span));
        let counted = items[first..].iter().take_while(|item| item.time < end).filter(|item| item.place < before);
        let (mut sum, mut weights, mut count) = (Some(Wide::ZERO), Some(Wide::ZERO), 0);
        for item in counted {
            sum = sum.and_then(|sum| sum.checked_add(Wide::product(item.score, item.weight)));
            weights = weights.and_then(|weights| weights.checked_add(Wide::of(item.weight)));
            count += 1;
        }
        (count > 0).then(|| Sentiment { mean: sum.zip(weights).and_then(|(sum, by)| sum.divide(by)), count })
    }

    /// Hands out what changed, by symbol.
    pub fn save(&mut self, version: u8, mut put: impl FnMut(&str, Option<&[u8]>)) {
        for symbol in std::mem::take(&mut self.dirty) {
            let mut w = Writer::default();
            w.byte(version);
            let items = self.symbols.get(&symbol).map(Vec::as_slice).unwrap_or_default();
            w.unsigned(items.len() as u128);
            for item in items {
                w.signed(item.time.into());
                w.signed(item.place.into());
                w.text(&item.id);
                w.signed(item.score.units());
                w.signed(item.weight.units());
            }
            put(&format!("{symbol}#news"), Some(&w.bytes));
        }
    }

    /// Takes back the news of a symbol; `None` takes it away again.
    pub fn restore(&mut self, symbol: &str, value: Option<&mut Reader<'_>>) -> Result<(), Short> {
        let Some(r) = value else {
            self.symbols.remove(symbol);
            return Ok(());
        };
        let mut items = Vec::new();
        for _ in 0..r.count()? {
            let (time, place) = (r.int()?, r.int()?);
            let id = r.text()?.into();
            let mut decimal = || Decimal::from_units(r.signed()?).ok_or(Short);
            items.push(Item { time, place, id, score: decimal()?, weight: decimal()? });
        }
        r.end()?;
        self.symbols.insert(symbol.into(), items);
        Ok(())
    }
}
