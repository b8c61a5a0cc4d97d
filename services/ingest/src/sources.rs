//! The seam between what a venue or a file says and what goes to Kafka.
//!
//! Two halves, so that a recording and a live socket share all that matters:
//! - [`Decode`] is pure: one text (a frame, a row, a list item) in, events out. One per venue or file form.
//! - [`Source`] is the transport: it yields the texts one after the other with their positions, already decoded. Files
//!   are [`files`]. What venues say over sockets is decoded by the same code and comes in by [`crate::live`].
//!
//! **Invariant:** no text makes a decoder panic, and none stops it: what cannot be read is a [`Bad`] with a reason.

pub mod capture;
pub mod csv;
pub mod files;
pub mod frames;
pub mod freqtrade;
pub mod jsonl;
pub mod questdb;
pub mod synthetic;

use std::borrow::Cow;
use std::io;

use market::{Event, NumberError, Price, Quantity, QuantityError, Reason};

/// Turns one text into events. May keep what it learnt from earlier texts (a header, a subscription), never a clock.
pub trait Decode: Send {
    /// Adds what the text holds to `found`. Events before an error inside the same text stay found.
    fn decode(&mut self, text: &[u8], found: &mut Found) -> Result<(), Bad>;
}

/// What one text holds.
#[derive(Debug, Default)]
pub struct Found {
    pub events: Vec<Event>,
    /// Why a good text gives no event: the kind of message it is. A bounded set of words.
    pub ignored: Option<&'static str>,
    /// When it happened on the recorder's clock, else on the venue's: what the replay is paced by.
    pub recorded: Option<i64>,
}

impl Found {
    pub fn clear(&mut self) {
        self.events.clear();
        self.ignored = None;
        self.recorded = None;
    }

    /// A well-formed message that is no event for us.
    pub fn ignore(&mut self, kind: &'static str) -> Result<(), Bad> {
        debug_assert!(IGNORED.contains(&kind), "`{kind}` is not listed");
        self.ignored = Some(kind);
        Ok(())
    }
}

/// Why a text cannot be read: a bounded word for counting, and words for the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bad {
    pub reason: &'static str,
    pub detail: Cow<'static, str>,
}

/// Every reason this crate gives beside those of `market`, to publish its counters at zero.
pub const REASONS: [&str; 14] = [
    "not_json",
    "not_utf8",
    "not_a_number",
    "not_finite",
    "precision",
    "negative_size",
    "bad_time",
    "missing_field",
    "field_count",
    "too_long",
    "cut_off",
    "wrong_market",
    "venue_error",
    "unknown_side",
];

/// Every kind of message that is no event for us, to publish their counters at zero.
pub const IGNORED: [&str; 26] = [
    "header",
    "blank",
    "connected",
    "sent",
    "l2update",
    "snapshot",
    "last_match",
    "ticker",
    "heartbeat",
    "subscriptions",
    "book_ticker",
    "depth_update",
    "depth_snapshot",
    "agg_trade",
    "kline",
    "mark_price",
    "liquidation",
    "server_shutdown",
    "answer",
    "refusal",
    "status",
    "ping",
    "bar",
    "not_a_market_trade",
    "recording",
    "other",
];

impl Bad {
    pub fn new(reason: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        debug_assert!(REASONS.contains(&reason) || Reason::parse(reason).is_some(), "`{reason}` is not listed");
        Bad { reason, detail: detail.into() }
    }

    pub fn json(error: &serde_json::Error) -> Self {
        Bad::new("not_json", format!("not the JSON expected here: {error}"))
    }

    pub fn time(what: &str, text: &[u8]) -> Self {
        Bad::new("bad_time", format!("{what} `{}` is not a time in nanoseconds since 1970 that fits", shown(text)))
    }
}

/// One text of a source, decoded.
#[derive(Debug, Default)]
pub struct Piece {
    /// Line or item number, from 1.
    pub line: u64,
    /// The text as it came, for the dead letter (cut at [`crate::lines::MAX_LINE`]).
    pub text: Vec<u8>,
    pub found: Found,
    pub bad: Option<Bad>,
}

/// What a source answers when asked for the next piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Piece,
    /// Nothing has arrived; ask again. Only live sources answer this.
    Pending,
    End,
}

/// A sequence of texts.
pub trait Source: Send {
    /// Fills `piece` with the next text. An error ends the source: what came before it was good.
    fn next(&mut self, piece: &mut Piece) -> io::Result<Step>;
}

pub(crate) fn price(what: &str, text: &[u8]) -> Result<Price, Bad> {
    Price::parse(text).map_err(|error| number(what, text, error))
}

pub(crate) fn quantity(what: &str, text: &[u8]) -> Result<Quantity, Bad> {
    Quantity::parse(text).map_err(|error| match error {
        QuantityError::Negative => Bad::new("negative_size", format!("{what} `{}` is below zero", shown(text))),
        QuantityError::Number(error) => number(what, text, error),
    })
}

pub(crate) fn number(what: &str, text: &[u8], error: NumberError) -> Bad {
    let reason = match error {
        NumberError::Syntax if text.is_empty() => "missing_field",
        NumberError::Syntax => "not_a_number",
        NumberError::NotFinite => "not_finite",
        NumberError::Precision => "precision",
    };
    Bad::new(reason, format!("{what} `{}`: {error}", shown(text)))
}

/// Text for a message: short, and readable whatever the bytes are.
pub(crate) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let mut out: String = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).escape_debug().collect();
    if text.len() > LONGEST {
        out.push('…');
    }
    out
}
