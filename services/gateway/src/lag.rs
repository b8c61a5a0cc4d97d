//! How long the oldest unread record of a partition has been waiting, told from outside: from looks at where the
//! partition ended at which time. Pure.
//!
//! A record at offset `n` was there when the end was first seen beyond `n`. That is exact to the time between two looks,
//! and costs no read of the record itself.

use std::collections::VecDeque;

/// Looks kept per partition at which the end had moved: an hour of them at one per second.
const LOOKS: usize = 3600;
/// A rate is over this long.
const RATE_OVER_NS: i64 = 10_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// (when, end), oldest first; only looks at which the end differs from the look before.
    looks: VecDeque<(i64, i64)>,
}

/// What is behind in one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Behind {
    pub(crate) records: i64,
    pub(crate) seconds: f64,
    /// The oldest was there at our first look: it may have waited longer.
    pub(crate) at_least: bool,
}

impl Ends {
    pub(crate) fn look(&mut self, now_ns: i64, end: i64) {
        match self.looks.back() {
            Some((_, last)) if *last == end => return,
            // The topic was deleted and made again.
            Some((_, last)) if *last > end => self.looks.clear(),
            _ => {}
        }
        self.looks.push_back((now_ns, end));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
    }

    pub(crate) fn behind(&self, position: i64, now_ns: i64) -> Behind {
        let end = self.looks.back().map_or(0, |(_, end)| *end);
        let after = self.looks.partition_point(|(_, end)| *end <= position);
        match self.looks.get(after) {
            Some((since, _)) => {
                Behind { records: end - position, seconds: (now_ns - since).max(0) as f64 / 1e9, at_least: after == 0 }
            }
            None => Behind::default(),
        }
    }
}

/// Records per second of a topic, over the last ten seconds.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    looks: VecDeque<(i64, i64)>,
}

impl Rate {
    pub(crate) fn look(&mut self, now_ns: i64, count: i64) -> f64 {
        if self.looks.back().is_some_and(|(_, last)| *last > count) {
            self.looks.clear();
        }
        self.looks.push_back((now_ns, count));
        // The look just before the span is kept: without it the span would be shorter than what it is divided by.
        while self.looks.len() > 2 && now_ns - self.looks[1].0 >= RATE_OVER_NS {
            self.looks.pop_front();
        }
        let (then, before) = self.looks[0];
        let seconds = (now_ns - then) as f64 / 1e9;
        let rate = if seconds > 0.0 { (count - before) as f64 / seconds } else { 0.0 };
        (rate * 100.0).round() / 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn the_oldest_unread_record_is_as_old_as_the_look_that_first_saw_it() {
        let mut ends = Ends::default();
        for (at, end) in [(0, 100), (1, 100), (2, 150), (3, 180), (4, 180), (10, 200)] {
            ends.look(at * SECOND, end);
        }
        let behind = |position| ends.behind(position, 12 * SECOND);
        assert_eq!(behind(200), Behind::default());
        assert_eq!(behind(180), Behind { records: 20, seconds: 2.0, at_least: false });
        assert_eq!(behind(179), Behind { records: 21, seconds: 9.0, at_least: false });
        assert_eq!(behind(100), Behind { records: 100, seconds: 10.0, at_least: false });
        assert_eq!(behind(99), Behind { records: 101, seconds: 12.0, at_least: true });
        assert_eq!(behind(999), Behind::default(), "a position beyond an end that we have not seen yet");
    }

    #[test]
    fn a_topic_made_again_begins_anew_and_looks_are_bounded() {
        let mut ends = Ends::default();
        ends.look(0, 1000);
        ends.look(SECOND, 10);
        assert_eq!(ends.behind(0, 2 * SECOND), Behind { records: 10, seconds: 1.0, at_least: true });
        for n in 0..2 * LOOKS as i64 {
            ends.look(n * SECOND, 10 + n);
        }
        assert_eq!(ends.looks.len(), LOOKS);
    }

    #[test]
    fn a_rate_is_over_ten_seconds_and_falls_to_nothing() {
        let mut rate = Rate::default();
        assert_eq!(rate.look(0, 5000), 0.0);
        for n in 1..=30 {
            assert_eq!(rate.look(n * SECOND, 5000 + 40 * n), 40.0, "second {n}");
        }
        for n in 31..=40 {
            rate.look(n * SECOND, 6200);
        }
        assert_eq!(rate.look(41 * SECOND, 6200), 0.0);
        assert_eq!(rate.look(42 * SECOND, 3), 0.0, "made again: nothing can be said yet");
    }
}
