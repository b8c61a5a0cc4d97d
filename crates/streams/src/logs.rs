//! librdkafka's log lines become tracing events, and a broker that is away is told once, not at each redial.
//!
//! All clients of a service share one [`Link`]: it knows which brokers do not answer, for one WARN per broker and
//! outage, and for the health check `kafka`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::RDKafkaLogLevel;

/// A broker that has not failed for this long, while something else went well, is taken to be back. Longer than
/// librdkafka's longest pause between redials.
const QUIET: Duration = Duration::from_secs(6);

/// Which brokers do not answer. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Link(Arc<State>);

#[derive(Debug, Default)]
struct State {
    any_down: AtomicBool,
    down: Mutex<BTreeMap<String, Outage>>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    last: Instant,
    reason: String,
}

impl Link {
    fn failed(&self, broker: &str, reason: &str) {
        let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(outage) = down.get_mut(broker) {
            outage.last = now;
            tracing::debug!(broker, reason, "broker still away");
            return;
        }
        down.insert(broker.to_owned(), Outage { since: now, last: now, reason: reason.to_owned() });
        self.0.any_down.store(true, Ordering::Relaxed);
        tracing::warn!(broker, reason, "broker does not answer, trying again until it does");
    }

    /// Something came from a broker. Costs a load while all is well.
    pub(crate) fn works(&self) {
        if self.0.any_down.load(Ordering::Relaxed) {
            self.forget_recovered();
        }
    }

    fn forget_recovered(&self) {
        let mut down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        down.retain(|broker, outage| {
            let back = outage.last.elapsed() >= QUIET;
            if back {
                let away = outage.last.duration_since(outage.since);
                tracing::info!(%broker, ?away, "broker answers again");
            }
            !back
        });
        self.0.any_down.store(!down.is_empty(), Ordering::Relaxed);
    }

    /// Adds the health check `kafka`.
    pub(crate) fn register(&self, health: &harness::Health) {
        let link = self.clone();
        health.check("kafka", move || link.check());
    }

    fn check(&self) -> Result<(), String> {
        if !self.0.any_down.load(Ordering::Relaxed) {
            return Ok(());
        }
        let down = self.0.down.lock().unwrap_or_else(PoisonError::into_inner);
        match down.iter().next() {
            Some((broker, outage)) => Err(format!("{broker} does not answer: {}", outage.reason)),
            None => Ok(()),
        }
    }
}

/// Where one client's log lines go.
#[derive(Debug, Clone)]
pub(crate) struct Logs {
    client: &'static str,
    link: Link,
}

impl Logs {
    pub(crate) fn new(client: &'static str, link: &Link) -> Self {
        Logs { client, link: link.clone() }
    }

    pub(crate) fn line(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let client = self.client;
        match (facility.trim(), level) {
            ("FAIL" | "ERROR", _) => self.connection(message),
            // Options for consumers given to a producer and the like: the one map `kafka.librdkafka` serves all.
            ("CONFWARN", _) => tracing::debug!(client, "librdkafka: {message}"),
            (
                _,
                RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error,
            ) => {
                tracing::error!(client, facility, "librdkafka: {message}");
            }
            (_, RDKafkaLogLevel::Warning) => tracing::warn!(client, facility, "librdkafka: {message}"),
            _ => tracing::debug!(client, facility, "librdkafka: {message}"),
        }
    }

    /// An error that concerns the client as a whole, such as "all brokers down".
    pub(crate) fn error(&self, code: i32, reason: &str) {
        tracing::debug!(client = self.client, code, "librdkafka: {reason}");
        self.connection(reason);
    }

    pub(crate) fn works(&self) {
        self.link.works();
    }

    fn connection(&self, message: &str) {
        match failed_broker(message) {
            Some((broker, reason)) => self.link.failed(broker, reason),
            None => tracing::debug!(client = self.client, "librdkafka: {message}"),
        }
    }
}

/// Broker and reason out of `[thrd:…]: 127.0.0.1:9092/1: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (…)`.
fn failed_broker(message: &str) -> Option<(&str, &str)> {
    let message = match message.strip_prefix("[thrd:") {
        Some(rest) => rest.split_once("]: ")?.1,
        None => message,
    };
    let (broker, reason) = message.split_once(": ")?;
    let address = broker.split_once("://").map_or(broker, |(_, address)| address);
    let address = address.split_once('/').map_or(address, |(address, _)| address);
    let port = address.rsplit_once(':')?.1;
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The counts at the end differ from line to line and help nobody.
    Some((address, reason.split_once(" (after ").map_or(reason, |(reason, _)| reason)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_connection_names_broker_and_reason() {
        let line = "[thrd:127.0.0.1:9/bootstrap]: 127.0.0.1:9/bootstrap: Connect to ipv4#127.0.0.1:9 failed: \
                    Connection refused (after 0ms in state CONNECT, 3 identical error(s) suppressed)";
        let reason = "Connect to ipv4#127.0.0.1:9 failed: Connection refused";
        assert_eq!(failed_broker(line), Some(("127.0.0.1:9", reason)));
        assert_eq!(failed_broker("sasl_ssl://kafka:9093/1: Disconnected"), Some(("kafka:9093", "Disconnected")));
        assert_eq!(failed_broker("[thrd:app]: 1/1 brokers are down"), None);
    }

    #[test]
    fn a_broker_is_down_until_it_has_been_quiet() {
        let link = Link::default();
        link.failed("kafka:9092", "Connection refused");
        link.works();
        assert_eq!(link.check(), Err("kafka:9092 does not answer: Connection refused".to_owned()));
        link.0.down.lock().unwrap().get_mut("kafka:9092").unwrap().last -= QUIET;
        link.works();
        assert_eq!(link.check(), Ok(()));
    }
}
