//! All symbols of one partition: the way in and out of the windows.
//!
//! In: trades and gaps in the order of the partition, and the caller's clock. Out: an [`Outcome`] per trade, [`Metrics`] records,
//! and the changelog's keys and values. Pure: the same calls give the same answers, and a fold that was saved and restored between
//! two calls gives them too.

use std::collections::HashMap;

use crate::event::Side;
use crate::interval::{Interval, Span};
use crate::metrics::Metrics;
use crate::price::{Price, Quantity};

use super::book::{Book, Part, VERSION};
use super::bytes::{Reader, StateError};
use super::layout::{Layout, LayoutError};

/// When records are told besides the final ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emit {
    /// When a window closes, and when a late trade revises it.
    #[default]
    OnClose,
    /// While a window is open, no more often than the throttle, and when it is final.
    OnUpdate,
    Both,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub windows: Vec<Span>,
    /// How far behind the latest trade of its symbol a trade may come and still be in time.
    pub out_of_orderness_ns: i64,
    /// How long after its end, by event time, a window still takes trades.
    pub lateness_ns: i64,
    /// How long, beyond the lateness, a symbol must be silent before the clock closes its windows.
    pub idle_ns: i64,
    pub emit: Emit,
    /// The shortest time between two updates of one symbol.
    pub throttle_ns: i64,
}

impl Default for Options {
    fn default() -> Self {
        let hop =
            Span::hopping(Interval::from_ns(5 * Interval::MINUTE.ns()).unwrap_or(Interval::MINUTE), Interval::MINUTE);
        Self {
            windows: [Some(Span::tumbling(Interval::MINUTE)), hop].into_iter().flatten().collect(),
            out_of_orderness_ns: 2 * Interval::SECOND.ns(),
            lateness_ns: 0,
            idle_ns: 5 * Interval::SECOND.ns(),
            emit: Emit::default(),
            throttle_ns: Interval::SECOND.ns(),
        }
    }
}

/// [`Options`] worked out, for one partition.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub layout: Layout,
    pub partition: i32,
    pub out_of_orderness: i64,
    pub lateness: i64,
    pub idle: i64,
    pub emit: Emit,
    pub throttle: i64,
    /// Ids of trades are kept in stretches of this length.
    pub bucket: i64,
    /// Long tails are saved in stretches of this length.
    pub slot: i64,
    /// A hash of what decides over the content of records.
    pub config: String,
}

impl Settings {
    fn new(options: &Options, partition: i32) -> Result<Self, LayoutError> {
        let layout = Layout::new(&options.windows)?;
        let longest = layout.grids.iter().max_by_key(|g| g.longest).map_or(Interval::MINUTE.ns(), |g| g.pane);
        let lateness = options.lateness_ns.max(0);
        let out_of_orderness = options.out_of_orderness_ns.max(0);
        Ok(Self {
            partition,
            out_of_orderness,
            lateness,
            idle: options.idle_ns.max(0),
            emit: options.emit,
            throttle: options.throttle_ns.max(0),
            bucket: longest,
            slot: (out_of_orderness.saturating_add(lateness) / 16).max(1_000_000),
            config: config_hash(&layout, out_of_orderness, lateness),
            layout,
        })
    }
}

/// Eight bytes in hexadecimal over what decides the content of final records: windows, out-of-orderness, lateness. Not over what
/// only decides when they are told.
fn config_hash(layout: &Layout, out_of_orderness: i64, lateness: i64) -> String {
    let mut text = format!("v1 out_of_orderness={out_of_orderness} lateness={lateness}");
    for window in &layout.windows {
        text.push_str(&format!(" {}", window.span));
    }
    let hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

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

/// What became of a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one window took it.
    Folded,
    /// Its id was folded before.
    Duplicate,
    /// No window took it: every window that holds it is final.
    Late,
    /// Its time is so near to the end of 64 bits that windows around it have no ends.
    OutOfRange,
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
    /// Per window of the options: windows that were final when a trade of theirs came, whether or not another window took it.
    pub late_for_window: Vec<u64>,
    /// Trade ids that were forgotten before their time because a symbol had too many.
    pub forgotten_ids: u64,
}

/// Event times reach from 1680 to 2259; beyond, the end of a window of a year could leave 64 bits.
const FURTHEST: i64 = i64::MAX - 1_100 * Interval::DAY.ns();

type Index = HashMap<Box<str>, u32, foldhash::fast::FixedState>;

/// The windows of all symbols of one partition.
pub struct Fold {
    settings: Settings,
    books: Vec<Book>,
    index: Index,
    /// Books with something new since the last tick.
    listed: Vec<u32>,
    /// Books with something new since the last save.
    dirty: Vec<u32>,
    restoring: bool,
    counts: Counts,
}

impl Fold {
    pub fn new(options: &Options, partition: i32) -> Result<Self, LayoutError> {
        let settings = Settings::new(options, partition)?;
        let counts = Counts { late_for_window: vec![0; settings.layout.windows.len()], forgotten_ids: 0 };
        Ok(Self {
            settings,
            books: Vec::new(),
            index: Index::default(),
            listed: Vec::new(),
            dirty: Vec::new(),
            restoring: false,
            counts,
        })
    }

    /// Folds a trade into the windows of its symbol. Records of windows that it closes go to `out`.
    pub fn trade(&mut self, input: &Input<'_>, out: &mut Vec<Metrics>) -> Outcome {
        if !(-FURTHEST..=FURTHEST).contains(&input.event_time) {
            return Outcome::OutOfRange;
        }
        let at = self.book(input.symbol);
        let outcome = self.books[at].trade(&self.settings, input, &mut self.counts, out);
        if outcome != Outcome::Late {
            self.touch(at);
        }
        outcome
    }

    /// The stream of a symbol was broken between two event times: its windows of that time say so.
    pub fn gap(&mut self, symbol: &str, from: i64, to: i64) {
        let at = self.book(symbol);
        self.books[at].gap(&self.settings, from, to);
        self.touch(at);
    }

    /// Lets the clock close, revise and update.
    pub fn tick(&mut self, moment: Moment, out: &mut Vec<Metrics>) {
        self.restored();
        let mut listed = std::mem::take(&mut self.listed);
        listed.retain(|at| {
            let book = &mut self.books[*at as usize];
            let before = out.len();
            book.listed = book.tick(&self.settings, moment, out);
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
                self.books[at].rest(&self.settings, moment, out);
                if out.len() > before {
                    self.mark_dirty(at);
                }
            }
        }
    }

    /// Hands out every key of the changelog whose value changed since the last call, `None` for a key that is to go.
    pub fn save(&mut self, mut put: impl FnMut(&str, Option<&[u8]>)) {
        self.restored();
        for at in self.dirty.drain(..) {
            let book = &mut self.books[at as usize];
            book.dirty = false;
            book.save(&self.settings, &mut put);
        }
    }

    /// Takes back a key of the changelog. Later values of a key replace earlier ones.
    pub fn restore(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), StateError> {
        let text = String::from_utf8_lossy(key);
        let (symbol, part) = Part::parse(&text).ok_or_else(|| StateError::Key(text.to_string()))?;
        let damaged = |_| StateError::Damaged(text.to_string());
        let mut reader = value.map(Reader::new);
        if let Some(reader) = &mut reader {
            let found = reader.byte().map_err(damaged)?;
            if found != VERSION {
                return Err(StateError::Version { key: text.to_string(), found, expected: VERSION });
            }
        }
        self.restoring = true;
        let at = self.find(symbol);
        self.books[at].restore(&self.settings, part, reader.as_mut()).map_err(damaged)
    }

    /// The last key is back: puts everything in order. What comes next would do it by itself.
    pub fn restored(&mut self) {
        if !std::mem::take(&mut self.restoring) {
            return;
        }
        for (at, book) in (0..).zip(&mut self.books) {
            book.restored(&self.settings);
            // Which books waited for a tick is not saved; one look at each finds out.
            book.listed = true;
            self.listed.push(at);
        }
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How many symbols are known.
    pub fn symbols(&self) -> usize {
        self.books.len()
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.books.iter().map(|book| &*book.symbol)
    }

    /// The windows of the options, each once, in the order of [`Counts::late_for_window`].
    pub fn windows(&self) -> impl Iterator<Item = Span> {
        self.settings.layout.windows.iter().map(|window| window.span)
    }

    /// The hash that records carry as `config`.
    pub fn config(&self) -> &str {
        &self.settings.config
    }

    /// The watermark of a symbol, once it had a trade.
    pub fn watermark(&self, symbol: &str) -> Option<i64> {
        self.books[*self.index.get(symbol)? as usize].watermark()
    }

    fn book(&mut self, symbol: &str) -> usize {
        self.restored();
        self.find(symbol)
    }

    fn find(&mut self, symbol: &str) -> usize {
        if let Some(at) = self.index.get(symbol) {
            return *at as usize;
        }
        let at = self.books.len();
        self.books.push(Book::new(symbol, &self.settings));
        self.index.insert(symbol.into(), at as u32);
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
