//! The names of everything in the lake, in one place.
//!
//! ```text
//! <prefix>/trades/dt=2024-08-08/hour=23/raw-market-data~Vw3…Q-0-00000000000000000000-00000000000000000099.jsonl.gz
//!          table  partition             topic           uuid  p start                end
//! <prefix>/_claims/raw-market-data~Vw3…Q/0/9223372036854775807                     the claim that starts at offset 0
//! <prefix>/_expired/trades/dt=2024-08-08                                          objects of that day were deleted, wished so
//! ```
//!
//! The topic's UUID is part of every name, so a topic that was deleted and made again never meets the claims of its
//! namesake. A claim's name counts down, so that the first of a listing is the last of the chain.

use std::fmt;

use crate::table::Dir;

/// A partition of one incarnation of a topic: what a chain of claims belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    pub topic: String,
    /// The UUID that Kafka gave this incarnation of the topic.
    pub topic_id: String,
    pub partition: i32,
}

impl Source {
    pub fn new(topic: impl Into<String>, topic_id: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), topic_id: topic_id.into(), partition }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.partition)
    }
}

/// Where in the bucket the lake lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Paths {
    /// Empty, or ends with a slash.
    prefix: String,
}

impl Paths {
    pub fn new(prefix: &str) -> Self {
        let prefix = prefix.trim_matches('/');
        Self { prefix: if prefix.is_empty() { String::new() } else { format!("{prefix}/") } }
    }

    /// All claims of a chain begin with this.
    pub fn claims(&self, source: &Source) -> String {
        format!("{}_claims/{}~{}/{}/", self.prefix, source.topic, source.topic_id, source.partition)
    }

    pub fn claim(&self, source: &Source, start: i64) -> String {
        format!("{}{:019}", self.claims(source), i64::MAX - start)
    }

    /// The claims of all chains begin with this.
    pub fn all_claims(&self) -> String {
        format!("{}_claims/", self.prefix)
    }

    /// The chain and the start of the claim under a key; `None` for what is no claim's key.
    pub fn parse_claim(&self, key: &str) -> Option<(Source, i64)> {
        let below = key.strip_prefix(&self.all_claims())?;
        let (topic, rest) = below.split_once('/')?;
        let (topic, topic_id) = topic.split_once('~')?;
        let (partition, inverse) = rest.split_once('/')?;
        let source = Source::new(topic, topic_id, partition.parse().ok()?);
        let start = i64::MAX - inverse.parse::<i64>().ok().filter(|inverse| *inverse >= 0)?;
        (self.claim(&source, start) == key).then_some((source, start))
    }

    /// The object used to find out whether the store honours `If-None-Match`.
    pub fn probe(&self) -> String {
        format!("{}_claims/_probe", self.prefix)
    }

    /// The root of the same rows in larger objects; see [`crate::compact`].
    pub fn compact(&self) -> Self {
        Self { prefix: format!("{}compact/", self.prefix) }
    }

    /// Says that objects of a partition, such as `trades/dt=2024-08-08`, were deleted because they were old.
    pub fn expired(&self, partition: &str) -> String {
        format!("{}_expired/{partition}", self.prefix)
    }

    /// The full key of something that a claim names.
    pub fn below_prefix(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    /// Everything of a table begins with this.
    pub fn table(&self, table: crate::Table) -> String {
        format!("{}{}/", self.prefix, table.name())
    }

    /// The partition and the rest of the name; `None` for what is no object of a table.
    pub fn parse<'a>(&self, key: &'a str) -> Option<(Dir, ObjectName<'a>)> {
        let (dir, name) = key.strip_prefix(&self.prefix)?.rsplit_once('/')?;
        Some((dir.parse().ok()?, ObjectName::parse(name)?))
    }
}

/// The last part of an object's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName<'a> {
    pub topic: &'a str,
    pub topic_id: &'a str,
    pub partition: i32,
    /// First and last offset of the claimed range, which other objects share; of the message itself where an object
    /// holds one message.
    pub start: i64,
    pub end: i64,
    pub extension: &'a str,
}

impl<'a> ObjectName<'a> {
    pub fn new(source: &'a Source, start: i64, end: i64, extension: &'a str) -> Self {
        let Source { topic, topic_id, partition } = source;
        Self { topic, topic_id, partition: *partition, start, end, extension }
    }

    /// From the right: topics and UUIDs may contain `-`, and topics dots.
    fn parse(name: &'a str) -> Option<Self> {
        let (stem, end) = name.rsplit_once('-')?;
        let (end, extension) = end.split_once('.')?;
        let (stem, start) = stem.rsplit_once('-')?;
        let (stem, partition) = stem.rsplit_once('-')?;
        let (topic, topic_id) = stem.split_once('~')?;
        let (partition, start, end) = (partition.parse().ok()?, start.parse().ok()?, end.parse().ok()?);
        Some(Self { topic, topic_id, partition, start, end, extension })
    }
}

impl fmt::Display for ObjectName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, topic_id, partition, start, end, extension } = self;
        write!(f, "{topic}~{topic_id}-{partition}-{start:020}-{end:020}.{extension}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;

    fn source() -> Source {
        // A UUID as Kafka writes them, with the separators of the name inside.
        Source::new("raw.market-data", "V-3_-wQ0R0G2Hk-9xYz_1A", 2)
    }

    #[test]
    fn claims_list_from_the_last_to_the_first() {
        let paths = Paths::new("lake/");
        assert_eq!(
            paths.claim(&source(), 0),
            "lake/_claims/raw.market-data~V-3_-wQ0R0G2Hk-9xYz_1A/2/9223372036854775807"
        );
        let keys: Vec<_> = [0, 1, 99, 10_000, i64::MAX].map(|start| paths.claim(&source(), start)).into();
        assert!(keys.iter().rev().is_sorted(), "{keys:?}");
    }

    #[test]
    fn a_claim_key_reads_back() {
        let paths = Paths::new("a/b");
        for start in [0, 1, i64::MAX] {
            assert_eq!(paths.parse_claim(&paths.claim(&source(), start)), Some((source(), start)));
        }
        assert_eq!(paths.parse_claim(&paths.probe()), None);
        assert_eq!(paths.parse_claim("a/b/_claims/raw~id/0/7"), None, "not as it is written");
    }

    #[test]
    fn an_object_key_reads_back() {
        let (paths, source) = (Paths::new("/a/b"), source());
        for extension in ["jsonl.gz", "json", "parquet"] {
            let dir = Dir::of(Table::Trades, 1_723_161_300_000_000_000);
            let name = ObjectName::new(&source, 7, 1234, extension);
            let key = paths.below_prefix(&format!("{dir}/{name}"));
            assert_eq!(paths.parse(&key), Some((dir, name)), "{key}");
        }
        assert_eq!(paths.parse("a/b/trades/dt=2024-08-08/hour=23/someone-elses.txt"), None);
        assert_eq!(paths.parse("trades/dt=2024-08-08/hour=23/x~y-0-0-0.json"), None, "another prefix");
    }

    #[test]
    fn an_empty_prefix_leaves_no_slash_in_front() {
        assert_eq!(Paths::new("").claims(&Source::new("t", "u", 0)), "_claims/t~u/0/");
    }
}
