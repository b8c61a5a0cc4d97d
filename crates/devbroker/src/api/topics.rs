//! CreateTopics, DeleteTopics, CreatePartitions and DeleteRecords.

use super::by_topic;
use crate::{
    config::{self, Overrides},
    coordinator::Entry,
    errors::{Code, number},
    node::{NODE_ID, Node},
    request::Request,
    wire::{Malformed, Reader, Writer},
};

/// A refusal with words for the person behind the client.
pub type Refused = (Code, String);

struct NewTopic {
    name: String,
    partitions: i32,
    replication: i16,
    assignments: Vec<(i32, Vec<i32>)>,
    config: Vec<(String, Option<String>)>,
}

/// How many partitions a topic gets whose maker does not say.
const DEFAULT_PARTITIONS: i32 = 1;

pub fn answer_create(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let r = &mut request.body;
    let topics = r.array(|r| {
        Ok(NewTopic {
            name: r.string()?,
            partitions: r.i32()?,
            replication: r.i16()?,
            assignments: r.array(|r| Ok((r.i32()?, r.array(Reader::i32)?)))?,
            config: r.array(|r| Ok((r.string()?, r.nullable_string()?)))?,
        })
    })?;
    let _timeout = r.i32()?;
    let dry = r.bool()?;
    w.i32(0);
    w.array(topics, |w, topic| {
        w.string(&topic.name);
        write_outcome(w, &create(node, &topic, dry));
    });
    Ok(())
}

/// A code and, where something went wrong, words.
pub fn write_outcome(w: &mut Writer, outcome: &Result<(), Refused>) {
    match outcome {
        Ok(()) => {
            w.i16(0);
            w.nullable_string(None);
        }
        Err((code, text)) => {
            w.i16(*code as i16);
            w.nullable_string(Some(text));
        }
    }
}

fn create(node: &Node, new: &NewTopic, dry: bool) -> Result<(), Refused> {
    let mut partitions = if new.partitions == -1 { DEFAULT_PARTITIONS } else { new.partitions };
    if new.assignments.is_empty() {
        if !matches!(new.replication, -1 | 1) {
            let text = format!("replication factor {} is impossible: there is one broker", new.replication);
            return Err((Code::InvalidReplicationFactor, text));
        }
    } else {
        let mut indexes: Vec<_> = new.assignments.iter().map(|(index, _)| *index).collect();
        indexes.sort_unstable();
        let complete = indexes.into_iter().eq(0..new.assignments.len() as i32);
        if !complete || new.assignments.iter().any(|(_, nodes)| nodes != &[NODE_ID]) {
            return Err((Code::InvalidReplicaAssignment, format!("every partition stands on broker {NODE_ID}, once")));
        }
        partitions = new.assignments.len() as i32;
    }
    let mut overrides = Overrides::new();
    for (name, value) in &new.config {
        // A value of null asks for the default.
        let Some(value) = value else { continue };
        config::check(name, value).map_err(|error| (Code::InvalidConfig, error.to_string()))?;
        overrides.insert(name.clone(), value.clone());
    }
    node.topics.create(&new.name, partitions, overrides, dry).map_err(|code| (code, explain(code, &new.name)))
}

pub fn explain(code: Code, topic: &str) -> String {
    match code {
        Code::TopicAlreadyExists => format!("topic {topic} already exists"),
        Code::InvalidTopic => {
            format!("{topic:?} is no topic name: letters, digits, dot, underscore and dash, up to 249")
        }
        Code::InvalidPartitions => format!("topic {topic} cannot have that many partitions"),
        Code::UnknownTopicOrPartition => format!("there is no topic {topic}"),
        Code::KafkaStorageError => "the broker cannot write to its folder, its log says why".to_owned(),
        code => format!("{topic}: {code}"),
    }
}

pub fn answer_delete(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let names = request.body.array(Reader::string)?;
    let _timeout = request.body.i32()?;
    w.i32(0);
    w.array(&names, |w, name| {
        w.string(name);
        w.i16(number(&delete(node, name)));
    });
    Ok(())
}

/// What groups had read of it goes too: it means nothing for a topic made again under the name.
fn delete(node: &Node, name: &str) -> Result<(), Code> {
    let mut coordinator = node.coordinator();
    node.topics.delete(name)?;
    // A failure is logged there; the offsets then only outlive a topic that is gone.
    let _ = coordinator.record(Entry::ForgetTopic { topic: name.to_owned() });
    Ok(())
}

pub fn answer_grow(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let r = &mut request.body;
    let topics = r.array(|r| {
        let (name, count) = (r.string()?, r.i32()?);
        let assignments = r.nullable_array(|r| r.array(Reader::i32))?;
        Ok((name, count, assignments))
    })?;
    let _timeout = r.i32()?;
    let dry = r.bool()?;
    w.i32(0);
    w.array(topics, |w, (name, count, assignments)| {
        let elsewhere = assignments.iter().flatten().any(|nodes| nodes != &[NODE_ID]);
        let grown = if elsewhere { Err(Code::InvalidReplicaAssignment) } else { node.topics.grow(&name, count, dry) };
        w.string(&name);
        write_outcome(w, &grown.map_err(|code| (code, explain(code, &name))));
    });
    Ok(())
}

pub fn answer_delete_records(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let r = &mut request.body;
    let topics = by_topic(r, |r| Ok((r.i32()?, r.i64()?)))?;
    let _timeout = r.i32()?;
    w.i32(0);
    w.array(&topics, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, (index, offset)| {
            let start = match node.topics.partition(&topic.name, *index) {
                Some((topic, _)) if !topic.settings().delete => Err(Code::PolicyViolation),
                Some((_, partition)) => partition.delete_records(*offset),
                None => Err(Code::UnknownTopicOrPartition),
            };
            w.i32(*index);
            w.i64(*start.as_ref().unwrap_or(&-1));
            w.i16(number(&start));
        });
    });
    Ok(())
}
