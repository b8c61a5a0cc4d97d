//! Groups by hand: what happens to members that are silent, late or unknown.

use crate::{
    client::{LONG, consumer, create},
    raw::{Raw, group_id, text, topic_name},
    target::{Target, eventually, unique},
};
use bytes::Bytes;
use kafka_protocol::messages::{
    ApiKey, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest,
    OffsetCommitResponse, SyncGroupRequest, SyncGroupResponse,
    join_group_request::JoinGroupRequestProtocol,
    offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
    sync_group_request::SyncGroupRequestAssignment,
};
use rdkafka::consumer::Consumer;

const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER: i16 = 25;
const REBALANCE: i16 = 27;
const INCONSISTENT: i16 = 23;
const MEMBER_ID_REQUIRED: i16 = 79;

/// The shortest session a real broker allows.
const SESSION_MS: i32 = 6000;

fn join(group: &str, member: &str, session_ms: i32, protocol: &str) -> JoinGroupRequest {
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text(protocol)).with_metadata(Bytes::from_static(b"m"));
    JoinGroupRequest::default()
        .with_group_id(group_id(group))
        .with_session_timeout_ms(session_ms)
        .with_rebalance_timeout_ms(SESSION_MS)
        .with_member_id(text(member))
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// A member of its own group, with its assignment: id and generation.
fn member(raw: &mut Raw, group: &str, session_ms: i32) -> (String, i32) {
    let first: JoinGroupResponse = raw.ask(ApiKey::JoinGroup, 5, &join(group, "", session_ms, "range"));
    assert_eq!(first.error_code, MEMBER_ID_REQUIRED);
    let id = first.member_id.to_string();
    let joined: JoinGroupResponse = raw.ask(ApiKey::JoinGroup, 5, &join(group, &id, session_ms, "range"));
    assert_eq!((joined.error_code, &*joined.leader, joined.members.len()), (0, &*id, 1));
    let assignment = SyncGroupRequestAssignment::default().with_member_id(text(&id));
    let request = SyncGroupRequest::default().with_group_id(group_id(group)).with_member_id(text(&id));
    let request = request.with_generation_id(joined.generation_id);
    let request = request.with_assignments(vec![assignment.with_assignment(Bytes::from_static(b"a"))]);
    let synced: SyncGroupResponse = raw.ask(ApiKey::SyncGroup, 3, &request);
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &b"a"[..]));
    (id, joined.generation_id)
}

fn heartbeat(raw: &mut Raw, group: &str, member: &str, generation: i32) -> i16 {
    let request = HeartbeatRequest::default().with_group_id(group_id(group)).with_member_id(text(member));
    let answer: HeartbeatResponse = raw.ask(ApiKey::Heartbeat, 3, &request.with_generation_id(generation));
    answer.error_code
}

fn commit(raw: &mut Raw, topic: &str, group: &str, member: &str, generation: i32) -> i16 {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default().with_group_id(group_id(group)).with_member_id(text(member));
    let request = request.with_generation_id_or_member_epoch(generation).with_topics(vec![topic]);
    let answer: OffsetCommitResponse = raw.ask(ApiKey::OffsetCommit, 7, &request);
    answer.topics[0].partitions[0].error_code
}

#[test]
fn only_a_member_of_the_present_generation_is_heard() {
    let target = Target::new();
    let (topic, group) = (unique("heard"), unique("heard-group"));
    create(&target.addr, &topic, 1, &[]);
    let mut raw = Raw::coordinator(&target.addr, &group, 0);
    let (id, generation) = member(&mut raw, &group, SESSION_MS);
    assert_eq!(heartbeat(&mut raw, &group, &id, generation), 0);
    assert_eq!(heartbeat(&mut raw, &group, &id, generation + 1), ILLEGAL_GENERATION);
    assert_eq!(heartbeat(&mut raw, &group, "someone else", generation), UNKNOWN_MEMBER);
    assert_eq!(commit(&mut raw, &topic, &group, &id, generation), 0);
    assert_eq!(commit(&mut raw, &topic, &group, &id, generation - 1), ILLEGAL_GENERATION);
    assert_eq!(commit(&mut raw, &topic, &group, "someone else", generation), UNKNOWN_MEMBER);
    assert_eq!(commit(&mut raw, &topic, &group, "", -1), UNKNOWN_MEMBER, "not while others are in the group");
    assert_eq!(commit(&mut raw, &topic, &unique("nobodys"), "", -1), 0);
    let other: JoinGroupResponse = raw.ask(ApiKey::JoinGroup, 5, &join(&group, &id, SESSION_MS, "another"));
    assert_eq!(other.error_code, INCONSISTENT, "even alone it changes its strategy in two steps");
    let mut second = Raw::coordinator(&target.addr, &group, 0);
    let third: JoinGroupResponse = second.ask(ApiKey::JoinGroup, 5, &join(&group, "", SESSION_MS, "a third"));
    assert!(matches!(third.error_code, INCONSISTENT | MEMBER_ID_REQUIRED));
}

#[test]
fn a_silent_member_loses_its_place() {
    let target = Target::new();
    let group = unique("silent-group");
    let mut raw = Raw::coordinator(&target.addr, &group, 0);
    let session = if target.is_real() { SESSION_MS } else { 1500 };
    let (id, generation) = member(&mut raw, &group, session);
    let lister = consumer(&target.addr, "lister", &[]);
    let members = || {
        let listed = lister.fetch_group_list(Some(&group), LONG).unwrap();
        listed.groups().first().map_or(0, |group| group.members().len())
    };
    assert_eq!(heartbeat(&mut raw, &group, &id, generation), 0);
    eventually(target.patience(), "the session is over", || (members() == 0).then_some(()));
    assert_eq!(heartbeat(&mut raw, &group, &id, generation), UNKNOWN_MEMBER);
}

#[test]
fn a_newcomer_waits_for_those_who_are_there() {
    let target = Target::new();
    let group = unique("waiting-group");
    let mut first = Raw::coordinator(&target.addr, &group, 0);
    let (id, generation) = member(&mut first, &group, SESSION_MS);
    let mut second = Raw::coordinator(&target.addr, &group, 0);
    let asked: JoinGroupResponse = second.ask(ApiKey::JoinGroup, 5, &join(&group, "", SESSION_MS, "range"));
    second.tell(ApiKey::JoinGroup, 5, &join(&group, &asked.member_id, SESSION_MS, "range"));
    eventually(target.patience(), "the first one is told to join again", || {
        (heartbeat(&mut first, &group, &id, generation) == REBALANCE).then_some(())
    });
    let again: JoinGroupResponse = first.ask(ApiKey::JoinGroup, 5, &join(&group, &id, SESSION_MS, "range"));
    assert_eq!((again.error_code, again.generation_id, again.members.len()), (0, generation + 1, 2));
    assert_eq!(heartbeat(&mut first, &group, &id, generation), ILLEGAL_GENERATION);
}
