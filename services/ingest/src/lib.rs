//! Reads market data from feeds and files into `raw-market-data`.
//!
//! Reads files, plain, gzip or zstd: CSV of trades or bars, recorded WebSocket frames of Binance and Coinbase, trade lists of
//! Kraken and freqtrade, events as this pipeline writes them; and a seeded synthetic market. Writes one record per event
//! to `raw-market-data`, keyed by symbol; what cannot be read goes to `dead-letter-queue` with its file, line and reason,
//! and the rest goes on. Keeps checkpoints in `finflow-leases`.
//!
//! Or reads venues over their WebSockets or by REST ([`live`]): what the venue delivered is in Kafka once, and what it did not deliver
//! is said in `gap` records. One process reads either live feeds or files.
//!
//! Guarantee for files: every event of a feed is in Kafka once, whatever interrupts the process ([`resume`] says how), as long as
//! one process at a time replays a feed. Not covered: a record that retention removed before the restart looked for it.
//!
//! A text goes through [`sources`] (decoded, pure), [`reel`] (position, pass), [`shift`] (moved in time), [`pace`] (when),
//! [`writer`] (Kafka); [`pipeline`] is the loop that makes it so.
//!
//! **Invariant:** in each partition the events of a feed lie in the order of the feed, without holes.

mod config;
pub mod connection;
pub mod coverage;
mod error;
mod input;
pub mod lexicon;
mod lines;
mod listing;
pub mod live;
mod observe;
mod pace;
mod pipeline;
mod position;
mod progress;
pub mod recording;
mod recover;
mod reel;
pub mod resume;
mod rng;
mod sample;
mod shift;
mod skew;
pub mod sources;
mod spec;
mod start;
mod summary;
mod taken;
mod times;
pub mod venues;
mod writer;

use harness::Context;

pub use config::{Config, Progress, Rebase, Speed};
pub use error::IngestError;
pub use position::Position;
pub use spec::{Columns, Feed, Format};
pub use summary::{FeedSummary, Summary};
pub use times::TimeFormat;
pub use writer::{FILE_HEADER, LINE_HEADER};

/// Replays the feeds of the config. Returns when they have ended and the drain is set (`--until-end`), else at the
/// shutdown. A feed that failed makes it an error ([`IngestError`]), after the others have ended.
pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    if ctx.config.feeds.iter().any(Feed::is_live) {
        return live::run(ctx).await;
    }
    let ready = ctx.health.latch("replaying");
    let worker = ctx.clone();
    let played = ctx.thread("replay", move || start::play(worker, &ready)).await?;
    if !ctx.shutdown.is_set() && !ctx.drain.is_set() {
        tracing::info!(produced = played.summary.total(), "all feeds have ended, waiting to be stopped");
        tokio::select! {
            () = ctx.shutdown.wait() => {}
            () = ctx.drain.wait() => {}
        }
    }
    if played.interrupted || played.summary.failures().is_empty() {
        return Ok(played.summary);
    }
    Err(IngestError::FeedsFailed { summary: Box::new(played.summary) }.into())
}
