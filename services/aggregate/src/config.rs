//! Settings of the aggregator.

use harness::{Common, Duration, Flag};
use market::Span;
use market::window::{Emit, Layout, Options};
use serde::{Deserialize, Serialize};
use streams::{KafkaConfig, topic};

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
    pub windows: Vec<Span>,
    pub out_of_orderness: Duration,
    pub lateness: Duration,
    pub idle: Duration,
    pub emit: Emit,
    pub update_throttle: Duration,
    pub future_tolerance: Duration,
    pub rebuild: bool,
}

const DOCS: &[(&str, &str)] = &[
    ("group", "Consumer group. Several aggregators of one group share the partitions."),
    ("input", "Topic of the trades."),
    ("output", "Topic of the metrics."),
    ("state", "Compacted topic that holds open windows and known trade ids; as many partitions as the input."),
    (
        "dead_letters",
        "Topic for records that cannot be read, that came too late, or that claim to come from the future.",
    ),
    (
        "transactional_id",
        "Names this process to the brokers: the same at each start, never two processes at once. Empty: group and host.",
    ),
    (
        "commit_interval",
        "Longest a trade waits for its transaction under backlog; without backlog it is committed at once.",
    ),
    ("windows", "Windows of each symbol: `1m` is tumbling, `5m/1m` is 5 minutes long and begins every minute."),
    ("out_of_orderness", "How far behind the latest trade of its symbol a trade may come and still be in time."),
    ("lateness", "How long after its end, by event time, a window still takes trades, each as a revision."),
    ("idle", "How long, beyond the lateness, a symbol must be silent before the clock closes its windows."),
    ("emit", "on_close: closed windows and their revisions. on_update: open windows too. both."),
    ("update_throttle", "Shortest time between two updates of the open windows of one symbol."),
    ("future_tolerance", "A trade whose event time is later than its receive time by more than this is refused."),
    ("rebuild", "Throw the state away and fold the input again from its start; what was emitted is emitted again."),
];

impl Default for Config {
    fn default() -> Self {
        let window = |text: &str| text.parse::<Span>().expect("a window of ours");
        Config {
            common: Common::default(),
            kafka: KafkaConfig::default(),
            group: "finflow-aggregate".to_owned(),
            input: topic::RAW.to_owned(),
            output: topic::METRICS.to_owned(),
            state: topic::AGGREGATE_STATE.to_owned(),
            dead_letters: topic::DEAD_LETTERS.to_owned(),
            transactional_id: String::new(),
            commit_interval: Duration::from_millis(20),
            windows: vec![window("1m"), window("5m/1m")],
            out_of_orderness: Duration::from_secs(2),
            lateness: Duration::from_secs(0),
            idle: Duration::from_secs(5),
            emit: Emit::OnClose,
            update_throttle: Duration::from_secs(1),
            future_tolerance: Duration::from_secs(5),
            rebuild: false,
        }
    }
}

impl Config {
    pub(crate) fn options(&self) -> Options {
        Options {
            windows: self.windows.clone(),
            out_of_orderness_ns: self.out_of_orderness.as_ns(),
            lateness_ns: self.lateness.as_ns(),
            idle_ns: self.idle.as_ns(),
            emit: self.emit,
            throttle_ns: self.update_throttle.as_ns(),
        }
    }
}

impl harness::Config for Config {
    const ABOUT: &'static str = "Fold trades into metrics over event-time windows";
    const FLAGS: &'static [Flag] = &[
        Flag::BROKERS,
        Flag::GROUP,
        Flag::IN,
        Flag::OUT,
        Flag::own("windows", "windows", "WINDOW[,…]", "Windows of each symbol, such as 1m,5m/1m"),
        Flag::UNTIL_END,
    ];
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[streams::KAFKA_DOCS, DOCS];

    fn common(&self) -> &Common {
        &self.common
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
        Layout::new(&self.windows).map_err(|error| format!("windows: {error}"))?;
        Ok(())
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
    fn no_window_is_refused_by_name() {
        let config = Config { windows: Vec::new(), ..Config::default() };
        assert!(config.validate().unwrap_err().starts_with("windows: "));
    }
}
