//! What groups and transactions agree on: members, committed offsets, and the state of every transactional producer.
//!
//! All of it stands behind one lock, because a transaction's offsets are checked against the group's members and
//! become true with the transaction. What must survive goes through [`Coordinator::record`]: written to the journal
//! first, then applied by the same code that applies it again at the next start.

use crate::{
    errors::Code,
    groups::Group,
    journal::Journal,
    offsets::{Committed, Offsets},
    topics::Topics,
    transactions::{Phase, Transaction},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::Path,
    time::Instant,
};

/// Producer ids are taken from the journal in blocks, so that most of them cost no write.
const ID_BLOCK: i64 = 1000;

pub struct Coordinator {
    journal: Journal,
    pub groups: HashMap<String, Group>,
    pub offsets: Offsets,
    pub transactions: BTreeMap<String, Transaction>,
    next_id: i64,
    reserved_id: i64,
    failing: bool,
}

/// One change of what must survive.
#[derive(Serialize, Deserialize)]
pub enum Entry {
    /// Ids below this one may have been given out.
    Ids(i64),
    Transaction {
        id: String,
        state: Transaction,
    },
    ForgetTransaction {
        id: String,
    },
    /// The markers are written: the transaction's offsets count now, or never.
    Ended {
        id: String,
        state: Transaction,
        commit: bool,
    },
    Commit {
        group: String,
        offsets: Vec<Committed>,
    },
    Hold {
        producer_id: i64,
        group: String,
        offsets: Vec<Committed>,
    },
    ForgetGroup {
        group: String,
    },
    ForgetOffsets {
        group: String,
        partitions: Vec<(String, i32)>,
    },
    ForgetTopic {
        topic: String,
    },
}

/// The part of the coordinator that entries change.
struct Replayed<'a> {
    offsets: &'a mut Offsets,
    transactions: &'a mut BTreeMap<String, Transaction>,
    reserved_id: &'a mut i64,
}

impl Replayed<'_> {
    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Ids(below) => *self.reserved_id = below,
            Entry::Transaction { id, state } => drop(self.transactions.insert(id, state)),
            Entry::ForgetTransaction { id } => drop(self.transactions.remove(&id)),
            Entry::Ended { id, state, commit } => {
                self.offsets.end(state.producer_id, commit);
                self.transactions.insert(id, state);
            }
            Entry::Commit { group, offsets } => self.offsets.commit(&group, offsets),
            Entry::Hold { producer_id, group, offsets } => self.offsets.hold(producer_id, &group, offsets),
            Entry::ForgetGroup { group } => self.offsets.forget_group(&group),
            Entry::ForgetOffsets { group, partitions } => {
                partitions.iter().for_each(|(topic, partition)| self.offsets.forget(&group, topic, *partition));
            }
            Entry::ForgetTopic { topic } => self.offsets.forget_topic(&topic),
        }
    }
}

impl Coordinator {
    /// Reads the journal, and ends or takes up again what was under way.
    pub fn open(path: &Path, topics: &Topics) -> io::Result<Coordinator> {
        let (mut offsets, mut transactions, mut reserved_id) = (Offsets::default(), BTreeMap::new(), 0);
        let mut replayed =
            Replayed { offsets: &mut offsets, transactions: &mut transactions, reserved_id: &mut reserved_id };
        let journal = Journal::open(path, |entry| replayed.apply(entry))?;
        let mut coordinator = Coordinator {
            journal,
            groups: HashMap::new(),
            offsets,
            transactions,
            next_id: reserved_id,
            reserved_id,
            failing: false,
        };
        coordinator.resume_transactions(topics);
        Ok(coordinator)
    }

    /// Makes a change durable and true. Where the journal cannot be written nothing changes.
    pub fn record(&mut self, entry: Entry) -> Result<(), Code> {
        if let Err(error) = self.journal.append(&entry) {
            if !std::mem::replace(&mut self.failing, true) {
                tracing::error!(%error, "cannot write the coordinator's journal: commits are refused until it can be written");
            }
            return Err(Code::CoordinatorNotAvailable);
        }
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!("the coordinator's journal can be written again");
        }
        let Coordinator { offsets, transactions, reserved_id, .. } = self;
        Replayed { offsets, transactions, reserved_id }.apply(entry);
        if self.journal.is_mostly_history()
            && let Err(error) = self.journal.rewrite(dump(&self.offsets, &self.transactions, self.reserved_id))
        {
            tracing::warn!(%error, "the coordinator's journal could not be written anew and keeps growing");
        }
        Ok(())
    }

    /// A producer id nobody had before.
    pub fn new_producer_id(&mut self) -> Result<i64, Code> {
        if self.next_id == self.reserved_id {
            self.record(Entry::Ids(self.reserved_id + ID_BLOCK))?;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }

    /// Time passes for members and transactions.
    pub fn tick(&mut self, topics: &Topics, now: Instant, now_ms: i64) {
        for (name, group) in &mut self.groups {
            tracing::info_span!("group", name).in_scope(|| group.tick(now));
        }
        let offsets = &self.offsets;
        self.groups.retain(|name, group| !group.is_vacant() || offsets.has(name));
        self.tick_transactions(topics, now_ms);
    }

    /// A group is known while it has members or offsets.
    pub fn knows_group(&self, name: &str) -> bool {
        self.groups.get(name).is_some_and(|group| !group.is_vacant()) || self.offsets.has(name)
    }

    pub fn delete_group(&mut self, name: &str) -> Result<(), Code> {
        if !self.knows_group(name) {
            return Err(Code::GroupIdNotFound);
        }
        if self.groups.get(name).is_some_and(|group| !group.is_vacant()) {
            return Err(Code::NonEmptyGroup);
        }
        self.record(Entry::ForgetGroup { group: name.to_owned() })?;
        self.groups.remove(name);
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.journal.sync()
    }
}

fn dump<'a>(
    offsets: &'a Offsets,
    transactions: &'a BTreeMap<String, Transaction>,
    reserved_id: i64,
) -> impl Iterator<Item = Entry> + 'a {
    let states = transactions.iter().map(|(id, state)| Entry::Transaction { id: id.clone(), state: state.clone() });
    let offsets = offsets.dump().map(|(producer_id, group, offsets)| match producer_id {
        Some(producer_id) => Entry::Hold { producer_id, group: group.clone(), offsets },
        None => Entry::Commit { group: group.clone(), offsets },
    });
    [Entry::Ids(reserved_id)].into_iter().chain(states).chain(offsets)
}

/// Does a transaction in this phase still have something to write?
pub fn is_open(phase: Phase) -> bool {
    matches!(phase, Phase::Ongoing | Phase::Ending { .. })
}
