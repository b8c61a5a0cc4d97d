//! What a transactional stage tells of itself. Only committed work is counted, so an abort leaves no trace.

use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec};

use super::Settings;
use super::ledger::{Counts, Outcome};
use crate::dead_letters;
use crate::env::Env;

pub(super) struct Metrics {
    records: IntCounterVec,
    emitted: IntCounterVec,
    dead_letters: IntCounterVec,
    transactions: IntCounterVec,
    pub(super) commit_seconds: Histogram,
    pub(super) restored: IntCounter,
    pub(super) undecided: Gauge,
}

impl Metrics {
    pub(super) fn new(env: &Env, settings: &Settings) -> Self {
        let m = &env.metrics;
        let outcomes = Outcome::ALL.map(|outcome| [outcome.as_str()]);
        let outcomes: Vec<&[&str]> = outcomes.iter().map(<[&str; 1]>::as_slice).collect();
        let topics: Vec<[&str; 1]> =
            settings.outputs.iter().chain([&settings.dead_letters]).map(|topic| [topic.as_str()]).collect();
        let topics: Vec<&[&str]> = topics.iter().map(<[&str; 1]>::as_slice).collect();
        let results: [&[&str]; 5] = [&["committed"], &["aborted"], &["stale"], &["lost"], &["unknown"]];
        Metrics {
            records: m.counters("records_total", "Records committed, by what became of them.", &["outcome"], &outcomes),
            emitted: m.counters("emitted_records_total", "Records committed to outputs.", &["topic"], &topics),
            dead_letters: dead_letters::counter(env, &settings.reasons),
            transactions: m.counters(
                "transactions_total",
                "Transactions by their end; all but the committed ones are tried again or read again.",
                &["result"],
                &results,
            ),
            commit_seconds: m.histogram(
                "commit_seconds",
                "Time from the start of a commit to Kafka's answer.",
                harness::SECONDS,
            ),
            restored: m.counter("restored_records_total", "Records read from the changelog to restore state."),
            undecided: m.float_gauge(
                "input_undecided_seconds",
                "For how long an open transaction has hidden the end of a partition of the input: what is behind it is not \
                 read, and the clock closes no window there. Longest of all partitions.",
            ),
        }
    }

    pub(super) fn outcomes(&self, counts: &Counts) {
        for outcome in Outcome::ALL {
            self.records.with_label_values(&[outcome.as_str()]).inc_by(counts.get(outcome));
        }
    }

    pub(super) fn emitted(&self, topic: &str, count: u64) {
        self.emitted.with_label_values(&[topic]).inc_by(count);
    }

    pub(super) fn dead_letter(&self, reason: &str) {
        self.dead_letters.with_label_values(&[reason]).inc();
    }

    pub(super) fn transaction(&self, result: &str) {
        self.transactions.with_label_values(&[result]).inc();
    }
}
