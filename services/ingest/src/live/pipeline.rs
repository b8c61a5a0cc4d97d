//! The thread that writes what the lines have found, and keeps the checkpoints. The only place that waits for Kafka.
//!
//! It writes of a share only while that is this process's own for certain ([`Gate`]): while it is not, all waits; what came of a share
//! that somebody else has now is let go, since whoever has it has said the gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::Context;
use market::{Event, Kind};
use streams::{Admin, DeadLetters, Env, Outgoing, Producer, StreamError, header};
use tokio::sync::oneshot;

use super::board::{Board, Control};
use super::lease::keeper::Gate;
use super::memory::{Checkpoint, Memory, Named, Stood};
use super::queue::{Entry, Item, Queue};
use crate::config::Config;
use crate::observe;
use crate::observe::live::Metrics;
use crate::recover::{self, Places};
use crate::resume::FeedId;
use crate::start::{gapless, until_answered};
use crate::summary::{FeedSummary, Summary};
use crate::writer::{Origin, Writer};

const FLUSH: Duration = Duration::from_secs(10);
const TURN: Duration = Duration::from_millis(50);
const WAIT: Duration = Duration::from_millis(10);
/// Records that librdkafka has at once. The rest waits in our queue, of which each trade is touched once: a record in there lies in eight
/// pieces, which a long queue has long pushed out of the processor's caches. And what it has may be written even after its share is lost.
const IN_FLIGHT: &str = "20000";

/// A share that this process reads.
struct Known {
    /// The gate's number of it.
    turn: u64,
    /// What is in Kafka of it, or on its way there.
    memory: Memory,
}

/// What was written since it was last counted: to count each record for itself costs more than to encode it.
#[derive(Default)]
struct Turn {
    /// By kind, in the order of all kinds.
    events: [u64; Kind::ALL.len()],
    /// By partition.
    produced: Vec<u64>,
    /// Event time of the latest.
    last: Option<i64>,
}

impl Turn {
    fn note(&mut self, event: &Event, partition: i32) {
        if let Some(at) = Kind::ALL.iter().position(|kind| *kind == event.kind()) {
            self.events[at] += 1;
        }
        if let Some(count) = usize::try_from(partition).ok().and_then(|at| self.produced.get_mut(at)) {
            *count += 1;
        }
        self.last = event.event_time().or(self.last);
    }
}

pub struct Pipeline {
    ctx: Context<Config>,
    env: Env,
    admin: Admin,
    places: Places,
    shares: Vec<Named>,
    /// What the headers of each share's records say of it.
    origins: Vec<(FeedId, String)>,
    queue: Arc<Queue>,
    board: Arc<Board>,
    gate: Arc<Gate>,
    metrics: Metrics,
    writer: Writer,
    known: Vec<Option<Known>>,
    /// Shares whose last record has been written.
    ending: Vec<(usize, oneshot::Sender<()>)>,
    written: u64,
    turn: Turn,
    /// What `written` was at the last checkpoint.
    checkpointed: Option<u64>,
    summary: Summary,
}

impl Pipeline {
    /// Waits for Kafka.
    pub fn start(
        ctx: Context<Config>,
        shares: Vec<Named>,
        queue: Arc<Queue>,
        (board, gate): (Arc<Board>, Arc<Gate>),
        metrics: Metrics,
    ) -> anyhow::Result<Option<Pipeline>> {
        let env = Env::of(&ctx).with_heartbeat(ctx.heartbeat("live"));
        let kafka = ctx.config.kafka.clone();
        let places = Places::of(&ctx.config);
        let admin = Admin::new(&env, &kafka).context("create the admin client")?;
        let found = admin
            .wait_for(&[&places.output, &places.dead_letters, &places.leases])
            .and_then(|()| until_answered(&env, || Ok(recover::ends(&admin, &places)?[&places.output].offsets.len())));
        let partitions = match found {
            Ok(found) => found,
            Err(StreamError::Stopped(_)) => return Ok(None),
            Err(error) => return Err(error).context("look at the topics of the live feeds"),
        };
        let mut kafka = gapless(&kafka);
        let most = kafka.librdkafka.entry("queue.buffering.max.messages".to_owned());
        most.or_insert_with(|| IN_FLIGHT.to_owned());
        let producer = Producer::new(&env, &kafka).context("create the producer")?;
        producer.announce(&[&places.output, &places.dead_letters]);
        let dead_letters = DeadLetters::new(&env, &producer, &observe::reasons()).to_topic(&places.dead_letters);
        let writer = Writer::new(producer, dead_letters, &places.output, i32::try_from(partitions).unwrap_or(i32::MAX));
        let (written, checkpointed, summary) = (0, None, Summary::default());
        let known = shares.iter().map(|_| None).collect();
        let origins = shares.iter().map(|feed| (FeedId::live(&feed.name), feed.label())).collect();
        let turn = Turn { produced: vec![0; partitions], ..Turn::default() };
        Ok(Some(Pipeline {
            ctx,
            env,
            admin,
            places,
            shares,
            origins,
            queue,
            board,
            gate,
            metrics,
            writer,
            known,
            ending: Vec::new(),
            written,
            turn,
            checkpointed,
            summary,
        }))
    }

    /// Until the queue is closed and empty.
    pub fn run(mut self, started: oneshot::Sender<()>) -> anyhow::Result<Summary> {
        let began = Instant::now();
        started.send(()).ok();
        match self.turns() {
            Ok(()) | Err(StreamError::Stopped(_)) => {}
            Err(error) => return Err(error).context("write what live feeds say"),
        }
        let mut summary = self.summary;
        summary.seconds = began.elapsed().as_secs_f64();
        for (index, feed) in self.shares.iter().enumerate().filter(|(_, feed)| feed.part.number == 0) {
            let (read, format) = (self.metrics.of(index).frames.get(), "live".to_owned());
            summary.read += read;
            summary.feeds.push(FeedSummary { name: feed.name.clone(), format, read, ..FeedSummary::default() });
        }
        Ok(summary)
    }

    fn turns(&mut self) -> streams::Result<()> {
        let mut due = Instant::now() + *self.ctx.config.checkpoint_every;
        let mut batch = VecDeque::new();
        while self.queue.take(&mut batch, TURN) {
            self.env.beat();
            let written = batch.drain(..).try_for_each(|entry| self.write(entry));
            self.count();
            written?;
            self.writer.producer.poll()?;
            self.writer.end_batch();
            let (bytes, spilled) = self.queue.bytes();
            self.metrics.queued.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.metrics.spilled.set(i64::try_from(spilled).unwrap_or(i64::MAX));
            self.end()?;
            if Instant::now() >= due {
                self.checkpoint()?;
                due = Instant::now() + *self.ctx.config.checkpoint_every;
            }
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry) -> streams::Result<()> {
        if let Item::Mark(number) = entry.item {
            return self.obey(number);
        }
        if !self.may_write(entry.feed)? {
            self.metrics.of(entry.feed).surrendered.inc();
            return Ok(());
        }
        let Some(known) = &mut self.known[entry.feed] else { return Ok(()) };
        let (feed, label) = &self.origins[entry.feed];
        let origin = Origin { feed, label, position: entry.position };
        self.written += 1;
        let (text, bad) = match entry.item {
            Item::Event(event) => {
                let partition = self.writer.partition_of(&event);
                match self.writer.event(&event, partition, origin)? {
                    Ok(()) => {
                        known.memory.fold(&event);
                        self.turn.note(&event, partition);
                        return Ok(());
                    }
                    Err(bad) => {
                        let mut text = Vec::new();
                        event.encode(&mut text);
                        self.metrics.of(entry.feed).invalid(bad.reason);
                        (text, bad)
                    }
                }
            }
            Item::Bad(text, bad) => {
                known.memory.fold_bad(&text);
                (text, bad)
            }
            Item::Used { symbol, id, time } => {
                known.memory.used(&symbol, id, time);
                return Ok(());
            }
            Item::Mark(_) => return Ok(()),
        };
        *self.summary.invalid.entry(bad.reason.to_owned()).or_default() += 1;
        self.summary.dead_lettered += 1;
        // Without its key, which some venues want in the address.
        self.writer.bad(&text, &bad, &self.shares[entry.feed].address, origin)
    }

    /// Waits until it is known whose the share is. `false`: somebody else's.
    fn may_write(&self, share: usize) -> streams::Result<bool> {
        let Some(known) = &self.known[share] else { return Ok(false) };
        let mut waits: Option<Instant> = None;
        loop {
            // In this order: what is lost is shut before the gate opens again.
            let is_open = self.gate.is_open();
            if !self.gate.is_ours(share, known.turn) {
                return Ok(false);
            }
            if is_open {
                return Ok(true);
            }
            self.env.beat();
            self.writer.producer.poll()?;
            let since = *waits.get_or_insert_with(Instant::now);
            if self.env.shutdown.is_set() && since.elapsed() > FLUSH {
                return Err(StreamError::Stopped("waiting for Kafka, with records of live feeds unwritten".to_owned()));
            }
            std::thread::sleep(WAIT);
        }
    }

    fn obey(&mut self, number: u64) -> streams::Result<()> {
        match self.board.take(number) {
            Some(Control::Begin { share, turn, memory }) => {
                self.known[share] = Some(Known { turn, memory });
                self.checkpointed = None;
                // From here on a restart looks for what came after.
                while self.may_write(share)? && !self.checkpoint()? {
                    if self.env.shutdown.wait_timeout(Duration::from_millis(200)) {
                        return Err(StreamError::Stopped("writing the first checkpoint".to_owned()));
                    }
                }
            }
            Some(Control::End { share, done }) => self.ending.push((share, done)),
            None => {}
        }
        Ok(())
    }

    /// Lets go of shares of which all is written.
    fn end(&mut self) -> streams::Result<()> {
        if self.ending.is_empty() {
            return Ok(());
        }
        while !self.checkpoint()? {
            let unacknowledged = self.writer.producer.in_flight();
            if self.env.shutdown.is_set() {
                tracing::warn!(
                    unacknowledged,
                    "stopping without Kafka's answer, the next start will look for these records"
                );
                break;
            }
            std::thread::sleep(WAIT);
        }
        for (share, done) in self.ending.drain(..) {
            self.known[share] = None;
            done.send(()).ok();
        }
        Ok(())
    }

    /// What this turn has written.
    fn count(&mut self) {
        for (kind, count) in Kind::ALL.iter().zip(&mut self.turn.events) {
            let count = std::mem::take(count);
            if count > 0 {
                self.metrics.events(*kind, count);
                *self.summary.events.entry(kind.as_str().to_owned()).or_default() += count;
            }
        }
        for (partition, count) in (0..).zip(&mut self.turn.produced) {
            let count = std::mem::take(count);
            if count > 0 {
                *self.summary.produced.entry(partition).or_default() += count;
            }
        }
        if let Some(at) = self.turn.last.take() {
            self.metrics.age(self.env.clock.now_ns().saturating_sub(at));
        }
    }

    /// Of all shares that are ours; clean where nothing of them is on its way any more. `false` if Kafka did not answer in time, or
    /// it is not known what is ours; the next try comes soon enough.
    fn checkpoint(&mut self) -> streams::Result<bool> {
        let is_last = !self.ending.is_empty();
        if self.checkpointed == Some(self.written) && !is_last {
            return Ok(true);
        }
        let retry = |result: streams::Result<()>| match result {
            Ok(()) => Ok(true),
            Err(error) if error.is_retry() => Ok(false),
            Err(error) => Err(error),
        };
        if !retry(self.writer.producer.flush(FLUSH))? {
            return Ok(false);
        }
        let topics = match recover::ends(&self.admin, &self.places) {
            Ok(topics) => topics,
            Err(error) if error.is_retry() => return Ok(false),
            Err(error) => return Err(error),
        };
        let is_open = self.gate.is_open();
        for (share, (feed, known)) in self.shares.iter().zip(&self.known).enumerate() {
            let Some(Known { memory, .. }) = known.as_ref().filter(|known| self.gate.is_ours(share, known.turn)) else {
                continue;
            };
            if !is_open {
                return Ok(false);
            }
            let Stood { symbols, taken } = memory.save();
            let checkpoint = Checkpoint {
                version: 1,
                feed: feed.name.clone(),
                clean: self.ending.iter().any(|(ending, _)| *ending == share),
                symbols,
                taken,
                topics: topics.clone(),
                written: self.env.clock.now_ns(),
            };
            let value = serde_json::to_vec(&checkpoint).expect("a checkpoint is plain data");
            self.writer.producer.send(&Outgoing {
                topic: &self.places.leases,
                key: Some(feed.key().as_bytes()),
                value: Some(&value),
                headers: &[(header::CONTENT_TYPE, b"application/json"), (header::SCHEMA_VERSION, b"1")],
                ..Outgoing::default()
            })?;
        }
        let first = self.checkpointed.replace(self.written).is_none();
        if first || is_last { retry(self.writer.producer.flush(FLUSH)) } else { Ok(true) }
    }
}
