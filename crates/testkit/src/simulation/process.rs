//! One process as its loop sees the world: every call may be the last before a crash, a pause or somebody else's turn.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corosensei::Yielder;
use harness::{Drain, Shutdown};
use streams::stateful::Settings;
use streams::stateful::world::{Failure, META_KEY, Pending, World};
use streams::{Env, OwnedRecord, Polled, Result, StreamError, TopicPartition};

use super::Lie;
use super::cluster::{Cluster, Refused};
use super::group::{Kind, Membership};
use super::reader::{Reader, Takeover};

const STEP: Duration = Duration::from_millis(10);

/// Far more looks at the clock than a loop takes before it does something.
const LOOKS_MAX: u64 = 1_000;

/// The loop's side of the scheduler: it gives way, and says when it wants to go on at the earliest.
pub(super) type Turn = Yielder<(), Duration>;

/// What the process shares with its readers and with the checks of its stage.
#[derive(Clone)]
pub(super) struct Shared<'y> {
    pub cluster: Rc<RefCell<Cluster>>,
    pub turn: &'y Turn,
    pub process: usize,
    pub start: Instant,
    /// Whether records were still to come when the end of a partition was last asked for.
    pub outstanding: Rc<RefCell<BTreeMap<i32, bool>>>,
    pub looks: Rc<Cell<u64>>,
}

impl Shared<'_> {
    pub fn give_way(&self, sleep: Duration) {
        let at = self.cluster.borrow().now + sleep;
        self.turn.suspend(at);
    }

    /// Somebody else's turn may come before this call does anything.
    pub fn breathe(&self) {
        self.give_way(Duration::ZERO);
    }

    pub fn chance(&self, of: impl Fn(&super::Faults) -> f64) -> bool {
        let mut cluster = self.cluster.borrow_mut();
        let of = of(&cluster.faults);
        cluster.chance(of)
    }

    pub fn lies(&self, lie: Lie) -> bool {
        self.cluster.borrow().lie == Some(lie)
    }

    pub fn say(&self, line: impl FnOnce() -> String) {
        let process = self.process;
        self.cluster.borrow_mut().say(|| format!("p{process} {}", line()));
    }

    /// A loop that does nothing but look at the clock gives way, too.
    pub fn now(&self) -> Instant {
        let looks = self.looks.get() + 1;
        self.looks.set(looks);
        if looks.is_multiple_of(LOOKS_MAX) {
            self.breathe();
        }
        self.start + self.cluster.borrow().now
    }

    /// The end of what is decided, as of the last fetch: now and then an old one.
    pub fn known_stable(&self, topic: &str, partition: i32, known: &mut BTreeMap<i32, i64>) -> i64 {
        let mut cluster = self.cluster.borrow_mut();
        let fetched = !known.contains_key(&partition) || cluster.rng.u8(0..4) > 0;
        if fetched {
            let stable = cluster.log(topic, partition).stable();
            known.insert(partition, stable);
        }
        known[&partition]
    }
}

pub(super) fn process<'y>(shared: Shared<'y>, settings: &Settings, id: String, env: &Env) -> Result<Process<'y>> {
    let process = Process {
        input: settings.input.as_str().into(),
        changelog: settings.changelog.clone(),
        id,
        epoch: Cell::new(0),
        fenced: Cell::new(false),
        shutdown: env.shutdown.clone(),
        drain: env.drain.clone(),
        positions: BTreeMap::new(),
        told: BTreeMap::new(),
        known: BTreeMap::new(),
        reading: true,
        fetched: 0,
        membership: None,
        record: OwnedRecord::default(),
        takeover: Rc::default(),
        last_sent: RefCell::default(),
        shared,
    };
    process.init()?;
    let mut cluster = process.shared.cluster.borrow_mut();
    let now = cluster.now;
    cluster.group.join(process.shared.process, now);
    drop(cluster);
    Ok(process)
}

pub(super) struct Process<'y> {
    shared: Shared<'y>,
    input: Arc<str>,
    changelog: String,
    id: String,
    epoch: Cell<u32>,
    fenced: Cell<bool>,
    shutdown: Shutdown,
    drain: Drain,
    positions: BTreeMap<i32, i64>,
    /// The ends that the loop has been told of.
    told: BTreeMap<i32, i64>,
    known: BTreeMap<i32, i64>,
    reading: bool,
    /// Records that are not asked for any more, only handed out.
    fetched: u32,
    membership: Option<Arc<Membership>>,
    record: OwnedRecord,
    takeover: Rc<RefCell<Takeover>>,
    /// For [`Lie::UnchangedPositionsLeftOut`].
    last_sent: RefCell<BTreeMap<i32, i64>>,
}

impl Process<'_> {
    fn init(&self) -> Result<()> {
        loop {
            self.shared.breathe();
            let answer = self.shared.cluster.borrow_mut().init_producer(&self.id);
            match answer {
                Ok(epoch) => {
                    self.epoch.set(epoch);
                    self.fenced.set(false);
                    return Ok(());
                }
                Err(_) if self.wait(STEP) => return Err(StreamError::Stopped("beginning".to_owned())),
                Err(_) => {}
            }
        }
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
            self.record = OwnedRecord {
                topic: self.input.to_string(),
                partition,
                offset,
                key: entry.key.clone(),
                value: entry.value.clone(),
                timestamp_ms: entry.timestamp_ms,
                headers: Vec::new(),
            };
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

    fn fenced(&self) -> Failure {
        self.fenced.set(true);
        Failure::Unknown("fenced".to_owned())
    }

    fn abort(&self) -> Result<(), Failure> {
        self.shared.breathe();
        let ended = self.shared.cluster.borrow_mut().end(&self.id, self.epoch.get(), false);
        ended.map_err(|_| self.fenced())
    }

    fn begin(&self) -> Result<(), Failure> {
        loop {
            self.shared.breathe();
            let begun = self.shared.cluster.borrow_mut().begin(&self.id, self.epoch.get());
            match begun {
                Ok(()) => return Ok(()),
                Err(Refused::NotYet) => drop(self.wait(STEP)),
                Err(_) => return Err(self.fenced()),
            }
        }
    }

    fn write(&self, pending: &Pending) -> Result<(), Failure> {
        for write in pending.writes() {
            if self.shared.cluster.borrow_mut().rng.u8(0..4) == 0 {
                self.shared.breathe();
            }
            let mut cluster = self.shared.cluster.borrow_mut();
            let count = cluster.topics[write.topic].len() as i32;
            let partition =
                write.partition.unwrap_or_else(|| market::symbol::partition(write.key.unwrap_or_default(), count));
            let by = (self.id.as_str(), self.epoch.get());
            let written = cluster.write(by, (write.topic, partition), write.key, write.value);
            drop(cluster);
            written.map_err(|_| self.fenced())?;
        }
        Ok(())
    }

    fn send_offsets(&self, offsets: &[(&str, i32, i64)], membership: &Membership) -> Result<(), Failure> {
        self.shared.breathe();
        let mut cluster = self.shared.cluster.borrow_mut();
        let mut list: BTreeMap<i32, i64> = offsets.iter().map(|(_, partition, offset)| (*partition, *offset)).collect();
        if cluster.lie == Some(Lie::UnchangedPositionsLeftOut) {
            let known = self.last_sent.borrow();
            list.retain(|partition, offset| known.get(partition) != Some(offset));
            if list.is_empty() {
                return Ok(());
            }
        }
        let mut shown = *membership;
        let member = cluster.group.clients[self.shared.process].member.filter(|m| cluster.group.is_member(*m));
        match (cluster.lie, member) {
            (Some(Lie::MembershipOfNow), Some(member)) => {
                shown = Membership { member, generation: cluster.group.generation };
            }
            (Some(Lie::MembershipEmptied), None) => shown.member = 0,
            _ => {}
        }
        let process = self.shared.process;
        let sent = cluster.send_offsets((&self.id, self.epoch.get()), &list, &shown);
        cluster.say(|| format!("p{process} sends positions {list:?} as {shown:?}: {sent:?}"));
        drop(cluster);
        match sent {
            Ok(()) => Ok(()),
            Err(Refused::Stale) => Err(Failure::Stale("the group has moved on".to_owned())),
            Err(_) => Err(self.fenced()),
        }
    }

    fn transaction(
        &self,
        pending: &Pending,
        offsets: &[(&str, i32, i64)],
        membership: &Membership,
    ) -> Result<(), Failure> {
        if self.fenced.get() {
            return Err(self.fenced());
        }
        self.begin()?;
        self.write(pending)?;
        if self.shared.chance(|faults| faults.aborted) {
            self.abort()?;
            return Err(Failure::Aborted("a record was refused".to_owned()));
        }
        match self.send_offsets(offsets, membership) {
            Ok(()) => self.end_transaction(),
            Err(failure @ Failure::Stale(_)) => self.abort().and(Err(failure)),
            Err(failure) => Err(failure),
        }
    }

    fn end_transaction(&self) -> Result<(), Failure> {
        self.shared.breathe();
        if self.shared.chance(|faults| faults.lost_request) {
            self.shared.say(|| "asks for a commit that nobody hears".to_owned());
            return Err(Failure::Unknown("no answer".to_owned()));
        }
        let ended = self.shared.cluster.borrow_mut().end(&self.id, self.epoch.get(), true);
        ended.map_err(|_| self.fenced())?;
        self.shared.breathe();
        if self.shared.chance(|faults| faults.lost_reply) {
            self.shared.say(|| "does not hear that its commit was carried out".to_owned());
            let cause = "no answer".to_owned();
            let lies = self.shared.lies(Lie::UnknownSaidAborted);
            return Err(if lies { Failure::Aborted(cause) } else { Failure::Unknown(cause) });
        }
        Ok(())
    }
}

impl<'y> World for Process<'y> {
    type Membership = Membership;
    type Reader = Reader<'y>;

    fn now(&self) -> Instant {
        self.shared.now()
    }

    fn wait(&self, timeout: Duration) -> bool {
        // In steps: the shutdown is to be heard in the middle.
        let until = self.now() + timeout;
        while !self.shutdown.is_set() && self.now() < until {
            self.shared.give_way((until - self.now()).min(STEP * 5));
        }
        self.shutdown.is_set()
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
            let committed = || self.shared.cluster.borrow().offsets.get(&partition).copied();
            self.positions.insert(partition, given.or_else(committed).unwrap_or(0));
            self.told.remove(&partition);
        }
        self.shared.say(|| format!("takes {positions:?}"));
        self.answered();
        Ok(())
    }

    fn release(&mut self) -> Result<()> {
        let word = self.shared.cluster.borrow().group.clients[self.shared.process].unanswered.clone();
        for partition in word.map(|word| word.partitions).unwrap_or_default() {
            self.positions.remove(&partition);
        }
        self.answered();
        Ok(())
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

    fn membership(&self) -> Option<Arc<Membership>> {
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

    fn committed(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Option<i64>>> {
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
        let offsets: Vec<Option<i64>> =
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

    fn commit(&self, pending: &Pending, offsets: &[(&str, i32, i64)], membership: &Membership) -> Result<(), Failure> {
        let result = self.transaction(pending, offsets, membership);
        self.shared.cluster.borrow_mut().stats.end(&result);
        match &result {
            Ok(()) => self.last_sent.borrow_mut().extend(offsets.iter().map(|(_, n, offset)| (*n, *offset))),
            Err(failure) => self.shared.say(|| format!("cannot commit: {failure:?}")),
        }
        result
    }

    fn is_fenced(&self) -> bool {
        self.fenced.get()
    }

    fn reconnect(&mut self) -> Result<()> {
        self.init()
    }

    fn close(self) -> Result<()> {
        let mut cluster = self.shared.cluster.borrow_mut();
        let (now, process) = (cluster.now, self.shared.process);
        cluster.group.throw_out(process, now);
        cluster.group.forget(process);
        if self.drain.is_set() && !self.shutdown.is_set() {
            cluster.drained.extend(self.positions.keys());
        }
        Ok(())
    }
}

/// The key of the loop's own mark.
pub(super) fn is_mark(key: Option<&[u8]>) -> bool {
    key == Some(META_KEY)
}
