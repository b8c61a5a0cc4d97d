//! Metadata, DescribeCluster and FindCoordinator: which topics there are, and that this node has and does everything.

use crate::{
    batch::LEADER_EPOCH,
    errors::{Code, number},
    node::{NODE_ID, Node},
    request::Request,
    topics::Topic,
    wire::{Malformed, Reader, Writer},
};
use std::sync::Arc;
use uuid::Uuid;

/// No operations are told: nothing is guarded here.
const NOT_TOLD: i32 = i32::MIN;

enum Asked {
    Name(String),
    Id(Uuid),
}

pub fn answer(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let asked = read(&mut request.body, version)?;
    let topics = match asked {
        None => node.topics.all().into_iter().map(|topic| (Asked::Id(topic.id), Ok(topic))).collect(),
        Some(asked) => asked.into_iter().map(|asked| find(node, asked)).collect::<Vec<_>>(),
    };
    if version >= 3 {
        w.i32(0);
    }
    write_brokers(w, request, version >= 1);
    if version >= 2 {
        w.nullable_string(Some(&node.cluster_id));
    }
    if version >= 1 {
        w.i32(NODE_ID);
    }
    w.array(topics, |w, (asked, topic)| write_topic(w, version, &asked, topic));
    if (8..=10).contains(&version) {
        w.i32(NOT_TOLD);
    }
    w.tags();
    Ok(())
}

/// The topics asked for, or `None` for all.
fn read(r: &mut Reader, version: i16) -> Result<Option<Vec<Asked>>, Malformed> {
    let topics = r.nullable_array(|r| {
        let id = if version >= 10 { r.uuid()? } else { Uuid::nil() };
        let name = if version >= 10 { r.nullable_string()? } else { Some(r.string()?) };
        r.tags()?;
        Ok(name.map_or(Asked::Id(id), Asked::Name))
    })?;
    if version >= 4 {
        let _auto_create = r.bool()?;
    }
    if (8..=10).contains(&version) {
        let _cluster_operations = r.bool()?;
    }
    if version >= 8 {
        let _topic_operations = r.bool()?;
    }
    r.tags()?;
    Ok(topics.filter(|topics| version >= 1 || !topics.is_empty()))
}

fn find(node: &Node, asked: Asked) -> (Asked, Result<Arc<Topic>, Code>) {
    let topic = match &asked {
        Asked::Name(name) => node.topics.get(name).ok_or(Code::UnknownTopicOrPartition),
        Asked::Id(id) => node.topics.by_id(*id).ok_or(Code::UnknownTopicId),
    };
    (asked, topic)
}

fn write_topic(w: &mut Writer, version: i16, asked: &Asked, topic: Result<Arc<Topic>, Code>) {
    w.i16(number(&topic));
    let (name, id) = match (&topic, asked) {
        (Ok(topic), _) => (Some(topic.name.as_str()), topic.id),
        (Err(_), Asked::Name(name)) => (Some(name.as_str()), Uuid::nil()),
        (Err(_), Asked::Id(id)) => (None, *id),
    };
    w.nullable_string(if version >= 12 { name } else { name.or(Some("")) });
    if version >= 10 {
        w.uuid(id);
    }
    if version >= 1 {
        w.bool(false);
    }
    let count = topic.map_or(0, |topic| topic.partitions().len() as i32);
    w.array(0..count, |w, index| {
        w.i16(0);
        w.i32(index);
        w.i32(NODE_ID);
        if version >= 7 {
            w.i32(LEADER_EPOCH);
        }
        w.array([NODE_ID], Writer::i32);
        w.array([NODE_ID], Writer::i32);
        if version >= 5 {
            w.count(Some(0));
        }
        w.tags();
    });
    if version >= 8 {
        w.i32(NOT_TOLD);
    }
    w.tags();
}

/// The address by which the client reached us is one it can reach.
fn write_node(w: &mut Writer, request: &Request) {
    w.i32(NODE_ID);
    w.string(&request.local.ip().to_canonical().to_string());
    w.i32(request.local.port().into());
}

fn write_brokers(w: &mut Writer, request: &Request, with_rack: bool) {
    w.array([()], |w, ()| {
        write_node(w, request);
        if with_rack {
            w.nullable_string(None);
        }
        w.tags();
    });
}

pub fn answer_cluster(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let _operations = request.body.bool()?;
    request.body.tags()?;
    w.i32(0);
    w.i16(0);
    w.nullable_string(None);
    w.string(&node.cluster_id);
    w.i32(NODE_ID);
    write_brokers(w, request, true);
    w.i32(NOT_TOLD);
    w.tags();
    Ok(())
}

pub fn answer_coordinator(request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let _key = request.body.string()?;
    if version >= 1 {
        let _kind = request.body.i8()?;
    }
    if version >= 1 {
        w.i32(0);
    }
    w.i16(0);
    if version >= 1 {
        w.nullable_string(None);
    }
    write_node(w, request);
    Ok(())
}
