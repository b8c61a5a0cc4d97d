//! Folds trades into metrics over event-time windows.
//!
//! Reads `raw-market-data`, writes `aggregated-metrics` and `dead-letter-queue`, keeps its open windows and the trade ids
//! it knows in `finflow-aggregate-state`. Exactly once: metrics, state and consumed offsets are one Kafka transaction.
//! What a window's last record says is a function of its trades, whatever the speed, the batches and the restarts.
//!
//! **Invariant:** consumed = folded + duplicate + invalid + late + other_kind, per partition.

mod config;
mod cpu;
mod error;
mod observe;
mod pipeline;

use anyhow::Context as _;
use harness::Context;
use serde::Serialize;
use streams::Env;
use streams::stateful::{self, Counts, Ledger};

pub use config::Config;
pub use error::{FUTURE_TIMESTAMP, LATE};

/// The ledger of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Records consumed.
    pub msgs: u64,
    /// From the first record to the end.
    pub wall_s: f64,
    /// CPU of the whole process from the first record to the end.
    pub cpu_s_after_first: f64,
    pub outcomes: Counts,
    /// Records of metrics.
    pub metrics: u64,
    #[serde(flatten)]
    pub ledger: Ledger,
}

pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    let worker = ctx.clone();
    ctx.thread("loop", move || {
        let env = Env::of(&worker).with_heartbeat(worker.heartbeat("loop"));
        let config = &worker.config;
        let mut stage = pipeline::Aggregate::new(config, &worker.metrics);
        let settings = pipeline::Aggregate::settings(config);
        let ledger = stateful::run(&env, &config.kafka, &settings, &mut stage).context("fold the trades")?;
        let (cpu_s_after_first, wall_s) =
            stage.first.map_or((0.0, 0.0), |(cpu, start)| (cpu::seconds() - cpu, start.elapsed().as_secs_f64()));
        let outcomes = ledger.outcomes();
        let metrics = ledger.emitted.get(&config.output).copied().unwrap_or(0);
        Ok(Summary { msgs: outcomes.sum(), wall_s, cpu_s_after_first, outcomes, metrics, ledger })
    })
    .await
}
