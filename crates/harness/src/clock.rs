//! The only place that reads the clocks of the machine, so that a test can hold time still.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The wall clock as integer nanoseconds since 1970 UTC. For measuring how long something took use `Instant`.
pub trait Clock: Send + Sync + 'static {
    fn now_ns(&self) -> i64;

    /// Nanoseconds since some moment, at the pace of real time, whatever the wall clock is set to meanwhile.
    fn steady_ns(&self) -> i64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // This is the clock that everybody else is told to use.
    fn now_ns(&self) -> i64 {
        use std::time::{SystemTime, UNIX_EPOCH};
        let now = SystemTime::now();
        match now.duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_nanos()).unwrap_or(i64::MAX),
        }
    }

    fn steady_ns(&self) -> i64 {
        static FIRST: OnceLock<Instant> = OnceLock::new();
        i64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(i64::MAX)
    }
}

/// A clock that moves only when it is told to. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub struct FakeClock(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    wall: AtomicI64,
    steady: AtomicI64,
}

impl FakeClock {
    pub fn at(now_ns: i64) -> Self {
        FakeClock(Arc::new(Times { wall: AtomicI64::new(now_ns), steady: AtomicI64::new(0) }))
    }

    /// As NTP or a person sets a clock: no time passes.
    pub fn set(&self, now_ns: i64) {
        self.0.wall.store(now_ns, Ordering::SeqCst);
    }

    /// Time passes.
    pub fn advance(&self, by: Duration) {
        let by_ns = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
        self.0.wall.fetch_add(by_ns, Ordering::SeqCst);
        self.0.steady.fetch_add(by_ns, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now_ns(&self) -> i64 {
        self.0.wall.load(Ordering::SeqCst)
    }

    fn steady_ns(&self) -> i64 {
        self.0.steady.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fake_clock_moves_only_when_told_and_its_clones_with_it() {
        let clock = FakeClock::at(-5);
        let other = clock.clone();
        assert_eq!(other.now_ns(), -5);
        clock.advance(Duration::from_secs(1));
        assert_eq!(other.now_ns(), 999_999_995);
        other.set(7);
        assert_eq!(clock.now_ns(), 7);
        assert_eq!(other.steady_ns(), 1_000_000_000, "set is not passed");
    }

    #[test]
    fn the_systems_clock_counts_nanoseconds_since_1970() {
        // Between 2024 and 2100: seconds or milliseconds would be far outside.
        let now = SystemClock.now_ns();
        assert!((1_704_067_200_000_000_000..4_102_444_800_000_000_000).contains(&now), "{now}");
    }
}
