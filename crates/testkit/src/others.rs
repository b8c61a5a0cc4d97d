//! What others do with topics and groups.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};

use crate::unique;

const LONG: Duration = Duration::from_secs(60);

/// Commits a position of partition 0 for a group that has no member.
pub fn move_position(brokers: &str, group: &str, topic: &str, offset: i64) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset");
    consumer.commit(&list, CommitMode::Sync).expect("the position is committed");
}

/// Writes these values to partition 0, each list in a transaction that is committed or rolled back.
pub fn transactions(brokers: &str, topic: &str, all: impl IntoIterator<Item = (Vec<String>, bool)>) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", unique("others"))
        .create()
        .expect("a producer");
    producer.init_transactions(LONG).expect("the brokers know the id");
    for (values, is_committed) in all {
        producer.begin_transaction().expect("begun");
        for value in &values {
            let record = BaseRecord::<(), _>::to(topic).partition(0).payload(value);
            producer.send(record).map_err(|(error, _)| error).expect("it is queued");
        }
        producer.flush(LONG).expect("written");
        if is_committed {
            producer.commit_transaction(LONG).expect("committed");
        } else {
            producer.abort_transaction(LONG).expect("rolled back");
        }
    }
}
