//! Gives what changed to any number of clients, each at its own speed.
//!
//! Once per tick the changes of the view become one round: encoded once, kept in a bounded ring, shared by all clients.
//! A client is a cursor: the number of the last round it was given. It takes the next rounds from the ring; if they are
//! gone, it is told `lagged` and given the latest state of whatever changed since its cursor. Nobody waits for it and
//! nothing is queued for it, so a stalled client costs its socket and no more.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use axum::body::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use crate::config;
use crate::sse;
use crate::view::{Changes, View};
use crate::wire::{self, Alert, Metric, Pipeline, Quote, json};

/// Clones share everything.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    epoch: String,
    view: Mutex<View>,
    ring: RwLock<Ring>,
    /// The last round in the ring.
    latest: watch::Sender<u64>,
    /// The full snapshot of a round, made for the first client that wants it.
    snapshot: Mutex<Option<(u64, Bytes)>>,
}

struct Ring {
    rounds: VecDeque<Arc<Round>>,
    bytes: usize,
    limit: usize,
    bytes_limit: usize,
}

/// What changed in one tick, as bytes. Events for everybody come first, so that most clients share one slice.
struct Round {
    number: u64,
    bytes: Bytes,
    /// Prices and alerts: whose, and where in `bytes`.
    of_symbols: Vec<(Arc<str>, Range<usize>)>,
    /// The pipeline's state.
    of_all: Range<usize>,
    metrics: Vec<(Arc<str>, Arc<str>, Range<usize>)>,
}

/// What a client asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// `None`: all.
    pub(crate) symbols: Option<BTreeSet<String>>,
    pub(crate) bars: Bars,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Bars {
    /// Of all symbols that pass.
    #[default]
    All,
    /// Of these series (symbol, window), whatever `symbols` says.
    Of(Vec<(String, String)>),
}

impl Filter {
    fn symbol(&self, symbol: &str) -> bool {
        self.symbols.as_ref().is_none_or(|wanted| wanted.contains(symbol))
    }

    fn series(&self, symbol: &str, window: &str) -> bool {
        match &self.bars {
            Bars::All => self.symbol(symbol),
            Bars::Of(series) => series.iter().any(|(s, w)| s == symbol && w == window),
        }
    }
}

/// Where a client stands.
pub(crate) struct Cursor {
    filter: Filter,
    /// `None` until it has had a snapshot.
    round: Option<u64>,
    latest: watch::Receiver<u64>,
}

/// What a client is given next.
pub(crate) struct Given {
    pub(crate) bytes: Vec<Bytes>,
    /// Rounds that were merged, as the client was too slow for the ring.
    pub(crate) lagged: u64,
}

impl Hub {
    /// `epoch` must differ from one start to the next.
    pub fn new(settings: &config::View, epoch: String) -> Self {
        Hub(Arc::new(Inner {
            epoch,
            view: Mutex::new(View::new(settings.clone())),
            ring: RwLock::new(Ring {
                rounds: VecDeque::new(),
                bytes: 0,
                limit: settings.rounds,
                bytes_limit: usize::try_from(settings.rounds_size.0).unwrap_or(usize::MAX),
            }),
            latest: watch::Sender::new(0),
            snapshot: Mutex::new(None),
        }))
    }

    /// To read from or write to. Held for a moment only: the loop and all clients share it.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.0.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a round of what changed. With nobody connected it is not encoded: who comes later is given the latest
    /// state.
    pub fn tick(&self) {
        let mut view = self.view();
        // Asked while the view is held: a client that comes after this takes its snapshot after this round too.
        if self.0.latest.receiver_count() == 0 {
            view.skip_round();
            drop(view);
            self.ring_mut().clear();
            return;
        }
        let Some((number, changes)) = view.take_round() else { return };
        drop(view);
        self.ring_mut().push(Arc::new(Round::new(number, &changes, &self.0.epoch)));
        self.0.latest.send_replace(number);
    }

    fn ring_mut(&self) -> std::sync::RwLockWriteGuard<'_, Ring> {
        self.0.ring.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new client; `last_id` is what it had before, if anything.
    pub(crate) fn subscribe(&self, filter: Filter, last_id: Option<&str>) -> Cursor {
        let latest = self.0.latest.subscribe();
        // A number that this process has not reached yet was made up.
        let known = |round: &u64| *round < self.view().round();
        let round = last_id.and_then(|id| sse::parse_id(&self.0.epoch, id)).filter(known);
        Cursor { filter, round, latest }
    }

    /// Waits until there is something for this client.
    pub(crate) async fn next(&self, cursor: &mut Cursor) -> Given {
        loop {
            let latest = *cursor.latest.borrow_and_update();
            let given = self.give(cursor, latest);
            if !given.bytes.is_empty() {
                return given;
            }
            // The sender lives as long as this hub.
            if cursor.latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn give(&self, cursor: &mut Cursor, latest: u64) -> Given {
        let Some(round) = cursor.round else {
            let (number, bytes) = self.snapshot(&cursor.filter);
            cursor.round = Some(number);
            return Given { bytes: vec![bytes], lagged: 0 };
        };
        if round >= latest {
            return Given { bytes: Vec::new(), lagged: 0 };
        }
        let rounds = self.0.ring.read().unwrap_or_else(PoisonError::into_inner).after(round);
        match rounds {
            Some(rounds) => {
                cursor.round = rounds.last().map(|round| round.number).or(cursor.round);
                Given { bytes: rounds.iter().flat_map(|round| round.pass(&cursor.filter)).collect(), lagged: 0 }
            }
            None => self.catch_up(cursor, round),
        }
    }

    /// Everything in full.
    fn snapshot(&self, filter: &Filter) -> (u64, Bytes) {
        let mut cached = self.0.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.view();
        let number = view.round() - 1;
        if filter.symbols.is_none()
            && let Some((of, bytes)) = &*cached
            && *of == number
        {
            return (number, bytes.clone());
        }
        let wants = |symbol: &str| filter.symbol(symbol);
        let snapshot = Snapshot {
            quotes: view.quotes(wants),
            alerts: view.alerts(usize::MAX, wants),
            pipeline: view.latest_pipeline(),
        };
        drop(view);
        let mut out = Vec::new();
        sse::event(&mut out, "snapshot", &json(&snapshot));
        sse::id(&mut out, &sse::round_id(&self.0.epoch, number));
        let bytes = Bytes::from(out);
        if filter.symbols.is_none() {
            *cached = Some((number, bytes.clone()));
        }
        (number, bytes)
    }

    fn catch_up(&self, cursor: &mut Cursor, since: u64) -> Given {
        let filter = &cursor.filter;
        let view = self.view();
        let number = view.round() - 1;
        let changes = view.changed_since(since, |s| filter.symbol(s), |s, w| filter.series(s, w));
        drop(view);
        let lagged = number - since;
        let mut out = Vec::new();
        sse::event(&mut out, "lagged", format!("{{\"lagged\":{lagged}}}").as_bytes());
        let round = Round::new(number, &changes, &self.0.epoch);
        cursor.round = Some(number);
        Given { bytes: vec![Bytes::from(out), round.bytes], lagged }
    }
}

impl Ring {
    fn push(&mut self, round: Arc<Round>) {
        self.bytes += round.bytes.len();
        self.rounds.push_back(round);
        while self.rounds.len() > self.limit.max(1) || (self.bytes > self.bytes_limit && self.rounds.len() > 1) {
            let gone = self.rounds.pop_front();
            self.bytes -= gone.map_or(0, |round| round.bytes.len());
        }
    }

    fn clear(&mut self) {
        self.rounds.clear();
        self.bytes = 0;
    }

    /// All rounds after that one; `None` if some of them are gone.
    fn after(&self, round: u64) -> Option<Vec<Arc<Round>>> {
        let first = self.rounds.front()?.number;
        let skip = usize::try_from((round + 1).checked_sub(first)?).ok()?;
        Some(self.rounds.iter().skip(skip).cloned().collect())
    }
}

impl Round {
    fn new(number: u64, changes: &Changes, epoch: &str) -> Self {
        let mut out = Vec::new();
        let mut add = |name: &str, data: Vec<u8>| {
            let from = out.len();
            sse::event(&mut out, name, &data);
            from..out.len()
        };
        let mut of_symbols = Vec::with_capacity(changes.quotes.len() + changes.alerts.len());
        for quote in &changes.quotes {
            of_symbols.push((quote.symbol.clone(), add("price", json(quote))));
        }
        for alert in &changes.alerts {
            of_symbols.push((alert.symbol.clone(), add("alert", json(alert))));
        }
        let end = of_symbols.last().map_or(0, |(_, range)| range.end);
        let of_all = changes.pipeline.as_ref().map_or(end..end, |pipeline| add("pipeline", json(pipeline)));
        let metric = |(symbol, window, bar): &(Arc<str>, Arc<str>, wire::Bar)| {
            let data = json(&Metric { symbol, window, bar });
            (symbol.clone(), window.clone(), add("metric", data))
        };
        let metrics = changes.bars.iter().map(metric).collect();
        sse::id(&mut out, &sse::round_id(epoch, number));
        Round { number, bytes: Bytes::from(out), of_symbols, of_all, metrics }
    }

    /// The parts that pass. The id always does: the client has seen this round, even if nothing in it was for it.
    fn pass(&self, filter: &Filter) -> Vec<Bytes> {
        if filter.symbols.is_none() && filter.bars == Bars::All {
            return vec![self.bytes.clone()];
        }
        let mut parts = Vec::new();
        match &filter.symbols {
            None => parts.push(self.bytes.slice(..self.of_all.end)),
            Some(wanted) => {
                let passing = self.of_symbols.iter().filter(|(symbol, _)| wanted.contains(&**symbol));
                parts.extend(passing.map(|(_, range)| self.bytes.slice(range.clone())));
                parts.push(self.bytes.slice(self.of_all.clone()));
            }
        }
        let metrics = self.metrics.iter().filter(|(symbol, window, _)| filter.series(symbol, window));
        parts.extend(metrics.map(|(_, _, range)| self.bytes.slice(range.clone())));
        let id = self.metrics.last().map_or(self.of_all.end, |(_, _, range)| range.end);
        parts.push(self.bytes.slice(id..));
        parts.retain(|part| !part.is_empty());
        parts
    }
}

#[derive(Serialize)]
struct Snapshot {
    quotes: Vec<Quote>,
    alerts: Vec<Arc<Alert>>,
    pipeline: Option<Arc<Pipeline>>,
}

#[cfg(test)]
mod tests;
