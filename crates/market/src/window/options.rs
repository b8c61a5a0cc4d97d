//! What is asked of the windows, and that worked out.

use std::sync::Arc;

use crate::average::Average;
use crate::calendar::Calendar;
use crate::interval::Interval;
use crate::span::Span;

use super::layout::{Layout, LayoutError};

/// The most windows without a trade that are told in a row: an hour of seconds. A silence of years is no flood.
pub(crate) const MOST_CARRIED: usize = 3_600;

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

/// What is told of windows without a trade.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// Nothing.
    #[default]
    None,
    /// The last price, without volume: `window/book/carry.rs`.
    Carry,
}

/// The windows that bars of one length are rolled up into.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollup {
    /// Their length.
    pub bars: Interval,
    pub windows: Vec<Span>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of trades.
    pub windows: Vec<Span>,
    /// Of bars, by their length.
    pub rollups: Vec<Rollup>,
    /// Those that windows name, beside the one that is built in.
    pub calendars: Vec<Arc<Calendar>>,
    /// How far behind the latest trade of its symbol a trade may come and still be in time.
    pub out_of_orderness_ns: i64,
    /// How long after its end, by event time, a window still takes trades.
    pub lateness_ns: i64,
    /// How long, beyond the lateness, a symbol must be silent before the clock closes its windows.
    pub idle_ns: i64,
    pub emit: Emit,
    pub empty: Empty,
    /// Moving averages of the closing prices of each kind of window.
    pub averages: Vec<Average>,
    /// How far after its receive time a trade may claim to be. The caller keeps to it; here it is part of the configuration, since it
    /// decides over what is folded.
    pub future_tolerance_ns: i64,
    /// The shortest time between two updates of one symbol.
    pub throttle_ns: i64,
    /// Records say what the news of this long before the end of their window came to; 0: nothing.
    pub sentiment_ns: i64,
}

impl Default for Options {
    fn default() -> Self {
        let hop =
            Span::hopping(Interval::from_ns(5 * Interval::MINUTE.ns()).unwrap_or(Interval::MINUTE), Interval::MINUTE);
        Self {
            windows: [Some(Span::tumbling(Interval::MINUTE)), hop].into_iter().flatten().collect(),
            rollups: vec![Rollup { bars: Interval::DAY, windows: vec![Span::WEEK, Span::MONTH] }],
            calendars: Vec::new(),
            out_of_orderness_ns: 2 * Interval::SECOND.ns(),
            lateness_ns: 0,
            idle_ns: 5 * Interval::SECOND.ns(),
            emit: Emit::default(),
            empty: Empty::default(),
            averages: Vec::new(),
            future_tolerance_ns: 5 * Interval::SECOND.ns(),
            throttle_ns: Interval::SECOND.ns(),
            sentiment_ns: Interval::DAY.ns(),
        }
    }
}

impl Options {
    /// Whether windows like these can be served.
    pub fn check(&self) -> Result<(), LayoutError> {
        Settings::all(self, 0).map(drop)
    }
}

/// [`Options`] worked out, for one partition, for trades or for the bars of one length.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub layout: Layout,
    /// The length of the bars, where it is bars.
    pub bars: Option<Interval>,
    /// The place of the first window among those of all settings.
    pub first_window: usize,
    pub partition: i32,
    pub out_of_orderness: i64,
    pub lateness: i64,
    pub idle: i64,
    pub emit: Emit,
    /// Windows without a trade are told.
    pub carries: bool,
    pub averages: Vec<Average>,
    future_tolerance: i64,
    pub throttle: i64,
    sentiment: i64,
    /// Ids of trades are kept in stretches of this length.
    pub bucket: i64,
    /// Long tails are saved in stretches of this length.
    pub slot: i64,
    /// A hash of what decides over the content of records.
    pub config: String,
}

impl Settings {
    /// Those of trades, then those of each roll-up.
    pub fn all(options: &Options, partition: i32) -> Result<Vec<Self>, LayoutError> {
        let mut layouts = vec![(None, Layout::new(&options.windows, &options.calendars)?)];
        for rollup in &options.rollups {
            if layouts.iter().any(|(bars, _)| *bars == Some(rollup.bars)) {
                return Err(LayoutError::RollupTwice(rollup.bars));
            }
            layouts.push((Some(rollup.bars), Layout::of_bars(rollup.bars, &rollup.windows, &options.calendars)?));
        }
        let mut spans: Vec<Span> = Vec::new();
        let mut all = Vec::new();
        for (bars, layout) in layouts {
            let first_window = spans.len();
            for window in &layout.windows {
                if spans[..first_window].contains(&window.span) {
                    return Err(LayoutError::Twice(window.span));
                }
                spans.push(window.span);
            }
            all.push(Self::new(options, partition, bars, layout, first_window));
        }
        Ok(all)
    }

    fn new(options: &Options, partition: i32, bars: Option<Interval>, layout: Layout, first_window: usize) -> Self {
        let longest = layout.grids.iter().max_by_key(|g| g.longest).map_or(Interval::MINUTE.ns(), |g| g.pane);
        let lateness = options.lateness_ns.max(0);
        let out_of_orderness = options.out_of_orderness_ns.max(0);
        let mut settings = Self {
            layout,
            bars,
            first_window,
            partition,
            out_of_orderness,
            lateness,
            idle: options.idle_ns.max(0),
            emit: options.emit,
            future_tolerance: options.future_tolerance_ns.max(0),
            averages: once(&options.averages),
            carries: options.empty == Empty::Carry,
            throttle: options.throttle_ns.max(0),
            sentiment: options.sentiment_ns.max(0),
            bucket: longest.min(Interval::DAY.ns()),
            slot: (out_of_orderness.saturating_add(lateness) / 16).max(1_000_000),
            config: String::new(),
        };
        settings.config = settings.hash();
        settings
    }

    /// Eight bytes in hexadecimal over what decides the content of final records: windows and their calendars, out-of-orderness, lateness, what is from the future. Not over
    /// what only decides when they are told.
    fn hash(&self) -> String {
        let mut text = format!(
            "v1 out_of_orderness={} lateness={} future_tolerance={}",
            self.out_of_orderness, self.lateness, self.future_tolerance
        );
        if let Some(interval) = self.bars {
            text.push_str(&format!(" bars={interval}"));
        }
        if self.carries {
            text.push_str(&format!(" carry={MOST_CARRIED}"));
        }
        // The hash of before there was news stays that of its default.
        if self.sentiment != Interval::DAY.ns() {
            text.push_str(&format!(" sentiment={}", self.sentiment));
        }
        for average in &self.averages {
            text.push_str(&format!(" {average}"));
        }
        for window in &self.layout.windows {
            text.push_str(&format!(" {}", window.span));
            if let Some(hash) = window.calendar_hash() {
                text.push_str(&format!(":{hash:016x}"));
            }
        }
        let hash =
            text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3));
        format!("{hash:016x}")
    }
}

/// Each average once, in the order given.
fn once(averages: &[Average]) -> Vec<Average> {
    let mut once: Vec<Average> = Vec::new();
    averages.iter().for_each(|average| {
        if !once.contains(average) {
            once.push(*average)
        }
    });
    once
}
