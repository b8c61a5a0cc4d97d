//! Settings of the aggregator.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::{Common, Duration, Flag};
use market::window::{Emit, Empty, Options, Rollup};
use market::{Average, Calendar, CalendarError, Span};
use serde::{Deserialize, Serialize};
use streams::{KafkaConfig, topic};

use crate::error::AggregateError;

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
    pub rollups: Vec<Rollup>,
    pub calendars: Vec<PathBuf>,
    pub out_of_orderness: Duration,
    pub lateness: Duration,
    pub idle: Duration,
    pub emit: Emit,
    pub empty: Empty,
    pub averages: Vec<Average>,
    pub sentiment: Duration,
    pub update_throttle: Duration,
    pub future_tolerance: Duration,
    pub rebuild: bool,
}

const DOCS: &[(&str, &str)] = &[
    ("group", "Consumer group. Several aggregators of one group share the partitions."),
    ("input", "Topic of the trades and bars."),
    ("output", "Topic of the metrics."),
    ("state", "Compacted topic that holds the open windows; as many partitions as the input."),
    ("dead_letters", "Topic for records that cannot be read, and for trades that came too late."),
    (
        "transactional_id",
        "Names this process to the brokers: the same at each start, never two processes at once. Empty: group and host.",
    ),
    (
        "commit_interval",
        "Longest a metric waits for its transaction under backlog, up to ten times longer while the backlog goes on; without \
         backlog it is committed at once. Longer: less work per record, later results.",
    ),
    (
        "windows",
        "A size (`1m`: one after the other) or size/slide (`5m/1m`: of five minutes, every minute), aligned to 1970 UTC; \
         or `1w`, from Monday to Monday, and `1mo`, both of UTC; or a size and a calendar (`5m@xnys`): from the opening \
         of each session on, the last ends with it, and the time until the next session is one window.",
    ),
    (
        "rollups",
        "What bars are rolled up into, such as `{bars: 1d, windows: [1w, 1mo]}`: their length, and windows one after the \
         other. A window may be asked for once, here or in `windows` above. Bars of other lengths are counted as \
         `other_kind`.",
    ),
    (
        "calendars",
        "Files with the sessions of exchanges that windows name, beside `xnys` (New York), which is built in and replaced \
         by a file of that name.",
    ),
    (
        "out_of_orderness",
        "How far behind the latest trade of its symbol a trade may come and still be in time. Longer: windows close \
         later.",
    ),
    (
        "lateness",
        "How long a closed window still takes trades, as revisions; only then is it final. With 0s it is final at once, \
         and what comes later goes to the dead letters (`late`).",
    ),
    (
        "idle",
        "The last window of a silent symbol is closed by the clock when everything is read and the symbol was silent \
         for lateness + idle.",
    ),
    (
        "emit",
        "on_close: when a window closes, and when a late trade revises it. on_update: while it is open, and when it is \
         final. both.",
    ),
    (
        "empty",
        "none: nothing is told of a window without a trade. carry: once it is final, the last price with no volume; at \
         most 3600 windows in a row, and not between the sessions of a calendar.",
    ),
    (
        "averages",
        "Moving averages of the closing prices of each kind of window: `sma:20` (simple, of 20 bars) or `ema:12` \
         (exponential). Null until there are so many bars.",
    ),
    (
        "sentiment",
        "Records say what the scored news of their symbol came to, over this long before the end of their window (`sentiment`, \
         `news_count`). 0s: they do not.",
    ),
    ("update_throttle", "Shortest time between two updates of one symbol."),
    (
        "future_tolerance",
        "A trade whose event time is further than this after its receive time (Kafka's, where it has none) is set aside: \
         it would close every window before it.",
    ),
    (
        "rebuild",
        "Throw the state away and fold the input again from its start. What was emitted is emitted again, from rev 0.",
    ),
];

impl Default for Config {
    fn default() -> Self {
        let options = Options::default();
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
            windows: options.windows,
            // Windows of years of bars are a record a day on the lake: asked for, not given.
            rollups: Vec::new(),
            calendars: Vec::new(),
            out_of_orderness: ns(options.out_of_orderness_ns),
            lateness: ns(options.lateness_ns),
            idle: ns(options.idle_ns),
            emit: options.emit,
            empty: options.empty,
            averages: options.averages,
            sentiment: ns(options.sentiment_ns),
            update_throttle: ns(options.throttle_ns),
            future_tolerance: ns(options.future_tolerance_ns),
            rebuild: false,
        }
    }
}

fn ns(ns: i64) -> Duration {
    Duration(std::time::Duration::from_nanos(ns.unsigned_abs()))
}

impl Config {
    /// What the windows are asked for; reads the files of the calendars.
    pub fn options(&self) -> Result<Options, AggregateError> {
        let calendars = self.calendars.iter().map(|path| calendar(path)).collect::<Result<_, _>>()?;
        Ok(Options {
            windows: self.windows.clone(),
            rollups: self.rollups.clone(),
            calendars,
            out_of_orderness_ns: self.out_of_orderness.as_ns(),
            lateness_ns: self.lateness.as_ns(),
            idle_ns: self.idle.as_ns(),
            emit: self.emit,
            empty: self.empty,
            averages: self.averages.clone(),
            future_tolerance_ns: self.future_tolerance.as_ns(),
            throttle_ns: self.update_throttle.as_ns(),
            sentiment_ns: self.sentiment.as_ns(),
        })
    }
}

fn calendar(path: &Path) -> Result<Arc<Calendar>, AggregateError> {
    let wrong = |why: String| AggregateError::Calendar { path: path.to_owned(), why };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    text.parse().map(Arc::new).map_err(|error: CalendarError| wrong(error.to_string()))
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
        let options = self.options().map_err(|error| format!("calendars: {error}"))?;
        options.check().map_err(|error| format!("windows: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use harness::Config as _;

    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        let config = Config::default();
        config.validate().unwrap();
        assert_eq!(config.options().unwrap(), Options { rollups: Vec::new(), ..Options::default() });
        let windows: Vec<String> = config.windows.iter().map(Span::to_string).collect();
        assert_eq!(windows, ["1m", "5m/1m"]);
    }

    #[test]
    fn windows_that_cannot_be_served_are_refused_by_name() {
        let config = Config { windows: Vec::new(), ..Config::default() };
        assert!(config.validate().unwrap_err().starts_with("windows: no window is asked for"));
        let config = Config { windows: vec!["1h/1ms".parse().unwrap()], ..Config::default() };
        assert!(config.validate().unwrap_err().contains("3600000 windows of `1h/1ms` would overlap"));
        let rollups = Options::default().rollups;
        assert_eq!(serde_json::to_string(&rollups).unwrap(), r#"[{"bars":"1d","windows":["1w","1mo"]}]"#);
        let config = Config { rollups: [rollups.clone(), rollups.clone()].concat(), ..Config::default() };
        assert!(config.validate().unwrap_err().contains("two roll-ups of bars of 1d"));
        let config = Config { windows: vec!["1w".parse().unwrap()], rollups, ..Config::default() };
        assert!(config.validate().unwrap_err().contains("`1w` is asked for twice"));
        let config = Config { windows: vec!["1w".parse().unwrap()], rollups: Vec::new(), ..Config::default() };
        config.validate().unwrap();
    }

    #[test]
    fn windows_of_sessions_need_a_calendar_that_is_known() {
        let of =
            |window: &str, calendars| Config { windows: vec![window.parse().unwrap()], calendars, ..Config::default() };
        of("5m@xnys", Vec::new()).validate().unwrap();
        assert!(
            of("5m@xlon", Vec::new()).validate().unwrap_err().contains("`5m@xlon` names no calendar that is known")
        );
        let file = std::env::temp_dir().join(format!("finflow-calendar-{}", std::process::id()));
        std::fs::write(&file, "name xlon\nzone utc\nhours 08:00 16:30\n").unwrap();
        let config = of("5m@xlon", vec![file.clone()]);
        config.validate().unwrap();
        std::fs::write(&file, "name xlon\nzone utc\nhours 08:00 16:30\nholiday 2024-12-25\n").unwrap();
        let error = config.validate().unwrap_err();
        assert!(error.starts_with("calendars: ") && error.contains("line 4"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert!(config.validate().unwrap_err().contains(file.to_str().unwrap()));
    }
}
