//! What of a polled venue has been taken: an answer repeats most of the one before, and each of its items is taken once.
//!
//! Bars are told by their start, quotes and news by their ids. What is older than the newest of its stream is new only while its
//! kind may come late (news does), and not among what was taken. It serves twice, as [`crate::coverage`] does: for what comes, to
//! decide; and for what is in Kafka, so that a restart knows what it has.
//!
//! **Invariant:** what was taken is not new again, and no more is kept than the ids of [`LATE_NEWS_NS`].

use std::collections::{BTreeMap, VecDeque};

use market::Event;
use serde::{Deserialize, Serialize};

/// How long after newer items one may still come for the first time. More than a venue is asked to reach back.
const LATE_NEWS_NS: i64 = 3 * 86_400_000_000_000;
/// Items that could not be read are remembered so many at a time.
const BAD: usize = 1_000;

/// Fields may be added, never renamed: a checkpoint holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Taken {
    /// By kind and symbol, as in `news AAPL` or `bar 1m AAPL`.
    streams: BTreeMap<String, Stream>,
    /// Hashes of what could not be read, oldest first.
    bad: VecDeque<u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Stream {
    newest: i64,
    /// Times by id, of what is no older than may come late.
    ids: BTreeMap<String, i64>,
}

/// Stream, id, time, and how late others of its kind may come. `None` for what is not polled.
fn identity(event: &Event) -> Option<(String, String, i64, i64)> {
    Some(match event {
        Event::Bar(bar) => (format!("bar {} {}", bar.interval, bar.symbol), bar.start.to_string(), bar.start, 0),
        Event::News(news) => (format!("news {}", news.symbol), news.news_id.clone(), news.event_time, LATE_NEWS_NS),
        Event::Trade(trade) => (format!("quote {}", trade.symbol), trade.trade_id.clone()?, trade.event_time, 0),
        _ => return None,
    })
}

impl Taken {
    pub fn is_empty(&self) -> bool {
        *self == Taken::default()
    }

    pub fn is_new(&self, event: &Event) -> bool {
        let Some((stream, id, time, late)) = identity(event) else { return true };
        let Some(stream) = self.streams.get(&stream) else { return true };
        !stream.ids.contains_key(&id) && time >= stream.newest.saturating_sub(late)
    }

    /// It is taken from now on.
    pub fn note(&mut self, event: &Event) {
        if let Event::Gap(gap) = event {
            return self.said(&gap.symbol, gap.to);
        }
        let Some((stream, id, time, late)) = identity(event) else { return };
        let stream = self.streams.entry(stream).or_insert_with(|| Stream { newest: i64::MIN, ..Stream::default() });
        // A time in the future would hide all that follows.
        stream.newest = stream.newest.max(event.receive_time().map_or(time, |received| time.min(received)));
        stream.ids.insert(id, time);
        let oldest = stream.newest.saturating_sub(late);
        stream.ids.retain(|_, time| *time >= oldest);
    }

    /// What lies before this time was said to be missing. Only bars have gaps.
    fn said(&mut self, symbol: &str, to: i64) {
        for (name, stream) in &mut self.streams {
            let of = name.strip_prefix("bar ").and_then(|rest| rest.split_once(' '));
            if of.is_some_and(|(_, of)| of == symbol) {
                stream.newest = stream.newest.max(to.saturating_sub(1));
            }
        }
    }

    /// Whether this text, which cannot be read, comes for the first time; from now on it does not.
    pub fn note_bad(&mut self, text: &[u8]) -> bool {
        // FNV-1a: the same in every version, as it is kept.
        let hash = text
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        if self.bad.contains(&hash) {
            return false;
        }
        if self.bad.len() == BAD {
            self.bad.pop_front();
        }
        self.bad.push_back(hash);
        true
    }

    /// The time of the newest: of bars its start.
    pub fn newest(&self, stream: &str) -> Option<i64> {
        self.streams.get(stream).map(|stream| stream.newest)
    }
}

#[cfg(test)]
mod tests;
