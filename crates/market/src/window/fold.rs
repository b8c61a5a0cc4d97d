//! All symbols of one partition: the way in and out of the windows.
//!
//! In: trades, bars and gaps in the order of the partition, and the caller's clock. Out: an [`Outcome`] per trade and bar,
//! [`Metrics`] records, and the changelog's keys and values. Pure: the same calls give the same answers, and a fold that was saved and restored between
//! two calls gives them too.

use std::collections::HashMap;

use crate::codec::TradeRef;
use crate::event::{Bar, News, Side, Trade};
use crate::interval::Interval;
use crate::metrics::Metrics;
use crate::price::{Price, Quantity};
use crate::span::Span;

use super::amendment::Amendment;
use super::book::{Book, Key, OLDEST, Part, VERSION};
use super::bytes::{Reader, StateError};
use super::gaps::Hole;
use super::layout::LayoutError;
use super::news::Newsroom;

pub(crate) use super::options::Settings;
pub use super::options::{Emit, Empty, Options, Rollup};

/// A trade as the fold needs it, borrowed from wherever it was read.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub venue: &'a str,
    pub symbol: &'a str,
    pub trade_id: Option<&'a str>,
    pub price: Price,
    pub quantity: Quantity,
    pub side: Option<Side>,
    pub event_time: i64,
    pub backfilled: bool,
    /// Where it stands in its partition.
    pub offset: i64,
}

impl<'a> Input<'a> {
    pub fn of(trade: &'a TradeRef<'_>, offset: i64) -> Self {
        Self {
            venue: &trade.venue,
            symbol: &trade.symbol,
            trade_id: trade.trade_id.as_deref(),
            price: trade.price,
            quantity: trade.quantity,
            side: trade.side,
            event_time: trade.event_time,
            backfilled: trade.backfilled,
            offset,
        }
    }

    pub fn of_owned(trade: &'a Trade, offset: i64) -> Self {
        Self {
            venue: &trade.venue,
            symbol: &trade.symbol,
            trade_id: trade.trade_id.as_deref(),
            price: trade.price,
            quantity: trade.quantity,
            side: trade.side,
            event_time: trade.event_time,
            backfilled: trade.backfilled,
            offset,
        }
    }
}

/// What became of a trade or a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one window took it.
    Folded,
    /// Its id was folded before; a bar of its start was.
    Duplicate,
    /// No window took it: every window that holds it is final.
    Late,
    /// Its time is so near to the end of 64 bits that windows around it have no ends.
    OutOfRange,
    /// An amendment of a trade that was never folded, or is not known any more.
    Unknown,
    /// An amendment of a trade that is kept no more, and that does not say what the trade was: windows that may hold it say `partial`.
    Doubtful,
    /// A bar of a length that no roll-up is asked for.
    NoRollup,
    /// A bar that lies across the border of every window it would belong to.
    Across,
}

/// What the caller knows about now.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The caller's clock.
    pub now: i64,
    /// Everything there is in the partition has been folded.
    pub caught_up: bool,
    /// Nothing more will be folded: close everything. Implies that it is caught up.
    pub ending: bool,
}

/// Counts besides the outcomes; they only grow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Per window of the options: windows that were final when a trade or bar of theirs came, whether or not another window took it.
    pub late_for_window: Vec<u64>,
    /// Per window of the options: bars that lay across its border, whether or not another window took them.
    pub across_window: Vec<u64>,
    /// Windows without a trade that were not told, because too many were told before them.
    pub not_carried: u64,
    /// Trade ids that were forgotten before their time because a symbol had too many.
    pub forgotten_ids: u64,
}

/// Event times reach from 1680 to 2259; beyond, the end of a window of a year could leave 64 bits.
const FURTHEST: i64 = i64::MAX - 1_100 * Interval::DAY.ns();

type Index = HashMap<Box<str>, u32, foldhash::fast::FixedState>;

/// Books that share their settings: those of trades come first, then those of the bars of each length.
struct Shelf {
    settings: Settings,
    index: Index,
}

/// The windows of all symbols of one partition.
pub struct Fold {
    shelves: Vec<Shelf>,
    books: Vec<Book>,
    /// Books with something new since the last tick.
    listed: Vec<u32>,
    /// Books with something new since the last save.
    dirty: Vec<u32>,
    /// Keys of the changelog that belong to no book any more.
    gone: Vec<String>,
    news: Newsroom,
    restoring: bool,
    counts: Counts,
}

/// The shelf of trades.
const TRADES: usize = 0;

impl Fold {
    pub fn new(options: &Options, partition: i32) -> Result<Self, LayoutError> {
        let shelves: Vec<Shelf> = Settings::all(options, partition)?
            .into_iter()
            .map(|settings| Shelf { settings, index: Index::default() })
            .collect();
        let windows = shelves.iter().map(|shelf| shelf.settings.layout.windows.len()).sum();
        let counts = Counts {
            late_for_window: vec![0; windows],
            across_window: vec![0; windows],
            not_carried: 0,
            forgotten_ids: 0,
        };
        let (books, listed, dirty, gone) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let news = Newsroom::new(options.sentiment_ns);
        Ok(Self { shelves, books, listed, dirty, gone, news, restoring: false, counts })
    }

    /// Folds a trade into the windows of its symbol. Records of windows that it closes go to `out`.
    pub fn trade(&mut self, input: &Input<'_>, out: &mut Vec<Metrics>) -> Outcome {
        if !(-FURTHEST..=FURTHEST).contains(&input.event_time) {
            return Outcome::OutOfRange;
        }
        let (at, before) = (self.book(TRADES, input.symbol), out.len());
        let outcome = self.books[at].trade(&self.shelves[TRADES].settings, input, &mut self.counts, out);
        self.news.join(&mut out[before..]);
        if outcome != Outcome::Late {
            self.touch(at);
        }
        outcome
    }

    /// Rolls a bar up into the windows that are asked of bars of its length. Trades of the symbol are another matter: neither moves
    /// the other's watermark.
    pub fn bar(&mut self, bar: &Bar, offset: i64, out: &mut Vec<Metrics>) -> Outcome {
        let Some(shelf) = self.shelves.iter().position(|shelf| shelf.settings.bars == Some(bar.interval)) else {
            return Outcome::NoRollup;
        };
        if bar.start < -FURTHEST || bar.end > FURTHEST {
            return Outcome::OutOfRange;
        }
        let (at, before) = (self.book(shelf, &bar.symbol), out.len());
        let outcome = self.books[at].bar(&self.shelves[shelf].settings, bar, offset, &mut self.counts, out);
        self.news.join(&mut out[before..]);
        if matches!(outcome, Outcome::Folded | Outcome::Duplicate) {
            self.touch(at);
        }
        outcome
    }

    /// Takes a trade back, or corrects it. Windows that held it are told anew with the next tick; their watermark does not move.
    pub fn amend(&mut self, amendment: &Amendment<'_>) -> Outcome {
        if amendment.trade_time.is_some_and(|time| !(-FURTHEST..=FURTHEST).contains(&time)) {
            return Outcome::OutOfRange;
        }
        self.restored();
        let Some(at) = self.shelves[TRADES].index.get(amendment.symbol).map(|at| *at as usize) else {
            return Outcome::Unknown;
        };
        let outcome = self.books[at].amend(&self.shelves[TRADES].settings, amendment, &mut self.counts);
        if matches!(outcome, Outcome::Folded | Outcome::Doubtful) {
            self.touch(at);
        }
        outcome
    }

    /// An item about a symbol: records of windows whose last trade comes after it count it.
    pub fn news(&mut self, news: &News, offset: i64) {
        self.restored();
        let books = self.shelves.iter().filter_map(|shelf| {
            let book = &self.books[*shelf.index.get(news.symbol.as_str())? as usize];
            Some(book.horizon(&shelf.settings))
        });
        let over = books.min();
        self.news.take(news, offset, over);
    }

    /// The stream of a symbol was broken between two event times: its windows of that time say so.
    pub fn gap(&mut self, symbol: &str, hole: Hole) {
        let at = self.book(TRADES, symbol);
        self.books[at].gap(&self.shelves[TRADES].settings, hole);
        self.touch(at);
    }

    /// Lets the clock close, revise and update.
    pub fn tick(&mut self, moment: Moment, out: &mut Vec<Metrics>) {
        self.restored();
        let first = out.len();
        let mut listed = std::mem::take(&mut self.listed);
        listed.retain(|at| {
            let book = &mut self.books[*at as usize];
            let before = out.len();
            book.listed = book.tick(&self.shelves[book.shelf].settings, moment, out);
            if out.len() > before && !book.dirty {
                book.dirty = true;
                self.dirty.push(*at);
            }
            book.listed
        });
        self.listed = listed;
        if moment.ending || moment.caught_up {
            for at in 0..self.books.len() {
                let before = out.len();
                let book = &mut self.books[at];
                book.rest(&self.shelves[book.shelf].settings, moment, out);
                if out.len() > before {
                    self.mark_dirty(at);
                }
            }
        }
        self.news.join(&mut out[first..]);
    }

    /// Hands out every key of the changelog whose value changed since the last call, `None` for a key that is to go.
    pub fn save(&mut self, mut put: impl FnMut(&str, Option<&[u8]>)) {
        self.restored();
        for key in self.gone.drain(..) {
            put(&key, None);
        }
        for at in self.dirty.drain(..) {
            let book = &mut self.books[at as usize];
            book.dirty = false;
            book.save(&self.shelves[book.shelf].settings, &mut put);
        }
        self.news.save(VERSION, &mut put);
    }

    /// Takes back a key of the changelog. Later values of a key replace earlier ones.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let text = String::from_utf8_lossy(key);
        let Key { symbol, bars, part } = Key::parse(&text).ok_or_else(|| StateError::Key(text.to_string()))?;
        let damaged = |_| StateError::Damaged(text.to_string());
        let (mut reader, mut version) = (value.map(Reader::new), VERSION);
        if let Some(reader) = &mut reader {
            version = reader.byte().map_err(damaged)?;
            if !(OLDEST..=VERSION).contains(&version) {
                return Err(StateError::Version { key: text.to_string(), found: version, expected: VERSION });
            }
        }
        if let Part::News = part {
            return self.news.restore(symbol, reader.as_mut()).map_err(damaged);
        }
        let Some(shelf) = self.shelves.iter().position(|shelf| shelf.settings.bars == bars) else {
            // Of a roll-up that this run does not have: it is to go, since bars that come meanwhile would be missing from it.
            self.gone.retain(|gone| *gone != text);
            value.is_some().then(|| self.gone.push(text.into_owned()));
            return Ok(());
        };
        self.restoring = true;
        let at = self.find(shelf, symbol);
        self.books[at].restore(&self.shelves[shelf].settings, part, version, reader.as_mut()).map_err(damaged)
    }

    /// The last key is back: puts everything in order. What comes next would do it by itself.
    pub fn restored(&mut self) {
        if !std::mem::take(&mut self.restoring) {
            return;
        }
        for (at, book) in (0..).zip(&mut self.books) {
            book.restored(&self.shelves[book.shelf].settings);
            // Which books waited for a tick is not saved; one look at each finds out.
            book.listed = true;
            self.listed.push(at);
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many symbols are known; one that has trades and bars counts for each.
    pub fn symbols(&self) -> usize {
        self.books.len()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.books.iter().map(|book| &*book.symbol)
    }

    /// The windows of the options, each once, in the order of [`Counts::late_for_window`].
    pub fn windows(&self) -> impl Iterator<Item = Span> {
        self.shelves.iter().flat_map(|shelf| &shelf.settings.layout.windows).map(|window| window.span)
    }

    /// The hash that records of trades carry as `config`.
    pub fn config(&self) -> &str {
        &self.shelves[TRADES].settings.config
    }

    /// The watermark of a symbol, once it had a trade.
    pub fn watermark(&self, symbol: &str) -> Option<i64> {
        self.watermark_in(TRADES, symbol)
    }

    /// That of its bars of one length.
    pub fn watermark_of_bars(&self, symbol: &str, interval: Interval) -> Option<i64> {
        let shelf = self.shelves.iter().position(|shelf| shelf.settings.bars == Some(interval))?;
        self.watermark_in(shelf, symbol)
    }

    fn watermark_in(&self, shelf: usize, symbol: &str) -> Option<i64> {
        self.books[*self.shelves[shelf].index.get(symbol)? as usize].watermark()
    }

    fn book(&mut self, shelf: usize, symbol: &str) -> usize {
        self.restored();
        self.find(shelf, symbol)
    }

    fn find(&mut self, shelf: usize, symbol: &str) -> usize {
        let Shelf { settings, index } = &mut self.shelves[shelf];
        if let Some(at) = index.get(symbol) {
            return *at as usize;
        }
        let at = self.books.len();
        self.books.push(Book::new(symbol, shelf, settings));
        index.insert(symbol.into(), at as u32);
        at
    }

    fn touch(&mut self, at: usize) {
        let book = &mut self.books[at];
        if !book.listed {
            book.listed = true;
            self.listed.push(at as u32);
        }
        self.mark_dirty(at);
    }

    fn mark_dirty(&mut self, at: usize) {
        let book = &mut self.books[at];
        if !book.dirty {
            book.dirty = true;
            self.dirty.push(at as u32);
        }
    }
}
