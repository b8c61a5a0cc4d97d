//! Exact numbers, market events and their wire forms, windows and their folding.
//!
//! **Invariants:** no I/O, no clock, no Kafka; no number of the wire passes through a binary float; nothing that
//! comes from outside can make a function here panic.

pub mod alert;
pub mod average;
pub mod calendar;
pub mod codec;
pub mod decimal;
pub mod event;
pub mod interval;
pub mod metrics;
pub mod price;
pub mod span;
pub mod symbol;
pub mod time;
pub mod wide;
pub mod window;

mod json;
mod words;
mod zone;

pub use alert::{Alert, AlertState, Coordinates, Direction, RuleKind};
pub use average::{Average, AverageKind};
pub use calendar::{Calendar, CalendarError};
pub use codec::{DecodeError, EventRef, Reason, TradeRef};
pub use decimal::{Decimal, NumberError};
pub use event::{Bar, Cancel, Correction, Event, Gap, GapCause, Heartbeat, Kind, News, Quote, Side, Trade};
pub use interval::Interval;
pub use metrics::{Bars, ClosedBy, Input, Metrics, Quality, Reasons, Sentiment, Undefined, VwapReason};
pub use price::{Price, Quantity, QuantityError};
pub use span::Span;
pub use wide::Wide;
pub use zone::{new_york_to_utc, utc_to_new_york};
