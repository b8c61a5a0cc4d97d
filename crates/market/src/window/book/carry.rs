//! Windows without a trade, told with the last price (`empty: carry`).
//!
//! Between the first trade and the watermark less the lateness only: an empty window is told once, when it is final, so that no late
//! trade has to take it back. At most [`MOST_CARRIED`] in a row after a window that has trades, however far the watermark jumps at once:
//! what is told does not depend on how it got there. The rests between sessions are not told.

use super::{Book, Tick};
use crate::window::fold::{Counts, Settings};
use crate::window::options::MOST_CARRIED;

impl Book {
    /// Calls `each` with the end of every empty window that ends in `(after, upto]` and is to be told; counts those beyond the most.
    pub(super) fn empty_windows(
        &self,
        settings: &Settings,
        window: usize,
        (after, upto): (i64, i64),
        counts: &mut Counts,
        mut each: impl FnMut(i64),
    ) {
        let window = &settings.layout.windows[window];
        let (lane, cut) = (&self.grids[window.grid], &settings.layout.grids[window.grid].cut);
        let closes = lane.last.iter().map(|last| last.order.time).chain(lane.panes.iter().map(|pane| pane.start));
        let nexts = lane.panes.iter().map(|pane| pane.start).skip(usize::from(lane.last.is_none()));
        for (last, next) in closes.zip(nexts.map(Some).chain([None])) {
            // The first window that holds the next trade is not empty.
            let bound = next.map_or(i64::MAX, |next| window.next_end(next)).min(upto.saturating_add(1));
            let mut end = window.next_end(window.last_end(last));
            for _ in 0..MOST_CARRIED {
                if end >= bound {
                    break;
                }
                if end > after && !cut.is_rest(window.start_of(end)) {
                    each(end);
                }
                end = window.next_end(end);
            }
            let end = end.max(window.next_end(after));
            if end < bound {
                counts.not_carried += ((bound - 1 - end) / window.slide) as u64 + 1;
            }
        }
    }

    /// The last trade before a window.
    pub(super) fn last_before(&self, grid: usize, start: i64) -> Option<Tick> {
        let lane = &self.grids[grid];
        let before = lane.panes.partition_point(|pane| pane.start < start);
        // A pane of which every trade was taken back has no price.
        let edges = lane.panes.range(..before).rev().find_map(|pane| pane.sums.edges);
        edges.map(|edges| edges.close).or(lane.last)
    }
}
