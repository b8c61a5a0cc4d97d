//! The metrics of one window of one symbol: the records of `aggregated-metrics`.

use crate::average::Average;
use crate::decimal::Decimal;
use crate::interval::Interval;
use crate::price::{Price, Quantity};
use crate::span::Span;
use crate::words::words;

words! {
    /// What closed a window.
    ClosedBy {
        /// The symbol's watermark passed its end.
        EventTime = "event_time",
        /// The partition was caught up and the symbol idle.
        Clock = "clock",
    }
}

words! {
    /// How far the input of a window can be trusted.
    Quality {
        Complete = "complete",
        /// The first trades of the window were never seen; or a trade was taken back so late that it may still be the open, high, low or
        /// close, or could not be taken out at all.
        Partial = "partial",
        /// A gap overlaps it, and what is missing has not come.
        Gap = "gap",
        /// A gap overlapped it and was healed, or trades of it were fetched afterwards.
        Backfilled = "backfilled",
    }
}

words! {
    /// Why a window has no VWAP.
    VwapReason {
        /// Nothing but price updates, or nothing at all.
        ZeroVolume = "zero_volume",
        /// The exact quotient needs more than 20 digits before the point.
        Precision = "precision",
        /// Bars do not tell at which prices their volume was traded.
        FromBars = "from_bars",
        /// The window has no trade: its price is that of the last trade before it, or it has none since every trade was taken back.
        NoTrades = "no_trades",
    }
}

words! {
    /// Why a number other than the VWAP is `None`.
    Undefined {
        /// The exact result needs more than 20 digits before the point.
        Precision = "precision",
        /// Bars do not tell it.
        FromBars = "from_bars",
        /// The window has no trade.
        NoTrades = "no_trades",
        /// A volatility needs two returns, which are three trades.
        FewTrades = "few_trades",
        /// A price it would be divided by, or take the logarithm of, is not above zero.
        NotPositive = "not_positive",
        /// No trade told its side.
        NoSide = "no_side",
        /// All trades came so late that their neighbours were gone.
        Late = "late",
        /// A trade of the window was taken back after its neighbours were gone.
        Amended = "amended",
    }
}

/// The reason for each number that is `None`; `None` itself in records that were written before there were reasons.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasons {
    pub quote_volume: Option<Undefined>,
    pub twap: Option<Undefined>,
    pub average: Option<Undefined>,
    pub change_pct: Option<Undefined>,
    pub volatility: Option<Undefined>,
    pub buy_volume: Option<Undefined>,
}

/// Where a record's input stands in its input topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    pub partition: i32,
    pub first_offset: i64,
    pub last_offset: i64,
}

/// The bars that a record was rolled up from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bars {
    pub interval: Interval,
    pub count: u64,
}

/// What the news of the symbol said, up to the end of a window: formula in `window/news.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentiment {
    /// From −1 to 1, weighted by relevance; `None` where no item has any.
    pub mean: Option<Decimal>,
    /// Items that were counted; at least one.
    pub count: u64,
}

/// One emission of one window. `(symbol, window, window_start, rev)` is its identity; the highest `rev` is what
/// counts.
///
/// Prices are `None` only in a window that holds no price at all; a derived number is `None` where it is undefined.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    pub symbol: String,
    pub window: Span,
    /// Inclusive.
    pub window_start: i64,
    /// Exclusive.
    pub window_end: i64,
    /// 0 for the first emission of this window, one more for each that replaces it.
    pub rev: u32,
    /// No later trade can change it, save after a close by the clock, or by a cancel or correction.
    pub is_final: bool,
    pub closed_by: Option<ClosedBy>,
    pub open: Option<Price>,
    pub high: Option<Price>,
    pub low: Option<Price>,
    pub close: Option<Price>,
    pub volume: Quantity,
    /// Sum of price × quantity, half-even to 18 digits where it has more.
    pub quote_volume: Option<Decimal>,
    pub vwap: Option<Decimal>,
    /// Present exactly when `vwap` is not.
    pub vwap_reason: Option<VwapReason>,
    pub twap: Option<Decimal>,
    /// The plain mean of the prices.
    pub average: Option<Decimal>,
    pub min: Option<Price>,
    pub max: Option<Price>,
    /// (close − open) / open × 100.
    pub change_pct: Option<Decimal>,
    pub trade_count: u64,
    /// Sample standard deviation of the log returns between consecutive trades; formula in `window/path.rs`.
    pub volatility: Option<Decimal>,
    /// Volume of trades whose taker bought; `None` when no trade told its side.
    pub buy_volume: Option<Quantity>,
    pub partial: bool,
    pub quality: Quality,
    pub input: Input,
    /// Where the earlier part of it stands: in partitions of before their number was raised, oldest first.
    pub input_before: Vec<Input>,
    /// Trades of this window that came behind the watermark and were still taken.
    pub late: u64,
    pub duplicate: u64,
    pub backfilled: u64,
    /// Hash of the configuration that made it.
    pub config: String,
    /// Of a roll-up only: then no trade is counted, and what only trades tell is `None`.
    pub bars: Option<Bars>,
    /// Moving averages of the closing prices of this and earlier bars, as asked for: formulas in `window/trend.rs`. `None` until there
    /// are enough bars.
    pub averages: Vec<(Average, Option<Decimal>)>,
    /// A gap overlaps the window that is not healed; also where the quality says first that it is partial.
    pub gap: bool,
    pub reasons: Reasons,
    /// `None` without scored news.
    pub sentiment: Option<Sentiment>,
}
