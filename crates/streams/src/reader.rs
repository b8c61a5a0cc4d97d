//! Reads partitions without a group: from an offset on, to the end and further. Commits nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka_sys::rd_kafka_resp_err_t as RespErr;

use crate::config::{KafkaConfig, bad_settings};
use crate::consumer::{Polled, TopicPartition, native, with_offsets};
use crate::env::Env;
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::group::Group;
use crate::native::message::Batch;
use crate::record::Record;

const BATCH: usize = 512;
const ASK: Duration = Duration::from_secs(10);

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
        env.beat();
        match reader.poll(Duration::from_millis(100))? {
            Polled::Record(record) => {
                if ends.get(&record.partition).is_some_and(|end| record.offset < *end) {
                    each(&record);
                }
            }
            Polled::CaughtUp(partition, at) => {
                if ends.get(&partition.partition).is_some_and(|end| at >= *end) {
                    ends.remove(&partition.partition);
                }
            }
            _ if env.shutdown.is_set() => return Err(StreamError::Stopped(format!("reading {topic}"))),
            _ => {}
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
    assigned: Vec<TopicPartition>,
}

enum Step {
    Record,
    CaughtUp(TopicPartition, i64),
    Nothing,
}

impl Reader {
    /// `name` is what the brokers know it by; it needs no more rights than a group of that name.
    pub fn new(env: &Env, kafka: &KafkaConfig, name: &str) -> Result<Self> {
        let mut config = kafka.consumer("reader");
        config.set("group.id", name);
        let logs = env.logs("reader");
        let group = Group::new(&config, logs.clone()).map_err(|error| bad_settings("reader", error))?;
        Ok(Reader { batch: Batch::default(), group, logs, env: env.clone(), assigned: Vec::new() })
    }

    /// Reads these from these offsets on, and nothing else any more.
    pub fn assign(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        self.batch.clear();
        let assigned = self.group.assign_manually(&with_offsets(positions));
        assigned.map_err(|error| native("take partitions to read", error))?;
        self.assigned = positions.iter().map(|(partition, _)| partition.clone()).collect();
        Ok(())
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
                if let Some(step) = self.message()? {
                    return Ok(step);
                }
            }
            if waited {
                return Ok(Step::Nothing);
            }
            waited = self.group.fill(&mut self.batch, BATCH, timeout_ms) == 0;
        }
    }

    fn message(&self) -> Result<Option<Step>> {
        let message = self.batch.current();
        match message.error() {
            None => {
                self.logs.works();
                Ok(Some(Step::Record))
            }
            Some(RespErr::RD_KAFKA_RESP_ERR__PARTITION_EOF) => {
                let at = |tp: &&TopicPartition| tp.partition == message.partition() && &*tp.topic == message.topic();
                let found = self.assigned.iter().find(at).cloned();
                Ok(found.map(|partition| Step::CaughtUp(partition, message.offset())))
            }
            Some(code) => match Code::from(code) {
                Code::AutoOffsetReset | Code::OffsetOutOfRange => Err(StreamError::OutOfRange(message.error_text())),
                code @ (Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
                    Err(StreamError::fatal("read", format!("{} ({code:?})", message.error_text())))
                }
                code => {
                    tracing::debug!(?code, reason = message.error_text(), "reader error, librdkafka tries again");
                    Ok(None)
                }
            },
        }
    }
}
