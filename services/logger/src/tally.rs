//! What was seen, counted: the logger's ledger. Every record is either `seen` or `invalid`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::order::Findings;

#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    pub records: u64,
    pub bytes: u64,
    pub seen: u64,
    /// Why records could not be read, by reason.
    pub invalid: BTreeMap<String, u64>,
    /// What was seen: trades, quotes, metrics and so on.
    pub kinds: BTreeMap<&'static str, u64>,
    pub checks: Checks,
    pub partitions: BTreeMap<String, Outcomes>,
    pub symbols: usize,
    pub printed: u64,
    pub not_printed: u64,
    pub seconds: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outcomes {
    pub seen: u64,
    pub invalid: u64,
}

/// How often each check of order and key failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Checks {
    pub time_backwards: u64,
    pub id_backwards: u64,
    pub id_repeated: u64,
    /// A symbol came from another partition than before.
    pub moved_partition: u64,
    /// The key of the record is not its symbol.
    pub wrong_key: u64,
    /// Not checked: more symbols than are remembered.
    pub untracked: u64,
}

impl Checks {
    /// Names and counts, for metrics and the log.
    pub fn all(&self) -> [(&'static str, u64); 6] {
        [
            ("time_backwards", self.time_backwards),
            ("id_backwards", self.id_backwards),
            ("id_repeated", self.id_repeated),
            ("moved_partition", self.moved_partition),
            ("wrong_key", self.wrong_key),
            ("untracked", self.untracked),
        ]
    }

    pub fn add(&mut self, findings: Findings) {
        self.time_backwards += u64::from(findings.time_backwards);
        self.id_backwards += u64::from(findings.id_backwards);
        self.id_repeated += u64::from(findings.id_repeated);
        self.moved_partition += u64::from(findings.moved_from.is_some());
        self.untracked += u64::from(findings.untracked);
    }
}

impl Summary {
    pub fn invalid_total(&self) -> u64 {
        self.invalid.values().sum()
    }

    pub fn seen(&mut self, kind: &'static str) {
        self.seen += 1;
        *self.kinds.entry(kind).or_default() += 1;
    }

    pub fn invalid(&mut self, reason: &str) {
        match self.invalid.get_mut(reason) {
            Some(count) => *count += 1,
            None => {
                self.invalid.insert(reason.to_owned(), 1);
            }
        }
    }
}
