//! The transactional stage: input topic → state per partition → outputs, changelog and offsets in one transaction.
//!
//! A [`Stage`] is pure: it folds records into a [`Stage::Part`] and says what to write. Everything else is here, once,
//! for all stages: taking partitions over, restoring their state, batching, committing, fencing, draining.

mod engine;
mod ledger;
mod marks;
mod meta;
mod observe;
mod outbox;
mod repartition;
mod restore;
mod surroundings;
mod transaction;
#[doc(hidden)]
pub mod world;

use std::time::Duration;

use crate::config::KafkaConfig;
use crate::consumer::Start;
use crate::env::Env;
use crate::record::Record;
use crate::topic;

pub use ledger::{Counts, Ledger, Outcome};
pub use meta::{Past, Stretch};
pub use outbox::{Changelog, Outbox};
pub use repartition::{Repartitioned, repartition};

/// What a stage does with its records. All calls come from one thread, a partition's in the order of its offsets.
///
/// The state of a partition must be a function of the records read and the ticks seen, and [`Stage::snapshot`] must
/// write all of it that changed: after a restart it is what [`Stage::restore`] makes of the changelog.
pub trait Stage {
    /// The state of one input partition.
    type Part;

    /// Raised when what `snapshot` writes can no longer be read by an older `restore`, or the other way round. A
    /// changelog of another layout is refused, not misread.
    fn layout(&self) -> u32 {
        1
    }

    fn new_part(&mut self, partition: i32) -> Self::Part;

    /// One record of the changelog, in the order it was written; `None` is the deletion of the key.
    fn restore(&mut self, part: &mut Self::Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()>;

    /// The key of the input's records whose state this key of the changelog holds. With it the state finds its way when
    /// the number of partitions changes; `None` is a key that this stage never writes.
    fn owner<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        Some(key)
    }

    /// After the last `restore`, before the first `record`. Nothing to restore: called as well.
    fn restored(&mut self, _part: &mut Self::Part, _past: &Past) -> anyhow::Result<()> {
        Ok(())
    }

    /// Folds one record. Exactly one outcome each: consumed is their sum.
    fn record(&mut self, part: &mut Self::Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome;

    /// Called now and then with the time, for what happens without a record. What it changes is committed if it wrote
    /// to `out` or called [`Outbox::touch`].
    fn tick(&mut self, part: &mut Self::Part, tick: Tick, out: &mut Outbox<'_>);

    /// Writes the keys that changed since the last snapshot.
    fn snapshot(&mut self, part: &mut Self::Part, log: &mut Changelog<'_>);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The wall clock, nanoseconds since 1970.
    pub now_ns: i64,
    /// Every record that was in the partition a moment ago has been folded, and no transaction is open that could put
    /// an earlier one before the end. Only then may the clock close anything.
    pub caught_up: bool,
    /// The input has ended for good (`--until-end`): close what the end of input closes.
    pub ending: bool,
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub group: String,
    pub input: String,
    /// Compacted, with as many partitions as the input.
    pub changelog: String,
    /// Topics that the stage emits to; waited for at the start.
    pub outputs: Vec<String>,
    pub dead_letters: String,
    /// All reasons that the stage gives to [`Outbox::dead_letter`].
    pub reasons: Vec<&'static str>,
    /// Where to begin when there is neither a committed position nor state.
    pub start: Start,
    /// Names this process to the brokers, the same at each start and never two processes at once. Empty: group and
    /// host name.
    pub transactional_id: String,
    /// Longest a record waits for its transaction under backlog, ten times longer while that goes on; without backlog it is
    /// committed at once.
    pub commit_interval: Duration,
    /// Most records in one transaction.
    pub commit_records: usize,
    pub tick_interval: Duration,
    /// After this the brokers abort an open transaction of a dead process; a new owner may have to wait for it.
    pub transaction_timeout: Duration,
    /// Throws the state away and folds the input again from its start. What was emitted is emitted again.
    pub rebuild: bool,
    /// Folds only the first so many partitions, as if there were no others, and closes nothing by the clock: what was
    /// there before their number was raised. For [`repartition`].
    pub only: Option<i32>,
}

impl Settings {
    pub fn new(group: impl Into<String>, input: impl Into<String>, changelog: impl Into<String>) -> Self {
        Settings {
            group: group.into(),
            input: input.into(),
            changelog: changelog.into(),
            outputs: Vec::new(),
            dead_letters: topic::DEAD_LETTERS.to_owned(),
            reasons: Vec::new(),
            start: Start::Earliest,
            transactional_id: String::new(),
            commit_interval: Duration::from_millis(20),
            commit_records: 200_000,
            tick_interval: Duration::from_millis(100),
            transaction_timeout: Duration::from_secs(10),
            rebuild: false,
            only: None,
        }
    }
}

/// Runs the stage on this thread until the shutdown, or until the drain is set and everything that was there then is
/// folded and committed. Stopped before Kafka answered for the first time, it has done nothing, and that is no failure.
pub fn run<S: Stage>(env: &Env, kafka: &KafkaConfig, settings: &Settings, stage: &mut S) -> anyhow::Result<Ledger> {
    world::run(env, settings, stage, || world::Kafka::connect(env, kafka, settings))
}
