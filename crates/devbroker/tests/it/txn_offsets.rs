//! Offsets in a transaction: what makes reading, working and writing exact.

use crate::{
    client::{
        LONG, TestProducer, committed, committed_offsets, consumer, create, fill, flush, send, transactional, values,
    },
    raw::{Raw, group_id, text, topic_name},
    target::{Target, eventually, unique},
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, ApiKey, InitProducerIdRequest, InitProducerIdResponse,
    OffsetFetchRequest, OffsetFetchResponse, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    offset_fetch_request::OffsetFetchRequestTopic,
    txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata},
    producer::Producer,
};
use std::time::Duration;

struct Pipe {
    target: Target,
    input: String,
    output: String,
    group: String,
}

impl Pipe {
    fn new(name: &str) -> Pipe {
        let target = Target::new();
        let [input, output, group] = ["in", "out", "group"].map(|part| unique(&format!("{name}-{part}")));
        create(&target.addr, &input, 2, &[]);
        create(&target.addr, &output, 1, &[]);
        fill(&target.addr, &input, 0, 0..10);
        fill(&target.addr, &input, 1, 10..20);
        Pipe { target, input, output, group }
    }

    fn reader(&self) -> BaseConsumer {
        let reader = consumer(&self.target.addr, &self.group, &[("isolation.level", "read_committed")]);
        reader.subscribe(&[&self.input]).unwrap();
        reader
    }

    fn producer(&self) -> TestProducer {
        transactional(&self.target.addr, &unique("pipe-id"), "30000")
    }

    fn send_offset(
        &self,
        producer: &TestProducer,
        metadata: &ConsumerGroupMetadata,
        offset: i64,
    ) -> Result<(), rdkafka::error::KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.input, 0, Offset::Offset(offset)).unwrap();
        producer.send_offsets_to_transaction(&list, metadata, LONG)
    }

    fn offsets(&self) -> Vec<Option<i64>> {
        committed_offsets(&self.target.addr, &self.group, &self.input, 2)
    }
}

fn owned(reader: &BaseConsumer) -> usize {
    let _ = reader.poll(Duration::from_millis(20));
    reader.assignment().unwrap().count()
}

/// Polls all readers until each has as many partitions as it should.
fn settle(readers: &[&BaseConsumer], want: &[usize]) {
    eventually(LONG, "partitions are shared out", || {
        let now: Vec<_> = readers.iter().map(|reader| owned(reader)).collect();
        (now == want).then_some(())
    });
}

#[test]
fn offsets_move_with_the_transaction() {
    let pipe = Pipe::new("moves");
    let (reader, producer) = (pipe.reader(), pipe.producer());
    settle(&[&reader], &[2]);
    let metadata = reader.group_metadata().unwrap();
    let round = |offset: i64, commit: bool| {
        producer.begin_transaction().unwrap();
        send(&producer, &pipe.output, 0, "k", &offset.to_string());
        flush(&producer);
        pipe.send_offset(&producer, &metadata, offset).unwrap();
        if commit { producer.commit_transaction(LONG) } else { producer.abort_transaction(LONG) }.unwrap();
    };
    round(3, true);
    assert_eq!(pipe.offsets(), [Some(3), None]);
    round(5, false);
    assert_eq!(pipe.offsets(), [Some(3), None]);
    round(8, true);
    assert_eq!(pipe.offsets(), [Some(8), None]);
    assert_eq!(values(&committed(&pipe.target.addr, &pipe.output)), ["3", "8"]);
}

#[test]
fn offsets_of_an_open_transaction_are_waited_for_by_who_asks_for_stable_ones() {
    const UNSTABLE: i16 = 88;
    let pipe = Pipe::new("stable");
    let (reader, producer) = (pipe.reader(), pipe.producer());
    settle(&[&reader], &[2]);
    let metadata = reader.group_metadata().unwrap();
    producer.begin_transaction().unwrap();
    pipe.send_offset(&producer, &metadata, 4).unwrap();

    let mut raw = Raw::coordinator(&pipe.target.addr, &pipe.group, 0);
    let mut fetch = |stable: bool| {
        let topic =
            OffsetFetchRequestTopic::default().with_name(topic_name(&pipe.input)).with_partition_indexes(vec![0, 1]);
        let request = OffsetFetchRequest::default().with_group_id(group_id(&pipe.group)).with_topics(Some(vec![topic]));
        let answer: OffsetFetchResponse = raw.ask(ApiKey::OffsetFetch, 7, &request.with_require_stable(stable));
        let partitions = &answer.topics[0].partitions;
        partitions.iter().map(|partition| (partition.committed_offset, partition.error_code)).collect::<Vec<_>>()
    };
    assert_eq!(fetch(true), [(-1, UNSTABLE), (-1, 0)]);
    assert_eq!(fetch(false), [(-1, 0), (-1, 0)]);
    producer.commit_transaction(LONG).unwrap();
    eventually(pipe.target.patience(), "the offset is stable", || (fetch(true)[0] == (4, 0)).then_some(()));
}

#[test]
fn a_member_of_an_older_generation_cannot_commit_in_a_transaction() {
    let pipe = Pipe::new("stale");
    let (first, producer) = (pipe.reader(), pipe.producer());
    settle(&[&first], &[2]);
    let stale = first.group_metadata().unwrap();
    let second = pipe.reader();
    settle(&[&first, &second], &[1, 1]);

    producer.begin_transaction().unwrap();
    send(&producer, &pipe.output, 0, "k", "of a member that lost its partitions");
    flush(&producer);
    let refused = pipe.send_offset(&producer, &stale, 5).expect_err("a stale generation was accepted");
    let text = refused.to_string();
    assert!(text.contains("generation") || text.contains("member") || text.contains("Generation"), "{text}");
    producer.abort_transaction(LONG).unwrap();
    assert_eq!(pipe.offsets(), [None, None]);

    producer.begin_transaction().unwrap();
    pipe.send_offset(&producer, &first.group_metadata().unwrap(), 6).unwrap();
    producer.commit_transaction(LONG).unwrap();
    assert_eq!(pipe.offsets(), [Some(6), None]);
    assert_eq!(committed(&pipe.target.addr, &pipe.output), []);
}

#[test]
fn the_members_and_producers_names_are_checked_one_by_one() {
    const ILLEGAL_GENERATION: i16 = 22;
    const UNKNOWN_MEMBER: i16 = 25;
    const WRONG_EPOCH: i16 = 47;
    let pipe = Pipe::new("checked");
    let reader = pipe.reader();
    settle(&[&reader], &[2]);
    let id = unique("checked-id");
    let transaction = || TransactionalId(text(&id));
    let mut raw = Raw::coordinator(&pipe.target.addr, &id, 1);
    let init =
        InitProducerIdRequest::default().with_transactional_id(Some(transaction())).with_transaction_timeout_ms(30_000);
    let init = init.with_producer_id((-1).into()).with_producer_epoch(-1);
    let (producer, epoch) = eventually(LONG, "a producer id is given", || {
        let given: InitProducerIdResponse = raw.ask(ApiKey::InitProducerId, 4, &init);
        (given.error_code == 0).then_some((given.producer_id, given.producer_epoch))
    });
    let add =
        AddOffsetsToTxnRequest::default().with_transactional_id(transaction()).with_group_id(group_id(&pipe.group));
    let added: AddOffsetsToTxnResponse =
        raw.ask(ApiKey::AddOffsetsToTxn, 3, &add.with_producer_id(producer).with_producer_epoch(epoch));
    assert_eq!(added.error_code, 0);
    let mut group = Raw::coordinator(&pipe.target.addr, &pipe.group, 0);
    let mut commit = |member: &str, generation: i32, epoch: i16| {
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(3);
        let topic =
            TxnOffsetCommitRequestTopic::default().with_name(topic_name(&pipe.input)).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default().with_transactional_id(transaction()).with_topics(vec![topic]);
        let request =
            request.with_group_id(group_id(&pipe.group)).with_producer_id(producer).with_producer_epoch(epoch);
        let request = request.with_member_id(text(member)).with_generation_id(generation);
        let answer: TxnOffsetCommitResponse = group.ask(ApiKey::TxnOffsetCommit, 3, &request);
        answer.topics[0].partitions[0].error_code
    };
    assert_eq!(commit("someone else", 1, epoch), UNKNOWN_MEMBER);
    let member = member_of(&pipe);
    assert_eq!(commit(&member.0, member.1 + 7, epoch), ILLEGAL_GENERATION);
    assert_eq!(commit(&member.0, member.1, epoch + 1), WRONG_EPOCH);
    assert_eq!(commit(&member.0, member.1, epoch), 0);
}

/// The only member's id, and the generation it is in: the only one in which a heartbeat is heard.
fn member_of(pipe: &Pipe) -> (String, i32) {
    use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
    let groups = consumer(&pipe.target.addr, "lister", &[]).fetch_group_list(Some(&pipe.group), LONG).unwrap();
    let member = groups.groups()[0].members()[0].id().to_owned();
    let mut raw = Raw::coordinator(&pipe.target.addr, &pipe.group, 0);
    let generation = (0..20).find(|generation| {
        let request = HeartbeatRequest::default().with_group_id(group_id(&pipe.group)).with_member_id(text(&member));
        let answer: HeartbeatResponse = raw.ask(ApiKey::Heartbeat, 3, &request.with_generation_id(*generation));
        answer.error_code == 0
    });
    (member, generation.expect("a generation below 20"))
}
