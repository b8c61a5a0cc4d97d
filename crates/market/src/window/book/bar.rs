//! Bars of one symbol and one length, rolled up into longer windows.
//!
//! In: the bars, in the order of the partition. A bar belongs to the window that holds its `start`, and only if it lies within it:
//! of a bar that crosses a border nobody knows which part of its volume is on which side. It is known by its `start`, so a second
//! one of the same start is a duplicate, whatever it says. The watermark is the latest end of a bar minus the out-of-orderness.

use super::{Book, Pane};
use crate::event::Bar;
use crate::metrics::Metrics;
use crate::window::cut::floor;
use crate::window::fold::{Counts, Outcome, Settings};
use crate::window::pane::Sums;
use crate::window::seen::Id;

/// Bars are no venue's: their ids have the first number.
const NO_VENUE: u8 = 0;

impl Book {
    pub fn bar(
        &mut self,
        settings: &Settings,
        bar: &Bar,
        offset: i64,
        counts: &mut Counts,
        out: &mut Vec<Metrics>,
    ) -> Outcome {
        let id = Id::of_start(bar.start, bar.interval);
        if self.seen.contains(NO_VENUE, id) {
            self.note_duplicate(settings, bar.start);
            return Outcome::Duplicate;
        }
        let sums = Sums::of_bar(bar, offset, bar.end <= self.watermark);
        let horizon = self.horizon(settings);
        let (mut fits, mut taken) = (false, false);
        for (at, window) in (settings.first_window..).zip(&settings.layout.windows) {
            let end = window.next_end(bar.start);
            if bar.end > end {
                counts.across_window[at] += 1;
                continue;
            }
            fits = true;
            if end <= horizon {
                counts.late_for_window[at] += 1;
                continue;
            }
            let make = |start| Pane::of(start, sums.clone());
            self.place(settings, window.grid, bar.start, |pane| pane.join(&sums), make);
            taken = true;
        }
        if !taken {
            return if fits { Outcome::Late } else { Outcome::Across };
        }
        counts.forgotten_ids += self.seen.insert(floor(bar.start, settings.bucket), NO_VENUE, id);
        self.clock.fresh = true;
        self.clock.at_rest = false;
        if bar.end > self.latest {
            self.latest = bar.end;
            self.advance(settings, bar.end.saturating_sub(settings.out_of_orderness), counts, out);
        }
        Outcome::Folded
    }
}
