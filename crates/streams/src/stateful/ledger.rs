//! What became of every record.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The one outcome of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Folded,
    Duplicate,
    Invalid,
    Late,
    OtherKind,
}

impl Outcome {
    pub const ALL: [Outcome; 5] =
        [Outcome::Folded, Outcome::Duplicate, Outcome::Invalid, Outcome::Late, Outcome::OtherKind];

    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Folded => "folded",
            Outcome::Duplicate => "duplicate",
            Outcome::Invalid => "invalid",
            Outcome::Late => "late",
            Outcome::OtherKind => "other_kind",
        }
    }
}

/// Records by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    pub folded: u64,
    pub duplicate: u64,
    pub invalid: u64,
    pub late: u64,
    pub other_kind: u64,
}

impl Counts {
    pub fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Folded => &mut self.folded,
            Outcome::Duplicate => &mut self.duplicate,
            Outcome::Invalid => &mut self.invalid,
            Outcome::Late => &mut self.late,
            Outcome::OtherKind => &mut self.other_kind,
        } += 1;
    }

    pub fn get(&self, outcome: Outcome) -> u64 {
        match outcome {
            Outcome::Folded => self.folded,
            Outcome::Duplicate => self.duplicate,
            Outcome::Invalid => self.invalid,
            Outcome::Late => self.late,
            Outcome::OtherKind => self.other_kind,
        }
    }

    /// Everything consumed.
    pub fn sum(&self) -> u64 {
        Outcome::ALL.iter().map(|outcome| self.get(*outcome)).sum()
    }

    pub fn plus(&self, other: &Counts) -> Counts {
        Counts {
            folded: self.folded + other.folded,
            duplicate: self.duplicate + other.duplicate,
            invalid: self.invalid + other.invalid,
            late: self.late + other.late,
            other_kind: self.other_kind + other.other_kind,
        }
    }
}

/// What this run committed. Only committed transactions count, so an abort leaves no trace here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// By input partition.
    pub consumed: BTreeMap<i32, Counts>,
    /// Records emitted, by topic.
    pub emitted: BTreeMap<String, u64>,
    /// The same, by topic and partition.
    pub emitted_to: BTreeMap<String, BTreeMap<i32, u64>>,
    /// Dead letters, by reason.
    pub dead_letters: BTreeMap<String, u64>,
    pub transactions: u64,
}

impl Ledger {
    pub fn outcomes(&self) -> Counts {
        self.consumed.values().fold(Counts::default(), |sum, counts| sum.plus(counts))
    }
}
