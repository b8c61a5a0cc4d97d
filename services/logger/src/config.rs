//! Settings of the logger.

use harness::{Common, Duration, Flag};
use serde::{Deserialize, Serialize};
use streams::{KafkaConfig, Start, topic};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(flatten)]
    pub common: Common,
    pub kafka: KafkaConfig,
    pub group: String,
    pub input: Vec<String>,
    pub start: Start,
    pub lines_per_second: Option<u32>,
    pub report_interval: Duration,
    pub commit_interval: Duration,
    pub max_symbols: usize,
}

const DOCS: &[(&str, &str)] = &[
    ("group", "Consumer group. Several loggers of one group share the partitions."),
    ("input", "Topics to read."),
    ("start", "Where to begin while the group has no position yet: earliest or latest."),
    (
        "lines_per_second",
        "At most so many records are printed each second, the rest is counted; 0 prints none, unset prints all.",
    ),
    ("report_interval", "How often counts and rates are logged."),
    ("commit_interval", "How often the positions are committed. A crash prints again what came after the last commit."),
    (
        "max_symbols",
        "Order is checked for so many symbols per topic; more are counted as untracked. Bounds the memory.",
    ),
];

impl Default for Config {
    fn default() -> Self {
        Config {
            common: Common::default(),
            kafka: KafkaConfig::default(),
            group: "finflow-logger".to_owned(),
            input: vec![topic::RAW.to_owned()],
            start: Start::Earliest,
            lines_per_second: None,
            report_interval: Duration::from_secs(5),
            commit_interval: Duration::from_secs(5),
            max_symbols: 100_000,
        }
    }
}

impl harness::Config for Config {
    const ABOUT: &'static str = "Print what flows, one line per record, and check its order and schema";
    const FLAGS: &'static [Flag] = &[
        Flag::BROKERS,
        Flag::GROUP,
        Flag::IN,
        Flag::UNTIL_END,
        Flag::own("lines-per-second", "lines_per_second", "N", "Print at most N records each second, count the rest"),
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
        if self.group.is_empty() {
            return Err("group: expected a name".to_owned());
        }
        if self.input.is_empty() || self.input.iter().any(String::is_empty) {
            return Err("input: expected at least one topic".to_owned());
        }
        if self.report_interval.is_zero() || self.commit_interval.is_zero() {
            return Err("report_interval, commit_interval: expected more than 0s".to_owned());
        }
        Ok(())
    }
}
