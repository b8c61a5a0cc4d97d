//! Windows over event time: trades and bars in, [`Metrics`](crate::Metrics) out.
//!
//! A [`Fold`] holds the windows of every symbol of one partition. It is a state machine without a clock or a socket: the caller
//! gives it trades in the order of the partition and, now and then, the time; it gives back records, and what has to be saved.
//!
//! **Event time.** The watermark of a symbol is its latest accepted event time minus the out-of-orderness. A window `[start, end)`,
//! aligned to 1970 UTC, to the calendar or to the sessions of an exchange, closes when the watermark reaches its end and is *final* when it reaches its end plus the lateness. In
//! between, late trades make revisions. A trade for which every window is final is [`Outcome::Late`].
//!
//! **Clock.** While a partition is behind, only event time decides. When it is caught up, a window whose end is longer ago than
//! lateness plus idle, of a symbol that has been silent that long, is told as final, `closed_by: clock`. The watermark does not move
//! and the state stays; should a trade come after all, a further revision follows.
//!
//! **Promises.**
//! - The last record of a window is a function of the partition's records: speed, batches, the clock and restarts change no byte
//!   of it save `rev` and `closed_by`. Among trades in time their order changes nothing either, save the provenance (`input`, `late`,
//!   `duplicate`).
//! - Sums are exact; quotients are rounded half-even to 12 digits, once.
//! - A restored fold continues exactly as the saved one would have ([`Fold::save`], [`Fold::restore`]).
//! - A trade costs one update per grid of panes ([`layout`]), however many windows overlap.
//!
//! Trades are told apart by (venue, symbol, trade id), never by value. Ties of event time are ordered by numeric trade id, else by
//! offset. Trades of zero size move prices, never volume. Formulas of TWAP and volatility: `path.rs`.
//!
//! **Amendments.** A trade that its venue takes back is taken out of the windows that are not final, a corrected one takes its place:
//! `book/amend.rs`.
//!
//! **Silence.** Asked for, windows without a trade carry the last price on: `book/carry.rs`.
//!
//! **Trends.** Asked for, moving averages over the closing prices of the bars: `trend.rs`.
//!
//! **News.** Records say what the scored news of their symbol came to: `news.rs`.
//!
//! **Bars** that someone else made are rolled up into longer windows in books of their own, by symbol and length: `book/bar.rs`.

pub mod layout;

mod amendment;
mod book;
mod bytes;
mod cut;
mod edges;
mod fold;
mod gaps;
mod news;
mod options;
mod pane;
mod path;
mod record;
mod seen;
mod tail;
mod trend;

pub use amendment::{Amendment, Right};
pub use bytes::StateError;
pub use fold::{Counts, Emit, Empty, Fold, Input, Moment, Options, Outcome, Rollup};
pub use gaps::Hole;
pub use layout::{Layout, LayoutError};

/// The symbol whose state a key of the changelog holds; `None`: not a key of ours.
pub fn owner(key: &[u8]) -> Option<&[u8]> {
    let key = std::str::from_utf8(key).ok()?;
    Some(book::Key::parse(key)?.symbol.as_bytes())
}

#[cfg(test)]
mod tests;
