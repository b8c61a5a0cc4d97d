//! Serves the page and the API from the topics.
//!
//! Reads the ends of `raw-market-data`, `aggregated-metrics`, `price-alerts` and `dead-letter-queue`, writes nothing. What
//! it shows is a bounded picture in memory ([`View`]), so any number of gateways can stand side by side, each complete,
//! and a restart loses nothing that the topics still hold.
//!
//! One thread reads (`pipeline`), one looks at offsets (`probe`), and once per tick the changes go to all clients as one
//! round ([`Hub`]). The server (`http`) expects strangers.
//!
//! **Invariant:** no client can make another wait, or make memory grow beyond the settings.

mod config;
mod error;
mod http;
mod hub;
mod lag;
mod limits;
mod observe;
mod pipeline;
mod probe;
mod sse;
mod view;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::Serialize;
use streams::Env;
use tokio::time::MissedTickBehavior;

pub use config::{Config, Group, Limits, View as ViewConfig};
pub use http::Server;
pub use hub::Hub;
use observe::Metrics;
use pipeline::{Pipeline, Progress};
use probe::Probe;
pub use view::View;
pub use wire::{DeadLetters, Group as StageLag, Pipeline as PipelineState, Size, State, Time, Topic};

/// How long the threads may take to end once the server has.
const THREADS: Duration = Duration::from_millis(500);

/// What the gateway has read and served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    pub events: u64,
    pub metrics: u64,
    pub alerts: u64,
    pub dead_letters: u64,
    /// Records that could not be decoded. They stay where they are: the gateway is a reader only.
    pub invalid: u64,
    pub requests: u64,
    pub streams: u64,
}

pub async fn run(ctx: harness::Context<Config>) -> Result<Summary> {
    let server = Server::bind(ctx.config.http)?;
    run_on(server, ctx).await
}

/// As [`run`], on an address that is bound already.
pub async fn run_on(server: Server, ctx: harness::Context<Config>) -> Result<Summary> {
    let hub = Hub::new(&ctx.config.view, epoch(&ctx));
    let metrics = metrics(&ctx);
    let env = Env::of(&ctx);
    let progress = Arc::new(Progress::default());
    let probe = Probe::new(env.clone(), ctx.config.clone(), hub.clone(), metrics.clone(), progress.clone());
    let probe = probe.context("prepare to look at the topics")?;
    let heartbeat = ctx.heartbeat("reader");
    let pipeline = Pipeline::new(env, heartbeat, ctx.config.clone(), hub.clone(), metrics.clone(), progress);
    let pipeline = pipeline.context("prepare to read the topics")?;

    let reading = ctx.thread("reader", move || pipeline.run());
    let looking = ctx.thread("probe", move || probe.run());
    let serving = serve(server, &ctx, hub, metrics.clone());
    let (mut reading, mut looking, mut serving) =
        (std::pin::pin!(reading), std::pin::pin!(looking), std::pin::pin!(serving));
    tokio::select! {
        // Draining: everything has been read.
        ended = &mut reading => ended.context("read the topics")?,
        ended = &mut looking => ended.context("look at the topics")?,
        () = &mut serving => {
            // A thread that waits for a broker that is away is not worth waiting for: it holds nothing.
            tokio::time::timeout(THREADS, reading).await.ok();
        }
    }
    Ok(metrics.summary())
}

/// The server alone, for whoever fills the view himself: tests, and examples without a Kafka.
pub async fn serve_view(ctx: &harness::Context<Config>, server: Server, hub: Hub) {
    serve(server, ctx, hub, metrics(ctx)).await;
}

async fn serve(server: Server, ctx: &harness::Context<Config>, hub: Hub, metrics: Metrics) {
    let address = server.address();
    tracing::info!(%address, "the page is at http://{address}");
    let ticking = tick(hub.clone(), *ctx.config.view.tick);
    tokio::select! {
        () = server.run(&ctx.config, hub, ctx.clock.clone(), metrics, ctx.shutdown.clone()) => {}
        () = ticking => {}
    }
}

async fn tick(hub: Hub, every: Duration) {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        hub.tick();
    }
}

fn metrics(ctx: &harness::Context<Config>) -> Metrics {
    let stages: Vec<&str> = ctx.config.groups.iter().map(|group| group.stage.as_str()).collect();
    Metrics::new(&ctx.metrics, &stages)
}

/// Differs from start to start, also of two gateways behind one address.
fn epoch(ctx: &harness::Context<Config>) -> String {
    format!("{:x}{:x}", ctx.clock.now_ns(), std::process::id())
}
