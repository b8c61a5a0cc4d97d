//! The settings of a command: what its flags say, above what the environment and the file say, above what the command
//! chooses where nobody says anything.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use clap::ArgMatches;
use harness::{Common, Config, Context, Flag};
use serde::{Deserialize, Serialize};
use streams::{Env, KafkaConfig};

use crate::cli::KafkaArgs;
use crate::usage;

pub type Pairs = Vec<(&'static str, String)>;

/// Warnings, and how far a long replay is.
pub const QUIET: &str = "warn,ingest::progress=info";

/// What is above and below the file and the environment.
#[derive(Default)]
pub struct Settings<'a> {
    pub file: Option<&'a Path>,
    /// Flags that were given, and what the command decides itself.
    pub own: Pairs,
    /// For keys that nothing else sets.
    pub otherwise: Pairs,
    /// Words of the stage's own command line.
    pub words: Vec<String>,
}

/// A config, and the keys of it that somebody has set.
pub struct Loaded<C> {
    pub config: C,
    pub given: BTreeSet<String>,
}

impl Settings<'_> {
    /// The flags that the stage's own binary would have been given.
    pub fn matches<C: Config>(&self, service: &'static str) -> anyhow::Result<ArgMatches> {
        Ok(self.layer::<C>(service)?.0)
    }

    pub fn load<C: Config>(&self, service: &'static str) -> anyhow::Result<Loaded<C>> {
        let (matches, given) = self.layer::<C>(service)?;
        let config = harness::load(service, &matches).map_err(|error| anyhow!("{service}: {error}"))?;
        Ok(Loaded { config, given })
    }

    /// The keys that a flag, the environment or the file sets.
    pub fn given<C: Config>(&self, service: &'static str) -> anyhow::Result<BTreeSet<String>> {
        Ok(self.layer::<C>(service)?.1)
    }

    fn layer<C: Config>(&self, service: &'static str) -> anyhow::Result<(ArgMatches, BTreeSet<String>)> {
        let matches = self.parse::<C>(service, &[])?;
        let given = harness::given::<C>(service, &matches).map_err(|error| anyhow!("{service}: {error}"))?;
        let missing: Pairs = self.otherwise.iter().filter(|(key, _)| !given.contains(*key)).cloned().collect();
        Ok((self.parse::<C>(service, &missing)?, given))
    }

    fn parse<C: Config>(&self, service: &'static str, missing: &[(&str, String)]) -> anyhow::Result<ArgMatches> {
        let mut words = vec![service.to_owned()];
        words.extend(self.file.iter().flat_map(|file| ["--config".to_owned(), file.display().to_string()]));
        let pairs = missing.iter().chain(&self.own);
        words.extend(pairs.flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]));
        words.extend(self.words.iter().cloned());
        let matches = harness::command::<C>(service).try_get_matches_from(words);
        matches.with_context(|| format!("read the settings of {service}"))
    }
}

/// Settings of a command that is no stage: those of any process, and the way to Kafka.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tool {
    #[serde(flatten)]
    pub common: Common,
    pub kafka: KafkaConfig,
}

impl Config for Tool {
    const ABOUT: &'static str = "A command beside the stages";
    const FLAGS: &'static [Flag] = &[];
    const DOCS: &'static [&'static [(&'static str, &'static str)]] = &[streams::KAFKA_DOCS];

    fn common(&self) -> &Common {
        &self.common
    }

    fn validate(&self) -> Result<(), String> {
        self.kafka.validate()
    }
}

impl Tool {
    /// For a command of a person: no admin port, and nothing said that is not worth a warning.
    fn load(service: &'static str, file: Option<&Path>, brokers: Option<&str>) -> anyhow::Result<Tool> {
        let own = brokers.map(|brokers| ("kafka.brokers", brokers.to_owned())).into_iter().collect();
        let otherwise = vec![("log.level", "warn".to_owned())];
        let mut tool = Settings { file, own, otherwise, ..Settings::default() }.load::<Tool>(service)?.config;
        tool.common.admin = None;
        Ok(tool)
    }

    /// Runs `work` on a thread of a process that has logs and signals, once the settings are read.
    pub fn run<F>(service: &'static str, args: &KafkaArgs, work: F) -> ExitCode
    where
        F: FnOnce(&Env, &KafkaConfig) -> anyhow::Result<()> + Send + 'static,
    {
        let tool = match Tool::load(service, args.config.as_deref(), args.brokers.as_deref()) {
            Ok(tool) => tool,
            Err(error) => return usage(service, &error),
        };
        harness::host(service, tool, |ctx: Context<Tool>| async move {
            let (env, kafka) = (Env::of(&ctx), ctx.config.kafka.clone());
            ctx.thread("loop", move || work(&env, &kafka)).await
        })
    }
}
