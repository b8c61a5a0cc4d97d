//! Topic configuration: which keys there are, what they may be, and what this broker makes of them.
//!
//! All keys of Apache Kafka are known, so that a topic is described here as there; those that one node has no use for
//! are kept and shown but change nothing. An unknown key or a wrong value is refused, as Apache Kafka does.

use crate::{batch::Header, clock::now_ms, errors::Code, log::Roll, records};
use std::collections::BTreeMap;

pub type Overrides = BTreeMap<String, String>;

#[derive(Clone, Copy)]
pub enum Kind {
    Bool,
    Text(&'static [&'static str]),
    List(&'static [&'static str]),
    Int(i64),
    Long(i64),
    Double,
}

pub struct Key {
    pub name: &'static str,
    pub default: &'static str,
    pub kind: Kind,
}

const fn key(name: &'static str, default: &'static str, kind: Kind) -> Key {
    Key { name, default, kind }
}

use Kind::{Bool, Double, Int, List, Long, Text};

const MAX_LONG: &str = "9223372036854775807";
const CODECS: &[&str] = &["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"];

pub const KEYS: [Key; 28] = [
    key("cleanup.policy", "delete", List(&["delete", "compact"])),
    key("compression.gzip.level", "-1", Int(-1)),
    key("compression.lz4.level", "9", Int(1)),
    key("compression.type", "producer", Text(CODECS)),
    key("compression.zstd.level", "3", Int(-131072)),
    key("delete.retention.ms", "86400000", Long(0)),
    key("file.delete.delay.ms", "60000", Long(0)),
    key("flush.messages", MAX_LONG, Long(1)),
    key("flush.ms", MAX_LONG, Long(0)),
    key("follower.replication.throttled.replicas", "", Text(&[])),
    key("index.interval.bytes", "4096", Int(0)),
    key("leader.replication.throttled.replicas", "", Text(&[])),
    key("max.compaction.lag.ms", MAX_LONG, Long(1)),
    key("max.message.bytes", "1048588", Int(0)),
    key("message.timestamp.after.max.ms", "3600000", Long(0)),
    key("message.timestamp.before.max.ms", MAX_LONG, Long(0)),
    key("message.timestamp.type", "CreateTime", Text(&["CreateTime", "LogAppendTime"])),
    key("min.cleanable.dirty.ratio", "0.5", Double),
    key("min.compaction.lag.ms", "0", Long(0)),
    key("min.insync.replicas", "1", Int(1)),
    key("preallocate", "false", Bool),
    key("retention.bytes", "-1", Long(-1)),
    key("retention.ms", "604800000", Long(-1)),
    key("segment.bytes", "67108864", Int(1024)),
    key("segment.index.bytes", "10485760", Int(4)),
    key("segment.jitter.ms", "0", Long(0)),
    key("segment.ms", "604800000", Long(1)),
    key("unclean.leader.election.enable", "false", Bool),
];

/// What is wrong with a configuration, for the client to read.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    #[error("unknown topic config name: {0}")]
    Unknown(String),
    #[error("invalid value {value} for configuration {name}: {want}")]
    Value { name: String, value: String, want: String },
}

pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

pub fn check(name: &str, value: &str) -> Result<(), Invalid> {
    let key = find(name).ok_or_else(|| Invalid::Unknown(name.to_owned()))?;
    let one_of = |allowed: &[&str], value: &str| allowed.is_empty() || allowed.contains(&value);
    let at_least = |min: i64, max: i64| value.parse().is_ok_and(|n: i64| (min..=max).contains(&n));
    let (fine, want) = match key.kind {
        Bool => (one_of(&["true", "false"], value), "must be true or false".to_owned()),
        Text(allowed) => (one_of(allowed, value), format!("must be one of {}", allowed.join(", "))),
        List(allowed) => {
            let each = value.split(',').all(|part| one_of(allowed, part.trim()));
            (each, format!("must be a list of {}", allowed.join(", ")))
        }
        Int(min) => (at_least(min, i32::MAX.into()), format!("must be a whole number from {min}")),
        Long(min) => (at_least(min, i64::MAX), format!("must be a whole number from {min}")),
        Double => {
            let fraction = value.parse().is_ok_and(|x: f64| (0.0..=1.0).contains(&x));
            (fraction, "must be a number from 0 to 1".to_owned())
        }
    };
    let (name, value) = (name.to_owned(), value.to_owned());
    if fine { Ok(()) } else { Err(Invalid::Value { name, value, want }) }
}

/// What the broker acts on.
#[derive(Clone, Debug)]
pub struct Settings {
    pub delete: bool,
    pub compact: bool,
    pub log_append_time: bool,
    pub max_message_bytes: usize,
    pub retention_ms: Option<i64>,
    pub retention_bytes: Option<u64>,
    pub delete_retention_ms: i64,
    pub min_dirty_ratio: f64,
    pub min_compaction_lag_ms: i64,
    segment_bytes: u64,
    segment_ms: i64,
    timestamp_before_ms: i64,
    timestamp_after_ms: i64,
}

impl Settings {
    /// From overrides that were checked when they were set.
    pub fn new(overrides: &Overrides) -> Settings {
        let text = |name: &str| match overrides.get(name) {
            Some(value) => value.as_str(),
            None => find(name).map_or("", |key| key.default),
        };
        let long = |name: &str| text(name).parse::<i64>().unwrap_or(i64::MAX);
        let policies: Vec<_> = text("cleanup.policy").split(',').map(str::trim).collect();
        Settings {
            delete: policies.contains(&"delete"),
            compact: policies.contains(&"compact"),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            max_message_bytes: long("max.message.bytes") as usize,
            retention_ms: Some(long("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(long("retention.bytes")).ok(),
            delete_retention_ms: long("delete.retention.ms"),
            min_dirty_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
            min_compaction_lag_ms: long("min.compaction.lag.ms"),
            segment_bytes: long("segment.bytes") as u64,
            segment_ms: long("segment.ms"),
            timestamp_before_ms: long("message.timestamp.before.max.ms"),
            timestamp_after_ms: long("message.timestamp.after.max.ms"),
        }
    }

    pub fn roll(&self) -> Roll {
        Roll { bytes: self.segment_bytes, age_ms: self.segment_ms }
    }

    /// May this batch stand in the topic?
    pub fn accept(&self, bytes: &[u8], header: &Header) -> Result<(), Code> {
        if header.size > self.max_message_bytes {
            return Err(Code::MessageTooLarge);
        }
        if !self.log_append_time {
            let now = now_ms();
            let late = header.max_timestamp.saturating_sub(now) > self.timestamp_after_ms;
            let early = now.saturating_sub(header.base_timestamp) > self.timestamp_before_ms;
            if late || early {
                return Err(Code::InvalidTimestamp);
            }
        }
        if self.compact {
            let unfolded = records::unfold(bytes, header).map_err(|_| Code::CorruptMessage)?;
            if !records::walk(&unfolded).all(|record| record.is_ok_and(|record| record.key.is_some())) {
                return Err(Code::InvalidRecord);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::tests::plain, records::tests::write};

    #[test]
    fn every_default_is_a_value_its_key_allows() {
        for key in &KEYS {
            check(key.name, key.default).unwrap();
        }
    }

    #[test]
    fn wrong_names_and_values_are_refused_by_name() {
        for (name, value) in [
            ("retention.mss", "1"),
            ("retention.ms", "-2"),
            ("retention.ms", "1e3"),
            ("segment.bytes", "9999999999"),
            ("cleanup.policy", "delete,shred"),
            ("min.cleanable.dirty.ratio", "NaN"),
        ] {
            let error = check(name, value).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
        check("cleanup.policy", "compact, delete").unwrap();
    }

    #[test]
    fn a_batch_must_fit_its_topic() {
        let with = |name: &str, value: &str| Settings::new(&Overrides::from([(name.into(), value.into())]));
        let accept = |settings: &Settings, bytes: &[u8]| settings.accept(bytes, &Header::parse(bytes).unwrap());
        let now = now_ms();
        let keyless = plain(1, now, &write(&[(None, Some("v"), 0)]));
        let keyed = plain(1, now, &write(&[(Some("k"), None, 0)]));
        let future = plain(1, now + 7_200_000, b"");
        assert_eq!(accept(&Settings::new(&Overrides::new()), &keyless), Ok(()));
        assert_eq!(accept(&with("cleanup.policy", "compact"), &keyless), Err(Code::InvalidRecord));
        assert_eq!(accept(&with("cleanup.policy", "compact"), &keyed), Ok(()));
        assert_eq!(accept(&with("max.message.bytes", "60"), &keyed), Err(Code::MessageTooLarge));
        assert_eq!(accept(&Settings::new(&Overrides::new()), &future), Err(Code::InvalidTimestamp));
        assert_eq!(accept(&with("message.timestamp.type", "LogAppendTime"), &future), Ok(()));
    }
}
