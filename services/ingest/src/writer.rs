//! Writes events and dead letters to Kafka, each with the headers that let it be found again.

use std::io::Write as _;

use harness::traces;
use market::{Event, symbol};
use streams::{DeadLetters, Outgoing, Producer, header};
use tracing::Span;

use crate::position::Position;
use crate::resume::{FeedId, POSITION_HEADER};
use crate::sources::{Bad, shown};

/// Headers of a dead letter that say where the text came from: it never was a record, so it has no offset.
pub const FILE_HEADER: &str = "finflow-dlq-file";
pub const LINE_HEADER: &str = "finflow-dlq-line";

/// What surely fits into a record of a broker with default settings (1 MB with its headers).
const LARGEST: usize = 900_000;

pub struct Writer {
    pub producer: Producer,
    dead_letters: DeadLetters,
    output: String,
    /// Of the output: the partition is chosen here, so that it is known before sending.
    pub partitions: i32,
    /// The events of one turn of housekeeping are one span.
    batch: Span,
    /// `traceparent` of this batch; empty before its first event, and when nothing is traced.
    trace: String,
    value: Vec<u8>,
    event_id: Vec<u8>,
    position: Vec<u8>,
}

/// Where an event comes from.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    pub feed: &'a FeedId,
    /// Header `source`.
    pub label: &'a str,
    pub position: Position,
}

impl Writer {
    pub fn new(producer: Producer, dead_letters: DeadLetters, output: &str, partitions: i32) -> Self {
        Writer {
            producer,
            dead_letters,
            output: output.to_owned(),
            partitions,
            batch: Span::none(),
            trace: String::new(),
            value: Vec::new(),
            event_id: Vec::new(),
            position: Vec::new(),
        }
    }

    /// The partition an event belongs to.
    pub fn partition_of(&self, event: &Event) -> i32 {
        symbol::partition(event.symbol().unwrap_or_default().as_bytes(), self.partitions)
    }

    /// Queues an event. Blocks while the producer's queue is full. The inner error is the event's own fault: it cannot
    /// be a record. Acknowledgements are for the caller to serve, after some hundreds of them.
    pub fn event(&mut self, event: &Event, partition: i32, origin: Origin<'_>) -> streams::Result<Result<(), Bad>> {
        // A heartbeat of a whole connection has no symbol, and so no key.
        let key = event.symbol();
        if let Some(key) = key.filter(|key| !symbol::is_valid(key)) {
            return Ok(Err(Bad::new("bad_symbol", format!("`{}` cannot be a symbol", shown(key.as_bytes())))));
        }
        self.value.clear();
        event.encode(&mut self.value);
        if self.value.len() > LARGEST {
            return Ok(Err(Bad::new(
                "too_long",
                format!("the event has {} bytes, at most {LARGEST} fit", self.value.len()),
            )));
        }
        self.begin_batch();
        self.event_id.clear();
        event_id(event, origin, &mut self.event_id);
        self.position.clear();
        self.position.extend_from_slice(origin.feed.as_str().as_bytes());
        self.position.push(b':');
        origin.position.write(&mut self.position);
        let headers: [(&str, &[u8]); 6] = [
            (header::CONTENT_TYPE, b"application/json"),
            (header::SCHEMA_VERSION, b"1"),
            (header::SOURCE, origin.label.as_bytes()),
            (header::EVENT_ID, &self.event_id),
            (POSITION_HEADER, &self.position),
            (header::TRACEPARENT, self.trace.as_bytes()),
        ];
        let used = if self.trace.is_empty() { 5 } else { 6 };
        self.producer.send_next(&Outgoing {
            topic: &self.output,
            partition: Some(partition),
            key: key.map(str::as_bytes),
            value: Some(&self.value),
            headers: &headers[..used],
        })?;
        Ok(Ok(()))
    }

    fn begin_batch(&mut self) {
        if self.trace.is_empty() && traces::are_on() {
            self.batch = tracing::info_span!("produce");
            self.trace = traces::of(&self.batch).unwrap_or_default();
        }
    }

    /// The next event begins another.
    pub fn end_batch(&mut self) {
        self.batch = Span::none();
        self.trace.clear();
    }

    /// Queues a text that could not be read, with the file and line it came from.
    pub fn bad(&mut self, text: &[u8], bad: &Bad, file: &str, origin: Origin<'_>) -> streams::Result<()> {
        let position = format!("{}:{}", origin.feed, origin.position);
        let line = origin.position.line.to_string();
        let headers: [(&str, &[u8]); 4] = [
            (header::SOURCE, origin.label.as_bytes()),
            (POSITION_HEADER, position.as_bytes()),
            (FILE_HEADER, file.as_bytes()),
            (LINE_HEADER, line.as_bytes()),
        ];
        let (text, detail) = if text.len() > LARGEST {
            (&text[..LARGEST], format!("{}; the dead letter holds its first {LARGEST} bytes", bad.detail).into())
        } else {
            (text, bad.detail.clone())
        };
        // The feed as key keeps its dead letters in one partition and so in their order, which resume rests on.
        self.dead_letters.send_raw(Some(origin.label.as_bytes()), text, &headers, bad.reason, &detail)
    }
}

/// The same event has the same id however often it is produced: `venue/symbol/trade id`, else its source and position.
fn event_id(event: &Event, origin: Origin<'_>, out: &mut Vec<u8>) {
    let trade = match event {
        Event::Trade(trade) => trade.trade_id.as_deref().map(|id| (trade.venue.as_str(), trade.symbol.as_str(), id)),
        _ => None,
    };
    let Position { pass, line, sub } = origin.position;
    let written = match trade {
        // Nearly all: without the formatter, which would take several times as long.
        Some((venue, symbol, id)) => {
            [venue, "/", symbol, "/", id].iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
            Ok(())
        }
        None if sub > 0 => write!(out, "{}:{}", origin.label, origin.position),
        None => write!(out, "{}:{pass}:{line}", origin.label),
    };
    written.expect("writing to memory cannot fail");
}
