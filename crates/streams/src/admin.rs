//! Looking at topics and making them. Every call blocks: not on an async worker.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use serde::Serialize;

use crate::block_on::block_on;
use crate::config::{KafkaConfig, bad_settings};
use crate::consumer::TopicPartition;
use crate::env::Env;
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::tokens::Kept;
use crate::native::{describe, groups, positions};
use crate::topic::Spec;

const ASK: Duration = Duration::from_secs(10);
/// Of each partition, where there are as many brokers.
const COPIES: i32 = 3;

/// The id that a topic gets when it is made, in Kafka's own writing. One that is deleted and made again has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(u128);

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Described {
    pub name: String,
    pub topic_id: TopicId,
    pub partitions: i32,
    pub replication: i32,
}

/// What `apply` did and what it left alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    pub created: Vec<String>,
    pub unchanged: Vec<String>,
    /// Exists and is not as specified; never changed here.
    pub differs: Vec<Difference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub topic: String,
    /// `partitions` or the name of a setting.
    pub what: String,
    pub wanted: String,
    pub found: String,
}

pub struct Admin {
    client: Kept<AdminClient<Quiet>>,
    kafka: KafkaConfig,
    env: Env,
}

struct Quiet(Logs);

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error.rdkafka_error_code().map_or(0, |code| code as i32), reason);
    }
}

impl Admin {
    /// Connects in the background: this succeeds while every broker is down.
    pub fn new(env: &Env, kafka: &KafkaConfig) -> Result<Self> {
        let mut config = kafka.base("admin");
        // A watermark is then the true end, not the end of what is committed.
        config.set("isolation.level", "read_uncommitted");
        let client = AdminClient::from_config_and_context(&config, Quiet(env.logs("admin")))
            .map_err(|error| bad_settings("admin client", error))?;
        let client = Kept::new(kafka, client, |client| client.inner().native_ptr());
        Ok(Admin { client, kafka: kafka.clone(), env: env.clone() })
    }

    /// Copies of a topic where nobody says otherwise: three, or one on each broker if there are fewer.
    pub fn default_replication(&self) -> Result<i32> {
        let answer = self.client.inner().fetch_metadata(None, ASK);
        let metadata = answer.map_err(|error| StreamError::from_kafka("count the brokers", error))?;
        Ok(i32::try_from(metadata.brokers().len()).unwrap_or(COPIES).clamp(1, COPIES))
    }

    /// As [`Admin::apply`] with the default number of copies, but waits for a broker as [`Admin::wait_for`] does.
    pub fn apply_when_there(&self, specs: &[Spec]) -> Result<Applied> {
        self.wait(|| self.apply(specs, self.default_replication()?).map(Ok))
    }

    /// Makes the topics that are missing, with `replication` copies each, and reports how the others differ.
    pub fn apply(&self, specs: &[Spec], replication: i32) -> Result<Applied> {
        let there = self.list()?;
        let mut applied = Applied::default();
        let missing: Vec<&Spec> = specs.iter().filter(|spec| !there.contains_key(&spec.name)).collect();
        for spec in &missing {
            self.create(spec, replication)?;
            applied.created.push(spec.name.clone());
        }
        for spec in specs.iter().filter(|spec| !missing.contains(spec)) {
            let differences = self.differences(spec, there[&spec.name], replication)?;
            if differences.is_empty() {
                applied.unchanged.push(spec.name.clone());
            }
            applied.differs.extend(differences);
        }
        Ok(applied)
    }

    fn create(&self, spec: &Spec, replication: i32) -> Result<()> {
        let settings = spec.settings(replication);
        let new = NewTopic::new(&spec.name, spec.partitions, TopicReplication::Fixed(replication));
        let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
        let action = format!("create the topic {}", spec.name);
        let results = block_on(self.client.create_topics([&new], &options()))
            .map_err(|error| StreamError::from_kafka(action.clone(), error))?;
        for result in results {
            match result {
                // Somebody else was faster: it is there, which is what was wanted.
                Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(StreamError::from_code(action, code, code.to_string())),
            }
        }
        self.wait_for(&[spec.name.as_str()])
    }

    fn differences(&self, spec: &Spec, partitions: i32, replication: i32) -> Result<Vec<Difference>> {
        let difference = |what: &str, wanted: String, found: String| Difference {
            topic: spec.name.clone(),
            what: what.to_owned(),
            wanted,
            found,
        };
        let mut differences = Vec::new();
        if partitions != spec.partitions {
            differences.push(difference("partitions", spec.partitions.to_string(), partitions.to_string()));
        }
        let found = self.settings(&spec.name)?;
        for (name, wanted) in spec.settings(replication) {
            let found = found.get(name).cloned().unwrap_or_default();
            if found != wanted {
                differences.push(difference(name, wanted, found));
            }
        }
        Ok(differences)
    }

    /// The settings of a topic, the defaults of the cluster included.
    pub fn settings(&self, topic: &str) -> Result<BTreeMap<String, String>> {
        let action = format!("read the settings of {topic}");
        let answer = block_on(self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &options()))
            .map_err(|error| StreamError::from_kafka(action.clone(), error))?;
        let mut settings = BTreeMap::new();
        for resource in answer {
            let resource = resource.map_err(|code| StreamError::from_code(action.clone(), code, code.to_string()))?;
            for entry in resource.entries {
                settings.insert(entry.name, entry.value.unwrap_or_default());
            }
        }
        // A topic has settings. librdkafka's answer holds the refusal, which its binding drops: none would be taken for defaults.
        if settings.is_empty() {
            let cause = format!("the broker shows none: the user needs the right DescribeConfigs on the topic {topic}");
            return Err(StreamError::fatal(action, cause));
        }
        Ok(settings)
    }

    /// Every topic with its number of partitions.
    pub fn list(&self) -> Result<BTreeMap<String, i32>> {
        let answer = self.client.inner().fetch_metadata(None, ASK);
        let metadata = answer.map_err(|error| StreamError::from_kafka("list the topics", error))?;
        let count =
            |topic: &rdkafka::metadata::MetadataTopic| i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX);
        Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), count(topic))).collect())
    }

    /// `None` if there is no such topic.
    pub fn describe(&self, topic: &str) -> Result<Option<Described>> {
        let action = format!("describe the topic {topic}");
        let Some(described) = self.ask_about(topic, ASK)? else { return Ok(None) };
        let topic_id = TopicId::of(&described);
        let metadata = self.client.inner().fetch_metadata(Some(topic), ASK);
        let metadata = metadata.map_err(|error| StreamError::from_kafka(action, error))?;
        let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
        if found.partitions().is_empty() {
            return Ok(None);
        }
        let replication = found.partitions().iter().map(|partition| partition.replicas().len()).min().unwrap_or(0);
        Ok(Some(Described {
            name: topic.to_owned(),
            topic_id,
            partitions: i32::try_from(found.partitions().len()).unwrap_or(i32::MAX),
            replication: i32::try_from(replication).unwrap_or(i32::MAX),
        }))
    }

    fn ask_about(&self, topic: &str, limit: Duration) -> Result<Option<describe::Topic>> {
        // SAFETY: the client lives during the call.
        let answer = unsafe { describe::topic(self.client.inner().native_ptr(), topic, limit) };
        let action = || format!("describe the topic {topic}");
        answer.map_err(|error| StreamError::from_code(action(), error.code, error.to_string()))
    }

    /// The id of a topic and how many partitions it has.
    pub(crate) fn identity_within(&self, topic: &str, limit: Duration) -> Result<Option<(TopicId, i32)>> {
        let count = |found: &describe::Topic| i32::try_from(found.partitions).unwrap_or(i32::MAX);
        Ok(self.ask_about(topic, limit)?.map(|found| (TopicId::of(&found), count(&found))))
    }

    /// How many partitions a topic has; none if there is no such topic.
    pub(crate) fn partitions_within(&self, topic: &str, limit: Duration) -> Result<i32> {
        Ok(self.identity_within(topic, limit)?.map_or(0, |(_, partitions)| partitions))
    }

    /// Raises the number of partitions. What is there stays where it is; keys move.
    pub fn grow(&self, topic: &str, partitions: i32) -> Result<()> {
        let action = format!("give {topic} {partitions} partitions");
        let wanted = NewPartitions::new(topic, usize::try_from(partitions).unwrap_or_default());
        let results = block_on(self.client.create_partitions([&wanted], &options()))
            .map_err(|error| StreamError::from_kafka(action.clone(), error))?;
        for result in results {
            result.map_err(|(_, code)| StreamError::from_code(action.clone(), code, code.to_string()))?;
        }
        self.wait(|| {
            let there = self.partitions_within(topic, ASK)?;
            Ok(if there >= partitions {
                Ok(())
            } else {
                Err(format!("waiting for {topic} to have {partitions} partitions"))
            })
        })
    }

    /// Whether anybody is in a group at this moment.
    pub fn has_members(&self, group: &str) -> Result<bool> {
        // SAFETY: the client lives during the call.
        let answer = unsafe { groups::has_members(self.client.inner().native_ptr(), group, ASK) };
        let action = || format!("look for members of {group}");
        answer.map_err(|error| StreamError::from_code(action(), error.code, error.to_string()))
    }

    /// First offset and true end of every partition, in order; the end counts records of open transactions.
    pub fn watermarks(&self, topic: &str) -> Result<Vec<(i64, i64)>> {
        let partitions = self.list()?.get(topic).copied().unwrap_or(0);
        (0..partitions).map(|partition| self.watermarks_of(topic, partition)).collect()
    }

    pub fn watermarks_of(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let answer = self.client.inner().fetch_watermarks(topic, partition, ASK);
        answer.map_err(|error| StreamError::from_kafka(format!("read the watermarks of {topic}[{partition}]"), error))
    }

    /// The end of a partition, records of open transactions included.
    pub(crate) fn true_end(&self, topic: &str, partition: i32, timeout: Duration) -> Result<i64> {
        let answer = self.client.inner().fetch_watermarks(topic, partition, timeout);
        let answer = answer.map_err(|error| StreamError::from_kafka(format!("end of {topic}[{partition}]"), error));
        answer.map(|(_, end)| end)
    }

    /// What `group` has committed in each partition of `topic`, in order; `None` where nothing.
    pub fn committed(&self, group: &str, topic: &str) -> Result<Vec<Option<i64>>> {
        let partitions = self.list()?.get(topic).copied().unwrap_or(0);
        let partitions: Vec<TopicPartition> = (0..partitions).map(|n| TopicPartition::new(topic, n)).collect();
        self.committed_in(group, &partitions)
    }

    /// What `group` has committed in these partitions, in their order; `None` where nothing. One request, whatever the
    /// number of topics.
    pub fn committed_in(&self, group: &str, partitions: &[TopicPartition]) -> Result<Vec<Option<i64>>> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for tp in partitions {
            list.add_partition(&tp.topic, tp.partition);
        }
        // SAFETY: the client lives during the call.
        let answer = unsafe { positions::committed(self.client.inner().native_ptr(), group, &list, ASK) };
        let action = || format!("read the positions of {group}");
        let found = answer.map_err(|error| StreamError::from_code(action(), error.code, error.to_string()))?;
        let offset = |tp: &TopicPartition| {
            let at = found.iter().find(|(topic, partition, _)| *topic == *tp.topic && *partition == tp.partition);
            at.map(|(_, _, offset)| *offset)
        };
        Ok(partitions.iter().map(offset).collect())
    }

    /// Deletes a topic with all it holds.
    pub fn delete(&self, topic: &str) -> Result<()> {
        let action = format!("delete the topic {topic}");
        let results = block_on(self.client.delete_topics(&[topic], &options()))
            .map_err(|error| StreamError::from_kafka(action.clone(), error))?;
        match results.into_iter().next() {
            Some(Err((_, code))) => Err(StreamError::from_code(action, code, code.to_string())),
            _ => Ok(()),
        }
    }

    /// Deletes the records of a partition below `offset`, as retention does.
    pub fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let action = format!("delete records of {topic}[{partition}]");
        let mut list = TopicPartitionList::new();
        let _ = list.add_partition_offset(topic, partition, rdkafka::Offset::Offset(offset));
        let answer = block_on(self.client.delete_records(&list, &options()));
        let list = answer.map_err(|error| StreamError::from_kafka(action.clone(), error))?;
        let failed = list.elements().iter().find_map(|element| element.error().err());
        failed.map_or(Ok(()), |error| Err(StreamError::from_kafka(action, error)))
    }

    /// Waits until all these topics are there, saying in the log and in the health check `topics` which are missing.
    /// Never makes one. [`StreamError::Stopped`] at the shutdown.
    pub fn wait_for(&self, topics: &[&str]) -> Result<()> {
        self.wait(|| {
            let missing = self.missing(topics)?;
            if missing.is_empty() {
                return Ok(Ok(()));
            }
            let names = missing.join(", ");
            Ok(Err(format!("waiting for the topics {names}: make them, e.g. with `finflow topics apply`")))
        })
    }

    /// Asks until the answer is there, and says what it waits for: what the answer lacks, or Kafka itself.
    fn wait<T>(&self, ask: impl Fn() -> Result<Result<T, String>>) -> Result<T> {
        let latch = self.env.health.latch("topics");
        let mut said = None;
        loop {
            self.env.beat();
            let lack = match ask() {
                Ok(Ok(answer)) => {
                    latch.release();
                    return Ok(answer);
                }
                Ok(Err(lack)) => lack,
                Err(error) if error.is_retry() => format!("waiting for Kafka at {}: {error}", self.kafka.brokers),
                Err(error) => return Err(error),
            };
            if said.as_ref() != Some(&lack) {
                tracing::warn!(brokers = %self.kafka.brokers, "{lack}");
                said = Some(lack.clone());
            }
            latch.hold(lack.clone());
            if self.env.shutdown.wait_timeout(Duration::from_millis(250)) {
                return Err(StreamError::Stopped(lack));
            }
        }
    }

    fn missing(&self, topics: &[&str]) -> Result<Vec<String>> {
        let there = self.list()?;
        Ok(topics.iter().filter(|topic| !there.contains_key(**topic)).map(|topic| (*topic).to_owned()).collect())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK))
}

impl TopicId {
    fn of(described: &describe::Topic) -> Self {
        let (most, least) = described.id;
        Self((u128::from(most as u64) << 64) | u128::from(least as u64))
    }

    /// Kafka gives no real topic the id zero: a broker that does has no ids.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for TopicId {
    /// URL-safe base64 without padding, 22 characters, as Kafka's own tools write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        // 128 bits are 21 digits of 6 bits and a last one of 2, filled up with zeros.
        for digit in 0..22 {
            let bits = if digit < 21 { self.0 >> (122 - 6 * digit) } else { self.0 << 4 };
            write!(f, "{}", char::from(DIGITS[usize::try_from(bits & 63).expect("six bits fit")]))?;
        }
        Ok(())
    }
}

impl Serialize for TopicId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_id_is_written_as_kafka_writes_it() {
        // Kafka's own ids for its metadata topic (0x0, 0x1) and a made-up one, by Java's Uuid.toString.
        assert_eq!(TopicId(1).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId(u128::MAX).to_string(), "_____________________w");
        assert_eq!(TopicId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef).to_string(), "ASNFZ4mrze8BI0VniavN7w");
        assert!(TopicId(0).is_zero());
    }
}
