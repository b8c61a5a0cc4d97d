//! The columns of every table: name and type, in the order in which a row has them.
//!
//! This is the one place where they are said. The Parquet schema, the JSON form of a row read back, the catalog and
//! `docs/tables.md` follow from it; [`super::cells`] fills them, and a test compares every row that comes back with
//! the record's own form on its topic.
//!
//! Columns may be added, as [`Absent::Null`] or [`Absent::Omit`], since older objects lack them. None may be renamed,
//! removed or given another type: a test reads an object of the first version.

use super::{Grain, Table};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Text of few different values: a symbol, a venue, a kind. A dictionary holds each once.
    Word,
    /// Text that mostly differs from row to row.
    Text,
    Flag,
    /// 32 bits.
    Int,
    /// 64 bits.
    Long,
    Double,
    /// Nanoseconds since 1970 UTC.
    Time,
    /// Exact, 20 digits before the point and 18 after it.
    Decimal,
    /// A list of text.
    Texts,
    /// Numbers by name, some of which may have no value.
    Numbers,
    /// A list of lists of text.
    Pairs,
    /// A group that every row has. Its members are of the types above.
    Struct(&'static [Column]),
    /// A list of groups that have all of their members, which are numbers.
    Structs(&'static [Column]),
}

/// How a row says that it has no value here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// Every row has one.
    Never,
    /// `null` in JSON.
    Null,
    /// Left out in JSON: so are false [`Type::Flag`]s, of which every row has one in Parquet, and empty
    /// [`Type::Numbers`] and [`Type::Structs`].
    Omit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
    pub absent: Absent,
}

impl Column {
    /// Whether the column, or a group of it, may be null in Parquet.
    pub fn is_nullable(&self) -> bool {
        self.absent != Absent::Never && self.kind != Type::Flag
    }
}

const fn must(name: &'static str, kind: Type) -> Column {
    Column { name, kind, absent: Absent::Never }
}

const fn null(name: &'static str, kind: Type) -> Column {
    Column { name, kind, absent: Absent::Null }
}

const fn omit(name: &'static str, kind: Type) -> Column {
    Column { name, kind, absent: Absent::Omit }
}

use Type::{Decimal, Double, Flag, Int, Long, Numbers, Pairs, Struct, Structs, Text, Texts, Time, Word};

const TRADES: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("venue", Word),
    must("symbol", Word),
    omit("trade_id", Text),
    must("price", Decimal),
    must("quantity", Decimal),
    omit("side", Word),
    must("conditions", Texts),
    must("event_time", Time),
    omit("receive_time", Time),
    omit("backfilled", Flag),
];

const QUOTES: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("venue", Word),
    must("symbol", Word),
    omit("bid", Decimal),
    omit("bid_quantity", Decimal),
    omit("ask", Decimal),
    omit("ask_quantity", Decimal),
    must("event_time", Time),
    omit("receive_time", Time),
];

const BARS: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("symbol", Word),
    must("interval", Word),
    must("start", Time),
    must("end", Time),
    must("open", Decimal),
    must("high", Decimal),
    must("low", Decimal),
    must("close", Decimal),
    must("volume", Decimal),
    omit("extra", Numbers),
    omit("receive_time", Time),
];

/// A stretch of a partition of the events.
const STRETCH: &[Column] = &[must("partition", Int), must("first_offset", Long), must("last_offset", Long)];

const METRICS: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("symbol", Word),
    must("window", Word),
    must("window_start", Time),
    must("window_end", Time),
    must("rev", Long),
    must("final", Flag),
    null("closed_by", Word),
    null("open", Decimal),
    null("high", Decimal),
    null("low", Decimal),
    null("close", Decimal),
    must("volume", Decimal),
    null("quote_volume", Decimal),
    null("vwap", Decimal),
    null("vwap_reason", Word),
    null("twap", Decimal),
    null("average", Decimal),
    null("min", Decimal),
    null("max", Decimal),
    null("change_pct", Decimal),
    must("trade_count", Long),
    null("volatility", Decimal),
    null("buy_volume", Decimal),
    must("partial", Flag),
    must("quality", Word),
    must("input", Struct(STRETCH)),
    must("late", Long),
    must("duplicate", Long),
    must("backfilled", Long),
    must("config", Word),
    omit("bar_interval", Word),
    omit("bar_count", Long),
    omit("averages", Numbers),
    omit("gap", Flag),
    omit("input_before", Structs(STRETCH)),
    omit("quote_volume_reason", Word),
    omit("twap_reason", Word),
    omit("average_reason", Word),
    omit("change_pct_reason", Word),
    omit("volatility_reason", Word),
    omit("buy_volume_reason", Word),
    omit("sentiment", Decimal),
    omit("news_count", Long),
    // Not on the topic, where `window` says it in words: `window_end - window_start` in seconds.
    must("window_size", Double),
];

const ALERTS: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("alert_id", Text),
    must("rule", Word),
    must("rule_kind", Word),
    must("state", Word),
    must("symbol", Word),
    must("metric", Word),
    must("window", Word),
    must("window_start", Time),
    must("window_end", Time),
    must("direction", Word),
    must("value", Decimal),
    must("threshold", Decimal),
    must("event_time", Time),
    must("input", Struct(&[must("partition", Int), must("offset", Long), must("rev", Long)])),
    must("config", Word),
];

const GAPS: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("symbol", Word),
    must("from", Time),
    must("to", Time),
    must("cause", Word),
    omit("first_missing", Text),
    omit("last_missing", Text),
    omit("receive_time", Time),
];

const AMENDMENTS: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("venue", Word),
    must("symbol", Word),
    must("trade_id", Text),
    omit("corrected_id", Text),
    omit("price", Decimal),
    omit("quantity", Decimal),
    omit("conditions", Texts),
    omit("original_price", Decimal),
    omit("original_quantity", Decimal),
    omit("trade_time", Time),
    must("event_time", Time),
    omit("receive_time", Time),
];

const NEWS: &[Column] = &[
    must("kind", Word),
    must("schema_version", Int),
    must("symbol", Word),
    must("news_id", Text),
    omit("publisher", Word),
    must("headline", Text),
    omit("summary", Text),
    omit("url", Text),
    omit("sentiment", Decimal),
    omit("scored_by", Word),
    omit("relevance", Decimal),
    must("event_time", Time),
    omit("receive_time", Time),
];

const DEAD_LETTERS: &[Column] = &[
    must("time", Time),
    null("reason", Word),
    null("detail", Text),
    null("stage", Word),
    null("source_topic", Word),
    null("source_partition", Int),
    null("source_offset", Long),
    null("key", Text),
    null("value", Text),
    must("headers", Pairs),
];

/// Where the row came from, at the end of every table.
const COORDINATES: &[Column] = &[must("_topic", Word), must("_partition", Int), must("_offset", Long)];

impl Table {
    pub fn columns(self) -> impl Iterator<Item = &'static Column> {
        let own = match self {
            Table::Trades => TRADES,
            Table::Quotes => QUOTES,
            Table::Bars => BARS,
            Table::Metrics => METRICS,
            Table::Alerts => ALERTS,
            Table::Gaps => GAPS,
            Table::Amendments => AMENDMENTS,
            Table::News => NEWS,
            Table::DeadLetters => DEAD_LETTERS,
        };
        own.iter().chain(COORDINATES)
    }

    /// Names of the columns that its folders spell out; all are text.
    pub fn partition_columns(self) -> &'static [&'static str] {
        match self.grain() {
            Grain::Hour => &["dt", "hour"],
            Grain::Day => &["dt"],
            Grain::Year => &["year"],
        }
    }

    /// The column that decides the partition of a row.
    pub fn time_column(self) -> &'static str {
        match self {
            Table::Trades | Table::Quotes | Table::Alerts | Table::Amendments | Table::News => "event_time",
            Table::Bars => "start",
            Table::Metrics => "window_start",
            Table::Gaps => "from",
            Table::DeadLetters => "time",
        }
    }
}
