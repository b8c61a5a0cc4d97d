//! The bars of one symbol and window, ordered by start; a revision replaces the bar it revises.

use std::collections::VecDeque;

use crate::wire::Bar;

#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) bar: Bar,
    /// The round in which it last changed.
    pub(crate) changed: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Series {
    bars: VecDeque<Kept>,
}

/// What became of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    Added,
    /// `first` when this is the first change in the round.
    Replaced {
        first: bool,
    },
    /// Older than all that are kept, and there is no room; or a plain bar where metrics are.
    Ignored,
}

impl Series {
    /// Keeps the bar, and the newest `room` of all.
    pub(crate) fn put(&mut self, bar: Bar, round: u64, room: usize) -> Put {
        // New bars come at the end or near it.
        let at = self.bars.iter().rposition(|kept| kept.bar.start <= bar.start);
        if let Some(kept) = at.map(|at| &mut self.bars[at]).filter(|kept| kept.bar.start == bar.start) {
            if kept.bar.input.is_some() && bar.input.is_none() {
                return Put::Ignored;
            }
            let first = kept.changed != round;
            *kept = Kept { bar, changed: round };
            return Put::Replaced { first };
        }
        let at = at.map_or(0, |at| at + 1);
        if at == 0 && self.bars.len() >= room {
            return Put::Ignored;
        }
        self.bars.insert(at, Kept { bar, changed: round });
        Put::Added
    }

    /// Drops the oldest beyond `room`; says how many.
    pub(crate) fn trim(&mut self, room: usize) -> usize {
        let over = self.bars.len().saturating_sub(room);
        self.bars.drain(..over);
        if over > room {
            self.bars.shrink_to_fit();
        }
        over
    }

    pub(crate) fn get(&self, start: i64) -> Option<&Bar> {
        let at = self.bars.binary_search_by_key(&start, |kept| kept.bar.start.0).ok()?;
        Some(&self.bars[at].bar)
    }

    /// The newest `limit`, oldest first.
    pub(crate) fn latest(&self, limit: usize) -> impl Iterator<Item = &Bar> {
        self.bars.range(self.bars.len().saturating_sub(limit)..).map(|kept| &kept.bar)
    }

    pub(crate) fn changed_since(&self, round: u64) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(move |kept| kept.changed > round).map(|kept| &kept.bar)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::tests::bar;

    fn starts(series: &Series) -> Vec<i64> {
        series.latest(usize::MAX).map(|bar| bar.start.0).collect()
    }

    #[test]
    fn bars_are_ordered_and_the_newest_kept() {
        let mut series = Series::default();
        for start in [10, 30, 20, 50, 40] {
            assert_eq!(series.put(bar(start, 0), 1, 4), Put::Added);
        }
        assert_eq!(series.trim(4), 1);
        assert_eq!(starts(&series), [20, 30, 40, 50]);
        assert_eq!(series.put(bar(5, 0), 1, 4), Put::Ignored, "older than all, and full");
        assert_eq!(series.latest(2).map(|bar| bar.start.0).collect::<Vec<_>>(), [40, 50]);
    }

    #[test]
    fn a_revision_replaces_and_says_whether_the_round_knows() {
        let mut series = Series::default();
        series.put(bar(10, 0), 1, 4);
        assert_eq!(series.put(bar(10, 1), 1, 4), Put::Replaced { first: false });
        assert_eq!(series.put(bar(10, 2), 2, 4), Put::Replaced { first: true });
        assert_eq!(series.get(10).map(|bar| bar.rev), Some(2));
        assert_eq!((series.changed_since(1).count(), series.changed_since(2).count()), (1, 0));
    }

    #[test]
    fn metrics_are_not_replaced_by_a_plain_bar() {
        let mut series = Series::default();
        series.put(bar(10, 3), 1, 4);
        let plain = Bar { input: None, ..bar(10, 0) };
        assert_eq!(series.put(plain, 2, 4), Put::Ignored);
        assert_eq!(series.get(10).map(|bar| bar.rev), Some(3));
    }
}
