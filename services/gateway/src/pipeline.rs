//! The only loop that reads: record → view.
//!
//! The gateway is in no consumer group: every replica sees every partition, and reading commits nothing. It starts some
//! records before the end of each partition, so that a fresh page has a history, and follows from there. Which
//! partitions there are, and where they end, it is told by the probe; so a topic made later is read as soon as it is
//! there, and one made again is read anew.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness::{Heartbeat, Latch};
use market::{Alert, DecodeError, Event, Metrics as MetricsRecord};
use streams::{Env, Polled, Reader, Record, StreamError, TopicPartition, dead_letter};

use crate::config::Config;
use crate::hub::Hub;
use crate::observe::{Metrics, ROLES};

const TURN: Duration = Duration::from_millis(100);
/// While draining, the end of a partition may lie beyond what can be read: a transaction is still open there.
const DRAIN_PATIENCE: Duration = Duration::from_secs(10);
const READER: &str = "finflow-gateway";

/// First offset and end of each partition.
pub(crate) type Watermarks = BTreeMap<TopicPartition, (i64, i64)>;

/// What the loop and the probe tell each other.
pub(crate) struct Progress {
    watermarks: Mutex<Watermarks>,
    /// How often the probe has told.
    told: AtomicU64,
    /// Per role: when Kafka took the newest record read, in nanoseconds.
    pub(crate) newest: [AtomicI64; ROLES.len()],
}

impl Default for Progress {
    fn default() -> Self {
        Progress {
            watermarks: Mutex::default(),
            told: AtomicU64::new(0),
            newest: std::array::from_fn(|_| AtomicI64::new(i64::MIN)),
        }
    }
}

impl Progress {
    pub(crate) fn publish(&self, watermarks: Watermarks) {
        *self.watermarks.lock().unwrap_or_else(PoisonError::into_inner) = watermarks;
        self.told.fetch_add(1, Ordering::Release);
    }
}

pub(crate) struct Pipeline {
    reader: Reader,
    env: Env,
    heartbeat: Heartbeat,
    latch: Latch,
    config: Config,
    hub: Hub,
    metrics: Metrics,
    progress: Arc<Progress>,
    /// The next offset of each partition that is read.
    positions: BTreeMap<TopicPartition, i64>,
    told: u64,
    draining: Option<Draining>,
}

struct Draining {
    since: Instant,
    /// What the probe has told so far may be older than the wish to drain.
    told: u64,
}

impl Pipeline {
    pub(crate) fn new(
        env: Env,
        heartbeat: Heartbeat,
        config: Config,
        hub: Hub,
        metrics: Metrics,
        progress: Arc<Progress>,
    ) -> streams::Result<Self> {
        let reader = Reader::new(&env, &config.kafka, READER)?;
        let latch = env.health.latch("reading");
        latch.hold("no topic read yet");
        Ok(Pipeline {
            reader,
            env,
            heartbeat,
            latch,
            config,
            hub,
            metrics,
            progress,
            positions: BTreeMap::new(),
            told: 0,
            draining: None,
        })
    }

    /// Until the shutdown, or, draining, until everything that was there has been read.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        while !self.env.shutdown.is_set() {
            self.heartbeat.beat();
            self.follow_topics()?;
            match self.reader.poll(TURN) {
                Ok(Polled::Record(record)) => {
                    take(&record, &self.config, &self.hub, &self.metrics, &self.progress);
                    let at = self.positions.iter_mut().find(|(tp, _)| is(tp, record.topic, record.partition));
                    if let Some((_, position)) = at {
                        *position = record.offset + 1;
                    }
                }
                Ok(Polled::CaughtUp(partition, end)) => {
                    self.positions.insert(partition, end);
                }
                Ok(_) => {}
                // Retention or a deletion was faster: begin again where the probe says that the topic is now.
                Err(StreamError::OutOfRange(reason)) => {
                    tracing::info!(reason, "the position is gone, reading from the end again");
                    self.positions.clear();
                    self.reader.assign(&[])?;
                }
                Err(error) if error.is_retry() => tracing::debug!(%error, "reading again"),
                Err(error) => return Err(error.into()),
            }
            if self.is_drained() {
                break;
            }
        }
        Ok(())
    }

    /// Takes up partitions that are new. What the probe says of the others may be older than what was read since, so one
    /// that was deleted and made again is told by the broker: the position is out of range.
    fn follow_topics(&mut self) -> streams::Result<()> {
        let told = self.progress.told.load(Ordering::Acquire);
        if told == self.told {
            return Ok(());
        }
        self.told = told;
        let watermarks = self.progress.watermarks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let ours = self.config.topics();
        let mut changed = false;
        for (partition, (low, end)) in watermarks.iter().filter(|(tp, _)| ours.contains(&&*tp.topic)) {
            self.positions.entry(partition.clone()).or_insert_with(|| {
                changed = true;
                (end - i64::from(self.config.view.replay)).max(*low)
            });
        }
        let gone = self.positions.len();
        self.positions.retain(|partition, _| watermarks.contains_key(partition));
        changed |= gone != self.positions.len();
        if changed {
            let positions: Vec<_> = self.positions.iter().map(|(tp, position)| (tp.clone(), *position)).collect();
            tracing::info!(partitions = positions.len(), "reading the ends of the topics");
            self.reader.assign(&positions)?;
        }
        let missing: Vec<&str> =
            ours.into_iter().filter(|topic| !self.positions.keys().any(|tp| *tp.topic == **topic)).collect();
        match missing.is_empty() {
            true => self.latch.release(),
            false => self.latch.hold(format!("waiting for the topics {}", missing.join(", "))),
        }
        Ok(())
    }

    fn is_drained(&mut self) -> bool {
        if !self.env.drain.is_set() {
            return false;
        }
        let told = self.told;
        let draining = self.draining.get_or_insert_with(|| Draining { since: Instant::now(), told });
        // The second word after the wish began after it for certain.
        if self.told < draining.told + 2 {
            return false;
        }
        let watermarks = self.progress.watermarks.lock().unwrap_or_else(PoisonError::into_inner);
        let open = self
            .positions
            .iter()
            .filter(|(tp, position)| watermarks.get(tp).is_some_and(|(low, end)| low < end && **position < *end));
        let open = open.count();
        if open > 0 && draining.since.elapsed() > DRAIN_PATIENCE {
            tracing::warn!(partitions = open, "ends not reached, is a transaction still open? going on without them");
            return true;
        }
        open == 0
    }
}

fn is(partition: &TopicPartition, topic: &str, number: i32) -> bool {
    partition.partition == number && *partition.topic == *topic
}

/// One record into the view. What cannot be decoded is counted: its topic's own consumer decides what becomes of it.
fn take(record: &Record<'_>, config: &Config, hub: &Hub, metrics: &Metrics, progress: &Progress) {
    let topics = config.topics();
    let Some(at) = topics.iter().position(|topic| *topic == record.topic) else { return };
    let role = ROLES[at];
    let seen = record.timestamp_ms.saturating_mul(1_000_000);
    progress.newest[at].fetch_max(seen, Ordering::Relaxed);
    metrics.read(role);
    let value = record.value.unwrap_or_default();
    let mut view = hub.view();
    let taken: Result<(), DecodeError> = match role {
        "events" => Event::decode(value).map(|event| view.event(&event, seen)),
        "metrics" => MetricsRecord::decode(value).map(|record| view.metrics(&record, seen)),
        "alerts" => Alert::decode(value).map(|alert| view.alert(&alert)),
        _ => {
            view.dead_letter(&header(record, dead_letter::STAGE), &header(record, dead_letter::REASON));
            Ok(())
        }
    };
    drop(view);
    if let Err(error) = taken {
        metrics.invalid(role, record.topic, record.partition, record.offset, &error);
    }
}

fn header(record: &Record<'_>, name: &str) -> String {
    record.header(name).map_or_else(|| "unknown".to_owned(), |value| String::from_utf8_lossy(value).into_owned())
}
