//! The loop of a transactional stage.
//!
//! Records are folded in memory and what they cause is kept in [`Pending`]; [`Engine::commit`] then writes all of it in
//! one transaction. Between two commits no transaction is open, so a rebalance needs no abort: on a revocation the
//! batch is committed under the membership of that moment, on a loss it is dropped. A transaction that was surely
//! aborted is tried again with the same batch, since the state in memory already stands for it; only where the outcome
//! is unknown everything is dropped and read back from the changelog.
//!
//! **Invariant:** the state in memory is the committed state plus exactly what is pending.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use harness::Latch;

use super::ledger::{Counts, Ledger};
use super::meta::Expected;
use super::observe::Metrics;
use super::outbox::{Changelog, META_KEY, Outbox, Pending};
use super::restore::{Restored, Restorer};
use super::transaction::{Failure, Transactions};
use super::{Settings, Stage, Tick};
use crate::admin::Admin;
use crate::config::{GroupProtocol, KafkaConfig};
use crate::consumer::{Consumer, ConsumerOptions, Polled, TopicPartition};
use crate::env::Env;
use crate::error::StreamError;
use crate::native::membership::Membership;

/// Bytes kept for one transaction before it is committed, however few records they come from.
const PENDING_MAX: usize = 8 << 20;

/// Records folded before the clock is looked at: a look costs as much as folding a record does.
const LOOK_EVERY: usize = 64;

/// How often the end of a drained partition is asked for.
const ASK_IDLE: Duration = Duration::from_millis(500);

/// Fenced this often within a minute means that another process uses our id.
const FENCED_MAX: usize = 3;

pub(super) struct Engine<'a, S: Stage> {
    env: &'a Env,
    kafka: &'a KafkaConfig,
    settings: &'a Settings,
    stage: &'a mut S,
    admin: Admin,
    expected: Expected,
    consumer: Consumer,
    transactions: Transactions,
    parts: BTreeMap<i32, Part<S::Part>>,
    pending: Pending,
    /// Records folded since the last commit, and when the first of them was.
    folded: usize,
    since: Instant,
    ticked: Instant,
    idle_asked: Instant,
    /// The membership that the group has refused; nothing is committed until there is another.
    refused: Option<Arc<Membership>>,
    /// Reading is paused until the group has spoken again.
    held: bool,
    /// Why the state in memory may not be used any more.
    broken: Option<String>,
    /// Partitions whose state was thrown away as asked; once is enough.
    rebuilt: BTreeSet<i32>,
    /// Partitions of each topic that is emitted to.
    outputs: BTreeMap<String, i32>,
    /// Ends to drain to, once the drain is set.
    ends: BTreeMap<i32, i64>,
    assigned: Latch,
    ever_assigned: bool,
    fenced: Vec<Instant>,
    ledger: Ledger,
    metrics: Metrics,
}

struct Part<P> {
    state: P,
    partition: TopicPartition,
    next_offset: i64,
    committed_offset: Option<i64>,
    /// Since the state began, up to the last commit; and since then.
    counts: Counts,
    uncommitted: Counts,
    touched: bool,
    /// The end that was reached, while nothing came after it.
    reached: Option<i64>,
}

impl<P> Part<P> {
    /// Reading has gone past markers of transactions since the last commit.
    fn moved(&self) -> bool {
        self.committed_offset.is_some_and(|committed| committed < self.next_offset)
    }
}

enum Turn {
    Folded,
    Nothing,
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl<'a, S: Stage> Engine<'a, S> {
    pub(super) fn new(
        env: &'a Env,
        kafka: &'a KafkaConfig,
        settings: &'a Settings,
        stage: &'a mut S,
    ) -> anyhow::Result<Self> {
        if kafka.group_protocol == GroupProtocol::Consumer {
            bail!(
                "kafka.group_protocol consumer is not for stages with state: their transactions need the classic one"
            );
        }
        let assigned = env.health.latch("assigned");
        let admin = Admin::new(env, kafka)?;
        let expected = look_around(env, &admin, settings, stage.layout())?;
        let there = env.ask("list the topics", || admin.list())?;
        let outputs = settings.outputs.iter().chain([&settings.dead_letters]);
        let outputs =
            outputs.filter_map(|topic| there.get(topic).map(|partitions| (topic.clone(), *partitions))).collect();
        let metrics = Metrics::new(env, settings);
        let id = transactional_id(settings);
        let transactions = Transactions::new(env, kafka, &id, settings.transaction_timeout)?;
        let options = ConsumerOptions::new(&settings.group, [&settings.input]).start(settings.start);
        let consumer = Consumer::new(env, kafka, options)?;
        let now = Instant::now();
        Ok(Engine {
            env,
            kafka,
            settings,
            stage,
            admin,
            expected,
            consumer,
            transactions,
            parts: BTreeMap::new(),
            pending: Pending::default(),
            folded: 0,
            since: now,
            ticked: now,
            idle_asked: now,
            refused: None,
            held: false,
            broken: None,
            rebuilt: BTreeSet::new(),
            outputs,
            ends: BTreeMap::new(),
            assigned,
            ever_assigned: false,
            fenced: Vec::new(),
            ledger: Ledger::default(),
            metrics,
        })
    }

    pub(super) fn run(mut self) -> anyhow::Result<Ledger> {
        while !self.env.shutdown.is_set() {
            self.env.beat();
            if let Some(cause) = self.broken.take() {
                self.recover(&cause)?;
            }
            if self.drained()? {
                self.tick(true)?;
                if self.commit()? && self.broken.is_none() {
                    break;
                }
            }
            self.turn()?;
        }
        self.finish()
    }

    /// The last commit, and leaving.
    fn finish(mut self) -> anyhow::Result<Ledger> {
        if self.broken.is_none() {
            for part in self.parts.values_mut() {
                part.touched |= part.moved();
            }
            if !self.commit()? {
                let records = self.folded;
                tracing::warn!(records, "left without a last commit, the next owner folds these records again");
            }
        }
        self.consumer.close()?;
        Ok(self.ledger)
    }

    /// Folds what is there, up to a batch, and commits it when there is no more, or enough.
    fn turn(&mut self) -> anyhow::Result<()> {
        let waiting = match (self.held, self.anything_pending()) {
            (true, _) => Duration::from_millis(20),
            (false, true) => Duration::ZERO,
            (false, false) => self.settings.tick_interval.saturating_sub(self.ticked.elapsed()),
        };
        match self.step(waiting)? {
            Turn::Folded | Turn::Nothing => {
                self.commit()?;
            }
            Turn::Assigned(partitions) => self.take_over(&partitions)?,
            Turn::Revoked(partitions) => self.give_back(&partitions)?,
            Turn::Lost(partitions) => self.lose(&partitions)?,
        }
        if self.ticked.elapsed() >= self.settings.tick_interval && self.broken.is_none() {
            self.tick(false)?;
        }
        Ok(())
    }

    fn step(&mut self, mut waiting: Duration) -> anyhow::Result<Turn> {
        while !self.full() {
            match self.consumer.poll(waiting)? {
                Polled::Record(record) => {
                    let Some(part) = self.parts.get_mut(&record.partition) else { continue };
                    if self.folded == 0 {
                        self.since = Instant::now();
                    }
                    self.folded += 1;
                    let mut out = Outbox::new(&mut self.pending, self.env.service, &self.settings.dead_letters);
                    let outcome = self.stage.record(&mut part.state, &record, &mut out);
                    part.uncommitted.add(outcome);
                    part.next_offset = record.offset + 1;
                    part.touched = true;
                    part.reached = None;
                }
                Polled::CaughtUp(partition, offset) => {
                    if let Some(part) = self.parts.get_mut(&partition.partition) {
                        part.reached = Some(offset);
                        // Markers of transactions lie between the last record and the end.
                        part.next_offset = part.next_offset.max(offset);
                    }
                }
                Polled::Assigned(partitions) => return Ok(Turn::Assigned(partitions)),
                Polled::Revoked(partitions) => return Ok(Turn::Revoked(partitions)),
                Polled::Lost(partitions) => return Ok(Turn::Lost(partitions)),
                Polled::Idle => return Ok(Turn::Nothing),
            }
            waiting = Duration::ZERO;
        }
        Ok(Turn::Folded)
    }

    fn full(&self) -> bool {
        self.folded >= self.settings.commit_records
            || self.pending.bytes() >= PENDING_MAX
            || (self.folded % LOOK_EVERY == LOOK_EVERY - 1 && self.since.elapsed() >= self.settings.commit_interval)
    }

    fn anything_pending(&self) -> bool {
        self.parts.values().any(|part| part.touched)
    }

    /// Gives the stage the time.
    fn tick(&mut self, ending: bool) -> anyhow::Result<()> {
        self.ticked = Instant::now();
        let ask = ending || self.idle_asked.elapsed() >= ASK_IDLE;
        if ask {
            self.idle_asked = Instant::now();
        }
        for (partition, part) in &mut self.parts {
            let caught_up = match part.reached {
                // What was reached is the end of what is decided. If it is the true end as well, nothing came since and
                // no transaction is open that could still put something before it.
                Some(reached) if ask => {
                    self.admin.true_end(&self.settings.input, *partition, ASK_IDLE).is_ok_and(|end| end == reached)
                }
                _ => false,
            };
            part.touched |= caught_up && part.moved();
            let tick = Tick { now_ns: self.env.clock.now_ns(), caught_up, ending };
            let mut out = Outbox::new(&mut self.pending, self.env.service, &self.settings.dead_letters);
            self.stage.tick(&mut part.state, tick, &mut out);
            part.touched |= out.touched;
        }
        Ok(())
    }

    /// Writes everything pending. `false`: the group does not let us for now; nothing is lost, the batch is kept.
    fn commit(&mut self) -> anyhow::Result<bool> {
        if self.broken.is_some() || !self.anything_pending() {
            return Ok(true);
        }
        let Some(membership) = self.usable_membership() else {
            self.hold()?;
            return Ok(false);
        };
        self.snapshot();
        let mut pause = Duration::from_millis(50);
        loop {
            let timer = self.metrics.commit_seconds.start_timer();
            let result = self.transactions.commit(&self.pending, &self.positions(), &membership);
            timer.observe_duration();
            match result {
                Ok(()) => {
                    self.committed();
                    return Ok(true);
                }
                Err(Failure::Stale(cause)) => {
                    self.metrics.transaction("stale");
                    tracing::info!(cause, "the group is rebalancing, the batch waits for its word");
                    self.refused = Some(membership);
                    self.hold()?;
                    return Ok(false);
                }
                Err(Failure::Aborted(cause)) => {
                    self.metrics.transaction("aborted");
                    tracing::warn!(cause, "transaction aborted, trying the same batch again");
                    if self.env.shutdown.wait_timeout(pause) && pause > Duration::from_secs(1) {
                        bail!(StreamError::Stopped(format!("committing: {cause}")));
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(Failure::Unknown(cause)) => {
                    self.metrics.transaction("unknown");
                    self.broken = Some(cause);
                    return Ok(true);
                }
                Err(Failure::Fatal(error)) => return Err(error.into()),
            }
        }
    }

    /// Every partition touched, also where the position has not moved: without it nothing would fence a process that
    /// has lost the partition.
    fn positions(&self) -> Vec<(&str, i32, i64)> {
        let touched = self.parts.values().filter(|part| part.touched);
        touched.map(|part| (&*part.partition.topic, part.partition.partition, part.next_offset)).collect()
    }

    fn usable_membership(&self) -> Option<Arc<Membership>> {
        let membership = self.consumer.membership()?;
        let refused = self.refused.as_ref().is_some_and(|refused| Arc::ptr_eq(refused, &membership));
        (!refused).then_some(membership)
    }

    /// Stops reading until the group has spoken: what is pending must not grow meanwhile.
    fn hold(&mut self) -> anyhow::Result<()> {
        if !self.held {
            let partitions: Vec<TopicPartition> = self.consumer.assigned().cloned().collect();
            self.consumer.pause(&partitions)?;
            self.held = true;
        }
        Ok(())
    }

    fn go_on(&mut self) -> anyhow::Result<()> {
        if self.held && self.usable_membership().is_some() {
            let partitions: Vec<TopicPartition> = self.consumer.assigned().cloned().collect();
            self.consumer.resume(&partitions)?;
            self.held = false;
        }
        Ok(())
    }

    /// The keys that changed, and the mark of each partition touched.
    fn snapshot(&mut self) {
        for (partition, part) in self.parts.iter_mut().filter(|(_, part)| part.touched) {
            let mut log = Changelog::new(&mut self.pending, &self.settings.changelog, *partition);
            self.stage.snapshot(&mut part.state, &mut log);
            let meta = self.expected.meta(part.next_offset, part.counts.plus(&part.uncommitted));
            let meta = serde_json::to_vec(&meta).expect("plain numbers and texts always serialise");
            log.write(META_KEY, Some(&meta));
        }
    }

    fn committed(&mut self) {
        for (partition, part) in self.parts.iter_mut().filter(|(_, part)| part.touched) {
            let sum = self.ledger.consumed.entry(*partition).or_default();
            *sum = sum.plus(&part.uncommitted);
            self.metrics.outcomes(&part.uncommitted);
            part.counts = part.counts.plus(&part.uncommitted);
            part.uncommitted = Counts::default();
            part.committed_offset = Some(part.next_offset);
            part.touched = false;
        }
        for (topic, count) in self.pending.emitted().filter(|(topic, _)| *topic != self.settings.changelog) {
            *self.ledger.emitted.entry(topic.to_owned()).or_default() += count;
            self.metrics.emitted(topic, count);
        }
        for entry in &self.pending.entries {
            let (topic, key) = (self.pending.topic(entry), self.pending.key(entry).unwrap_or_default());
            if let Some(partitions) = self.outputs.get(topic) {
                let partition = market::symbol::partition(key, *partitions);
                *self.ledger.emitted_to.entry(topic.to_owned()).or_default().entry(partition).or_default() += 1;
            }
        }
        for reason in &self.pending.reasons {
            *self.ledger.dead_letters.entry((*reason).to_owned()).or_default() += 1;
            self.metrics.dead_letter(reason);
        }
        self.ledger.transactions += 1;
        self.metrics.transaction("committed");
        self.pending.clear();
        self.folded = 0;
    }

    fn take_over(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        check_partitions(self.env, &self.admin, self.settings, self.expected.partitions)?;
        self.assigned.hold("restoring state");
        let restored = self.restore(partitions)?;
        let mut positions = Vec::with_capacity(restored.len());
        for (partition, restored) in restored {
            let partition = TopicPartition::new(self.settings.input.as_str(), partition);
            let next_offset = self.install(partition.clone(), restored)?;
            positions.push((partition, next_offset));
        }
        self.consumer.assign_at(&positions)?;
        self.go_on()?;
        self.assigned.release();
        self.ever_assigned = true;
        Ok(())
    }

    fn restore(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<BTreeMap<i32, Restored<S::Part>>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rebuild = self.settings.rebuild && partitions.iter().any(|tp| self.rebuilt.insert(tp.partition));
        let restorer = Restorer {
            env: self.env,
            kafka: self.kafka,
            admin: &self.admin,
            expected: &self.expected,
            rebuild,
            restored_records: &self.metrics.restored,
        };
        restorer.restore(&mut self.consumer, self.stage, partitions)
    }

    /// Begins with a partition as restored. Returns where to read on.
    fn install(&mut self, partition: TopicPartition, restored: Restored<S::Part>) -> anyhow::Result<i64> {
        let next_offset = match restored.next_offset {
            Some(offset) => offset,
            None => self.consumer.start_of(&partition)?,
        };
        let rebuilding = !restored.leftovers.is_empty();
        for key in &restored.leftovers {
            let mut log = Changelog::new(&mut self.pending, &self.settings.changelog, partition.partition);
            log.delete(key);
        }
        let part = Part {
            state: restored.state,
            next_offset,
            committed_offset: restored.next_offset,
            counts: restored.counts,
            uncommitted: Counts::default(),
            touched: rebuilding,
            reached: None,
            partition,
        };
        self.parts.insert(part.partition.partition, part);
        Ok(next_offset)
    }

    /// Finishes what was read of these partitions, while they are still ours.
    fn give_back(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        let committed = self.commit()?;
        self.forget(partitions);
        if !committed {
            self.drop_batch("partitions were revoked before their batch could be committed");
        }
        self.consumer.release()?;
        self.go_on()
    }

    /// Somebody else may own them already, and has folded the same records or will.
    fn lose(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        if self.anything_pending() {
            self.metrics.transaction("lost");
        }
        self.forget(partitions);
        self.drop_batch("partitions were lost");
        self.consumer.release()?;
        self.go_on()
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for tp in partitions {
            self.parts.remove(&tp.partition);
            self.ends.remove(&tp.partition);
        }
        if self.parts.is_empty() {
            self.assigned.hold("no partition assigned");
        }
    }

    /// The batch spans all partitions: without a part of it the rest cannot be kept either.
    fn drop_batch(&mut self, cause: &str) {
        if self.anything_pending() {
            self.broken.get_or_insert_with(|| cause.to_owned());
        }
        self.pending.clear();
        self.folded = 0;
    }

    /// Drops all state in memory and reads it back as it was last committed.
    fn recover(&mut self, cause: &str) -> anyhow::Result<()> {
        tracing::warn!(cause, partitions = self.parts.len(), "reading the state back from the changelog");
        self.pending.clear();
        self.folded = 0;
        if self.transactions.is_finished() {
            self.fenced.retain(|at| at.elapsed() < Duration::from_secs(60));
            self.fenced.push(Instant::now());
            if self.fenced.len() > FENCED_MAX {
                bail!(StreamError::fatal(
                    "write transactions",
                    format!("{cause}; does another process use the same transactional id? Each needs its own")
                ));
            }
            self.transactions.reconnect()?;
        }
        let partitions: Vec<TopicPartition> = self.parts.values().map(|part| part.partition.clone()).collect();
        self.parts.clear();
        let mut positions = Vec::with_capacity(partitions.len());
        for (partition, restored) in self.restore(&partitions)? {
            let partition = TopicPartition::new(self.settings.input.as_str(), partition);
            let next_offset = self.install(partition.clone(), restored)?;
            positions.push((partition, next_offset));
        }
        self.consumer.seek(&positions)?;
        Ok(())
    }

    /// Whether everything that was there when the drain was set has been folded.
    fn drained(&mut self) -> anyhow::Result<bool> {
        if !self.env.drain.is_set() || !self.ever_assigned || self.broken.is_some() {
            return Ok(false);
        }
        for partition in self.parts.keys() {
            if !self.ends.contains_key(partition) {
                let end = self.env.ask("read the end of the input", || {
                    self.admin.true_end(&self.settings.input, *partition, Duration::from_secs(5))
                })?;
                self.ends.insert(*partition, end);
            }
        }
        Ok(self.parts.iter().all(|(partition, part)| part.next_offset >= self.ends[partition]))
    }
}

/// What is in the cluster that the stage depends on: waits for the topics, then looks at them.
fn look_around(env: &Env, admin: &Admin, settings: &Settings, layout: u32) -> anyhow::Result<Expected> {
    let mut topics = vec![settings.input.as_str(), settings.changelog.as_str(), settings.dead_letters.as_str()];
    topics.extend(settings.outputs.iter().map(String::as_str));
    admin.wait_for(&topics)?;
    let input = env.ask("describe the input", || admin.describe(&settings.input))?;
    let input = input.with_context(|| format!("the topic {} was deleted just now", settings.input))?;
    if input.topic_id.is_zero() {
        bail!("the broker gives {} no id: topics have one since Kafka 2.8, and the state needs it", settings.input);
    }
    check_partitions(env, admin, settings, input.partitions)?;
    Ok(Expected {
        layout,
        group: settings.group.clone(),
        input: settings.input.clone(),
        topic_id: input.topic_id.to_string(),
        partitions: input.partitions,
        changelog: settings.changelog.clone(),
    })
}

/// Partition n of the changelog belongs to partition n of the input, for as long as both have as many as at the start.
fn check_partitions(env: &Env, admin: &Admin, settings: &Settings, expected: i32) -> anyhow::Result<()> {
    let there = env.ask("list the topics", || admin.list())?;
    for topic in [&settings.input, &settings.changelog] {
        let found = there.get(topic).copied().unwrap_or(0);
        if found != expected {
            bail!(
                "{topic} has {found} partitions, expected {expected}: {} and {} must have as many as each other, and keep \
                 them. A different number moves keys between partitions, away from their state: make new topics with \
                 the number you want and let the stage finish the old ones first",
                settings.input,
                settings.changelog
            );
        }
    }
    Ok(())
}

/// The same at each start of this process, and never two processes at once.
fn transactional_id(settings: &Settings) -> String {
    if !settings.transactional_id.is_empty() {
        return settings.transactional_id.clone();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().or_else(|| std::env::var("HOSTNAME").ok());
    let host = host.map(|host| host.trim().to_owned()).filter(|host| !host.is_empty());
    format!("{}-{}", settings.group, host.unwrap_or_else(|| "host".to_owned()))
}
