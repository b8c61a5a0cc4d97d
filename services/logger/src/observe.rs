//! What is worth knowing, logged and counted in one place.

use std::collections::HashSet;
use std::time::Duration;

use harness::Registry;
use harness::prom::{Gauge, IntCounter, IntCounterVec};
use market::DecodeError;
use streams::Record;
use tracing::{info, warn};

use crate::decode;
use crate::tally::{Checks, Summary};

/// A log line per symbol or record stops being news after so many.
const WARNINGS: usize = 20;

pub struct Metrics {
    records: IntCounterVec,
    invalid: IntCounterVec,
    violations: IntCounterVec,
    lines: IntCounterVec,
    bytes: IntCounter,
    event_lag: Gauge,
    moved: HashSet<String>,
    invalid_logged: usize,
    published: Summary,
}

impl Metrics {
    pub fn new(registry: &Registry) -> Self {
        let reasons: Vec<[&str; 1]> = decode::reasons().map(|reason| [reason]).collect();
        let checks: Vec<[&str; 1]> = Checks::default().all().iter().map(|(name, _)| [*name]).collect();
        Metrics {
            records: registry.counters(
                "records_total",
                "Records read, by outcome.",
                &["outcome"],
                &[&["seen"], &["invalid"]],
            ),
            invalid: registry.counters(
                "invalid_total",
                "Records that could not be read, by reason.",
                &["reason"],
                &reasons.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>(),
            ),
            violations: registry.counters(
                "order_violations_total",
                "Records that failed a check of order, partition or key.",
                &["check"],
                &checks.iter().map(<[&str; 1]>::as_slice).collect::<Vec<_>>(),
            ),
            lines: registry.counters(
                "lines_total",
                "Lines printed, and left out because of the limit.",
                &["result"],
                &[&["printed"], &["left_out"]],
            ),
            bytes: registry.counter("read_bytes_total", "Bytes of the values read."),
            event_lag: registry.float_gauge("event_lag_seconds", "Age of the last record by its event time."),
            moved: HashSet::new(),
            invalid_logged: 0,
            published: Summary::default(),
        }
    }

    /// Adds what has come since the last call. Called per turn of the clock, not per record.
    pub fn publish(&mut self, now_ns: i64, last_event_time: Option<i64>, summary: &Summary) {
        let before = std::mem::replace(&mut self.published, summary.clone());
        self.records.with_label_values(&["seen"]).inc_by(summary.seen - before.seen);
        self.records.with_label_values(&["invalid"]).inc_by(summary.invalid_total() - before.invalid_total());
        for (reason, count) in &summary.invalid {
            let earlier = before.invalid.get(reason).copied().unwrap_or(0);
            self.invalid.with_label_values(&[reason]).inc_by(count - earlier);
        }
        for ((name, count), (_, earlier)) in summary.checks.all().iter().zip(before.checks.all()) {
            self.violations.with_label_values(&[name]).inc_by(count - earlier);
        }
        self.lines.with_label_values(&["printed"]).inc_by(summary.printed - before.printed);
        self.lines.with_label_values(&["left_out"]).inc_by(summary.not_printed - before.not_printed);
        self.bytes.inc_by(summary.bytes - before.bytes);
        if let Some(time) = last_event_time {
            self.event_lag.set(now_ns.saturating_sub(time) as f64 / 1e9);
        }
    }

    /// A symbol on two partitions has no order: a producer uses another partitioner, or the topic has grown.
    pub fn moved(&mut self, symbol: &str, from: i32, record: &Record<'_>) {
        if self.moved.len() < WARNINGS && self.moved.insert(symbol.to_owned()) {
            let (topic, to) = (record.topic, record.partition);
            warn!(symbol, topic, from, to, "one symbol on two partitions, is every producer using murmur2_random?");
        }
    }

    pub fn invalid(&mut self, record: &Record<'_>, error: &DecodeError) {
        self.invalid_logged += 1;
        if self.invalid_logged <= WARNINGS {
            warn!(?record, reason = error.reason.as_str(), detail = %error.detail, "cannot read a record");
        }
    }
}

/// Counts since the start and rates since the last report.
pub fn report(summary: &Summary, before: &Summary, since: Duration, lag: i64) {
    let seconds = since.as_secs_f64().max(1e-9);
    let per_second = ((summary.records - before.records) as f64 / seconds).round();
    let kib_per_second = ((summary.bytes - before.bytes) as f64 / 1024.0 / seconds).round();
    let Summary { records, symbols, not_printed, checks, .. } = summary;
    let out_of_order = checks.time_backwards + checks.id_backwards;
    info!(
        records,
        per_second,
        kib_per_second,
        lag,
        symbols,
        invalid = summary.invalid_total(),
        out_of_order,
        moved = checks.moved_partition,
        not_printed,
        "seen so far"
    );
}
