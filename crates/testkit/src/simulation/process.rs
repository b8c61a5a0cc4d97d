//! One process as its loop sees the world: every call may be the last before a crash, a pause or somebody else's turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::Drain;
use streams::stateful::Settings;
use streams::stateful::world::{Committed, Failure, Input, Pending, Position, World};
use streams::{OwnedRecord, Polled, Result, StreamError, TopicPartition};

use super::Lie;
use super::group::{Kind, Membership};
use super::producer::Producer;
use super::reader::{Reader, Takeover};
use super::shared::{STEP, Shared};

/// No topic is made again here.
pub(super) const TOPIC_ID: &str = "simulated";

pub(super) struct Process<'y> {
    shared: Shared<'y>,
    producer: Producer<'y>,
    input: Arc<str>,
    changelog: String,
    drain: Drain,
    positions: BTreeMap<i32, i64>,
    /// The ends that the loop has been told of.
    told: BTreeMap<i32, i64>,
    known: BTreeMap<i32, i64>,
    settled: bool,
    reading: bool,
    /// Records that are not asked for any more, only handed out.
    fetched: u32,
    membership: Option<Arc<Membership>>,
    record: OwnedRecord,
    takeover: Rc<RefCell<Takeover>>,
}

impl<'y> Process<'y> {
    pub fn connect(shared: Shared<'y>, settings: &Settings, id: String, drain: Drain) -> Result<Self> {
        let producer = Producer::new(shared.clone(), id);
        producer.init()?;
        let mut cluster = shared.cluster.borrow_mut();
        let now = cluster.now;
        cluster.group.join(shared.process, now);
        drop(cluster);
        let (positions, told, known) = Default::default();
        Ok(Process {
            shared,
            producer,
            input: settings.input.as_str().into(),
            changelog: settings.changelog.clone(),
            drain,
            positions,
            told,
            known,
            settled: false,
            reading: true,
            fetched: 0,
            membership: None,
            record: OwnedRecord::default(),
            takeover: Rc::default(),
        })
    }

    /// What the group has to say next.
    fn word(&mut self) -> Option<Polled<'static>> {
        let (process, mut cluster) = (self.shared.process, self.shared.cluster.borrow_mut());
        let word = cluster.group.tell(process)?;
        self.membership = word.membership.clone();
        cluster.say(|| format!("p{process} hears {:?} {:?} {:?}", word.kind, word.partitions, word.membership));
        let is_new = |n: &&i32| word.kind != Kind::Assigned || !self.positions.contains_key(n);
        let new = word.partitions.iter().filter(is_new);
        let partitions = new.map(|n| TopicPartition::new(self.input.clone(), *n)).collect();
        Some(match word.kind {
            Kind::Assigned => Polled::Assigned(partitions),
            Kind::Revoked => Polled::Revoked(partitions),
            Kind::Lost => Polled::Lost(partitions),
        })
    }

    /// With [`Lie::LossKept`] the loop never hears that it has lost anything, nor that it has the same again.
    fn kept_from_the_loop(&mut self) -> bool {
        if !self.shared.lies(Lie::LossKept) {
            return false;
        }
        let mut cluster = self.shared.cluster.borrow_mut();
        let (now, process) = (cluster.now, self.shared.process);
        let lost = cluster.group.clients[process].words.front().is_some_and(|word| word.kind == Kind::Lost);
        if lost {
            cluster.group.tell(process);
            cluster.group.answered(process, now);
        }
        lost
    }

    /// The next record there is, from any partition.
    fn fetch(&mut self) -> bool {
        let mut order: Vec<i32> = self.positions.keys().copied().collect();
        self.shared.cluster.borrow_mut().rng.shuffle(&mut order);
        for partition in order {
            let stable = self.shared.known_stable(&self.input, partition, &mut self.known);
            let mut cluster = self.shared.cluster.borrow_mut();
            let log = cluster.log(&self.input, partition);
            let Some((offset, entry)) = log.committed_in(self.positions[&partition], stable) else { continue };
            self.record = entry.record(&self.input, partition, offset);
            self.positions.insert(partition, offset + 1);
            return true;
        }
        false
    }

    fn fetch_ahead(&mut self) {
        self.fetched = self.shared.cluster.borrow_mut().rng.u32(0..6);
    }

    /// A partition that has been read to the end, told once for each end.
    fn end(&mut self) -> Option<(TopicPartition, i64)> {
        for (partition, position) in &mut self.positions {
            let Some(stable) = self.known.get(partition).copied() else { continue };
            let mut cluster = self.shared.cluster.borrow_mut();
            if cluster.log(&self.input, *partition).committed_in(*position, stable).is_some() {
                continue;
            }
            *position = stable.max(*position);
            if *position == stable && self.told.insert(*partition, stable) != Some(stable) {
                return Some((TopicPartition::new(self.input.clone(), *partition), stable));
            }
        }
        None
    }

    fn answered(&self) {
        let mut cluster = self.shared.cluster.borrow_mut();
        let now = cluster.now;
        cluster.group.answered(self.shared.process, now);
    }
}

impl<'y> World for Process<'y> {
    type Membership = Membership;
    type Reader = Reader<'y>;

    fn now(&self) -> Instant {
        self.shared.now()
    }

    fn wait(&self, timeout: Duration) -> bool {
        self.shared.wait(timeout)
    }

    fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>> {
        let until = self.now() + timeout;
        loop {
            if self.shared.cluster.borrow_mut().rng.u8(0..4) == 0 {
                self.shared.breathe();
            }
            while self.kept_from_the_loop() {}
            // What was fetched already comes before the group's next word, and in spite of a pause.
            self.fetched = self.fetched.saturating_sub(1);
            if self.fetched > 0 && self.fetch() {
                return Ok(Polled::Record(self.record.as_record()));
            }
            self.fetched = 0;
            if self.has_event() {
                return Ok(self.word().unwrap_or(Polled::Idle));
            }
            if self.reading {
                if self.fetch() {
                    self.fetch_ahead();
                    return Ok(Polled::Record(self.record.as_record()));
                }
                if let Some((partition, end)) = self.end() {
                    return Ok(Polled::CaughtUp(partition, end));
                }
            }
            let now = self.now();
            if now >= until {
                return Ok(Polled::Idle);
            }
            self.shared.give_way((until - now).min(STEP * 5));
        }
    }

    fn assign_at(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        let process = self.shared.process;
        let word = self.shared.cluster.borrow().group.clients[process].unanswered.clone();
        for partition in word.map(|word| word.partitions).unwrap_or_default() {
            if self.positions.contains_key(&partition) {
                continue;
            }
            let given = positions.iter().find(|(tp, _)| tp.partition == partition).map(|(_, position)| *position);
            let committed = || self.shared.cluster.borrow().offsets.get(&partition).map(|committed| committed.offset);
            self.positions.insert(partition, given.or_else(committed).unwrap_or(0));
            self.told.remove(&partition);
        }
        self.shared.say(|| format!("takes {positions:?}"));
        self.answered();
        self.settled = true;
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        let word = self.shared.cluster.borrow().group.clients[self.shared.process].unanswered.clone();
        for partition in word.map(|word| word.partitions).unwrap_or_default() {
            self.positions.remove(&partition);
        }
        self.answered();
        let counts_epochs = self.shared.cluster.borrow().group.counts_epochs();
        self.settled = counts_epochs && !self.positions.is_empty();
        Ok(())
    }

    fn is_settled(&self) -> bool {
        self.settled
    }

    fn seek(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        self.shared.breathe();
        self.shared.say(|| format!("seeks {positions:?}"));
        self.fetched = 0;
        for (tp, position) in positions {
            if let Some(at) = self.positions.get_mut(&tp.partition) {
                *at = *position;
                self.told.remove(&tp.partition);
            }
        }
        Ok(())
    }

    fn pause(&mut self) -> Result<()> {
        self.reading = false;
        Ok(())
    }

    fn resume(&mut self) -> Result<()> {
        self.reading = true;
        Ok(())
    }

    fn membership(&mut self) -> Option<Arc<Membership>> {
        let newest = self.shared.cluster.borrow().group.newest(self.shared.process);
        if let (Some(ours), Some(newest)) = (&self.membership, newest)
            && newest.member == ours.member
            && newest.generation > ours.generation
        {
            self.membership = Some(Arc::new(newest));
        }
        self.membership.clone()
    }

    fn keep_alive(&mut self) {
        self.shared.breathe();
        if self.reading && self.fetched == 0 {
            self.fetch_ahead();
        }
    }

    fn has_event(&self) -> bool {
        !self.shared.cluster.borrow().group.clients[self.shared.process].words.is_empty()
    }

    fn committed(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Option<Committed>>> {
        let all: Vec<i32> = partitions.iter().map(|tp| tp.partition).collect();
        self.takeover.borrow_mut().begin(&self.shared, &self.changelog, &all);
        self.shared.breathe();
        let retry = || StreamError::Retry { action: "read the positions".to_owned(), cause: "not yet".to_owned() };
        let unstable = |n: &i32| self.shared.cluster.borrow().is_unstable(*n);
        if !self.shared.lies(Lie::UnstablePositions) && all.iter().any(unstable) {
            self.shared.give_way(limit.min(STEP * 5));
            return Err(retry());
        }
        if self.shared.chance(|faults| faults.retry) {
            return Err(retry());
        }
        let offsets: Vec<Option<Committed>> =
            all.iter().map(|n| self.shared.cluster.borrow().offsets.get(n).copied()).collect();
        self.takeover.borrow_mut().found(&self.shared, &all, &offsets);
        self.shared.breathe();
        Ok(offsets)
    }

    fn start_of(&self, _: &TopicPartition) -> Result<i64> {
        Ok(0)
    }

    fn topics(&self) -> Result<BTreeMap<String, i32>> {
        let cluster = self.shared.cluster.borrow();
        Ok(cluster.topics.iter().map(|(topic, logs)| (topic.clone(), logs.len() as i32)).collect())
    }

    fn input_within(&self, topic: &str, _: Duration) -> Result<Option<Input>> {
        let partitions = self.topics()?.get(topic).copied();
        Ok(partitions.map(|partitions| Input { topic_id: TOPIC_ID.to_owned(), partitions }))
    }

    fn true_end(&self, topic: &str, partition: i32) -> Result<i64> {
        self.shared.breathe();
        let mut cluster = self.shared.cluster.borrow_mut();
        let mut takeover = self.takeover.borrow_mut();
        let log = cluster.log(topic, partition);
        let mut end = log.high();
        if topic == self.changelog {
            let stable = log.stable();
            end = takeover.bound(partition).unwrap_or(end);
            end = if cluster.lie == Some(Lie::StableEnd) { stable } else { end };
            takeover.ends.insert(partition, end);
        }
        Ok(end)
    }

    fn true_end_within(&self, topic: &str, partition: i32, _: Duration) -> Result<i64> {
        self.shared.breathe();
        if self.shared.chance(|faults| faults.retry) {
            return Err(StreamError::Retry { action: "read the end".to_owned(), cause: "no answer".to_owned() });
        }
        let mut cluster = self.shared.cluster.borrow_mut();
        let lies = cluster.lie == Some(Lie::OpenTransactionIgnored);
        let log = cluster.log(topic, partition);
        let position = self.positions.get(&partition).copied().unwrap_or(0);
        self.shared.outstanding.borrow_mut().insert(partition, log.may_hold(position, log.high()));
        Ok(if lies { log.stable() } else { log.high() })
    }

    fn reader(&self, _: &str) -> Result<Reader<'y>> {
        Ok(Reader::new(self.shared.clone(), &self.changelog, self.takeover.clone()))
    }

    fn commit(&self, pending: &Pending, positions: &[Position<'_>], membership: &Membership) -> Result<(), Failure> {
        self.producer.commit(pending, positions, membership)
    }

    fn is_fenced(&self) -> bool {
        self.producer.is_fenced()
    }

    fn reconnect(&mut self) -> Result<()> {
        self.producer.init()
    }

    fn close(self) -> Result<()> {
        let mut cluster = self.shared.cluster.borrow_mut();
        let (now, process) = (cluster.now, self.shared.process);
        cluster.group.throw_out(process, now);
        cluster.group.forget(process);
        if self.drain.is_set() && !self.shared.shutdown.is_set() {
            cluster.drained.extend(self.positions.keys());
        }
        Ok(())
    }
}
