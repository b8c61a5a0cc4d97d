//! Fills gaps by REST, beside the live path and never in its way.
//!
//! A line that has said a gap asks for what is missing and goes on. One task per feed fetches it, gap after gap, page after
//! page, no faster than the venue allows; what comes goes back to the line, which judges it like any trade. A failure is
//! tried again after a wait, and not for ever: a gap that was not filled stays one, which the log and a metric say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use harness::Clock;
use market::{Event, Trade};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::time::Instant;

use super::rest::{Answer, Rest};
use crate::connection::backoff::Backoff;
use crate::connection::bucket::Bucket;
use crate::observe::live::FeedMetrics;
use crate::sources::{Bad, Found};
use crate::venues::Rate;
use crate::venues::history::{History, Missing};

/// Gaps that wait for their turn; more are said to stay gaps.
pub const MOST_WAITING: usize = 1_024;
/// Failures in a row after which a gap is given up.
const TRIES: u32 = 6;
/// However long a venue says to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What a line wants.
pub struct Wanted {
    pub symbol: String,
    pub missing: Missing,
    pub answer: Sender<Fetched>,
}

/// What has come for it.
#[derive(Default)]
pub struct Fetched {
    pub trades: Vec<Trade>,
    /// An answer that could not be read, or not all of it.
    pub bad: Option<(Vec<u8>, Bad)>,
}

pub struct Backfill {
    pub feed: String,
    pub rest: Rest,
    pub history: &'static dyn History,
    pub requests: Rate,
    pub backoff_least: Duration,
    pub backoff_most: Duration,
    pub clock: Arc<dyn Clock>,
    pub metrics: FeedMetrics,
}

/// A gap on its way to be filled.
struct Gap {
    wanted: Wanted,
    ids: BTreeSet<u64>,
    /// An answer that cannot be read is kept once, not with every try.
    bad_told: bool,
}

impl Backfill {
    /// Until nobody wants anything any more.
    pub async fn run(self, mut wanted: Receiver<Wanted>) {
        let (began, mut bucket) = (Instant::now(), Bucket::new(self.requests));
        while let Some(wanted) = wanted.recv().await {
            let all = wanted.missing.last - wanted.missing.first + 1;
            let (symbol, first, last) = (wanted.symbol.clone(), wanted.missing.first, wanted.missing.last);
            let (left, why) = self.fill(wanted, began, &mut bucket).await;
            let outcome = match left {
                0 => "filled",
                left if left < all => "partial",
                _ => "failed",
            };
            self.metrics.backfill(outcome);
            let feed = &self.feed;
            if left == 0 {
                tracing::info!(feed, symbol, first, last, "gap filled by REST");
            } else {
                tracing::warn!(feed, symbol, first, last, left, why, "gap not filled by REST, it stays one");
            }
        }
    }

    /// How many trades are still missing in the end, and why.
    async fn fill(&self, wanted: Wanted, began: Instant, bucket: &mut Bucket) -> (u64, String) {
        let ids = (wanted.missing.first..=wanted.missing.last).collect();
        let mut gap = Gap { wanted, ids, bad_told: false };
        let mut backoff = Backoff::new(self.backoff_least, self.backoff_most, Duration::MAX);
        let (mut failures, mut place, mut why) = (0, None, String::new());
        while !gap.ids.is_empty() && failures < TRIES {
            while !bucket.take(began.elapsed()) {
                tokio::time::sleep(bucket.free_at().saturating_sub(began.elapsed())).await;
            }
            let before = gap.ids.len();
            let at = place.unwrap_or_else(|| self.history.begin(&gap.wanted.missing));
            let wait = match self.rest.get(&self.history.request(&gap.wanted.missing, at), None).await {
                Answer::Page(page) => match self.page(&mut gap, at, &page).await {
                    None => return (gap.ids.len() as u64, "the feed has ended".to_owned()),
                    Some(Ok(Some(next))) => {
                        (place, failures) = (Some(next), 0);
                        continue;
                    }
                    Some(Ok(None)) => {
                        // What has just happened may not be in the venue's books yet.
                        why = "the venue's history does not have them".to_owned();
                        None
                    }
                    Some(Err(detail)) => {
                        why = detail;
                        None
                    }
                },
                Answer::Later(said, wait) => {
                    why = said;
                    wait
                }
                Answer::Never(said) | Answer::Unauthorized(said) => return (gap.ids.len() as u64, said),
            };
            // From the first that is missing now.
            place = None;
            if gap.ids.len() < before {
                failures = 0;
                backoff = Backoff::new(self.backoff_least, self.backoff_most, Duration::MAX);
            } else {
                failures += 1;
            }
            if !gap.ids.is_empty() && failures < TRIES {
                let wait = wait.unwrap_or_else(|| backoff.wait(began.elapsed(), fastrand::f64()));
                tokio::time::sleep(wait.min(LONGEST_WAIT)).await;
            }
        }
        (gap.ids.len() as u64, why)
    }

    /// Hands on what a page has of the gap. `None`: nobody takes it any more. The error says why a page cannot be read.
    async fn page(&self, gap: &mut Gap, at: u64, page: &[u8]) -> Option<Result<Option<u64>, String>> {
        let mut found = Found::default();
        let read = self.history.read(&gap.wanted.missing, at, page, &mut found);
        let now = self.clock.now_ns();
        let mut fetched = Fetched::default();
        for event in found.events {
            let Event::Trade(mut trade) = event else { continue };
            let id = trade.trade_id.as_deref().and_then(|id| id.parse::<u64>().ok());
            if id.is_some_and(|id| gap.ids.remove(&id)) {
                trade.receive_time = Some(now);
                fetched.trades.push(trade);
            }
        }
        fetched.trades.sort_by_key(|trade| trade.trade_id.as_deref().and_then(|id| id.parse::<u64>().ok()));
        let read = read.map_err(|bad| {
            let detail = format!("the answer cannot be read: {}: {}", bad.reason, bad.detail);
            if !std::mem::replace(&mut gap.bad_told, true) {
                fetched.bad = Some((page.to_vec(), bad));
            }
            detail
        });
        gap.narrow(&fetched.trades);
        if !fetched.trades.is_empty() || fetched.bad.is_some() {
            gap.wanted.answer.send(fetched).await.ok()?;
        }
        Some(read)
    }
}

impl Gap {
    /// What is still missing lies between the first and the last that is.
    fn narrow(&mut self, trades: &[Trade]) {
        let (Some(first), Some(last)) = (self.ids.first().copied(), self.ids.last().copied()) else { return };
        let missing = &mut self.wanted.missing;
        (missing.first, missing.last) = (first, last);
        for trade in trades {
            if trade.trade_id.as_deref().and_then(|id| id.parse::<u64>().ok()).is_some_and(|id| id < first) {
                missing.from = missing.from.max(trade.event_time);
            }
        }
    }
}
