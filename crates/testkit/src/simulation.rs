//! A whole cluster in one thread: stages with state, run as they are, through whatever a seed brings.
//!
//! [`Simulation::run`] plays one history: a few processes of one group, each the real loop of
//! [`streams::stateful`] as a coroutine, on brokers that are a few structs. Every call that a process makes may be the
//! moment for somebody else's turn, for a crash, for a pause after which its partitions belong to others. The clock is
//! moved by the scheduler alone, so a seed is a history, and the same one each time.
//!
//! The group is shared by one of three protocols: eager, cooperative, or that of KIP-848.
//!
//! What goes wrong: crashes, stops (also in the middle of reading state back), sleepers, members thrown out, rebalances
//! of both kinds, transactions aborted or timed out, requests and replies of a commit lost, two processes with one
//! transactional id, commit markers that reach the changelog and the positions in any order and late, upstream
//! transactions left open, committed and aborted, a cleaner at work on the changelog. After some seconds all of it ends,
//! and everything must come right.
//!
//! What is not simulated: librdkafka, and what [`streams::Consumer`] and its transactional producer make of it; a
//! broker that fails; retention of the input.
//!
//! Each [`Lie`] breaks one rule that the loop relies on or keeps. A simulation that does not notice them proves nothing.

mod cluster;
mod group;
mod history;
mod log;
mod process;
mod producer;
mod reader;
mod seeds;
mod shared;
mod watched;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use streams::stateful::world::Failure;
use streams::stateful::{Counts, Ledger, Settings};
use streams::{Env, OwnedRecord};

pub use history::START_NS;
pub use seeds::{Failed, Played, play};

/// A stage and what it is to be shown.
pub struct Simulation<S> {
    pub settings: Settings,
    /// Partitions of every topic that the settings name.
    pub topics: BTreeMap<String, i32>,
    /// Some stretches of the input come in transactions, which end later and not always with a commit.
    pub upstream: bool,
    pub stage: Rc<dyn Fn(&Env) -> S>,
    pub feed: Rc<Feed>,
    pub check: Rc<Check>,
}

/// The records of one history.
pub type Feed = dyn Fn(&mut fastrand::Rng) -> Vec<Fed>;

/// What must be true at the end.
pub type Check = dyn Fn(&Ended) -> Result<(), String>;

/// A record for the input, at its time.
#[derive(Debug, Clone)]
pub struct Fed {
    pub at: Duration,
    pub partition: i32,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
}

/// What is there when everything has ended.
#[derive(Debug, Default)]
pub struct Ended {
    /// Committed records of every topic, by partition.
    pub topics: BTreeMap<String, Vec<Vec<OwnedRecord>>>,
    /// What the last mark of each partition counts.
    pub counts: BTreeMap<i32, Counts>,
    /// Of the processes that ended in order.
    pub ledgers: Vec<Ledger>,
    pub stats: Stats,
}

/// Rules that can be broken, by the names of the runs of `agg.py` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// G1: the state is read before the positions are.
    RestoreFirst,
    /// G2: positions that a transaction is just committing are told as they were before.
    UnstablePositions,
    /// G3: the state is read to the end of what is decided, not to the end of what was written.
    StableEnd,
    /// G4: positions that have not changed are not sent.
    UnchangedPositionsLeftOut,
    /// G5: membership as it is when it is sent, not as it was when the partitions were assigned.
    MembershipOfNow,
    /// G7: a member that was thrown out shows nothing, and is let through.
    MembershipEmptied,
    /// A7: the loop is not told that its partitions were lost when they come back to it.
    LossKept,
    /// KIP-848: one that was thrown out has a new epoch before the loop has heard of its loss.
    JoinedUnheard,
    /// A8: an unknown outcome is taken for an abort, and the batch is tried again.
    UnknownSaidAborted,
    /// A11: a transaction that is open upstream counts for nothing at the end of a partition.
    OpenTransactionIgnored,
}

impl Lie {
    pub const ALL: [Lie; 10] = [
        Lie::RestoreFirst,
        Lie::UnstablePositions,
        Lie::StableEnd,
        Lie::UnchangedPositionsLeftOut,
        Lie::MembershipOfNow,
        Lie::MembershipEmptied,
        Lie::LossKept,
        Lie::JoinedUnheard,
        Lie::UnknownSaidAborted,
        Lie::OpenTransactionIgnored,
    ];
}

/// How likely each call is to fail.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    aborted: f64,
    lost_request: f64,
    lost_reply: f64,
    retry: f64,
}

/// What happened in a history, or in many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub records: u64,
    pub committed: u64,
    pub aborted: u64,
    pub stale: u64,
    pub unknown: u64,
    pub generations: u64,
    pub starts: u64,
    pub crashes: u64,
    pub stops: u64,
    pub pauses: u64,
    /// Processes that gave up because another uses their transactional id.
    pub gave_up: u64,
    pub turns: u64,
}

impl Stats {
    fn end(&mut self, result: &Result<(), Failure>) {
        *match result {
            Ok(()) => &mut self.committed,
            Err(Failure::Aborted(_)) => &mut self.aborted,
            Err(Failure::Stale(_)) => &mut self.stale,
            Err(_) => &mut self.unknown,
        } += 1;
    }

    fn add(&mut self, other: &Stats) {
        self.records += other.records;
        self.committed += other.committed;
        self.aborted += other.aborted;
        self.stale += other.stale;
        self.unknown += other.unknown;
        self.generations += other.generations;
        self.starts += other.starts;
        self.crashes += other.crashes;
        self.stops += other.stops;
        self.pauses += other.pauses;
        self.gave_up += other.gave_up;
        self.turns += other.turns;
    }
}

/// Position and counts of the loop's own mark.
fn mark(value: &[u8]) -> (i64, Counts) {
    let value: serde_json::Value = serde_json::from_slice(value).unwrap_or_default();
    let counts = serde_json::from_value(value["counts"].clone()).unwrap_or_default();
    (value["next_offset"].as_i64().unwrap_or(-1), counts)
}
