//! The topics of Finflow: names, partitions and settings, as `docs/topics.md` fixes them.

use std::time::Duration;

/// What a topic should look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    pub name: String,
    pub partitions: i32,
    pub cleanup: Cleanup,
    /// Meaningful with [`Cleanup::Delete`] only.
    pub retention: Duration,
    /// Bytes of the largest batch of records; `None` leaves it to the cluster.
    pub largest: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleanup {
    /// Old records go after the retention.
    Delete,
    /// The last record of each key stays for ever.
    Compact,
}

pub const RAW: &str = "raw-market-data";
pub const METRICS: &str = "aggregated-metrics";
pub const ALERTS: &str = "price-alerts";
pub const DEAD_LETTERS: &str = "dead-letter-queue";
pub const AGGREGATE_STATE: &str = "finflow-aggregate-state";
pub const ALERT_STATE: &str = "finflow-alert-state";
pub const LEASES: &str = "finflow-leases";

/// Twice what the other topics take by default: a dead letter is the original and its headers.
const LETTER: usize = 2 << 20;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// Every topic, in the order of `docs/topics.md`.
pub fn all() -> Vec<Spec> {
    vec![
        Spec::delete(RAW, 3),
        Spec::delete(METRICS, 3),
        Spec::delete(ALERTS, 2),
        Spec::delete(DEAD_LETTERS, 1).largest(LETTER),
        // As many partitions as its input has: partition n of the state belongs to partition n of the input.
        Spec::compact(AGGREGATE_STATE, 3),
        Spec::compact(ALERT_STATE, 3),
        Spec::compact(LEASES, 1),
    ]
}

/// The spec of that name, if it is one of ours.
pub fn find(name: &str) -> Option<Spec> {
    all().into_iter().find(|spec| spec.name == name)
}

impl Spec {
    pub fn delete(name: impl Into<String>, partitions: i32) -> Self {
        Spec { name: name.into(), partitions, cleanup: Cleanup::Delete, retention: WEEK, largest: None }
    }

    pub fn compact(name: impl Into<String>, partitions: i32) -> Self {
        Spec { name: name.into(), partitions, cleanup: Cleanup::Compact, retention: WEEK, largest: None }
    }

    pub fn largest(self, bytes: usize) -> Self {
        Spec { largest: Some(bytes), ..self }
    }

    /// The topic's settings on a cluster that keeps `replication` copies.
    ///
    /// `LogAppendTime`: event time lives in the value only. With event time as Kafka's timestamp, a replay of old data
    /// would be deleted by retention at once. `compression.type=producer`: the broker keeps the producer's batches as
    /// they are instead of packing them again.
    pub fn settings(&self, replication: i32) -> Vec<(&'static str, String)> {
        // One copy may be away for a while without stopping the producers, and a write never rests on one copy alone.
        let min_in_sync = if replication >= 3 { 2 } else { 1 };
        let mut settings = vec![
            ("cleanup.policy", self.cleanup.as_str().to_owned()),
            ("message.timestamp.type", "LogAppendTime".to_owned()),
            ("compression.type", "producer".to_owned()),
            ("min.insync.replicas", min_in_sync.to_string()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        match self.cleanup {
            Cleanup::Delete => settings.push(("retention.ms", self.retention.as_millis().to_string())),
            // A restore slower than this could miss that a key was deleted.
            Cleanup::Compact => {
                settings.push(("delete.retention.ms", (24 * 3600 * 1000).to_string()));
                // What a restore reads besides the live keys: the open segment is never compacted, and the others are left
                // alone until so much of them is old.
                settings.push(("segment.bytes", (32 << 20).to_string()));
                settings.push(("min.cleanable.dirty.ratio", "0.2".to_owned()));
            }
        }
        settings.extend(self.largest.map(|bytes| ("max.message.bytes", bytes.to_string())));
        settings
    }
}

impl Cleanup {
    pub fn as_str(self) -> &'static str {
        match self {
            Cleanup::Delete => "delete",
            Cleanup::Compact => "compact",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table at the head of `docs/topics.md` and this code say the same.
    #[test]
    fn the_documented_table_is_the_code() {
        let page = include_str!("../../../docs/topics.md");
        let rows: Vec<Vec<&str>> = page
            .lines()
            .skip_while(|line| !line.starts_with("| Topic | Partitions | Cleanup |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let partitions_of = |name: &str| find(name).expect("a topic of ours").partitions;
        let documented: Vec<Spec> = rows
            .iter()
            .map(|row| {
                let partitions = match row[1] {
                    "as raw" => partitions_of(RAW),
                    "as metrics" => partitions_of(METRICS),
                    number => number.parse().expect("a number of partitions"),
                };
                match row[2] {
                    "delete, 7 d" => Spec::delete(row[0].trim_matches('`'), partitions),
                    "delete, 7 d; 2 MiB" => Spec::delete(row[0].trim_matches('`'), partitions).largest(2 << 20),
                    "compact" => Spec::compact(row[0].trim_matches('`'), partitions),
                    other => panic!("cleanup {other} of {}", row[0]),
                }
            })
            .collect();
        assert_eq!(documented, all());
    }

    #[test]
    fn a_write_never_rests_on_one_copy_where_there_are_three() {
        let setting = |replication, name: &str| {
            let settings = find(RAW).expect("a topic of ours").settings(replication);
            settings.into_iter().find(|(found, _)| *found == name).map(|(_, value)| value)
        };
        assert_eq!(setting(1, "min.insync.replicas").as_deref(), Some("1"));
        assert_eq!(setting(3, "min.insync.replicas").as_deref(), Some("2"));
        assert_eq!(setting(3, "unclean.leader.election.enable").as_deref(), Some("false"));
        assert_eq!(setting(3, "retention.ms").as_deref(), Some("604800000"));
        assert_eq!(setting(3, "message.timestamp.type").as_deref(), Some("LogAppendTime"));
    }
}
