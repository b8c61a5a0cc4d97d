//! Settings of ingest.

use std::path::Path;

use harness::{ByteSize, Common, Duration, Flag, Secret};
use serde::{Deserialize, Serialize};
use streams::KafkaConfig;

pub use crate::spec::Feed;

/// The settings of one ingest process.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    #[serde(flatten)]
    pub common: Common,
    pub kafka: KafkaConfig,
    pub output: String,
    pub dead_letters: String,
    pub leases: String,
    pub feeds: Vec<Feed>,
    pub speed: Speed,
    pub rate: f64,
    pub sample: bool,
    pub sample_every: Duration,
    #[serde(rename = "loop")]
    pub repeat: bool,
    pub passes: u64,
    pub rebase: Rebase,
    pub resume: bool,
    pub seed: u64,
    pub quotes: bool,
    pub progress: Progress,
    pub checkpoint_every: Duration,
    pub live: Live,
    pub finnhub: Key,
    pub massive: Key,
    pub alpaca: KeyPair,
    pub alphavantage: Key,
}

/// How live connections are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Live {
    pub handshake: Duration,
    pub acknowledgement: Duration,
    pub backoff_least: Duration,
    pub backoff_most: Duration,
    pub healthy: Duration,
    pub reorder: Duration,
    pub quiet: Duration,
    pub symbol_silence: Duration,
    pub memory: ByteSize,
    pub spill: String,
    pub spill_most: ByteSize,
    pub backfill: u64,
    pub record: String,
    pub record_part: ByteSize,
    pub record_keep: u64,
    pub symbols_poll: Duration,
    pub lease: Duration,
    pub admin_token: Secret,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Key {
    pub api_key: Secret,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyPair {
    pub api_key: Secret,
    pub api_secret: Secret,
}

impl Default for Live {
    fn default() -> Self {
        Live {
            handshake: Duration::from_secs(10),
            acknowledgement: Duration::from_secs(10),
            backoff_least: Duration::from_millis(500),
            backoff_most: Duration::from_secs(60),
            healthy: Duration::from_secs(30),
            reorder: Duration::from_secs(1),
            quiet: Duration::from_secs(5),
            symbol_silence: Duration::from_secs(60),
            memory: ByteSize::mib(64),
            spill: String::new(),
            spill_most: ByteSize::mib(1024),
            backfill: 100_000,
            record: String::new(),
            record_part: ByteSize::mib(256),
            record_keep: 0,
            symbols_poll: Duration::from_secs(1),
            lease: Duration::from_secs(8),
            admin_token: Secret::default(),
        }
    }
}

const DOCS: &[(&str, &str)] = &[
    ("output", "Topic for events. Waited for while it is missing, never made."),
    ("dead_letters", "Topic for rows that cannot be read."),
    ("leases", "Compacted topic that holds how far each recording has been replayed."),
    (
        "feeds",
        "What to read: `[name=][format:]path[?option=value&...]`, or the same written out as a map. Formats: csv, binance, \
         coinbase, kraken, freqtrade, jsonl, frames, synthetic; found from the file when not given.",
    ),
    ("speed", "1 replays as recorded, 60 sixty times as fast, max as fast as Kafka takes it."),
    ("rate", "Events per second, evenly; 0 leaves the pace to `speed`."),
    ("sample", "One random row of the recordings each `sample_every`, as the original demo did. Never ends by itself."),
    ("sample_every", "Time between two random rows."),
    (
        "loop",
        "Begin again at the end, with times and trade ids moved on by the recording's span, so that nothing is late and \
         nothing is a duplicate.",
    ),
    ("passes", "End a loop after this many passes; 0 never ends it."),
    (
        "rebase",
        "now moves a recording to the present: its first event happens when the replay starts. none keeps its times.",
    ),
    (
        "resume",
        "Go on where an earlier replay of the same file (name, size, first 64 KiB) with the same options stopped; an ended \
         one is not repeated. false replays it from its first row.",
    ),
    ("seed", "Seed of `sample` and of synthetic feeds."),
    (
        "quotes",
        "Produce quotes, too: best bids and offers, where a live venue offers them or a recording has them. Otherwise they are not asked \
         for, or counted as ignored.",
    ),
    ("progress", "bar, lines (one every few seconds), off, or auto: a bar on a terminal, lines elsewhere."),
    (
        "checkpoint_every",
        "Time between two checkpoints: a restart after a crash looks through what was produced since the last.",
    ),
    ("live.handshake", "A venue that has not answered a handshake for so long is tried again."),
    ("live.acknowledgement", "The same for a subscription, or a key, that was sent."),
    (
        "live.backoff_least",
        "The longest wait before the first new connection; it doubles with each that fails. Jitter takes any part of it.",
    ),
    ("live.backoff_most", "The longest wait before any."),
    ("live.healthy", "All symbols served for so long: waits start over."),
    ("live.reorder", "How long a trade id that was passed over may still come before a gap is declared."),
    ("live.quiet", "How long a gap waits for the trade that ends it, after the symbol is served again."),
    (
        "live.symbol_silence",
        "A symbol from which nothing has come for so long, and for twenty times its usual wait, is counted as silent; of Finnhub, which \
         acknowledges nothing, it is asked for again.",
    ),
    ("live.memory", "Events that wait for Kafka, in memory. What does not fit is dropped, and declared as a gap."),
    (
        "live.spill",
        "Folder for events that wait for Kafka and do not fit into memory; of this process alone. Empty: none, they are dropped.",
    ),
    ("live.spill_most", "So much of them is kept there; beyond it they are dropped."),
    (
        "live.backfill",
        "Trades of one gap that are fetched by REST, where the venue gives them to anybody. A larger gap stays one; 0 fetches \
         nothing.",
    ),
    ("live.record", "Folder for recordings of what live feeds are told, frame by frame. Empty: none."),
    ("live.record_part", "Text of a part of a recording, before compression; then the next part begins."),
    ("live.record_keep", "Parts that are kept of each connection; older ones are removed. 0 keeps all."),
    (
        "live.lease",
        "Of several processes that could read a feed, one does, or each a share of it. One that was not heard of for so long is replaced. \
         The same for all of them.",
    ),
    ("live.symbols_poll", "How often the file of a feed's `symbols_file` is looked at for changes."),
    (
        "live.admin_token",
        "Whoever has it may change the symbols of a feed by the admin port: `PUT /feeds/<name>/symbols`. Empty: nobody may.",
    ),
    ("finnhub.api_key", "Key of Finnhub; FINNHUB_API_KEY sets it, too."),
    ("massive.api_key", "Key of Massive (Polygon)."),
    ("alpaca.api_key", "Key of Alpaca."),
    ("alpaca.api_secret", "The secret that belongs to it."),
    ("alphavantage.api_key", "Key of Alpha Vantage."),
];

impl Default for Config {
    fn default() -> Self {
        Config {
            common: Common::default(),
            kafka: KafkaConfig::default(),
            output: streams::topic::RAW.to_owned(),
            dead_letters: streams::topic::DEAD_LETTERS.to_owned(),
            leases: streams::topic::LEASES.to_owned(),
            feeds: Vec::new(),
            speed: Speed::default(),
            rate: 0.0,
            sample: false,
            sample_every: Duration::from_secs(1),
            repeat: false,
            passes: 0,
            rebase: Rebase::default(),
            resume: true,
            seed: 42,
            quotes: false,
            progress: Progress::default(),
            checkpoint_every: Duration::from_secs(5),
            live: Live::default(),
            finnhub: Key::default(),
            massive: Key::default(),
            alpaca: KeyPair::default(),
            alphavantage: Key::default(),
        }
    }
}

/// How fast recorded time passes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SpeedForm", into = "String")]
pub enum Speed {
    /// Recorded time × this factor.
    Times(f64),
    /// Unpaced.
    Max,
}

impl Default for Speed {
    fn default() -> Self {
        Speed::Times(1.0)
    }
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Speed::Max);
        }
        match text.parse::<f64>() {
            Ok(factor) if factor.is_finite() && factor > 0.0 => Ok(Speed::Times(factor)),
            _ => Err(format!("speed `{text}` is not a number above 0 and not `max`")),
        }
    }
}

impl From<Speed> for String {
    fn from(speed: Speed) -> String {
        match speed {
            Speed::Times(factor) => factor.to_string(),
            Speed::Max => "max".to_owned(),
        }
    }
}

/// YAML writes `speed: 60` as a number and `speed: max` as text; both are meant.
#[derive(Deserialize)]
#[serde(untagged)]
enum SpeedForm {
    Number(f64),
    Text(String),
}

impl TryFrom<SpeedForm> for Speed {
    type Error = String;

    fn try_from(form: SpeedForm) -> Result<Self, String> {
        match form {
            SpeedForm::Number(factor) => factor.to_string().parse(),
            SpeedForm::Text(text) => text.parse(),
        }
    }
}

/// Whether a recording keeps its own times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rebase {
    #[default]
    None,
    Now,
}

/// How a long replay shows where it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    #[default]
    Auto,
    Bar,
    Lines,
    Off,
}

impl harness::Config for Config {
    const ABOUT: &'static str = "Read market data from feeds and files into raw-market-data";
    const FLAGS: &'static [Flag] = &[
        Flag::BROKERS,
        Flag::OUT,
        Flag::own("feed", "feeds", "VENUE|[NAME=][FORMAT:]PATH[,…]", "What to read: live venues, or files"),
        Flag::own("record", "live.record", "DIR", "Keep what live feeds are told, frame by frame, in this folder"),
        Flag::own("speed", "speed", "N|max", "Replay N times as fast as recorded, or as fast as possible"),
        Flag::own("rate", "rate", "N", "Replay N rows per second, evenly"),
        Flag::own("sample", "sample", "", "Produce one random row each second"),
        Flag::own("loop", "loop", "", "Begin again at the end, with times and trade ids moved on"),
        Flag::own("passes", "passes", "N", "End a loop after N passes"),
        Flag::own("rebase", "rebase", "now|none", "Move the recording to the present"),
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
        if self.feeds.is_empty() {
            return Err("no feed given: name at least one file, such as `--feed indexProcessed.csv`".to_owned());
        }
        if self.feeds.iter().any(Feed::is_live) {
            crate::live::check(self)?;
        }
        for feed in &self.feeds {
            if !feed.is_synthetic() && !feed.is_live() && !Path::new(&feed.path).exists() {
                return Err(format!("feed `{}`: there is no file `{}`", feed.name, feed.path));
            }
        }
        let mut names: Vec<&str> = self.feeds.iter().map(|feed| feed.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("two feeds are named `{}`: name one of them, `other={}`", pair[0], pair[0]));
        }
        if !self.rate.is_finite() || self.rate < 0.0 {
            return Err(format!("rate {} is not a number of rows per second", self.rate));
        }
        if self.passes > 0 && !self.repeat {
            return Err(format!("passes: {} passes need `loop: true`", self.passes));
        }
        if self.sample && self.repeat {
            return Err("sample and loop exclude each other: sampling never ends".to_owned());
        }
        if *self.live.lease < std::time::Duration::from_millis(100) {
            return Err("live.lease must be at least 100ms".to_owned());
        }
        if self.live.symbols_poll.is_zero() {
            return Err("live.symbols_poll must be above 0".to_owned());
        }
        if self.sample_every.is_zero() || self.checkpoint_every.is_zero() {
            return Err("sample_every and checkpoint_every must be above 0".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use harness::Config as _;

    use super::*;

    fn problem(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config { feeds: vec!["synthetic:".parse().unwrap()], ..Config::default() };
        change(&mut config);
        config.validate().err().unwrap_or_default()
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_a_reason() {
        assert_eq!(problem(|_| {}), "");
        assert!(problem(|config| config.feeds.clear()).contains("--feed"));
        assert!(
            problem(|config| config.feeds.push("synthetic:".parse().unwrap()))
                .contains("two feeds are named `synthetic`")
        );
        assert!(problem(|config| config.feeds = vec!["no/such.csv".parse().unwrap()]).contains("no/such.csv"));
        assert!(problem(|config| config.passes = 2).contains("loop"));
        assert!(problem(|config| (config.sample, config.repeat) = (true, true)).contains("exclude"));
        assert!(problem(|config| config.rate = f64::NAN).contains("rate"));
        assert!(problem(|config| config.sample_every = Duration::from_secs(0)).contains("above 0"));
    }

    #[test]
    fn every_key_is_documented() {
        assert_eq!(harness::undocumented::<Config>(), Vec::<String>::new());
    }

    #[test]
    fn speeds_are_numbers_or_max() {
        for (text, speed) in [("1", Speed::Times(1.0)), ("0.5", Speed::Times(0.5)), ("max", Speed::Max)] {
            assert_eq!(text.parse(), Ok(speed));
        }
        assert_eq!(serde_json::from_str::<Speed>("60").unwrap(), Speed::Times(60.0));
        assert_eq!(serde_json::from_str::<Speed>("\"max\"").unwrap(), Speed::Max);
        for bad in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(bad.parse::<Speed>().is_err(), "{bad}");
        }
    }
}
