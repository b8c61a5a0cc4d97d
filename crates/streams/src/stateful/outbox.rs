//! What a stage wants written, kept in one piece of memory until its transaction.

use std::ops::Range;

use harness::traces::{Parents, TRACEPARENT};

use crate::dead_letters::headers_of;
use crate::record::{Header, Record};

/// Key under which this crate keeps its own mark in each partition of a changelog.
pub const META_KEY: &[u8] = b"\0meta";

/// Everything to be written in the next transaction. Bytes lie one after the other in `bytes`: no allocation per
/// record, and the memory is used again for the next batch.
#[derive(Debug, Default)]
pub struct Pending {
    bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
    topics: Vec<Topic>,
    pub(crate) reasons: Vec<String>,
    /// Of the records that this comes of.
    pub(crate) parents: Parents,
}

#[derive(Debug)]
struct Topic {
    name: String,
    entries: u64,
}

#[derive(Debug)]
pub(crate) struct Entry {
    topic: usize,
    pub(crate) partition: Option<i32>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    pub(crate) headers: Vec<Header>,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the stage is for; it carries the trace on.
    Result,
    /// May be cut to fit.
    Letter,
    State,
}

/// One record to be written.
#[derive(Debug, Clone, Copy)]
pub struct Write<'a> {
    pub topic: &'a str,
    /// `None`: the key decides.
    pub partition: Option<i32>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
}

impl Pending {
    pub fn writes(&self) -> impl Iterator<Item = Write<'_>> {
        self.entries.iter().map(|entry| Write {
            topic: self.topic(entry),
            partition: entry.partition,
            key: self.key(entry),
            value: self.value(entry),
        })
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.reasons.clear();
        self.parents.clear();
        for topic in &mut self.topics {
            topic.entries = 0;
        }
    }

    /// Entries by topic.
    pub(crate) fn emitted(&self) -> impl Iterator<Item = (&str, u64)> {
        self.topics.iter().filter(|topic| topic.entries > 0).map(|topic| (topic.name.as_str(), topic.entries))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn topic(&self, entry: &Entry) -> &str {
        &self.topics[entry.topic].name
    }

    pub(crate) fn key(&self, entry: &Entry) -> Option<&[u8]> {
        entry.key.clone().map(|range| &self.bytes[range])
    }

    pub(crate) fn value(&self, entry: &Entry) -> Option<&[u8]> {
        entry.value.clone().map(|range| &self.bytes[range])
    }

    fn keep(&mut self, bytes: Option<&[u8]>) -> Option<Range<usize>> {
        let bytes = bytes?;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Some(start..self.bytes.len())
    }

    pub(crate) fn push(
        &mut self,
        kind: Kind,
        topic: &str,
        partition: Option<i32>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Vec<Header>,
    ) {
        let topic = match self.topics.iter().position(|known| known.name == topic) {
            Some(index) => index,
            None => {
                self.topics.push(Topic { name: topic.to_owned(), entries: 0 });
                self.topics.len() - 1
            }
        };
        self.topics[topic].entries += 1;
        let (key, value) = (self.keep(key), self.keep(value));
        self.entries.push(Entry { topic, partition, key, value, headers, kind });
    }
}

/// Where a stage puts what it emits. It is written, with the state and the offsets, in one transaction or not at all.
pub struct Outbox<'a> {
    pub(crate) pending: &'a mut Pending,
    pub(crate) stage: &'static str,
    pub(crate) dead_letters: &'a str,
    pub(crate) touched: bool,
}

impl<'a> Outbox<'a> {
    pub(crate) fn new(pending: &'a mut Pending, stage: &'static str, dead_letters: &'a str) -> Self {
        Outbox { pending, stage, dead_letters, touched: false }
    }

    /// What is emitted next may come of this record: its trace goes on there.
    pub fn follow(&mut self, record: &Record<'_>) {
        self.pending.parents.note(|| record.header(TRACEPARENT));
    }

    /// The key decides the partition, as everywhere.
    pub fn emit(&mut self, topic: &str, key: &[u8], value: &[u8], headers: &[(&str, &[u8])]) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.to_vec()))).collect();
        self.pending.push(Kind::Result, topic, None, Some(key), Some(value), headers);
        self.touched = true;
    }

    /// The record as it came, with `reason` (one of [`super::Settings::reasons`]) and `detail`. What is too large for
    /// the topic is cut when it is written.
    pub fn dead_letter(&mut self, record: &Record<'_>, reason: &str, detail: &str) {
        let headers = headers_of(record, self.stage, reason, detail);
        self.pending.push(Kind::Letter, self.dead_letters, None, record.key, record.value, headers);
        self.pending.reasons.push(reason.to_owned());
        self.touched = true;
    }

    /// The state changed though nothing is emitted: a [`super::Stage::tick`] that calls it gets its snapshot committed.
    pub fn touch(&mut self) {
        self.touched = true;
    }
}

/// Where a stage writes its state: one value per key, the last one counts.
pub struct Changelog<'a> {
    pub(crate) pending: &'a mut Pending,
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
}

impl<'a> Changelog<'a> {
    pub(crate) fn new(pending: &'a mut Pending, topic: &'a str, partition: i32) -> Self {
        Changelog { pending, topic, partition }
    }

    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        debug_assert!(key != META_KEY, "this key is the loop's own");
        self.write(key, Some(value));
    }

    pub fn delete(&mut self, key: &[u8]) {
        debug_assert!(key != META_KEY, "this key is the loop's own");
        self.write(key, None);
    }

    pub(crate) fn write(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.pending.push(Kind::State, self.topic, Some(self.partition), Some(key), value, Vec::new());
    }
}
