//! `finflow up`: every stage in this process, connected by Kafka and S3 as in production.
//!
//! Live, the stages run until Ctrl-C. With `--once` they end one after the other, each told that nothing more will come
//! once the one before it has returned: ingest at the end of its feed, then aggregate, alert, and store and logger.

mod demo;
mod embedded;
mod host;
mod ledger;
mod report;
pub mod speed;
mod stages;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use harness::{Common, Config, Context, Flag, Shutdown};
use serde::{Deserialize, Serialize};
use streams::{Admin, Env, KafkaConfig, topic};

use crate::EXIT_USAGE;
use crate::cli::UpArgs;
use embedded::Parts;
use stages::{Configs, Stages};

/// `up` hosts the stages; its own settings are those of any process.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Host {
    #[serde(flatten)]
    common: Common,
}

impl Config for Host {
    const ABOUT: &'static str = "Hosts every stage";
    const FLAGS: &'static [Flag] = &[];

    fn common(&self) -> &Common {
        &self.common
    }
}

pub fn main(args: UpArgs) -> ExitCode {
    // Wrong settings are found before anything is started.
    let configs = match Configs::load(&args) {
        Ok(configs) => configs,
        Err(error) => {
            eprintln!("finflow up: {error:#}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let mut common = Common::default();
    common.log.level = args.log_level.clone();
    harness::host("up", Host { common }, |ctx| run(ctx, args, configs))
}

async fn run(ctx: Context<Host>, args: UpArgs, mut configs: Configs) -> anyhow::Result<()> {
    let start = Instant::now();
    let parts = Parts::start(&args).await?;
    configs.connect(&parts);
    let shutdown = ctx.shutdown.clone();
    let result = pipeline(&ctx.shutdown, &args, configs, &parts, start).await;
    shutdown.trigger("the pipeline has ended");
    parts.stop().await;
    result
}

async fn pipeline(
    shutdown: &Shutdown,
    args: &UpArgs,
    configs: Configs,
    parts: &Parts,
    start: Instant,
) -> anyhow::Result<()> {
    apply_topics(shutdown, &parts.brokers).await?;
    let addresses = configs.addresses();
    let stages = Stages::start(configs, shutdown).await?;
    if !args.once {
        println!("{addresses}");
        return stages.live(shutdown).await;
    }
    let ledger = stages.once(shutdown).await?;
    let brokers = parts.brokers.clone();
    let seconds = start.elapsed().as_secs_f64();
    let report = tokio::task::spawn_blocking(move || ledger.report(&admin(&brokers)?, seconds)).await??;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

fn admin(brokers: &str) -> anyhow::Result<Admin> {
    let kafka = KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() };
    Admin::new(&Env::standalone("up", &Shutdown::new()), &kafka).with_context(|| format!("connect to {brokers}"))
}

/// No stage creates a topic; `up` stands for the person who would.
async fn apply_topics(shutdown: &Shutdown, brokers: &str) -> anyhow::Result<()> {
    let (shutdown, brokers) = (shutdown.clone(), brokers.to_owned());
    let apply = move || -> anyhow::Result<()> {
        let kafka = KafkaConfig { brokers: brokers.clone(), ..KafkaConfig::default() };
        let admin = Admin::new(&Env::standalone("up", &shutdown), &kafka)?;
        let applied = admin.apply(&topic::all(), 1).with_context(|| format!("create the topics on {brokers}"))?;
        for d in applied.differs {
            tracing::warn!(topic = d.topic, setting = d.what, found = d.found, wanted = d.wanted, "topic differs");
        }
        Ok(())
    };
    tokio::task::spawn_blocking(apply).await?
}
