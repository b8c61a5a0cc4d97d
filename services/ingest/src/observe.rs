//! What is worth knowing about ingest: counted here, logged here.

pub mod live;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::Registry;
use harness::prom::{Gauge, GaugeVec, Histogram, IntCounter, IntCounterVec, IntGauge};
use market::{Event, Kind};

use crate::reel::Reel;
use crate::sources::{Bad, IGNORED, REASONS};
use crate::summary::{FeedSummary, Summary};

/// Counters are brought up to date this often: per batch, not per row.
const PUBLISH_EVERY: Duration = Duration::from_millis(250);

const KINDS: usize = Kind::ALL.len();

/// Every metric of this service beside those of its Kafka clients.
pub struct Metrics {
    read: IntCounter,
    read_bytes: IntCounter,
    skipped: IntCounter,
    resumed: IntCounter,
    ignored: IntCounterVec,
    invalid: IntCounterVec,
    events: IntCounterVec,
    event_lag: Gauge,
    skew: GaugeVec,
    feeds_running: IntGauge,
    feeds_failed: IntCounter,
    checkpoints: IntCounter,
    checkpoint_seconds: Histogram,
}

/// The clocks of the feeds.
fn skew<'a>(registry: &Registry, feeds: impl Iterator<Item = &'a str>) -> GaugeVec {
    let names: Vec<[&str; 1]> = feeds.map(|name| [name]).collect();
    let help = "Least time from a trade to its receipt in the last five to ten minutes. Below zero our clock, or that of the recorder, is behind.";
    registry.float_gauges("feed_skew_seconds", help, &["feed"], &names.iter().map(|name| &name[..]).collect::<Vec<_>>())
}

impl Metrics {
    pub fn new<'a>(registry: &Registry, feeds: impl Iterator<Item = &'a str>) -> Self {
        let kinds: Vec<[&str; 1]> = Kind::ALL.iter().map(|kind| [kind.as_str()]).collect();
        let reasons: Vec<[&str; 1]> = reasons().into_iter().map(|reason| [reason]).collect();
        Metrics {
            read: registry.counter("lines_total", "Lines, frames and list items read."),
            read_bytes: registry.counter("read_bytes_total", "Bytes read from files, compressed where they are."),
            skipped: registry
                .counter("skipped_lines_total", "Lines passed over because an earlier run had finished with them."),
            resumed: registry
                .counter("resumed_events_total", "Events found in Kafka from an earlier run, not written again."),
            ignored: registry.counters(
                "ignored_lines_total",
                "Well-formed messages that are no event, by kind of message.",
                &["kind"],
                &IGNORED.each_ref().map(std::slice::from_ref),
            ),
            invalid: registry.counters(
                "invalid_lines_total",
                "Texts that could not be read, by reason.",
                &["reason"],
                &reasons.iter().map(|series| &series[..]).collect::<Vec<_>>(),
            ),
            events: registry.counters(
                "events_total",
                "Events handed to the producer, by kind.",
                &["kind"],
                &kinds.iter().map(|series| &series[..]).collect::<Vec<_>>(),
            ),
            event_lag: registry.float_gauge("event_lag_seconds", "Age of the event written last, by its event time."),
            skew: skew(registry, feeds),
            feeds_running: registry.gauge("feeds_running", "Feeds that have not ended."),
            feeds_failed: registry.counter("feeds_failed_total", "Feeds that could not be read, or not to their end."),
            checkpoints: registry.counter("checkpoints_total", "Checkpoints written."),
            checkpoint_seconds: registry.histogram(
                "checkpoint_seconds",
                "Time to have everything acknowledged and a checkpoint written.",
                harness::SECONDS,
            ),
        }
    }
}

/// Every reason a text can be refused for, ours and those of `market`.
pub fn reasons() -> Vec<&'static str> {
    let mut all = REASONS.to_vec();
    all.extend(market::Reason::ALL.iter().map(|reason| reason.as_str()).filter(|reason| !REASONS.contains(reason)));
    all
}

/// The running counts. Cheap per row; the maps are made when asked for.
pub struct Tally {
    metrics: Metrics,
    read: u64,
    skipped: u64,
    lines: u64,
    resumed: u64,
    dead_lettered: u64,
    events: [u64; KINDS],
    produced: Vec<u64>,
    ignored: Vec<(&'static str, u64)>,
    invalid: Vec<(&'static str, u64)>,
    last_event: Option<i64>,
    started: Instant,
    published: Published,
}

/// What the counters show already.
struct Published {
    at: Instant,
    read: u64,
    bytes: u64,
    skipped: u64,
    resumed: u64,
    events: [u64; KINDS],
    ignored: BTreeMap<&'static str, u64>,
    invalid: BTreeMap<&'static str, u64>,
}

impl Tally {
    pub fn new(metrics: Metrics, partitions: i32) -> Self {
        Tally {
            metrics,
            read: 0,
            skipped: 0,
            lines: 0,
            resumed: 0,
            dead_lettered: 0,
            events: Default::default(),
            produced: vec![0; usize::try_from(partitions).unwrap_or(0)],
            ignored: Vec::new(),
            invalid: Vec::new(),
            last_event: None,
            started: Instant::now(),
            published: Published {
                at: Instant::now(),
                read: 0,
                bytes: 0,
                skipped: 0,
                resumed: 0,
                events: Default::default(),
                ignored: BTreeMap::new(),
                invalid: BTreeMap::new(),
            },
        }
    }

    pub fn read(&mut self) {
        self.read += 1;
    }

    pub fn rows(&self) -> u64 {
        self.read
    }

    pub fn skipped(&mut self) {
        self.skipped += 1;
    }

    pub fn line(&mut self) {
        self.lines += 1;
    }

    pub fn ignored(&mut self, kind: &'static str) {
        bump(&mut self.ignored, kind);
    }

    pub fn resumed(&mut self) {
        self.resumed += 1;
    }

    pub fn produced(&mut self, event: &Event, partition: i32) {
        self.events[event.kind() as usize] += 1;
        if let Some(count) = usize::try_from(partition).ok().and_then(|partition| self.produced.get_mut(partition)) {
            *count += 1;
        }
        self.last_event = event.event_time();
    }

    /// Counts a bad text; the first of each reason is said with its place, the others are in the dead letters.
    pub fn invalid(&mut self, reel: &Reel, bad: &Bad) {
        if bump(&mut self.invalid, bad.reason) == 1 {
            tracing::warn!(
                feed = reel.feed.name,
                line = reel.piece.line,
                reason = bad.reason,
                detail = %bad.detail,
                "bad row, sent to the dead letters (said once per reason)"
            );
        }
    }

    pub fn dead_lettered(&mut self) {
        self.dead_lettered += 1;
    }

    /// Brings the counters up to date if it is time.
    pub fn publish(&mut self, reels: &[Reel], now: i64, force: bool) {
        if !force && self.published.at.elapsed() < PUBLISH_EVERY {
            return;
        }
        let bytes: u64 = reels.iter().map(Reel::bytes).sum();
        let shown = &mut self.published;
        shown.at = Instant::now();
        let metrics = &self.metrics;
        step(&metrics.read, self.read, &mut shown.read);
        step(&metrics.read_bytes, bytes, &mut shown.bytes);
        step(&metrics.skipped, self.skipped, &mut shown.skipped);
        step(&metrics.resumed, self.resumed, &mut shown.resumed);
        for (kind, (count, shown)) in Kind::ALL.iter().zip(self.events.iter().zip(&mut shown.events)) {
            step(&metrics.events.with_label_values(&[kind.as_str()]), *count, shown);
        }
        for (kind, count) in &self.ignored {
            step(&metrics.ignored.with_label_values(&[*kind]), *count, shown.ignored.entry(kind).or_default());
        }
        for (reason, count) in &self.invalid {
            step(&metrics.invalid.with_label_values(&[*reason]), *count, shown.invalid.entry(reason).or_default());
        }
        for reel in reels {
            metrics.skew.with_label_values(&[&reel.feed.name]).set(reel.skew.seconds());
        }
        if let Some(at) = self.last_event {
            metrics.event_lag.set(now.saturating_sub(at) as f64 / 1e9);
        }
        let running = reels.iter().filter(|reel| !reel.has_ended()).count();
        metrics.feeds_running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    pub fn checkpointed(&self, took: Duration) {
        self.metrics.checkpoints.inc();
        self.metrics.checkpoint_seconds.observe(took.as_secs_f64());
    }

    pub fn feed_failed(&self, name: &str, error: &str) {
        self.metrics.feeds_failed.inc();
        tracing::error!(feed = name, error, "feed failed, what was read of it is used");
    }

    pub fn summary(&self, reels: &[Reel], failed: &[FeedSummary]) -> Summary {
        let words = |counts: &[(&'static str, u64)]| counts.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
        let kinds = Kind::ALL.iter().zip(&self.events).filter(|(_, count)| **count > 0);
        let mut feeds: Vec<FeedSummary> = reels.iter().map(Reel::summary).collect();
        feeds.extend_from_slice(failed);
        Summary {
            read: self.read,
            bytes: reels.iter().map(Reel::bytes).sum(),
            skipped: self.skipped,
            lines: self.lines,
            ignored: words(&self.ignored),
            invalid: words(&self.invalid),
            events: kinds.map(|(kind, count)| (kind.as_str().to_owned(), *count)).collect(),
            produced: (0..).zip(self.produced.iter().copied()).collect(),
            resumed: self.resumed,
            dead_lettered: self.dead_lettered,
            feeds,
            seconds: self.started.elapsed().as_secs_f64(),
        }
    }
}

fn step(counter: &IntCounter, now: u64, shown: &mut u64) {
    counter.inc_by(now - *shown);
    *shown = now;
}

fn bump(counts: &mut Vec<(&'static str, u64)>, word: &'static str) -> u64 {
    match counts.iter_mut().find(|(known, _)| *known == word) {
        Some((_, count)) => {
            *count += 1;
            *count
        }
        None => {
            counts.push((word, 1));
            1
        }
    }
}
