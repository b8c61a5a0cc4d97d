//! Which windows are put together from which panes.
//!
//! In: the windows asked for, such as `1m` and `5m/1m`. Out: the arithmetic of their ends (aligned to 1970, half-open:
//! `start <= event_time < end`), and the *grids* of panes that serve them.
//!
//! A trade updates one pane per grid, however many windows overlap it. Windows share a grid as long as none of them needs more than
//! [`MAX_PANES`] panes; beyond that, putting a window together costs more than a second update per trade does.

use crate::interval::Span;

/// The most panes one window is put together from before it gets a grid of its own.
pub const MAX_PANES: i64 = 64;
/// The most windows of one kind that may overlap.
const MAX_OVERLAP: i64 = 10_000;

/// The windows of a run and the grids that serve them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub windows: Vec<Window>,
    pub grids: Vec<Grid>,
}

/// A kind of window and the grid it is put together from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub span: Span,
    pub grid: usize,
    /// Nanoseconds.
    pub size: i64,
    /// Nanoseconds from one start to the next.
    pub slide: i64,
}

/// Panes of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// The length of a pane in nanoseconds.
    pub pane: i64,
    /// The longest window of the grid.
    pub longest: i64,
}

/// Why windows cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    #[error("no window is asked for; name at least one, such as `1m`")]
    Empty,
    #[error("{0} windows of `{1}` would overlap, {MAX_OVERLAP} may; choose a longer slide")]
    Overlap(i64, Span),
}

impl Window {
    fn new(span: Span) -> Self {
        Self { span, grid: 0, size: span.size().ns(), slide: span.slide().ns() }
    }

    pub fn is_tumbling(&self) -> bool {
        self.size == self.slide
    }

    /// The end of the last window that holds `time`.
    pub fn last_end(&self, time: i64) -> i64 {
        floor(time, self.slide).saturating_add(self.size)
    }

    /// The first end after `time`: that of the earliest window which holds `time`.
    pub fn next_end(&self, time: i64) -> i64 {
        floor(time.saturating_sub(self.size), self.slide).saturating_add(self.slide).saturating_add(self.size)
    }
}

/// The greatest multiple of `step` that is not above `time`; before 1970 too.
pub(crate) fn floor(time: i64, step: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(step))
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl Layout {
    /// Equal windows are taken once. The order of `spans` is the order of records that end at the same time.
    pub fn new(spans: &[Span]) -> Result<Self, LayoutError> {
        let mut windows: Vec<Window> = Vec::new();
        for span in spans {
            let window = Window::new(*span);
            let overlap = window.size / window.slide;
            if overlap > MAX_OVERLAP {
                return Err(LayoutError::Overlap(overlap, *span));
            }
            if !windows.contains(&window) {
                windows.push(window);
            }
        }
        if windows.is_empty() {
            return Err(LayoutError::Empty);
        }
        let grids = grids(&mut windows);
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

/// From the shortest window to the longest, each joins the last grid that can take it, or starts one.
fn grids(windows: &mut [Window]) -> Vec<Grid> {
    let mut order: Vec<usize> = (0..windows.len()).collect();
    order.sort_by_key(|i| (windows[*i].size, windows[*i].slide));
    let mut grids: Vec<Grid> = Vec::new();
    for i in order {
        let window = &mut windows[i];
        let own = gcd(window.size, window.slide);
        let joined = grids.iter().rposition(|g| g.longest.max(window.size) / gcd(g.pane, own) <= MAX_PANES);
        window.grid = joined.unwrap_or_else(|| {
            grids.push(Grid { pane: own, longest: window.size });
            grids.len() - 1
        });
        let grid = &mut grids[window.grid];
        *grid = Grid { pane: gcd(grid.pane, own), longest: grid.longest.max(window.size) };
    }
    grids
}

#[cfg(test)]
mod tests {
    use super::*;

    const M: i64 = 60_000_000_000;

    fn window(text: &str) -> Window {
        Window::new(text.parse().unwrap())
    }

    fn layout(texts: &[&str]) -> Layout {
        Layout::new(&texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>()).unwrap()
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
        assert_eq!(layout.grids, [Grid { pane: M, longest: 5 * M }]);
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
        assert_eq!(self::layout(&["2m", "3m"]).grids, [Grid { pane: M, longest: 3 * M }]);
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        assert_eq!(Layout::new(&[]), Err(LayoutError::Empty));
        let error = Layout::new(&["1d/1ms".parse().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("86400000 windows of `1d/1ms` would overlap"), "{error}");
    }
}
