//! What the tests here share.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::Shutdown;
use streams::{Admin, Consumer, Env, KafkaConfig, Outgoing, OwnedRecord, Polled, Producer, Reader, TopicPartition};
use testkit::{Brokers, set_session, unique};

pub const LONG: Duration = Duration::from_secs(60);

/// A Kafka and a client's surroundings.
pub struct Kit {
    pub brokers: Brokers,
    pub env: Env,
    pub kafka: KafkaConfig,
}

impl Kit {
    pub fn new() -> Kit {
        Kit::with(Brokers::start())
    }

    /// On a broker that the test started itself.
    pub fn on(addr: &str) -> Kit {
        Kit::with(Brokers::at(addr))
    }

    fn with(brokers: Brokers) -> Kit {
        show_logs();
        let mut kafka = brokers.config();
        set_session(&mut kafka, session_ms(brokers.is_embedded()));
        Kit { brokers, env: env(), kafka }
    }

    pub fn topic(&self, partitions: i32) -> String {
        let name = unique("t");
        self.brokers.create(&name, partitions);
        name
    }

    pub fn compacted(&self, partitions: i32) -> String {
        let name = unique("c");
        self.brokers.create_compacted(&name, partitions);
        name
    }

    pub fn admin(&self) -> Admin {
        Admin::new(&self.env, &self.kafka).unwrap()
    }

    pub fn producer(&self) -> Producer {
        Producer::new(&self.env, &self.kafka).unwrap()
    }

    /// Sends `values` with their key, each to the partition given or the key's own, and waits until they are there.
    pub fn send(&self, topic: &str, partition: Option<i32>, values: &[(String, String)]) {
        let producer = self.producer();
        for (key, value) in values {
            let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
            producer.send(&Outgoing { topic, partition, key, value, ..Outgoing::default() }).unwrap();
        }
        producer.flush(LONG).unwrap();
    }

    /// Everything committed, by partition.
    pub fn read(&self, topic: &str) -> BTreeMap<i32, Vec<OwnedRecord>> {
        let mut all: BTreeMap<i32, Vec<OwnedRecord>> = BTreeMap::new();
        streams::read_topic(&self.env, &self.kafka, topic, &BTreeMap::new(), |record| {
            all.entry(record.partition).or_default().push(record.to_owned());
        })
        .unwrap();
        all
    }

    /// Number of committed records.
    pub fn count(&self, topic: &str) -> usize {
        self.read(topic).values().map(Vec::len).sum()
    }

    pub fn reader(&self) -> Reader {
        Reader::new(&self.env, &self.kafka, &unique("reader")).unwrap()
    }
}

/// Where `RUST_LOG` asks for them.
pub fn show_logs() {
    if std::env::var_os("RUST_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
}

/// The shortest that the broker allows: the tests wait for it. The embedded one allows any.
pub fn session_ms(embedded: bool) -> u64 {
    if embedded { 2000 } else { 6000 }
}

pub fn env() -> Env {
    Env::standalone("test", &Shutdown::new())
}

/// `n` records with keys of a few symbols; values count up.
pub fn numbers(range: std::ops::Range<u64>) -> Vec<(String, String)> {
    range.map(|n| (format!("S{}", n % 7), n.to_string())).collect()
}

pub fn value(record: &streams::Record<'_>) -> u64 {
    std::str::from_utf8(record.value.unwrap()).unwrap().parse().unwrap()
}

/// Polls until the consumer has its first assignment, answers it and returns it.
pub fn join(consumer: &mut Consumer) -> Vec<TopicPartition> {
    let start = std::time::Instant::now();
    loop {
        assert!(start.elapsed() < LONG, "no assignment");
        if let Polled::Assigned(partitions) = consumer.poll(Duration::from_millis(100)).unwrap() {
            consumer.assign().unwrap();
            if !partitions.is_empty() {
                return partitions;
            }
        }
    }
}
