//! Reads the shares of the feeds that are this process's own: what the leases say is begun, and ended, here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, mpsc as orders};
use std::time::Duration;

use harness::{Context, Drain, Latch};
use streams::{Admin, Env, StreamError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

use super::backfill::{self, Backfill, Wanted};
use super::board::{Board, Control};
use super::feed::LiveFeed;
use super::lease::keeper::{Order, Shared, Told};
use super::line::{Handshakes, Line, Place};
use super::memory::{self, Memory, Named, Stood};
use super::poll::{PollFeed, Poller};
use super::queue::Queue;
use super::rest::Rest;
use super::symbols::{self, Symbols};
use crate::config::Config;
use crate::observe::live::{FeedMetrics, Metrics};
use crate::recover::Places;
use crate::spec::Feed;
use crate::start::until_answered;

/// A feed as it is read.
pub struct Source {
    /// The number of its first share among all of the process.
    first: usize,
    kind: Kind,
}

#[expect(clippy::large_enum_variant, reason = "there are a few of them")]
enum Kind {
    Streamed(LiveFeed),
    /// Made anew from this each time.
    Polled(Feed, PollFeed),
}

impl Source {
    pub fn all(config: &Config) -> Result<Vec<Source>, String> {
        let mut first = 0;
        let of = |spec: &Feed| {
            let kind = if spec.is_polled() {
                Kind::Polled(spec.clone(), PollFeed::of(spec, config)?)
            } else {
                Kind::Streamed(LiveFeed::of(spec, config)?)
            };
            let source = Source { first, kind };
            first += source.shares();
            Ok(source)
        };
        config.feeds.iter().map(of).collect()
    }

    fn shares(&self) -> usize {
        match &self.kind {
            Kind::Streamed(feed) => feed.shares,
            Kind::Polled(..) => 1,
        }
    }

    pub fn named(&self) -> Vec<Named> {
        match &self.kind {
            Kind::Streamed(feed) => (0..feed.shares).map(|share| feed.named(share)).collect(),
            Kind::Polled(_, feed) => vec![feed.named()],
        }
    }

    pub fn shared(&self, lease: Duration) -> Shared {
        match &self.kind {
            Kind::Streamed(feed) => feed.shared(self.first, lease),
            Kind::Polled(_, feed) => feed.shared(self.first, lease),
        }
    }
}

/// What all lines of a streamed feed have in common.
struct Streamed {
    symbols: Arc<Symbols>,
    handshakes: Handshakes,
    /// Who fills gaps, if anybody does.
    wanted: Option<mpsc::Sender<Wanted>>,
    /// The number of the first line of each share.
    lines: Vec<usize>,
}

/// What ends it, and what it came to.
type Serving = (Drain, JoinHandle<anyhow::Result<()>>);

pub struct Live {
    ctx: Context<Config>,
    sources: Vec<Source>,
    /// By feed; `None`: it is polled.
    streamed: Vec<Option<Streamed>>,
    /// Released when it is read, or it is known that others read it.
    latches: Vec<Latch>,
    /// By share.
    named: Vec<Named>,
    queue: Arc<Queue>,
    board: Arc<Board>,
    orders: orders::Sender<Order>,
    metrics: Metrics,
    /// What goes on as long as the process reads at all.
    beside: Mutex<JoinSet<()>>,
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

impl Live {
    pub fn new(
        ctx: &Context<Config>,
        sources: Vec<Source>,
        named: Vec<Named>,
        (queue, board): (Arc<Queue>, Arc<Board>),
        orders: orders::Sender<Order>,
        metrics: Metrics,
    ) -> Live {
        let mut beside = JoinSet::new();
        let streamed: Vec<Option<Streamed>> = sources
            .iter()
            .map(|source| {
                let Kind::Streamed(feed) = &source.kind else { return None };
                let metrics = metrics.of(source.first);
                let symbols = Arc::new(Symbols::new(feed, metrics.clone()));
                if let Some(file) = &feed.symbols_file {
                    beside.spawn(symbols::follow(symbols.clone(), file.clone(), *ctx.config.live.symbols_poll));
                }
                // These end with the process: what was not fetched by then stays a gap.
                let wanted = backfill(ctx, feed, &metrics).map(|(task, wanted, asked)| {
                    beside.spawn(task.run(asked));
                    wanted
                });
                let mut lines = 0;
                let firsts = feed.lines().into_iter().map(|of_share| {
                    lines += of_share.len();
                    lines - of_share.len()
                });
                Some(Streamed { symbols, handshakes: Handshakes::new(&feed.limits), wanted, lines: firsts.collect() })
            })
            .collect();
        let changing: Vec<Arc<Symbols>> = streamed.iter().flatten().map(|feed| feed.symbols.clone()).collect();
        ctx.commands.register("/feeds/", ctx.config.live.admin_token.clone(), "live.admin_token", move |call| {
            symbols::answer(&changing, call)
        });
        let latch = |source: &Source| ctx.health.latch(format!("leases of {}", named[source.first].name));
        Live {
            ctx: ctx.clone(),
            latches: sources.iter().map(latch).collect(),
            sources,
            streamed,
            named,
            queue,
            board,
            orders,
            metrics,
            beside: Mutex::new(beside),
        }
    }

    /// Until the shutdown, or the drain. Then all that was read is in the queue, or has been written.
    pub async fn run(self: Arc<Self>, mut tells: mpsc::UnboundedReceiver<Told>) -> anyhow::Result<()> {
        let mut serving: HashMap<usize, Serving> = HashMap::new();
        let mut failed = Ok(());
        loop {
            let told = tokio::select! {
                biased;
                () = self.ctx.shutdown.wait() => break,
                () = self.ctx.drain.wait() => break,
                told = tells.recv() => told,
            };
            match told {
                Some(Told::Won(share, turn)) => {
                    let (stop, before) = (Drain::new(), serving.remove(&share));
                    let (live, until) = (self.clone(), stop.clone());
                    let served = tokio::spawn(async move {
                        if let Some((_, before)) = before {
                            before.await??;
                        }
                        let served = live.clone().serve(share, turn, until).await;
                        if served.is_err() {
                            live.ctx.shutdown.trigger("a live feed cannot be read");
                        }
                        served
                    });
                    serving.insert(share, (stop, served));
                }
                Some(Told::Lost(share) | Told::Leave(share)) => {
                    if let Some((stop, _)) = serving.get(&share) {
                        stop.set();
                    }
                }
                Some(Told::StandsBy(feed)) => self.latches[feed].release(),
                // It has failed, which ends the process.
                None => break,
            }
        }
        for (stop, _) in serving.values() {
            stop.set();
        }
        for (_, (_, served)) in serving {
            failed = failed.and(served.await.map_err(anyhow::Error::new).flatten());
        }
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
        failed
    }

    /// Reads a share until it is told to stop; then all of it has been written, if it is still ours.
    async fn serve(self: Arc<Self>, share: usize, turn: u64, stop: Drain) -> anyhow::Result<()> {
        let feed = self.sources.iter().rposition(|source| source.first <= share).unwrap_or(0);
        let released = || self.orders.send(Order::Released(share, turn)).ok();
        // Where each symbol stood must be known before the first trade is judged.
        let Some(memory) = self.restore(share).await? else {
            released();
            return Ok(());
        };
        let stood = memory.save();
        self.board.put(&self.queue, Control::Begin { share, turn, memory });
        let metrics = self.metrics.of(share);
        metrics.shares.inc();
        let mut running = JoinSet::new();
        let begun = self.begin(feed, share, stood, &stop, &mut running);
        self.latches[feed].release();
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a line of a feed has broken down");
                self.ctx.shutdown.trigger("a line of a live feed has broken down");
            }
        }
        let (done, through) = oneshot::channel();
        self.board.put(&self.queue, Control::End { share, done });
        through.await.ok();
        metrics.shares.dec();
        released();
        begun
    }

    /// `None`: it was stopped before Kafka had answered.
    async fn restore(&self, share: usize) -> anyhow::Result<Option<Memory>> {
        let (ctx, named) = (self.ctx.clone(), self.named[share].clone());
        let restored = tokio::task::spawn_blocking(move || {
            let (env, kafka, places) = (Env::of(&ctx), &ctx.config.kafka, Places::of(&ctx.config));
            let admin = Admin::new(&env, kafka)?;
            until_answered(&env, || memory::restore(&env, kafka, &admin, &places, &named))
        });
        match restored.await? {
            Ok(memory) => Ok(Some(memory)),
            Err(StreamError::Stopped(_)) => Ok(None),
            Err(error) => Err(anyhow::Error::new(error).context("find out where a live feed stood")),
        }
    }

    fn begin(
        &self,
        feed: usize,
        share: usize,
        stood: Stood,
        stop: &Drain,
        running: &mut JoinSet<()>,
    ) -> anyhow::Result<()> {
        let (ctx, source) = (&self.ctx, &self.sources[feed]);
        let metrics = self.metrics.of(share);
        match (&source.kind, &self.streamed[feed]) {
            (Kind::Streamed(feed), Some(shared)) => {
                let number = share - source.first;
                for (number, wants) in (shared.lines[number]..).zip(shared.symbols.of_share(number)) {
                    let (queue, handshakes) = (self.queue.clone(), &shared.handshakes);
                    let place = Place { feed, share, number, handshakes, queue, metrics: metrics.clone() };
                    let symbols = wants.borrow().clone();
                    let made = Line::new(ctx, place, symbols, &stood.symbols).told_by(wants);
                    let made = made.filled_by(shared.wanted.clone()).recorded(ctx, number)?;
                    running.spawn(made.run(ctx.shutdown.clone(), stop.clone()));
                }
            }
            (Kind::Polled(spec, _), _) => {
                let feed = PollFeed::of(spec, &ctx.config).map_err(anyhow::Error::msg)?;
                let poller = Poller::new(ctx, share, feed, stood.taken, self.queue.clone(), metrics)?;
                running.spawn(poller.run(ctx.shutdown.clone(), stop.clone()));
            }
            (Kind::Streamed(_), None) => {}
        }
        Ok(())
    }
}
