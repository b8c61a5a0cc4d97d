//! The requests this broker answers, and in which versions.
//!
//! The versions are those librdkafka 2.x and the Java clients from 2.1 to 4.x can both speak; newer ones that only
//! add what one node does not need are left out. `flexible` is the first version with compact lengths and tags.

/// One kind of request.
pub struct Api {
    pub key: i16,
    pub name: &'static str,
    pub min: i16,
    pub max: i16,
    pub flexible: i16,
}

const NEVER: i16 = i16::MAX;

const fn api(key: i16, name: &'static str, min: i16, max: i16, flexible: i16) -> Api {
    Api { key, name, min, max, flexible }
}

pub const PRODUCE: i16 = 0;
pub const FETCH: i16 = 1;
pub const LIST_OFFSETS: i16 = 2;
pub const METADATA: i16 = 3;
pub const OFFSET_COMMIT: i16 = 8;
pub const OFFSET_FETCH: i16 = 9;
pub const FIND_COORDINATOR: i16 = 10;
pub const JOIN_GROUP: i16 = 11;
pub const HEARTBEAT: i16 = 12;
pub const LEAVE_GROUP: i16 = 13;
pub const SYNC_GROUP: i16 = 14;
pub const DESCRIBE_GROUPS: i16 = 15;
pub const LIST_GROUPS: i16 = 16;
pub const API_VERSIONS: i16 = 18;
pub const CREATE_TOPICS: i16 = 19;
pub const DELETE_TOPICS: i16 = 20;
pub const DELETE_RECORDS: i16 = 21;
pub const INIT_PRODUCER_ID: i16 = 22;
pub const OFFSET_FOR_LEADER_EPOCH: i16 = 23;
pub const ADD_PARTITIONS_TO_TXN: i16 = 24;
pub const ADD_OFFSETS_TO_TXN: i16 = 25;
pub const END_TXN: i16 = 26;
pub const TXN_OFFSET_COMMIT: i16 = 28;
pub const DESCRIBE_CONFIGS: i16 = 32;
pub const ALTER_CONFIGS: i16 = 33;
pub const CREATE_PARTITIONS: i16 = 37;
pub const DELETE_GROUPS: i16 = 42;
pub const INCREMENTAL_ALTER_CONFIGS: i16 = 44;
pub const OFFSET_DELETE: i16 = 47;
pub const DESCRIBE_CLUSTER: i16 = 60;

pub const APIS: [Api; 30] = [
    api(PRODUCE, "Produce", 3, 8, 9),
    api(FETCH, "Fetch", 4, 13, 12),
    api(LIST_OFFSETS, "ListOffsets", 1, 7, 6),
    api(METADATA, "Metadata", 0, 12, 9),
    api(OFFSET_COMMIT, "OffsetCommit", 2, 8, 8),
    api(OFFSET_FETCH, "OffsetFetch", 1, 7, 6),
    api(FIND_COORDINATOR, "FindCoordinator", 0, 2, 3),
    api(JOIN_GROUP, "JoinGroup", 0, 5, 6),
    api(HEARTBEAT, "Heartbeat", 0, 3, 4),
    api(LEAVE_GROUP, "LeaveGroup", 0, 3, 4),
    api(SYNC_GROUP, "SyncGroup", 0, 3, 4),
    api(DESCRIBE_GROUPS, "DescribeGroups", 0, 4, 5),
    api(LIST_GROUPS, "ListGroups", 0, 4, 3),
    api(API_VERSIONS, "ApiVersions", 0, 3, 3),
    api(CREATE_TOPICS, "CreateTopics", 2, 4, 5),
    api(DELETE_TOPICS, "DeleteTopics", 1, 3, 4),
    api(DELETE_RECORDS, "DeleteRecords", 0, 1, 2),
    api(INIT_PRODUCER_ID, "InitProducerId", 0, 4, 2),
    api(OFFSET_FOR_LEADER_EPOCH, "OffsetForLeaderEpoch", 2, 3, 4),
    api(ADD_PARTITIONS_TO_TXN, "AddPartitionsToTxn", 0, 3, 3),
    api(ADD_OFFSETS_TO_TXN, "AddOffsetsToTxn", 0, 3, 3),
    api(END_TXN, "EndTxn", 0, 3, 3),
    api(TXN_OFFSET_COMMIT, "TxnOffsetCommit", 0, 3, 3),
    api(DESCRIBE_CONFIGS, "DescribeConfigs", 1, 3, 4),
    api(ALTER_CONFIGS, "AlterConfigs", 0, 1, 2),
    api(CREATE_PARTITIONS, "CreatePartitions", 0, 1, 2),
    api(DELETE_GROUPS, "DeleteGroups", 0, 1, 2),
    api(INCREMENTAL_ALTER_CONFIGS, "IncrementalAlterConfigs", 0, 1, 1),
    api(OFFSET_DELETE, "OffsetDelete", 0, 0, NEVER),
    api(DESCRIBE_CLUSTER, "DescribeCluster", 0, 0, 0),
];

pub fn find(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}
