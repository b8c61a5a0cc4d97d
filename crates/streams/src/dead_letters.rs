//! Where records go that a stage cannot use: the original, whole, with where it came from and why it is here.

mod fit;

use prometheus::IntCounterVec;
use rdkafka::message::{Header, OwnedHeaders};

pub(crate) use fit::{Letter, Room};

use crate::env::Env;
use crate::error::Result;
use crate::producer::{Outgoing, Producer};
use crate::record::{Header as OwnedHeader, Record};
use crate::topic;

pub const REASON: &str = "finflow-dlq-reason";
pub const DETAIL: &str = "finflow-dlq-detail";
pub const STAGE: &str = "finflow-dlq-stage";
pub const VERSION: &str = "finflow-dlq-version";
pub const TOPIC: &str = "finflow-dlq-topic";
pub const PARTITION: &str = "finflow-dlq-partition";
pub const OFFSET: &str = "finflow-dlq-offset";
/// Kafka's own time of the original, in milliseconds: the dead letter's is when it was put here.
pub const TIMESTAMP: &str = "finflow-dlq-timestamp";
/// Bytes of the original value, where the letter holds only its first ones.
pub const SIZE: &str = "finflow-dlq-size";

/// A detail longer than this says nothing more to anybody.
const DETAIL_MAX: usize = 512;

/// Sends to `dead-letter-queue`. Inside a transactional stage use `Outbox::dead_letter`, which is part of the
/// transaction.
pub struct DeadLetters {
    producer: Producer,
    topic: String,
    room: Room,
    stage: &'static str,
    count: IntCounterVec,
}

impl DeadLetters {
    /// `reasons` are all that this stage can give: they are metric labels, published at zero.
    pub fn new(env: &Env, producer: &Producer, reasons: &[&str]) -> Self {
        DeadLetters {
            producer: producer.clone(),
            topic: topic::DEAD_LETTERS.to_owned(),
            room: Room::new(env, producer.kafka()),
            stage: env.service,
            count: counter(env, reasons),
        }
    }

    pub fn to_topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = topic.into();
        self
    }

    /// Key, bytes and headers as they came, plus `finflow-dlq-*`. What is too large for the topic is cut.
    pub fn send(&self, record: &Record<'_>, reason: &str, detail: &str) -> Result<()> {
        self.count.with_label_values(&[reason]).inc();
        let headers = headers_of(record, self.stage, reason, detail);
        self.put(record.key, record.value, &headers)
    }

    /// Something that never was a record, such as a line of a file: its headers say where it came from.
    pub fn send_raw(
        &self,
        key: Option<&[u8]>,
        value: &[u8],
        headers: &[(&str, &[u8])],
        reason: &str,
        detail: &str,
    ) -> Result<()> {
        self.count.with_label_values(&[reason]).inc();
        let mut all: Vec<OwnedHeader> =
            headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.to_vec()))).collect();
        add_reason(&mut all, self.stage, reason, detail);
        self.put(key, Some(value), &all)
    }

    fn put(&self, key: Option<&[u8]>, value: Option<&[u8]>, headers: &[OwnedHeader]) -> Result<()> {
        let letter = Letter { key, value, headers: headers.into() };
        let letter = self.room.fit(&self.topic, letter);
        let out = Outgoing { topic: &self.topic, key: letter.key, value: letter.value, ..Outgoing::default() };
        self.producer.send_with(&out, Some(native(&letter.headers)))
    }
}

pub(crate) fn counter(env: &Env, reasons: &[&str]) -> IntCounterVec {
    let help = "Records sent to the dead-letter topic.";
    let series: Vec<[&str; 1]> = reasons.iter().map(|reason| [*reason]).collect();
    let series: Vec<&[&str]> = series.iter().map(<[&str; 1]>::as_slice).collect();
    env.metrics.counters("dead_letters_total", help, &["reason"], &series)
}

/// The headers of a dead letter: those it came with, then ours.
pub(crate) fn headers_of(record: &Record<'_>, stage: &str, reason: &str, detail: &str) -> Vec<OwnedHeader> {
    let mut headers: Vec<OwnedHeader> =
        record.headers().map(|(name, value)| (name.into_owned(), value.map(<[u8]>::to_vec))).collect();
    add_reason(&mut headers, stage, reason, detail);
    add(&mut headers, TOPIC, record.topic);
    add(&mut headers, PARTITION, &record.partition.to_string());
    add(&mut headers, OFFSET, &record.offset.to_string());
    add(&mut headers, TIMESTAMP, &record.timestamp_ms.to_string());
    headers
}

fn add_reason(headers: &mut Vec<OwnedHeader>, stage: &str, reason: &str, detail: &str) {
    add(headers, REASON, reason);
    add(headers, DETAIL, shortened(detail));
    add(headers, STAGE, stage);
    add(headers, VERSION, env!("CARGO_PKG_VERSION"));
}

fn add(headers: &mut Vec<OwnedHeader>, name: &str, value: &str) {
    headers.push((name.to_owned(), Some(value.as_bytes().to_vec())));
}

fn shortened(detail: &str) -> &str {
    let end = (0..=DETAIL_MAX.min(detail.len())).rev().find(|end| detail.is_char_boundary(*end)).unwrap_or(0);
    &detail[..end]
}

pub(crate) fn native(headers: &[OwnedHeader]) -> OwnedHeaders {
    let empty = OwnedHeaders::new_with_capacity(headers.len());
    headers.iter().fold(empty, |all, (key, value)| all.insert(Header { key, value: value.as_ref() }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::OwnedRecord;

    #[test]
    fn a_dead_letter_keeps_its_own_headers_and_says_where_it_came_from() {
        let record = OwnedRecord {
            topic: "raw-market-data".to_owned(),
            partition: 2,
            offset: 41,
            timestamp_ms: 1_723_161_255_400,
            headers: vec![("source".to_owned(), Some(vec![0xff, 0x00])), ("none".to_owned(), None)],
            ..OwnedRecord::default()
        };
        let headers = headers_of(&record.as_record(), "aggregate", "not_json", "expected `{`");
        assert_eq!(headers[..2], record.headers);
        let ours: Vec<(&str, &str)> = headers[2..]
            .iter()
            .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_ref().unwrap()).unwrap()))
            .collect();
        let expected = [
            (REASON, "not_json"),
            (DETAIL, "expected `{`"),
            (STAGE, "aggregate"),
            (VERSION, env!("CARGO_PKG_VERSION")),
            (TOPIC, "raw-market-data"),
            (PARTITION, "2"),
            (OFFSET, "41"),
            (TIMESTAMP, "1723161255400"),
        ];
        assert_eq!(ours, expected);
    }

    /// The table of `docs/topics.md` and this code say the same, in the same order.
    #[test]
    fn the_documented_table_is_the_code() {
        let page = include_str!("../../../docs/topics.md");
        let rows = page
            .lines()
            .skip_while(|line| *line != "## Dead letters")
            .skip_while(|line| !line.starts_with("| Header |"))
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let names: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
        assert_eq!(names, [REASON, DETAIL, STAGE, VERSION, TOPIC, PARTITION, OFFSET, TIMESTAMP, SIZE]);
        assert!(page.contains(&format!("at most {DETAIL_MAX} bytes")));
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let detail = "é".repeat(400);
        assert_eq!(shortened(&detail).len(), DETAIL_MAX);
        assert_eq!(shortened(&format!("x{detail}")).len(), DETAIL_MAX - 1);
    }
}
