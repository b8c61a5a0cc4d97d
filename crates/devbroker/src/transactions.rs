//! Transactions: who may write as part of one, and how it ends.
//!
//! The decision to commit or roll back belongs to one transaction, not to a producer's epoch: it is in the journal
//! (`Ending`) before the first marker is written, and `Ended` after the last one and before the next may begin. What
//! a crash leaves in between is therefore finished the way it was decided; what was not decided stays open until its
//! producer comes back or its time is over.

use crate::{
    coordinator::{Coordinator, Entry, is_open},
    errors::Code,
    offsets::Committed,
    topics::Topics,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use uuid::Uuid;

/// As Apache Kafka: `transaction.max.timeout.ms`.
const MAX_TIMEOUT_MS: i32 = 15 * 60 * 1000;
/// As Apache Kafka: `transactional.id.expiration.ms`.
const FORGET_AFTER_MS: i64 = 7 * 24 * 3600 * 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Empty,
    Ongoing,
    /// Decided; the markers are being written.
    Ending {
        commit: bool,
    },
    Ended {
        commit: bool,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Transaction {
    pub producer_id: i64,
    pub epoch: i16,
    /// The epoch this one was given for, to a client that named it: it asks with it again if it lost our answer.
    /// -1: given to a newcomer, who names none.
    pub last_epoch: i16,
    pub timeout_ms: i32,
    pub phase: Phase,
    pub partitions: BTreeSet<Part>,
    pub groups: BTreeSet<String>,
    pub started_ms: i64,
    pub touched_ms: i64,
}

/// A partition of one incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    pub topic: String,
    pub id: Uuid,
    pub index: i32,
}

/// A producer, as it introduces itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Producer {
    pub id: i64,
    pub epoch: i16,
}

impl Coordinator {
    /// Gives a producer its id and epoch. With a transactional id this shuts out its predecessors and rolls back what
    /// they left open.
    pub fn init_producer(
        &mut self,
        id: Option<&str>,
        timeout_ms: i32,
        expected: Option<Producer>,
        topics: &Topics,
        now_ms: i64,
    ) -> Result<Producer, Code> {
        let Some(id) = id else { return Ok(Producer { id: self.new_producer_id()?, epoch: 0 }) };
        if id.is_empty() {
            return Err(Code::InvalidRequest);
        }
        if !(1..=MAX_TIMEOUT_MS).contains(&timeout_ms) {
            return Err(Code::InvalidTransactionTimeout);
        }
        let Some(mut state) = self.transactions.get(id).cloned() else {
            return self.introduce(id, timeout_ms, now_ms);
        };
        if let Some(expected) = expected {
            let retried = expected.epoch == state.last_epoch && state.phase == Phase::Empty;
            if expected.id == state.producer_id && retried {
                return Ok(Producer { id: state.producer_id, epoch: state.epoch });
            }
            if expected != (Producer { id: state.producer_id, epoch: state.epoch }) {
                return Err(Code::ProducerFenced);
            }
        }
        if state.phase == Phase::Ongoing {
            self.roll_back(id, topics, now_ms)?;
        }
        self.finish(id, topics, now_ms)?;
        let after = self.transactions.get(id).map_or(state.epoch, |state| state.epoch);
        // Only who asked with its epoch may ask so again: with a newcomer's it would share the newcomer's epoch.
        let last_epoch = if expected.is_some() { after } else { -1 };
        state = Transaction { timeout_ms, touched_ms: now_ms, phase: Phase::Empty, last_epoch, ..state };
        state.partitions.clear();
        state.groups.clear();
        if after >= i16::MAX - 1 {
            (state.producer_id, state.epoch, state.last_epoch) = (self.new_producer_id()?, 0, -1);
        } else {
            state.epoch = after + 1;
        }
        let producer = Producer { id: state.producer_id, epoch: state.epoch };
        self.record(Entry::Transaction { id: id.to_owned(), state })?;
        Ok(producer)
    }

    fn introduce(&mut self, id: &str, timeout_ms: i32, now_ms: i64) -> Result<Producer, Code> {
        let producer = Producer { id: self.new_producer_id()?, epoch: 0 };
        let state = Transaction {
            producer_id: producer.id,
            epoch: producer.epoch,
            last_epoch: -1,
            timeout_ms,
            phase: Phase::Empty,
            partitions: BTreeSet::new(),
            groups: BTreeSet::new(),
            started_ms: now_ms,
            touched_ms: now_ms,
        };
        self.record(Entry::Transaction { id: id.to_owned(), state })?;
        Ok(producer)
    }

    /// The state of a producer that may act: known, not replaced, with nothing of its last transaction left to write.
    fn acting(&mut self, id: &str, producer: Producer, topics: &Topics, now_ms: i64) -> Result<Transaction, Code> {
        let state = self.transactions.get(id).filter(|state| state.producer_id == producer.id);
        let state = state.ok_or(Code::InvalidProducerIdMapping)?;
        if state.epoch != producer.epoch {
            return Err(Code::ProducerFenced);
        }
        if matches!(state.phase, Phase::Ending { .. }) {
            self.finish(id, topics, now_ms)?;
        }
        Ok(self.transactions[id].clone())
    }

    /// Takes partitions into the producer's transaction, beginning one if there is none.
    pub fn add_partitions(
        &mut self,
        id: &str,
        producer: Producer,
        parts: Vec<Part>,
        topics: &Topics,
        now_ms: i64,
    ) -> Result<(), Code> {
        let mut state = self.acting(id, producer, topics, now_ms)?;
        let ongoing = state.phase == Phase::Ongoing;
        if ongoing && parts.iter().all(|part| state.partitions.contains(part)) {
            return Ok(());
        }
        state.go_on(now_ms);
        state.partitions.extend(parts.iter().cloned());
        self.record(Entry::Transaction { id: id.to_owned(), state })?;
        expect(&parts, producer, topics);
        Ok(())
    }

    /// Takes a group's offsets into the producer's transaction.
    pub fn add_group(
        &mut self,
        id: &str,
        producer: Producer,
        group: &str,
        topics: &Topics,
        now_ms: i64,
    ) -> Result<(), Code> {
        let mut state = self.acting(id, producer, topics, now_ms)?;
        if state.phase == Phase::Ongoing && state.groups.contains(group) {
            return Ok(());
        }
        state.go_on(now_ms);
        state.groups.insert(group.to_owned());
        self.record(Entry::Transaction { id: id.to_owned(), state })
    }

    /// Holds offsets until the transaction ends. Whether the group's member may commit was checked before.
    pub fn hold_offsets(
        &mut self,
        id: &str,
        producer: Producer,
        group: &str,
        offsets: Vec<Committed>,
    ) -> Result<(), Code> {
        let state = self.transactions.get(id).filter(|state| state.producer_id == producer.id);
        let state = state.ok_or(Code::InvalidProducerIdMapping)?;
        if state.epoch != producer.epoch {
            return Err(Code::InvalidProducerEpoch);
        }
        if state.phase != Phase::Ongoing || !state.groups.contains(group) {
            return Err(Code::InvalidTxnState);
        }
        self.record(Entry::Hold { producer_id: producer.id, group: group.to_owned(), offsets })
    }

    /// Commits or rolls back. Once this is decided the answer is yes, even if a marker must be written again later.
    pub fn end(
        &mut self,
        id: &str,
        producer: Producer,
        commit: bool,
        topics: &Topics,
        now_ms: i64,
    ) -> Result<(), Code> {
        let state = self.acting(id, producer, topics, now_ms)?;
        match state.phase {
            Phase::Ongoing => {}
            // The client repeats a request whose answer it lost.
            Phase::Ended { commit: ended } if ended == commit => return Ok(()),
            _ => return Err(Code::InvalidTxnState),
        }
        let state = Transaction { phase: Phase::Ending { commit }, touched_ms: now_ms, ..state };
        self.record(Entry::Transaction { id: id.to_owned(), state })?;
        let _ = self.finish(id, topics, now_ms);
        Ok(())
    }

    /// Decides against an open transaction, in a new epoch, so that its producer can do nothing more.
    fn roll_back(&mut self, id: &str, topics: &Topics, now_ms: i64) -> Result<(), Code> {
        let Some(state) = self.transactions.get(id) else { return Ok(()) };
        let phase = Phase::Ending { commit: false };
        let state = Transaction { phase, epoch: state.epoch.saturating_add(1), last_epoch: -1, ..state.clone() };
        self.record(Entry::Transaction { id: id.to_owned(), state })?;
        self.finish(id, topics, now_ms)
    }

    /// Writes what a decided transaction still lacks. May be repeated; until it succeeds the producer must wait.
    fn finish(&mut self, id: &str, topics: &Topics, now_ms: i64) -> Result<(), Code> {
        let Some(state) = self.transactions.get(id) else { return Ok(()) };
        let Phase::Ending { commit } = state.phase else { return Ok(()) };
        let mut state = state.clone();
        for part in &state.partitions {
            // A topic deleted meanwhile has nothing to end, one made again under its name was never part of this.
            let Some((topic, partition)) = topics.partition(&part.topic, part.index) else { continue };
            if topic.id == part.id {
                let ended = partition.end_transaction(state.producer_id, state.epoch, commit, topic.settings().roll());
                ended.map_err(|_| Code::ConcurrentTransactions)?;
            }
        }
        state.partitions.clear();
        state.groups.clear();
        (state.phase, state.touched_ms) = (Phase::Ended { commit }, now_ms);
        let ended = self.record(Entry::Ended { id: id.to_owned(), state, commit });
        ended.map_err(|_| Code::ConcurrentTransactions)
    }

    pub(crate) fn tick_transactions(&mut self, topics: &Topics, now_ms: i64) {
        let mut all: Vec<(String, Transaction)> = Vec::new();
        for (id, state) in &self.transactions {
            if is_open(state.phase) || now_ms - state.touched_ms > FORGET_AFTER_MS {
                all.push((id.clone(), state.clone()));
            }
        }
        for (id, state) in all {
            // What fails here is logged where it fails, and tried again at the next tick.
            let _ = match state.phase {
                Phase::Ending { .. } => self.finish(&id, topics, now_ms),
                Phase::Ongoing if now_ms - state.started_ms > i64::from(state.timeout_ms) => {
                    tracing::warn!(
                        transactional_id = id,
                        timeout_ms = state.timeout_ms,
                        "transaction timed out, rolled back"
                    );
                    self.roll_back(&id, topics, now_ms)
                }
                Phase::Ongoing => Ok(()),
                _ => self.record(Entry::ForgetTransaction { id }),
            };
        }
    }

    /// After a start: open transactions go on, decided ones are finished, and what belongs to none is rolled back.
    pub(crate) fn resume_transactions(&mut self, topics: &Topics) {
        for (id, state) in self.transactions.clone() {
            let parts: Vec<_> = state.partitions.iter().cloned().collect();
            match state.phase {
                Phase::Ongoing => expect(&parts, Producer { id: state.producer_id, epoch: state.epoch }, topics),
                Phase::Ending { .. } => drop(self.finish(&id, topics, state.touched_ms)),
                Phase::Empty | Phase::Ended { .. } => {}
            }
        }
        for topic in topics.all() {
            for (index, partition) in topic.partitions().iter().enumerate() {
                let part = Part { topic: topic.name.clone(), id: topic.id, index: index as i32 };
                let open = partition.lock().producers.open();
                for (producer_id, epoch) in open {
                    let owned = |state: &Transaction| {
                        state.producer_id == producer_id && is_open(state.phase) && state.partitions.contains(&part)
                    };
                    if !self.transactions.values().any(owned) {
                        tracing::warn!(
                            topic = topic.name,
                            index,
                            producer_id,
                            "rolled back a transaction nobody knows"
                        );
                        let _ = partition.end_transaction(producer_id, epoch, false, topic.settings().roll());
                    }
                }
            }
        }
    }
}

impl Transaction {
    fn go_on(&mut self, now_ms: i64) {
        if self.phase != Phase::Ongoing {
            self.started_ms = now_ms;
        }
        (self.phase, self.touched_ms) = (Phase::Ongoing, now_ms);
    }
}

fn expect(parts: &[Part], producer: Producer, topics: &Topics) {
    for part in parts {
        if let Some((topic, partition)) = topics.partition(&part.topic, part.index)
            && topic.id == part.id
        {
            partition.expect(producer.id, producer.epoch);
        }
    }
}

#[cfg(test)]
mod tests;
