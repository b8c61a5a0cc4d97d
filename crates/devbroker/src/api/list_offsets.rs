//! ListOffsets: where a partition begins and ends, and what was first at a time; and the end of a leader's epoch.

use super::by_topic;
use crate::{
    batch::LEADER_EPOCH,
    errors::{Code, number},
    node::Node,
    partition::Partition,
    request::Request,
    wire::{Malformed, Writer},
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

pub fn answer(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let _replica = r.i32()?;
    let committed = version >= 2 && r.i8()? == 1;
    let topics = by_topic(r, |r| {
        let index = r.i32()?;
        if version >= 4 {
            let _leader_epoch = r.i32()?;
        }
        Ok((index, r.i64()?))
    })?;
    r.tags()?;
    if version >= 2 {
        w.i32(0);
    }
    w.array(&topics, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, (index, timestamp)| {
            let found = match node.topics.partition(&topic.name, *index) {
                Some((_, partition)) => find(&partition, *timestamp, committed),
                None => Err(Code::UnknownTopicOrPartition),
            };
            let (offset, time) = found.unwrap_or((-1, -1));
            w.i32(*index);
            w.i16(number(&found));
            w.i64(time);
            w.i64(offset);
            if version >= 4 {
                w.i32(LEADER_EPOCH);
            }
            w.tags();
        });
        w.tags();
    });
    w.tags();
    Ok(())
}

/// An offset and its time; -1 where there is none.
fn find(partition: &Partition, timestamp: i64, committed: bool) -> Result<(i64, i64), Code> {
    let offsets = partition.offsets();
    let time = match timestamp {
        LATEST => return Ok((if committed { offsets.stable } else { offsets.end }, -1)),
        EARLIEST => return Ok((offsets.start, -1)),
        MAX_TIMESTAMP => match partition.lock().log.max_timestamp() {
            -1 => return Ok((-1, -1)),
            time => time,
        },
        time if time >= 0 => time,
        _ => return Err(Code::InvalidRequest),
    };
    let found = partition.offset_for_time(time).map_err(|error| {
        tracing::error!(%error, dir = %partition.dir.display(), "cannot look up a time in the log");
        Code::KafkaStorageError
    })?;
    let limit = if committed { offsets.stable } else { offsets.end };
    Ok(found.filter(|(offset, _)| *offset < limit).unwrap_or((-1, -1)))
}

/// There was only ever one leader: its epoch ends where the log does.
pub fn answer_leader_epoch(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    if version >= 3 {
        let _replica = r.i32()?;
    }
    let topics = by_topic(r, |r| {
        let index = r.i32()?;
        let _current = r.i32()?;
        Ok((index, r.i32()?))
    })?;
    w.i32(0);
    w.array(&topics, |w, topic| {
        w.string(&topic.name);
        w.array(&topic.partitions, |w, (index, epoch)| {
            let end = match node.topics.partition(&topic.name, *index) {
                None => Err(Code::UnknownTopicOrPartition),
                Some(_) if *epoch > LEADER_EPOCH => Err(Code::UnknownLeaderEpoch),
                Some((_, partition)) => Ok(partition.offsets().end),
            };
            w.i16(number(&end));
            w.i32(*index);
            w.i32(if end.is_ok() { LEADER_EPOCH } else { -1 });
            w.i64(end.unwrap_or(-1));
        });
    });
    Ok(())
}
