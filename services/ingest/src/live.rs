//! Live feeds: venues read over their WebSockets.
//!
//! Each feed has one or more lines ([`line`]), a task each: the connection's state machine, its sockets, the coverage of
//! its symbols. What they find goes through a bounded queue ([`queue`]) to one thread ([`pipeline`]) that writes to Kafka.
//! A line never waits for Kafka: what does not fit into the queue is dropped, and said to be.
//!
//! Venues without a socket are asked again and again ([`poll`]), by a task per feed.
//!
//! Where the venue gives trades of the past, one more task per feed ([`backfill`]) fills the gaps that its lines declare.
//!
//! A checkpoint in `finflow-leases` holds what each symbol's stream came to ([`memory`]). A restart reads it, and what was
//! written after it, and so declares what it missed from each symbol's last record on.

mod backfill;
mod feed;
pub(crate) mod judge;
mod line;
mod memory;
mod pipeline;
pub mod poll;
pub mod probe;
mod queue;
mod rest;
mod silence;
mod socket;
pub(crate) mod symbols;

use std::sync::Arc;

use anyhow::Context as _;
use harness::Context;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::observe::live::{FeedMetrics, Metrics};
use crate::spec::Feed;
use crate::summary::Summary;

use self::backfill::{Backfill, Wanted};
pub use self::feed::LiveFeed;
use self::line::Line;
use self::memory::Named;
use self::pipeline::Pipeline;
pub use self::poll::PollFeed;
use self::poll::Poller;
use self::queue::{Folder, Queue};
use self::rest::Rest;
use self::symbols::Symbols;

/// What is wrong with the live feeds of a config.
pub fn check(config: &Config) -> Result<(), String> {
    if !config.feeds.iter().all(Feed::is_live) {
        return Err("live feeds and files cannot be read by one process: start one for each".to_owned());
    }
    config.feeds.iter().try_for_each(|feed| {
        if feed.is_polled() { PollFeed::of(feed, config).map(drop) } else { LiveFeed::of(feed, config).map(drop) }
    })
}

/// For connections with TLS. Somebody else in this process may have chosen already.
fn install_tls() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// What fills the gaps of a feed, and the way to ask it. `None` where nothing can or shall.
fn backfill(
    ctx: &Context<Config>,
    feed: &LiveFeed,
    metrics: &FeedMetrics,
) -> Option<(Backfill, mpsc::Sender<Wanted>, mpsc::Receiver<Wanted>)> {
    let history = feed.venue().history()?;
    let live = &ctx.config.live;
    let (address, requests) = feed.rest.as_ref().filter(|_| live.backfill > 0)?;
    let rest = match Rest::new(address, *live.handshake) {
        Ok(rest) => rest,
        Err(error) => {
            tracing::warn!(feed = feed.name, error = format!("{error:#}"), "gaps will not be filled by REST");
            return None;
        }
    };
    let backfill = Backfill {
        feed: feed.name.clone(),
        rest,
        history,
        requests: *requests,
        backoff_least: *live.backoff_least,
        backoff_most: *live.backoff_most,
        clock: ctx.clock.clone(),
        metrics: metrics.clone(),
    };
    let (wanted, asked) = mpsc::channel(backfill::MOST_WAITING);
    Some((backfill, wanted, asked))
}

/// Reads the venues until the shutdown (or the drain: a live feed has no end of its own).
pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    install_tls();
    let (polled, streamed): (Vec<&Feed>, Vec<&Feed>) = ctx.config.feeds.iter().partition(|feed| feed.is_polled());
    let feeds: Result<Vec<LiveFeed>, String> =
        streamed.into_iter().map(|feed| LiveFeed::of(feed, &ctx.config)).collect();
    let feeds = feeds.map_err(anyhow::Error::msg)?;
    let polled: Result<Vec<PollFeed>, String> =
        polled.into_iter().map(|feed| PollFeed::of(feed, &ctx.config)).collect();
    let polled = polled.map_err(anyhow::Error::msg)?;
    // A feed's number is its place among these.
    let named: Vec<Named> = feeds.iter().map(LiveFeed::named).chain(polled.iter().map(PollFeed::named)).collect();
    let metrics = Metrics::new(&ctx.metrics, named.iter().map(|feed| feed.name.as_str()));
    let live = &ctx.config.live;
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
    let changing: Vec<Arc<Symbols>> =
        (0..).zip(feeds.iter()).map(|(index, feed)| Arc::new(Symbols::new(feed, metrics.of(index)))).collect();
    ctx.commands.register("/feeds/", ctx.config.live.admin_token.clone(), "live.admin_token", {
        let changing = changing.clone();
        move |call| symbols::answer(&changing, call)
    });
    let ready = ctx.health.latch("reading");
    let (started, restored) = tokio::sync::oneshot::channel();
    let writer = ctx.thread("live", {
        let (ctx, queue, metrics) = (ctx.clone(), queue.clone(), metrics.clone());
        move || match Pipeline::start(ctx, named, queue, metrics)? {
            Some(pipeline) => pipeline.run(started),
            None => Ok(Summary::default()),
        }
    });
    let lines = async {
        // Where each symbol stood must be known before the first trade is judged. None: it stopped before that.
        let Ok(restored) = restored.await else { return Ok(()) };
        ready.release();
        let mut running = tokio::task::JoinSet::new();
        // These end with this future: what was not fetched by then stays a gap.
        let mut following = tokio::task::JoinSet::new();
        let mut fetching = tokio::task::JoinSet::new();
        for (index, feed) in feeds.iter().enumerate() {
            if let Some(file) = &feed.symbols_file {
                following.spawn(symbols::follow(changing[index].clone(), file.clone(), *ctx.config.live.symbols_poll));
            }
            let wanted = backfill(&ctx, feed, &metrics.of(index)).map(|(task, wanted, asked)| {
                fetching.spawn(task.run(asked));
                wanted
            });
            for (number, part) in feed.lines().into_iter().enumerate() {
                let line =
                    Line::new(&ctx, index, feed, part, &restored[index].symbols, queue.clone(), metrics.of(index));
                let line =
                    line.told_by(changing[index].of_line(number)).filled_by(wanted.clone()).recorded(&ctx, number)?;
                running.spawn(line.run(ctx.shutdown.clone(), ctx.drain.clone()));
            }
        }
        for (index, feed) in (feeds.len()..).zip(polled) {
            let taken = restored[index].taken.clone();
            let poller = Poller::new(&ctx, index, feed, taken, queue.clone(), metrics.of(index))?;
            running.spawn(poller.run(ctx.shutdown.clone(), ctx.drain.clone()));
        }
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a line of a feed has broken down");
                ctx.shutdown.trigger("a line of a live feed has broken down");
            }
        }
        anyhow::Ok(())
    };
    let lines = async {
        let ended = lines.await;
        queue.close();
        ended
    };
    let (summary, ended) = tokio::join!(writer, lines);
    ended.context("read live feeds")?;
    summary.context("read live feeds")
}
