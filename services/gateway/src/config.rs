//! Settings of the gateway.

use std::net::SocketAddr;

use harness::{ByteSize, Common, Duration, Flag};
use serde::{Deserialize, Serialize};
use streams::{KafkaConfig, topic};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(flatten)]
    pub common: Common,
    pub kafka: KafkaConfig,
    pub http: SocketAddr,
    pub hosts: Vec<String>,
    pub proxies: usize,
    pub input: String,
    pub metrics: String,
    pub alerts: String,
    pub dead_letters: String,
    pub groups: Vec<Group>,
    pub view: View,
    pub limits: Limits,
}

/// A stage as seen from outside: its consumer group and the topics that the group reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub stage: String,
    pub group: String,
    pub topics: Vec<String>,
    /// A lag of this long is how the stage works.
    #[serde(default = "patience")]
    pub patience: Duration,
}

fn patience() -> Duration {
    Duration::from_secs(10)
}

/// How much is remembered, all of it in memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct View {
    pub replay: u32,
    pub symbols: usize,
    pub bars: usize,
    pub bars_total: usize,
    pub alerts: usize,
    pub sparkline_step: Duration,
    pub tick: Duration,
    pub probe: Duration,
    pub rounds: usize,
    pub rounds_size: ByteSize,
}

/// What strangers may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_client: usize,
    pub streams: usize,
    pub streams_per_client: usize,
    pub requests_per_second: u32,
    pub burst: u32,
    pub request_timeout: Duration,
    pub stall_timeout: Duration,
}

const DOCS: &[(&str, &str)] = &[
    ("http", "Address of the page and the API. Loopback, unless they are meant for others; then set `hosts` too."),
    (
        "hosts",
        "Names the page may be asked for by, such as finflow.example.org. Empty: on a loopback address only loopback \
         names, so that no web page can reach it by a name of its own; elsewhere any.",
    ),
    (
        "proxies",
        "How many proxies of yours stand in front: the client is then the n-th address from the right in \
         X-Forwarded-For. 0 ignores that header, as anybody can write it.",
    ),
    ("input", "Topic of the events."),
    ("metrics", "Topic of the metrics."),
    ("alerts", "Topic of the alerts."),
    ("dead_letters", "Topic of the dead letters. They are counted, and their reasons shown, never their content."),
    (
        "groups",
        "Consumer groups whose lag is shown: `stage` (what the page calls it), `group`, the `topics` it reads, and the `patience` \
         beyond which a lag is worth a warning.",
    ),
    ("view.replay", "Records per partition that are read again at start, so that a fresh page has a history."),
    ("view.symbols", "Symbols shown; records of more are counted as refused."),
    ("view.bars", "Bars kept per symbol and window."),
    ("view.bars_total", "Bars kept in all, about 400 bytes each; with many symbols each keeps fewer."),
    ("view.alerts", "Alerts kept."),
    ("view.sparkline_step", "Event time between two of the sixty points of a sparkline."),
    ("view.tick", "Time between two rounds of events to the clients. A price is sent at most once per round."),
    ("view.probe", "Time between two looks at offsets and lag."),
    ("view.rounds", "Rounds kept for clients that are slower than that or come back; what is older is merged."),
    ("view.rounds_size", "Memory that these rounds may take."),
    ("limits.connections", "Open connections."),
    ("limits.connections_per_client", "Open connections of one address (IPv6: of one /64)."),
    ("limits.streams", "Open event streams."),
    ("limits.streams_per_client", "Open event streams of one address."),
    ("limits.requests_per_second", "Requests of one address, on average."),
    ("limits.burst", "Requests an address may make at once before the average counts."),
    ("limits.request_timeout", "A connection that has sent no whole request for this long is closed."),
    ("limits.stall_timeout", "A client that takes no byte of an answer for this long is let go."),
];

impl Config {
    /// In the order of [`crate::observe::ROLES`].
    pub(crate) fn topics(&self) -> [&str; 4] {
        [&self.input, &self.metrics, &self.alerts, &self.dead_letters]
    }
}

impl Default for Config {
    fn default() -> Self {
        let group = |stage: &str, topics: &[&str]| Group {
            stage: stage.to_owned(),
            group: format!("finflow-{stage}"),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            patience: patience(),
        };
        // It commits when an object is whole, which takes up to its `rotate.interval`.
        let store = Group {
            patience: Duration::from_secs(660),
            ..group("store", &[topic::RAW, topic::METRICS, topic::ALERTS, topic::DEAD_LETTERS])
        };
        Config {
            common: Common::default(),
            kafka: KafkaConfig::default(),
            http: SocketAddr::from(([127, 0, 0, 1], 8080)),
            hosts: Vec::new(),
            proxies: 0,
            input: topic::RAW.to_owned(),
            metrics: topic::METRICS.to_owned(),
            alerts: topic::ALERTS.to_owned(),
            dead_letters: topic::DEAD_LETTERS.to_owned(),
            groups: vec![
                group("aggregate", &[topic::RAW]),
                group("alert", &[topic::METRICS]),
                store,
                group("logger", &[topic::RAW]),
            ],
            view: View::default(),
            limits: Limits::default(),
        }
    }
}

impl Default for View {
    fn default() -> Self {
        View {
            replay: 20_000,
            symbols: 10_000,
            bars: 500,
            bars_total: 50_000,
            alerts: 200,
            sparkline_step: Duration::from_secs(5),
            tick: Duration::from_millis(250),
            probe: Duration::from_secs(1),
            rounds: 16,
            rounds_size: ByteSize::mib(8),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 2048,
            connections_per_client: 256,
            streams: 1024,
            streams_per_client: 128,
            requests_per_second: 50,
            burst: 200,
            request_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

impl harness::Config for Config {
    const ABOUT: &'static str = "Serve the page and the API from the topics";
    const FLAGS: &'static [Flag] = &[
        Flag::BROKERS,
        Flag::IN,
        Flag::UNTIL_END,
        Flag::own("http", "http", "HOST:PORT", "Address of the page and the API"),
    ];
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[streams::KAFKA_DOCS, DOCS];

    fn common(&self) -> &Common {
        &self.common
    }

    fn credentials(&self) -> Vec<&str> {
        self.kafka.security.files()
    }

    fn validate(&self) -> Result<(), String> {
        self.kafka.validate()?;
        if self.topics().iter().any(|topic| topic.is_empty()) {
            return Err("input, metrics, alerts, dead_letters: expected the name of a topic".to_owned());
        }
        let (view, limits) = (&self.view, &self.limits);
        if view.tick.is_zero() || view.probe.is_zero() || view.sparkline_step.is_zero() {
            return Err("view.tick, view.probe, view.sparkline_step: expected more than 0s".to_owned());
        }
        if view.symbols == 0 || view.bars == 0 || view.bars_total == 0 || view.alerts == 0 || view.rounds == 0 {
            return Err("view: symbols, bars, bars_total, alerts and rounds must be above 0".to_owned());
        }
        if limits.connections == 0 || limits.connections_per_client == 0 {
            return Err("limits: connections and connections_per_client must be above 0".to_owned());
        }
        if limits.request_timeout.is_zero() || limits.stall_timeout.is_zero() {
            return Err("limits: request_timeout and stall_timeout must be more than 0s".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use harness::Config as _;

    use super::*;

    #[test]
    fn the_defaults_are_valid_and_loopback() {
        let config = Config::default();
        config.validate().unwrap();
        assert!(config.http.ip().is_loopback());
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        type Break = fn(&mut Config);
        let broken: [(Break, &str); 4] = [
            (|c| c.metrics.clear(), "metrics"),
            (|c| c.view.tick = Duration::from_secs(0), "view.tick"),
            (|c| c.view.bars = 0, "bars"),
            (|c| c.limits.connections = 0, "connections"),
        ];
        for (breaks, named) in broken {
            let mut config = Config::default();
            breaks(&mut config);
            let error = config.validate().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn every_key_is_documented() {
        assert_eq!(harness::undocumented::<Config>(), Vec::<String>::new());
    }
}
