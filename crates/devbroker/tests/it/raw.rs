//! Requests written by hand, for what librdkafka would never send or does not show.

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, GroupId, HeartbeatRequest, HeartbeatResponse,
        InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse, ProduceRequest,
        ProduceResponse, RequestHeader, ResponseHeader, TopicName,
        metadata_request::MetadataRequestTopic,
        produce_request::{PartitionProduceData, TopicProduceData},
    },
    protocol::{Decodable, Encodable, HeaderVersion, StrBytes},
};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use uuid::Uuid;

use crate::{client::LONG, target::eventually};

pub struct Raw {
    stream: TcpStream,
}

pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub fn group_id(group: &str) -> GroupId {
    GroupId(text(group))
}

pub fn topic_name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

/// A request as it goes over the wire, its length first.
pub fn frame<Q: Encodable + HeaderVersion>(key: ApiKey, version: i16, request: &Q) -> Bytes {
    let header = RequestHeader::default().with_request_api_key(key as i16).with_request_api_version(version);
    let mut body = BytesMut::new();
    header.with_client_id(Some(text("raw"))).encode(&mut body, Q::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    Bytes::from([&(body.len() as u32).to_be_bytes()[..], &body].concat())
}

impl Raw {
    pub fn new(addr: &str) -> Raw {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Raw { stream }
    }

    /// A connection to the coordinator of a group or, with 1, a transactional id, when that is ready.
    pub fn coordinator(addr: &str, key: &str, kind: i8) -> Raw {
        let mut raw = Raw::new(addr);
        eventually(LONG, "a coordinator is found", || {
            let request = FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind);
            let found: FindCoordinatorResponse = raw.ask(ApiKey::FindCoordinator, 2, &request);
            (found.error_code == 0).then_some(())
        });
        if kind == 0 {
            // Found, it may still be making itself ready: who is no member is told so only by one that is.
            eventually(LONG, "the coordinator is ready", || {
                let request = HeartbeatRequest::default().with_group_id(group_id(key)).with_member_id(text("nobody"));
                let answer: HeartbeatResponse = raw.ask(ApiKey::Heartbeat, 3, &request);
                (![14, 15, 16].contains(&answer.error_code)).then_some(())
            });
        }
        raw
    }

    pub fn ask<Q: Encodable + HeaderVersion, A: Decodable + HeaderVersion>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &Q,
    ) -> A {
        self.stream.write_all(&frame(key, version, request)).unwrap();
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut answer).unwrap();
        let mut answer = Bytes::from(answer);
        ResponseHeader::decode(&mut answer, A::header_version(version)).unwrap();
        A::decode(&mut answer, version).unwrap()
    }

    /// Sends a request whose answer is taken later, or never.
    pub fn tell<Q: Encodable + HeaderVersion>(&mut self, key: ApiKey, version: i16, request: &Q) {
        self.stream.write_all(&frame(key, version, request)).unwrap();
    }

    pub fn topic_id(&mut self, topic: &str) -> Option<Uuid> {
        let topic = MetadataRequestTopic::default().with_name(Some(topic_name(topic)));
        let request = MetadataRequest::default().with_topics(Some(vec![topic]));
        let answer: MetadataResponse = self.ask(ApiKey::Metadata, 12, &request);
        (answer.topics[0].error_code == 0).then_some(answer.topics[0].topic_id)
    }

    /// A producer id without a transactional one.
    pub fn producer_id(&mut self) -> (i64, i16) {
        let request = InitProducerIdRequest::default().with_transactional_id(None).with_transaction_timeout_ms(10_000);
        let request = request.with_producer_id((-1).into()).with_producer_epoch(-1);
        eventually(LONG, "a producer id is given", || {
            let given: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 4, &request);
            (given.error_code == 0).then_some((given.producer_id.0, given.producer_epoch))
        })
    }

    /// Introduces a transactional producer, as it is known or (-1, -1); answers the error and who it is now.
    pub fn introduce(&mut self, id: &str, known: (i64, i16)) -> (i16, (i64, i16)) {
        let request = InitProducerIdRequest::default().with_transactional_id(Some(text(id).into()));
        let request = request.with_transaction_timeout_ms(10_000);
        let request = request.with_producer_id(known.0.into()).with_producer_epoch(known.1);
        let given: InitProducerIdResponse = self.ask(ApiKey::InitProducerId, 4, &request);
        (given.error_code, (given.producer_id.0, given.producer_epoch))
    }

    /// Sends bytes as they are to partition 0; answers the error and the offset.
    pub fn produce(&mut self, topic: &str, records: Bytes) -> (i16, i64) {
        let data = PartitionProduceData::default().with_records(Some(records));
        let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(10_000).with_topic_data(vec![topic]);
        let answer: ProduceResponse = self.ask(ApiKey::Produce, 7, &request);
        let partition = &answer.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }
}

/// One uncompressed batch of records without keys.
pub fn batch(producer: (i64, i16), sequence: i32, values: &[&str]) -> Bytes {
    use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
    let records: Vec<Record> = values
        .iter()
        .enumerate()
        .map(|(index, value)| Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: 0,
            producer_id: producer.0,
            producer_epoch: producer.1,
            timestamp_type: TimestampType::Creation,
            offset: index as i64,
            sequence: sequence + index as i32,
            timestamp: crate::target::now_ms(),
            key: None,
            value: Some(Bytes::copy_from_slice(value.as_bytes())),
            headers: Default::default(),
        })
        .collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    out.freeze()
}
