//! Produce: batches into partitions.

use super::by_topic;
use crate::{
    errors::{Code, number},
    node::Node,
    partition::Appended,
    request::Request,
    wire::{Malformed, Writer},
};
use bytes::Bytes;

/// Appends, and says whether the client waits for an answer.
pub fn answer(node: &Node, request: &mut Request, w: &mut Writer) -> Result<bool, Malformed> {
    let r = &mut request.body;
    let _transactional_id = r.nullable_string()?;
    let acks = r.i16()?;
    let _timeout = r.i32()?;
    let topics = by_topic(r, |r| Ok((r.i32()?, r.nullable_bytes()?)))?;
    w.array(&topics, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, (index, records)| {
            let appended = if (-1..=1).contains(&acks) {
                append(node, &topic.name, *index, records.as_ref())
            } else {
                Err(Code::InvalidRequiredAcks)
            };
            w.i32(*index);
            w.i16(number(&appended));
            let appended = appended.unwrap_or(Appended { base_offset: -1, log_append_time: -1, start: -1 });
            w.i64(appended.base_offset);
            w.i64(appended.log_append_time);
            if request.version >= 5 {
                w.i64(appended.start);
            }
            if request.version >= 8 {
                // No single record is at fault, and the code says all there is to say.
                w.count(Some(0));
                w.nullable_string(None);
            }
        });
    });
    w.i32(0);
    Ok(acks != 0)
}

fn append(node: &Node, topic: &str, index: i32, records: Option<&Bytes>) -> Result<Appended, Code> {
    let (topic, partition) = node.topics.partition(topic, index).ok_or(Code::UnknownTopicOrPartition)?;
    let records = records.ok_or(Code::CorruptMessage)?;
    partition.append(records.to_vec(), &topic.settings())
}
