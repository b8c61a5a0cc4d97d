//! What is worth knowing, logged and counted in one place.

use harness::Registry;
use harness::prom::IntCounterVec;
use market::{Alert, AlertState, DecodeError};
use streams::Record;
use tracing::{info, warn};

use crate::rule::Rule;

pub struct Observe {
    alerts: IntCounterVec,
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
        }
    }

    pub fn alert(&self, alert: &Alert) {
        self.alerts.with_label_values(&[alert.rule.as_str(), alert.state.as_str()]).inc();
        info!(rule = alert.rule, symbol = alert.symbol, state = %alert.state, value = %alert.value, "alert");
    }

    pub fn invalid(&self, record: &Record<'_>, error: &DecodeError) {
        warn!(?record, reason = error.reason.as_str(), detail = %error.detail, "cannot read a record of metrics");
    }
}
