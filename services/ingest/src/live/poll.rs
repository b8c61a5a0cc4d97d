//! Venues that have no socket, or not for everything: asked again and again, one request at a time.
//!
//! One task per feed. What is new in an answer ([`crate::taken`]) goes into the queue; unlike a line, which cannot wait, a poller
//! waits for room there, and so nothing of it is ever dropped: the venue is asked later. What a request says against us, or an
//! answer that cannot be read, is counted, said once for each change, and makes the feed not ready. The key is in no text that
//! leaves this module.

mod feed;
pub mod look;
mod schedule;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use harness::{Clock, Context, Drain, Shutdown};
use market::{Event, Gap, GapCause};
use tokio::time::Instant;

pub use self::feed::PollFeed;
use self::feed::masked;
use self::schedule::{Answered, Schedule};
use super::queue::{Entry, Item, Queue};
use super::rest::{Answer, Rest};
use crate::config::Config;
use crate::connection::backoff::Backoff;
use crate::observe::live::FeedMetrics;
use crate::position::Position;
use crate::sources::Bad;
use crate::taken::Taken;
use crate::venues::poll::{Page, Reach, Refusal};

/// How often a full queue is looked at.
const FULL: Duration = Duration::from_millis(20);

pub struct Poller {
    index: usize,
    feed: PollFeed,
    rest: Rest,
    schedule: Schedule,
    /// Per request: what is wrong with it now.
    troubles: Arc<Mutex<Vec<Option<String>>>>,
    /// Per request: the last page was full; only short answers are given.
    follows: Vec<bool>,
    short: Vec<bool>,
    taken: Taken,
    queue: Arc<Queue>,
    metrics: FeedMetrics,
    clock: Arc<dyn Clock>,
    began: Instant,
    position: Position,
}

impl Poller {
    /// `index`: its number among the feeds of the process. `taken`: what of it is in Kafka.
    pub fn new(
        ctx: &Context<Config>,
        index: usize,
        feed: PollFeed,
        taken: Taken,
        queue: Arc<Queue>,
        metrics: FeedMetrics,
    ) -> anyhow::Result<Poller> {
        let live = &ctx.config.live;
        let rest = Rest::new(&feed.address, *live.handshake).with_context(|| format!("feed `{}`", feed.name))?;
        let backoff = Backoff::new(*live.backoff_least, *live.backoff_most, Duration::ZERO);
        let asks = feed.asks.len();
        let troubles = Arc::new(Mutex::new(vec![Some("not yet asked".to_owned()); asks]));
        ctx.health.check(format!("feed {}", feed.name), {
            let troubles = troubles.clone();
            move || {
                troubles
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .iter()
                    .flatten()
                    .next()
                    .cloned()
                    .map_or(Ok(()), Err)
            }
        });
        metrics.unserved.set(i64::try_from(asks).unwrap_or(i64::MAX));
        Ok(Poller {
            index,
            schedule: Schedule::new(asks, feed.every, &feed.rates, backoff),
            rest,
            troubles,
            follows: vec![false; asks],
            short: vec![false; asks],
            taken,
            queue,
            metrics,
            // Told apart from those of any other process.
            position: Position { pass: ctx.clock.now_ns().unsigned_abs(), line: 0, sub: 0 },
            clock: ctx.clock.clone(),
            began: Instant::now(),
            feed,
        })
    }

    /// Until the shutdown. What is not in the queue by then is asked for by the next start.
    pub async fn run(mut self, shutdown: Shutdown, drain: Drain) {
        let stopped = async {
            tokio::select! {
                () = shutdown.wait() => {}
                () = drain.wait() => {}
            }
        };
        tokio::pin!(stopped);
        tokio::select! {
            biased;
            () = &mut stopped => {}
            () = self.turns() => {
                tracing::error!(feed = self.feed.name, "nothing that this feed asks for will be answered, it has stopped");
                stopped.await;
            }
        }
    }

    async fn turns(&mut self) {
        while let Some((ask, at)) = self.schedule.next() {
            tokio::time::sleep_until(self.began + at).await;
            self.schedule.asked(self.began.elapsed());
            let answered = self.turn(ask).await;
            self.schedule.answered(ask, answered, self.began.elapsed(), fastrand::f64());
        }
    }

    async fn turn(&mut self, ask: usize) -> Answered {
        let mut reach = Reach {
            newest: self.taken.newest(&self.feed.venue.stream(&self.feed.asks[ask])),
            follows: self.follows[ask],
            short: self.short[ask],
            now: self.clock.now_ns(),
        };
        let request = self.feed.venue.request(&self.feed.asks[ask], reach, &self.feed.key);
        let (answer, wait) = match self.rest.get(&request.path, request.header.as_ref()).await {
            Answer::Page(page) => (Ok(page), None),
            Answer::Later(said, wait) => (Err(Refusal::Later(said)), wait),
            Answer::Never(said) => (Err(Refusal::Never(said)), None),
            Answer::Unauthorized(said) => (Err(Refusal::Key(said)), None),
        };
        self.metrics.frames.inc();
        reach.now = self.clock.now_ns();
        let read = match &answer {
            Ok(answer) => self.feed.venue.read(&self.feed.asks[ask], reach, answer),
            Err(refusal) => Err(refusal.clone()),
        };
        match read {
            Ok(page) => {
                let full = page.full;
                self.metrics.answered("taken");
                self.trouble(ask, None);
                let any = self.take(ask, page).await;
                self.follows[ask] = full && any;
                if self.follows[ask] { Answered::More } else { Answered::Well }
            }
            Err(refusal) => {
                self.metrics.answered(refusal.outcome());
                if let (Refusal::Unread(bad), Ok(answer)) = (&refusal, &answer) {
                    self.bad(answer, bad.clone()).await;
                }
                self.refused(ask, &refusal, wait, reach.now)
            }
        }
    }

    fn refused(&mut self, ask: usize, refusal: &Refusal, wait: Option<Duration>, now: i64) -> Answered {
        if let Refusal::TooLong(_) = refusal {
            self.short[ask] = true;
            return Answered::More;
        }
        self.trouble(ask, Some(masked(&refusal.why(), &self.feed.key)));
        match refusal {
            Refusal::Nothing(_) => Answered::Well,
            Refusal::Tomorrow(_) => {
                let wait = self.feed.venue.day_ends(now).saturating_sub(now).max(0);
                Answered::Wait(Some(Duration::from_nanos(wait.unsigned_abs())))
            }
            Refusal::Never(_) => Answered::Never,
            Refusal::Key(_) => {
                // The same for all of them: nothing is asked with a wrong key.
                for other in 0..self.feed.asks.len() {
                    self.trouble(other, Some(masked(&refusal.why(), &self.feed.key)));
                    self.schedule.answered(other, Answered::Never, Duration::ZERO, 0.0);
                }
                Answered::Never
            }
            Refusal::TooLong(_) | Refusal::Later(_) | Refusal::Unread(_) => Answered::Wait(wait),
        }
    }

    /// Hands on what is new of a page. Answers whether anything was.
    async fn take(&mut self, ask: usize, page: Page) -> bool {
        let mut any = false;
        if let Some((from, to)) = page.gap {
            let symbol = self.feed.asks[ask].symbol.clone();
            tracing::warn!(feed = self.feed.name, symbol, from, to, "the venue's answer does not reach back, gap");
            self.metrics.gap(GapCause::Disconnect);
            let (first_missing, last_missing, receive_time) = (None, None, Some(self.clock.now_ns()));
            let gap = Gap { symbol, from, to, cause: GapCause::Disconnect, first_missing, last_missing, receive_time };
            self.event(Event::Gap(gap)).await;
        }
        for event in page.events {
            if self.taken.is_new(&event) {
                any = true;
                self.event(event).await;
            } else {
                self.metrics.duplicates.inc();
            }
        }
        for (text, bad) in page.bad {
            self.bad(&text, bad).await;
        }
        any
    }

    async fn event(&mut self, event: Event) {
        self.taken.note(&event);
        self.put(Item::Event(event)).await;
    }

    /// Keeps what cannot be read, once however often it is answered, and without the key.
    async fn bad(&mut self, text: &[u8], bad: Bad) {
        let text = masked(&String::from_utf8_lossy(text), &self.feed.key).into_bytes();
        if !self.taken.note_bad(&text) {
            return;
        }
        let bad = Bad::new(bad.reason, masked(&bad.detail, &self.feed.key));
        if self.metrics.invalid(bad.reason) == 1 {
            let (reason, detail) = (bad.reason, &*bad.detail);
            tracing::warn!(
                feed = self.feed.name,
                reason,
                detail,
                "an item cannot be read, sent to the dead letters (said once per reason)"
            );
        }
        self.put(Item::Bad(text, bad)).await;
    }

    async fn put(&mut self, item: Item) {
        self.position.line += 1;
        let mut entry = Entry { feed: self.index, position: self.position, item };
        while let Err(back) = self.queue.offer(entry) {
            entry = *back;
            tokio::time::sleep(FULL).await;
        }
    }

    fn trouble(&self, ask: usize, trouble: Option<String>) {
        let mut troubles = self.troubles.lock().unwrap_or_else(PoisonError::into_inner);
        let of = &self.feed.asks[ask];
        let trouble = trouble.map(|why| format!("{} of {}: {why}", of.what, of.symbol));
        if troubles[ask] != trouble
            && let Some(why) = &trouble
        {
            tracing::warn!(feed = self.feed.name, why, "the venue gives no answer");
        }
        troubles[ask] = trouble;
        self.metrics.unserved.set(i64::try_from(troubles.iter().flatten().count()).unwrap_or(i64::MAX));
    }
}
