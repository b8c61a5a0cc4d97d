//! A limit on how often: never more than `burst` in any span of `per`.
//!
//! Stricter than a bucket that fills up while a burst is being spent, since venues count in windows that begin when they
//! like and cut whoever exceeds one.

use std::collections::VecDeque;
use std::time::Duration;

use crate::venues::Rate;

#[derive(Clone, Debug)]
pub struct Bucket {
    rate: Rate,
    /// When each of the last `burst` was taken, oldest first.
    taken: VecDeque<Duration>,
}

impl Bucket {
    pub fn new(rate: Rate) -> Self {
        Bucket { rate, taken: VecDeque::new() }
    }

    /// When the next one may be taken: now or before if it may be now.
    pub fn free_at(&self) -> Duration {
        if self.taken.len() < self.rate.burst.max(1) as usize {
            return Duration::ZERO;
        }
        self.taken.front().map_or(Duration::ZERO, |oldest| *oldest + self.rate.per)
    }

    /// How many may be taken now.
    pub fn left(&self, now: Duration) -> u32 {
        let recent = self.taken.iter().filter(|at| now < **at + self.rate.per).count();
        self.rate.burst.max(1).saturating_sub(u32::try_from(recent).unwrap_or(u32::MAX))
    }

    /// Takes one if that is allowed now.
    pub fn take(&mut self, now: Duration) -> bool {
        if now < self.free_at() {
            return false;
        }
        if self.taken.len() >= self.rate.burst.max(1) as usize {
            self.taken.pop_front();
        }
        self.taken.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However it is asked, no window of the venue's ever holds more than it allows, and it is never stingy.
        #[test]
        fn no_window_ever_holds_more_than_the_limit(
            burst in 1u32..20,
            per_ms in 1u64..5_000,
            steps in prop::collection::vec(0u64..700, 1..300),
        ) {
            let per = Duration::from_millis(per_ms);
            let mut bucket = Bucket::new(Rate::new(burst, per));
            let mut now = Duration::ZERO;
            let mut taken: Vec<Duration> = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                let recent = taken.iter().filter(|at| now - **at < per).count();
                prop_assert_eq!(bucket.left(now), burst.saturating_sub(u32::try_from(recent).unwrap()));
                let took = bucket.take(now);
                prop_assert_eq!(took, recent < burst as usize, "{} in the last {:?} at {:?}", recent, per, now);
                if took {
                    taken.push(now);
                } else {
                    let free = bucket.free_at();
                    prop_assert!(free > now && bucket.clone().take(free));
                }
            }
        }
    }
}
