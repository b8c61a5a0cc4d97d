//! Between the lines, which must not wait, and the thread that writes to Kafka, which may have to.
//!
//! Bounded by bytes. What does not fit into memory goes to disk where the config says so ([`spill`]), up to a limit; what does not
//! fit there either is dropped, per symbol, and a `gap` record of the cause `dropped` goes in as soon as there is room again: behind
//! all that came before the loss, and before all that comes after it.
//!
//! The order is kept: `head` in memory is read first, then the files, then `flight`, which a thread is writing to one, then `tail`,
//! which grows. Without a folder all of it is `head`.

mod entry;
mod losses;
mod spill;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use harness::prom::IntCounter;

pub use self::entry::{Entry, Item};
use self::losses::Losses;
pub use self::spill::Folder;
use self::spill::Segment;

/// Entries that are handed to the writer at once.
const BATCH: usize = 1_024;
/// So long the writer lets entries gather once it has nothing to do: to be woken for each costs more than to write it.
const GATHER: Duration = Duration::from_millis(1);

#[derive(Default)]
struct State {
    head: VecDeque<Entry>,
    files: VecDeque<Segment>,
    /// Entries are being written to a file.
    flight: bool,
    tail: VecDeque<Entry>,
    tail_bytes: usize,
    /// A file is being read.
    reading: bool,
    /// In memory, all of them.
    bytes: usize,
    file_bytes: u64,
    closed: bool,
    losses: Losses,
    largest: usize,
    /// The writer waits for an entry.
    awaited: bool,
    /// `None`: nothing goes to disk, or not any more.
    folder: Option<Folder>,
}

pub struct Queue {
    most: usize,
    state: Mutex<State>,
    filled: Condvar,
    /// The tail has grown, or the queue is closed.
    grown: Condvar,
}

impl Queue {
    pub fn new(most: usize, folder: Option<Folder>) -> Self {
        let state = State { folder, ..State::default() };
        Queue { most, state: Mutex::new(state), filled: Condvar::new(), grown: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of the tail so much goes into a file, and there is always room for one that is read back.
    fn chunk(&self) -> usize {
        self.most / 8
    }

    /// With what would have to be said before it.
    fn fits(&self, state: &State, entry: &Entry) -> bool {
        let bytes = entry.bytes() + state.losses.bytes();
        let most = if state.folder.is_some() || state.is_spilled() { self.most - self.chunk() } else { self.most };
        state.bytes + bytes <= most
    }

    /// Never waits for room. Answers how many events were dropped instead.
    pub fn put(&self, entries: impl IntoIterator<Item = Entry>) -> u64 {
        let mut state = self.lock();
        let mut dropped = 0;
        for entry in entries {
            if self.fits(&state, &entry) {
                self.settle(&mut state);
                self.add(&mut state, entry);
            } else {
                state.losses.note(&entry);
                dropped += 1;
            }
        }
        dropped
    }

    /// Takes it if there is room in memory, or nothing else waits; else gives it back, and nothing is lost.
    pub fn offer(&self, entry: Entry) -> Result<(), Box<Entry>> {
        let mut state = self.lock();
        if !state.is_empty() && (state.is_spilled() || !self.fits(&state, &entry)) {
            return Err(Box::new(entry));
        }
        self.settle(&mut state);
        self.add(&mut state, entry);
        Ok(())
    }

    /// Goes in behind all that is there, whether there is room or not.
    pub fn mark(&self, entry: Entry) {
        let mut state = self.lock();
        self.settle(&mut state);
        self.add(&mut state, entry);
    }

    fn add(&self, state: &mut State, entry: Entry) {
        let bytes = entry.bytes();
        state.bytes += bytes;
        state.largest = state.largest.max(state.bytes);
        if state.is_spilled() || (state.folder.is_some() && state.bytes > 2 * self.chunk()) {
            state.tail_bytes += bytes;
            state.tail.push_back(entry);
            if state.tail_bytes >= self.chunk() {
                self.grown.notify_one();
            }
        } else {
            state.head.push_back(entry);
        }
        // Each call of it enters the kernel, whether anybody waits or not.
        if std::mem::take(&mut state.awaited) {
            self.filled.notify_one();
        }
    }

    /// Puts in what was lost, before anything newer.
    fn settle(&self, state: &mut State) {
        if !state.losses.is_empty() {
            let gaps: Vec<Entry> = state.losses.settle().collect();
            gaps.into_iter().for_each(|gap| self.add(state, gap));
        }
    }

    /// The next that are there, once some are, or after `timeout`. `false`: closed, and nothing is left.
    pub fn take(&self, batch: &mut VecDeque<Entry>, timeout: Duration) -> bool {
        let mut state = self.lock();
        if state.has_nothing_yet() && !state.closed {
            let waits = |state: &mut State| {
                state.awaited = state.has_nothing_yet() && !(state.closed && state.is_empty());
                state.awaited
            };
            state = self.filled.wait_timeout_while(state, timeout, waits).unwrap_or_else(PoisonError::into_inner).0;
            state.awaited = false;
            if !state.closed {
                drop(state);
                std::thread::sleep(GATHER);
                state = self.lock();
            }
        }
        if state.head.is_empty() {
            state = self.refill(state);
        }
        if state.is_empty() {
            // All that came before the loss has been taken.
            self.settle(&mut state);
        }
        // In pieces, so that room is made while they are written.
        let taken = state.head.len().min(BATCH);
        let freed: usize = state.head.iter().take(taken).map(Entry::bytes).sum();
        batch.extend(state.head.drain(..taken));
        state.bytes -= freed;
        !(batch.is_empty() && state.closed && state.is_empty())
    }

    /// What comes after the head becomes the head.
    fn refill<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if let Some(file) = state.files.pop_front() {
            // The lines go on meanwhile, behind it.
            state.reading = true;
            drop(state);
            let file_bytes = file.file_bytes;
            let taken = file.take();
            state = self.lock();
            state.reading = false;
            state.file_bytes -= file_bytes;
            // What cannot be read back is replaced by what has to be said of it.
            let entries = taken.unwrap_or_else(|(error, mut losses)| {
                tracing::error!(error = format!("{error:#}"), "what waited on disk is lost, gaps say so");
                losses.settle().collect()
            });
            state.bytes += entries.iter().map(Entry::bytes).sum::<usize>();
            state.largest = state.largest.max(state.bytes);
            state.head = entries.into();
            self.grown.notify_one();
        } else if !state.flight {
            state.head = std::mem::take(&mut state.tail);
            state.tail_bytes = 0;
        }
        state
    }

    /// Puts the tail on disk, piece by piece, until the queue is closed. It waits for the disk, and so has a thread of its own.
    pub fn spill(&self, failed: &IntCounter) {
        loop {
            let waits = |state: &mut State| !state.closed && !self.may_spill(state);
            let state = self.grown.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
            let is_over = state.closed;
            drop(state);
            if is_over || !self.spill_once(failed) {
                return;
            }
        }
    }

    fn may_spill(&self, state: &State) -> bool {
        let has_room = state.folder.as_ref().is_some_and(|folder| folder.has_room(state.file_bytes));
        has_room && state.tail_bytes >= self.chunk()
    }

    /// `false`: the disk took nothing, and is not tried again.
    fn spill_once(&self, failed: &IntCounter) -> bool {
        let mut state = self.lock();
        let Some(path) = state.folder.as_mut().map(Folder::name_next) else { return false };
        // No more than there will be room for when it is read back.
        let (mut entries, mut bytes) = (VecDeque::new(), 0);
        while let Some(entry) = state.tail.front()
            && (entries.is_empty() || bytes + entry.bytes() <= self.chunk())
        {
            bytes += entry.bytes();
            entries.extend(state.tail.pop_front());
        }
        state.tail_bytes -= bytes;
        state.flight = true;
        drop(state);
        let written = spill::write(path, &entries);
        let mut state = self.lock();
        state.flight = false;
        state.bytes -= bytes;
        let went = written.is_ok();
        match written {
            Ok(file) => {
                state.file_bytes += file.file_bytes;
                state.files.push_back(file);
            }
            Err((error, mut losses)) => {
                failed.inc();
                let (error, lost) = (format!("{error:#}"), entries.len());
                tracing::error!(
                    error,
                    lost,
                    "the disk takes nothing, what waits for Kafka stays in memory from now on"
                );
                state.folder = None;
                let said: Vec<Entry> = losses.settle().collect();
                for entry in said.into_iter().rev() {
                    state.tail_bytes += entry.bytes();
                    state.bytes += entry.bytes();
                    state.tail.push_front(entry);
                }
            }
        }
        self.filled.notify_one();
        went
    }

    /// Less than half of what may wait does, and none of it on disk: there is room for what is in no hurry.
    pub fn is_calm(&self) -> bool {
        let state = self.lock();
        state.bytes * 2 < self.most && !state.is_spilled()
    }

    pub fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.grown.notify_all();
    }

    /// Bytes that wait in memory, and on disk.
    pub fn bytes(&self) -> (usize, u64) {
        let state = self.lock();
        (state.bytes, state.file_bytes)
    }
}

impl State {
    /// What comes now goes behind what is not in the head.
    fn is_spilled(&self) -> bool {
        !self.files.is_empty() || self.reading || self.flight || !self.tail.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.head.is_empty() && !self.is_spilled()
    }

    /// What is next is being written, if there is anything.
    fn has_nothing_yet(&self) -> bool {
        self.head.is_empty() && self.files.is_empty() && (self.flight || self.tail.is_empty())
    }
}
