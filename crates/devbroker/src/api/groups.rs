//! JoinGroup, SyncGroup, Heartbeat and LeaveGroup: taking part in a group.

use crate::{
    errors::{Code, number},
    groups::{Group, Identity, Join, Joined},
    node::Node,
    request::Request,
    wire::{Malformed, Reader, Writer},
};
use bytes::Bytes;
use std::time::{Duration, Instant};

/// As Apache Kafka: `group.max.session.timeout.ms`. Shorter sessions than its least (6 s) are allowed, for tests.
const MAX_SESSION_MS: i32 = 30 * 60 * 1000;

pub async fn answer_join(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let group = r.string()?;
    let session = r.i32()?;
    let rebalance = if version >= 1 { r.i32()? } else { session };
    let member = r.string()?;
    let instance = if version >= 5 { r.nullable_string()? } else { None };
    let protocol_type = r.string()?;
    let protocols = r.array(|r| Ok((r.string()?, r.bytes()?)))?;
    let join = Join {
        member: member.clone(),
        instance,
        client_id: request.client_id.clone(),
        client_host: format!("/{}", request.peer.ip().to_canonical()),
        session: Duration::from_millis(session.max(0) as u64),
        rebalance: Duration::from_millis(rebalance.max(0) as u64),
        protocol_type,
        protocols,
        takes_id_first: version >= 4,
    };
    let joined = if group.is_empty() {
        Err((Code::InvalidGroupId, member))
    } else if !(1..=MAX_SESSION_MS).contains(&session) {
        Err((Code::InvalidSessionTimeout, member))
    } else {
        join_group(node, &group, join).await
    };
    write_joined(w, version, joined);
    Ok(())
}

async fn join_group(node: &Node, group: &str, join: Join) -> Result<Joined, (Code, String)> {
    let member = join.member.clone();
    let waiting = {
        let mut coordinator = node.coordinator();
        // A member we do not know, of a group we do not know, must not bring the group into being.
        if !member.is_empty() && !coordinator.groups.contains_key(group) {
            return Err((Code::UnknownMemberId, member));
        }
        coordinator.groups.entry(group.to_owned()).or_default().join(join, Instant::now())?
    };
    // The other end is dropped when the member is removed or joins again on another connection.
    waiting.await.unwrap_or(Err(Code::UnknownMemberId)).map_err(|code| (code, member))
}

fn write_joined(w: &mut Writer, version: i16, joined: Result<Joined, (Code, String)>) {
    if version >= 2 {
        w.i32(0);
    }
    let (code, joined) = match joined {
        Ok(joined) => (0, joined),
        Err((code, member)) => {
            let nothing =
                Joined { generation: -1, protocol: String::new(), leader: String::new(), member, members: Vec::new() };
            (code as i16, nothing)
        }
    };
    w.i16(code);
    w.i32(joined.generation);
    w.string(&joined.protocol);
    w.string(&joined.leader);
    w.string(&joined.member);
    w.array(&joined.members, |w, (id, instance, metadata)| {
        w.string(id);
        if version >= 5 {
            w.nullable_string(instance.as_deref());
        }
        w.bytes(metadata);
    });
}

/// Finds the group and asks it.
fn with_group<T>(
    node: &Node,
    group: &str,
    ask: impl FnOnce(&mut Group, Instant) -> Result<T, Code>,
) -> Result<T, Code> {
    if group.is_empty() {
        return Err(Code::InvalidGroupId);
    }
    let mut coordinator = node.coordinator();
    let group = coordinator.groups.get_mut(group).ok_or(Code::UnknownMemberId)?;
    ask(group, Instant::now())
}

/// `generation, member` and, in later versions, the static name.
fn read_identity(r: &mut Reader, with_instance: bool) -> Result<(i32, String, Option<String>), Malformed> {
    Ok((r.i32()?, r.string()?, if with_instance { r.nullable_string()? } else { None }))
}

pub async fn answer_sync(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let group = r.string()?;
    let (generation, member, instance) = read_identity(r, version >= 3)?;
    let assignments = r.array(|r| Ok((r.string()?, r.bytes()?)))?;
    let who = Identity { member: &member, instance: instance.as_deref(), generation };
    let waiting = with_group(node, &group, |group, now| Ok(group.sync(&who, assignments, now)));
    let synced = match waiting {
        Ok(waiting) => waiting.await.unwrap_or(Err(Code::UnknownMemberId)),
        Err(code) => Err(code),
    };
    if version >= 1 {
        w.i32(0);
    }
    w.i16(number(&synced));
    w.bytes(&synced.unwrap_or(Bytes::new()));
    Ok(())
}

pub fn answer_heartbeat(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let group = r.string()?;
    let (generation, member, instance) = read_identity(r, version >= 3)?;
    let who = Identity { member: &member, instance: instance.as_deref(), generation };
    let beaten = with_group(node, &group, |group, now| group.heartbeat(&who, now));
    if version >= 1 {
        w.i32(0);
    }
    w.i16(number(&beaten));
    Ok(())
}

pub fn answer_leave(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let group = r.string()?;
    let leaving =
        if version >= 3 { r.array(|r| Ok((r.string()?, r.nullable_string()?)))? } else { vec![(r.string()?, None)] };
    let left: Vec<_> = leaving
        .iter()
        .map(|(member, instance)| with_group(node, &group, |group, now| group.leave(member, instance.as_deref(), now)))
        .collect();
    if version >= 1 {
        w.i32(0);
    }
    if version < 3 {
        w.i16(left.first().map_or(0, number));
        return Ok(());
    }
    w.i16(0);
    w.array(leaving.iter().zip(left), |w, ((member, instance), left)| {
        w.string(member);
        w.nullable_string(instance.as_deref());
        w.i16(number(&left));
    });
    Ok(())
}
