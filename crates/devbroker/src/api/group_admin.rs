//! DescribeGroups, ListGroups and DeleteGroups: the groups seen from outside.

use crate::{
    coordinator::Coordinator,
    errors::number,
    groups::State,
    node::Node,
    request::Request,
    wire::{Malformed, Reader, Writer},
};

const NOT_TOLD: i32 = i32::MIN;
/// What every group of consumers calls itself; a group of which only offsets are left is taken for one.
const CONSUMER: &str = "consumer";

fn state_name(state: State) -> &'static str {
    match state {
        State::Empty => "Empty",
        State::PreparingRebalance => "PreparingRebalance",
        State::CompletingRebalance => "CompletingRebalance",
        State::Stable => "Stable",
    }
}

pub fn answer_describe(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let names = request.body.array(Reader::string)?;
    if version >= 3 {
        let _operations = request.body.bool()?;
    }
    if version >= 1 {
        w.i32(0);
    }
    let coordinator = node.coordinator();
    w.array(&names, |w, name| {
        w.i16(0);
        w.string(name);
        write_group(w, version, &coordinator, name);
        if version >= 3 {
            w.i32(NOT_TOLD);
        }
    });
    Ok(())
}

fn write_group(w: &mut Writer, version: i16, coordinator: &Coordinator, name: &str) {
    let Some(group) = coordinator.groups.get(name).filter(|group| !group.is_vacant()) else {
        let (state, kind) = if coordinator.offsets.has(name) { ("Empty", CONSUMER) } else { ("Dead", "") };
        w.string(state);
        w.string(kind);
        w.string("");
        w.count(Some(0));
        return;
    };
    // Before the members have agreed there is nothing to tell of what each of them offered or was given.
    let stable = group.state == State::Stable;
    w.string(state_name(group.state));
    w.string(&group.protocol_type);
    w.string(if stable { &group.protocol } else { "" });
    w.array(&group.members, |w, (id, member)| {
        w.string(id);
        if version >= 4 {
            w.nullable_string(member.instance.as_deref());
        }
        w.string(&member.client_id);
        w.string(&member.client_host);
        w.bytes(&if stable { member.metadata(&group.protocol) } else { Default::default() });
        w.bytes(if stable { &member.assignment } else { &[] });
    });
}

pub fn answer_list(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let states = if version >= 4 { request.body.array(Reader::string)? } else { Vec::new() };
    request.body.tags()?;
    let coordinator = node.coordinator();
    let mut groups = Vec::new();
    for (name, group) in coordinator.groups.iter().filter(|(_, group)| !group.is_vacant()) {
        groups.push((name, group.protocol_type.as_str(), state_name(group.state)));
    }
    for name in coordinator.offsets.groups() {
        if coordinator.groups.get(name).is_none_or(|group| group.is_vacant()) {
            groups.push((name, CONSUMER, state_name(State::Empty)));
        }
    }
    groups.retain(|(.., state)| states.is_empty() || states.iter().any(|wanted| wanted.eq_ignore_ascii_case(state)));
    if version >= 1 {
        w.i32(0);
    }
    w.i16(0);
    w.array(groups, |w, (name, kind, state)| {
        w.string(name);
        w.string(kind);
        if version >= 4 {
            w.string(state);
        }
        w.tags();
    });
    w.tags();
    Ok(())
}

pub fn answer_delete(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let names = request.body.array(Reader::string)?;
    w.i32(0);
    w.array(&names, |w, name| {
        w.string(name);
        w.i16(number(&node.coordinator().delete_group(name)));
    });
    Ok(())
}
