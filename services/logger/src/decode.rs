//! Which schema a topic has, and a record of it as something to show and check. Pure.

use market::{Alert, DecodeError, Event, Metrics, Reason};
use streams::{Record, dead_letter, topic};

use crate::line::{Line, Tone};

/// What the records of a topic are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    Event,
    Metrics,
    Alert,
    DeadLetter,
}

#[derive(Debug)]
pub enum Decoded {
    Event(Event),
    Metrics(Box<Metrics>),
    Alert(Alert),
    /// Any bytes; only its headers say something.
    DeadLetter(Line),
}

impl Schema {
    /// A topic of an unknown name holds market events: that is what other producers write.
    pub fn of(name: &str) -> Self {
        match name {
            topic::METRICS => Schema::Metrics,
            topic::ALERTS => Schema::Alert,
            topic::DEAD_LETTERS => Schema::DeadLetter,
            _ => Schema::Event,
        }
    }

    pub fn decode(self, record: &Record<'_>) -> Result<Decoded, DecodeError> {
        let value = record.value.unwrap_or_default();
        match self {
            Schema::Event => Event::decode(value).map(Decoded::Event),
            Schema::Metrics => Metrics::decode(value).map(|metrics| Decoded::Metrics(Box::new(metrics))),
            Schema::Alert => Alert::decode(value).map(Decoded::Alert),
            Schema::DeadLetter => Ok(Decoded::DeadLetter(dead_letter_line(record))),
        }
    }
}

impl Decoded {
    pub fn kind(&self) -> &'static str {
        match self {
            Decoded::Event(event) => event.kind().as_str(),
            Decoded::Metrics(_) => "metrics",
            Decoded::Alert(_) => "alert",
            Decoded::DeadLetter(_) => "dead_letter",
        }
    }

    pub fn symbol(&self) -> Option<&str> {
        match self {
            Decoded::Event(event) => event.symbol(),
            Decoded::Metrics(metrics) => Some(&metrics.symbol),
            Decoded::Alert(alert) => Some(&alert.symbol),
            Decoded::DeadLetter(_) => None,
        }
    }

    pub fn event_time(&self) -> Option<i64> {
        match self {
            Decoded::Event(event) => event.event_time(),
            Decoded::Metrics(metrics) => Some(metrics.window_end),
            Decoded::Alert(alert) => Some(alert.event_time),
            Decoded::DeadLetter(_) => None,
        }
    }

    pub fn line(&self) -> Line {
        match self {
            Decoded::Event(event) => Line::of_event(event),
            Decoded::Metrics(metrics) => Line::of_metrics(metrics),
            Decoded::Alert(alert) => Line::of_alert(alert),
            Decoded::DeadLetter(line) => line.clone(),
        }
    }
}

/// The line of a record that could not be read.
pub fn undecodable(record: &Record<'_>, error: &DecodeError) -> Line {
    Line {
        symbol: key_text(record),
        kind: "invalid".to_owned(),
        rest: format!("{record:?} {}: {}", error.reason.as_str(), error.detail),
        tone: Tone::Warning,
        ..Line::default()
    }
}

fn dead_letter_line(record: &Record<'_>) -> Line {
    let header = |name| String::from_utf8_lossy(record.header(name).unwrap_or(b"-"));
    let (stage, reason, detail) =
        (header(dead_letter::STAGE), header(dead_letter::REASON), header(dead_letter::DETAIL));
    Line {
        time: record.timestamp_ms.checked_mul(1_000_000).filter(|time| *time >= 0),
        symbol: key_text(record),
        kind: "dead".to_owned(),
        rest: format!("{stage} {reason}: {detail}"),
        tone: Tone::Warning,
        ..Line::default()
    }
}

fn key_text(record: &Record<'_>) -> String {
    record.key.map_or_else(|| "-".to_owned(), |key| String::from_utf8_lossy(key).into_owned())
}

/// Every reason a record can be invalid for, for metrics published at zero.
pub fn reasons() -> impl Iterator<Item = &'static str> {
    Reason::ALL.iter().map(|reason| reason.as_str())
}
