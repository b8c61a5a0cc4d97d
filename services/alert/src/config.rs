//! Settings of the alert stage.

use harness::{Common, Duration, Flag};
use serde::{Deserialize, Serialize};
use streams::{KafkaConfig, topic};

use crate::rule::Rule;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(flatten)]
    pub common: Common,
    pub kafka: KafkaConfig,
    pub group: String,
    pub input: String,
    pub output: String,
    pub state: String,
    pub dead_letters: String,
    pub transactional_id: String,
    pub commit_interval: Duration,
    pub judge: Judge,
    pub rules: Vec<Rule>,
}

/// Which revisions of a window the rules look at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// Only what no later trade changes.
    #[default]
    Final,
    /// Each one as it comes: sooner, and wrong when a later revision takes it back.
    Every,
}

const DOCS: &[(&str, &str)] = &[
    ("group", "Consumer group. Several alert stages of one group share the partitions."),
    ("input", "Topic of the metrics."),
    ("output", "Topic of the alerts."),
    ("state", "Compacted topic that holds what has fired; as many partitions as the input."),
    ("dead_letters", "Topic for records that cannot be read."),
    (
        "transactional_id",
        "Names this process to the brokers: the same at each start, never two processes at once. Empty: group and host.",
    ),
    ("commit_interval", "Longest an alert waits for its transaction under backlog."),
    ("judge", "final: rules look at final metrics only. every: at each revision as it comes."),
    (
        "rules",
        "What to look for: name, symbols (`*` is a wildcard), window, and one of above, below (a level of `metric`, \
         close if not given) or move_pct (a change within the window, either way); `clear` is the level that resolves it.",
    ),
];

impl Default for Config {
    fn default() -> Self {
        Config {
            common: Common::default(),
            kafka: KafkaConfig::default(),
            group: "finflow-alert".to_owned(),
            input: topic::METRICS.to_owned(),
            output: topic::ALERTS.to_owned(),
            state: topic::ALERT_STATE.to_owned(),
            dead_letters: topic::DEAD_LETTERS.to_owned(),
            transactional_id: String::new(),
            commit_interval: Duration::from_millis(20),
            judge: Judge::default(),
            rules: vec![moves("move-1m", "1m", "0.1", "0.05"), moves("move-5m", "5m/1m", "0.25", "0.1")],
        }
    }
}

/// Small moves, so that a first look at a quiet market shows an alert; those who are woken by them set their own.
fn moves(name: &str, window: &str, percent: &str, clear: &str) -> Rule {
    let number = |text: &str| Some(text.parse().expect("a number of ours"));
    Rule {
        name: name.to_owned(),
        symbols: "*".to_owned(),
        window: window.parse().expect("a window of ours"),
        metric: None,
        above: None,
        below: None,
        move_pct: number(percent),
        clear: number(clear),
    }
}

impl harness::Config for Config {
    const ABOUT: &'static str = "Raise price alerts from metrics by rules";
    const FLAGS: &'static [Flag] = &[Flag::BROKERS, Flag::GROUP, Flag::IN, Flag::OUT, Flag::UNTIL_END];
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[streams::KAFKA_DOCS, DOCS];

    fn common(&self) -> &Common {
        &self.common
    }

    fn credentials(&self) -> Vec<&str> {
        self.kafka.security.files()
    }

    fn validate(&self) -> Result<(), String> {
        self.kafka.validate()?;
        for (key, value) in
            [("group", &self.group), ("input", &self.input), ("output", &self.output), ("state", &self.state)]
        {
            if value.is_empty() {
                return Err(format!("{key}: expected a name"));
            }
        }
        for rule in &self.rules {
            rule.validate()?;
        }
        let mut names: Vec<&str> = self.rules.iter().map(|rule| rule.name.as_str()).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("two rules are named `{}`", pair[0])),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use harness::Config as _;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        Config::default().validate().unwrap();
    }

    #[test]
    fn two_rules_of_one_name_are_refused() {
        let mut config = Config::default();
        config.rules.push(config.rules[0].clone());
        assert_eq!(config.validate().unwrap_err(), "two rules are named `move-1m`");
    }
}
