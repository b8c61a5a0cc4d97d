//! Reading without a group.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use streams::{KafkaConfig, Outgoing, Polled, Producer, Reader, TopicPartition};

use crate::kit::{Kit, LONG};

/// librdkafka looks for the coordinator of a group that nothing here needs. A broker with ACLs refuses that, some time after
/// the first records: who reads much would be stopped by it, who reads little would not.
#[test]
fn a_reader_needs_no_right_to_a_group() {
    let env = Kit::new().env;
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t", 1, 1).unwrap();
    let refused = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 64];
    cluster.request_errors(RDKafkaApiKey::FindCoordinator, &refused);
    let kafka = KafkaConfig { brokers: cluster.bootstrap_servers(), ..KafkaConfig::default() };
    let producer = Producer::new(&env, &kafka).unwrap();
    let mut reader = Reader::new(&env, &kafka, "finflow-test-reader").unwrap();
    reader.assign(&[(TopicPartition::new("t", 0), 0)]).unwrap();
    let begun = Instant::now();
    let mut read = 0;
    // Long enough for some refusals: the coordinator is looked for twice a second.
    while begun.elapsed() < Duration::from_secs(2) {
        producer.send(&Outgoing { topic: "t", value: Some(b"x"), ..Outgoing::default() }).unwrap();
        producer.flush(LONG).unwrap();
        while !matches!(reader.poll(LONG).unwrap(), Polled::Record(record) if record.offset == read) {}
        read += 1;
    }
    assert!(read > 1, "{read} records");
}
