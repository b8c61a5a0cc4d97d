//! What a run did, as counts: the ledger that `up --once` prints.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use harness::grouped;
use serde::Serialize;

/// `up --once --json` prints exactly this.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Events that ingest took from its feeds: written now, or found in Kafka from an earlier run.
    pub read: u64,
    pub topics: BTreeMap<String, BTreeMap<i32, Counts>>,
    /// Records that the aggregator consumed; the sum of `outcomes`.
    pub consumed: u64,
    pub outcomes: BTreeMap<String, u64>,
    /// The same by partition of `raw-market-data`.
    pub outcomes_by_partition: BTreeMap<i32, BTreeMap<String, u64>>,
    /// What could not be taken, by reason: rows of the feed, and records that aggregate or alert set aside.
    pub invalid: BTreeMap<String, u64>,
    /// What a feed holds besides market events that are taken, by kind.
    pub ignored: BTreeMap<String, u64>,
    pub metrics: u64,
    pub alerts: u64,
    pub store: Stored,
    pub seconds: f64,
}

#[derive(Debug, Default, Clone, Serialize)]
pub struct Counts {
    /// Records that this run wrote to the partition.
    pub produced: u64,
    /// The partition's end offset now; markers of transactions take offsets, too.
    pub end: i64,
}

#[derive(Debug, Default, Serialize)]
pub struct Stored {
    pub objects: u64,
    pub rows: u64,
    pub bytes: u64,
    /// Offsets stored as rows, by topic and partition.
    pub topics: BTreeMap<String, BTreeMap<i32, u64>>,
    pub partitions: BTreeMap<String, BTreeMap<i32, Share>>,
}

/// What the store made of one partition.
#[derive(Debug, Default, Serialize)]
pub struct Share {
    pub objects: u64,
    pub rows: u64,
    /// Records that are no row of any table, by reason.
    pub skipped: BTreeMap<String, u64>,
}

impl Report {
    /// The same for a person.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut line =
            |name: &str, value: String| writeln!(text, "{name:<12} {value}").expect("a string takes everything");
        line("read", grouped(self.read));
        for (topic, partitions) in &self.topics {
            let produced: u64 = partitions.values().map(|counts| counts.produced).sum();
            let ends: Vec<String> =
                partitions.iter().map(|(partition, counts)| format!("{partition}:{}", counts.end)).collect();
            line("produced", format!("{:>12}  {topic}  (ends {})", grouped(produced), ends.join(" ")));
        }
        line("consumed", format!("{}  = {}", grouped(self.consumed), counted(&self.outcomes)));
        if !self.invalid.is_empty() {
            line("invalid", counted(&self.invalid));
        }
        if !self.ignored.is_empty() {
            line("ignored", counted(&self.ignored));
        }
        line("metrics", grouped(self.metrics));
        line("alerts", grouped(self.alerts));
        line("stored", format!("{} rows in {} objects", grouped(self.store.rows), grouped(self.store.objects)));
        line("seconds", format!("{:.1}", self.seconds));
        text
    }
}

fn counted(counts: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> = counts.iter().map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
    if words.is_empty() { "0".to_owned() } else { words.join(" + ") }
}
