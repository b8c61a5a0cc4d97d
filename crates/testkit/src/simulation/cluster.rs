//! The brokers of a simulation: topics, the coordinator of transactions, the group with its positions.
//!
//! A commit is decided at once and reaches each partition, and the group's positions, later and separately.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use streams::stateful::world::Committed;

use super::group::{Group, Membership};
use super::log::{Log, TxnId};
use super::{Faults, Lie, Stats};

/// What happens by itself at its time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// The marker of a transaction reaches a partition, or with `None` the group's positions.
    Marker {
        producer: String,
        txn: TxnId,
        commit: bool,
        at: Option<(String, i32)>,
    },
    /// A record comes into the input, in the transaction of its producer or in none.
    Feed {
        partition: i32,
        key: Vec<u8>,
        value: Vec<u8>,
        txn: Option<TxnId>,
    },
    /// The end of a transaction of somebody upstream.
    Upstream {
        partition: i32,
        txn: TxnId,
        commit: bool,
    },
    /// Sessions, transactions that are open for too long, rebalances that are due.
    Clockwork,
    Heartbeat {
        process: usize,
        life: u32,
    },
    Start {
        process: usize,
    },
    Crash {
        process: usize,
    },
    Pause {
        process: usize,
        length: Duration,
    },
    Stop {
        process: usize,
    },
    ThrowOut {
        process: usize,
    },
    Rebalance,
    Compact,
    /// Nobody dies or sleeps any more, and everybody finishes what is there.
    Settle,
    /// No call fails any more.
    Calm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Another producer of this id has begun, or the coordinator has given this one up.
    Fenced,
    /// The transaction before has not reached every partition yet.
    NotYet,
    /// The group does not know the membership shown.
    Stale,
}

#[derive(Default)]
struct Producer {
    epoch: u32,
    open: Option<Open>,
    /// Markers of the last transaction that are still on their way.
    outstanding: usize,
}

struct Open {
    txn: TxnId,
    since: Duration,
    partitions: BTreeSet<(String, i32)>,
    offsets: bool,
}

pub(super) struct Cluster {
    pub now: Duration,
    pub rng: fastrand::Rng,
    pub faults: Faults,
    pub lie: Option<Lie>,
    pub stats: Stats,
    pub topics: BTreeMap<String, Vec<Log>>,
    pub group: Group,
    /// The group's committed positions.
    pub offsets: BTreeMap<i32, Committed>,
    unstable: BTreeMap<TxnId, BTreeMap<i32, Committed>>,
    producers: BTreeMap<String, Producer>,
    last_txn: TxnId,
    pub transaction_timeout: Duration,
    queue: BTreeMap<(Duration, u64), Event>,
    queued: u64,
    /// What went on, where somebody wants to read it.
    pub story: Option<Vec<String>>,
    /// Partitions that a process has left as read to the end.
    pub drained: BTreeSet<i32>,
    /// What must never be and was.
    pub violation: Option<String>,
}

impl Cluster {
    pub fn new(seed: u64, topics: BTreeMap<String, i32>, group: Group, timeout: Duration) -> Self {
        let logs = |partitions| (0..partitions).map(|_| Log::default()).collect();
        Cluster {
            now: Duration::ZERO,
            rng: fastrand::Rng::with_seed(seed),
            faults: Faults::default(),
            lie: None,
            stats: Stats::default(),
            topics: topics.into_iter().map(|(topic, partitions)| (topic, logs(partitions))).collect(),
            group,
            offsets: BTreeMap::new(),
            unstable: BTreeMap::new(),
            producers: BTreeMap::new(),
            last_txn: 0,
            transaction_timeout: timeout,
            queue: BTreeMap::new(),
            queued: 0,
            story: None,
            drained: BTreeSet::new(),
            violation: None,
        }
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(format!("{:>9.3} {}", self.now.as_secs_f64(), line()));
        }
    }

    pub fn violate(&mut self, what: String) {
        self.say(|| format!("VIOLATION {what}"));
        self.violation.get_or_insert(what);
    }

    pub fn log(&mut self, topic: &str, partition: i32) -> &mut Log {
        &mut self.topics.get_mut(topic).expect("the topics are all there")[partition as usize]
    }

    pub fn after(&mut self, delay: Duration, event: Event) {
        self.queued += 1;
        self.queue.insert((self.now + delay, self.queued), event);
    }

    pub fn next_event(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn take_event(&mut self) -> Option<Event> {
        self.queue.pop_first().map(|(_, event)| event)
    }

    pub fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_micros(self.rng.u64(range.start * 1000..range.end * 1000))
    }

    pub fn chance(&mut self, of: f64) -> bool {
        of > 0.0 && self.rng.f64() < of
    }

    /// A transaction that belongs to none of the processes.
    pub fn upstream(&mut self) -> TxnId {
        self.last_txn += 1;
        self.last_txn
    }

    /// Begins to use a transactional id: whoever used it before is fenced, and what it left open is aborted. The new
    /// epoch, once nothing of it is left on its way.
    pub fn init_producer(&mut self, id: &str) -> Result<u32, Refused> {
        let producer = self.producers.entry(id.to_owned()).or_default();
        if producer.open.is_some() {
            producer.epoch += 1;
            self.finish(id, false);
            return Err(Refused::NotYet);
        }
        if producer.outstanding > 0 {
            return Err(Refused::NotYet);
        }
        producer.epoch += 1;
        Ok(producer.epoch)
    }

    pub fn begin(&mut self, id: &str, epoch: u32) -> Result<(), Refused> {
        let since = self.now;
        let producer = self.producer(id, epoch)?;
        if producer.outstanding > 0 {
            return Err(Refused::NotYet);
        }
        let open = Open { txn: 0, since, partitions: BTreeSet::new(), offsets: false };
        producer.open = Some(open);
        self.last_txn += 1;
        let txn = self.last_txn;
        self.open(id, epoch)?.txn = txn;
        Ok(())
    }

    fn producer(&mut self, id: &str, epoch: u32) -> Result<&mut Producer, Refused> {
        let producer = self.producers.get_mut(id).ok_or(Refused::Fenced)?;
        if producer.epoch == epoch { Ok(producer) } else { Err(Refused::Fenced) }
    }

    fn open(&mut self, id: &str, epoch: u32) -> Result<&mut Open, Refused> {
        self.producer(id, epoch)?.open.as_mut().ok_or(Refused::Fenced)
    }

    pub fn write(
        &mut self,
        (id, epoch): (&str, u32),
        (topic, partition): (&str, i32),
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<(), Refused> {
        let open = self.open(id, epoch)?;
        let txn = open.txn;
        open.partitions.insert((topic.to_owned(), partition));
        self.log(topic, partition).append(Some(txn), key, value, -1);
        Ok(())
    }

    pub fn send_offsets(
        &mut self,
        (id, epoch): (&str, u32),
        offsets: &BTreeMap<i32, Committed>,
        membership: &Membership,
    ) -> Result<(), Refused> {
        let open = self.open(id, epoch)?;
        open.offsets = true;
        let txn = open.txn;
        if !self.group.admits(membership) {
            return Err(Refused::Stale);
        }
        self.unstable.entry(txn).or_default().extend(offsets);
        Ok(())
    }

    pub fn end(&mut self, id: &str, epoch: u32, commit: bool) -> Result<(), Refused> {
        self.open(id, epoch)?;
        self.finish(id, commit);
        Ok(())
    }

    fn finish(&mut self, id: &str, commit: bool) {
        let Some(open) = self.producers.get_mut(id).and_then(|producer| producer.open.take()) else { return };
        let mut places: Vec<Option<(String, i32)>> = open.partitions.into_iter().map(Some).collect();
        places.extend(open.offsets.then_some(None));
        self.producers.entry(id.to_owned()).or_default().outstanding = places.len();
        self.say(|| format!("transaction {} of {id}: commit {commit}", open.txn));
        for at in places {
            // Mostly at once, now and then after everything else.
            let slow = self.rng.u8(0..8) == 0;
            let delay = if slow { self.millis(0..1500) } else { self.millis(0..20) };
            self.after(delay, Event::Marker { producer: id.to_owned(), txn: open.txn, commit, at });
        }
    }

    pub fn marker(&mut self, producer: &str, txn: TxnId, commit: bool, at: Option<(String, i32)>) {
        match at {
            Some((topic, partition)) => self.log(&topic, partition).decide(txn, commit),
            None => {
                let offsets = self.unstable.remove(&txn).unwrap_or_default();
                if commit {
                    self.offsets.extend(offsets);
                }
            }
        }
        if let Some(producer) = self.producers.get_mut(producer) {
            producer.outstanding -= 1;
        }
    }

    /// All markers that are still on their way.
    pub fn deliver_markers(&mut self) {
        let markers = self.queue.extract_if(.., |_, event| matches!(event, Event::Marker { .. }));
        for (_, event) in Vec::from_iter(markers) {
            if let Event::Marker { producer, txn, commit, at } = event {
                self.marker(&producer, txn, commit, at);
            }
        }
    }

    /// Who was to finish what is there has left: it must be finished.
    pub fn check_drained(&mut self, input: &str) {
        for partition in std::mem::take(&mut self.drained) {
            let committed = self.offsets.get(&partition).map_or(0, |committed| committed.offset);
            let log = self.log(input, partition);
            if log.may_hold(committed, log.high()) {
                self.violate(format!("partition {partition} was left as drained at {committed}"));
            }
        }
    }

    /// Gives up transactions that are open for too long, and who began them.
    pub fn time_out_transactions(&mut self) {
        let (now, timeout) = (self.now, self.transaction_timeout);
        let late = |p: &Producer| p.open.as_ref().is_some_and(|open| now.saturating_sub(open.since) > timeout);
        let ids: Vec<String> = self.producers.iter().filter(|(_, p)| late(p)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.producers.entry(id.clone()).or_default().epoch += 1;
            self.finish(&id, false);
        }
    }

    /// A transaction is committing a position here: which one holds is not known yet.
    pub fn is_unstable(&self, partition: i32) -> bool {
        self.unstable.values().any(|offsets| offsets.contains_key(&partition))
    }
}
