//! Why a value was refused.

use std::fmt;

use crate::json::Fault;
use crate::words::words;

words! {
    /// Why a value is no record of ours. A closed list: it is a label of metrics and a header of dead letters.
    Reason {
        /// A tombstone, or a value without a byte.
        Empty = "empty",
        NotUtf8 = "not_utf8",
        /// Not a JSON object.
        NotJson = "not_json",
        /// A field that must be there is not, or is null.
        MissingField = "missing_field",
        DuplicateField = "duplicate_field",
        WrongType = "wrong_type",
        /// More than 20 digits before the point or 18 after it.
        Precision = "precision",
        /// NaN or infinite.
        NotFinite = "not_finite",
        NegativeSize = "negative_size",
        /// No time, or one beyond 64 bits of nanoseconds, or an end before its start.
        BadTime = "bad_time",
        /// Empty, longer than 64 bytes, or with control characters.
        BadSymbol = "bad_symbol",
        /// The right type, but not a value that this field can have.
        BadValue = "bad_value",
        UnknownKind = "unknown_kind",
        /// Written by a newer Finflow.
        FutureSchema = "future_schema",
    }
}

/// A value that is no record of ours. Goes to the dead letters, never further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    pub reason: Reason,
    /// For a human: what is wrong with which field. At most a few hundred bytes, whatever the input.
    pub detail: String,
}

impl DecodeError {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.detail)
    }
}

impl std::error::Error for DecodeError {}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Syntax(at) => Self::new(Reason::NotJson, format!("not JSON at byte {at}")),
            Fault::NotFinite(at) => Self::new(Reason::NotFinite, format!("a NaN or an Infinity at byte {at}")),
            Fault::TooDeep(at) => Self::new(Reason::NotJson, format!("nested too deep at byte {at}")),
        }
    }
}

/// The first characters of something that was read, so that a line of ten megabytes makes a short message.
pub(crate) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
    }
}
