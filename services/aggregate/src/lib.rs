//! Folds trades into metrics over event-time windows.
//!
//! Reads `raw-market-data`, writes `aggregated-metrics` and `dead-letter-queue`, keeps the open windows in
//! `finflow-aggregate-state`. Exactly once: metrics, state and consumed offsets are one Kafka transaction. What a window
//! is, when it closes and when it is final: [`market::window`], which has no clock and no Kafka; the loop is
//! [`streams::stateful`]; here the two are put together.
//!
//! **Invariant:** consumed = folded + duplicate + invalid + late + other_kind, per partition. Folded: at least one
//! window took the trade or bar. Duplicate: its id was folded before. Late: every window that holds it is final; it goes
//! to the dead letters. Invalid: not a record of ours, or from the future; likewise. Other kind: everything else, and bars
//! that no roll-up is asked for or that lie across the borders of its windows.

mod config;
mod error;
mod observe;
mod pipeline;

use std::collections::BTreeMap;

use anyhow::Context as _;
use harness::Context;
use serde::Serialize;
use streams::Env;
use streams::stateful::{self, Counts, Ledger, Repartitioned};

pub use config::Config;
pub use error::AggregateError;
pub use market::window::{Emit, Empty};
pub use pipeline::REASONS;

/// The ledger of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Records consumed.
    pub msgs: u64,
    /// Seconds from the first record on, 0 without one.
    pub wall_s: f64,
    /// CPU time of the process from the first record on, 0 without one.
    pub cpu_s_after_first: f64,
    pub outcomes: Counts,
    /// Records emitted.
    pub metrics: u64,
    /// Final windows that a trade or bar came too late for, by window, whether or not another window took it.
    pub late_for_window: BTreeMap<String, u64>,
    #[serde(flatten)]
    pub ledger: Ledger,
}

pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    let worker = ctx.clone();
    let (ledger, stage) = ctx
        .thread("loop", move || {
            let env = Env::of(&worker).with_heartbeat(worker.heartbeat("loop"));
            let config = &worker.config;
            let mut stage = pipeline::Aggregator::new(config, &worker.metrics)?;
            let ledger = stateful::run(&env, &config.kafka, &pipeline::settings(config), &mut stage)
                .context("fold trades into metrics")?;
            Ok((ledger, stage.ended()))
        })
        .await?;
    Ok(Summary {
        msgs: ledger.outcomes().sum(),
        wall_s: stage.wall_seconds,
        cpu_s_after_first: stage.cpu_seconds,
        outcomes: ledger.outcomes(),
        metrics: ledger.emitted.get(&ctx.config.output).copied().unwrap_or(0),
        late_for_window: stage.late_for_window,
        ledger,
    })
}

/// Carries the windows over to `partitions` of the input, with the settings of the stage: [`stateful::repartition`].
pub async fn repartition(ctx: Context<Config>, partitions: i32) -> anyhow::Result<Repartitioned> {
    let worker = ctx.clone();
    ctx.thread("loop", move || {
        let env = Env::of(&worker).with_heartbeat(worker.heartbeat("loop"));
        let config = &worker.config;
        let mut stage = pipeline::Aggregator::new(config, &worker.metrics)?;
        stateful::repartition(&env, &config.kafka, &pipeline::settings(config), &mut stage, partitions)
    })
    .await
}
