//! The averages of a bar from those of the bars before it.
//!
//! Final bars are taken up once, in order. Later ones may still be revised, so they are looked at anew whenever one of them is told: what
//! a late trade did to the close of a bar is in the averages of all that follow, and since averages count for whether a record has
//! changed, those are told again.

use super::Book;
use crate::average::Average;
use crate::decimal::Decimal;
use crate::window::fold::Settings;

impl Book {
    /// The averages up to the window that ends at `end`.
    pub(super) fn averages(&self, settings: &Settings, window: usize, end: i64) -> Vec<(Average, Option<Decimal>)> {
        let Some(trend) = self.trends.get(window) else { return Vec::new() };
        let mut ends = Vec::new();
        self.windows_ending(settings, window, trend.until, end, |end| ends.push(end));
        if ends.last().is_none_or(|last| *last < end) {
            // A window without a trade, which carries a price.
            ends.push(end);
        }
        let mut trend = trend.clone();
        let starts = ends.into_iter().map(|end| settings.layout.windows[window].start_of(end));
        let closes = starts.filter_map(|start| self.close_of(settings, window, start));
        closes.for_each(|close| trend.push(&settings.averages, close));
        trend.averages(&settings.averages)
    }

    /// Takes up a bar that is final.
    pub(super) fn take_up(&mut self, settings: &Settings, window: usize, end: i64) {
        if self.trends.is_empty() || end <= self.trends[window].until {
            return;
        }
        let close = self.close_of(settings, window, settings.layout.windows[window].start_of(end));
        let trend = &mut self.trends[window];
        close.into_iter().for_each(|close| trend.push(&settings.averages, close));
        trend.until = end;
    }

    fn close_of(&self, settings: &Settings, window: usize, start: i64) -> Option<Decimal> {
        let closes = self.panes(settings, window, start).map(|pane| pane.sums.close);
        let close = closes.max_by_key(|close| close.order);
        close.or_else(|| self.last_before(settings.layout.windows[window].grid, start)).map(|close| close.price)
    }

    /// A number that differs as the averages do.
    pub(super) fn averages_version(&self, settings: &Settings, window: usize, start: i64) -> u64 {
        if self.trends.is_empty() {
            return 0;
        }
        let end = settings.layout.windows[window].end_of(start);
        let values = self.averages(settings, window, end);
        let units = values.iter().map(|(_, value)| value.map_or(i128::MIN, Decimal::units));
        units
            .flat_map(i128::to_le_bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}
