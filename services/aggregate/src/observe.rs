//! What is worth knowing, logged and counted in one place. Outcomes are counted by `streams::stateful`.

use harness::Registry;
use harness::prom::{Gauge, IntCounter, IntCounterVec, IntGaugeVec};
use market::{DecodeError, Span};
use streams::Record;
use tracing::warn;

/// A log line per record stops being news after so many.
const WARNINGS: u64 = 20;

pub struct Observe {
    late_for_window: IntCounterVec,
    misplaced: IntCounter,
    symbols: IntGaugeVec,
    event_lag: Gauge,
    watermark_lag: Gauge,
    windows: Vec<String>,
    warned: u64,
}

impl Observe {
    pub fn new(registry: &Registry, windows: &[Span]) -> Self {
        let windows: Vec<String> = windows.iter().map(ToString::to_string).collect();
        let series: Vec<[&str; 1]> = windows.iter().map(|window| [window.as_str()]).collect();
        Observe {
            late_for_window: registry.counters(
                "late_for_window_total",
                "Trades that came after a window of theirs was final, whether or not another took them.",
                &["window"],
                &series.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>(),
            ),
            misplaced: registry.counter(
                "symbols_misplaced_total",
                "Symbols seen on a second partition: their windows are told twice, each with a part of the trades.",
            ),
            symbols: registry.gauges("symbols", "Symbols with state, by partition.", &["partition"], &[]),
            event_lag: registry.float_gauge("event_lag_seconds", "Age of the last trade by its event time."),
            watermark_lag: registry
                .float_gauge("watermark_lag_seconds", "Age of the watermark of the last trade's symbol."),
            windows,
            warned: 0,
        }
    }

    /// Called per tick of a partition, not per record.
    pub fn tick(&self, partition: i32, symbols: usize, now_ns: i64, last: Option<(i64, i64)>) {
        let symbols = i64::try_from(symbols).unwrap_or(i64::MAX);
        self.symbols.with_label_values(&[partition.to_string().as_str()]).set(symbols);
        if let Some((event_time, watermark)) = last {
            self.event_lag.set(now_ns.saturating_sub(event_time) as f64 / 1e9);
            self.watermark_lag.set(now_ns.saturating_sub(watermark) as f64 / 1e9);
        }
    }

    /// By window, how many more trades came too late for it.
    pub fn late_for_window(&self, more: impl Iterator<Item = u64>) {
        for (window, more) in self.windows.iter().zip(more) {
            self.late_for_window.with_label_values(&[window.as_str()]).inc_by(more);
        }
    }

    pub fn misplaced(&mut self, symbol: &str, from: i32, record: &Record<'_>) {
        self.misplaced.inc();
        warn!(
            symbol,
            from,
            to = record.partition,
            "one symbol on two partitions, is every producer using murmur2_random?"
        );
    }

    pub fn invalid(&mut self, record: &Record<'_>, error: &DecodeError) {
        self.refused(record, error.reason.as_str(), &error.detail);
    }

    /// Also kept as a dead letter: the log need not have them all.
    pub fn refused(&mut self, record: &Record<'_>, reason: &str, detail: &str) {
        self.warned += 1;
        if self.warned <= WARNINGS {
            warn!(
                topic = record.topic,
                partition = record.partition,
                offset = record.offset,
                reason,
                detail,
                "dead letter"
            );
        }
    }
}
