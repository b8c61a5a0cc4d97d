//! librdkafka, with what the tests do most in one call.

use crate::target::{block_on, eventually};
use rdkafka::{
    ClientConfig, ClientContext, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, DeliveryResult, Message},
    producer::{BaseProducer, BaseRecord, Producer, ProducerContext},
};
use std::{
    collections::BTreeSet,
    sync::Mutex,
    time::{Duration, Instant},
};

pub const LONG: Duration = Duration::from_secs(30);

/// One record as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    pub timestamp: Option<i64>,
}

/// Remembers what became of every record.
#[derive(Default)]
pub struct Deliveries {
    /// Partition, offset and key of what was acknowledged.
    pub acked: Mutex<Vec<(i32, i64, String)>>,
    pub failed: Mutex<Vec<RDKafkaErrorCode>>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => {
                let key = String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned();
                self.acked.lock().unwrap().push((message.partition(), message.offset(), key));
            }
            Err((error, _)) => {
                self.failed.lock().unwrap().extend(error.rdkafka_error_code());
            }
        }
    }
}

pub type TestProducer = BaseProducer<Deliveries>;

pub fn config(addr: &str, extra: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addr);
    // A broker that was killed is back at once: so should the clients be.
    config.set("reconnect.backoff.ms", "20").set("reconnect.backoff.max.ms", "100");
    for (key, value) in extra {
        config.set(*key, *value);
    }
    config
}

pub fn producer(addr: &str, extra: &[(&str, &str)]) -> TestProducer {
    let mut config =
        config(addr, &[("enable.idempotence", "true"), ("message.timeout.ms", "30000"), ("linger.ms", "2")]);
    for (key, value) in extra {
        config.set(*key, *value);
    }
    config.create_with_context(Deliveries::default()).unwrap()
}

pub fn transactional(addr: &str, id: &str, timeout_ms: &str) -> TestProducer {
    // Messages may not outlive the transaction.
    let extra = [("transactional.id", id), ("transaction.timeout.ms", timeout_ms), ("message.timeout.ms", timeout_ms)];
    let producer = producer(addr, &extra);
    producer.init_transactions(LONG).unwrap();
    producer
}

/// Sends one record, waiting where the queue is full.
pub fn send(producer: &TestProducer, topic: &str, partition: i32, key: &str, value: &str) {
    let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    while let Err((error, back)) = producer.send(record) {
        assert_eq!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::QueueFull), "{error}");
        producer.poll(Duration::from_millis(5));
        record = back;
    }
}

pub fn flush(producer: &TestProducer) {
    producer.flush(LONG).unwrap();
    assert_eq!(*producer.context().failed.lock().unwrap(), []);
}

/// Sends numbered records and waits until all are acknowledged.
pub fn fill(addr: &str, topic: &str, partition: i32, numbers: std::ops::Range<i64>) {
    let producer = producer(addr, &[]);
    for number in numbers {
        send(&producer, topic, partition, &format!("k{number}"), &number.to_string());
    }
    flush(&producer);
}

pub fn admin(addr: &str) -> AdminClient<DefaultClientContext> {
    config(addr, &[]).create().unwrap()
}

pub fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LONG)).operation_timeout(Some(LONG))
}

pub type TopicError = RDKafkaErrorCode;

pub fn try_create(
    addr: &str,
    name: &str,
    partitions: i32,
    replicas: i32,
    config: &[(&str, &str)],
) -> Result<(), TopicError> {
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(replicas));
    for (key, value) in config {
        topic = topic.set(key, value);
    }
    let made = block_on(admin(addr).create_topics(&[topic], &admin_options())).unwrap();
    made.into_iter().next().unwrap().map(|_| ()).map_err(|(_, code)| code)
}

pub fn create(addr: &str, name: &str, partitions: i32, config: &[(&str, &str)]) {
    try_create(addr, name, partitions, 1, config).unwrap();
    let client = admin(addr);
    eventually(LONG, "a new topic has its leaders", || {
        let metadata = client.inner().fetch_metadata(Some(name), LONG).unwrap();
        let topic = &metadata.topics()[0];
        let led = topic.partitions().iter().all(|partition| partition.leader() >= 0);
        (topic.error().is_none() && topic.partitions().len() == partitions as usize && led).then_some(())
    });
}

pub fn delete(addr: &str, name: &str) {
    block_on(admin(addr).delete_topics(&[name], &admin_options())).unwrap()[0].as_ref().unwrap();
    let client = admin(addr);
    eventually(LONG, "a deleted topic is gone", || {
        let metadata = client.inner().fetch_metadata(None, LONG).unwrap();
        metadata.topics().iter().all(|topic| topic.name() != name).then_some(())
    });
}

pub fn consumer(addr: &str, group: &str, extra: &[(&str, &str)]) -> BaseConsumer {
    let mut config =
        config(addr, &[("group.id", group), ("enable.auto.commit", "false"), ("auto.offset.reset", "earliest")]);
    config.set("fetch.wait.max.ms", "50").set("enable.partition.eof", "true");
    config.set("heartbeat.interval.ms", "200").set("session.timeout.ms", "6000");
    for (key, value) in extra {
        config.set(*key, *value);
    }
    config.create().unwrap()
}

pub fn seen(message: &BorrowedMessage<'_>) -> Seen {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Seen {
        partition: message.partition(),
        offset: message.offset(),
        key: text(message.key()),
        value: text(message.payload()),
        timestamp: message.timestamp().to_millis(),
    }
}

fn is_passing(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown)
}

/// Everything in the topic now, from the start of each partition to its end.
pub fn read_all(addr: &str, topic: &str, isolation: &str) -> Vec<Seen> {
    let consumer = consumer(addr, "reader", &[("isolation.level", isolation)]);
    let metadata = consumer.fetch_metadata(Some(topic), LONG).unwrap();
    let partitions: BTreeSet<i32> = metadata.topics()[0].partitions().iter().map(|partition| partition.id()).collect();
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition_offset(topic, *partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut all, mut ended, start) = (Vec::new(), BTreeSet::new(), Instant::now());
    while ended != partitions {
        assert!(start.elapsed() < LONG, "{} records read, ends of {ended:?} seen", all.len());
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => all.push(seen(&message)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(ended.insert(partition)),
            // A connection that is refused or lost is made again; only the time limit ends that.
            Some(Err(error)) if error.rdkafka_error_code().is_some_and(is_passing) => {}
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    all
}

pub fn committed(addr: &str, topic: &str) -> Vec<Seen> {
    read_all(addr, topic, "read_committed")
}

pub fn values(records: &[Seen]) -> Vec<String> {
    records.iter().map(|record| record.value.clone().unwrap_or_default()).collect()
}

pub fn watermarks(addr: &str, topic: &str, partition: i32) -> (i64, i64) {
    consumer(addr, "watermarks", &[]).fetch_watermarks(topic, partition, LONG).unwrap()
}

/// The group's committed offset of each partition; `None` where it has none.
pub fn committed_offsets(addr: &str, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
    // Not only stable ones: what is in an open transaction is not waited for.
    let consumer = consumer(addr, group, &[("isolation.level", "read_uncommitted")]);
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition(topic, partition);
    }
    let found = consumer.committed_offsets(list, LONG).unwrap();
    found.elements().iter().map(|element| element.offset().to_raw().filter(|offset| *offset >= 0)).collect()
}
