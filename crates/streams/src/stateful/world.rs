//! What the loop of a transactional stage needs from outside: a group, topics, transactions and the time.
//!
//! Programs run on [`Kafka`]. The simulation puts a cluster of its own in its place, where it decides what comes when
//! and what fails; the loop cannot tell. Not for other use, and no part of what this crate promises.

mod kafka;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::{Ledger, Settings, Stage};
use crate::consumer::{Polled, TopicPartition};
use crate::env::Env;
use crate::error::{Result, StreamError};

pub use super::outbox::{META_KEY, Pending, Write};
pub use super::transaction::Failure;
pub(super) use kafka::Kafka;

/// One member of the group, with its transactional producer. Used by one thread.
pub trait World {
    /// Who we are in the group, as a transaction must show it.
    type Membership;
    type Reader: Replay;

    /// Moves on by itself, never back.
    fn now(&self) -> Instant;

    fn since(&self, moment: Instant) -> Duration {
        self.now().saturating_duration_since(moment)
    }

    /// Sleeps, shorter if the shutdown is set meanwhile. Returns whether it is.
    fn wait(&self, timeout: Duration) -> bool;

    /// As [`crate::Consumer::poll`]: what the group says comes between the records and waits for an answer.
    fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>>;

    /// Answers [`Polled::Assigned`]. What has no position given is read from where the group stands.
    fn assign_at(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()>;

    /// Answers [`Polled::Revoked`] and [`Polled::Lost`].
    fn release(&mut self) -> Result<()>;

    /// As [`crate::Consumer::is_settled`].
    fn is_settled(&self) -> bool;

    fn seek(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()>;

    /// Stops reading everything; the group is heard all the same.
    fn pause(&mut self) -> Result<()>;

    fn resume(&mut self) -> Result<()>;

    /// As of the group's last word that `poll` has handed out, or the newest epoch under KIP-848. `None`: no member, commit
    /// nothing.
    fn membership(&mut self) -> Option<Arc<Self::Membership>>;

    /// Tells the group that the loop is alive, during work that takes long.
    fn keep_alive(&mut self);

    /// Whether the next `poll` tells of a rebalance.
    fn has_event(&self) -> bool;

    /// The *stable* committed positions. A transaction that is committing one makes this a [`StreamError::Retry`].
    fn committed(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Option<Committed>>>;

    /// Where to begin when nothing is committed.
    fn start_of(&self, partition: &TopicPartition) -> Result<i64>;

    /// Every topic with its number of partitions.
    fn topics(&self) -> Result<BTreeMap<String, i32>>;

    /// What stands under the name of the input now, where no answer within a moment is as good as another.
    fn input_within(&self, topic: &str, limit: Duration) -> Result<Option<Input>>;

    /// The end of a partition, records of open transactions included.
    fn true_end(&self, topic: &str, partition: i32) -> Result<i64>;

    /// The same, where no answer within a moment is as good as another.
    fn true_end_within(&self, topic: &str, partition: i32, limit: Duration) -> Result<i64>;

    /// Reads the changelog, committed records only.
    fn reader(&self, name: &str) -> Result<Self::Reader>;

    /// Writes everything in `pending` and commits `positions` under `membership`, or nothing of it.
    fn commit(
        &self,
        pending: &Pending,
        positions: &[Position<'_>],
        membership: &Self::Membership,
    ) -> Result<(), Failure>;

    /// Another producer of our id has taken over.
    fn is_fenced(&self) -> bool;

    /// A new producer of the same id.
    fn reconnect(&mut self) -> Result<()>;

    /// Leaves the group.
    fn close(self) -> Result<()>;
}

/// As [`crate::Reader`].
pub trait Replay {
    /// The first offset there is and the one after the last record that is decided.
    fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64)>;

    fn assign(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()>;

    fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>>;

    fn position(&self, partition: &TopicPartition) -> Option<i64>;
}

/// Where the group stands in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The offset to read next.
    pub offset: i64,
    /// Its owner was to stop at the end of what there was, and has said all there is to say up to here.
    pub ended: bool,
}

/// A position to commit.
#[derive(Debug, Clone, Copy)]
pub struct Position<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub committed: Committed,
}

/// What was found of the input when the stage connected.
pub struct Input {
    pub topic_id: String,
    pub partitions: i32,
}

/// Runs the stage in the world that `connect` gives.
pub fn run<S: Stage, W: World>(
    env: &Env,
    settings: &Settings,
    stage: &mut S,
    connect: impl FnOnce() -> anyhow::Result<(W, Input)>,
) -> anyhow::Result<Ledger> {
    match Engine::new(env, settings, stage, connect) {
        Ok(engine) => engine.run(),
        Err(error) if matches!(error.downcast_ref(), Some(StreamError::Stopped(_))) => Ok(Ledger::default()),
        Err(error) => Err(error),
    }
}
