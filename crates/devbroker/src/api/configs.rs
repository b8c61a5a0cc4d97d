//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.

use super::topics::{Refused, explain, write_outcome};
use crate::{
    config::{self, KEYS, Kind, Overrides},
    errors::Code,
    node::{NODE_ID, Node},
    request::Request,
    wire::{Malformed, Reader, Writer},
};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from.
const FROM_TOPIC: i8 = 1;
const FROM_DEFAULT: i8 = 5;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What is worth telling of the broker itself.
const OF_BROKER: [(&str, &str); 6] = [
    ("auto.create.topics.enable", "false"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.max.session.timeout.ms", "1800000"),
    ("group.min.session.timeout.ms", "1"),
    ("log.retention.check.interval.ms", "1000"),
    ("transaction.max.timeout.ms", "900000"),
];

struct Entry<'a> {
    name: &'a str,
    value: String,
    source: i8,
    read_only: bool,
    kind: i8,
}

pub fn answer_describe(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let r = &mut request.body;
    let resources = r.array(|r| Ok((r.i8()?, r.string()?, r.nullable_array(Reader::string)?)))?;
    let _synonyms = r.bool()?;
    if version >= 3 {
        let _documentation = r.bool()?;
    }
    w.i32(0);
    w.array(&resources, |w, (kind, name, keys)| {
        let entries = entries(node, *kind, name);
        write_outcome(w, &entries.as_ref().map(|_| ()).map_err(Clone::clone));
        w.i8(*kind);
        w.string(name);
        let wanted = |entry: &Entry| keys.as_ref().is_none_or(|keys| keys.iter().any(|key| key == entry.name));
        let entries: Vec<_> = entries.unwrap_or_default().into_iter().filter(wanted).collect();
        w.array(&entries, |w, entry| {
            w.string(entry.name);
            w.nullable_string(Some(&entry.value));
            w.bool(entry.read_only);
            w.i8(entry.source);
            w.bool(false);
            w.count(Some(0));
            if version >= 3 {
                w.i8(entry.kind);
                w.nullable_string(None);
            }
        });
    });
    Ok(())
}

fn entries(node: &Node, kind: i8, name: &str) -> Result<Vec<Entry<'static>>, Refused> {
    match kind {
        TOPIC => {
            let unknown = || (Code::UnknownTopicOrPartition, explain(Code::UnknownTopicOrPartition, name));
            let overrides = node.topics.get(name).ok_or_else(unknown)?.overrides();
            Ok(KEYS.iter().map(|key| entry_of(key, overrides.get(key.name))).collect())
        }
        BROKER if name.is_empty() || name == NODE_ID.to_string() => {
            let entry = |(name, value): (&'static str, &str)| Entry {
                name,
                value: value.to_owned(),
                source: FROM_DEFAULT,
                read_only: true,
                kind: 0,
            };
            Ok(OF_BROKER.into_iter().map(entry).collect())
        }
        _ => Err((Code::InvalidRequest, format!("there is no configuration of kind {kind} for {name:?}"))),
    }
}

fn entry_of(key: &'static config::Key, set: Option<&String>) -> Entry<'static> {
    let kind = match key.kind {
        Kind::Bool => 1,
        Kind::Text(_) => 2,
        Kind::Int(_) => 3,
        Kind::Long(_) => 5,
        Kind::Double => 6,
        Kind::List(_) => 7,
    };
    let source = if set.is_some() { FROM_TOPIC } else { FROM_DEFAULT };
    Entry { name: key.name, value: set.map_or(key.default, String::as_str).to_owned(), source, read_only: false, kind }
}

/// Replaces the whole configuration of each topic.
pub fn answer_alter(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let r = &mut request.body;
    let resources = r.array(|r| {
        let head = (r.i8()?, r.string()?);
        let changes = r.array(|r| Ok((r.string()?, SET, r.nullable_string()?)))?;
        Ok((head, changes))
    })?;
    let dry = r.bool()?;
    write_altered(w, resources, |kind, name, changes| alter(node, kind, name, Overrides::new(), changes, dry));
    Ok(())
}

/// Changes single keys of each topic.
pub fn answer_alter_some(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let r = &mut request.body;
    let resources = r.array(|r| {
        let head = (r.i8()?, r.string()?);
        let changes = r.array(|r| {
            let change = (r.string()?, r.i8()?, r.nullable_string()?);
            r.tags()?;
            Ok(change)
        })?;
        r.tags()?;
        Ok((head, changes))
    })?;
    let dry = r.bool()?;
    r.tags()?;
    write_altered(w, resources, |kind, name, changes| {
        let before = node.topics.get(name).map(|topic| topic.overrides()).unwrap_or_default();
        alter(node, kind, name, before, changes, dry)
    });
    Ok(())
}

type Change = (String, i8, Option<String>);

fn write_altered(
    w: &mut Writer,
    resources: Vec<((i8, String), Vec<Change>)>,
    mut alter: impl FnMut(i8, &str, Vec<Change>) -> Result<(), Refused>,
) {
    w.i32(0);
    w.array(resources, |w, ((kind, name), changes)| {
        write_outcome(w, &alter(kind, &name, changes));
        w.i8(kind);
        w.string(&name);
        w.tags();
    });
    w.tags();
}

fn alter(node: &Node, kind: i8, name: &str, before: Overrides, changes: Vec<Change>, dry: bool) -> Result<(), Refused> {
    if kind != TOPIC {
        return Err((
            Code::InvalidRequest,
            "only topics can be configured: the broker has no settings to change".into(),
        ));
    }
    if node.topics.get(name).is_none() {
        return Err((Code::UnknownTopicOrPartition, explain(Code::UnknownTopicOrPartition, name)));
    }
    let mut overrides = before;
    for (key, operation, value) in changes {
        let known = config::find(&key)
            .ok_or_else(|| (Code::InvalidConfig, config::Invalid::Unknown(key.clone()).to_string()))?;
        let now = overrides.get(&key).map_or(known.default, String::as_str);
        let next = match (operation, value) {
            (DELETE, _) | (SET, None) => None,
            (SET, Some(value)) => Some(value),
            (APPEND | SUBTRACT, Some(value)) if matches!(known.kind, Kind::List(_)) => {
                Some(edit_list(now, &value, operation == APPEND))
            }
            _ => return Err((Code::InvalidRequest, format!("{key} cannot be changed like that"))),
        };
        match next {
            Some(value) => {
                config::check(&key, &value).map_err(|error| (Code::InvalidConfig, error.to_string()))?;
                overrides.insert(key, value);
            }
            None => drop(overrides.remove(&key)),
        }
    }
    if dry {
        return Ok(());
    }
    node.topics.configure(name, overrides).map_err(|code| (code, explain(code, name)))
}

fn edit_list(now: &str, value: &str, append: bool) -> String {
    let named: Vec<_> = value.split(',').map(str::trim).collect();
    let mut list: Vec<_> = now.split(',').map(str::trim).filter(|part| !named.contains(part)).collect();
    if append {
        list.extend(named);
    }
    list.join(",")
}
