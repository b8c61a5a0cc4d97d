//! An alert: the records of `price-alerts`.

use crate::decimal::Decimal;
use crate::span::Span;
use crate::words::words;

words! {
    /// What a rule looks at.
    RuleKind {
        /// A value passes a fixed level.
        Threshold = "threshold",
        /// A value moves by a percentage within the window.
        Move = "move",
    }
}

words! {
    /// Which way the value went.
    Direction {
        Above = "above",
        Below = "below",
        Up = "up",
        Down = "down",
    }
}

words! {
    AlertState {
        Fired = "fired",
        /// The value came back.
        Resolved = "resolved",
    }
}

/// The record of `aggregated-metrics` that decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coordinates {
    pub partition: i32,
    pub offset: i64,
    /// The revision of that record.
    pub rev: u32,
}

/// A rule fired for a symbol, or came to rest again.
#[derive(Debug, Clone, PartialEq)]
pub struct Alert {
    /// The same for the same rule, symbol, window and state, however often it is computed: [`Alert::id`].
    pub alert_id: String,
    pub rule: String,
    pub rule_kind: RuleKind,
    pub state: AlertState,
    pub symbol: String,
    /// The field of the metrics record that the rule looks at, such as `close`.
    pub metric: String,
    pub window: Span,
    pub window_start: i64,
    pub window_end: i64,
    pub direction: Direction,
    /// What was seen.
    pub value: Decimal,
    /// What it was compared with.
    pub threshold: Decimal,
    /// The end of the window that decided, by event time.
    pub event_time: i64,
    pub input: Coordinates,
    /// Hash of the rule as it was then.
    pub config: String,
}

impl Alert {
    /// `rule/symbol/window/start/state`: readable, and equal after a crash or a replay, so a receiver can drop the
    /// repeat. A revision of the same window has the same id.
    pub fn id(rule: &str, symbol: &str, window: Span, window_start: i64, state: AlertState) -> String {
        format!("{rule}/{symbol}/{window}/{window_start}/{state}")
    }
}
