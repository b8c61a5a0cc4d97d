//! When the next event is due. Pure: the caller reads the clock and does the waiting.

/// How a replay is paced.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As fast as Kafka takes it.
    Max,
    /// As recorded, times this factor.
    Recorded(f64),
    /// This many per second, evenly.
    Rate(f64),
}

/// A backlog older than this is not made up for at a fixed rate: "100 a second" shall not become a burst of thousands
/// because Kafka was away for a minute.
const LONGEST_BACKLOG_NS: i64 = 1_000_000_000;

pub struct Pacer {
    pace: Pace,
    /// The clock and the recorded time of the first event.
    origin: Option<(i64, i64)>,
    /// The clock from which a fixed rate counts, and the events since.
    counted: Option<(i64, u64)>,
}

impl Pacer {
    pub fn new(pace: Pace) -> Self {
        Pacer { pace, origin: None, counted: None }
    }

    /// The clock reading at which an event recorded at `recorded` is due; `now` if it is due at once.
    pub fn due(&mut self, recorded: i64, now: i64) -> i64 {
        match self.pace {
            Pace::Max => now,
            Pace::Recorded(factor) => {
                let (clock, first) = *self.origin.get_or_insert((now, recorded));
                let elapsed = recorded.saturating_sub(first) as f64 / factor;
                clock.saturating_add(elapsed as i64)
            }
            Pace::Rate(per_second) => {
                let (clock, count) = self.counted.get_or_insert((now, 0));
                let due = clock.saturating_add((*count as f64 / per_second * 1e9) as i64);
                *count += 1;
                if now - due > LONGEST_BACKLOG_NS {
                    self.counted = Some((now, 1));
                }
                due
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    #[test]
    fn recorded_time_is_stretched_by_the_factor() {
        let mut pacer = Pacer::new(Pace::Recorded(60.0));
        assert_eq!(pacer.due(1_000 * SECOND, 5 * SECOND), 5 * SECOND);
        assert_eq!(pacer.due(1_060 * SECOND, 5 * SECOND), 6 * SECOND);
        assert_eq!(pacer.due(1_600 * SECOND, 9 * SECOND), 15 * SECOND, "the wait does not depend on when it is asked");
    }

    #[test]
    fn a_rate_is_even_and_does_not_make_up_for_a_long_stop() {
        let mut pacer = Pacer::new(Pace::Rate(4.0));
        let dues: Vec<i64> = (0..4).map(|_| pacer.due(0, 0)).collect();
        assert_eq!(dues, [0, SECOND / 4, SECOND / 2, 3 * SECOND / 4]);
        let after_stop = 60 * SECOND;
        assert!(pacer.due(0, after_stop) <= after_stop);
        assert_eq!(pacer.due(0, after_stop), after_stop + SECOND / 4);
    }

    #[test]
    fn unpaced_is_due_at_once() {
        assert_eq!(Pacer::new(Pace::Max).due(99, 7), 7);
    }
}
