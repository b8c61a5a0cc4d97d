//! What happens on a market: the records of `raw-market-data`, one struct per `kind`.
//!
//! Every record has up to two times, both in nanoseconds since 1970 UTC and negative before it: `event_time` is the
//! venue's clock, `receive_time` ours. Fields that a venue may not tell are optional and absent on the wire when they
//! are `None`.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::interval::Interval;
use crate::price::{Price, Quantity};
use crate::words::words;

words! {
    /// The `kind` of a record on `raw-market-data`.
    Kind {
        Trade = "trade",
        Quote = "quote",
        Bar = "bar",
        Gap = "gap",
        Cancel = "cancel",
        Correction = "correction",
        News = "news",
        Heartbeat = "heartbeat",
    }
}

words! {
    /// The side of the taker, who crossed the spread.
    Side {
        Buy = "buy",
        Sell = "sell",
    }
}

words! {
    /// Why data are missing.
    GapCause {
        /// The connection was down.
        Disconnect = "disconnect",
        /// The venue's own numbers jumped.
        Sequence = "sequence",
        /// We threw them away: the spill was full.
        Dropped = "dropped",
        /// The process was not running.
        Restart = "restart",
    }
}

/// Any record of `raw-market-data`.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    Trade(Trade),
    Quote(Quote),
    Bar(Bar),
    Gap(Gap),
    Cancel(Cancel),
    Correction(Correction),
    News(News),
    Heartbeat(Heartbeat),
}

impl Event {
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Trade(_) => Kind::Trade,
            Self::Quote(_) => Kind::Quote,
            Self::Bar(_) => Kind::Bar,
            Self::Gap(_) => Kind::Gap,
            Self::Cancel(_) => Kind::Cancel,
            Self::Correction(_) => Kind::Correction,
            Self::News(_) => Kind::News,
            Self::Heartbeat(_) => Kind::Heartbeat,
        }
    }

    /// The record's key; a heartbeat of a whole connection has none.
    pub fn symbol(&self) -> Option<&str> {
        match self {
            Self::Trade(e) => Some(&e.symbol),
            Self::Quote(e) => Some(&e.symbol),
            Self::Bar(e) => Some(&e.symbol),
            Self::Gap(e) => Some(&e.symbol),
            Self::Cancel(e) => Some(&e.symbol),
            Self::Correction(e) => Some(&e.symbol),
            Self::News(e) => Some(&e.symbol),
            Self::Heartbeat(e) => e.symbol.as_deref(),
        }
    }

    /// When it happened by the venue's clock: a bar at its end, a gap at its end, a heartbeat when it says so.
    pub fn event_time(&self) -> Option<i64> {
        match self {
            Self::Trade(e) => Some(e.event_time),
            Self::Quote(e) => Some(e.event_time),
            Self::Bar(e) => Some(e.end),
            Self::Gap(e) => Some(e.to),
            Self::Cancel(e) => Some(e.event_time),
            Self::Correction(e) => Some(e.event_time),
            Self::News(e) => Some(e.event_time),
            Self::Heartbeat(e) => e.event_time,
        }
    }

    pub fn receive_time(&self) -> Option<i64> {
        match self {
            Self::Trade(e) => e.receive_time,
            Self::Quote(e) => e.receive_time,
            Self::Bar(e) => e.receive_time,
            Self::Gap(e) => e.receive_time,
            Self::Cancel(e) => e.receive_time,
            Self::Correction(e) => e.receive_time,
            Self::News(e) => e.receive_time,
            Self::Heartbeat(e) => Some(e.receive_time),
        }
    }
}

/// One execution. `(venue, symbol, trade_id)` is its identity where the venue gives ids; without an id it has none,
/// since equal trades in one millisecond may all be real.
#[derive(Debug, Clone, PartialEq)]
pub struct Trade {
    /// Empty when the producer did not say and the symbol does not either.
    pub venue: String,
    pub symbol: String,
    pub trade_id: Option<String>,
    pub price: Price,
    /// Zero is a price update, not a trade: it moves prices, never volume.
    pub quantity: Quantity,
    pub side: Option<Side>,
    pub conditions: Vec<String>,
    pub event_time: i64,
    pub receive_time: Option<i64>,
    /// Fetched afterwards to heal a gap.
    pub backfilled: bool,
}

/// The best bid and ask. A side that is empty in the book is absent; at least one is present.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    pub venue: String,
    pub symbol: String,
    pub bid: Option<Price>,
    pub bid_quantity: Option<Quantity>,
    pub ask: Option<Price>,
    pub ask_quantity: Option<Quantity>,
    pub event_time: i64,
    pub receive_time: Option<i64>,
}

/// An interval that someone else aggregated. `start` is inclusive, `end` exclusive.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    pub symbol: String,
    pub interval: Interval,
    pub start: i64,
    pub end: i64,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: Quantity,
    /// What the source says beyond that, such as `adj_close`; names as the source's, in snake case.
    pub extra: BTreeMap<String, Decimal>,
    pub receive_time: Option<i64>,
}

/// Data of a symbol that the venue did not deliver, or that we lost: said, not hidden.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    pub symbol: String,
    /// Event time of the last trade before the gap.
    pub from: i64,
    /// Event time of the first trade after it; not before `from`.
    pub to: i64,
    pub cause: GapCause,
    /// The first and the last missing trade id or sequence number, where the venue has them.
    pub first_missing: Option<String>,
    pub last_missing: Option<String>,
    pub receive_time: Option<i64>,
}

/// A trade that the venue took back.
#[derive(Debug, Clone, PartialEq)]
pub struct Cancel {
    pub venue: String,
    pub symbol: String,
    /// The trade that is void.
    pub trade_id: String,
    /// What it was, where the venue repeats it.
    pub price: Option<Price>,
    pub quantity: Option<Quantity>,
    /// The event time of the void trade, where the venue repeats it.
    pub trade_time: Option<i64>,
    pub event_time: i64,
    pub receive_time: Option<i64>,
}

/// A trade that the venue replaced.
#[derive(Debug, Clone, PartialEq)]
pub struct Correction {
    pub venue: String,
    pub symbol: String,
    /// The trade that is replaced.
    pub trade_id: String,
    /// The id of the right one, where it has another.
    pub corrected_id: Option<String>,
    /// The right price and quantity.
    pub price: Price,
    pub quantity: Quantity,
    pub conditions: Vec<String>,
    /// The wrong ones, where the venue repeats them.
    pub original_price: Option<Price>,
    pub original_quantity: Option<Quantity>,
    /// The event time of the replaced trade, where the venue repeats it.
    pub trade_time: Option<i64>,
    pub event_time: i64,
    pub receive_time: Option<i64>,
}

/// A news item about one symbol; an item about several is one record each, with the same `news_id`.
#[derive(Debug, Clone, PartialEq)]
pub struct News {
    pub symbol: String,
    pub news_id: String,
    /// The publisher.
    pub publisher: Option<String>,
    pub headline: String,
    pub summary: Option<String>,
    pub url: Option<String>,
    /// −1 (bad for the symbol) to 1 (good), where someone scored it.
    pub sentiment: Option<Decimal>,
    /// Who or what scored it: the vendor, or the method.
    pub scored_by: Option<String>,
    /// 0 to 1: how much the item is about this symbol.
    pub relevance: Option<Decimal>,
    pub event_time: i64,
    pub receive_time: Option<i64>,
}

/// A connection, or one symbol of it, is alive though nothing happens.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    pub venue: String,
    pub symbol: Option<String>,
    pub event_time: Option<i64>,
    pub receive_time: i64,
}
