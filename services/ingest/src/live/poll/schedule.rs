//! What is asked next, and when: pure, with times given as time since the start.
//!
//! Each request is due again so long after its last answer. Whatever a venue says against us holds for all of them, as the limits
//! are the key's. One that will never be answered is not asked again.
//!
//! **Invariant:** no window of a rate ever holds more requests than it allows.

use std::time::Duration;

use crate::connection::backoff::Backoff;
use crate::connection::bucket::Bucket;
use crate::venues::Rate;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Due again in its time.
    Well,
    /// There is more of it: at once, as far as the rates allow.
    More,
    /// Nothing is asked before a wait; the venue may have said how long.
    Wait(Option<Duration>),
    /// Never again.
    Never,
}

pub struct Schedule {
    /// When each is due; `None`: never.
    due: Vec<Option<Duration>>,
    every: Duration,
    buckets: Vec<Bucket>,
    backoff: Backoff,
    /// Nothing is asked before.
    held: Duration,
}

impl Schedule {
    pub fn new(asks: usize, every: Duration, rates: &[Rate], backoff: Backoff) -> Schedule {
        let buckets = rates.iter().copied().map(Bucket::new).collect();
        Schedule { due: vec![Some(Duration::ZERO); asks], every, buckets, backoff, held: Duration::ZERO }
    }

    /// The next request, and when it may be made. `None`: none is left.
    pub fn next(&self) -> Option<(usize, Duration)> {
        // The first of those that are due at the same time.
        let (index, due) =
            self.due.iter().enumerate().filter_map(|(i, due)| Some((i, (*due)?))).min_by_key(|(_, due)| *due)?;
        let free = self.buckets.iter().map(Bucket::free_at).max().unwrap_or_default();
        Some((index, due.max(free).max(self.held)))
    }

    /// It is made now, which is no sooner than [`Schedule::next`] says.
    pub fn asked(&mut self, now: Duration) {
        for bucket in &mut self.buckets {
            bucket.take(now);
        }
    }

    /// `luck` is from 0 to 1.
    pub fn answered(&mut self, index: usize, answered: Answered, now: Duration, luck: f64) {
        self.due[index] = match answered {
            Answered::Well => Some(now + self.every),
            Answered::More => Some(now),
            Answered::Wait(said) => {
                let wait = self.backoff.wait(now, luck);
                self.held = now + said.unwrap_or(wait);
                // Behind the others: they get their turn, too.
                Some(self.held)
            }
            Answered::Never => None,
        };
        if matches!(answered, Answered::Well | Answered::More) {
            self.backoff.well(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(asks: usize, every: Duration, rates: &[Rate]) -> Schedule {
        Schedule::new(asks, every, rates, Backoff::new(SECOND, SECOND * 60, Duration::ZERO))
    }

    #[test]
    fn each_is_asked_in_its_turn_and_again_in_its_time() {
        let mut schedule = schedule(2, SECOND * 10, &[]);
        assert_eq!(schedule.next(), Some((0, Duration::ZERO)));
        schedule.answered(0, Answered::Well, SECOND, 1.0);
        assert_eq!(schedule.next(), Some((1, Duration::ZERO)));
        schedule.answered(1, Answered::More, SECOND * 2, 1.0);
        assert_eq!(schedule.next(), Some((1, SECOND * 2)), "there is more of it");
        schedule.answered(1, Answered::Never, SECOND * 3, 1.0);
        assert_eq!(schedule.next(), Some((0, SECOND * 11)));
        schedule.answered(0, Answered::Never, SECOND * 11, 1.0);
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn a_refusal_holds_up_all_for_longer_and_longer_and_an_answer_starts_it_over() {
        let mut schedule = schedule(2, SECOND * 10, &[]);
        schedule.answered(0, Answered::Wait(None), Duration::ZERO, 1.0);
        assert_eq!(schedule.next(), Some((1, SECOND)));
        schedule.answered(1, Answered::Wait(None), SECOND, 1.0);
        assert_eq!(schedule.next(), Some((0, SECOND * 3)));
        schedule.answered(0, Answered::Wait(Some(SECOND * 100)), SECOND * 3, 1.0);
        assert_eq!(schedule.next(), Some((1, SECOND * 103)));
        schedule.answered(1, Answered::Well, SECOND * 103, 1.0);
        schedule.answered(0, Answered::Wait(None), SECOND * 104, 1.0);
        assert_eq!(schedule.next(), Some((0, SECOND * 105)));
    }

    proptest! {
        /// Whatever is answered, and however late we come.
        #[test]
        fn no_window_of_any_rate_holds_more_than_it_allows(
            answers in prop::collection::vec((0u8..4, 0u64..3_000), 1..200),
        ) {
            let rates = [Rate::new(1, SECOND), Rate::new(5, SECOND * 60), Rate::new(25, SECOND * 3_600)];
            let mut schedule = schedule(3, SECOND * 2, &rates);
            let mut asked: Vec<Duration> = Vec::new();
            for (answer, late) in answers {
                let Some((index, at)) = schedule.next() else { break };
                let now = at.max(asked.last().copied().unwrap_or_default()) + Duration::from_millis(late);
                for rate in rates {
                    let recent = asked.iter().filter(|before| now - **before < rate.per).count();
                    prop_assert!(recent < rate.burst as usize, "{recent} within {:?}", rate.per);
                }
                schedule.asked(now);
                asked.push(now);
                let answered = [Answered::Well, Answered::More, Answered::Wait(None), Answered::Well][answer as usize];
                schedule.answered(index, answered, now, 1.0);
            }
        }
    }
}
