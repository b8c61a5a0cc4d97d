//! The transactional producer: one transaction is one call, and the answer says what is known about its outcome.
//!
//! A transaction is opened only when everything for it is at hand and is ended in the same call. So no transaction is
//! ever open while the loop polls, a rebalance never meets one, and a new owner never waits for one of ours longer than
//! a commit takes.

use std::time::{Duration, Instant};

use harness::traces;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::outbox::{Entry, Kind, Pending};
use super::world::Position;
use crate::config::{KafkaConfig, bad_settings};
use crate::dead_letters::{Letter, Room, native as native_headers};
use crate::env::Env;
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::tokens::Kept;
use crate::native::{self, membership::Membership};

/// What a position carries whose owner stopped at the end and has said all.
pub(super) const ENDED: &str = "ended";

/// How long one call may block before the loop's heartbeat is due.
const STEP: Duration = Duration::from_secs(2);

/// How long the brokers' acknowledgements are waited for before failures are looked for.
const FLUSH_MS: i32 = 20;

/// How long a commit goes on trying once the stop was asked for.
const LAST_TRY: Duration = Duration::from_secs(10);

/// Why a transaction was not committed.
#[derive(Debug)]
pub enum Failure {
    /// Surely aborted: the group has moved on. The same batch may be committed under the next membership, for
    /// partitions that stayed ours.
    Stale(String),
    /// Surely aborted for a reason that may pass. The same batch may be tried again.
    Aborted(String),
    /// The producer is of no further use and the outcome is unknown: only the changelog tells what was committed.
    Unknown(String),
    Fatal(StreamError),
}

pub(super) struct Transactions {
    producer: Client,
    room: Room,
    env: Env,
    kafka: KafkaConfig,
    id: String,
    timeout: Duration,
}

type Client = Kept<BaseProducer<Deliveries>>;

struct Deliveries {
    logs: Logs,
    first_failure: std::sync::Mutex<Option<String>>,
    /// The broker takes no record of this size, tried again or not.
    too_large: std::sync::Mutex<Option<(String, usize)>>,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logs.line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logs.error(error.rdkafka_error_code().map_or(0, |code| code as i32), reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    /// Called for failures only (`delivery.report.only.error`): the commit vouches for the rest.
    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let mut first = self.first_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            first.get_or_insert_with(|| format!("{}[{}]: {error}", message.topic(), message.partition()));
            if error.rdkafka_error_code() == Some(Code::MessageSizeTooLarge) {
                let mut large = self.too_large.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                *large = Some((message.topic().to_owned(), message.payload_len() + message.key_len()));
            }
        }
    }
}

impl Transactions {
    /// Fences whoever used this id before and aborts what it left open. Waits until the brokers are there.
    pub(super) fn new(env: &Env, kafka: &KafkaConfig, id: &str, timeout: Duration) -> Result<Self> {
        let producer = connect(env, kafka, id, timeout)?;
        let room = Room::new(env, kafka);
        Ok(Transactions { producer, room, env: env.clone(), kafka: kafka.clone(), id: id.to_owned(), timeout })
    }

    /// A new producer of the same id, after a failure that ended the old one. Safe at any time: what keeps a process
    /// from writing for partitions it has lost is the membership shown in each transaction, not this id.
    pub(super) fn reconnect(&mut self) -> Result<()> {
        self.producer = connect(&self.env, &self.kafka, &self.id, self.timeout)?;
        Ok(())
    }

    /// Writes everything in `pending` and commits `positions`, or nothing of it.
    pub(super) fn commit(
        &self,
        pending: &Pending,
        positions: &[Position<'_>],
        membership: &Membership,
    ) -> Result<(), Failure> {
        // librdkafka takes an empty list for "nothing to do": then nothing would fence a process that has lost the
        // partitions.
        assert!(!positions.is_empty(), "every transaction commits the position of each partition it touches");
        self.producer.begin_transaction().map_err(|error| self.failure("begin the transaction", error))?;
        let span = pending.parents.span(|| tracing::info_span!("transaction"));
        let trace = traces::of(&span);
        let written = self.write(pending, trace.as_deref());
        match written.and_then(|()| self.add_positions(positions, membership)).and_then(|()| self.flush()) {
            Ok(()) => self.end(),
            Err(failure @ (Failure::Stale(_) | Failure::Aborted(_))) => {
                self.abort()?;
                Err(self.too_large().map_or(failure, Failure::Fatal))
            }
            Err(failure) => Err(failure),
        }
    }

    /// A refusal that no other try would change.
    fn too_large(&self) -> Option<StreamError> {
        let mut large = self.producer.context().too_large.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        large.take().map(|(topic, bytes)| StreamError::TooLarge { topic, bytes })
    }

    fn write(&self, pending: &Pending, trace: Option<&str>) -> Result<(), Failure> {
        for entry in &pending.entries {
            let content = self.content(pending, entry, trace);
            let mut record = BaseRecord::<[u8], [u8]>::to(pending.topic(entry));
            record.partition = entry.partition;
            record.key = content.key;
            record.payload = content.value;
            record.headers = (!content.headers.is_empty()).then(|| native_headers(&content.headers));
            loop {
                match self.producer.send(record) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                        record = back;
                        self.env.beat();
                        self.producer.poll(Duration::from_millis(20));
                    }
                    Err((
                        KafkaError::MessageProduction(code @ (Code::MessageSizeTooLarge | Code::InvalidMessage)),
                        _,
                    )) => {
                        let topic = pending.topic(entry);
                        self.abort()?;
                        return Err(Failure::Fatal(StreamError::fatal(format!("write to {topic}"), code)));
                    }
                    Err((error, _)) => return Err(self.failure("write", error)),
                }
            }
        }
        Ok(())
    }

    fn content<'a>(&self, pending: &'a Pending, entry: &'a Entry, trace: Option<&str>) -> Letter<'a> {
        let (key, value) = (pending.key(entry), pending.value(entry));
        let mut content = Letter { key, value, headers: entry.headers.as_slice().into() };
        match (entry.kind, trace) {
            (Kind::Letter, _) => self.room.fit(pending.topic(entry), content),
            (Kind::Result, Some(trace)) => {
                content.headers.to_mut().push((traces::TRACEPARENT.to_owned(), Some(trace.as_bytes().to_vec())));
                content
            }
            (Kind::Result, None) | (Kind::State, _) => content,
        }
    }

    fn add_positions(&self, positions: &[Position<'_>], membership: &Membership) -> Result<(), Failure> {
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for Position { topic, partition, committed } in positions {
            let mut added = list.add_partition(topic, *partition);
            let set = added.set_offset(Offset::Offset(committed.offset));
            set.map_err(|error| Failure::Fatal(StreamError::fatal("add a position", error)))?;
            added.set_metadata(if committed.ended { ENDED } else { "" });
        }
        self.until_answered("add the positions", || {
            let timeout_ms = i32::try_from(STEP.as_millis()).unwrap_or(i32::MAX);
            // SAFETY: the producer lives during the call.
            match unsafe { membership.send_offsets(self.producer.client().native_ptr(), &list, timeout_ms) } {
                Ok(()) => Step::Done,
                Err(error) if error.retriable => Step::Again(error.to_string()),
                Err(error) if error.fatal => Step::Failed(Failure::Unknown(error.to_string())),
                Err(error) if is_stale(error.code) => Step::Failed(Failure::Stale(error.to_string())),
                Err(error) if error.must_abort => Step::Failed(Failure::Aborted(error.to_string())),
                Err(error) => Step::Failed(Failure::Unknown(error.to_string())),
            }
        })
    }

    /// Waits until the brokers have every record. What they refuse is known here, before the commit is asked for.
    fn flush(&self) -> Result<(), Failure> {
        self.until_answered("write", || {
            // SAFETY: the producer lives during the call.
            if unsafe { native::flush(self.producer.client().native_ptr(), FLUSH_MS) } {
                return Step::Done;
            }
            self.again_unless_fatal("not all records are acknowledged".to_owned())
        })?;
        self.producer.poll(Duration::ZERO);
        match self.first_failure() {
            Some(cause) if self.producer.client().fatal_error().is_some() => Err(Failure::Unknown(cause)),
            Some(cause) => Err(Failure::Aborted(cause)),
            None => Ok(()),
        }
    }

    /// Until the answer comes the outcome is unknown, and only asking the same again is right. Even an error that asks
    /// for an abort may follow a commit that the brokers have carried out (librdkafka, `rd_kafka_txn_handle_EndTxn`):
    /// after it only the changelog tells.
    fn end(&self) -> Result<(), Failure> {
        self.until_answered("commit the transaction", || match self.producer.commit_transaction(STEP) {
            Ok(()) => Step::Done,
            Err(KafkaError::Flush(code)) => self.again_unless_fatal(code.to_string()),
            Err(KafkaError::Transaction(error)) if error.is_retriable() => self.again_unless_fatal(error.to_string()),
            Err(error) => Step::Failed(Failure::Unknown(format!("commit the transaction: {error}"))),
        })
    }

    /// Another producer of our id has taken over.
    pub(super) fn is_fenced(&self) -> bool {
        self.producer.client().fatal_error().is_some_and(|(code, _)| code == Code::Fenced)
    }

    fn abort(&self) -> Result<(), Failure> {
        self.until_answered("abort the transaction", || {
            // Failed deliveries wait in the event queue and hold the abort up until they are taken.
            self.producer.poll(Duration::ZERO);
            match self.producer.abort_transaction(Duration::from_millis(250)) {
                Ok(()) => Step::Done,
                Err(KafkaError::Transaction(error)) if error.is_retriable() => {
                    self.again_unless_fatal(error.to_string())
                }
                Err(error) => Step::Failed(Failure::Unknown(error.to_string())),
            }
        })?;
        self.producer.poll(Duration::ZERO);
        self.first_failure();
        Ok(())
    }

    fn until_answered(&self, action: &str, mut step: impl FnMut() -> Step) -> Result<(), Failure> {
        let mut stopping: Option<Instant> = None;
        loop {
            match step() {
                Step::Done => return Ok(()),
                Step::Failed(failure) => return Err(failure),
                Step::Again(cause) => {
                    tracing::debug!(action, cause, "asking again");
                    self.env.beat();
                    self.producer.poll(Duration::from_millis(2));
                    if self.env.shutdown.is_set() {
                        let since = *stopping.get_or_insert_with(Instant::now);
                        if since.elapsed() > LAST_TRY {
                            return Err(Failure::Fatal(StreamError::Stopped(format!("trying to {action}: {cause}"))));
                        }
                    }
                }
            }
        }
    }

    fn again_unless_fatal(&self, cause: String) -> Step {
        match self.producer.client().fatal_error() {
            Some((code, text)) => Step::Failed(Failure::Unknown(format!("{text} ({code:?})"))),
            None => Step::Again(cause),
        }
    }

    fn failure(&self, action: &str, error: KafkaError) -> Failure {
        let cause = match self.first_failure() {
            Some(first) => format!("{action}: {error}: {first}"),
            None => format!("{action}: {error}"),
        };
        match error {
            KafkaError::Transaction(error) if error.is_fatal() => Failure::Unknown(cause),
            KafkaError::Transaction(error) if is_stale(error.code()) => Failure::Stale(cause),
            KafkaError::Transaction(error) if error.txn_requires_abort() => Failure::Aborted(cause),
            _ if self.producer.client().fatal_error().is_some() => Failure::Unknown(cause),
            KafkaError::MessageProduction(_) => Failure::Aborted(cause),
            _ => Failure::Unknown(cause),
        }
    }

    fn first_failure(&self) -> Option<String> {
        self.producer.context().first_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

enum Step {
    Done,
    Again(String),
    Failed(Failure),
}

fn is_stale(code: Code) -> bool {
    matches!(code, Code::IllegalGeneration | Code::UnknownMemberId | Code::RebalanceInProgress | Code::StaleMemberEpoch)
}

fn connect(env: &Env, kafka: &KafkaConfig, id: &str, timeout: Duration) -> Result<Client> {
    let mut config = kafka.producer("transactions");
    config
        .set("transactional.id", id)
        .set("transaction.timeout.ms", timeout.as_millis().to_string())
        // A record cannot outlive its transaction.
        .set("message.timeout.ms", timeout.as_millis().to_string())
        // Reports of success would have to be taken before a flush ends: 20 ms a transaction, for nothing.
        .set("delivery.report.only.error", "true")
        // The whole batch is handed over at once and committed at once: waiting for more would be waiting for nothing.
        .set("linger.ms", "0");
    // The coordinator may still be ending the transaction before: the first request of the next one is then asked again after
    // this, which librdkafka doubles each time. Its default is most of what a commit takes.
    if config.get("retry.backoff.ms").is_none() {
        config.set("retry.backoff.ms", "5");
    }
    let context = Deliveries {
        logs: env.logs("transactions"),
        first_failure: std::sync::Mutex::default(),
        too_large: std::sync::Mutex::default(),
    };
    let client: BaseProducer<Deliveries> =
        config.create_with_context(context).map_err(|error| bad_settings("transactional producer", error))?;
    let producer = Kept::new(kafka, client, |client| client.client().native_ptr());
    let mut said = false;
    loop {
        let answer: KafkaResult<()> = producer.init_transactions(STEP);
        producer.poll(Duration::ZERO);
        let error = match answer {
            Ok(()) => return Ok(producer),
            Err(KafkaError::Transaction(error)) if error.is_fatal() => {
                return Err(StreamError::fatal(format!("begin to use the transactional id {id}"), error));
            }
            Err(error) => error,
        };
        if !said {
            tracing::info!(id, %error, "waiting for Kafka to know our transactional id");
            said = true;
        }
        env.beat();
        if env.shutdown.wait_timeout(Duration::from_millis(100)) {
            return Err(StreamError::Stopped(format!("waiting for Kafka to know the transactional id {id}")));
        }
    }
}
