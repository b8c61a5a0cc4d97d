//! Settings of the store.

use harness::{ByteSize, Common, Duration, Flag};
use lake::{Feed, Format, S3Config};
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
    pub metrics: String,
    pub alerts: String,
    pub dead_letters: String,
    pub s3: S3Config,
    pub format: Format,
    pub rotate: Rotate,
    pub memory: ByteSize,
    pub catalog: CatalogConfig,
}

/// Partitions registered in Glue as they are stored, for tables without projection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CatalogConfig {
    pub register: bool,
    pub database: String,
    /// URL of what stands in for Glue. Empty: AWS, by region.
    pub endpoint: String,
}

/// When the rows of a partition become objects: as soon as one of these is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rotate {
    pub size: ByteSize,
    pub rows: u64,
    pub objects: usize,
    pub event_span: Duration,
    pub interval: Duration,
}

const DOCS: &[(&str, &str)] = &[
    (
        "group",
        "Consumer group. Its committed positions are for lag tools only: the place is found in the lake's claims.",
    ),
    ("input", "Topic of the events. Empty: not stored; so for the next three."),
    ("metrics", "Topic of the metrics."),
    ("alerts", "Topic of the alerts."),
    ("dead_letters", "Topic of the dead letters."),
    (
        "format",
        "parquet, jsonl.gz, jsonl.zst, or json: one object per message, which costs a PUT per message and slows every query. A query \
         engine reads one format per table: choose before the first record, or give the new format a prefix of its own.",
    ),
    (
        "rotate.size",
        "Rows of a partition become objects at this size in memory, about eight times that of the objects.",
    ),
    ("rotate.rows", "Or at this many rows."),
    ("rotate.objects", "Or when they would become this many objects: rows of many hours, or one object per message."),
    ("rotate.event_span", "Or when the event times of trades and quotes span this much: a replay of old data."),
    (
        "rotate.interval",
        "Or after this long. Waits up to ten times longer while the rows would become many small objects.",
    ),
    ("memory", "Rows held in memory in all. When it is full, reading waits; nothing is dropped."),
    (
        "catalog.register",
        "Register each partition in Glue once it has an object, for engines that do not compute them by projection. Trouble is counted and \
         tried again; storing never waits for it.",
    ),
    ("catalog.database", "Database of the tables, which `finflow catalog apply` creates."),
    ("catalog.endpoint", "URL of what stands in for Glue. Empty: AWS itself, by s3.region."),
];

impl Default for Config {
    fn default() -> Self {
        Config {
            common: Common::default(),
            kafka: KafkaConfig::default(),
            group: "finflow-store".to_owned(),
            input: topic::RAW.to_owned(),
            metrics: topic::METRICS.to_owned(),
            alerts: topic::ALERTS.to_owned(),
            dead_letters: topic::DEAD_LETTERS.to_owned(),
            s3: S3Config::default(),
            format: Format::default(),
            rotate: Rotate::default(),
            memory: ByteSize::mib(128),
            catalog: CatalogConfig::default(),
        }
    }
}

impl Default for CatalogConfig {
    fn default() -> Self {
        CatalogConfig { register: false, database: "finflow".to_owned(), endpoint: String::new() }
    }
}

impl Default for Rotate {
    fn default() -> Self {
        Rotate {
            size: ByteSize::mib(32),
            rows: 1_000_000,
            objects: 1000,
            event_span: Duration::from_secs(24 * 3600),
            // An hour of trades is then a handful of objects per partition, which needs no compaction.
            interval: Duration::from_secs(600),
        }
    }
}

impl Config {
    /// The topics that are stored, and what each carries.
    pub fn topics(&self) -> Vec<(&str, Feed)> {
        let all = [
            (&self.input, Feed::Raw),
            (&self.metrics, Feed::Metrics),
            (&self.alerts, Feed::Alerts),
            (&self.dead_letters, Feed::DeadLetters),
        ];
        all.into_iter().filter(|(topic, _)| !topic.is_empty()).map(|(topic, feed)| (topic.as_str(), feed)).collect()
    }
}

impl harness::Config for Config {
    const ABOUT: &'static str = "Store every record of the topics on S3, each in exactly one object";
    const FLAGS: &'static [Flag] = &[
        Flag::BROKERS,
        Flag::GROUP,
        Flag::IN,
        Flag::S3_ENDPOINT,
        Flag::BUCKET,
        Flag::PREFIX,
        Flag::UNTIL_END,
        Flag::own("format", "format", "parquet|jsonl.gz|jsonl.zst|json", "Format of the objects"),
    ];
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[DOCS, streams::KAFKA_DOCS, lake::S3_DOCS];

    fn common(&self) -> &Common {
        &self.common
    }

    fn credentials(&self) -> Vec<&str> {
        self.kafka.security.files()
    }

    fn validate(&self) -> Result<(), String> {
        self.kafka.validate()?;
        self.s3.validate()?;
        if self.group.is_empty() {
            return Err("group: expected the name of a consumer group".to_owned());
        }
        let mut topics: Vec<&str> = self.topics().into_iter().map(|(topic, _)| topic).collect();
        if topics.is_empty() {
            return Err("input, metrics, alerts, dead_letters: expected at least one topic to store".to_owned());
        }
        topics.sort_unstable();
        if let Some(twice) = topics.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("input, metrics, alerts, dead_letters: `{}` is named twice", twice[0]));
        }
        let rotate = &self.rotate;
        if rotate.size.bytes() == 0 || rotate.rows == 0 || rotate.objects == 0 {
            return Err("rotate: size, rows and objects must be above 0".to_owned());
        }
        if rotate.interval.is_zero() || rotate.event_span.is_zero() {
            return Err("rotate: interval and event_span must be more than 0s".to_owned());
        }
        let CatalogConfig { register, database, endpoint } = &self.catalog;
        if *register && database.is_empty() {
            return Err("catalog.database: expected the name of a database of Glue".to_owned());
        }
        if !endpoint.is_empty() && !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
            return Err(format!("catalog.endpoint `{endpoint}` must begin with http:// or https://"));
        }
        if self.memory < rotate.size {
            return Err(format!("memory: {} is less than rotate.size, {}", self.memory, rotate.size));
        }
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
        assert_eq!(Config::default().topics().len(), 4);
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        type Breaks = fn(&mut Config);
        let broken: [(Breaks, &str); 8] = [
            (|c| c.group.clear(), "group"),
            (|c| c.metrics = c.input.clone(), "twice"),
            (|c| c.rotate.rows = 0, "rotate"),
            (|c| c.memory = ByteSize::mib(1), "memory"),
            (
                |c| c.catalog = CatalogConfig { register: true, database: String::new(), ..Default::default() },
                "catalog.database",
            ),
            (|c| c.catalog.endpoint = "glue".to_owned(), "catalog.endpoint"),
            (|c| c.s3.endpoint = "127.0.0.1:9000".to_owned(), "s3.endpoint"),
            (|c| c.s3.access_key = "only".to_owned(), "s3.secret_key"),
        ];
        for (breaks, named) in broken {
            let mut config = Config::default();
            breaks(&mut config);
            let error = config.validate().unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
