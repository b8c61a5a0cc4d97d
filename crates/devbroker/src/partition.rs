//! One partition: its log, its producers, and who waits for news of it.
//!
//! Everything that decides where a batch goes happens under one lock, so sequence numbers, transactions and offsets
//! agree. Reading takes the lock only to find the place; the bytes are read without it.

use crate::{
    batch::{self, Header},
    clock::now_ms,
    config::Settings,
    errors::Code,
    files::write_whole,
    log::{Log, Roll},
    producers::{Aborted, Producers, Verdict},
    records,
    sync::Syncer,
};
use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::sync::Notify;

pub struct Partition {
    pub dir: PathBuf,
    state: Mutex<State>,
    /// Told whenever there may be more to read.
    pub news: Arc<Notify>,
}

pub struct State {
    pub log: Log,
    pub producers: Producers,
    /// Records before this offset are deleted, though some may still be in the files.
    pub start: i64,
    /// Producers whose transaction includes this partition, with their epoch: only they may write to it as part of one.
    expected: HashMap<i64, i16>,
    /// The topic was deleted: nothing is written or read here any more.
    pub gone: bool,
    /// Compaction has seen everything before this offset.
    pub cleaned: i64,
    failing: bool,
}

#[derive(Debug, PartialEq)]
pub struct Appended {
    pub base_offset: i64,
    /// The broker's time, or -1 where the producer's counts.
    pub log_append_time: i64,
    pub start: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offsets {
    pub start: i64,
    /// Everything before it is decided: committed or rolled back.
    pub stable: i64,
    pub end: i64,
}

pub struct Slice {
    pub offsets: Offsets,
    pub records: Vec<u8>,
    pub aborted: Vec<Aborted>,
}

impl Partition {
    pub fn open(dir: PathBuf, syncer: Syncer) -> io::Result<Partition> {
        let (log, producers) = Log::open(&dir, syncer, now_ms())?;
        let start = load_start(&dir).unwrap_or(0).clamp(0, log.end());
        let state = State { log, producers, start, expected: HashMap::new(), gone: false, cleaned: 0, failing: false };
        Ok(Partition { dir, state: Mutex::new(state), news: Arc::default() })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        crate::lock(&self.state)
    }

    pub fn offsets(&self) -> Offsets {
        self.lock().offsets()
    }

    pub fn append(&self, mut bytes: Vec<u8>, settings: &Settings) -> Result<Appended, Code> {
        let header = batch::check_produced(&bytes)?;
        settings.accept(&bytes, &header)?;
        let now = now_ms();
        let mut state = self.lock();
        if state.gone {
            return Err(Code::UnknownTopicOrPartition);
        }
        if let Verdict::Duplicate(sent) = state.producers.check(&header)? {
            let log_append_time = if settings.log_append_time { sent.timestamp } else { -1 };
            return Ok(Appended { base_offset: sent.base_offset, log_append_time, start: state.start });
        }
        state.check_transaction(&header)?;
        let base_offset = state.log.end();
        batch::place(&mut bytes, base_offset);
        if settings.log_append_time {
            batch::stamp(&mut bytes, now);
        }
        state.write(&bytes, settings.roll(), now)?;
        let start = state.start;
        drop(state);
        self.news.notify_waiters();
        let log_append_time = if settings.log_append_time { now } else { -1 };
        Ok(Appended { base_offset, log_append_time, start })
    }

    /// From now on this producer may write here as part of its transaction.
    pub fn expect(&self, producer_id: i64, epoch: i16) {
        self.lock().expected.insert(producer_id, epoch);
    }

    /// Ends the producer's transaction here. Where it has none (any more) this does nothing, so it can be repeated.
    pub fn end_transaction(&self, producer_id: i64, epoch: i16, commit: bool, roll: Roll) -> Result<(), Code> {
        let mut state = self.lock();
        if !state.gone && (state.producers.has_open(producer_id) || state.expected.contains_key(&producer_id)) {
            let now = now_ms();
            let mut bytes = batch::marker(producer_id, epoch, commit, now);
            batch::place(&mut bytes, state.log.end());
            state.write(&bytes, roll, now)?;
            state.expected.remove(&producer_id);
        }
        drop(state);
        self.news.notify_waiters();
        Ok(())
    }

    /// Batches from the one that holds `offset`, at most `max_bytes` of them; the first also where it is larger if
    /// `whole_first`.
    pub fn read(&self, offset: i64, max_bytes: usize, committed: bool, whole_first: bool) -> Result<Slice, Code> {
        let (offsets, scan) = {
            let state = self.lock();
            if state.gone {
                return Err(Code::UnknownTopicOrPartition);
            }
            let offsets = state.offsets();
            if offset < offsets.start || offset > offsets.end {
                return Err(Code::OffsetOutOfRange);
            }
            (offsets, state.log.seek(offset))
        };
        let limit = if committed { offsets.stable } else { offsets.end };
        let mut slice = Slice { offsets, records: Vec::new(), aborted: Vec::new() };
        let read = scan.and_then(|scan| match scan {
            Some(scan) if offset < limit => {
                read_batches(scan, offset, limit, max_bytes, whole_first, &mut slice.records)
            }
            _ => Ok(offset),
        });
        let next = read.map_err(|error| {
            tracing::error!(%error, dir = %self.dir.display(), offset, "cannot read the log");
            Code::KafkaStorageError
        })?;
        if committed && next > offset {
            slice.aborted = self.lock().log.aborted(offset, next);
        }
        Ok(slice)
    }

    /// The first record of `timestamp` or later: its offset and time.
    pub fn offset_for_time(&self, timestamp: i64) -> io::Result<Option<(i64, i64)>> {
        let mut from = self.lock().start;
        loop {
            let Some((mut scan, next)) = self.lock().log.seek_time(from, timestamp)? else { return Ok(None) };
            while let Some(header) = scan.peek()? {
                if header.max_timestamp >= timestamp && header.last_offset() >= from {
                    let found = first_of_time(scan.batch(&header)?, &header, from, timestamp);
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                scan.skip(&header);
            }
            from = next;
        }
    }

    /// Deletes everything before `offset`; -1 means all there is. Answers the new start.
    pub fn delete_records(&self, offset: i64) -> Result<i64, Code> {
        let mut state = self.lock();
        let offset = if offset == -1 { state.log.end() } else { offset };
        if state.gone {
            return Err(Code::UnknownTopicOrPartition);
        }
        if offset < 0 || offset > state.log.end() {
            return Err(Code::OffsetOutOfRange);
        }
        state.move_start(offset).map_err(|error| {
            tracing::error!(%error, dir = %self.dir.display(), "cannot save where the log starts");
            Code::KafkaStorageError
        })?;
        Ok(state.start)
    }

    /// The topic is deleted: whoever waits or writes learns it.
    pub fn close(&self) {
        self.lock().gone = true;
        self.news.notify_waiters();
    }
}

impl State {
    pub fn offsets(&self) -> Offsets {
        let end = self.log.end();
        Offsets { start: self.start, stable: self.producers.first_open().unwrap_or(end), end }
    }

    /// Nothing before `offset` counts any more.
    pub fn move_start(&mut self, offset: i64) -> io::Result<()> {
        if offset > self.start {
            write_whole(&self.log.dir().join("start"), offset.to_string().as_bytes())?;
            self.start = offset;
        }
        Ok(())
    }

    /// A batch of a transaction must belong to one that is open and includes this partition: a late one, or one of a
    /// producer that was replaced, would otherwise stay open for ever.
    fn check_transaction(&self, header: &Header) -> Result<(), Code> {
        match self.expected.get(&header.producer_id) {
            _ if !header.is_transactional() => Ok(()),
            Some(epoch) if *epoch == header.producer_epoch => Ok(()),
            Some(epoch) if *epoch > header.producer_epoch => Err(Code::InvalidProducerEpoch),
            _ => Err(Code::InvalidTxnState),
        }
    }

    fn write(&mut self, bytes: &[u8], roll: Roll, now_ms: i64) -> Result<(), Code> {
        let header = Header::parse(bytes).expect("it was checked or built here");
        if let Err(error) = self.log.write(bytes, &header, roll, &self.producers, now_ms) {
            let dir = self.log.dir().display();
            if !std::mem::replace(&mut self.failing, true) {
                tracing::error!(%error, %dir, "cannot write to the log: records are refused until it can be written again");
            }
            return Err(Code::KafkaStorageError);
        }
        if std::mem::replace(&mut self.failing, false) {
            tracing::info!(dir = %self.log.dir().display(), "the log can be written again");
        }
        let commit = header.is_control().then(|| batch::is_commit(bytes)).flatten();
        let aborted = self.producers.apply(&header, commit, now_ms);
        self.log.note(&header, aborted, now_ms);
        Ok(())
    }
}

/// Reads whole batches into `out` and answers the offset after them.
fn read_batches(
    mut scan: crate::log::scan::Scan,
    offset: i64,
    limit: i64,
    max_bytes: usize,
    whole_first: bool,
    out: &mut Vec<u8>,
) -> io::Result<i64> {
    let first = loop {
        match scan.peek()? {
            Some(header) if header.last_offset() < offset => scan.skip(&header),
            Some(header) if header.base_offset < limit => break header,
            _ => return Ok(offset),
        }
    };
    let wanted = if whole_first { max_bytes.max(first.size) } else { max_bytes };
    out.resize((wanted as u64).min(scan.remaining()) as usize, 0);
    scan.file.read_exact_at(out, scan.position)?;
    let (mut kept, mut next) = (0, offset);
    while let Some(header) = Header::parse(&out[kept..]) {
        if kept + header.size > out.len() || header.base_offset >= limit {
            break;
        }
        kept += header.size;
        next = header.next_offset();
    }
    out.truncate(kept);
    Ok(next)
}

/// Within a batch the records' own times count, unless the broker stamped them all alike.
fn first_of_time(bytes: &[u8], header: &Header, from: i64, timestamp: i64) -> Option<(i64, i64)> {
    let whole = (header.base_offset.max(from), header.max_timestamp);
    if header.is_log_append_time() || header.is_control() {
        return Some(whole);
    }
    let Ok(unfolded) = records::unfold(bytes, header) else { return Some(whole) };
    let times = records::walk(&unfolded).map_while(Result::ok).map(|record| {
        (header.base_offset + i64::from(record.offset_delta), header.base_timestamp + record.timestamp_delta)
    });
    times.into_iter().find(|(offset, time)| *offset >= from && *time >= timestamp)
}

fn load_start(dir: &Path) -> Option<i64> {
    fs::read_to_string(dir.join("start")).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
