//! What is worth knowing, logged and counted in one place.

use std::cell::Cell;

use harness::Registry;
use harness::prom::{IntCounter, IntCounterVec};
use market::{Alert, AlertState, DecodeError};
use streams::Record;
use tracing::{info, warn};

use crate::rule::Rule;

/// Of records set aside, so many are told one by one.
const FIRST_WARNINGS: u64 = 20;

pub struct Observe {
    alerts: IntCounterVec,
    alien_state: IntCounter,
    /// Records set aside with a warning so far.
    warned: Cell<u64>,
}

impl Observe {
    pub fn new(registry: &Registry, rules: &[Rule]) -> Self {
        let states = AlertState::ALL;
        let series: Vec<[&str; 2]> =
            rules.iter().flat_map(|rule| states.iter().map(|state| [rule.name.as_str(), state.as_str()])).collect();
        Observe {
            alerts: registry.counters(
                "alerts_total",
                "Alerts raised, by rule and state. One that a crash undoes and raises again counts twice.",
                &["rule", "state"],
                &series.iter().map(<[&str; 2]>::as_slice).collect::<Vec<_>>(),
            ),
            alien_state: registry.counter(
                "alien_state_records_total",
                "Records of the state topic that are none of ours; they are passed over.",
            ),
            warned: Cell::new(0),
        }
    }

    pub fn alert(&self, alert: &Alert) {
        self.alerts.with_label_values(&[alert.rule.as_str(), alert.state.as_str()]).inc();
        info!(rule = alert.rule, symbol = alert.symbol, state = %alert.state, value = %alert.value, "alert");
    }

    /// A key that is none of ours holds nothing of ours: the state is whole without it.
    pub fn alien_state(&self, partition: i32, key: &str) {
        self.alien_state.inc();
        warn!(partition, key, "passed over a record of the state topic that is not ours");
    }

    /// A producer that has gone wrong must not drown the log: after the first few, each doubling is worth a line.
    pub fn invalid(&self, record: &Record<'_>, error: &DecodeError) {
        let count = self.warned.get() + 1;
        self.warned.set(count);
        if count <= FIRST_WARNINGS || count.is_power_of_two() {
            warn!(?record, reason = error.reason.as_str(), detail = %error.detail, count, "set a record aside that is no metrics");
        }
    }
}
