//! Topics: made, described, configured, grown, deleted and made again.

use crate::{
    client::{
        LONG, admin, admin_options, committed, committed_offsets, consumer, create, delete, fill, try_create, values,
        watermarks,
    },
    raw::{Raw, text},
    target::{Target, block_on, eventually, unique},
};
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, ApiKey,
    alter_configs_request::{AlterConfigsResource, AlterableConfig},
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AlterConfig, NewPartitions, ResourceSpecifier},
    consumer::{CommitMode, Consumer},
    error::RDKafkaErrorCode,
    producer::Producer,
};
use rdkafka_sys as ffi;
use std::{
    ffi::{CStr, CString},
    time::Duration,
};
use uuid::Uuid;

#[test]
fn a_topic_is_made_once_and_only_as_it_can_be() {
    let target = Target::new();
    let topic = unique("made");
    create(&target.addr, &topic, 3, &[]);
    let refused = |name: &str, partitions, replicas, config: &[_]| {
        try_create(&target.addr, name, partitions, replicas, config).unwrap_err()
    };
    let other = unique("never");
    assert_eq!(refused(&topic, 3, 1, &[]), RDKafkaErrorCode::TopicAlreadyExists);
    assert_eq!(refused("not/a/topic", 1, 1, &[]), RDKafkaErrorCode::InvalidTopic);
    assert_eq!(refused(&other, 1, 3, &[]), RDKafkaErrorCode::InvalidReplicationFactor);
    assert_eq!(refused(&other, 1, 1, &[("retention.mss", "1")]), RDKafkaErrorCode::InvalidConfig);
    assert_eq!(refused(&other, 1, 1, &[("retention.ms", "soon")]), RDKafkaErrorCode::InvalidConfig);
    let metadata = admin(&target.addr).inner().fetch_metadata(None, LONG).unwrap();
    assert!(metadata.topics().iter().all(|topic| topic.name() != other));
}

#[test]
fn a_missing_topic_is_not_made_by_asking_or_writing() {
    let target = Target::new();
    let topic = unique("missing");
    let producer = crate::client::producer(&target.addr, &[("message.timeout.ms", "1500")]);
    crate::client::send(&producer, &topic, 0, "k", "v");
    let _ = producer.flush(LONG);
    assert_eq!(producer.context().acked.lock().unwrap().len(), 0);
    let metadata = admin(&target.addr).inner().fetch_metadata(None, LONG).unwrap();
    assert!(metadata.topics().iter().all(|known| known.name() != topic));
}

fn config(addr: &str, topic: &str, key: &str) -> Option<String> {
    let described =
        block_on(admin(addr).describe_configs(&[ResourceSpecifier::Topic(topic)], &admin_options())).unwrap();
    let resource = described.into_iter().next().unwrap().unwrap();
    resource.get(key).and_then(|entry| entry.value.clone())
}

#[test]
fn configuration_is_shown_changed_and_checked() {
    let target = Target::new();
    let topic = unique("configured");
    create(&target.addr, &topic, 1, &[("retention.ms", "3600000"), ("cleanup.policy", "compact")]);
    let shown = |key| config(&target.addr, &topic, key);
    assert_eq!(shown("retention.ms").as_deref(), Some("3600000"));
    assert_eq!(shown("cleanup.policy").as_deref(), Some("compact"));
    assert_eq!(shown("max.message.bytes").as_deref(), Some("1048588"));
    assert_eq!(shown("message.timestamp.type").as_deref(), Some("CreateTime"));

    let alter = |key: &str, value: &str| {
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set(key, value);
        let altered = block_on(admin(&target.addr).alter_configs(&[change], &admin_options())).unwrap();
        altered.into_iter().next().unwrap().map(|_| ()).map_err(|(_, code)| code)
    };
    alter("retention.ms", "7200000").unwrap();
    // All of the configuration is replaced: what is not named falls back to its default.
    eventually(target.patience(), "the change is shown", || {
        (shown("retention.ms").as_deref() == Some("7200000") && shown("cleanup.policy").as_deref() == Some("delete"))
            .then_some(())
    });
    for (key, value) in [("retention.ms", "soon"), ("retention.mss", "1")] {
        assert_eq!(refusal(&target.addr, &topic, key, value), INVALID_CONFIG);
    }
    assert_eq!(config(&target.addr, &unique("missing"), "retention.ms"), None);
}

const INVALID_CONFIG: i16 = 40;

/// What changing a key is answered. The client's own call does not tell.
fn refusal(addr: &str, topic: &str, key: &str, value: &str) -> i16 {
    let config = AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)));
    let resource = AlterConfigsResource::default().with_resource_type(2).with_resource_name(text(topic));
    let request = AlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])]);
    let answer: AlterConfigsResponse = Raw::new(addr).ask(ApiKey::AlterConfigs, 1, &request);
    answer.responses[0].error_code
}

#[test]
fn partitions_are_added_and_used() {
    let target = Target::new();
    let topic = unique("grown");
    create(&target.addr, &topic, 2, &[]);
    fill(&target.addr, &topic, 0, 0..5);
    let grow = |count| {
        let grown =
            block_on(admin(&target.addr).create_partitions(&[NewPartitions::new(&topic, count)], &admin_options()));
        grown.unwrap().into_iter().next().unwrap().map(|_| ()).map_err(|(_, code)| code)
    };
    grow(4).unwrap();
    assert_eq!(grow(3), Err(RDKafkaErrorCode::InvalidPartitions));
    let client = admin(&target.addr);
    eventually(target.patience(), "four partitions are known", || {
        let metadata = client.inner().fetch_metadata(Some(&topic), LONG).unwrap();
        (metadata.topics()[0].partitions().len() == 4).then_some(())
    });
    fill(&target.addr, &topic, 3, 5..10);
    assert_eq!(committed(&target.addr, &topic).len(), 10);
    assert_eq!(watermarks(&target.addr, &topic, 3), (0, 5));
}

#[test]
fn a_topic_deleted_and_made_again_is_another_one() {
    let target = Target::new();
    let (topic, group) = (unique("again"), unique("again-group"));
    create(&target.addr, &topic, 1, &[]);
    fill(&target.addr, &topic, 0, 0..10);
    let reader = consumer(&target.addr, &group, &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(7)).unwrap();
    reader.commit(&list, CommitMode::Sync).unwrap();
    assert_eq!(committed_offsets(&target.addr, &group, &topic, 1), [Some(7)]);
    let mut raw = Raw::new(&target.addr);
    let first = raw.topic_id(&topic).unwrap();
    assert_eq!(described_id(&target.addr, &topic), first);

    delete(&target.addr, &topic);
    assert_eq!(raw.topic_id(&topic), None);
    create(&target.addr, &topic, 2, &[]);
    let second = raw.topic_id(&topic).unwrap();
    assert_eq!(described_id(&target.addr, &topic), second);
    assert!(first != second && !first.is_nil() && !second.is_nil());
    assert_eq!(watermarks(&target.addr, &topic, 0), (0, 0));
    eventually(target.patience(), "what was read of the old topic is forgotten", || {
        (committed_offsets(&target.addr, &group, &topic, 1) == [None]).then_some(())
    });
    fill(&target.addr, &topic, 0, 20..23);
    assert_eq!(values(&committed(&target.addr, &topic)), ["20", "21", "22"]);
}

#[test]
fn a_topics_id_survives_a_restart() {
    let Some(target) = Target::embedded("restarting") else { return };
    let topic = unique("lasting");
    create(&target.addr, &topic, 2, &[("retention.ms", "1234567")]);
    let id = Raw::new(&target.addr).topic_id(&topic);
    let target = target.restart();
    assert_eq!(Raw::new(&target.addr).topic_id(&topic), id);
    assert_eq!(config(&target.addr, &topic, "retention.ms").as_deref(), Some("1234567"));
}

#[test]
fn deleted_records_are_not_read_any_more() {
    let target = Target::new();
    let topic = unique("shortened");
    create(&target.addr, &topic, 1, &[]);
    fill(&target.addr, &topic, 0, 0..100);
    let delete = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, offset).unwrap();
        let deleted = block_on(admin(&target.addr).delete_records(&list, &admin_options())).unwrap();
        deleted.elements()[0].error().map_err(|error| error.rdkafka_error_code())
    };
    delete(Offset::Offset(40)).unwrap();
    assert_eq!(watermarks(&target.addr, &topic, 0), (40, 100));
    assert_eq!(values(&committed(&target.addr, &topic)).first().map(String::as_str), Some("40"));
    // Asked for by its offset a deleted record is an error, not a record.
    let reader = consumer(&target.addr, "below", &[("auto.offset.reset", "error")]);
    let mut below = TopicPartitionList::new();
    below.add_partition_offset(&topic, 0, Offset::Offset(10)).unwrap();
    reader.assign(&below).unwrap();
    let answer = eventually(LONG, "an answer", || reader.poll(Duration::from_millis(100)).map(|polled| polled.err()));
    assert_eq!(answer.and_then(|error| error.rdkafka_error_code()), Some(RDKafkaErrorCode::AutoOffsetReset));
    assert_eq!(delete(Offset::Offset(101)), Err(Some(RDKafkaErrorCode::OffsetOutOfRange)));
    delete(Offset::End).unwrap();
    assert_eq!(watermarks(&target.addr, &topic, 0), (100, 100));
}

/// The UUID as librdkafka tells it: what the store puts into the names of its objects.
fn described_id(addr: &str, topic: &str) -> Uuid {
    let client = admin(addr);
    let handle = client.inner().native_ptr();
    let name = CString::new(topic).unwrap();
    let mut names = [name.as_ptr()];
    // SAFETY: every pointer comes from librdkafka and is used before the event that owns it is destroyed; `name` and
    // the client outlive the calls.
    unsafe {
        let topics = ffi::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1);
        let queue = ffi::rd_kafka_queue_new(handle);
        let options =
            ffi::rd_kafka_AdminOptions_new(handle, ffi::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        ffi::rd_kafka_DescribeTopics(handle, topics, options, queue);
        let event = ffi::rd_kafka_queue_poll(queue, 30_000);
        assert!(!event.is_null(), "no answer to DescribeTopics");
        let result = ffi::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let all = ffi::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        assert_eq!(count, 1);
        let id = ffi::rd_kafka_TopicDescription_topic_id(*all);
        let high = ffi::rd_kafka_Uuid_most_significant_bits(id) as u64;
        let low = ffi::rd_kafka_Uuid_least_significant_bits(id) as u64;
        let found = CStr::from_ptr(ffi::rd_kafka_TopicDescription_name(*all)).to_str().unwrap().to_owned();
        assert_eq!(found, topic);
        ffi::rd_kafka_event_destroy(event);
        ffi::rd_kafka_AdminOptions_destroy(options);
        ffi::rd_kafka_queue_destroy(queue);
        ffi::rd_kafka_TopicCollection_destroy(topics);
        Uuid::from_u64_pair(high, low)
    }
}
