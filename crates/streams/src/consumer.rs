//! A member of a consumer group, owned by the thread that runs the loop.
//!
//! [`Consumer::poll`] hands out records one by one, and what the group says in between them: [`Polled::Assigned`],
//! [`Polled::Revoked`], [`Polled::Lost`]. The group waits (and the heartbeat goes on) until the loop has answered with
//! [`Consumer::assign`] or [`Consumer::release`], so the loop can load state, finish a transaction or write an object
//! first, with `&mut` access to everything it owns. Nothing happens in callbacks.
//!
//! ```no_run
//! # fn f(env: &streams::Env, kafka: &streams::KafkaConfig) -> streams::Result<()> {
//! use streams::{Consumer, ConsumerOptions, Polled};
//! let mut consumer = Consumer::new(env, kafka, ConsumerOptions::new("logger", ["raw-market-data"]))?;
//! while !env.shutdown.is_set() {
//!     match consumer.poll(std::time::Duration::from_millis(200))? {
//!         Polled::Record(record) => println!("{record:?}"),
//!         Polled::Assigned(_) => consumer.assign()?,
//!         Polled::Revoked(_) => { /* finish, then commit */ consumer.release()? }
//!         Polled::Lost(_) => { /* forget what was in hand: somebody else owns it */ consumer.release()? }
//!         Polled::CaughtUp(..) | Polled::Idle => {}
//!     }
//! }
//! consumer.close()
//! # }
//! ```

pub(crate) mod lag;
mod rebalance;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::config::KafkaConfig;
use crate::cursor::{Cursor, Cursors};
use crate::env::Env;
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::NativeError;
use crate::native::group::{Event, Group};
use crate::native::membership::Membership;
use crate::native::message::Batch;
use crate::record::Record;

pub use lag::Lag;

/// Messages taken from librdkafka's queue at once: a lock per batch instead of one per message.
const BATCH: usize = 512;

/// How long a question to a broker may take before it is asked again.
const ASK: Duration = Duration::from_secs(10);

/// How long a partition may take until it can be sent elsewhere.
const STARTING: Duration = Duration::from_secs(1);

/// How often lag is measured, and ends are looked for while records keep coming.
const MEASURE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Arc<str>,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Where to begin in a partition for which the group has no committed position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    #[default]
    Earliest,
    Latest,
}

#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    pub group: String,
    pub topics: Vec<String>,
    pub start: Start,
    /// A group that was away for longer than the retention: `true` goes on with the oldest record there is, and says
    /// how many are gone; `false` is [`StreamError::OutOfRange`], for a human to decide.
    pub skip_expired: bool,
}

impl ConsumerOptions {
    pub fn new<T: Into<String>>(group: impl Into<String>, topics: impl IntoIterator<Item = T>) -> Self {
        ConsumerOptions {
            group: group.into(),
            topics: topics.into_iter().map(Into::into).collect(),
            start: Start::default(),
            skip_expired: false,
        }
    }

    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    pub fn skip_expired(mut self) -> Self {
        self.skip_expired = true;
        self
    }
}

/// What a turn of the loop brings.
#[derive(Debug)]
pub enum Polled<'a> {
    Record(Record<'a>),
    /// These are ours once [`Consumer::assign`] or [`Consumer::assign_at`] is called. May be empty: the group has
    /// spoken, nothing changed for us; answer all the same.
    Assigned(Vec<TopicPartition>),
    /// Finish and commit what was read of these, then call [`Consumer::release`].
    Revoked(Vec<TopicPartition>),
    /// Somebody else may own these already: drop what was read of them, never commit, then call
    /// [`Consumer::release`].
    Lost(Vec<TopicPartition>),
    /// Everything up to that offset has been handed out, and a moment ago that was all. Said once each time an end is
    /// reached; not while a transaction is open that could still put something before the end.
    CaughtUp(TopicPartition, i64),
    /// Nothing within the timeout.
    Idle,
}

/// See the module. Used by one thread at a time.
pub struct Consumer {
    // Before `group`: messages are freed before the client they came from.
    batch: Batch,
    group: Group,
    kafka: KafkaConfig,
    env: Env,
    logs: Logs,
    options: ConsumerOptions,
    /// The event that the loop has been told of and not yet answered.
    unanswered: Option<Event>,
    settled: bool,
    /// Since when it is a member that has nothing, as far as it has not been told of it.
    spare_since: Option<Instant>,
    /// The loop has been told that all is lost; a new member takes this one's place.
    thrown_out: bool,
    owned: Cursors,
    membership: Option<Arc<Membership>>,
    metrics: lag::Metrics,
    measured: Instant,
}

/// A turn of `poll` before anything is borrowed for the caller.
enum Step {
    Record,
    Event(Event),
    CaughtUp(TopicPartition, i64),
    Nothing,
}

impl Consumer {
    /// Joins the group in the background: this succeeds while every broker is down.
    pub fn new(env: &Env, kafka: &KafkaConfig, options: ConsumerOptions) -> Result<Self> {
        let logs = env.logs("consumer");
        Ok(Consumer {
            batch: Batch::default(),
            group: rebalance::join(kafka, &options, &logs)?,
            kafka: kafka.clone(),
            env: env.clone(),
            logs,
            metrics: lag::Metrics::new(env),
            options,
            unanswered: None,
            settled: false,
            spare_since: None,
            thrown_out: false,
            owned: Cursors::default(),
            membership: None,
            measured: Instant::now(),
        })
    }

    /// The next thing to do, waiting up to `timeout` for it.
    pub fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>> {
        if let Some(event) = &self.unanswered {
            let cause = format!("{:?} of {:?} was not answered", event.kind, event.partitions);
            return Err(StreamError::fatal("poll the consumer", cause));
        }
        match self.step(timeout)? {
            Step::Record => Ok(Polled::Record(Record::of(self.batch.current()))),
            Step::CaughtUp(partition, offset) => Ok(Polled::CaughtUp(partition, offset)),
            Step::Event(event) => Ok(self.announce(event)),
            Step::Nothing => Ok(Polled::Idle),
        }
    }

    fn step(&mut self, timeout: Duration) -> Result<Step> {
        let mut waited = false;
        loop {
            while self.batch.advance() {
                if self.message()? {
                    return Ok(Step::Record);
                }
            }
            if let Some(event) = self.group.take_event() {
                return Ok(Step::Event(event));
            }
            let measure = self.measured.elapsed() >= MEASURE_EVERY;
            if waited || measure {
                self.owned.look_for_ends(&self.group, self.env.now_ms());
            }
            if measure {
                self.measure();
            }
            if let Some((partition, end)) = self.owned.next_end() {
                self.logs.works();
                return Ok(Step::CaughtUp(partition, end));
            }
            if waited {
                self.fatal_error()?;
                return Ok(self.word_for_a_spare().map_or(Step::Nothing, Step::Event));
            }
            let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
            waited = self.group.fill(&mut self.batch, BATCH, timeout_ms) == 0;
        }
    }

    /// Looks at the message at hand. `false`: nothing for the loop in it.
    fn message(&mut self) -> Result<bool> {
        let message = self.batch.current();
        if let Some(code) = message.error() {
            let text = message.error_text();
            return self.problem(code.into(), text).map(|()| false);
        }
        self.logs.works();
        let accepted = self.owned.accept(message);
        if accepted {
            self.metrics.records.inc();
        }
        Ok(accepted)
    }

    /// An error in place of a message.
    fn problem(&mut self, code: Code, text: String) -> Result<()> {
        self.fatal_error()?;
        match code {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => Err(StreamError::OutOfRange(text)),
            // A `Lost` follows.
            Code::PollExceeded => {
                tracing::warn!(reason = text, "the loop was too slow for the group");
                Ok(())
            }
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition => {
                tracing::warn!(reason = text, "a topic is missing, waiting for it");
                Ok(())
            }
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                Err(StreamError::fatal("consume", text))
            }
            _ => {
                tracing::debug!(?code, reason = text, "consumer error, librdkafka tries again");
                Ok(())
            }
        }
    }

    fn fatal_error(&self) -> Result<()> {
        match self.group.client().fatal_error() {
            Some((code, text)) => Err(StreamError::fatal("consume", format!("{text} ({code:?})"))),
            None => Ok(()),
        }
    }

    /// Commits positions (the offset to read next) and waits until a broker has them.
    ///
    /// `false`: not committed, the group has given the partitions to others. [`Polled::Lost`] or [`Polled::Revoked`]
    /// follows, and whoever owns them now reads these records again.
    pub fn commit(&mut self, positions: &[(TopicPartition, i64)]) -> Result<bool> {
        if positions.is_empty() {
            return Ok(true);
        }
        let timer = self.metrics.commit_seconds.start_timer();
        let list = with_offsets(positions);
        let started = Instant::now();
        let result = self.env.ask("commit positions", || match self.group.commit(&list, true) {
            Err(error) if is_passing(error.code, started.elapsed()) => Err(StreamError::retry("commit", error)),
            result => result.map_err(|error| native("commit positions", error)),
        });
        timer.observe_duration();
        let (label, result) = match result {
            Ok(()) => ("ok", Ok(true)),
            Err(StreamError::Stale { cause, .. }) => {
                tracing::info!(cause, "positions not committed, the group has moved on");
                ("refused", Ok(false))
            }
            Err(error) => ("failed", Err(error)),
        };
        self.metrics.commits.with_label_values(&[label]).inc();
        result
    }

    /// What the group has committed; `None` where it has nothing. Waits while a transaction on a position is open.
    pub fn committed(&self, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        self.env.ask("read the committed positions", || self.committed_within(partitions, ASK))
    }

    fn committed_within(&self, partitions: &[TopicPartition], limit: Duration) -> Result<Vec<Option<i64>>> {
        let found = self.committed_with(partitions, limit)?;
        Ok(found.into_iter().map(|found| found.map(|(offset, _)| offset)).collect())
    }

    /// With the note that was committed with each; empty where none was.
    pub(crate) fn committed_with(
        &self,
        partitions: &[TopicPartition],
        limit: Duration,
    ) -> Result<Vec<Option<(i64, String)>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = names_list(partitions);
        let answer = self.group.committed(&mut list, millis(limit));
        answer.map_err(|error| native("read the committed positions", error))?;
        // An error for one partition is "not known", never "none".
        if let Some(error) = list.elements().iter().find_map(|element| element.error().err()) {
            return Err(StreamError::from_kafka("read the committed positions", error));
        }
        let committed = |tp: &TopicPartition| {
            let found = list.find_partition(&tp.topic, tp.partition)?;
            match found.offset() {
                Offset::Offset(offset) => Some((offset, found.metadata().to_owned())),
                _ => None,
            }
        };
        Ok(partitions.iter().map(committed).collect())
    }

    /// The first offset there is and the one after the last committed record.
    pub fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64)> {
        self.env.ask("read the watermarks", || {
            let client = self.group.client();
            let answer = client.fetch_watermarks(&partition.topic, partition.partition, ASK);
            answer.map_err(|error| StreamError::from_kafka(format!("watermarks of {partition}"), error))
        })
    }

    /// What was taken from the queue is not all handed out yet: `poll` will not wait.
    pub fn has_at_hand(&self) -> bool {
        !self.batch.is_drained()
    }

    /// Where reading goes on in a partition that is ours.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.owned.position(partition)
    }

    /// The group has said what is ours and has taken nothing away since. Between that and its next word nothing may be
    /// ours, but who reads to an end has not reached it.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    pub fn assigned(&self) -> impl Iterator<Item = &TopicPartition> {
        self.owned.iter().map(|cursor| &cursor.partition)
    }

    /// Goes back (or on) to these offsets in partitions that are ours.
    pub fn seek(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        // What was taken from the queue would come before the new positions. The other partitions have lost theirs,
        // too, so all are told where to go on.
        self.batch.clear();
        for (partition, position) in positions {
            self.owned.seek(partition, *position);
        }
        let all: Vec<(TopicPartition, i64)> =
            self.owned.iter().map(|cursor| (cursor.partition.clone(), cursor.position)).collect();
        if all.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        self.env.ask("seek", || match self.group.seek(&with_offsets(&all), millis(ASK)) {
            // A partition may just be starting or pausing.
            Err(error) if error.retriable && begun.elapsed() < STARTING => Err(StreamError::retry("seek", error)),
            // After a read out of the log's range librdkafka has stopped it for good; an assignment starts it.
            Err(error) if error.retriable => {
                self.group.restart(&with_offsets(&all)).map_err(|error| native("read on from another place", error))
            }
            result => result.map_err(|error| native("seek", error)),
        })
    }

    /// Stops reading these until [`Consumer::resume`]; rebalances are still told.
    pub fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.group.pause(&names_list(partitions)).map_err(|error| native("pause", error))
    }

    pub fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.group.resume(&names_list(partitions)).map_err(|error| native("resume", error))
    }

    /// How far behind each partition is, by what the last fetches told.
    pub fn lag(&self) -> Vec<(TopicPartition, Lag)> {
        let now_ms = self.env.now_ms();
        let of = |cursor: &Cursor| {
            let known = self.group.known_watermarks(&cursor.partition.topic, cursor.partition.partition);
            let lag = cursor.lag.at(cursor.position, known.map(|(_, high)| high), now_ms);
            (cursor.partition.clone(), lag)
        };
        self.owned.iter().map(of).collect()
    }

    /// Leaves the group. What is assigned goes to other members at once; commit before.
    pub fn close(self) -> Result<()> {
        drop(self);
        Ok(())
    }

    fn measure(&mut self) {
        self.measured = Instant::now();
        for (partition, lag) in self.lag() {
            self.metrics.set(&partition, lag);
        }
    }
}

/// A rebalance that is being worked out refuses commits for a moment, with the one code or the other: librdkafka hears
/// of the new generation a little later than the broker counts it.
fn is_passing(code: Code, since: Duration) -> bool {
    match code {
        Code::RebalanceInProgress => true,
        Code::IllegalGeneration => since < Duration::from_secs(2),
        _ => false,
    }
}

pub(crate) fn native(action: &str, error: NativeError) -> StreamError {
    if error.fatal {
        return StreamError::fatal(action, error);
    }
    StreamError::from_code(action.to_owned(), error.code, error.to_string())
}

pub(crate) fn with_offsets(positions: &[(TopicPartition, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(positions.len());
    for (tp, offset) in positions {
        let added = list.add_partition_offset(&tp.topic, tp.partition, Offset::Offset(*offset));
        debug_assert!(added.is_ok(), "a plain offset can always be set");
    }
    list
}

fn names_list(partitions: &[TopicPartition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for tp in partitions {
        list.add_partition(&tp.topic, tp.partition);
    }
    list
}

fn names(partitions: &[TopicPartition]) -> String {
    let names: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    names.join(" ")
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}
