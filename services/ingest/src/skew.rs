//! How far our clock is from a venue's: the least time from a trade to its receipt in the last minutes.
//!
//! What is left of that when the way takes next to nothing is the difference of the clocks. Below zero it surely is: nothing is
//! received before it happens, so our clock, or the recorder's, is behind the venue's by at least as much.

/// The least of five to ten minutes is told: two spells of five.
const SPELL_NS: i64 = 300_000_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Skew {
    /// When the spell began, by the times of receipt.
    since: i64,
    least: i64,
    least_before: i64,
}

impl Default for Skew {
    fn default() -> Self {
        Skew { since: i64::MIN, least: i64::MAX, least_before: i64::MAX }
    }
}

impl Skew {
    pub fn note(&mut self, received: i64, happened: i64) {
        // A replay that begins again goes back in time.
        if received.saturating_sub(self.since) >= SPELL_NS || received < self.since {
            (self.since, self.least_before, self.least) = (received, self.least, i64::MAX);
        }
        self.least = self.least.min(received.saturating_sub(happened));
    }

    /// In seconds; 0 before anything has come.
    pub fn seconds(&self) -> f64 {
        match self.least.min(self.least_before) {
            i64::MAX => 0.0,
            least => least as f64 / 1e9,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn the_least_of_the_last_minutes_is_told() {
        let mut skew = Skew::default();
        assert_eq!(skew.seconds(), 0.0);
        for (received, happened, told) in [
            (1_000 * S, 999 * S, 1.0),
            (1_001 * S, 1_003 * S, -2.0),
            (1_299 * S, 1_298 * S, -2.0),
            // The spell of the least one is the one before.
            (1_301 * S, 1_300 * S, -2.0),
            (1_602 * S, 1_599 * S, 1.0),
            (1_903 * S, 1_900 * S, 3.0),
            (10 * S, 9 * S, 1.0),
        ] {
            skew.note(received, happened);
            assert_eq!(skew.seconds(), told, "at {received}");
        }
    }
}
