//! The ledger of one run: what was read and what became of it.
//!
//! **Balance:** `read = skipped + ignored + invalid + lines with events`, and the events of those lines are
//! `produced + resumed`.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counts of one run of this process; a resumed replay counts what it did itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Lines, frames or list items read, headers and blank lines included.
    pub read: u64,
    /// Bytes read from files, compressed where they are.
    pub bytes: u64,
    /// Of `read`: passed over because an earlier run had finished with them.
    pub skipped: u64,
    /// Of `read`: those that hold events.
    pub lines: u64,
    /// Of `read`: well-formed, but no event, by kind of message.
    pub ignored: BTreeMap<String, u64>,
    /// Of `read`: could not be read, by reason.
    pub invalid: BTreeMap<String, u64>,
    /// Events written, by kind.
    pub events: BTreeMap<String, u64>,
    /// Events written, by partition of the output.
    pub produced: BTreeMap<i32, u64>,
    /// Events that an earlier run had written already.
    pub resumed: u64,
    /// Texts written to the dead letters (those of `invalid` that an earlier run had not written).
    pub dead_lettered: u64,
    pub feeds: Vec<FeedSummary>,
    pub seconds: f64,
}

/// One feed of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FeedSummary {
    pub name: String,
    pub format: String,
    pub read: u64,
    pub events: u64,
    /// Passes finished, over all runs.
    pub passes: u64,
    pub ended: bool,
    /// Why the feed could not be read, or not to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Summary {
    /// Events written, all partitions together.
    pub fn total(&self) -> u64 {
        self.produced.values().sum()
    }

    /// The feeds that failed, as one sentence each.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.feeds.iter().filter_map(|feed| feed.error.as_ref().map(|error| (feed, error)));
        failed.map(|(feed, error)| format!("feed `{}`: {error}", feed.name)).collect()
    }
}
