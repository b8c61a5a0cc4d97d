//! The loop: poll → range → (seal → claim → objects, in a task) → commit. All decisions are made on this thread.
//!
//! **Invariants:** a partition has at most one range being stored; the next is sealed only after that one's claim and
//! objects are all there. What is read meanwhile waits in memory, within the budget.

use std::time::{Duration, Instant};

use harness::traces::TRACEPARENT;
use lake::{Bucket, ChainError, Feed, Paths, Record};
use streams::{Admin, Consumer, ConsumerOptions, Env, KafkaConfig, Polled, StreamError, TopicPartition};

use crate::broker::Broker;
use crate::catalog::Registering;
use crate::config::Config;
use crate::error::StoreError;
use crate::observe::{Observer, Tally};
use crate::partition::{Flight, Partition, Reading, State, Then};
use crate::rotation;
use crate::summary::Summary;
use crate::work::{OTHERS, Outcome, Report, Resume, Tools, Workers};

/// How long a poll waits. Also how late a report of finished work is seen.
const POLL: Duration = Duration::from_millis(100);
/// The same while work is under way.
const POLL_BUSY: Duration = Duration::from_millis(10);
/// Between two looks at clocks and budgets.
const TICK: Duration = Duration::from_millis(50);
/// And after so much was read, if that is earlier.
const LOOK_AT_BYTES: u64 = 4 << 20;
/// What is being stored of a partition that goes to somebody else may take this long. Cut short, it is finished there.
const HAND_OVER: Duration = Duration::from_secs(10);
/// Below the harness's limit for the whole shutdown.
const LAST_FLUSH: Duration = Duration::from_secs(15);

mod ends;
mod others;

use others::Others;

pub(crate) struct Pipeline<B: Bucket> {
    ctx: harness::Context<Config>,
    env: Env,
    observer: Observer,
    registering: Registering,
    workers: Workers<B>,
    assigned: harness::Latch,
    partitions: Vec<Partition<B>>,
    /// Where the last record went: the next one mostly goes there too.
    recent: usize,
    epoch: u64,
    ticked: Instant,
    /// Read since then.
    unseen_bytes: u64,
    /// When the first record came, and the CPU time until then.
    first: Option<(Instant, f64)>,
    summary: Summary,
    others: Others,
}

/// A record or an end of the log, taken out of the consumer's hands.
enum Polling {
    Record { index: usize, then: Then },
    CaughtUp { partition: TopicPartition, offset: i64 },
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
    OutOfRange(String),
    Nothing,
}

impl<B: Bucket> Pipeline<B> {
    pub(crate) fn new(
        ctx: harness::Context<Config>,
        bucket: B,
        paths: Paths,
        observer: Observer,
        registering: Registering,
    ) -> Result<Self, StreamError> {
        let env = Env::of(&ctx).with_heartbeat(ctx.heartbeat("loop"));
        let admin = Admin::new(&env, &ctx.config.kafka)?;
        let topics: Vec<String> = ctx.config.topics().into_iter().map(|(topic, _)| topic.to_owned()).collect();
        match admin.wait_for(&topics.iter().map(String::as_str).collect::<Vec<_>>()) {
            // The loop sees the stop itself.
            Ok(()) | Err(StreamError::Stopped(_)) => {}
            Err(error) => return Err(error),
        }
        let writer = format!("store-{}-{}", std::process::id(), uuid::Uuid::new_v4().simple());
        let tools = Tools { bucket, broker: Broker::new(admin), paths, writer, observer: observer.clone() };
        let workers = Workers::new(tokio::runtime::Handle::current(), tools);
        let assigned = ctx.health.latch("assigned");
        Ok(Self {
            ctx,
            env,
            observer,
            registering,
            workers,
            assigned,
            partitions: Vec::new(),
            recent: 0,
            epoch: 0,
            ticked: Instant::now(),
            unseen_bytes: 0,
            first: None,
            summary: Summary::default(),
            others: Others::default(),
        })
    }

    pub(crate) fn run(mut self) -> anyhow::Result<Summary> {
        let topics = self.ctx.config.topics().into_iter().map(|(topic, _)| topic);
        let options = ConsumerOptions::new(&self.ctx.config.group, topics);
        let mut consumer = Consumer::new(&self.env, &thrifty(&self.ctx.config.kafka), options)?;
        match self.work(&mut consumer) {
            Ok(()) | Err(StoreError::Stopped | StoreError::Streams(StreamError::Stopped(_))) => {}
            Err(StoreError::Chain(error)) => return Err(error.into()),
            Err(StoreError::Streams(error)) => return Err(error.into()),
        }
        consumer.close()?;
        if let Some(first) = self.first {
            self.summary.took(first);
        }
        Ok(self.summary)
    }

    fn work(&mut self, consumer: &mut Consumer) -> Result<(), StoreError> {
        let look_at_bytes = LOOK_AT_BYTES.min(self.ctx.config.memory.bytes() / 8);
        while !self.ctx.shutdown.is_set() {
            self.env.beat();
            self.turn(consumer)?;
            // Looking at clocks and flags takes as long as a good part of a record: once for all that is at hand.
            while consumer.has_at_hand() && self.unseen_bytes < look_at_bytes {
                self.turn(consumer)?;
            }
            if self.unseen_bytes >= look_at_bytes || self.ticked.elapsed() >= TICK {
                self.tick(consumer)?;
                if self.ctx.drain.is_set() && self.drain(consumer)? {
                    return Ok(());
                }
            }
        }
        self.last_flush(consumer)
    }

    /// Takes a record, or what else there is.
    fn turn(&mut self, consumer: &mut Consumer) -> Result<(), StoreError> {
        match self.poll(consumer)? {
            Polling::Record { index, then: Then::Nothing } => self.look_at(index),
            Polling::Record { index, then: Then::FinishAdoption } => self.finish_adoption(index),
            Polling::CaughtUp { partition, offset } => self.caught_up(&partition, offset),
            Polling::Assigned(partitions) => self.assigned(consumer, partitions)?,
            Polling::Revoked(partitions) => {
                self.hand_over(consumer, &partitions)?;
                consumer.release()?;
            }
            Polling::Lost(partitions) => {
                self.partitions.retain(|partition| !partitions.contains(&partition.tp));
                consumer.release()?;
            }
            Polling::OutOfRange(reason) => self.out_of_range(consumer, &reason)?,
            Polling::Nothing => {}
        }
        Ok(())
    }

    fn poll(&mut self, consumer: &mut Consumer) -> Result<Polling, StoreError> {
        let polled = match consumer.poll(if consumer.has_at_hand() { Duration::ZERO } else { self.patience() }) {
            Err(StreamError::OutOfRange(reason)) => return Ok(Polling::OutOfRange(reason)),
            polled => polled?,
        };
        Ok(match polled {
            Polled::Record(record) => {
                let Some(index) = find(&self.partitions, self.recent, record.topic, record.partition) else {
                    return Ok(Polling::Nothing);
                };
                self.recent = index;
                self.summary.msgs += 1;
                self.first.get_or_insert_with(|| (Instant::now(), harness::cpu_seconds()));
                self.unseen_bytes += record.value.map_or(0, <[u8]>::len) as u64;
                Polling::Record { index, then: take(&mut self.partitions[index], &record, &*self.ctx.clock) }
            }
            Polled::CaughtUp(partition, offset) => Polling::CaughtUp { partition, offset },
            Polled::Assigned(partitions) => Polling::Assigned(partitions),
            Polled::Revoked(partitions) => Polling::Revoked(partitions),
            Polled::Lost(partitions) => Polling::Lost(partitions),
            Polled::Idle => Polling::Nothing,
        })
    }

    /// How long a poll may wait.
    fn patience(&self) -> Duration {
        let is_idle =
            |partition: &Partition<B>| matches!(&partition.state, State::Reading(reading) if reading.flight.is_none());
        if self.partitions.iter().all(is_idle) { POLL } else { POLL_BUSY }
    }

    fn caught_up(&mut self, partition: &TopicPartition, offset: i64) {
        let Some(index) = self.index(partition) else { return };
        if self.partitions[index].caught_up(offset) == Then::FinishAdoption {
            self.finish_adoption(index);
        }
    }

    /// Finds the place of each new partition before the first record is asked for.
    fn assigned(&mut self, consumer: &mut Consumer, partitions: Vec<TopicPartition>) -> Result<(), StoreError> {
        for tp in partitions {
            let Some(feed) =
                self.ctx.config.topics().into_iter().find(|(topic, _)| *topic == &*tp.topic).map(|(_, feed)| feed)
            else {
                continue;
            };
            self.epoch += 1;
            let task = self.workers.locate(&tp, self.epoch, feed);
            self.partitions.retain(|known| known.tp != tp);
            self.partitions.push(Partition {
                tp,
                feed,
                epoch: self.epoch,
                state: State::Locating { _task: task },
                tally: Tally::default(),
                target: None,
                lost_place: false,
                paused: false,
            });
        }
        while self.partitions.iter().any(|partition| matches!(partition.state, State::Locating { .. })) {
            self.wait(consumer)?;
        }
        let format = self.ctx.config.format;
        let mut positions = Vec::new();
        for partition in &mut self.partitions {
            if let Some(from) = partition.begin(format) {
                self.summary.begins(&partition.tp.topic, partition.tp.partition, from);
                positions.push((partition.tp.clone(), from));
            }
        }
        consumer.assign_at(&positions)?;
        self.assigned.release();
        Ok(())
    }

    /// Waits for a report, with the group kept content and the wish to stop heard.
    fn wait(&mut self, consumer: &mut Consumer) -> Result<(), StoreError> {
        consumer.keep_alive();
        if let Some(report) = self.workers.report(POLL) {
            self.reported(consumer, report)?;
        }
        if self.ctx.shutdown.is_set() { Err(StoreError::Stopped) } else { Ok(()) }
    }

    fn tick(&mut self, consumer: &mut Consumer) -> Result<(), StoreError> {
        self.ticked = Instant::now();
        self.unseen_bytes = 0;
        while let Some(report) = self.workers.report(Duration::ZERO) {
            self.reported(consumer, report)?;
        }
        let format = self.ctx.config.format;
        for index in 0..self.partitions.len() {
            let partition = &mut self.partitions[index];
            if let Some(from) = partition.begin(format) {
                let tp = partition.tp.clone();
                self.summary.begins(&tp.topic, tp.partition, from);
                consumer.seek(&[(tp.clone(), from)])?;
                consumer.resume(std::slice::from_ref(&tp))?;
            }
            self.rotate(index);
            self.seek_lost_place(consumer, index)?;
        }
        self.balance_memory(consumer)?;
        self.count();
        Ok(())
    }

    /// Cheap enough for every record.
    fn look_at(&mut self, index: usize) {
        let full = |reading: &mut Reading<B>| reading.is_full(&self.ctx.config.rotate);
        if self.partitions[index].reading().is_some_and(full) {
            self.rotate(index);
        }
    }

    fn rotate(&mut self, index: usize) {
        let (steady_ns, config) = (self.ctx.clock.steady_ns(), &self.ctx.config);
        let Some(reading) = self.partitions[index].reading() else { return };
        let (age, objects) = (reading.age(steady_ns), reading.objects(config.format));
        if let Some(why) = rotation::due(&reading.range, age, &config.rotate, objects) {
            self.flush(index, why);
        }
    }

    /// Begins to store what was read, unless the range before it is still on its way.
    fn flush(&mut self, index: usize, why: &str) {
        let (epoch, tp, feed) = {
            let partition = &self.partitions[index];
            (partition.epoch, partition.tp.clone(), partition.feed)
        };
        let format = self.ctx.config.format;
        let Some(reading) = self.partitions[index].reading() else { return };
        if reading.flight.is_some() || reading.range.is_empty() {
            return;
        }
        let next = lake::Range::new(reading.chain.source().clone(), feed, format, reading.range.next());
        let range = std::mem::replace(&mut reading.range, next);
        reading.opened_ns = None;
        let span = std::mem::take(&mut reading.parents).span(|| tracing::info_span!("store"));
        let held_bytes = range.held_bytes();
        let sealed = range.seal(&self.workers.tools.writer, why);
        let task = self.workers.store(&tp, epoch, reading.chain.clone(), sealed);
        reading.flight = Some(Flight { _task: task, _span: span, held_bytes });
    }

    fn finish_adoption(&mut self, index: usize) {
        let partition = &mut self.partitions[index];
        let placeholder = Resume::Read { from: 0 };
        let State::Adopting { chain, .. } = &partition.state else { return };
        let chain = chain.clone();
        let state =
            std::mem::replace(&mut partition.state, State::Placed { chain: chain.clone(), resume: placeholder });
        let State::Adopting { adoption, .. } = state else { unreachable!("matched above") };
        let held_bytes = adoption.held_bytes();
        let task = self.workers.adopt(&partition.tp, partition.epoch, chain, *adoption);
        partition.state = State::Finishing { _task: task, held_bytes };
    }

    fn reported(&mut self, consumer: &mut Consumer, report: Report<B>) -> Result<(), StoreError> {
        if report.epoch == OTHERS {
            self.others.reported(&report);
            return Ok(());
        }
        let known = |partition: &Partition<B>| partition.tp == report.partition && partition.epoch == report.epoch;
        let Some(index) = self.partitions.iter().position(known) else { return Ok(()) };
        match report.outcome {
            Ok(Outcome::Located { chain, resume }) => {
                self.partitions[index].state = State::Placed { chain, resume };
            }
            Ok(Outcome::Stored(receipt)) => {
                self.observer.stored(&receipt);
                self.registering.stored(&receipt.claim);
                if let Some(reading) = self.partitions[index].reading() {
                    reading.flight = None;
                }
                self.summary.add(&receipt, true);
                match consumer.commit(&[(report.partition, receipt.claim.end + 1)]) {
                    Err(error) if error.is_fatal() => return Err(error.into()),
                    Err(error) => self.observer.commit_refused(&error),
                    Ok(_) => {}
                }
            }
            Ok(Outcome::Adopted(receipt)) => {
                self.observer.adopted(&receipt);
                self.registering.stored(&receipt.claim);
                self.summary.add(&receipt, false);
                self.relocate(consumer, index)?;
            }
            // Asked of partitions of others alone.
            Ok(Outcome::Reaches(_)) => {}
            Ok(Outcome::Beaten) => {
                self.observer.beaten(&report.partition);
                self.relocate(consumer, index)?;
            }
            Err(error @ ChainError::Recreated { .. }) => {
                self.observer.recreated(&report.partition, &error);
                self.relocate(consumer, index)?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Drops what is in hand and asks the chain for the place. An earlier task's report is void from here on.
    fn relocate(&mut self, consumer: &mut Consumer, index: usize) -> Result<(), StoreError> {
        self.epoch += 1;
        let partition = &mut self.partitions[index];
        partition.epoch = self.epoch;
        partition.lost_place = false;
        partition.target = None;
        let task = self.workers.locate(&partition.tp, self.epoch, partition.feed);
        partition.state = State::Locating { _task: task };
        // A partition that is being given up needs no pause, and cannot have one.
        if consumer.position(&partition.tp).is_some() {
            consumer.pause(std::slice::from_ref(&partition.tp))?;
            partition.paused = false;
        }
        Ok(())
    }

    fn index(&self, tp: &TopicPartition) -> Option<usize> {
        self.partitions.iter().position(|partition| partition.tp == *tp)
    }
}

/// Asks for less at once than other stages do, unless it is told to: what the client holds comes on top of the rows, and a packed
/// answer of some megabytes is several times as large in memory.
fn thrifty(kafka: &KafkaConfig) -> KafkaConfig {
    let mut kafka = kafka.clone();
    for (name, value) in [("fetch.max.bytes", "2097152"), ("queued.max.messages.kbytes", "4096")] {
        kafka.librdkafka.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    kafka
}

fn find<B: Bucket>(partitions: &[Partition<B>], recent: usize, topic: &str, partition: i32) -> Option<usize> {
    let is = |known: &Partition<B>| known.tp.partition == partition && &*known.tp.topic == topic;
    match partitions.get(recent) {
        Some(known) if is(known) => Some(recent),
        _ => partitions.iter().position(is),
    }
}

fn take<B: Bucket>(partition: &mut Partition<B>, record: &streams::Record<'_>, clock: &dyn harness::Clock) -> Then {
    if let Some(reading) = partition.reading() {
        reading.parents.note(|| record.header(TRACEPARENT));
    }
    let mut seen = Record {
        offset: record.offset,
        timestamp_ms: record.timestamp_ms,
        key: record.key,
        value: record.value,
        headers: &[],
    };
    if partition.feed != Feed::DeadLetters {
        return partition.push(&seen, clock);
    }
    let headers: Vec<_> = record.headers().collect();
    let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, value.unwrap_or_default())).collect();
    seen.headers = &headers;
    partition.push(&seen, clock)
}
