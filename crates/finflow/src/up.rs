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

pub use stages::WATCHED;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Context as _;
use harness::{Context, Shutdown};
use streams::{Admin, Env, KafkaConfig, topic};

use crate::cli::UpArgs;
use crate::settings::{Loaded, QUIET, Settings, Tool};
use crate::usage;
use embedded::Parts;
use stages::{Configs, Stages, interrupted};

pub fn main(args: UpArgs) -> ExitCode {
    // Wrong settings are found before anything is started.
    let loaded = host(&args).and_then(|host| Ok((Configs::load(&args, &host)?, host.config)));
    let (configs, mut host) = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return usage("up", &error),
    };
    // The stages have ports of their own.
    host.common.admin = None;
    harness::host("up", host, |ctx| run(ctx, args, configs))
}

/// `up` hosts the stages; its own settings are those of any process.
fn host(args: &UpArgs) -> anyhow::Result<Loaded<Tool>> {
    let own = args.log_level.iter().map(|level| ("log.level", level.clone())).collect();
    let otherwise = vec![("log.level", QUIET.to_owned())];
    Settings { file: args.config.as_deref(), own, otherwise, ..Settings::default() }.load("up")
}

async fn run(ctx: Context<Tool>, args: UpArgs, mut configs: Configs) -> anyhow::Result<()> {
    let start = Instant::now();
    let parts = Parts::start(&args, configs.named(&args), configs.bucket()).await?;
    configs.connect(&args, &parts);
    let shutdown = ctx.shutdown.clone();
    let result = pipeline(&ctx.shutdown, &args, configs, start).await;
    shutdown.trigger("the pipeline has ended");
    parts.stop().await;
    result
}

async fn pipeline(shutdown: &Shutdown, args: &UpArgs, configs: Configs, start: Instant) -> anyhow::Result<()> {
    let kafka = configs.kafka().clone();
    if !apply_topics(shutdown, &kafka).await? {
        return if args.once { Err(interrupted()) } else { Ok(()) };
    }
    let stages = Stages::start(configs, shutdown).await?;
    if !args.once {
        println!("{}", stages.addresses());
        return stages.live(shutdown).await;
    }
    let ledger = stages.once(shutdown).await?;
    let seconds = start.elapsed().as_secs_f64();
    let report =
        tokio::task::spawn_blocking(move || ledger.report(&admin(&Shutdown::new(), &kafka)?, seconds)).await??;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{}", report.text());
    }
    Ok(())
}

fn admin(shutdown: &Shutdown, kafka: &KafkaConfig) -> anyhow::Result<Admin> {
    let admin = Admin::new(&Env::standalone("up", shutdown), kafka);
    admin.with_context(|| format!("connect to {}", kafka.brokers))
}

/// No stage creates a topic; `up` stands for the person who would. False: told to end while it waited for a broker.
async fn apply_topics(shutdown: &Shutdown, kafka: &KafkaConfig) -> anyhow::Result<bool> {
    let (shutdown, kafka) = (shutdown.clone(), kafka.clone());
    let apply = move || -> anyhow::Result<bool> {
        let applied = match admin(&shutdown, &kafka)?.apply_when_there(&topic::all()) {
            Err(error) if error.is_stopped() => return Ok(false),
            answer => answer.with_context(|| format!("create the topics on {}", kafka.brokers))?,
        };
        for d in applied.differs {
            tracing::warn!(topic = d.topic, setting = d.what, found = d.found, wanted = d.wanted, "topic differs");
        }
        Ok(true)
    };
    tokio::task::spawn_blocking(apply).await?
}
