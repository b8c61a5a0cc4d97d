//! Which windows are put together from which panes.
//!
//! In: the windows asked for, such as `1m` and `5m/1m`. Out: the arithmetic of their ends (aligned to 1970, half-open:
//! `start <= event_time < end`), and the *grids* of panes that serve them.
//!
//! A trade updates one pane per grid, however many windows overlap it. Windows share a grid as long as none of them needs more than
//! [`MAX_PANES`] panes; beyond that, putting a window together costs more than a second update per trade does. Windows of the
//! calendar differ in length and have a grid of their own, whose panes are the windows.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::interval::Interval;
use crate::span::{Align, Span};

use super::cut::{Cut, floor};

/// The most panes one window is put together from before it gets a grid of its own.
pub const MAX_PANES: i64 = 64;
/// The most windows of one kind that may overlap.
const MAX_OVERLAP: i64 = 10_000;

/// The window between two sessions is never longer.
const LONGEST_REST: i64 = 40 * Interval::DAY.ns();

/// The windows of a run and the grids that serve them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub windows: Vec<Window>,
    pub grids: Vec<Grid>,
}

/// A kind of window and the grid it is put together from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub span: Span,
    pub grid: usize,
    /// Nanoseconds; of a window of the calendar the most it can have.
    pub size: i64,
    /// Nanoseconds from one start to the next, likewise.
    pub slide: i64,
    /// Where windows of the calendar begin and end.
    calendar: Option<Cut>,
}

/// Panes that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The length of a pane in nanoseconds; of the calendar's the most it can have.
    pub pane: i64,
    /// The longest window of the grid.
    pub longest: i64,
    /// Where one pane ends and the next begins.
    pub cut: Cut,
    /// Names its panes in the saved state: their length, or the window of the calendar.
    pub name: String,
}

/// Why windows cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("no window is asked for; name at least one, such as `1m`")]
    Empty,
    #[error("{0} windows of `{1}` would overlap, {MAX_OVERLAP} may; choose a longer slide")]
    Overlap(i64, Span),
    #[error(
        "the roll-up of bars of {0} asks for `{1}`, which overlaps itself; bars are rolled up into windows that follow each other"
    )]
    RollupOverlaps(Interval, Span),
    #[error("the roll-up of bars of {0} asks for `{1}`, which is no longer than they are")]
    RollupTooShort(Interval, Span),
    #[error("`{0}` names no calendar that is known; `xnys` is built in, others are read from files")]
    NoCalendar(Span),
    #[error("two roll-ups of bars of {0} are asked for; name all their windows in one")]
    RollupTwice(Interval),
    #[error(
        "`{0}` is asked for twice, of trades and of bars or of bars of two lengths: its records could not be told apart"
    )]
    Twice(Span),
}

impl Window {
    fn new(span: Span, calendars: &[Arc<Calendar>]) -> Result<Self, LayoutError> {
        let cut = Cut::of(span, calendars).ok_or(LayoutError::NoCalendar(span))?;
        let calendar = (span.align() != Align::Epoch).then_some(cut);
        Ok(Self { span, grid: 0, size: span.size().ns(), slide: span.slide().ns(), calendar })
    }

    pub fn is_tumbling(&self) -> bool {
        self.size == self.slide
    }

    /// The end of the last window that holds `time`.
    pub fn last_end(&self, time: i64) -> i64 {
        match &self.calendar {
            None => floor(time, self.slide).saturating_add(self.size),
            Some(cut) => cut.next(time),
        }
    }

    /// The first end after `time`: that of the earliest window which holds `time`.
    pub fn next_end(&self, time: i64) -> i64 {
        match &self.calendar {
            None => {
                floor(time.saturating_sub(self.size), self.slide).saturating_add(self.slide).saturating_add(self.size)
            }
            Some(cut) => cut.next(time),
        }
    }

    /// The start of the window that ends at `end`.
    pub fn start_of(&self, end: i64) -> i64 {
        match &self.calendar {
            None => end.saturating_sub(self.size),
            Some(cut) => cut.floor(end.saturating_sub(1)),
        }
    }

    /// The end of the window that starts at `start`.
    pub fn end_of(&self, start: i64) -> i64 {
        match &self.calendar {
            None => start.saturating_add(self.size),
            Some(cut) => cut.next(start),
        }
    }

    /// Whether a window starts there.
    pub fn starts_at(&self, start: i64) -> bool {
        self.start_of(self.end_of(start)) == start
    }

    /// The grid of which each pane is one of these windows.
    fn own_grid(&self) -> Grid {
        let cut = self.calendar.clone().unwrap_or(Cut::Every(self.size));
        let longest = if matches!(cut, Cut::Sessions(..)) { LONGEST_REST } else { self.size };
        Grid { pane: self.size, longest, name: cut.name(self.span), cut }
    }

    /// What of its calendar decides over the content of records.
    pub fn calendar_hash(&self) -> Option<u64> {
        match &self.calendar {
            Some(Cut::Sessions(calendar, _)) => Some(calendar.hash()),
            _ => None,
        }
    }
}

impl Grid {
    fn even(pane: i64, longest: i64) -> Self {
        Self { pane, longest, cut: Cut::Every(pane), name: pane.to_string() }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Layout {
    /// Equal windows are taken once. The order of `spans` is the order of records that end at the same time.
    pub fn new(spans: &[Span], calendars: &[Arc<Calendar>]) -> Result<Self, LayoutError> {
        let mut windows = windows(spans, calendars)?;
        let grids = grids(&mut windows);
        Ok(Self { windows, grids })
    }

    /// The windows that bars of one length are rolled up into. Whether a bar lies within a window is asked of each, so each has
    /// panes of its own.
    pub fn of_bars(interval: Interval, spans: &[Span], calendars: &[Arc<Calendar>]) -> Result<Self, LayoutError> {
        let mut windows = windows(spans, calendars)?;
        for window in &windows {
            if !window.is_tumbling() {
                return Err(LayoutError::RollupOverlaps(interval, window.span));
            }
            if window.size <= interval.ns() {
                return Err(LayoutError::RollupTooShort(interval, window.span));
            }
        }
        let grids = windows.iter().map(Window::own_grid).collect();
        (0..).zip(&mut windows).for_each(|(grid, window)| window.grid = grid);
        Ok(Self { windows, grids })
    }

    /// The end of the last window of `grid` that holds `time`: after it (and the lateness) a pane is of no more use.
    pub fn last_end(&self, grid: usize, time: i64) -> i64 {
        let of_grid = self.windows.iter().filter(|w| w.grid == grid);
        of_grid.map(|w| w.last_end(time)).max().unwrap_or(time)
    }

    /// The longest window of all.
    pub fn longest(&self) -> i64 {
        self.grids.iter().map(|g| g.longest).max().unwrap_or(0)
    }
}

/// Each window once.
fn windows(spans: &[Span], calendars: &[Arc<Calendar>]) -> Result<Vec<Window>, LayoutError> {
    let mut windows: Vec<Window> = Vec::new();
    for span in spans {
        let window = Window::new(*span, calendars)?;
        let overlap = window.size / window.slide;
        if overlap > MAX_OVERLAP {
            return Err(LayoutError::Overlap(overlap, *span));
        }
        if !windows.contains(&window) {
            windows.push(window);
        }
    }
    if windows.is_empty() { Err(LayoutError::Empty) } else { Ok(windows) }
}

/// From the shortest window to the longest, each joins the last grid that can take it, or starts one.
fn grids(windows: &mut [Window]) -> Vec<Grid> {
    let mut order: Vec<usize> = (0..windows.len()).collect();
    order.sort_by_key(|i| (windows[*i].size, windows[*i].slide));
    let mut even: Vec<Grid> = Vec::new();
    let mut of_calendar: Vec<(usize, Grid)> = Vec::new();
    for i in order {
        let window = &mut windows[i];
        if window.calendar.is_some() {
            of_calendar.push((i, window.own_grid()));
            continue;
        }
        let own = gcd(window.size, window.slide);
        let joined = even.iter().rposition(|g| g.longest.max(window.size) / gcd(g.pane, own) <= MAX_PANES);
        window.grid = joined.unwrap_or_else(|| {
            even.push(Grid::even(own, window.size));
            even.len() - 1
        });
        let grid = &mut even[window.grid];
        *grid = Grid::even(gcd(grid.pane, own), grid.longest.max(window.size));
    }
    let mut grids = even;
    for (i, grid) in of_calendar {
        windows[i].grid = grids.len();
        grids.push(grid);
    }
    grids
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: i64 = 60_000_000_000;

    fn window(text: &str) -> Window {
        Window::new(text.parse().unwrap(), &[]).unwrap()
    }

    fn layout(texts: &[&str]) -> Layout {
        Layout::new(&texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>(), &[]).unwrap()
    }

    #[test]
    fn ends_are_aligned_to_1970_on_both_sides_of_it() {
        let hop = window("5m/1m");
        assert_eq!(hop.last_end(0), 5 * M);
        assert_eq!(hop.next_end(0), M);
        assert_eq!(hop.next_end(M - 1), M);
        assert_eq!(hop.next_end(M), 2 * M);
        assert_eq!(hop.next_end(-1), 0);
        assert_eq!(window("1m").last_end(-1), 0);
        assert_eq!(window("1m").last_end(-M), 0);
    }

    #[test]
    fn the_default_windows_share_one_grid() {
        let layout = layout(&["1m", "5m/1m", "1m"]);
        assert_eq!(layout.windows.len(), 2);
        assert_eq!(layout.grids, [Grid::even(M, 5 * M)]);
        assert_eq!(layout.last_end(0, 0), 5 * M);
    }

    #[test]
    fn long_windows_do_not_hold_thousands_of_panes() {
        let layout = layout(&["1d", "1s", "1m", "5m/1m", "1h"]);
        let names: Vec<_> = layout.windows.iter().map(|w| w.span.to_string()).collect();
        assert_eq!(names, ["1d", "1s", "1m", "5m/1m", "1h"]);
        for w in &layout.windows {
            let pane = layout.grids[w.grid].pane;
            assert!(w.size % pane == 0 && w.slide % pane == 0 && w.size / pane <= MAX_PANES);
        }
        assert_eq!(layout.grids.len(), 3);
        // Two sizes of which neither divides the other share the panes of their common divisor.
        assert_eq!(self::layout(&["2m", "3m"]).grids, [Grid::even(M, 3 * M)]);
    }

    #[test]
    fn windows_of_the_calendar_have_panes_of_their_own() {
        let layout = layout(&["1m", "1w", "5m/1m", "1mo"]);
        assert_eq!(layout.grids.iter().map(|g| g.name.as_str()).collect::<Vec<_>>(), ["60000000000", "1w", "1mo"]);
        assert_eq!(layout.windows.iter().map(|w| w.grid).collect::<Vec<_>>(), [0, 1, 0, 2]);
        let (monday, february) = (4 * 1440 * M, 31 * 1440 * M);
        let week = &layout.windows[1];
        assert_eq!((week.next_end(0), week.last_end(0), week.start_of(monday)), (monday, monday, monday - 10_080 * M));
        let month = &layout.windows[3];
        assert_eq!((month.next_end(0), month.start_of(february), month.end_of(february)), (february, 0, 59 * 1440 * M));
    }

    #[test]
    fn roll_ups_that_cannot_be_served_are_refused() {
        let of_days = |text: &str| Layout::of_bars(Interval::DAY, &[text.parse().unwrap()], &[]);
        assert!(matches!(of_days("2d/1d"), Err(LayoutError::RollupOverlaps(..))));
        assert!(matches!(of_days("1d"), Err(LayoutError::RollupTooShort(..))));
        assert_eq!(of_days("1w").unwrap().grids[0].name, "1w");
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        assert_eq!(Layout::new(&[], &[]), Err(LayoutError::Empty));
        assert!(matches!(Layout::new(&["5m@xlon".parse().unwrap()], &[]), Err(LayoutError::NoCalendar(_))));
        let error = Layout::new(&["1d/1ms".parse().unwrap()], &[]).unwrap_err();
        assert!(error.to_string().contains("86400000 windows of `1d/1ms` would overlap"), "{error}");
    }
}
