//! Reads partitions without a group: from an offset on, to the end and further. Commits nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode as Code;

use crate::config::{KafkaConfig, bad_settings};
use crate::consumer::{Polled, TopicPartition, native, with_offsets};
use crate::cursor::Cursors;
use crate::env::Env;
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::group::Group;
use crate::native::message::Batch;
use crate::record::Record;

const BATCH: usize = 512;
const ASK: Duration = Duration::from_secs(10);

/// How often ends are looked for while records keep coming.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everything committed in `topic` from these offsets (by partition; the first there is where none is given) to the
/// end as it is now. [`StreamError::Stopped`] at the shutdown.
pub fn read_topic(
    env: &Env,
    kafka: &KafkaConfig,
    topic: &str,
    from: &BTreeMap<i32, i64>,
    mut each: impl FnMut(&Record<'_>),
) -> Result<()> {
    let mut reader = Reader::new(env, kafka, &format!("finflow-{}-reader", env.service))?;
    let partitions = env.ask("list the partitions", || reader.partitions(topic))?;
    let mut positions = Vec::new();
    let mut ends = BTreeMap::new();
    for partition in partitions {
        let (low, end) = reader.watermarks(&partition)?;
        let start = from.get(&partition.partition).map_or(low, |start| low.max(*start));
        if start < end {
            ends.insert(partition.partition, end);
            positions.push((partition, start));
        }
    }
    reader.assign(&positions)?;
    while !ends.is_empty() {
        match reader.poll(Duration::from_millis(100))? {
            Polled::Record(record) => {
                let Some(end) = ends.get(&record.partition).copied() else { continue };
                if record.offset < end {
                    each(&record);
                }
                if record.offset + 1 >= end {
                    ends.remove(&record.partition);
                }
            }
            _ => {
                env.beat();
                if env.shutdown.is_set() {
                    return Err(StreamError::Stopped(format!("reading {topic}")));
                }
                // What lies before an end may be markers of transactions only.
                let position = |n: i32| reader.position(&TopicPartition::new(topic, n));
                ends.retain(|partition, end| position(*partition).is_some_and(|position| position < *end));
            }
        }
    }
    Ok(())
}

/// Used by one thread at a time. [`Reader::poll`] gives records, [`Polled::CaughtUp`] and [`Polled::Idle`] only.
pub struct Reader {
    // Before `group`: messages are freed before the client they came from.
    batch: Batch,
    group: Group,
    logs: Logs,
    env: Env,
    assigned: Cursors,
    looked: Instant,
}

enum Step {
    Record,
    CaughtUp(TopicPartition, i64),
    Nothing,
}

impl Reader {
    /// `name` is what the brokers know it by; it needs no right to a group of that name.
    pub fn new(env: &Env, kafka: &KafkaConfig, name: &str) -> Result<Self> {
        let mut config = kafka.reader();
        config.set("group.id", name);
        let logs = env.logs("reader");
        let group = Group::new(kafka, &config, logs.clone()).map_err(|error| bad_settings("reader", error))?;
        Ok(Reader {
            batch: Batch::default(),
            group,
            logs,
            env: env.clone(),
            assigned: Cursors::default(),
            looked: Instant::now(),
        })
    }

    /// Reads these from these offsets on, and nothing else any more.
    pub fn assign(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        self.batch.clear();
        let assigned = self.group.assign_manually(&with_offsets(positions));
        assigned.map_err(|error| native("take partitions to read", error))?;
        self.assigned = Cursors::default();
        for (partition, position) in positions {
            self.assigned.add(partition.clone(), *position, self.env.now_ms());
        }
        Ok(())
    }

    /// What is being read, for messages.
    fn topics(&self) -> String {
        let topics: BTreeSet<&str> = self.assigned.iter().map(|cursor| &*cursor.partition.topic).collect();
        topics.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// The partitions of a topic; none if there is no such topic.
    pub fn partitions(&self, topic: &str) -> Result<Vec<TopicPartition>> {
        let answer = self.group.client().fetch_metadata(Some(topic), ASK);
        let metadata = answer.map_err(|error| StreamError::from_kafka(format!("partitions of {topic}"), error))?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.map(|found| found.partitions()).unwrap_or_default();
        Ok(partitions.iter().map(|partition| TopicPartition::new(topic, partition.id())).collect())
    }

    /// The first offset there is and the one after the last committed record.
    pub fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64)> {
        self.env.ask("read the watermarks", || {
            let answer = self.group.client().fetch_watermarks(&partition.topic, partition.partition, ASK);
            answer.map_err(|error| StreamError::from_kafka(format!("watermarks of {partition}"), error))
        })
    }

    /// The first offset written at or after that time; the end if there is none.
    pub fn offset_at(&self, partition: &TopicPartition, timestamp_ms: i64) -> Result<i64> {
        let found = self.env.ask("find the offset of a time", || {
            let mut list = with_offsets(&[(partition.clone(), timestamp_ms)]);
            self.group.offsets_at(&mut list, ASK).map_err(|error| native("find the offset of a time", error))?;
            Ok(list.find_partition(&partition.topic, partition.partition).map(|entry| entry.offset()))
        })?;
        match found {
            Some(rdkafka::Offset::Offset(offset)) => Ok(offset),
            _ => self.watermarks(partition).map(|(_, high)| high),
        }
    }

    /// Behind the last record handed out, and behind markers of transactions after it.
    pub fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.assigned.position(partition)
    }

    pub fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>> {
        match self.step(timeout)? {
            Step::Record => Ok(Polled::Record(Record::of(self.batch.current()))),
            Step::CaughtUp(partition, offset) => Ok(Polled::CaughtUp(partition, offset)),
            Step::Nothing => Ok(Polled::Idle),
        }
    }

    fn step(&mut self, timeout: Duration) -> Result<Step> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut waited = false;
        loop {
            while self.batch.advance() {
                if self.message()? {
                    return Ok(Step::Record);
                }
            }
            if waited || self.looked.elapsed() >= LOOK_EVERY {
                self.looked = Instant::now();
                self.assigned.look_for_ends(&self.group, self.env.now_ms());
            }
            if let Some((partition, end)) = self.assigned.next_end() {
                self.logs.works();
                return Ok(Step::CaughtUp(partition, end));
            }
            if waited {
                return Ok(Step::Nothing);
            }
            waited = self.group.fill(&mut self.batch, BATCH, timeout_ms) == 0;
        }
    }

    /// Looks at the message at hand. `false`: nothing for the caller in it.
    fn message(&mut self) -> Result<bool> {
        let message = self.batch.current();
        let Some(code) = message.error() else {
            self.logs.works();
            return Ok(self.assigned.accept(message));
        };
        match Code::from(code) {
            Code::AutoOffsetReset | Code::OffsetOutOfRange => Err(StreamError::OutOfRange(message.error_text())),
            code @ Code::TopicAuthorizationFailed => Err(StreamError::fatal(
                format!("read {}", self.topics()),
                format!("{} ({code:?})", message.error_text()),
            )),
            // librdkafka looks for the coordinator of a group that has no part in this.
            code => {
                tracing::debug!(?code, reason = message.error_text(), "reader error, librdkafka tries again");
                Ok(false)
            }
        }
    }
}
