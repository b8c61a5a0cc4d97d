//! How far behind a partition is: in messages, and in seconds since the oldest record not yet handed out was written.

use prometheus::{GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::TopicPartition;
use crate::env::Env;
use crate::native::group::EventKind;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Lag {
    /// Offsets between the position and the end; never negative.
    pub messages: i64,
    /// Age of the oldest record not yet handed out; 0 when there is none.
    pub seconds: f64,
}

/// What is known of the age of the next record without having read it.
///
/// The broker writes timestamps in order, so the next record is no older than the last one handed out, and no older
/// than the moment we had seen the end. While nothing was read yet, the moment of the assignment stands in.
#[derive(Debug)]
pub(crate) struct Tracker {
    not_before_ms: i64,
}

impl Tracker {
    pub(crate) fn new(now_ms: i64) -> Self {
        Tracker { not_before_ms: now_ms }
    }

    pub(crate) fn handed_out(&mut self, timestamp_ms: i64) {
        self.not_before_ms = timestamp_ms;
    }

    pub(crate) fn caught_up(&mut self, now_ms: i64) {
        self.not_before_ms = self.not_before_ms.max(now_ms);
    }

    pub(crate) fn at(&self, position: i64, high: Option<i64>, now_ms: i64) -> Lag {
        let messages = high.map_or(0, |high| (high - position).max(0));
        if messages == 0 {
            return Lag::default();
        }
        Lag { messages, seconds: (now_ms - self.not_before_ms).max(0) as f64 / 1000.0 }
    }
}

pub(super) struct Metrics {
    lag_records: IntGaugeVec,
    lag_seconds: GaugeVec,
    pub(super) assigned: IntGauge,
    pub(super) records: IntCounter,
    pub(super) commits: IntCounterVec,
    pub(super) commit_seconds: Histogram,
    rebalances: IntCounterVec,
    pub(super) expired: IntCounter,
}

impl Metrics {
    pub(super) fn new(env: &Env) -> Self {
        let by = &["topic", "partition"];
        let m = &env.metrics;
        Metrics {
            lag_records: m.gauges("consumer_lag_records", "Records between the position and the end.", by, &[]),
            lag_seconds: m.float_gauges(
                "consumer_lag_seconds",
                "Age of the oldest record not yet taken from Kafka; 0 when there is none.",
                by,
                &[],
            ),
            assigned: m.gauge("consumer_assigned_partitions", "Partitions this process owns; 0 means it is a spare."),
            records: m.counter("consumer_records_total", "Records taken from Kafka."),
            commits: m.counters(
                "consumer_commits_total",
                "Commits of positions by their result.",
                &["result"],
                &[&["ok"], &["refused"], &["failed"]],
            ),
            commit_seconds: m.histogram(
                "commit_seconds",
                "Time from the start of a commit to Kafka's answer.",
                harness::SECONDS,
            ),
            expired: m
                .counter("consumer_expired_records_total", "Records that the retention took before they were read."),
            rebalances: m.counters(
                "consumer_rebalances_total",
                "What the group told this member.",
                &["event"],
                &[&["assigned"], &["revoked"], &["lost"]],
            ),
        }
    }

    pub(super) fn rebalance(&self, kind: EventKind) {
        let event = match kind {
            EventKind::Assign => "assigned",
            EventKind::Revoke => "revoked",
            EventKind::Lost => "lost",
        };
        self.rebalances.with_label_values(&[event]).inc();
    }

    pub(super) fn open(&self, tp: &TopicPartition) {
        self.set(tp, Lag::default());
    }

    pub(super) fn set(&self, tp: &TopicPartition, lag: Lag) {
        let partition = tp.partition.to_string();
        self.lag_records.with_label_values(&[&*tp.topic, &partition]).set(lag.messages);
        self.lag_seconds.with_label_values(&[&*tp.topic, &partition]).set(lag.seconds);
    }

    /// Whoever owns it now tells its lag: two tellers would be added up.
    pub(super) fn close(&self, tp: &TopicPartition) {
        let partition = tp.partition.to_string();
        let labels: [&str; 2] = [&tp.topic, &partition];
        // Absent already is as good.
        let _ = self.lag_records.remove_label_values(&labels);
        let _ = self.lag_seconds.remove_label_values(&labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_the_age_of_what_waits_and_never_negative() {
        let mut tracker = Tracker::new(1_000);
        assert_eq!(tracker.at(5, Some(5), 9_000), Lag::default());
        tracker.handed_out(4_000);
        assert_eq!(tracker.at(6, Some(8), 9_000), Lag { messages: 2, seconds: 5.0 });
        // The end as known is older than the position.
        assert_eq!(tracker.at(9, Some(8), 9_000), Lag::default());
        // An hour of silence at the end is not an hour of lag when the next record comes.
        tracker.caught_up(3_600_000);
        assert_eq!(tracker.at(9, Some(10), 3_600_500), Lag { messages: 1, seconds: 0.5 });
        // The broker's clock is ahead of ours.
        tracker.handed_out(3_700_000);
        assert_eq!(tracker.at(9, Some(10), 3_600_500), Lag { messages: 1, seconds: 0.0 });
    }
}
