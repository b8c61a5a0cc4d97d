//! The wire forms: JSON text to records and back.
//!
//! Reading is strict where a mistake would change a number and tolerant where the world grows: unknown fields are
//! ignored; a missing field, one given twice, a wrong type, a number that does not fit, a kind or a schema we do not
//! know are each refused with a [`Reason`] from a closed list and a sentence for a human. No input can make it panic.
//!
//! Writing gives one form per value: fields in the order of `docs/topics.md`, numbers in their shortest exact form,
//! times as integer nanoseconds, absent fields left out. What it writes reads back as the same value, forever:
//! `testdata/events` holds the old forms.

mod alert;
mod error;
mod event;
mod fields;
mod metrics;
mod trade;
mod write;

pub use error::{DecodeError, Reason};
pub use event::EventRef;
pub use trade::{Conditions, TradeRef};

/// The schema that is written, and the newest that is read.
pub const SCHEMA_VERSION: i64 = 1;
