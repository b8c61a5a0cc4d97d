//! From a record of a topic to a row of a table, or to the reason why it is none.

use std::io::Write;

use aws_smithy_types::base64;
use market::{Alert, Event, EventRef, Metrics, Reason};
use serde::{Deserialize, Serialize};

use crate::table::{Dir, Table, write_number};

/// What a topic carries, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feed {
    Raw,
    Metrics,
    Alerts,
    DeadLetters,
}

impl Feed {
    /// Every reason for which [`read`] may skip a record of the feed.
    pub fn skips(self) -> Vec<Skip> {
        let undecodable = Reason::ALL.iter().map(|reason| reason.as_str());
        match self {
            Feed::DeadLetters => Vec::new(),
            Feed::Raw => [TOMBSTONE, HEARTBEAT].into_iter().chain(undecodable).collect(),
            Feed::Metrics | Feed::Alerts => [TOMBSTONE].into_iter().chain(undecodable).collect(),
        }
    }
}

/// A record as Kafka gave it.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub offset: i64,
    pub timestamp_ms: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    /// Needed for dead letters only.
    pub headers: &'a [(&'a str, &'a [u8])],
}

// One at a time, on the stack: a box would cost more than the space.
#[allow(clippy::large_enum_variant)]
pub enum Row<'a> {
    /// A trade is borrowed from its record: there are many, and each lives until it is in the columns or the text of its object.
    Event(EventRef<'a>),
    Metrics(Metrics),
    Alert(Alert),
    DeadLetter(DeadLetter),
}

/// What no consumer could use, kept whole: the original bytes are in base64, since they may be anything.
#[derive(Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// When the broker took the dead letter.
    pub(crate) time: i64,
    pub(crate) reason: Option<String>,
    pub(crate) detail: Option<String>,
    pub(crate) stage: Option<String>,
    pub(crate) source_topic: Option<String>,
    pub(crate) source_partition: Option<i32>,
    pub(crate) source_offset: Option<i64>,
    pub(crate) key: Option<String>,
    pub(crate) value: Option<String>,
    /// The original's own headers, values in base64.
    pub(crate) headers: Vec<(String, String)>,
}

/// A row and where it goes.
pub struct Placed<'a> {
    pub dir: Dir,
    pub row: Row<'a>,
    pub event_time: i64,
}

/// Bounded: it becomes a label of a metric and a key of a claim.
pub type Skip = &'static str;

const TOMBSTONE: Skip = "tombstone";
/// Says that a connection is alive: nothing to keep.
const HEARTBEAT: Skip = "heartbeat";

const HEADER: &str = "finflow-dlq-";

/// Reads the record as the feed's form.
///
/// A record that the feed's form does not fit is a skip, not an error and not a row: the stage that consumes it sends
/// it to the dead-letter topic with its bytes, and that topic is a table here.
pub fn read<'a>(feed: Feed, record: &Record<'a>) -> Result<Placed<'a>, Skip> {
    let (table, event_time, row) = match (feed, record.value) {
        (Feed::DeadLetters, _) => {
            let letter = DeadLetter::read(record);
            (Table::DeadLetters, letter.time, Row::DeadLetter(letter))
        }
        (_, None) => return Err(TOMBSTONE),
        (Feed::Raw, Some(value)) => {
            let event = EventRef::decode(value).map_err(|error| error.reason.as_str())?;
            let (table, time) = match &event {
                EventRef::Trade(trade) => (Table::Trades, trade.event_time),
                EventRef::Other(other) => match other {
                    Event::Trade(trade) => (Table::Trades, trade.event_time),
                    Event::Quote(quote) => (Table::Quotes, quote.event_time),
                    Event::Bar(bar) => (Table::Bars, bar.start),
                    Event::Gap(gap) => (Table::Gaps, gap.from),
                    Event::Cancel(cancel) => (Table::Amendments, cancel.event_time),
                    Event::Correction(correction) => (Table::Amendments, correction.event_time),
                    Event::News(news) => (Table::News, news.event_time),
                    Event::Heartbeat(_) => return Err(HEARTBEAT),
                },
            };
            (table, time, Row::Event(event))
        }
        (Feed::Metrics, Some(value)) => {
            let metrics = Metrics::decode(value).map_err(|error| error.reason.as_str())?;
            (Table::Metrics, metrics.window_start, Row::Metrics(metrics))
        }
        (Feed::Alerts, Some(value)) => {
            let alert = Alert::decode(value).map_err(|error| error.reason.as_str())?;
            (Table::Alerts, alert.event_time, Row::Alert(alert))
        }
    };
    Ok(Placed { dir: Dir::of(table, event_time), row, event_time })
}

/// A row of the lake, from the form that it has in JSON lines.
pub(crate) fn restore(table: Table, json: &[u8]) -> Result<Placed<'_>, String> {
    if table == Table::DeadLetters {
        let letter: DeadLetter = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        let event_time = letter.time;
        return Ok(Placed { dir: Dir::of(table, event_time), row: Row::DeadLetter(letter), event_time });
    }
    let feed = match table {
        Table::Metrics => Feed::Metrics,
        Table::Alerts => Feed::Alerts,
        _ => Feed::Raw,
    };
    let record = Record { offset: 0, timestamp_ms: 0, key: None, value: Some(json), headers: &[] };
    read(feed, &record).map_err(str::to_owned)
}

impl Row<'_> {
    /// Appends the row as a JSON object.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Row::Event(event) => event.encode(out),
            Row::Metrics(metrics) => {
                metrics.encode(out);
                out.pop();
                out.extend_from_slice(b",\"window_size\":");
                write_number(out, window_size(metrics));
                out.push(b'}');
            }
            Row::Alert(alert) => alert.encode(out),
            Row::DeadLetter(letter) => {
                serde_json::to_writer(out.by_ref(), letter).expect("a dead letter has only text and numbers");
            }
        }
    }
}

/// Seconds from start to end of the window: a column that the topic does not have.
pub(crate) fn window_size(metrics: &Metrics) -> f64 {
    (i128::from(metrics.window_end) - i128::from(metrics.window_start)) as f64 / 1e9
}

impl DeadLetter {
    /// Never fails: what an alien wrote to the topic is a dead letter without a reason.
    fn read(record: &Record<'_>) -> Self {
        let ours = |name: &str| {
            let named = |(header, _): &&(&str, &[u8])| header.strip_prefix(HEADER) == Some(name);
            let (_, value) = record.headers.iter().find(named)?;
            Some(String::from_utf8_lossy(value).into_owned())
        };
        let theirs = record.headers.iter().filter(|(name, _)| !name.starts_with(HEADER));
        Self {
            // A record without a timestamp carries -1.
            time: record.timestamp_ms.max(0).saturating_mul(1_000_000),
            reason: ours("reason"),
            detail: ours("detail"),
            stage: ours("stage"),
            source_topic: ours("topic"),
            source_partition: ours("partition").and_then(|text| text.parse().ok()),
            source_offset: ours("offset").and_then(|text| text.parse().ok()),
            key: record.key.map(base64::encode),
            value: record.value.map(base64::encode),
            headers: theirs.map(|(name, value)| ((*name).to_owned(), base64::encode(value))).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(record: &Record<'_>) -> serde_json::Value {
        let Ok(placed) = read(Feed::DeadLetters, record) else { panic!("everything there is a row") };
        let mut out = Vec::new();
        placed.row.encode(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn a_dead_letter_keeps_its_bytes_headers_and_origin() {
        let headers: &[(&str, &[u8])] = &[
            ("source", b"\xff"),
            ("finflow-dlq-reason", b"not_json"),
            ("finflow-dlq-topic", b"raw-market-data"),
            ("finflow-dlq-partition", b"2"),
            ("finflow-dlq-offset", b"41"),
        ];
        let record =
            Record { offset: 0, timestamp_ms: 1_723_161_255_400, key: Some(b"k"), value: Some(b"\x00{"), headers };
        let row = letter(&record);
        assert_eq!(row["reason"], "not_json");
        assert_eq!((&row["source_partition"], &row["source_offset"]), (&2.into(), &41.into()));
        assert_eq!((&row["key"], &row["value"]), (&"aw==".into(), &"AHs=".into()));
        assert_eq!(row["headers"], serde_json::json!([["source", "/w=="]]));
        assert_eq!(row["time"], 1_723_161_255_400_000_000_i64);
    }

    #[test]
    fn an_alien_on_the_dead_letter_topic_is_a_row_too() {
        let record = Record { offset: 0, timestamp_ms: -1, key: None, value: None, headers: &[] };
        let row = letter(&record);
        assert!(row["reason"].is_null() && row["value"].is_null());
        assert_eq!(row["time"], 0);
    }

    #[test]
    fn what_the_feed_does_not_fit_is_a_skip_with_its_reason() {
        let skip = |feed, value| {
            let record = Record { offset: 0, timestamp_ms: 0, key: None, value, headers: &[] };
            read(feed, &record).err()
        };
        assert_eq!(skip(Feed::Raw, None), Some("tombstone"));
        assert_eq!(skip(Feed::Raw, Some(b"{")), Some("not_json"));
        for feed in [Feed::Metrics, Feed::Alerts] {
            assert!(skip(feed, Some(b"{\"kind\":\"trade\"}")).is_some());
        }
    }
}
