//! One symbol: its panes, its watermark, and which trades it takes.
//!
//! In: the trades of one symbol in the order of its partition, the caller's clock now and then. Out: records, and what to save.
//!
//! The watermark is the latest accepted event time minus the out-of-orderness; it only moves forward and belongs to the symbol, so
//! no symbol holds or hurries another. Against it a trade is one of three:
//!
//! - *in time* (not behind the watermark minus the lateness): it reaches every window that holds it, and its place in the order of
//!   trades is found exactly, since the trades around it are still kept one by one (the *tail*);
//! - *later*, but a long window is still open: that window takes it into all sums and extremes, though not into the path (TWAP,
//!   volatility), whose neighbours are gone; windows it missed are counted;
//! - *late*: no window takes it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::decimal::Decimal;
use crate::metrics::Metrics;

use super::cut::floor;
use super::fold::{Counts, Input, Outcome, Settings};
use super::gaps::{Gaps, Hole};
use super::pane::{Folded, Pane};
use super::path::{Order, Step, Tick};
use super::seen::{Id, Seen};
use super::tail::{self, Kept};
use super::trend::Trend;

mod amend;
mod bar;
mod carry;
mod close;
mod digest;
mod save;
mod trend;

use digest::Digest;
pub(crate) use save::{Key, OLDEST, Part, VERSION};

/// Before the first trade.
const NEVER: i64 = i64::MIN;

pub(crate) struct Book {
    pub symbol: Box<str>,
    /// Whose settings are its.
    pub shelf: usize,
    /// Names of venues; their places here are their numbers in `seen`.
    venues: Vec<Box<str>>,
    grids: Vec<Lane>,
    /// Trades that can still get a new neighbour, in order.
    tail: VecDeque<Kept>,
    /// The last trade that cannot.
    settled: Option<(i64, Decimal)>,
    /// The latest accepted event time.
    latest: i64,
    watermark: i64,
    /// What was final under other settings stays final.
    over: i64,
    /// The watermark up to which windows have been closed.
    fired: i64,
    /// The watermark at which a window next has to be closed: most trades only look at this.
    due: i64,
    /// What has been said about windows that are not over, by window and start.
    marks: BTreeMap<(usize, i64), Mark>,
    /// The final bars of each window, where averages are asked for.
    trends: Vec<Trend>,
    seen: Seen,
    /// Trades that were taken back, and corrections that were made.
    void: Seen,
    /// Times in which the venue's stream is known to be broken.
    gaps: Gaps,
    clock: Clock,
    saved: Saved,
    /// Waits in the fold's list of changed books.
    pub listed: bool,
    /// Waits in the fold's list of books to save.
    pub dirty: bool,
}

/// The panes of one grid.
#[derive(Default)]
struct Lane {
    /// In order of their start.
    panes: VecDeque<Pane>,
    /// The first event time this grid took: windows that began before it saw only a part of themselves.
    since: Option<i64>,
    /// The last trade of the panes that are gone, where empty windows are told.
    last: Option<Tick>,
}

/// What readers know of a window that may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    next_rev: u32,
    /// The version of the window's content that was told: [`Book::version`].
    version: u64,
    /// It was told as final, by the clock; and what was said then.
    by_clock: Option<Digest>,
}

/// The caller's clock, as far as this symbol has to remember it. A tick alone does not make the book dirty: after a restart a symbol
/// may be taken for active a little longer than it was, which delays a close by the clock and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Clock {
    /// A trade came since the last tick.
    fresh: bool,
    /// The tick that saw the last trade.
    active: i64,
    /// The tick that last emitted updates.
    updated: i64,
    /// Everything there is has been closed by the clock.
    at_rest: bool,
}

/// What the changelog holds of this book besides its panes and ids.
#[derive(Default)]
struct Saved {
    /// Stretches of the tail that were saved by themselves.
    slots: BTreeSet<i64>,
    /// Stretches that changed since.
    changed: BTreeSet<i64>,
    /// Stretches that are being restored.
    restored: BTreeMap<i64, Vec<Kept>>,
    /// Which there are, as the restored head says: others had been removed, which the reader may have missed.
    known: Option<BTreeSet<i64>>,
    /// Saved panes that are gone, as their keys name them.
    gone: Vec<String>,
}

impl Book {
    pub fn new(symbol: &str, shelf: usize, settings: &Settings) -> Self {
        Self {
            symbol: symbol.into(),
            shelf,
            venues: Vec::new(),
            grids: settings.layout.grids.iter().map(|_| Lane::default()).collect(),
            tail: VecDeque::new(),
            settled: None,
            latest: NEVER,
            watermark: NEVER,
            over: NEVER,
            fired: NEVER,
            due: i64::MAX,
            marks: BTreeMap::new(),
            trends: if settings.averages.is_empty() {
                Vec::new()
            } else {
                settings.layout.windows.iter().map(|_| Trend::new(&settings.averages)).collect()
            },
            seen: Seen::default(),
            void: Seen::default(),
            gaps: Gaps::default(),
            clock: Clock::default(),
            saved: Saved::default(),
            listed: false,
            dirty: false,
        }
    }

    pub fn watermark(&self) -> Option<i64> {
        (self.watermark != NEVER).then_some(self.watermark)
    }

    /// The event time before which everything is final.
    pub fn horizon(&self, settings: &Settings) -> i64 {
        self.watermark.saturating_sub(settings.lateness).max(self.over)
    }

    pub fn trade(
        &mut self,
        settings: &Settings,
        input: &Input<'_>,
        counts: &mut Counts,
        out: &mut Vec<Metrics>,
    ) -> Outcome {
        let identity = input.trade_id.map(|text| self.identity(input.venue, text));
        if let Some((venue, id)) = identity
            && self.seen.contains(venue, id)
        {
            self.note_duplicate(settings, input.event_time);
            return Outcome::Duplicate;
        }
        let tie = identity.and_then(|(_, id)| id.number()).unwrap_or(Order::NO_ID);
        let order = Order { time: input.event_time, tie, offset: input.offset };
        let folded = Folded::new(Tick { order, price: input.price.get() }, input, input.event_time < self.watermark);
        if input.event_time >= self.horizon(settings) {
            for grid in 0..self.grids.len() {
                self.add(settings, grid, &folded);
            }
            self.keep(settings, &folded, identity);
        } else if !self.add_late(settings, &folded, counts) {
            return Outcome::Late;
        }
        if let Some((venue, id)) = identity {
            counts.forgotten_ids += self.seen.insert(floor(input.event_time, settings.bucket), venue, id);
            id.number().into_iter().for_each(|number| self.gaps.came(number));
        }
        self.clock.fresh = true;
        self.clock.at_rest = false;
        if input.event_time > self.latest {
            self.latest = input.event_time;
            self.advance(settings, input.event_time.saturating_sub(settings.out_of_orderness), counts, out);
        }
        Outcome::Folded
    }

    fn identity(&mut self, venue: &str, id: &str) -> (u8, Id) {
        let number = match self.venues.iter().position(|v| **v == *venue) {
            Some(number) => number,
            None if self.venues.len() < usize::from(u8::MAX) => {
                self.venues.push(venue.into());
                self.venues.len() - 1
            }
            // More venues than there are numbers: the rest share the last, and their ids carry the name.
            None => return (u8::MAX, Id::new(&format!("{venue}\n{id}"))),
        };
        (number as u8, Id::new(id))
    }

    /// A duplicate is told in the records of its time, as long as there are any.
    fn note_duplicate(&mut self, settings: &Settings, time: i64) {
        for (grid, lane) in self.grids.iter_mut().enumerate() {
            let start = settings.layout.grids[grid].cut.floor(time);
            if let Some(pane) = lane.find(start) {
                pane.add_duplicate();
                self.clock.at_rest = false;
            }
        }
    }

    fn add(&mut self, settings: &Settings, grid: usize, folded: &Folded) {
        let make = |start| Pane::new(start, folded);
        self.place(settings, grid, folded.tick.order.time, |pane| pane.add(folded), make);
    }

    /// Adds to the pane of one grid that holds `time`, making it if need be.
    fn place(
        &mut self,
        settings: &Settings,
        grid: usize,
        time: i64,
        add: impl FnOnce(&mut Pane),
        make: impl FnOnce(i64) -> Pane,
    ) {
        let start = settings.layout.grids[grid].cut.floor(time);
        let lane = &mut self.grids[grid];
        if lane.since.is_none_or(|since| time < since) {
            lane.since = Some(time);
        }
        if let Some(pane) = lane.find(start) {
            add(pane);
            return;
        }
        let at = lane.panes.partition_point(|p| p.start < start);
        lane.panes.insert(at, make(start));
        self.due = self.due.min(self.next_due(settings, grid, start));
    }

    /// A trade behind the horizon: only grids with a window that is not final take it. Returns whether any does.
    fn add_late(&mut self, settings: &Settings, folded: &Folded, counts: &mut Counts) -> bool {
        let (time, horizon) = (folded.tick.order.time, self.horizon(settings));
        self.count_missed(settings, time, counts);
        // Nothing is due up to the watermark. What this trade makes of windows that ended before it is not told.
        self.fired = self.fired.max(self.watermark);
        let mut taken = false;
        for grid in 0..self.grids.len() {
            if settings.layout.last_end(grid, time) > horizon {
                self.add(settings, grid, folded);
                let pane = self.grids[grid].holding(time);
                pane.into_iter().for_each(|pane| pane.settle_late(folded.tick));
                taken = true;
            }
        }
        taken
    }

    /// Counts the windows of this time that are final.
    fn count_missed(&self, settings: &Settings, time: i64, counts: &mut Counts) {
        let horizon = self.horizon(settings);
        for (window, missed) in settings.layout.windows.iter().zip(&mut counts.late_for_window) {
            let (first, last) = (window.next_end(time), window.last_end(time).min(horizon));
            if first <= last {
                *missed += ((last - first) / window.slide) as u64 + 1;
            }
        }
    }

    fn keep(&mut self, settings: &Settings, folded: &Folded, id: Option<(u8, Id)>) {
        let Folded { tick, quantity, side, .. } = *folded;
        self.tail.insert(tail::place(&self.tail, tick.order), Kept { tick, quantity, side, id });
        if !self.saved.slots.is_empty() {
            self.saved.changed.insert(floor(tick.order.time, settings.slot));
        }
    }

    /// The stream of the venue was broken: windows of that time say so.
    pub fn gap(&mut self, settings: &Settings, hole: Hole) {
        let over = self.horizon(settings).saturating_sub(settings.layout.longest());
        self.gaps.add(hole, over, &self.seen);
        self.clock.at_rest = false;
    }

    /// Moves the watermark forward, settles what is behind it, and closes what is due.
    fn advance(&mut self, settings: &Settings, watermark: i64, counts: &mut Counts, out: &mut Vec<Metrics>) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        self.settle(self.horizon(settings));
        if watermark >= self.due {
            self.close(settings, counts, out);
        }
    }

    /// Gives the trades behind `horizon` their final place in the order.
    fn settle(&mut self, horizon: i64) {
        while let Some(Kept { tick, .. }) = self.tail.front() {
            let to = (tick.order.time, tick.price);
            if to.0 >= horizon {
                break;
            }
            let before = self.settled.unwrap_or(to);
            let step = Step::new(before, to);
            for lane in &mut self.grids {
                if let Some(pane) = lane.holding(to.0) {
                    pane.settle(*tick, before, &step);
                }
            }
            self.settled = Some(to);
            self.tail.pop_front();
        }
    }
}

impl Lane {
    /// The pane that starts at `start`: nearly always the last or the one before.
    fn find(&mut self, start: i64) -> Option<&mut Pane> {
        let at = self.panes.iter().rposition(|p| p.start <= start)?;
        let pane = &mut self.panes[at];
        (pane.start == start).then_some(pane)
    }

    /// The last pane that starts at or before `time`; for a trade that was folded, the pane it is in.
    fn holding(&mut self, time: i64) -> Option<&mut Pane> {
        let at = self.panes.iter().rposition(|p| p.start <= time)?;
        Some(&mut self.panes[at])
    }
}
