//! A symbol whose trades have no sequence: while it was not served, anything may have happened.

use std::collections::{BTreeSet, VecDeque};

use market::{Gap, GapCause, Trade};

use super::{Saved, Verdict};

/// Ids that are remembered where trades have any: what a snapshot after a reconnect repeats.
const MOST_RECENT: usize = 4_096;
/// Of these, how many a checkpoint keeps.
const MOST_SAVED: usize = 256;

#[derive(Debug, Default)]
pub struct Breaks {
    /// The highest event time of a trade.
    time: Option<i64>,
    /// Since when it is served, by our clock; before that nothing can be missing.
    served_since: Option<i64>,
    /// It is served now, and known to be.
    served: bool,
    /// The stream is broken since this event time.
    broken: Option<(i64, GapCause)>,
    /// It is served again since then, by our clock.
    restored: Option<i64>,
    /// Nobody wants it at the moment. Where its gap ends is seen when it comes back.
    left: bool,
    recent: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Breaks {
    /// What happens now has event times that are `prompt` ahead of our clock. `unsure`: of a venue that does not say when it serves.
    pub fn take(&mut self, trade: &Trade, now: i64, prompt: i64, unsure: bool, gaps: &mut Vec<Gap>) -> Verdict {
        if let Some(id) = &trade.trade_id {
            if self.recent.contains(id) {
                return Verdict::Duplicate;
            }
            self.remember(id.clone());
        }
        if trade.backfilled {
            // A snapshot. Whether it is all that was missed nobody says: the gap stays one.
            let first = self.time.is_none() && self.broken.is_none();
            if first || self.time.is_some_and(|time| trade.event_time < time) {
                return Verdict::Before;
            }
            return Verdict::Take;
        }
        if let Some((from, cause)) = self.broken.take() {
            // A trade that is reported late shows that the symbol is served, but not since its own time.
            let served = self.restored.filter(|_| !unsure).unwrap_or(now).saturating_add(prompt);
            gaps.push(gap(&trade.symbol, from, trade.event_time.max(served), cause, now));
            self.restored = None;
        }
        self.time = Some(self.time.map_or(trade.event_time, |time| time.max(trade.event_time)));
        Verdict::Take
    }

    pub fn written(&mut self, trade: &Trade) {
        if let Some(id) = &trade.trade_id {
            self.remember(id.clone());
        }
        self.time = Some(self.time.map_or(trade.event_time, |time| time.max(trade.event_time)));
    }

    fn remember(&mut self, id: String) {
        if !self.recent.insert(id.clone()) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > MOST_RECENT
            && let Some(oldest) = self.order.pop_front()
        {
            self.recent.remove(&oldest);
        }
    }

    pub fn left(&mut self) {
        self.left = true;
    }

    pub fn covered(&mut self, now: i64) {
        self.left = false;
        self.served = true;
        self.served_since.get_or_insert(now);
        if self.broken.is_some() {
            self.restored = Some(now);
        }
    }

    pub fn interrupted(&mut self, cause: GapCause) {
        self.served = false;
        self.restored = None;
        if self.broken.is_none()
            && let Some(from) = self.time.or(self.served_since)
        {
            self.broken = Some((from, cause));
        }
    }

    /// Something was lost. Where it is not known to be served, what is lost may go on.
    pub fn missed(&mut self, now: i64) {
        let served = self.served;
        self.interrupted(GapCause::Sequence);
        if served {
            self.covered(now);
        }
    }

    /// Says a gap whose end no trade has shown. It is served again since `restored` of our clock, of which the venue's may
    /// be `ahead`, or behind with serving: what came after is here.
    pub fn tick(&mut self, symbol: &str, now: i64, quiet: i64, ahead: i64, gaps: &mut Vec<Gap>) -> i64 {
        let (Some((from, cause)), Some(restored)) = (self.broken, self.restored) else { return i64::MAX };
        let due = restored.saturating_add(quiet);
        if now < due {
            return due;
        }
        gaps.push(gap(symbol, from, restored.saturating_add(ahead), cause, now));
        (self.broken, self.restored) = (None, None);
        i64::MAX
    }

    pub fn close(&mut self, symbol: &str, now: i64, unsure: i64, ahead: i64, gaps: &mut Vec<Gap>) {
        if let Some((from, cause)) = self.broken.take_if(|_| !self.left) {
            let end = self.restored.map_or(now, |restored| restored.saturating_add(unsure).min(now));
            gaps.push(gap(symbol, from, end.saturating_add(ahead), cause, now));
        }
    }

    pub fn save(&self) -> Option<Saved> {
        let recent = self.order.iter().skip(self.order.len().saturating_sub(MOST_SAVED)).cloned().collect();
        Some(Saved { time: self.time?, recent, ..Saved::default() })
    }

    pub fn restored(saved: &Saved) -> Self {
        Breaks {
            time: Some(saved.time),
            broken: Some((saved.time, GapCause::Restart)),
            recent: saved.recent.iter().cloned().collect(),
            order: saved.recent.iter().cloned().collect(),
            ..Breaks::default()
        }
    }
}

fn gap(symbol: &str, from: i64, to: i64, cause: GapCause, now: i64) -> Gap {
    Gap {
        symbol: symbol.to_owned(),
        from,
        to: to.max(from),
        cause,
        first_missing: None,
        last_missing: None,
        receive_time: Some(now),
    }
}
