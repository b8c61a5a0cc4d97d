//! InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, TxnOffsetCommit and EndTxn: producing exactly once.

use super::{
    by_topic,
    offsets::{Wish, check_commit, sort_out, write_answers},
};
use crate::{
    clock::now_ms,
    errors::{Code, number},
    groups::Identity,
    node::Node,
    request::Request,
    transactions::{Part, Producer},
    wire::{Malformed, Reader, Writer},
};

const NONE: Producer = Producer { id: -1, epoch: -1 };

fn read_producer(r: &mut Reader) -> Result<Producer, Malformed> {
    Ok(Producer { id: r.i64()?, epoch: r.i16()? })
}

/// Older clients know only one word for a producer that was replaced.
fn for_version<T>(result: Result<T, Code>, knows_fenced: bool) -> Result<T, Code> {
    match result {
        Err(Code::ProducerFenced) if !knows_fenced => Err(Code::InvalidProducerEpoch),
        result => result,
    }
}

pub fn answer_init(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let id = r.nullable_string()?;
    let timeout_ms = r.i32()?;
    let expected = if version >= 3 { read_producer(r)? } else { NONE };
    r.tags()?;
    let expected = Some(expected).filter(|producer| producer.id >= 0);
    let given = node.coordinator().init_producer(id.as_deref(), timeout_ms, expected, &node.topics, now_ms());
    let given = for_version(given, version >= 4);
    w.i32(0);
    w.i16(number(&given));
    let producer = given.unwrap_or(NONE);
    w.i64(producer.id);
    w.i16(producer.epoch);
    w.tags();
    Ok(())
}

pub fn answer_add_partitions(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let id = r.string()?;
    let producer = read_producer(r)?;
    let topics = r.array(|r| {
        let topic = (r.string()?, r.array(Reader::i32)?);
        r.tags()?;
        Ok(topic)
    })?;
    r.tags()?;
    let mut parts = Vec::new();
    let mut unknown = false;
    for (name, indexes) in &topics {
        for index in indexes {
            match node.topics.partition(name, *index) {
                Some((topic, _)) => parts.push(Part { topic: name.clone(), id: topic.id, index: *index }),
                None => unknown = true,
            }
        }
    }
    // All or none.
    let added = if unknown {
        Err(Code::OperationNotAttempted)
    } else {
        node.coordinator().add_partitions(&id, producer, parts, &node.topics, now_ms())
    };
    let added = for_version(added, version >= 2);
    w.i32(0);
    w.array(&topics, |w, (name, indexes)| {
        w.string(name);
        w.array(indexes, |w, index| {
            let missing = node.topics.partition(name, *index).is_none();
            w.i32(*index);
            w.i16(if missing { Code::UnknownTopicOrPartition as i16 } else { number(&added) });
            w.tags();
        });
        w.tags();
    });
    w.tags();
    Ok(())
}

pub fn answer_add_offsets(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let id = r.string()?;
    let producer = read_producer(r)?;
    let group = r.string()?;
    r.tags()?;
    let added = node.coordinator().add_group(&id, producer, &group, &node.topics, now_ms());
    w.i32(0);
    w.i16(number(&for_version(added, version >= 2)));
    w.tags();
    Ok(())
}

/// Offsets of a transaction. The member's generation counts from version 3 on: a member that lost its partitions is
/// refused here, which is what keeps a read-process-write loop exact.
pub fn answer_offset_commit(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let (id, group) = (r.string()?, r.string()?);
    let producer = read_producer(r)?;
    let (generation, member, instance) =
        if version >= 3 { (r.i32()?, r.string()?, r.nullable_string()?) } else { (-1, String::new(), None) };
    let topics = by_topic(r, |r| Wish::read(r, version >= 2))?;
    r.tags()?;
    let who = Identity { member: &member, instance: instance.as_deref(), generation };
    let (answers, fine) = sort_out(node, topics);
    let mut coordinator = node.coordinator();
    let outcome = check_commit(&mut coordinator, &group, &who, true)
        .and_then(|()| coordinator.hold_offsets(&id, producer, &group, fine));
    drop(coordinator);
    w.i32(0);
    write_answers(w, &answers, outcome);
    w.tags();
    Ok(())
}

pub fn answer_end(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let id = r.string()?;
    let producer = read_producer(r)?;
    let commit = r.bool()?;
    r.tags()?;
    let ended = node.coordinator().end(&id, producer, commit, &node.topics, now_ms());
    w.i32(0);
    w.i16(number(&for_version(ended, version >= 2)));
    w.tags();
    Ok(())
}
