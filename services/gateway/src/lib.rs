//! Serves the page and the API from the topics.

mod config;

pub use config::{Config, Group, Limits, View};

use anyhow::Result;
use serde::Serialize;

/// What the gateway has read and served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records read, by topic role.
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
    tokio::select! {
        () = ctx.shutdown.wait() => {}
        () = ctx.drain.wait() => {}
    }
    Ok(Summary::default())
}
