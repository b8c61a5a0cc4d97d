//! The thread that writes what the lines have found, and keeps the checkpoint. The only place that waits for Kafka.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::Context;
use market::Event;
use streams::{Admin, DeadLetters, Env, Outgoing, Producer, StreamError, header};
use tokio::sync::oneshot;

use super::memory::{self, Checkpoint, Memory, Named, Stood};
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

pub struct Pipeline {
    ctx: Context<Config>,
    env: Env,
    admin: Admin,
    places: Places,
    feeds: Vec<Named>,
    queue: Arc<Queue>,
    metrics: Metrics,
    writer: Writer,
    /// What is in Kafka of each feed, or on its way there.
    known: Vec<Memory>,
    written: u64,
    /// What `written` was at the last checkpoint.
    checkpointed: Option<u64>,
    summary: Summary,
}

/// What the feeds go on from.
pub type Restored = Vec<Stood>;

impl Pipeline {
    /// Waits for Kafka, and finds out where each symbol stood.
    pub fn start(
        ctx: Context<Config>,
        feeds: Vec<Named>,
        queue: Arc<Queue>,
        metrics: Metrics,
    ) -> anyhow::Result<Option<Pipeline>> {
        let env = Env::of(&ctx).with_heartbeat(ctx.heartbeat("live"));
        let kafka = ctx.config.kafka.clone();
        let places = Places {
            output: ctx.config.output.clone(),
            dead_letters: ctx.config.dead_letters.clone(),
            leases: ctx.config.leases.clone(),
        };
        let admin = Admin::new(&env, &kafka).context("create the admin client")?;
        let found = admin.wait_for(&[&places.output, &places.dead_letters, &places.leases]).and_then(|()| {
            until_answered(&env, || {
                let ends = recover::ends(&admin, &places)?;
                Ok((memory::restore(&env, &kafka, &admin, &places, &feeds)?, ends[&places.output].offsets.len()))
            })
        });
        let (known, partitions) = match found {
            Ok(found) => found,
            Err(StreamError::Stopped(_)) => return Ok(None),
            Err(error) => return Err(error).context("find out where the live feeds stood"),
        };
        let producer = Producer::new(&env, &gapless(&kafka)).context("create the producer")?;
        producer.announce(&[&places.output, &places.dead_letters]);
        let dead_letters = DeadLetters::new(&env, &producer, &observe::reasons()).to_topic(&places.dead_letters);
        let writer = Writer::new(producer, dead_letters, &places.output, i32::try_from(partitions).unwrap_or(i32::MAX));
        let (written, checkpointed, summary) = (0, None, Summary::default());
        Ok(Some(Pipeline {
            ctx,
            env,
            admin,
            places,
            feeds,
            queue,
            metrics,
            writer,
            known,
            written,
            checkpointed,
            summary,
        }))
    }

    /// Until the queue is closed and empty.
    pub fn run(mut self, started: oneshot::Sender<Restored>) -> anyhow::Result<Summary> {
        let began = Instant::now();
        match self.turns(started) {
            Ok(()) | Err(StreamError::Stopped(_)) => {}
            Err(error) => return Err(error).context("write what live feeds say"),
        }
        let mut summary = self.summary;
        summary.seconds = began.elapsed().as_secs_f64();
        for (index, feed) in self.feeds.iter().enumerate() {
            let (read, format) = (self.metrics.of(index).frames.get(), "live".to_owned());
            summary.read += read;
            summary.feeds.push(FeedSummary { name: feed.name.clone(), format, read, ..FeedSummary::default() });
        }
        Ok(summary)
    }

    fn turns(&mut self, started: oneshot::Sender<Restored>) -> streams::Result<()> {
        // From here on a restart looks for what came after.
        while !self.checkpoint(false)? {
            if self.env.shutdown.wait_timeout(Duration::from_millis(200)) {
                return Err(StreamError::Stopped("writing the first checkpoint".to_owned()));
            }
        }
        started.send(self.known.iter().map(Memory::save).collect()).ok();
        let mut due = Instant::now() + *self.ctx.config.checkpoint_every;
        let mut batch = VecDeque::new();
        while self.queue.take(&mut batch, TURN) {
            self.env.beat();
            for entry in batch.drain(..) {
                self.write(entry)?;
            }
            self.writer.producer.poll()?;
            self.writer.end_batch();
            let (bytes, spilled) = self.queue.bytes();
            self.metrics.queued.set(i64::try_from(bytes).unwrap_or(i64::MAX));
            self.metrics.spilled.set(i64::try_from(spilled).unwrap_or(i64::MAX));
            if Instant::now() >= due {
                self.checkpoint(false)?;
                due = Instant::now() + *self.ctx.config.checkpoint_every;
            }
        }
        if !self.checkpoint(true)? {
            let unacknowledged = self.writer.producer.in_flight();
            tracing::warn!(
                unacknowledged,
                "stopping without Kafka's answer, the next start will look for these records"
            );
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry) -> streams::Result<()> {
        let feed = &self.feeds[entry.feed];
        let (id, label) = (FeedId::live(&feed.name), feed.label());
        let origin = Origin { feed: &id, label: &label, position: entry.position };
        match entry.item {
            Item::Event(event) => {
                let partition = self.writer.partition_of(&event);
                match self.writer.event(&event, partition, origin)? {
                    Ok(()) => {
                        self.known[entry.feed].fold(&event);
                        self.count(&event, partition);
                    }
                    Err(bad) => {
                        let mut text = Vec::new();
                        event.encode(&mut text);
                        self.metrics.of(entry.feed).invalid(bad.reason);
                        self.bad(&text, &bad, entry.feed, origin)?;
                    }
                }
            }
            Item::Bad(text, bad) => {
                self.known[entry.feed].fold_bad(&text);
                self.bad(&text, &bad, entry.feed, origin)?;
            }
            Item::Used { symbol, id, time } => self.known[entry.feed].used(&symbol, id, time),
        }
        self.written += 1;
        Ok(())
    }

    fn bad(&mut self, text: &[u8], bad: &crate::sources::Bad, feed: usize, origin: Origin<'_>) -> streams::Result<()> {
        *self.summary.invalid.entry(bad.reason.to_owned()).or_default() += 1;
        self.summary.dead_lettered += 1;
        // Without its key, which some venues want in the address.
        self.writer.bad(text, bad, &self.feeds[feed].address, origin)
    }

    fn count(&mut self, event: &Event, partition: i32) {
        self.metrics.event(event, self.env.clock.now_ns());
        *self.summary.events.entry(event.kind().as_str().to_owned()).or_default() += 1;
        *self.summary.produced.entry(partition).or_default() += 1;
    }

    /// `false` if Kafka did not answer in time; the next try comes soon enough.
    fn checkpoint(&mut self, clean: bool) -> streams::Result<bool> {
        if self.checkpointed == Some(self.written) && !clean {
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
        for (feed, known) in self.feeds.iter().zip(&self.known) {
            let Stood { symbols, taken } = known.save();
            let checkpoint = Checkpoint {
                version: 1,
                feed: feed.name.clone(),
                clean,
                symbols,
                taken,
                topics: topics.clone(),
                written: self.env.clock.now_ns(),
            };
            let value = serde_json::to_vec(&checkpoint).expect("a checkpoint is plain data");
            self.writer.producer.send(&Outgoing {
                topic: &self.places.leases,
                key: Some(FeedId::live(&feed.name).key().as_bytes()),
                value: Some(&value),
                headers: &[(header::CONTENT_TYPE, b"application/json"), (header::SCHEMA_VERSION, b"1")],
                ..Outgoing::default()
            })?;
        }
        let first = self.checkpointed.replace(self.written).is_none();
        if first || clean { retry(self.writer.producer.flush(FLUSH)) } else { Ok(true) }
    }
}
