//! Between the lines, which must not wait, and the thread that writes to Kafka, which may have to.
//!
//! Bounded by bytes. What does not fit is dropped, per symbol, and a `gap` record of the cause `dropped` goes in as soon as
//! there is room again: behind all that came before the loss, and before all that comes after it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use market::{Event, Gap, GapCause};

use crate::position::Position;
use crate::sources::Bad;

/// What a line has found.
#[derive(Debug)]
pub enum Item {
    Event(Event),
    /// A frame, or a part of it, that cannot be read.
    Bad(Vec<u8>, Bad),
    /// An id that is no trade's.
    Used {
        symbol: String,
        id: u64,
        time: i64,
    },
}

#[derive(Debug)]
pub struct Entry {
    pub feed: usize,
    pub position: Position,
    pub item: Item,
}

impl Entry {
    /// About what it takes in memory.
    fn bytes(&self) -> usize {
        let held = match &self.item {
            Item::Event(Event::News(news)) => news.headline.len() + news.summary.as_ref().map_or(0, String::len),
            Item::Event(Event::Trade(trade)) => trade.conditions.len() * 32,
            Item::Bad(text, _) => text.len(),
            Item::Event(_) | Item::Used { .. } => 0,
        };
        size_of::<Entry>() + 96 + held
    }
}

/// What was dropped of a symbol.
#[derive(Clone, Debug)]
struct Loss {
    from: i64,
    to: i64,
    first: Option<u64>,
    last: Option<u64>,
    position: Position,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    bytes: usize,
    closed: bool,
    losses: BTreeMap<(usize, String), Loss>,
    dropped: u64,
    largest: usize,
}

pub struct Queue {
    most: usize,
    state: Mutex<State>,
    filled: Condvar,
}

impl Queue {
    pub fn new(most: usize) -> Self {
        Queue { most, state: Mutex::default(), filled: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Never waits. Answers how many events were dropped instead.
    pub fn put(&self, entry: Entry) -> u64 {
        let mut state = self.lock();
        let bytes = entry.bytes();
        if state.bytes + bytes > self.most {
            return state.lose(entry);
        }
        state.settle();
        state.add(entry);
        self.filled.notify_one();
        0
    }

    /// Takes it if there is room, or nothing else waits; else gives it back, and nothing is lost.
    pub fn offer(&self, entry: Entry) -> Result<(), Box<Entry>> {
        let mut state = self.lock();
        if state.bytes + entry.bytes() > self.most && !state.entries.is_empty() {
            return Err(Box::new(entry));
        }
        state.settle();
        state.add(entry);
        self.filled.notify_one();
        Ok(())
    }

    /// Everything that is there, once something is, or after `timeout`. `false`: closed, and nothing is left.
    pub fn take(&self, batch: &mut VecDeque<Entry>, timeout: Duration) -> bool {
        let state = self.lock();
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, timeout, |state| state.entries.is_empty() && !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        if state.entries.is_empty() {
            // All that came before the loss has been taken.
            state.settle();
        }
        // In pieces, so that room is made while they are written.
        let taken = state.entries.len().min(1_024);
        let freed: usize = state.entries.iter().take(taken).map(Entry::bytes).sum();
        batch.extend(state.entries.drain(..taken));
        state.bytes -= freed;
        !(batch.is_empty() && state.closed)
    }

    /// Less than half of what may wait does: there is room for what is in no hurry.
    pub fn is_calm(&self) -> bool {
        self.lock().bytes * 2 < self.most
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Bytes that wait, and the most that ever did.
    pub fn bytes(&self) -> (usize, usize) {
        let state = self.lock();
        (state.bytes, state.largest)
    }
}

impl State {
    fn add(&mut self, entry: Entry) {
        self.bytes += entry.bytes();
        self.largest = self.largest.max(self.bytes);
        self.entries.push_back(entry);
    }

    /// Puts in what was lost, before anything newer.
    fn settle(&mut self) {
        for ((feed, symbol), loss) in std::mem::take(&mut self.losses) {
            let gap = Gap {
                symbol,
                from: loss.from,
                to: loss.to.max(loss.from),
                cause: GapCause::Dropped,
                first_missing: loss.first.map(|id| id.to_string()),
                last_missing: loss.last.map(|id| id.to_string()),
                receive_time: None,
            };
            self.add(Entry { feed, position: loss.position, item: Item::Event(Event::Gap(gap)) });
        }
    }

    fn lose(&mut self, entry: Entry) -> u64 {
        let (symbol, time, id) = match &entry.item {
            Item::Event(event) => {
                let Some(symbol) = event.symbol() else { return 1 };
                let id = match event {
                    Event::Trade(trade) => trade.trade_id.as_deref().and_then(|id| id.parse().ok()),
                    // It says itself what is missing: that, too, must be said again.
                    Event::Gap(gap) => gap.last_missing.as_deref().and_then(|id| id.parse().ok()),
                    _ => None,
                };
                (symbol.to_owned(), event.event_time().unwrap_or(0), id)
            }
            Item::Used { symbol, id, time } => (symbol.clone(), *time, Some(*id)),
            // Unread, and so of no symbol that could be named.
            Item::Bad(..) => return 1,
        };
        let first = match &entry.item {
            Item::Event(Event::Gap(gap)) => gap.first_missing.as_deref().and_then(|id| id.parse().ok()),
            _ => id,
        };
        let from = if let Item::Event(Event::Gap(gap)) = &entry.item { gap.from } else { time };
        let new = Loss { from, to: time, first, last: id, position: entry.position };
        let loss = self.losses.entry((entry.feed, symbol)).or_insert(new);
        (loss.from, loss.to) = (loss.from.min(from), loss.to.max(time));
        loss.first = loss.first.zip(first).map(|(a, b)| a.min(b));
        loss.last = loss.last.zip(id).map(|(a, b)| a.max(b));
        loss.position = entry.position;
        self.dropped += 1;
        1
    }
}
