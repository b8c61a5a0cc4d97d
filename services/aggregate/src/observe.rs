//! What is worth knowing, logged and counted in one place. The loop counts records, emissions and commits itself.

use std::cell::Cell;
use std::collections::BTreeMap;

use harness::Registry;
use harness::prom::{Gauge, IntCounter, IntCounterVec};
use streams::Record;
use tracing::{debug, warn};

use crate::config::Config;

/// Of records set aside, so many are told one by one.
const FIRST_WARNINGS: u64 = 20;

/// No roll-up is asked for bars of this length.
pub const NO_ROLLUP: &str = "no_rollup";
/// The bar lies across the border of every window.
pub const ACROSS: &str = "across";

pub struct Observe {
    late_for_window: IntCounterVec,
    across_window: IntCounterVec,
    unfolded_bars: IntCounterVec,
    not_carried: IntCounter,
    forgotten_ids: IntCounter,
    moved_symbols: IntCounter,
    alien_state: IntCounter,
    event_lag: Gauge,
    watermark_lag: Gauge,
    out_of_orderness_ns: i64,
    /// Records set aside with a warning so far.
    warned: Cell<u64>,
}

impl Observe {
    pub fn new(config: &Config, registry: &Registry) -> Self {
        let windows = windows(config);
        let series: Vec<[&str; 1]> = windows.iter().map(|window| [window.as_str()]).collect();
        Observe {
            late_for_window: registry.counters(
                "late_for_window_total",
                "Windows that were final when a trade or bar of theirs came, whether or not another window took it. After \
                 a crash what came since the last commit counts twice.",
                &["window"],
                &series.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>(),
            ),
            across_window: registry.counters(
                "bars_across_window_total",
                "Bars that lay across the border of the window, which does not have them, whether or not another window \
                 took them.",
                &["window"],
                &series.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>(),
            ),
            unfolded_bars: registry.counters(
                "unfolded_bars_total",
                "Bars that no window took: no roll-up is asked for their length, or they lie across every border.",
                &["reason"],
                &[&[NO_ROLLUP], &[ACROSS]],
            ),
            not_carried: registry.counter(
                "windows_not_carried_total",
                "Windows without a trade that were not told although `empty` is carry: too many in a row.",
            ),
            forgotten_ids: registry.counter(
                "forgotten_trade_ids_total",
                "Trade ids forgotten before their time because a symbol has too many: copies of them would pass.",
            ),
            moved_symbols: registry.counter(
                "moved_symbols_total",
                "Symbols seen on a second partition: their windows are split. Producers disagree about the partitioner.",
            ),
            alien_state: registry.counter(
                "alien_state_records_total",
                "Records of the state topic whose key is none of ours; they are passed over.",
            ),
            event_lag: registry.float_gauge(
                "event_lag_seconds",
                "Wall clock minus the latest event time folded, over all partitions.",
            ),
            watermark_lag: registry.float_gauge(
                "watermark_lag_seconds",
                "Wall clock minus the watermark of the symbol that is furthest: what ended before it is closed.",
            ),
            out_of_orderness_ns: config.out_of_orderness.as_ns(),
            warned: Cell::new(0),
        }
    }

    /// A key that is none of ours holds nothing of ours: the state is whole without it.
    pub fn alien_state(&self, partition: i32, key: &str) {
        self.alien_state.inc();
        warn!(partition, key, "passed over a record of the state topic that is not ours");
    }

    pub fn invalid(&self, record: &Record<'_>, reason: &str, detail: &str) {
        if let Some(count) = self.news() {
            warn!(?record, reason, detail, count, "set a record aside that is none of the market");
        }
    }

    pub fn future(&self, record: &Record<'_>, symbol: &str, ahead_ns: i64) {
        if let Some(count) = self.news() {
            warn!(?record, symbol, ahead_s = ahead_ns / 1_000_000_000, count, "set a record from the future aside");
        }
    }

    /// A producer that has gone wrong must not drown the log: after the first few, each doubling is worth a line. All of them
    /// are dead letters, and counted.
    fn news(&self) -> Option<u64> {
        let count = self.warned.get() + 1;
        self.warned.set(count);
        (count <= FIRST_WARNINGS || count.is_power_of_two()).then_some(count)
    }

    pub fn late(&self, record: &Record<'_>, symbol: &str, behind_ns: i64) {
        debug!(?record, symbol, behind_ms = behind_ns / 1_000_000, "set a late trade aside");
    }

    pub fn moved(&self, symbol: &str, partitions: (i32, i32)) {
        self.moved_symbols.inc();
        warn!(symbol, from = partitions.0, to = partitions.1, "a symbol is on two partitions, its windows are split");
    }

    pub fn late_windows(&self, window: &str, count: u64) {
        self.late_for_window.with_label_values(&[window]).inc_by(count);
    }

    pub fn across_windows(&self, window: &str, count: u64) {
        self.across_window.with_label_values(&[window]).inc_by(count);
    }

    pub fn unfolded_bar(&self, record: &Record<'_>, symbol: &str, reason: &str) {
        self.unfolded_bars.with_label_values(&[reason]).inc();
        debug!(?record, symbol, reason, "passed over a bar");
    }

    pub fn not_carried(&self, count: u64) {
        self.not_carried.inc_by(count);
    }

    pub fn forgotten(&self, count: u64) {
        if count > 0 {
            self.forgotten_ids.inc_by(count);
            warn!(count, "forgot trade ids of a symbol that has too many, copies of them would pass");
        }
    }

    pub fn lag(&self, now_ns: i64, latest_ns: Option<i64>) {
        if let Some(latest) = latest_ns {
            let lag = now_ns.saturating_sub(latest);
            self.event_lag.set(lag as f64 / 1e9);
            self.watermark_lag.set(lag.saturating_add(self.out_of_orderness_ns) as f64 / 1e9);
        }
    }

    /// The counters by window, for the summary.
    pub fn late_by_window(&self, config: &Config) -> BTreeMap<String, u64> {
        let count = |window: &str| self.late_for_window.with_label_values(&[window]).get();
        windows(config).into_iter().map(|window| (window.clone(), count(&window))).collect()
    }
}

/// Of trades and of bars.
fn windows(config: &Config) -> Vec<String> {
    config
        .windows
        .iter()
        .chain(config.rollups.iter().flat_map(|rollup| &rollup.windows))
        .map(ToString::to_string)
        .collect()
}
