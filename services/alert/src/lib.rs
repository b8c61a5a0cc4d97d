//! Raises price alerts from metrics by rules.
//!
//! Reads `aggregated-metrics`, writes `price-alerts` and `dead-letter-queue`, keeps what has fired in
//! `finflow-alert-state`. Exactly once: alerts, state and consumed offsets are one Kafka transaction, so a restart
//! neither repeats an alert nor forgets that it was raised. An alert's id is a function of rule, symbol, window and
//! state: a receiver that sees it twice by other ways can drop the repeat.
//!
//! **Invariant:** consumed = folded + duplicate + invalid + other_kind. Folded: some rule judged it. Duplicate: a
//! revision, or an older window, than the rules have judged already.

mod config;
mod error;
mod observe;
mod pipeline;
mod rule;

use anyhow::Context as _;
use harness::Context;
use serde::Serialize;
use streams::Env;
use streams::stateful::{self, Counts, Ledger, Repartitioned};

pub use config::{Config, Judge};
pub use error::AlertError;
pub use rule::Rule;

/// The ledger of one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    pub outcomes: Counts,
    pub alerts: u64,
    #[serde(flatten)]
    pub ledger: Ledger,
}

pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    let worker = ctx.clone();
    let ledger = ctx
        .thread("loop", move || {
            let env = Env::of(&worker).with_heartbeat(worker.heartbeat("loop"));
            let config = &worker.config;
            let mut alerts = pipeline::Alerts::new(config, &worker.metrics);
            stateful::run(&env, &config.kafka, &pipeline::Alerts::settings(config), &mut alerts)
                .context("judge the metrics")
        })
        .await?;
    let alerts = ledger.emitted.get(&ctx.config.output).copied().unwrap_or(0);
    Ok(Summary { outcomes: ledger.outcomes(), alerts, ledger })
}

/// Carries what has fired over to `partitions` of the input, with the settings of the stage: [`stateful::repartition`].
pub async fn repartition(ctx: Context<Config>, partitions: i32) -> anyhow::Result<Repartitioned> {
    let worker = ctx.clone();
    ctx.thread("loop", move || {
        let env = Env::of(&worker).with_heartbeat(worker.heartbeat("loop"));
        let config = &worker.config;
        let mut alerts = pipeline::Alerts::new(config, &worker.metrics);
        stateful::repartition(&env, &config.kafka, &pipeline::Alerts::settings(config), &mut alerts, partitions)
    })
    .await
}
