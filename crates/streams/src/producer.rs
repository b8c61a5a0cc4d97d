//! The idempotent producer: what it accepts is written once, in order per partition, or the loss is told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};

use prometheus::{IntCounter, IntCounterVec};

use crate::config::{KafkaConfig, bad_settings};
use crate::env::Env;
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::tokens::Kept;

/// How long to wait before a full queue is looked at again.
const FULL: Duration = Duration::from_millis(10);

/// What to send. `partition: None` lets the key decide, as Java's producers do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outgoing<'a> {
    pub topic: &'a str,
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    /// `None` is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// Clones share one connection and its queue.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<Kept<BaseProducer<Deliveries>>>,
    kafka: Arc<KafkaConfig>,
    env: Env,
}

pub(crate) struct Deliveries {
    logs: Logs,
    acked: AtomicU64,
    failed: AtomicBool,
    first_failure: Mutex<Option<String>>,
    acks: IntCounterVec,
    /// The one counted last: nearly always the next one, too.
    last_acks: Mutex<Option<(String, IntCounter)>>,
    errors: IntCounterVec,
}

impl Deliveries {
    pub(crate) fn new(env: &Env, client: &'static str) -> Self {
        Deliveries {
            logs: env.logs(client),
            acked: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            first_failure: Mutex::default(),
            acks: env.metrics.counters("produced_records_total", "Records acknowledged by Kafka.", &["topic"], &[]),
            last_acks: Mutex::default(),
            errors: env.metrics.counters(
                "produce_errors_total",
                "Records that Kafka did not take. Each one ends the stage: nothing is dropped in silence.",
                &["topic"],
                &[],
            ),
        }
    }
}

impl Deliveries {
    fn count(&self, topic: &str) {
        let mut last = self.last_acks.lock().unwrap_or_else(PoisonError::into_inner);
        match &*last {
            Some((of, acks)) if of == topic => acks.inc(),
            _ => last.insert((topic.to_owned(), self.acks.with_label_values(&[topic]))).1.inc(),
        }
    }
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

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                self.acked.fetch_add(1, Ordering::Relaxed);
                self.count(message.topic());
                self.logs.works();
            }
            Err((error, message)) => {
                self.errors.with_label_values(&[message.topic()]).inc();
                let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| format!("{}[{}]: {error}", message.topic(), message.partition()));
                self.failed.store(true, Ordering::Release);
            }
        }
    }
}

impl Producer {
    /// Connects in the background: this succeeds while every broker is down.
    pub fn new(env: &Env, kafka: &KafkaConfig) -> Result<Self> {
        let config = kafka.producer("producer");
        let context = Deliveries::new(env, "producer");
        let inner: BaseProducer<_> =
            config.create_with_context(context).map_err(|error| bad_settings("producer", error))?;
        let inner = Kept::new(kafka, inner, |client| client.client().native_ptr());
        Ok(Producer { inner: Arc::new(inner), kafka: Arc::new(kafka.clone()), env: env.clone() })
    }

    /// Publishes the counters of these topics at zero.
    pub fn announce(&self, topics: &[&str]) {
        for topic in topics {
            self.inner.context().acks.with_label_values(&[topic]);
            self.inner.context().errors.with_label_values(&[topic]);
        }
    }

    /// Queues a record, waiting while the queue is full: it never drops. An error tells that an earlier record could
    /// not be written for good, or that this one cannot be (too large, no such topic).
    pub fn send(&self, out: &Outgoing<'_>) -> Result<()> {
        self.send_with(out, native_headers(out.headers))
    }

    /// As [`Producer::send`], for who sends many at once and then calls [`Producer::poll`]: to look for acknowledgements after each
    /// record costs a quarter of what it costs to queue it.
    pub fn send_next(&self, out: &Outgoing<'_>) -> Result<()> {
        self.queue(out, native_headers(out.headers))
    }

    pub(crate) fn send_with(&self, out: &Outgoing<'_>, headers: Option<OwnedHeaders>) -> Result<()> {
        self.queue(out, headers)?;
        // A poll serves one event: with fewer of them than records acknowledgements would pile up.
        self.inner.poll(Duration::ZERO);
        Ok(())
    }

    fn queue(&self, out: &Outgoing<'_>, headers: Option<OwnedHeaders>) -> Result<()> {
        let mut record = BaseRecord::to(out.topic);
        record.partition = out.partition;
        record.key = out.key;
        record.payload = out.value;
        record.headers = headers;
        let mut waiting: Option<Instant> = None;
        loop {
            self.failure()?;
            match self.inner.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    let since = *waiting.get_or_insert_with(Instant::now);
                    if self.env.shutdown.is_set() && since.elapsed() > Duration::from_secs(10) {
                        return Err(StreamError::Stopped("waiting for room in the producer's queue".to_owned()));
                    }
                    self.env.beat();
                    // All of it passes, also where there is room before.
                    self.inner.poll(FULL);
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => {
                    let bytes = out.value.map_or(0, <[u8]>::len) + out.key.map_or(0, <[u8]>::len);
                    return Err(StreamError::TooLarge { topic: out.topic.to_owned(), bytes });
                }
                Err((error, _)) => return Err(StreamError::fatal(format!("send to {}", out.topic), error)),
            }
        }
    }

    /// Serves the acknowledgements that are there. Call it now and then while nothing is sent.
    pub fn poll(&self) -> Result<()> {
        // One call serves one event, which may be of many records, or of one.
        loop {
            let before = self.acked();
            self.inner.poll(Duration::ZERO);
            self.failure()?;
            if self.acked() == before {
                return Ok(());
            }
        }
    }

    /// Waits until everything queued is acknowledged. [`StreamError::Retry`] after `timeout`: call it again.
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        let deadline = Instant::now() + timeout;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let flushed = self.inner.flush(left.min(Duration::from_millis(500)));
            self.failure()?;
            self.env.beat();
            match flushed {
                Ok(()) => return Ok(()),
                Err(_) if !left.is_zero() => {}
                Err(error) => {
                    let waiting = self.in_flight();
                    return Err(StreamError::retry(format!("flush {waiting} records to Kafka"), error));
                }
            }
        }
    }

    /// Records queued or on their way.
    pub fn in_flight(&self) -> usize {
        usize::try_from(self.inner.in_flight_count()).unwrap_or(0)
    }

    /// Records acknowledged so far.
    pub fn acked(&self) -> u64 {
        self.inner.context().acked.load(Ordering::Relaxed)
    }

    pub(crate) fn kafka(&self) -> &KafkaConfig {
        &self.kafka
    }

    fn failure(&self) -> Result<()> {
        if let Some((code, text)) = self.inner.client().fatal_error() {
            return Err(StreamError::fatal("produce", format!("{text} ({code:?})")));
        }
        if !self.inner.context().failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let first = self.inner.context().first_failure.lock().unwrap_or_else(PoisonError::into_inner);
        Err(StreamError::fatal("a record could not be written", first.as_deref().unwrap_or("no reason was given")))
    }
}

pub(crate) fn native_headers(headers: &[(&str, &[u8])]) -> Option<OwnedHeaders> {
    if headers.is_empty() {
        return None;
    }
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    let add = |all: OwnedHeaders, (key, value): &(&str, &[u8])| all.insert(Header { key, value: Some(*value) });
    Some(headers.iter().fold(empty, add))
}
