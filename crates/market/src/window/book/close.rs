//! When windows are told to readers: closed, final, revised, updated.
//!
//! By event time everything is decided at the trade that moves the watermark, so it does not depend on batches or on a clock. The
//! clock only closes what waits for trades that may never come, and sends updates and revisions no more often than asked.

use super::trend::Walk;
use super::{Book, Digest, Mark, NEVER, Pane};
use crate::metrics::{ClosedBy, Metrics};
use crate::window::fold::{Counts, Emit, Moment, Settings};
use crate::window::gaps::State;
use crate::window::record;

/// A window to tell: its end first, so that sorting gives the order of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    end: i64,
    window: usize,
    is_final: bool,
}

impl Book {
    /// The next watermark at which a window that holds the pane at `start` has to be told.
    pub(super) fn next_due(&self, settings: &Settings, grid: usize, start: i64) -> i64 {
        let windows = settings.layout.windows.iter().filter(|w| w.grid == grid);
        let dues = windows.map(|w| {
            let by_close = w.next_end(start.max(self.fired));
            let by_finality = w.next_end(start.max(self.fired.saturating_sub(settings.lateness)));
            by_close.min(by_finality.saturating_add(settings.lateness))
        });
        dues.min().unwrap_or(i64::MAX)
    }

    /// Tells every window whose end, or end plus lateness, the watermark has passed since the last call; drops what is over.
    pub(super) fn close(&mut self, settings: &Settings, counts: &mut Counts, out: &mut Vec<Metrics>) {
        let (from, to) = (self.fired, self.watermark);
        let lateness = settings.lateness;
        let horizon = to.saturating_sub(lateness);
        let mut events = Vec::new();
        for window in 0..settings.layout.windows.len() {
            let ends = |after, upto, events: &mut Vec<Event>, is_final| {
                self.windows_ending(settings, window, after, upto, |end| events.push(Event { end, window, is_final }));
            };
            let over = from.saturating_sub(lateness);
            ends(over, horizon, &mut events, true);
            if settings.carries {
                self.empty_windows(settings, window, (over, horizon), counts, |end| {
                    events.push(Event { end, window, is_final: true });
                });
            }
            // A window that is final at once is told once.
            if lateness > 0 && settings.emit != Emit::OnUpdate {
                ends(from.max(horizon), to, &mut events, false);
            }
        }
        events.sort_unstable();
        self.fired = to;
        let mut walk = Walk::default();
        for event in events {
            let start = settings.layout.windows[event.window].start_of(event.end);
            let version = self.version(settings, &mut walk, event.window, start);
            let mark = self.marks.get(&(event.window, start)).copied();
            let told = mark.is_some_and(|m| m.by_clock.is_some() && m.version == version);
            if !told {
                self.tell(settings, &mut walk, event, Some(ClosedBy::EventTime), out);
            }
            if event.is_final {
                self.marks.remove(&(event.window, start));
                self.take_up(settings, event.window, event.end);
            }
        }
        self.drop_over(settings);
    }

    /// Drops panes and ids no window needs any more, and finds the next due time.
    pub(super) fn drop_over(&mut self, settings: &Settings) {
        let horizon = self.horizon(settings);
        for grid in 0..self.grids.len() {
            let lane = &mut self.grids[grid];
            while lane.panes.front().is_some_and(|p| settings.layout.last_end(grid, p.start) <= horizon) {
                let pane = lane.panes.pop_front().expect("the loop has just looked at it");
                if settings.carries {
                    lane.last = pane.sums.edges.map(|edges| edges.close).or(lane.last);
                }
                if pane.saved {
                    self.saved.gone.push(format!("pane/{}/{}", settings.layout.grids[grid].name, pane.start));
                }
            }
        }
        let grids = 0..settings.layout.grids.len();
        // The last instant of a bucket decides: as long as a window can take it, its copies must be known.
        let last = |start: i64| start.saturating_add(settings.bucket - 1);
        for ids in [&mut self.seen, &mut self.void] {
            ids.drop_while(|start| grids.clone().all(|grid| settings.layout.last_end(grid, last(start)) <= horizon));
        }
        let first = self.grids.iter().enumerate().filter_map(|(grid, lane)| Some((grid, lane.panes.front()?.start)));
        self.due = first.map(|(grid, start)| self.next_due(settings, grid, start)).min().unwrap_or(i64::MAX);
        if settings.carries && self.fired != NEVER {
            let over = self.fired.saturating_sub(settings.lateness);
            let ends = settings.layout.windows.iter().map(|w| w.next_end(over));
            self.due = self.due.min(ends.min().unwrap_or(i64::MAX).saturating_add(settings.lateness));
        }
    }

    /// Calls `each` with the end of every window that has trades and ends in `(after, upto]`, earliest first, until it has had
    /// enough of them.
    pub(super) fn windows_ending(
        &self,
        settings: &Settings,
        window: usize,
        after: i64,
        upto: i64,
        mut each: impl FnMut(i64),
    ) {
        self.try_windows_ending(settings, window, after, upto, |end| {
            each(end);
            true
        });
    }

    fn try_windows_ending(
        &self,
        settings: &Settings,
        window: usize,
        after: i64,
        upto: i64,
        mut more: impl FnMut(i64) -> bool,
    ) {
        let window = &settings.layout.windows[window];
        let panes = &self.grids[window.grid].panes;
        let mut end = window.next_end(after);
        while end <= upto {
            let start = window.start_of(end);
            let first = panes.partition_point(|p| p.start < start);
            match panes.get(first) {
                None => return,
                // Nothing in this window: on to the first that holds the next pane.
                Some(pane) if pane.start >= end => end = window.next_end(pane.start),
                Some(_) if !more(end) => return,
                Some(_) => end = window.next_end(end),
            }
        }
    }

    pub(super) fn panes(&self, settings: &Settings, window: usize, start: i64) -> impl Iterator<Item = &Pane> {
        let window = &settings.layout.windows[window];
        let panes = &self.grids[window.grid].panes;
        let end = window.end_of(start);
        let from = panes.partition_point(|p| p.start < start);
        let to = panes.partition_point(|p| p.start < end);
        panes.range(from..to)
    }

    /// Equal for a window exactly as long as its record would be.
    fn version(&self, settings: &Settings, walk: &mut Walk, window: usize, start: i64) -> u64 {
        let panes: u64 = self.panes(settings, window, start).map(|p| p.version).sum();
        let coverage = self.coverage(settings, window, start);
        let gap = match coverage.gaps {
            State::Whole => 0,
            State::Broken => 1,
            State::Healed => 2,
        };
        let own = panes << 3 | u64::from(coverage.partial) << 2 | gap;
        own.wrapping_add(self.averages_version(settings, walk, window, start))
    }

    fn coverage(&self, settings: &Settings, window: usize, start: i64) -> record::Coverage {
        let window = &settings.layout.windows[window];
        let end = window.end_of(start);
        record::Coverage {
            partial: self.grids[window.grid].since.is_some_and(|since| start < since),
            gaps: self.gaps.state(start, end),
        }
    }

    /// Emits the record of a window as it stands, and remembers that it did. What was told as final by the clock is not told
    /// again where it would say the same: a version grows with more than a record shows.
    fn tell(
        &mut self,
        settings: &Settings,
        walk: &mut Walk,
        Event { end, window, is_final }: Event,
        closed_by: Option<ClosedBy>,
        out: &mut Vec<Metrics>,
    ) {
        let start = settings.layout.windows[window].start_of(end);
        let mark = self.marks.get(&(window, start)).copied();
        let next_rev = mark.map_or(0, |m| m.next_rev);
        let told = record::Told { rev: next_rev, is_final, closed_by };
        let coverage = self.coverage(settings, window, start);
        let mut panes = self.panes(settings, window, start);
        let Some(first) = panes.next() else {
            let last = self.last_before(settings.layout.windows[window].grid, start);
            let place = record::Place { symbol: &self.symbol, window, start, coverage };
            let averages = self.averages(settings, walk, window, end);
            out.extend(last.map(|last| Metrics { averages, ..record::carried(settings, &place, &last, told) }));
            return;
        };
        let (mut sums, mut path) = (first.sums.clone(), first.path.clone());
        for pane in panes {
            sums.join(&pane.sums);
            path.join(&pane.path);
        }
        let unsettled = self.tail.partition_point(|kept| kept.tick.order.time < start);
        for tick in self.tail.range(unsettled..).map(|kept| &kept.tick).take_while(|tick| tick.order.time < end) {
            path.append((tick.order.time, tick.price));
        }
        let place = record::Place { symbol: &self.symbol, window, start, coverage };
        let content = record::Content { place, sums: &sums, path: &path };
        let record = record::metrics(settings, &content, told);
        let record = Metrics { averages: self.averages(settings, walk, window, end), ..record };
        let version = self.version(settings, walk, window, start);
        let last = mark.and_then(|m| m.by_clock);
        let by_clock = is_final && closed_by == Some(ClosedBy::Clock);
        let digest = (by_clock || last.is_some()).then(|| Digest::of(&record));
        let (next_rev, by_clock) = if last.is_some() && last == digest {
            (next_rev, last)
        } else {
            out.push(record);
            (next_rev + 1, digest.filter(|_| by_clock))
        };
        self.marks.insert((window, start), Mark { next_rev, version, by_clock });
    }

    /// Sends updates and revisions if it is time. Returns whether something may be left to send.
    pub fn tick(&mut self, settings: &Settings, moment: Moment, out: &mut Vec<Metrics>) -> bool {
        if std::mem::take(&mut self.clock.fresh) {
            self.clock.active = moment.now;
        }
        if moment.ending {
            return false;
        }
        if moment.now.saturating_sub(self.clock.updated) < settings.throttle {
            return true;
        }
        let before = out.len();
        self.tell_changes(settings, out);
        if out.len() > before {
            self.clock.updated = moment.now;
        }
        false
    }

    /// Closes by the clock what waits for trades that may never come, or everything when the run is ending.
    pub fn rest(&mut self, settings: &Settings, moment: Moment, out: &mut Vec<Metrics>) {
        let patience = settings.lateness.saturating_add(settings.idle);
        let idle = moment.caught_up && moment.now.saturating_sub(self.clock.active) >= patience;
        if !self.clock.at_rest && !self.clock.fresh && (moment.ending || idle) {
            self.close_by_clock(settings, moment, out);
        }
    }

    /// Whether readers have not been told yet what the window holds now.
    fn changed(&self, settings: &Settings, walk: &mut Walk, window: usize, end: i64) -> bool {
        let start = settings.layout.windows[window].start_of(end);
        self.marks.get(&(window, start)).is_none_or(|m| m.version != self.version(settings, walk, window, start))
    }

    /// Revisions of closed windows, and updates of open ones where they are asked for: of windows that overlap, of the one that
    /// ends next. It is the one that is nearly complete; the others take their turn.
    fn tell_changes(&mut self, settings: &Settings, out: &mut Vec<Metrics>) {
        let (horizon, watermark) = (self.horizon(settings), self.watermark);
        let (mut events, mut walk) = (Vec::new(), Walk::default());
        for window in 0..settings.layout.windows.len() {
            let mut collect = |after, upto, all: bool| {
                self.try_windows_ending(settings, window, after, upto, |end| {
                    let changed = self.changed(settings, &mut walk, window, end);
                    if changed {
                        events.push(Event { end, window, is_final: false });
                    }
                    all
                });
            };
            collect(horizon, watermark, true);
            if settings.emit != Emit::OnClose {
                collect(watermark, i64::MAX, settings.layout.windows[window].is_tumbling());
            }
        }
        events.sort_unstable();
        let mut walk = Walk::default();
        for event in events {
            let closed_by = (event.end <= watermark).then_some(ClosedBy::EventTime);
            self.tell(settings, &mut walk, event, closed_by, out);
        }
    }

    /// Tells as final what is still open although its end is long past, or whatever is open when the run is ending. The watermark
    /// stays where it is and so does the state: a trade that comes after all makes a further revision.
    fn close_by_clock(&mut self, settings: &Settings, moment: Moment, out: &mut Vec<Metrics>) {
        let patience = settings.lateness.saturating_add(settings.idle);
        let mut waiting = false;
        let (mut events, mut walk) = (Vec::new(), Walk::default());
        for window in 0..settings.layout.windows.len() {
            self.windows_ending(settings, window, self.horizon(settings), i64::MAX, |end| {
                let start = settings.layout.windows[window].start_of(end);
                let told = self.marks.get(&(window, start)).is_some_and(|m| m.by_clock.is_some());
                if told && !self.changed(settings, &mut walk, window, end) {
                    return;
                }
                if moment.ending || moment.now >= end.saturating_add(patience) {
                    events.push(Event { end, window, is_final: true });
                } else {
                    waiting = true;
                }
            });
        }
        events.sort_unstable();
        let mut walk = Walk::default();
        for event in events {
            self.tell(settings, &mut walk, event, Some(ClosedBy::Clock), out);
        }
        self.clock.at_rest = !waiting;
    }
}
