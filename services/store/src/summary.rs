//! The store's ledger: what this run stored, per topic and partition.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use crate::work::Receipt;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Records read, those that were read again for a claim of somebody else included.
    pub msgs: u64,
    /// Seconds from the first record on, 0 without one.
    pub wall_s: f64,
    /// CPU time of the process from the first record on, 0 without one.
    pub cpu_s_after_first: f64,
    pub objects: u64,
    pub rows: u64,
    pub bytes: u64,
    pub claims: u64,
    pub topics: BTreeMap<String, BTreeMap<i32, PartitionSummary>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionSummary {
    /// Everything below this offset is in the lake, whoever put it there.
    pub end: i64,
    pub objects: u64,
    pub rows: u64,
    /// Records that are no row, by reason.
    pub skipped: BTreeMap<String, u64>,
    /// Offsets without a record: transaction markers.
    pub markers: u64,
}

impl Summary {
    /// `claimed`: the claim is of this run too, not only objects that it left to be made.
    pub(crate) fn add(&mut self, receipt: &Receipt, claimed: bool) {
        let claim = &receipt.claim;
        self.objects += receipt.objects;
        self.rows += receipt.rows;
        self.bytes += receipt.bytes;
        let partition = self.topics.entry(claim.topic.clone()).or_default().entry(claim.partition).or_default();
        partition.end = claim.end + 1;
        partition.objects += receipt.objects;
        partition.rows += receipt.rows;
        if claimed {
            self.claims += 1;
            partition.markers += claim.markers;
            for (reason, count) in &claim.skips {
                *partition.skipped.entry(reason.clone()).or_default() += count;
            }
        }
    }

    /// Fills in what the run took since its first record: when that was, and the CPU time until then.
    pub(crate) fn took(&mut self, (began, cpu_s): (Instant, f64)) {
        self.wall_s = began.elapsed().as_secs_f64();
        self.cpu_s_after_first = harness::cpu_seconds() - cpu_s;
    }

    /// The place from which this run reads on.
    pub(crate) fn begins(&mut self, topic: &str, partition: i32, end: i64) {
        let partition = self.topics.entry(topic.to_owned()).or_default().entry(partition).or_default();
        partition.end = end;
    }
}
