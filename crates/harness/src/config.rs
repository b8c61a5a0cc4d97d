//! Typed settings in four layers: defaults < YAML file < environment < flags.
//!
//! A service's config is one struct with [`Common`] flattened in. The shape of its serialised default decides which keys
//! exist and how a text from the environment or a flag is read: serde's `flatten` forgets the names, so an unknown key
//! would otherwise pass in silence. Hence:
//! - a field that is `None` by default is a known key of unknown type (text first, then number or bool);
//! - a map whose keys are free is listed in [`Config::OPEN`];
//! - structs inside a list should carry `#[serde(deny_unknown_fields)]` themselves;
//! - a secret is a [`crate::Secret`], empty by default; `<key>_file` then reads it from a file.
//!
//! A section named like a service (`aggregate:`, `FINFLOW_AGGREGATE__…`) belongs to that service and wins over the keys
//! outside it; others skip it. So one file, or one `.env`, can serve all stages.

mod environment;
mod layers;
mod load;
mod render;
mod shape;

use std::fmt;
use std::net::SocketAddr;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

pub use environment::dotenv;
pub(crate) use load::load_with_files;
pub use load::{given, load};
pub use render::{docs_markdown, example_yaml, is_common, print, undocumented};

use crate::flags::Flag;
use crate::units::Duration;

/// Names that may head a section of a shared config, in the order of the pipeline.
pub(crate) const SERVICES: &[&str] = &["ingest", "aggregate", "alert", "store", "logger", "gateway"];

/// The settings of one service.
pub trait Config: Serialize + DeserializeOwned + Default + Clone + Send + Sync + 'static {
    /// One line for `--help`.
    const ABOUT: &'static str;
    /// The flags that apply, beside `--admin --config --log-level --print-config --set`, which always do.
    const FLAGS: &'static [Flag];
    /// Maps that take any key.
    const OPEN: &'static [&'static str] = &["kafka.librdkafka"];
    /// What each key means, as tables of (dotted key, text), for `config.example.yaml` and `docs/config.md`. Keys of
    /// [`Common`] are documented by the harness.
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[];

    fn common(&self) -> &Common;

    /// Files with credentials besides those of secrets: when one changes, the service begins anew.
    fn credentials(&self) -> Vec<&str> {
        Vec::new()
    }

    /// What the types cannot say. The text names the key, its value and what is expected.
    fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Settings of every service: `#[serde(flatten)] pub common: Common`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Common {
    #[serde(deserialize_with = "address_or_off")]
    pub admin: Option<SocketAddr>,
    pub log: Log,
    pub otlp: Otlp,
    pub credentials_interval: Duration,
    pub shutdown_timeout: Duration,
    pub stall_timeout: Duration,
}

pub(crate) const COMMON_DOCS: &[(&str, &str)] = &[
    ("admin", "Address of the admin port (/live /ready /metrics /log-level), or `off`."),
    ("log.level", "Filter: error, warn, info, debug, trace, or per module: info,streams=debug."),
    ("log.format", "human, json, or auto: human on a terminal, json otherwise."),
    ("otlp.endpoint", "Where traces go by OTLP over gRPC, e.g. http://localhost:4317. Unset: no tracing at all."),
    ("otlp.sample_ratio", "Share of traces that are kept, from 0 to 1."),
    ("otlp.timeout", "How long one delivery of traces may take."),
    (
        "credentials_interval",
        "How often the files of secrets and certificates are looked at; when they have changed, the service drains and begins anew. 0s: never.",
    ),
    ("shutdown_timeout", "After this long a shutdown stops waiting and the process exits with 1."),
    ("stall_timeout", "A task silent for this long makes the process drain and exit with 1."),
];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Auto,
    Human,
    Json,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Otlp {
    pub endpoint: Option<String>,
    pub sample_ratio: f64,
    pub timeout: Duration,
}

impl Default for Common {
    fn default() -> Self {
        Common {
            admin: None,
            log: Log::default(),
            otlp: Otlp::default(),
            credentials_interval: Duration::from_secs(10),
            // Below Kubernetes' default grace of 30 s, so that it is we who say what was still running.
            shutdown_timeout: Duration::from_secs(25),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

impl Default for Otlp {
    fn default() -> Self {
        Otlp { endpoint: None, sample_ratio: 1.0, timeout: Duration::from_secs(5) }
    }
}

/// For a process that hosts services and has no settings of its own.
impl Config for Common {
    const ABOUT: &'static str = "";
    const FLAGS: &'static [Flag] = &[];

    fn common(&self) -> &Common {
        self
    }
}

impl Common {
    pub(crate) fn validate(&self) -> Result<(), String> {
        crate::logs::parse(&self.log.level).map_err(|error| format!("log.level: {error:#}"))?;
        if !(0.0..=1.0).contains(&self.otlp.sample_ratio) {
            return Err(format!("otlp.sample_ratio: {} is not between 0 and 1", self.otlp.sample_ratio));
        }
        if self.stall_timeout.is_zero() {
            return Err("stall_timeout: 0s would stop the process at once".to_owned());
        }
        Ok(())
    }
}

/// The admin port a service's own binary opens unless told otherwise. 9092 is left to Kafka.
pub fn default_admin(service: &str) -> SocketAddr {
    let port = match service {
        "aggregate" => 9091,
        "alert" => 9093,
        "store" => 9094,
        "logger" => 9095,
        "gateway" => 9096,
        _ => 9090,
    };
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn address_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    match text.as_deref() {
        None | Some("off" | "") => Ok(None),
        Some(text) => {
            let addr = text.parse();
            addr.map(Some).map_err(|_| D::Error::custom("expected an address such as 127.0.0.1:9090, or off"))
        }
    }
}

/// Everything that is wrong with the settings, at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings are wrong")?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

#[cfg(test)]
mod tests;
