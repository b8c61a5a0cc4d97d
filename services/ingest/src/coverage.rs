//! What has come of each symbol, and what has not: says a gap where something is missing, and takes nothing twice.
//!
//! Where the trades of a symbol have consecutive ids ([`ids`]), what is missing is known exactly, and a disconnect in which
//! nothing was traded is no gap. Elsewhere ([`breaks`]) every disconnect is one, from the last trade before it to the first
//! after it. Trades are told apart by their ids, never by their values: equal trades may all be real.
//!
//! Pure: times are given. It serves twice: for what comes from the venue, to decide; and for what is in Kafka, so that a
//! restart knows where it stood ([`Coverage::take_saved`]).
//!
//! **Invariant:** an id between the first and the last of a symbol has been taken, or is missing and will be said to be,
//! or has been said to be missing.

mod breaks;
mod ids;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use market::{Gap, GapCause, Trade};
use serde::{Deserialize, Serialize};

use self::breaks::Breaks;
use self::ids::Ids;
use crate::venues::Continuity;

/// What is to be done with a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Take,
    /// It has been taken before.
    Duplicate,
    /// It is of the time before this symbol was first subscribed.
    Before,
}

/// How long to wait for what may still come, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For an id that was passed over: messages may overtake one another.
    pub reorder_ns: i64,
    /// For the first trade after a disconnect, which tells where the gap ends.
    pub quiet_ns: i64,
    /// How long after it was asked for a symbol may not yet be served, where the venue does not say that it is.
    pub unsure_ns: i64,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { reorder_ns: 1_000_000_000, quiet_ns: 5_000_000_000, unsure_ns: 0 }
    }
}

/// What is known of one symbol, as it is kept in a checkpoint. Fields may be added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The highest event time.
    pub time: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub low: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub high: Option<u64>,
    /// First and last id, and the event times around them, of what is missing and has not been said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<(u64, u64, i64, i64)>,
    /// First and last id of what has been said to be missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<(u64, u64)>,
    /// First and last id of what only the first snapshot held.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<(u64, u64)>,
    /// The latest ids, where they are no sequence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<String>,
}

enum Track {
    Ids(Ids),
    Breaks(Breaks),
}

pub struct Coverage {
    continuity: Continuity,
    patience: Patience,
    tracks: BTreeMap<String, Track>,
    /// How far event times have been seen to be ahead of our clock at most: below zero where the venue is slow, or delays
    /// what it sends on purpose.
    ahead: Option<i64>,
    /// When something is due.
    due: i64,
}

impl Coverage {
    pub fn new(continuity: Continuity, patience: Patience) -> Self {
        Coverage { continuity, patience, tracks: BTreeMap::new(), ahead: None, due: i64::MAX }
    }

    fn track(&mut self, symbol: &str) -> &mut Track {
        if !self.tracks.contains_key(symbol) {
            let track = match self.continuity {
                Continuity::Ids => Track::Ids(Ids::default()),
                Continuity::Connection | Continuity::Nothing => Track::Breaks(Breaks::default()),
            };
            self.tracks.insert(symbol.to_owned(), track);
        }
        self.tracks.get_mut(symbol).expect("it was put there")
    }

    /// How far the venue's clock may be ahead of ours.
    fn ahead(&self) -> i64 {
        self.ahead.map_or(0, |ahead| ahead.max(0))
    }

    /// What happens now has event times that are so far ahead of our clock, or a little less: far below zero where a feed is
    /// delayed by minutes. A usual latency makes no difference.
    fn prompt(&self) -> i64 {
        let seen = self.ahead.map_or(0, |ahead| ahead.saturating_add(self.patience.reorder_ns));
        seen.min(self.ahead())
    }

    /// A trade has come. Gaps that it ends are added before it; it is marked as back-filled if it fills one that was said.
    pub fn trade(&mut self, trade: &mut Trade, now: i64, gaps: &mut Vec<Gap>) -> Verdict {
        let (prompt, unsure) = (self.prompt(), self.patience.unsure_ns > 0);
        if !trade.backfilled {
            self.ahead = self.ahead.max(Some(trade.event_time.saturating_sub(now)));
        }
        let due = now.saturating_add(self.patience.reorder_ns);
        let verdict = match self.track(&trade.symbol) {
            Track::Ids(ids) => match trade.trade_id.as_deref().and_then(|id| id.parse().ok()) {
                Some(id) => {
                    let (verdict, heals) = ids.take(id, trade.event_time, due, trade.backfilled);
                    trade.backfilled |= heals;
                    verdict
                }
                // An id that is no number says nothing: the trade is all there is.
                None => Verdict::Take,
            },
            Track::Breaks(breaks) => breaks.take(trade, now, prompt, unsure, gaps),
        };
        self.due = self.due.min(due);
        verdict
    }

    /// The venue has given this id to something that is no trade of the market.
    pub fn used(&mut self, symbol: &str, id: u64, time: i64, now: i64) {
        let due = now.saturating_add(self.patience.reorder_ns);
        if let Track::Ids(ids) = self.track(symbol) {
            ids.take(id, time, due, false);
            self.due = self.due.min(due);
        }
    }

    /// The venue says that it has given ids up to this one.
    pub fn last_id(&mut self, symbol: &str, id: u64, time: i64, now: i64) {
        let due = now.saturating_add(self.patience.reorder_ns);
        if let Track::Ids(ids) = self.track(symbol) {
            ids.told(id, time, due);
            self.due = self.due.min(due);
        }
    }

    /// The symbol is served from now on.
    pub fn covered(&mut self, symbol: &str, now: i64) {
        let due = now.saturating_add(self.patience.quiet_ns);
        if let Track::Breaks(breaks) = self.track(symbol) {
            breaks.covered(now);
            self.due = self.due.min(due);
        }
    }

    /// The symbol is not served any more.
    pub fn uncovered(&mut self, symbol: &str, cause: GapCause) {
        match self.track(symbol) {
            Track::Ids(ids) => ids.interrupted(cause),
            Track::Breaks(breaks) => breaks.interrupted(cause),
        }
    }

    /// Nobody wants the symbol any more: what comes of it is missed by nobody, until it is served again.
    pub fn left(&mut self, symbol: &str) {
        if let Track::Breaks(breaks) = self.track(symbol) {
            breaks.left();
        }
    }

    /// Something of the symbol was lost on a link that serves it, or was asked to.
    pub fn missed(&mut self, symbol: &str, now: i64) {
        let due = now.saturating_add(self.patience.quiet_ns);
        if let Track::Breaks(breaks) = self.track(symbol) {
            breaks.missed(now);
            self.due = self.due.min(due);
        }
    }

    /// Says what has been waited for long enough.
    pub fn tick(&mut self, now: i64, gaps: &mut Vec<Gap>) {
        if now < self.due {
            return;
        }
        self.due = i64::MAX;
        let (quiet, ahead) = (self.patience.quiet_ns, self.ahead().saturating_add(self.patience.unsure_ns));
        for (symbol, track) in &mut self.tracks {
            let due = match track {
                Track::Ids(ids) => ids.tick(symbol, now, now, gaps),
                Track::Breaks(breaks) => breaks.tick(symbol, now, quiet, ahead, gaps),
            };
            self.due = self.due.min(due);
        }
    }

    /// When [`Coverage::tick`] has something to do.
    pub fn due(&self) -> i64 {
        self.due
    }

    /// Nothing more will come: says all that is missing.
    pub fn close(&mut self, now: i64, gaps: &mut Vec<Gap>) {
        let (unsure, ahead) = (self.patience.unsure_ns, self.ahead());
        for (symbol, track) in &mut self.tracks {
            match track {
                Track::Ids(ids) => drop(ids.tick(symbol, i64::MAX, now, gaps)),
                Track::Breaks(breaks) => breaks.close(symbol, now, unsure, ahead, gaps),
            }
        }
    }

    /// A trade was written. It may have come with a snapshot: it is in Kafka all the same.
    pub fn written(&mut self, trade: &Trade) {
        match self.track(&trade.symbol) {
            Track::Ids(ids) => {
                if let Some(id) = trade.trade_id.as_deref().and_then(|id| id.parse().ok()) {
                    ids.take(id, trade.event_time, i64::MAX, false);
                }
            }
            Track::Breaks(breaks) => breaks.written(trade),
        }
    }

    /// A gap was written: what it names needs not be said again.
    pub fn said(&mut self, gap: &Gap) {
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        if let Track::Ids(ids) = self.track(&gap.symbol)
            && let (Some(first), Some(last)) = (number(&gap.first_missing), number(&gap.last_missing))
        {
            ids.said(first, last, gap.to);
        }
    }

    /// What a restart must know.
    pub fn save(&self) -> BTreeMap<String, Saved> {
        let save = |track: &Track| match track {
            Track::Ids(ids) => ids.save(),
            Track::Breaks(breaks) => breaks.save(),
        };
        let saved = self.tracks.iter().filter_map(|(symbol, track)| Some((symbol.clone(), save(track)?)));
        saved.collect()
    }

    /// Goes on where an earlier process stopped: all that came since is missing, for the cause `restart`.
    pub fn take_saved(&mut self, saved: &BTreeMap<String, Saved>) {
        for (symbol, saved) in saved {
            let track = match self.continuity {
                Continuity::Ids => Track::Ids(Ids::restored(saved)),
                Continuity::Connection | Continuity::Nothing => Track::Breaks(Breaks::restored(saved)),
            };
            self.tracks.insert(symbol.clone(), track);
        }
        self.due = i64::MIN;
    }
}
