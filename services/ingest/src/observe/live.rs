//! What is worth knowing about live feeds, by feed.

use harness::Registry;
use harness::prom::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use market::{GapCause, Kind};

use super::reasons;
use crate::sources::IGNORED;
use crate::venues::poll::Refusal;

/// Why a connection ends.
const ENDS: [&str; 9] =
    ["closed", "handshake", "silence", "unacknowledged", "refused", "too_fast", "key_in_use", "planned", "leaving"];

/// What becomes of a gap that could be filled.
const BACKFILLS: [&str; 5] = ["filled", "partial", "failed", "too_large", "busy"];

/// What a venue limits.
const LIMITS: [&str; 2] = ["connects", "sends"];

#[derive(Clone)]
pub struct Metrics {
    names: Vec<String>,
    frames: IntCounterVec,
    ended: IntCounterVec,
    gaps: IntCounterVec,
    duplicates: IntCounterVec,
    before: IntCounterVec,
    dropped: IntCounterVec,
    surrendered: IntCounterVec,
    shares: IntGaugeVec,
    backfills: IntCounterVec,
    backfilled: IntCounterVec,
    requests: IntCounterVec,
    symbols_changed: IntCounterVec,
    symbols_refused: IntCounterVec,
    recorded: IntCounterVec,
    recordings_failed: IntCounterVec,
    unserved: IntGaugeVec,
    silent: IntGaugeVec,
    tokens: IntGaugeVec,
    skew: GaugeVec,
    ignored: IntCounterVec,
    invalid: IntCounterVec,
    /// By kind, in the order of all kinds.
    events: Vec<IntCounter>,
    lag: Gauge,
    pub queued: IntGauge,
    pub spilled: IntGauge,
    pub spills_failed: IntCounter,
}

/// Those of one feed.
#[derive(Clone)]
pub struct FeedMetrics {
    name: String,
    pub frames: IntCounter,
    pub duplicates: IntCounter,
    pub before: IntCounter,
    pub dropped: IntCounter,
    pub surrendered: IntCounter,
    pub shares: IntGauge,
    pub backfilled: IntCounter,
    pub symbols_changed: IntCounter,
    pub symbols_refused: IntCounter,
    pub recorded: IntCounter,
    pub recordings_failed: IntCounter,
    pub unserved: IntGauge,
    pub silent: IntGauge,
    pub connects_left: IntGauge,
    pub sends_left: IntGauge,
    /// Those of all feeds: whoever writes to Kafka cannot say how much waits for it while he waits himself.
    queued: IntGauge,
    spilled: IntGauge,
    pub skew: Gauge,
    pub ignored: IntCounterVec,
    invalid: IntCounterVec,
    ended: IntCounterVec,
    gaps: IntCounterVec,
    backfills: IntCounterVec,
    requests: IntCounterVec,
}

impl Metrics {
    pub fn new<'a>(registry: &Registry, feeds: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<String> = feeds.map(str::to_owned).collect();
        let each: Vec<[&str; 1]> = names.iter().map(|name| [name.as_str()]).collect();
        let each: Vec<&[&str]> = each.iter().map(<[&str; 1]>::as_slice).collect();
        let with = |words: &[&'static str]| -> Vec<Vec<&str>> {
            names.iter().flat_map(|name| words.iter().map(move |word| vec![name.as_str(), word])).collect()
        };
        let causes: Vec<&'static str> = GapCause::ALL.iter().map(|cause| cause.as_str()).collect();
        let outcomes: Vec<&'static str> = std::iter::once("taken").chain(Refusal::OUTCOMES).collect();
        let (ends, causes, backfills) = (with(&ENDS), with(&causes), with(&BACKFILLS));
        let (outcomes, limits) = (with(&outcomes), with(&LIMITS));
        let limits: Vec<&[&str]> = limits.iter().map(Vec::as_slice).collect();
        let outcomes: Vec<&[&str]> = outcomes.iter().map(Vec::as_slice).collect();
        let backfills: Vec<&[&str]> = backfills.iter().map(Vec::as_slice).collect();
        let ends: Vec<&[&str]> = ends.iter().map(Vec::as_slice).collect();
        let causes: Vec<&[&str]> = causes.iter().map(Vec::as_slice).collect();
        let kinds: Vec<[&str; 1]> = Kind::ALL.iter().map(|kind| [kind.as_str()]).collect();
        let reasons: Vec<[&str; 1]> = reasons().into_iter().map(|reason| [reason]).collect();
        let counters = |name: &str, help: &str| registry.counters(name, help, &["feed"], &each);
        let events = registry.counters(
            "events_total",
            "Events handed to the producer, by kind.",
            &["kind"],
            &kinds.iter().map(|series| &series[..]).collect::<Vec<_>>(),
        );
        Metrics {
            frames: counters("feed_frames_total", "Frames read from live venues; answers, of polled ones."),
            ended: registry.counters(
                "feed_connections_ended_total",
                "Connections to live venues that ended, by reason.",
                &["feed", "reason"],
                &ends,
            ),
            gaps: registry.counters(
                "feed_gaps_total",
                "Gaps declared in the streams of symbols, by cause.",
                &["feed", "cause"],
                &causes,
            ),
            duplicates: counters(
                "feed_duplicates_total",
                "Trades that had come before, told by their ids; of polled venues anything that had.",
            ),
            before: counters("feed_earlier_trades_total", "Trades of before the first subscription, not written."),
            dropped: counters("feed_dropped_events_total", "Events dropped since Kafka was away for too long."),
            surrendered: counters(
                "feed_surrendered_events_total",
                "Events not written, since another process has taken the feed over meanwhile; its gap says so.",
            ),
            shares: registry.gauges(
                "feed_shares",
                "Shares of a feed that this process reads; 0: it stands by.",
                &["feed"],
                &each,
            ),
            backfills: registry.counters(
                "feed_backfills_total",
                "Gaps that a venue was to be asked about, by what became of them. Only `filled` is one no more.",
                &["feed", "outcome"],
                &backfills,
            ),
            backfilled: counters("feed_backfilled_trades_total", "Trades fetched by REST that filled a gap."),
            requests: registry.counters(
                "feed_requests_total",
                "Requests to polled venues, by what they answered.",
                &["feed", "outcome"],
                &outcomes,
            ),
            symbols_changed: counters("feed_symbol_changes_total", "Changes of a feed's symbols while it ran."),
            symbols_refused: counters(
                "feed_symbol_changes_refused_total",
                "Changes of a feed's symbols that make no sense, by its file or by the admin port.",
            ),
            recorded: counters("feed_recorded_bytes_total", "Text of recordings that was written, before compression."),
            recordings_failed: counters(
                "feed_recordings_failed_total",
                "Recordings that ended before their feed, since the disk was too slow or full.",
            ),
            unserved: registry.gauges(
                "feed_unserved_symbols",
                "Symbols that are wanted and not served at the moment; requests, of polled venues.",
                &["feed"],
                &each,
            ),
            silent: registry.gauges(
                "feed_silent_symbols",
                "Symbols that are served and from which nothing has come for unusually long.",
                &["feed"],
                &each,
            ),
            skew: super::skew(registry, names.iter().map(String::as_str)),
            tokens: registry.gauges(
                "feed_tokens_left",
                "Handshakes (`connects`) and messages (`sends`) that the venue's limits allow at once, over all connections of the feed.",
                &["feed", "limit"],
                &limits,
            ),
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
            events: Kind::ALL.iter().map(|kind| events.with_label_values(&[kind.as_str()])).collect(),
            lag: registry.float_gauge("event_lag_seconds", "Age of the event written last, by its event time."),
            queued: registry.gauge("feed_queued_bytes", "Memory of events that wait for Kafka."),
            spilled: registry.gauge("feed_spilled_bytes", "Events that wait for Kafka on disk (`live.spill`)."),
            spills_failed: registry.counter(
                "feed_spills_failed_total",
                "Times the disk took nothing of what waits for Kafka; it is not tried again.",
            ),
            names,
        }
    }

    pub fn of(&self, feed: usize) -> FeedMetrics {
        let name = self.names[feed].clone();
        FeedMetrics {
            frames: self.frames.with_label_values(&[&name]),
            duplicates: self.duplicates.with_label_values(&[&name]),
            before: self.before.with_label_values(&[&name]),
            dropped: self.dropped.with_label_values(&[&name]),
            surrendered: self.surrendered.with_label_values(&[&name]),
            shares: self.shares.with_label_values(&[&name]),
            backfilled: self.backfilled.with_label_values(&[&name]),
            symbols_changed: self.symbols_changed.with_label_values(&[&name]),
            symbols_refused: self.symbols_refused.with_label_values(&[&name]),
            recorded: self.recorded.with_label_values(&[&name]),
            recordings_failed: self.recordings_failed.with_label_values(&[&name]),
            unserved: self.unserved.with_label_values(&[&name]),
            silent: self.silent.with_label_values(&[&name]),
            skew: self.skew.with_label_values(&[&name]),
            queued: self.queued.clone(),
            spilled: self.spilled.clone(),
            connects_left: self.tokens.with_label_values(&[name.as_str(), LIMITS[0]]),
            sends_left: self.tokens.with_label_values(&[name.as_str(), LIMITS[1]]),
            ignored: self.ignored.clone(),
            invalid: self.invalid.clone(),
            ended: self.ended.clone(),
            gaps: self.gaps.clone(),
            backfills: self.backfills.clone(),
            requests: self.requests.clone(),
            name,
        }
    }

    /// So many of this kind have been written.
    pub fn events(&self, kind: Kind, count: u64) {
        if let Some(at) = Kind::ALL.iter().position(|known| *known == kind) {
            self.events[at].inc_by(count);
        }
    }

    /// How old the latest of them was.
    pub fn age(&self, age_ns: i64) {
        self.lag.set(age_ns as f64 / 1e9);
    }
}

impl FeedMetrics {
    /// How many of this reason there have been.
    pub fn invalid(&self, reason: &str) -> u64 {
        let counter = self.invalid.with_label_values(&[reason]);
        counter.inc();
        counter.get()
    }

    /// Bytes that wait for Kafka, in memory and on disk.
    pub fn waiting(&self, (queued, spilled): (usize, u64)) {
        self.queued.set(i64::try_from(queued).unwrap_or(i64::MAX));
        self.spilled.set(i64::try_from(spilled).unwrap_or(i64::MAX));
    }

    pub fn ended(&self, reason: &str) {
        self.ended.with_label_values(&[&self.name, reason]).inc();
        tracing::info!(feed = self.name, reason, "connection over, the next one follows");
    }

    pub fn backfill(&self, outcome: &str) {
        self.backfills.with_label_values(&[self.name.as_str(), outcome]).inc();
    }

    /// A polled venue has answered.
    pub fn answered(&self, outcome: &str) {
        self.requests.with_label_values(&[self.name.as_str(), outcome]).inc();
    }

    pub fn gap(&self, cause: GapCause) {
        self.gaps.with_label_values(&[self.name.as_str(), cause.as_str()]).inc();
    }
}
