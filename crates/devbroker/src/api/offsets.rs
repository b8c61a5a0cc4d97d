//! OffsetCommit, OffsetFetch and OffsetDelete: how far a group has read.

use super::{OfTopic, by_topic};
use crate::{
    coordinator::{Coordinator, Entry},
    errors::{Code, number},
    groups::{Identity, State},
    node::Node,
    offsets::Committed,
    request::Request,
    wire::{Malformed, Reader, Writer},
};
use std::time::Instant;

/// As Apache Kafka: `offset.metadata.max.bytes`.
const MAX_METADATA: usize = 4096;

/// An offset to commit, as a request names it.
pub struct Wish {
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<String>,
}

impl Wish {
    pub fn read(r: &mut Reader, with_epoch: bool) -> Result<Wish, Malformed> {
        let (partition, offset) = (r.i32()?, r.i64()?);
        let leader_epoch = if with_epoch { r.i32()? } else { -1 };
        Ok(Wish { partition, offset, leader_epoch, metadata: r.nullable_string()? })
    }
}

/// What each partition of a request is answered.
pub type Answers = Vec<OfTopic<(i32, Result<(), Code>)>>;

/// Sorts out what cannot be committed, whoever asks: one answer per partition, in the order of the request, and what
/// is left to commit.
pub fn sort_out(node: &Node, topics: Vec<OfTopic<Wish>>) -> (Answers, Vec<Committed>) {
    let mut fine = Vec::new();
    let answers = topics.into_iter().map(|topic| {
        let name = topic.name;
        let partitions = topic.partitions.into_iter().map(|wish| {
            let index = wish.partition;
            if node.topics.partition(&name, index).is_none() {
                return (index, Err(Code::UnknownTopicOrPartition));
            }
            if wish.metadata.as_ref().is_some_and(|metadata| metadata.len() > MAX_METADATA) {
                return (index, Err(Code::OffsetMetadataTooLarge));
            }
            fine.push(Committed {
                topic: name.clone(),
                partition: index,
                offset: wish.offset,
                leader_epoch: wish.leader_epoch,
                metadata: wish.metadata,
            });
            (index, Ok(()))
        });
        OfTopic { partitions: partitions.collect(), name: name.clone() }
    });
    (answers.collect(), fine)
}

/// The answers, or for all partitions that were fine the one error that stopped them.
pub fn write_answers(w: &mut Writer, answers: &Answers, outcome: Result<(), Code>) {
    w.array(answers, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, (index, answer)| {
            w.i32(*index);
            w.i16(number(&answer.and(outcome)));
            w.tags();
        });
        w.tags();
    });
}

pub fn answer_commit(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let group = r.string()?;
    let (generation, member) = (r.i32()?, r.string()?);
    let instance = if version >= 7 { r.nullable_string()? } else { None };
    if version <= 4 {
        let _retention = r.i64()?;
    }
    let topics = by_topic(r, |r| Wish::read(r, version >= 6))?;
    r.tags()?;
    let who = Identity { member: &member, instance: instance.as_deref(), generation };
    let (answers, fine) = sort_out(node, topics);
    let mut coordinator = node.coordinator();
    let outcome = match check_commit(&mut coordinator, &group, &who, false) {
        Ok(()) if !fine.is_empty() => coordinator.record(Entry::Commit { group, offsets: fine }),
        checked => checked,
    };
    drop(coordinator);
    if version >= 3 {
        w.i32(0);
    }
    write_answers(w, &answers, outcome);
    w.tags();
    Ok(())
}

/// May this member commit for the group? A group that nobody joined takes commits without a member.
pub fn check_commit(
    coordinator: &mut Coordinator,
    group: &str,
    who: &Identity,
    transactional: bool,
) -> Result<(), Code> {
    match coordinator.groups.get_mut(group) {
        Some(group) => group.check_commit(who, transactional, Instant::now()),
        None if group.is_empty() && who.generation >= 0 => Err(Code::InvalidGroupId),
        None if who.generation < 0 => Ok(()),
        None => Err(Code::IllegalGeneration),
    }
}

pub fn answer_fetch(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let group = r.string()?;
    let topics = r.nullable_array(|r| {
        let topic = OfTopic { name: r.string()?, partitions: r.array(Reader::i32)? };
        r.tags()?;
        Ok(topic)
    })?;
    let stable_only = version >= 7 && r.bool()?;
    r.tags()?;
    let coordinator = node.coordinator();
    let offsets = &coordinator.offsets;
    let topics = topics.unwrap_or_else(|| all_of(offsets.of(&group)));
    if version >= 3 {
        w.i32(0);
    }
    w.array(&topics, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, index| {
            let unstable = stable_only && offsets.is_unstable(&group, &topic.name, *index);
            let committed = offsets.get(&group, &topic.name, *index).filter(|_| !unstable);
            w.i32(*index);
            w.i64(committed.map_or(-1, |committed| committed.offset));
            if version >= 5 {
                w.i32(committed.map_or(-1, |committed| committed.leader_epoch));
            }
            w.nullable_string(committed.map_or(Some(""), |committed| committed.metadata.as_deref()));
            w.i16(if unstable { Code::UnstableOffsetCommit as i16 } else { 0 });
            w.tags();
        });
        w.tags();
    });
    if version >= 2 {
        w.i16(0);
    }
    w.tags();
    Ok(())
}

fn all_of<'a>(offsets: impl Iterator<Item = &'a Committed>) -> Vec<OfTopic<i32>> {
    let mut topics: Vec<OfTopic<i32>> = Vec::new();
    for committed in offsets {
        match topics.last_mut() {
            Some(topic) if topic.name == committed.topic => topic.partitions.push(committed.partition),
            _ => topics.push(OfTopic { name: committed.topic.clone(), partitions: vec![committed.partition] }),
        }
    }
    topics
}

pub fn answer_delete(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let group = request.body.string()?;
    let topics = by_topic(&mut request.body, Reader::i32)?;
    let mut coordinator = node.coordinator();
    let known = if coordinator.knows_group(&group) { Ok(()) } else { Err(Code::GroupIdNotFound) };
    // Which topics its members read is theirs to know: while there are any, nothing is taken from under them.
    let in_use = coordinator.groups.get(&group).is_some_and(|group| group.state != State::Empty);
    let all = topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.clone(), *index)));
    let partitions: Vec<_> = all.collect();
    let outcome = match known {
        Ok(()) if in_use => Err(Code::GroupSubscribedToTopic),
        Ok(()) => coordinator.record(Entry::ForgetOffsets { group, partitions }),
        Err(code) => Err(code),
    };
    w.i16(number(&known));
    w.i32(0);
    w.array(&topics, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, index| {
            w.i32(*index);
            w.i16(number(&outcome));
        });
    });
    Ok(())
}
