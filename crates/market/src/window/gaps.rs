//! Times in which the stream of a symbol is known to be broken, and whether what was missing has come after all.
//!
//! In: gaps, and the numeric ids of trades. Out: whether a gap overlaps a window, and whether all that do are healed. A gap is healed once
//! every id that it names as missing has been folded: exact, since no id is folded twice. Of a gap that names none nobody can know, so it
//! stays one, whatever is fetched afterwards.

use crate::event::Gap;

use super::bytes::{Reader, Short, Writer};
use super::seen::{Id, Seen};

/// Gaps kept per symbol; the oldest goes first.
const MAX_GAPS: usize = 1_024;

/// A hole in the stream of a symbol, between two event times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    pub from: i64,
    pub to: i64,
    /// The first and the last id that is missing, where they are numbers and the venue counts its trades.
    pub ids: Option<(u64, u64)>,
}

impl Hole {
    /// The ids are those that trades have, as text; others than numbers cannot be counted.
    pub fn of(gap: &Gap) -> Self {
        let number = |text: &Option<String>| Id::new(text.as_deref()?).number();
        Self { from: gap.from, to: gap.to, ids: number(&gap.first_missing).zip(number(&gap.last_missing)) }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gaps {
    gaps: Vec<Known>,
    /// Some gap waits for ids: most trades only look at this.
    waiting: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    hole: Hole,
    /// Ids that have not come yet.
    missing: u64,
}

/// What is known of the gaps that overlap a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    #[default]
    Whole,
    Healed,
    Broken,
}

impl Gaps {
    /// Takes a gap, unless it is known or `over`: of a time whose windows are all final.
    pub fn add(&mut self, hole: Hole, over: i64, seen: &Seen) {
        self.gaps.retain(|gap| gap.hole.to >= over);
        if hole.to < over || self.gaps.iter().any(|gap| gap.hole == hole) {
            return;
        }
        if self.gaps.len() == MAX_GAPS {
            self.gaps.remove(0);
        }
        let missing = match hole.ids {
            Some((first, last)) if first <= last => (last - first).saturating_add(1) - seen.count(first, last),
            _ => u64::MAX,
        };
        self.gaps.push(Known { hole, missing });
        self.wait();
    }

    /// A trade with a numeric id was folded.
    #[inline]
    pub fn came(&mut self, id: u64) {
        if self.waiting {
            self.heal(id);
        }
    }

    fn heal(&mut self, id: u64) {
        for gap in self.gaps.iter_mut().filter(|gap| gap.missing > 0) {
            if gap.hole.ids.is_some_and(|(first, last)| first <= id && id <= last) {
                gap.missing -= 1;
            }
        }
        self.wait();
    }

    fn wait(&mut self) {
        self.waiting = self.gaps.iter().any(|gap| gap.missing > 0 && gap.hole.ids.is_some());
    }

    /// Of `[start, end)`.
    pub fn state(&self, start: i64, end: i64) -> State {
        let overlapping = self.gaps.iter().filter(|gap| gap.hole.from < end && gap.hole.to >= start);
        overlapping.fold(State::Whole, |state, gap| match (state, gap.missing) {
            (State::Broken, _) | (_, 1..) => State::Broken,
            (_, 0) => State::Healed,
        })
    }

    pub fn write(&self, w: &mut Writer) {
        w.unsigned(self.gaps.len() as u128);
        for Known { hole, missing } in &self.gaps {
            w.signed(hole.from.into());
            w.signed(hole.to.into());
            w.byte(hole.ids.is_some().into());
            if let Some((first, last)) = hole.ids {
                w.unsigned(first.into());
                w.unsigned(last.into());
                w.unsigned((*missing).into());
            }
        }
    }

    /// Version 1 knew no ids of gaps.
    pub fn read(version: u8, r: &mut Reader<'_>) -> Result<Self, Short> {
        let mut gaps = Self::default();
        for _ in 0..r.count()? {
            let (from, to) = (r.int()?, r.int()?);
            let (mut ids, mut missing) = (None, u64::MAX);
            if version > 1 && r.byte()? != 0 {
                ids = Some((r.small()?, r.small()?));
                missing = r.small()?;
            }
            gaps.gaps.push(Known { hole: Hole { from, to, ids }, missing });
        }
        gaps.wait();
        Ok(gaps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole(ids: Option<(u64, u64)>) -> Hole {
        Hole { from: 10, to: 20, ids }
    }

    fn seen(ids: impl Iterator<Item = u64>) -> Seen {
        let mut seen = Seen::default();
        ids.for_each(|id| assert_eq!(seen.insert(0, 0, Id::new(&id.to_string())), 0));
        seen
    }

    #[test]
    fn a_gap_is_healed_by_the_last_id_it_names_and_not_before() {
        let mut gaps = Gaps::default();
        // One of five had come before the gap was told.
        gaps.add(hole(Some((3, 7))), 0, &seen([1, 2, 5, 8].into_iter()));
        for id in [3, 4, 9, 6] {
            gaps.came(id);
            assert_eq!(gaps.state(0, 15), State::Broken);
        }
        gaps.came(7);
        assert_eq!(
            (gaps.state(0, 15), gaps.state(0, 10), gaps.state(21, 30)),
            (State::Healed, State::Whole, State::Whole)
        );
        // Another one, open, is stronger.
        gaps.add(hole(Some((20, 20))), 0, &Seen::default());
        assert_eq!(gaps.state(0, 15), State::Broken);
    }

    #[test]
    fn a_gap_without_ids_stays_a_gap() {
        let mut gaps = Gaps::default();
        gaps.add(hole(None), 0, &Seen::default());
        gaps.came(1);
        assert_eq!(gaps.state(0, 15), State::Broken);
    }

    #[test]
    fn gaps_go_round_with_what_is_missing() {
        let mut gaps = Gaps::default();
        gaps.add(hole(Some((3, 4))), 0, &seen(std::iter::once(3)));
        gaps.add(hole(None), 0, &Seen::default());
        let mut w = Writer::default();
        gaps.write(&mut w);
        let mut r = Reader::new(&w.bytes);
        let mut again = Gaps::read(2, &mut r).unwrap();
        assert_eq!((r.end(), &again), (Ok(()), &gaps));
        again.gaps.pop();
        again.came(4);
        assert_eq!(again.state(0, 15), State::Healed);
    }
}
