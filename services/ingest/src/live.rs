//! Live feeds: venues read over their WebSockets.
//!
//! A feed is divided into shares, each of which one process reads ([`lease`] says which, [`shares`] does it). A share has one or more
//! lines ([`line`]), a task each: the connection's state machine, its sockets, the coverage of its symbols. What they find goes through
//! a bounded queue ([`queue`]) to one thread ([`pipeline`]) that writes to Kafka. A line never waits for Kafka: what does not fit into
//! the queue is dropped, and said to be.
//!
//! Venues without a socket are asked again and again ([`poll`]), by a task per feed.
//!
//! Where the venue gives trades of the past, one more task per feed ([`backfill`]) fills the gaps that its lines declare.
//!
//! A checkpoint per share in `finflow-leases` holds what each symbol's stream came to ([`memory`]). Whoever reads the share next reads
//! it, and what was written after it, and so declares what was missed from each symbol's last record on.

mod backfill;
mod board;
mod feed;
pub(crate) mod judge;
mod lease;
mod line;
mod memory;
mod pipeline;
pub mod poll;
pub mod probe;
mod queue;
mod rest;
mod shares;
mod silence;
mod socket;
pub(crate) mod symbols;

use std::sync::Arc;

use anyhow::Context as _;
use harness::Context;

use crate::config::Config;
use crate::observe::live::Metrics;
use crate::spec::Feed;
use crate::summary::Summary;

use self::board::Board;
pub use self::feed::LiveFeed;
use self::lease::keeper::{Gate, Keeper, Order};
use self::pipeline::Pipeline;
pub use self::poll::PollFeed;
use self::queue::{Folder, Queue};
use self::shares::{Live, Source};

/// What is wrong with the live feeds of a config.
pub fn check(config: &Config) -> Result<(), String> {
    if !config.feeds.iter().all(Feed::is_live) {
        return Err("live feeds and files cannot be read by one process: start one for each".to_owned());
    }
    let mut scopes = Vec::new();
    for spec in &config.feeds {
        let shared = if spec.is_polled() {
            PollFeed::of(spec, config)?.shared(0, *config.live.lease)
        } else {
            LiveFeed::of(spec, config)?.shared(0, *config.live.lease)
        };
        if scopes.contains(&shared.scope) {
            return Err(format!(
                "feed `{}`: {} allows one connection per key, and another feed has this one: put the symbols of both into one",
                spec.name, spec.path
            ));
        }
        scopes.push(shared.scope);
    }
    Ok(())
}

/// For connections with TLS. Somebody else in this process may have chosen already.
fn install_tls() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

fn queue(config: &Config, metrics: &Metrics) -> anyhow::Result<Arc<Queue>> {
    let live = &config.live;
    let folder = match live.spill.as_str() {
        "" => None,
        dir => Some(Folder::open(dir.as_ref(), live.spill_most.bytes()).context("spill (setting `live.spill`)")?),
    };
    let spills = folder.is_some();
    let queue = Arc::new(Queue::new(usize::try_from(live.memory.bytes()).unwrap_or(usize::MAX), folder));
    if spills {
        let (queue, failed) = (queue.clone(), metrics.spills_failed.clone());
        let spill = std::thread::Builder::new().name("spill".to_owned()).spawn(move || queue.spill(&failed));
        spill.context("start the thread that spills to disk")?;
    }
    Ok(queue)
}

/// Reads the venues until the shutdown (or the drain: a live feed has no end of its own).
pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    install_tls();
    let sources = Source::all(&ctx.config).map_err(anyhow::Error::msg)?;
    let named: Vec<_> = sources.iter().flat_map(Source::named).collect();
    let shared = sources.iter().map(|source| source.shared(*ctx.config.live.lease)).collect();
    let metrics = Metrics::new(&ctx.metrics, named.iter().map(|share| share.name.as_str()));
    let queue = queue(&ctx.config, &metrics)?;
    // Also where this process only stands by at first.
    let record = &ctx.config.live.record;
    if !record.is_empty() {
        let made = std::fs::create_dir_all(record).with_context(|| format!("make the folder {record}"));
        made.context("record (setting `live.record`)")?;
    }
    let (board, gate) = (Arc::new(Board::default()), Arc::new(Gate::new(named.len())));
    let (told, tells) = tokio::sync::mpsc::unbounded_channel();
    let (orders, ordered) = std::sync::mpsc::channel();
    let (started, is_started) = tokio::sync::oneshot::channel();
    let writer = ctx.thread("live", {
        let (ctx, named, queue, metrics) = (ctx.clone(), named.clone(), queue.clone(), metrics.clone());
        let shared = (board.clone(), gate.clone());
        move || match Pipeline::start(ctx, named, queue, shared, metrics)? {
            Some(pipeline) => pipeline.run(started),
            None => Ok(Summary::default()),
        }
    });
    let live = Arc::new(Live::new(&ctx, sources, named, (queue.clone(), board), orders.clone(), metrics));
    let feeds = async {
        // The topics are there. If not: it stopped before that.
        let Ok(()) = is_started.await else { return Ok(()) };
        let keeper = ctx.thread("leases", {
            let ctx = ctx.clone();
            move || Keeper::new(&ctx, shared, gate, told).run(&ordered)
        });
        let reading = async {
            let read = live.run(tells).await;
            orders.send(Order::Retire).ok();
            read
        };
        let (kept, read) = tokio::join!(ending(&ctx, keeper), reading);
        read.and(kept)
    };
    let feeds = async {
        let ended = feeds.await;
        queue.close();
        ended
    };
    let (summary, ended) = tokio::join!(ending(&ctx, writer), feeds);
    ended.context("read live feeds")?;
    summary.context("read live feeds")
}

/// What fails ends the others.
async fn ending<T>(ctx: &Context<Config>, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let ended = work.await;
    if ended.is_err() {
        ctx.shutdown.trigger("a part of the live feeds has failed");
    }
    ended
}
