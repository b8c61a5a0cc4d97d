//! Every request in every version we say we speak, written and read by another implementation of the protocol.

use crate::{
    apis::{self, Api},
    batch::tests::plain,
    clock::now_ms,
    config::Overrides,
    node::Node,
    records::tests::write,
    request::{Ends, answer},
    sync::Syncer,
    wire::Malformed,
};
use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::*,
    protocol::{Decodable, Encodable, HeaderVersion, StrBytes},
};
use std::{cell::RefCell, collections::BTreeSet};
use uuid::Uuid;

struct World {
    _dir: tempfile::TempDir,
    node: Node,
    runtime: tokio::runtime::Runtime,
    asked: RefCell<BTreeSet<i16>>,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn batch() -> Bytes {
    plain(2, now_ms(), &write(&[(Some("k"), Some("v"), 0), (Some("k"), None, 5)])).into()
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::open(dir.path(), Syncer::start().unwrap().0, tempfile::tempfile().unwrap()).unwrap();
        node.topics.create("t", 2, Overrides::new(), false).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        World { _dir: dir, node, runtime, asked: RefCell::default() }
    }

    fn id(&self) -> Uuid {
        self.node.topics.get("t").unwrap().id
    }

    fn send(&self, frame: Bytes) -> Result<Option<Vec<u8>>, Malformed> {
        let addr = "127.0.0.1:9092".parse().unwrap();
        self.runtime.block_on(answer(&self.node, frame, Ends { local: addr, peer: addr }))
    }

    /// Asks in every version, twice: cut by a byte it must not read, whole it must be answered with exactly what the
    /// other implementation expects.
    fn ask<Q: Encodable + HeaderVersion, A: Decodable + HeaderVersion>(
        &self,
        key: i16,
        request: impl Fn(i16) -> Q,
        mut check: impl FnMut(i16, A),
    ) {
        self.asked.borrow_mut().insert(key);
        let Api { min, max, flexible, .. } = *apis::find(key).unwrap();
        for version in min..=max {
            assert_eq!(Q::header_version(version) == 2, version >= flexible, "api {key} version {version}");
            let mut frame = BytesMut::new();
            let header = RequestHeader::default().with_request_api_key(key).with_request_api_version(version);
            let header = header.with_correlation_id(77).with_client_id(Some(text("test")));
            header.encode(&mut frame, Q::header_version(version)).unwrap();
            request(version).encode(&mut frame, version).unwrap();
            let frame = frame.freeze();
            let cut = self.send(frame.slice(..frame.len() - 1));
            assert!(cut.is_err(), "api {key} version {version} does not read to its end");

            let mut bytes = Bytes::from(self.send(frame).unwrap().expect("an answer")).split_off(4);
            let header = ResponseHeader::decode(&mut bytes, A::header_version(version)).unwrap();
            assert_eq!(header.correlation_id, 77);
            let response =
                A::decode(&mut bytes, version).unwrap_or_else(|e| panic!("api {key} version {version}: {e}"));
            assert!(bytes.is_empty(), "api {key} version {version}: {} bytes too many", bytes.len());
            check(version, response);
        }
    }

    fn records(&self) {
        self.ask(
            apis::PRODUCE,
            |_| {
                let data = produce_request::PartitionProduceData::default().with_records(Some(batch()));
                let topic = produce_request::TopicProduceData::default().with_name(TopicName(text("t")));
                ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic.with_partition_data(vec![data])])
            },
            |version, answer: ProduceResponse| {
                let partition = &answer.responses[0].partition_responses[0];
                assert_eq!((partition.error_code, partition.base_offset), (0, i64::from(version - 3) * 2));
            },
        );
        self.ask(
            apis::FETCH,
            |version| {
                let partition =
                    fetch_request::FetchPartition::default().with_fetch_offset(2).with_partition_max_bytes(1000);
                let mut topic = fetch_request::FetchTopic::default().with_partitions(vec![partition]);
                if version >= 13 {
                    topic = topic.with_topic_id(self.id());
                } else {
                    topic = topic.with_topic(TopicName(text("t")));
                }
                FetchRequest::default()
                    .with_max_wait_ms(10)
                    .with_min_bytes(1)
                    .with_max_bytes(1 << 20)
                    .with_topics(vec![topic])
            },
            |_, answer: FetchResponse| {
                let partition = &answer.responses[0].partitions[0];
                assert_eq!((partition.error_code, partition.high_watermark, partition.last_stable_offset), (0, 12, 12));
                assert_eq!(partition.records.as_ref().unwrap().len() % batch().len(), 0);
                assert!(!partition.records.as_ref().unwrap().is_empty());
            },
        );
        self.ask(
            apis::LIST_OFFSETS,
            |_| {
                let partition = list_offsets_request::ListOffsetsPartition::default().with_timestamp(-1);
                let topic = list_offsets_request::ListOffsetsTopic::default().with_name(TopicName(text("t")));
                ListOffsetsRequest::default().with_topics(vec![topic.with_partitions(vec![partition])])
            },
            |_, answer: ListOffsetsResponse| assert_eq!(answer.topics[0].partitions[0].offset, 12),
        );
        self.ask(
            apis::OFFSET_FOR_LEADER_EPOCH,
            |_| {
                let partition = offset_for_leader_epoch_request::OffsetForLeaderPartition::default();
                let topic =
                    offset_for_leader_epoch_request::OffsetForLeaderTopic::default().with_topic(TopicName(text("t")));
                OffsetForLeaderEpochRequest::default().with_topics(vec![topic.with_partitions(vec![partition])])
            },
            |_, answer: OffsetForLeaderEpochResponse| assert_eq!(answer.topics[0].partitions[0].end_offset, 12),
        );
        self.ask(
            apis::DELETE_RECORDS,
            |_| {
                let partition = delete_records_request::DeleteRecordsPartition::default().with_offset(2);
                let topic = delete_records_request::DeleteRecordsTopic::default().with_name(TopicName(text("t")));
                DeleteRecordsRequest::default().with_topics(vec![topic.with_partitions(vec![partition])])
            },
            |_, answer: DeleteRecordsResponse| assert_eq!(answer.topics[0].partitions[0].low_watermark, 2),
        );
    }

    fn cluster(&self) {
        self.ask(
            apis::API_VERSIONS,
            |version| {
                let request = ApiVersionsRequest::default();
                if version < 3 {
                    request
                } else {
                    request.with_client_software_name(text("x")).with_client_software_version(text("1"))
                }
            },
            |_, answer: ApiVersionsResponse| {
                assert_eq!((answer.error_code, answer.api_keys.len()), (0, apis::APIS.len()))
            },
        );
        for topics in [None, Some(vec![text("t"), text("missing")])] {
            self.ask(
                apis::METADATA,
                |version| {
                    let asked = topics.as_ref().map(|names| {
                        let topic = |name: &StrBytes| {
                            metadata_request::MetadataRequestTopic::default().with_name(Some(TopicName(name.clone())))
                        };
                        names.iter().map(topic).collect()
                    });
                    MetadataRequest::default().with_topics(if version == 0 { asked.or(Some(vec![])) } else { asked })
                },
                |version, answer: MetadataResponse| {
                    assert_eq!((answer.brokers[0].node_id.0, answer.brokers[0].port), (1, 9092));
                    assert_eq!((answer.topics[0].error_code, answer.topics[0].partitions.len()), (0, 2));
                    assert_eq!(answer.topics.get(1).map(|topic| topic.error_code), topics.as_ref().map(|_| 3));
                    assert!(version < 10 || answer.topics[0].topic_id == self.id());
                },
            );
        }
        self.ask(
            apis::DESCRIBE_CLUSTER,
            |_| DescribeClusterRequest::default(),
            |_, answer: DescribeClusterResponse| assert_eq!(answer.brokers.len(), 1),
        );
        self.ask(
            apis::FIND_COORDINATOR,
            |_| FindCoordinatorRequest::default().with_key(text("g")),
            |_, answer: FindCoordinatorResponse| assert_eq!((answer.error_code, answer.port), (0, 9092)),
        );
    }

    fn membership(&self) {
        self.ask(
            apis::JOIN_GROUP,
            |version| {
                let protocol = join_group_request::JoinGroupRequestProtocol::default().with_name(text("range"));
                let request = JoinGroupRequest::default().with_session_timeout_ms(6000);
                let request = if version >= 1 { request.with_rebalance_timeout_ms(6000) } else { request };
                request
                    .with_group_id(GroupId(text(&format!("join-{version}"))))
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol])
            },
            |version, answer: JoinGroupResponse| {
                assert_eq!(answer.error_code, if version >= 4 { 79 } else { 0 });
                assert!(!answer.member_id.is_empty());
            },
        );
        let member = self.node.coordinator().groups["join-3"].members.keys().next().unwrap().clone();
        let group = || GroupId(text("join-3"));
        self.ask(
            apis::SYNC_GROUP,
            |_| {
                let assignment =
                    sync_group_request::SyncGroupRequestAssignment::default().with_member_id(text(&member));
                let request = SyncGroupRequest::default()
                    .with_group_id(group())
                    .with_generation_id(1)
                    .with_member_id(text(&member));
                request.with_assignments(vec![assignment.with_assignment(Bytes::from_static(b"all"))])
            },
            |_, answer: SyncGroupResponse| assert_eq!((answer.error_code, &answer.assignment[..]), (0, &b"all"[..])),
        );
        self.ask(
            apis::HEARTBEAT,
            |_| HeartbeatRequest::default().with_group_id(group()).with_generation_id(1).with_member_id(text(&member)),
            |_, answer: HeartbeatResponse| assert_eq!(answer.error_code, 0),
        );
        self.ask(
            apis::DESCRIBE_GROUPS,
            |_| DescribeGroupsRequest::default().with_groups(vec![group(), GroupId(text("none"))]),
            |_, answer: DescribeGroupsResponse| {
                let described = &answer.groups[0];
                assert_eq!(
                    (&*described.group_state, &*described.protocol_data, described.members.len()),
                    ("Stable", "range", 1)
                );
                assert_eq!(&*answer.groups[1].group_state, "Dead");
            },
        );
        self.ask(
            apis::LIST_GROUPS,
            |_| ListGroupsRequest::default(),
            |_, answer: ListGroupsResponse| {
                assert!(answer.groups.iter().any(|listed| listed.group_id == group()));
            },
        );
        self.ask(
            apis::LEAVE_GROUP,
            |version| {
                let request = LeaveGroupRequest::default().with_group_id(group());
                if version < 3 {
                    return request.with_member_id(text("stranger"));
                }
                request.with_members(vec![leave_group_request::MemberIdentity::default().with_member_id(text(&member))])
            },
            |version, answer: LeaveGroupResponse| {
                assert_eq!(if version < 3 { answer.error_code - 25 } else { answer.members[0].error_code }, 0);
            },
        );
    }

    fn offsets(&self) {
        let group = || GroupId(text("g"));
        self.ask(
            apis::OFFSET_COMMIT,
            |_| {
                let partition = offset_commit_request::OffsetCommitRequestPartition::default().with_committed_offset(5);
                let topic = offset_commit_request::OffsetCommitRequestTopic::default().with_name(TopicName(text("t")));
                let request =
                    OffsetCommitRequest::default().with_group_id(group()).with_generation_id_or_member_epoch(-1);
                request
                    .with_topics(vec![topic.with_partitions(vec![partition.with_committed_metadata(Some(text("m")))])])
            },
            |_, answer: OffsetCommitResponse| assert_eq!(answer.topics[0].partitions[0].error_code, 0),
        );
        for all in [false, true] {
            self.ask(
                apis::OFFSET_FETCH,
                |version| {
                    let topic =
                        offset_fetch_request::OffsetFetchRequestTopic::default().with_name(TopicName(text("t")));
                    let topics = (!all || version < 2).then(|| vec![topic.with_partition_indexes(vec![0])]);
                    OffsetFetchRequest::default()
                        .with_group_id(group())
                        .with_topics(topics)
                        .with_require_stable(version >= 7)
                },
                |_, answer: OffsetFetchResponse| {
                    let partition = &answer.topics[0].partitions[0];
                    assert_eq!((partition.committed_offset, partition.metadata.as_deref()), (5, Some("m")));
                },
            );
        }
        self.ask(
            apis::OFFSET_DELETE,
            |_| {
                let partition = offset_delete_request::OffsetDeleteRequestPartition::default();
                let topic = offset_delete_request::OffsetDeleteRequestTopic::default().with_name(TopicName(text("t")));
                OffsetDeleteRequest::default()
                    .with_group_id(group())
                    .with_topics(vec![topic.with_partitions(vec![partition])])
            },
            |_, answer: OffsetDeleteResponse| {
                assert_eq!((answer.error_code, answer.topics[0].partitions[0].error_code), (0, 0))
            },
        );
        self.ask(
            apis::DELETE_GROUPS,
            |_| DeleteGroupsRequest::default().with_groups_names(vec![group()]),
            |_, answer: DeleteGroupsResponse| assert_eq!(answer.results[0].error_code, 69),
        );
    }

    fn transactions(&self) {
        let id = || TransactionalId(text("tx"));
        let mut given = (0, 0);
        self.ask(
            apis::INIT_PRODUCER_ID,
            |version| {
                let request = InitProducerIdRequest::default()
                    .with_transactional_id(Some(id()))
                    .with_transaction_timeout_ms(1000);
                if version >= 3 { request.with_producer_id(ProducerId(-1)).with_producer_epoch(-1) } else { request }
            },
            |_, answer: InitProducerIdResponse| {
                assert_eq!(answer.error_code, 0);
                given = (answer.producer_id.0, answer.producer_epoch);
            },
        );
        let (producer, epoch) = (ProducerId(given.0), given.1);
        self.ask(
            apis::ADD_PARTITIONS_TO_TXN,
            |_| {
                let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                    .with_name(TopicName(text("t")))
                    .with_partitions(vec![0]);
                AddPartitionsToTxnRequest::default()
                    .with_v3_and_below_transactional_id(id())
                    .with_v3_and_below_producer_id(producer)
                    .with_v3_and_below_producer_epoch(epoch)
                    .with_v3_and_below_topics(vec![topic])
            },
            |_, answer: AddPartitionsToTxnResponse| {
                assert_eq!(answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code, 0);
            },
        );
        self.ask(
            apis::ADD_OFFSETS_TO_TXN,
            |_| {
                let request =
                    AddOffsetsToTxnRequest::default().with_transactional_id(id()).with_group_id(GroupId(text("g")));
                request.with_producer_id(producer).with_producer_epoch(epoch)
            },
            |_, answer: AddOffsetsToTxnResponse| assert_eq!(answer.error_code, 0),
        );
        self.ask(
            apis::TXN_OFFSET_COMMIT,
            |_| {
                let partition =
                    txn_offset_commit_request::TxnOffsetCommitRequestPartition::default().with_committed_offset(9);
                let topic =
                    txn_offset_commit_request::TxnOffsetCommitRequestTopic::default().with_name(TopicName(text("t")));
                let request =
                    TxnOffsetCommitRequest::default().with_transactional_id(id()).with_group_id(GroupId(text("g")));
                let request = request.with_producer_id(producer).with_producer_epoch(epoch);
                request.with_topics(vec![topic.with_partitions(vec![partition])])
            },
            |_, answer: TxnOffsetCommitResponse| assert_eq!(answer.topics[0].partitions[0].error_code, 0),
        );
        self.ask(
            apis::END_TXN,
            |_| {
                let request = EndTxnRequest::default().with_transactional_id(id()).with_committed(true);
                request.with_producer_id(producer).with_producer_epoch(epoch)
            },
            |_, answer: EndTxnResponse| assert_eq!(answer.error_code, 0),
        );
    }

    fn admin(&self) {
        self.ask(
            apis::CREATE_TOPICS,
            |version| {
                let config = create_topics_request::CreatableTopicConfig::default()
                    .with_name(text("retention.ms"))
                    .with_value(Some(text("5")));
                let topic = create_topics_request::CreatableTopic::default()
                    .with_name(TopicName(text(&format!("new-{version}"))));
                let topic = topic.with_num_partitions(1).with_replication_factor(1).with_configs(vec![config]);
                CreateTopicsRequest::default().with_topics(vec![topic])
            },
            |_, answer: CreateTopicsResponse| {
                assert_eq!((answer.topics[0].error_code, &answer.topics[0].error_message), (0, &None))
            },
        );
        self.ask(
            apis::CREATE_PARTITIONS,
            |version| {
                let topic = create_partitions_request::CreatePartitionsTopic::default().with_name(TopicName(text("t")));
                let topic = topic.with_count(i32::from(version) + 3).with_assignments(None);
                CreatePartitionsRequest::default().with_topics(vec![topic])
            },
            |_, answer: CreatePartitionsResponse| assert_eq!(answer.results[0].error_code, 0),
        );
        self.ask(
            apis::ALTER_CONFIGS,
            |_| {
                let config = alter_configs_request::AlterableConfig::default()
                    .with_name(text("retention.mss"))
                    .with_value(Some(text("5")));
                let resource = alter_configs_request::AlterConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text("t"));
                AlterConfigsRequest::default().with_resources(vec![resource.with_configs(vec![config])])
            },
            |_, answer: AlterConfigsResponse| {
                assert_eq!(answer.responses[0].error_code, 40);
                assert!(answer.responses[0].error_message.as_ref().unwrap().contains("retention.mss"));
            },
        );
        self.ask(
            apis::INCREMENTAL_ALTER_CONFIGS,
            |_| {
                let config =
                    incremental_alter_configs_request::AlterableConfig::default().with_name(text("cleanup.policy"));
                let config = config.with_config_operation(2).with_value(Some(text("compact")));
                let resource = incremental_alter_configs_request::AlterConfigsResource::default().with_resource_type(2);
                let resource = resource.with_resource_name(text("t")).with_configs(vec![config]);
                IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
            },
            |_, answer: IncrementalAlterConfigsResponse| assert_eq!(answer.responses[0].error_code, 0),
        );
        self.ask(
            apis::DESCRIBE_CONFIGS,
            |_| {
                let resource = describe_configs_request::DescribeConfigsResource::default()
                    .with_resource_type(2)
                    .with_resource_name(text("t"));
                let resource = resource.with_configuration_keys(Some(vec![text("cleanup.policy")]));
                DescribeConfigsRequest::default().with_resources(vec![resource])
            },
            |_, answer: DescribeConfigsResponse| {
                let [config] = &answer.results[0].configs[..] else { panic!("one was asked for") };
                assert_eq!((config.value.as_deref(), config.config_source), (Some("delete,compact"), 1));
            },
        );
        self.ask(
            apis::DELETE_TOPICS,
            |version| {
                DeleteTopicsRequest::default().with_topic_names(vec![TopicName(text(&format!("new-{}", version + 1)))])
            },
            |_, answer: DeleteTopicsResponse| assert_eq!(answer.responses[0].error_code, 0),
        );
    }
}

#[test]
fn every_version_we_name_is_understood_by_another_implementation() {
    let world = World::new();
    world.records();
    world.cluster();
    world.membership();
    world.offsets();
    world.transactions();
    world.admin();
    let all: BTreeSet<_> = apis::APIS.iter().map(|api| api.key).collect();
    assert_eq!(*world.asked.borrow(), all, "a request without a test");
}

#[test]
fn a_version_we_do_not_speak_is_answered_only_where_the_client_cannot_know() {
    let world = World::new();
    let header = |key: i16, version: i16| {
        Bytes::from(
            [&key.to_be_bytes()[..], &version.to_be_bytes(), &77i32.to_be_bytes(), &[0xff, 0xff], &[0; 20]].concat(),
        )
    };
    let answer = world.send(header(apis::API_VERSIONS, 99)).unwrap().unwrap();
    let mut bytes = Bytes::from(answer).split_off(8);
    assert_eq!(ApiVersionsResponse::decode(&mut bytes, 0).unwrap().error_code, 35);
    for (key, version) in
        [(apis::METADATA, 99), (apis::METADATA, -1), (apis::PRODUCE, 2), (apis::OFFSET_FETCH, 0), (999, 0), (-1, 0)]
    {
        assert!(world.send(header(key, version)).is_err());
    }
}
