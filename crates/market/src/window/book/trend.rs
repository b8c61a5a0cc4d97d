//! The averages of a bar from those of the bars before it.
//!
//! Final bars are taken up once, in order. Later ones may still be revised, so they are looked at anew whenever one of them is told: what
//! a late trade did to the close of a bar is in the averages of all that follow, and since averages count for whether a record has
//! changed, those are told again.

use super::Book;
use crate::average::Average;
use crate::decimal::Decimal;
use crate::window::fold::Settings;
use crate::window::trend::Trend;

/// How far each window's trend has been followed beyond its final bars, while a book tells windows in order of their ends and nothing
/// else changes: each bar is then looked at once.
#[derive(Default)]
pub(super) struct Walk(Vec<Option<(i64, Trend)>>);

impl Book {
    /// The averages up to the window that ends at `end`.
    pub(super) fn averages(
        &self,
        settings: &Settings,
        walk: &mut Walk,
        window: usize,
        end: i64,
    ) -> Vec<(Average, Option<Decimal>)> {
        let Some(trend) = self.trends.get(window) else { return Vec::new() };
        walk.0.resize(self.trends.len(), None);
        let (at, mut trend) =
            walk.0[window].take().filter(|(at, _)| *at <= end).unwrap_or_else(|| (trend.until(), trend.clone()));
        let mut ends = Vec::new();
        self.windows_ending(settings, window, at, end, |end| ends.push(end));
        if at < end && ends.last().is_none_or(|last| *last < end) {
            // A window without a trade, which carries a price.
            ends.push(end);
        }
        let starts = ends.into_iter().map(|end| settings.layout.windows[window].start_of(end));
        let closes = starts.filter_map(|start| self.close_of(settings, window, start));
        closes.for_each(|close| trend.push(&settings.averages, close));
        let averages = trend.averages(&settings.averages);
        walk.0[window] = Some((end, trend));
        averages
    }

    /// Takes up a bar that is final.
    pub(super) fn take_up(&mut self, settings: &Settings, window: usize, end: i64) {
        if self.trends.is_empty() || end <= self.trends[window].until() {
            return;
        }
        let close = self.close_of(settings, window, settings.layout.windows[window].start_of(end));
        self.trends[window].take_up(&settings.averages, end, close);
    }

    fn close_of(&self, settings: &Settings, window: usize, start: i64) -> Option<Decimal> {
        let mut panes = self.panes(settings, window, start).peekable();
        if panes.peek().is_none() {
            return self.last_before(settings.layout.windows[window].grid, start).map(|last| last.price);
        }
        // A window of which every trade was taken back has no close and carries none.
        panes
            .filter_map(|pane| pane.sums.edges)
            .map(|edges| edges.close)
            .max_by_key(|close| close.order)
            .map(|close| close.price)
    }

    /// A number that differs as the averages do.
    pub(super) fn averages_version(&self, settings: &Settings, walk: &mut Walk, window: usize, start: i64) -> u64 {
        if self.trends.is_empty() {
            return 0;
        }
        let end = settings.layout.windows[window].end_of(start);
        let values = self.averages(settings, walk, window, end);
        let units = values.iter().map(|(_, value)| value.map_or(i128::MIN, Decimal::units));
        units
            .flat_map(i128::to_le_bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}
