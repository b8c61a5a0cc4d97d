//! Waiting for conditions instead of sleeping.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Asks `probe` until it answers `Some`, and returns that answer.
///
/// # Panics
/// When `deadline` has passed, with `what` in the message: the condition that never came true.
pub fn eventually<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    let mut pause = Duration::from_millis(2);
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// A name that no other test, process or earlier run uses.
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{millis:x}-{:x}-{n}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eventually_returns_the_first_answer() {
        let mut left = 3;
        let answer = eventually(Duration::from_secs(5), "three tries", || {
            left -= 1;
            (left == 0).then_some("now")
        });
        assert_eq!(answer, "now");
    }

    #[test]
    #[should_panic(expected = "not within 10ms: pigs fly")]
    fn eventually_names_what_never_happened() {
        eventually(Duration::from_millis(10), "pigs fly", || None::<()>);
    }

    #[test]
    fn names_differ() {
        assert_ne!(unique("t"), unique("t"));
    }
}
