//! How long to wait before the next try: doubling, capped, with full jitter.
//!
//! Full jitter (anything from nothing to the whole wait) keeps clients that were cut together from coming back together.
//! The doubling starts over only after a spell in which all went well: a venue that accepts and cuts at once is left alone
//! for longer and longer, too.

use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    healthy: Duration,
    tries: u32,
    /// Since when all has been well.
    well_since: Option<Duration>,
}

impl Backoff {
    pub fn new(least: Duration, most: Duration, healthy: Duration) -> Self {
        Backoff { least, most: most.max(least), healthy, tries: 0, well_since: None }
    }

    /// All is well from now on.
    pub fn well(&mut self, now: Duration) {
        self.well_since.get_or_insert(now);
    }

    /// It is not any more. The wait before the next try; `luck` is from 0 to 1.
    pub fn wait(&mut self, now: Duration, luck: f64) -> Duration {
        if self.well_since.take().is_some_and(|since| now.saturating_sub(since) >= self.healthy) {
            self.tries = 0;
        }
        let longest = self.least.saturating_mul(1u32 << self.tries.min(20)).min(self.most);
        self.tries = self.tries.saturating_add(1);
        longest.mul_f64(luck.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn backoff() -> Backoff {
        Backoff::new(SECOND / 2, SECOND * 60, SECOND * 30)
    }

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_takes_any_part_of_them() {
        let mut backoff = backoff();
        let waits: Vec<f64> = (0..10).map(|_| backoff.wait(Duration::ZERO, 1.0).as_secs_f64()).collect();
        assert_eq!(waits, [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]);
        assert_eq!(backoff.wait(Duration::ZERO, 0.0), Duration::ZERO);
        assert_eq!(backoff.wait(Duration::ZERO, 0.25), SECOND * 15);
        for _ in 0..100 {
            assert!(backoff.wait(Duration::ZERO, 1.0) <= SECOND * 60);
        }
    }

    #[test]
    fn only_a_healthy_spell_starts_it_over() {
        let mut backoff = backoff();
        for _ in 0..5 {
            backoff.wait(Duration::ZERO, 1.0);
        }
        // Accepted and cut after 29 s: no better than not accepted.
        backoff.well(SECOND * 100);
        assert_eq!(backoff.wait(SECOND * 129, 1.0), SECOND * 16);
        backoff.well(SECOND * 200);
        backoff.well(SECOND * 229);
        assert_eq!(backoff.wait(SECOND * 230, 1.0), SECOND / 2);
    }
}
