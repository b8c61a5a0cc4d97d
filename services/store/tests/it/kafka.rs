//! What others do with the topics and with the group.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{Offset, TopicPartitionList};
use testkit::unique;

use crate::world::{LONG, MIDNIGHT, World};

/// Commits a position for the group, which has no member.
pub fn move_position(brokers: &str, group: &str, topic: &str, offset: i64) {
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("group.id", group).create().expect("a consumer");
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(offset)).expect("an offset");
    consumer.commit(&list, CommitMode::Sync).expect("the position is committed");
}

/// Writes so many transactions of so many trades each to partition 0; the third, the sixth, … are rolled back.
pub fn transactions(brokers: &str, topic: &str, count: i64, records: i64) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("transactional.id", unique("store-test"))
        .create()
        .expect("a producer");
    producer.init_transactions(LONG).expect("the brokers know the id");
    for transaction in 0..count {
        producer.begin_transaction().expect("begun");
        for n in transaction * records..(transaction + 1) * records {
            let trade = World::trade(n, MIDNIGHT + n);
            let record = BaseRecord::<(), _>::to(topic).partition(0).payload(&trade);
            producer.send(record).map_err(|(error, _)| error).expect("it is queued");
        }
        producer.flush(LONG).expect("written");
        if transaction % 3 == 2 {
            producer.abort_transaction(LONG).expect("rolled back");
        } else {
            producer.commit_transaction(LONG).expect("committed");
        }
    }
}
