//! Each event worth knowing, logged and counted.

use harness::Registry;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::Summary;
use crate::error::ApiError;
use crate::wire::{Pipeline, Size};

/// What the records read can be, as labels and in the summary.
pub(crate) const ROLES: [&str; 4] = ["events", "metrics", "alerts", "dead_letters"];

#[derive(Clone)]
pub(crate) struct Metrics {
    records: IntCounterVec,
    invalid: IntCounterVec,
    requests: IntCounter,
    refused: IntCounterVec,
    streams_opened: IntCounter,
    streams: IntGauge,
    connections: IntGauge,
    connections_refused: IntCounter,
    stalled: IntCounter,
    lagged: IntCounter,
    probes_failed: IntCounter,
    group_lag: IntGaugeVec,
    view: IntGaugeVec,
    view_refused: IntGauge,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry, groups: &[&str]) -> Self {
        let roles: Vec<[&str; 1]> = ROLES.iter().map(|role| [*role]).collect();
        let roles: Vec<&[&str]> = roles.iter().map(|role| &role[..]).collect();
        let labels: Vec<[&str; 1]> = ApiError::LABELS.iter().map(|label| [*label]).collect();
        let labels: Vec<&[&str]> = labels.iter().map(|label| &label[..]).collect();
        let stages: Vec<[&str; 1]> = groups.iter().map(|stage| [*stage]).collect();
        let stages: Vec<&[&str]> = stages.iter().map(|stage| &stage[..]).collect();
        Metrics {
            records: registry.counters("records_total", "Records read, by what they are.", &["role"], &roles),
            invalid: registry.counters(
                "invalid_records_total",
                "Records that could not be decoded; they stay in their topic.",
                &["role"],
                &roles,
            ),
            requests: registry.counter("http_requests_total", "Requests answered."),
            refused: registry.counters(
                "http_refused_total",
                "Requests answered with an error, by kind.",
                &["reason"],
                &labels,
            ),
            streams_opened: registry.counter("streams_opened_total", "Event streams opened."),
            streams: registry.gauge("streams", "Event streams open now."),
            connections: registry.gauge("connections", "Connections open now."),
            connections_refused: registry.counter("connections_refused_total", "Connections beyond the limits."),
            stalled: registry.counter("clients_stalled_total", "Clients let go as they took nothing for too long."),
            lagged: registry.counter("rounds_merged_total", "Rounds that slow clients were given as one."),
            probes_failed: registry.counter("probes_failed_total", "Looks at offsets that Kafka did not answer."),
            group_lag: registry.gauges(
                "group_lag_records",
                "Records between the committed position of a stage and the end, as the page shows it.",
                &["stage"],
                &stages,
            ),
            view: registry.gauges(
                "view_items",
                "What is held in memory.",
                &["kind"],
                &[&["symbols"], &["series"], &["bars"]],
            ),
            view_refused: registry.gauge("view_refused_items", "Records that found no room in memory."),
        }
    }

    pub(crate) fn read(&self, role: &str) {
        self.records.with_label_values(&[role]).inc();
    }

    /// Somebody's producer writes what we cannot read. The stage that consumes the topic sends it to the dead letters;
    /// here it is only counted, so a line per record would say it twice.
    pub(crate) fn invalid(&self, role: &str, topic: &str, partition: i32, offset: i64, reason: &dyn std::fmt::Display) {
        self.invalid.with_label_values(&[role]).inc();
        tracing::debug!(topic, partition, offset, %reason, "skipped a record that cannot be decoded");
    }

    pub(crate) fn answered(&self, error: Option<&ApiError>) {
        self.requests.inc();
        if let Some(error) = error {
            self.refused.with_label_values(&[error.label()]).inc();
        }
    }

    pub(crate) fn stream_opened(&self, open: usize) {
        self.streams_opened.inc();
        self.streams_now(open);
    }

    pub(crate) fn streams_now(&self, open: usize) {
        self.streams.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(crate) fn connections_now(&self, open: usize) {
        self.connections.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    pub(crate) fn client_stalled(&self) {
        self.stalled.inc();
        tracing::debug!("let go of a client that takes nothing");
    }

    pub(crate) fn lagged(&self, rounds: u64) {
        self.lagged.inc_by(rounds);
    }

    pub(crate) fn probe_failed(&self, error: &dyn std::fmt::Display) {
        self.probes_failed.inc();
        tracing::debug!(%error, "kafka did not say where the topics end");
    }

    pub(crate) fn probed(&self, pipeline: &Pipeline, size: Size) {
        for group in &pipeline.groups {
            if let Some(lag) = group.lag {
                self.group_lag.with_label_values(&[&group.stage]).set(lag);
            }
        }
        for (kind, count) in [("symbols", size.symbols), ("series", size.series), ("bars", size.bars)] {
            self.view.with_label_values(&[kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.view_refused.set(i64::try_from(size.refused).unwrap_or(i64::MAX));
    }

    pub(crate) fn summary(&self) -> Summary {
        let read = |role: &str| self.records.with_label_values(&[role]).get();
        Summary {
            events: read("events"),
            metrics: read("metrics"),
            alerts: read("alerts"),
            dead_letters: read("dead_letters"),
            invalid: ROLES.iter().map(|role| self.invalid.with_label_values(&[role]).get()).sum(),
            requests: self.requests.get(),
            streams: self.streams_opened.get(),
        }
    }
}
