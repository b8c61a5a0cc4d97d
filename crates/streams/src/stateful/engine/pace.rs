//! How long a batch may last.

use std::time::Duration;

/// A backlog that outlasts batch after batch is worked off in longer ones, up to so many intervals: who waits for hours
/// does not see the tenths of a second, and each transaction costs the brokers a marker in every partition it touched.
const LONGEST: u32 = 10;

pub(super) struct Pace {
    interval: Duration,
    /// Batches in a row that ended before the input did.
    full_in_a_row: u32,
}

impl Pace {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, full_in_a_row: 0 }
    }

    /// How long the batch under way may last.
    pub(super) fn limit(&self) -> Duration {
        self.interval * self.full_in_a_row.saturating_add(1).min(LONGEST)
    }

    /// `full`: more was there to read.
    pub(super) fn ended(&mut self, full: bool) {
        self.full_in_a_row = if full { self.full_in_a_row.saturating_add(1) } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_grow_while_there_is_more_to_read_and_are_short_again_at_once() {
        let mut pace = Pace::new(Duration::from_millis(20));
        let mut limits = Vec::new();
        for full in [true, true, false, true, false] {
            limits.push(pace.limit().as_millis());
            pace.ended(full);
        }
        assert_eq!(limits, [20, 40, 60, 20, 40]);
        (0..50).for_each(|_| pace.ended(true));
        assert_eq!(pace.limit(), Duration::from_millis(200));
    }
}
