//! Prometheus metrics named `finflow_<service>_<name>`, each published at zero from the start.
//!
//! A counter that appears with its first event hides that event from `increase()`. So label values are given when the
//! metric is made, and must be bounded: topic, partition, interval, reason; never a symbol or a trade id.

mod process;

pub use process::cpu_seconds_spent as cpu_seconds;

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, TextEncoder,
};

/// Seconds from 0.5 ms to 30 s.
pub const SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The metrics of one service. Clones share them; asking twice for a name gives the same metric.
#[derive(Clone)]
pub struct Registry {
    service: &'static str,
    inner: prometheus::Registry,
    made: Arc<Mutex<HashMap<String, Box<dyn Any + Send>>>>,
    described: Arc<Mutex<BTreeMap<String, Described>>>,
}

/// What a metric is, for the page that lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub help: String,
    pub labels: Vec<String>,
}

impl Registry {
    pub fn new(service: &'static str) -> Self {
        let inner = prometheus::Registry::new();
        let registry = Registry { service, inner, made: Arc::default(), described: Arc::default() };
        process::register(&registry);
        registry
    }

    pub fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.make(name, "counter", |name| IntCounter::new(name, help))
    }

    /// `values` lists the label values to publish at zero, one slice per series.
    pub fn counters(&self, name: &str, help: &str, labels: &[&str], values: &[&[&str]]) -> IntCounterVec {
        let counters = self.make(name, "counter", |name| IntCounterVec::new(Opts::new(name, help), labels));
        for series in values {
            counters.with_label_values(series);
        }
        counters
    }

    pub fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.make(name, "gauge", |name| IntGauge::new(name, help))
    }

    pub fn gauges(&self, name: &str, help: &str, labels: &[&str], values: &[&[&str]]) -> IntGaugeVec {
        let gauges = self.make(name, "gauge", |name| IntGaugeVec::new(Opts::new(name, help), labels));
        for series in values {
            gauges.with_label_values(series);
        }
        gauges
    }

    pub fn float_gauge(&self, name: &str, help: &str) -> Gauge {
        self.make(name, "gauge", |name| Gauge::new(name, help))
    }

    pub fn float_gauges(&self, name: &str, help: &str, labels: &[&str], values: &[&[&str]]) -> GaugeVec {
        let gauges = self.make(name, "gauge", |name| GaugeVec::new(Opts::new(name, help), labels));
        for series in values {
            gauges.with_label_values(series);
        }
        gauges
    }

    /// See [`SECONDS`] for buckets.
    pub fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        self.make(name, "histogram", |name| {
            Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))
        })
    }

    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        values: &[&[&str]],
        buckets: &[f64],
    ) -> HistogramVec {
        let opts = |name| HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = self.make(name, "histogram", |name| HistogramVec::new(opts(name), labels));
        for series in values {
            histograms.with_label_values(series);
        }
        histograms
    }

    /// Everything as Prometheus text.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        let encoded = TextEncoder::new().encode(&self.inner.gather(), &mut text);
        encoded
            .expect("encoding to memory fails only for a metric without samples, which the registry does not gather");
        String::from_utf8(text).expect("the text encoder writes UTF-8")
    }

    /// Metrics that publish no series yet, whose first event would be hidden.
    pub fn without_series(&self) -> Vec<String> {
        let shown = self.inner.gather();
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let mut silent: Vec<String> = made.keys().cloned().collect();
        silent.retain(|name| !shown.iter().any(|family| family.name() == name));
        silent.sort();
        silent
    }

    /// Every metric that was made, whether it has a series or not, by name.
    pub fn described(&self) -> Vec<Described> {
        self.described.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    fn make<M, F>(&self, name: &str, kind: &'static str, make: F) -> M
    where
        M: Collector + Clone + Send + 'static,
        F: FnOnce(String) -> prometheus::Result<M>,
    {
        let full = format!("finflow_{}_{name}", self.service);
        self.make_as(full, kind, make)
    }

    /// For the few names that are not of a service.
    fn make_as<M, F>(&self, full: String, kind: &'static str, make: F) -> M
    where
        M: Collector + Clone + Send + 'static,
        F: FnOnce(String) -> prometheus::Result<M>,
    {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = made.get(&full) {
            let same: Option<&M> = earlier.downcast_ref();
            return same.unwrap_or_else(|| panic!("the metric {full} is made twice with two types")).clone();
        }
        let metric = make(full.clone()).unwrap_or_else(|error| panic!("the metric {full} is malformed: {error}"));
        self.register(kind, Box::new(metric.clone()));
        made.insert(full, Box::new(metric.clone()));
        metric
    }

    fn register(&self, kind: &'static str, collector: Box<dyn Collector>) {
        let mut described = self.described.lock().unwrap_or_else(PoisonError::into_inner);
        for desc in collector.desc() {
            let (name, help, labels) = (desc.fq_name.clone(), desc.help.clone(), desc.variable_labels.clone());
            described.insert(name.clone(), Described { name, kind, help, labels });
        }
        self.inner.register(collector).expect("names are unique: they are looked up before");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_without_series_is_found() {
        let registry = Registry::new("aggregate");
        registry.counter("commits_total", "Commits.");
        let records = registry.counters("records_total", "Records.", &["outcome"], &[]);
        assert_eq!(registry.without_series(), ["finflow_aggregate_records_total"]);
        records.with_label_values(&["folded"]);
        assert_eq!(registry.without_series(), Vec::<String>::new());
    }

    #[test]
    fn series_are_published_at_zero_under_the_services_name() {
        let registry = Registry::new("aggregate");
        registry.counter("commits_total", "Commits.");
        registry.counters("records_total", "Records.", &["outcome"], &[&["folded"], &["late"]]);
        registry.histogram("commit_seconds", "Time of a commit.", SECONDS);
        let text = registry.render();
        for line in [
            "finflow_aggregate_commits_total 0",
            "finflow_aggregate_records_total{outcome=\"folded\"} 0",
            "finflow_aggregate_records_total{outcome=\"late\"} 0",
            "finflow_aggregate_commit_seconds_count 0",
            "# HELP finflow_aggregate_commits_total Commits.",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }

    #[test]
    fn a_metric_is_described_before_it_has_a_series() {
        let registry = Registry::new("aggregate");
        registry.gauges("lag_records", "Behind.", &["topic", "partition"], &[]);
        let described = registry.described();
        let lag = described.iter().find(|metric| metric.name == "finflow_aggregate_lag_records").expect("it was made");
        assert_eq!((lag.kind, lag.help.as_str()), ("gauge", "Behind."));
        assert_eq!(lag.labels, ["topic", "partition"]);
        assert!(described.iter().any(|metric| metric.name == "process_open_fds"));
    }

    #[test]
    fn a_name_asked_for_twice_is_one_metric() {
        let registry = Registry::new("store");
        registry.counter("commits_total", "Commits.").inc();
        registry.clone().counter("commits_total", "Commits.").inc();
        assert!(registry.render().contains("finflow_store_commits_total 2\n"));
    }

    #[test]
    fn two_services_in_one_process_share_nothing() {
        let (store, alert) = (Registry::new("store"), Registry::new("alert"));
        store.counter("commits_total", "Commits.").inc();
        assert!(!alert.render().contains("commits_total"));
    }
}
