//! The log of one partition: batches as they were received, in segment files, appended to the last.
//!
//! `write` returns only when the operating system has the bytes, so a killed process loses nothing it acknowledged;
//! a sealed segment and a clean stop are also flushed to the disk. Reading goes to the files (their pages are the
//! system's cache, not ours). In memory stand one mark per 32 KiB and the list of rolled-back transactions.

mod recover;
pub use recover::segment_bases;
pub mod scan;
pub mod segment;

use crate::{
    batch::Header,
    files::write_whole,
    producers::{Aborted, Producers},
    sync::Syncer,
};
use scan::Scan;
use segment::Segment;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// When a segment is full.
#[derive(Clone, Copy)]
pub struct Roll {
    pub bytes: u64,
    pub age_ms: i64,
}

pub struct Log {
    dir: PathBuf,
    /// In order; never empty. The last one is written to.
    segments: Vec<Segment>,
    active: Arc<File>,
    /// A failed write left bytes behind the end that could not be cut off yet.
    torn: bool,
    syncer: Syncer,
}

impl Log {
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The offset the next record gets.
    pub fn end(&self) -> i64 {
        self.last().next
    }

    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// All segments but the one being written to.
    pub fn sealed(&self) -> &[Segment] {
        &self.segments[..self.segments.len() - 1]
    }

    pub fn last(&self) -> &Segment {
        self.segments.last().expect("a log has at least one segment")
    }

    /// Puts a batch at the end, all of it or nothing. [`Log::note`] must follow.
    pub fn write(
        &mut self,
        batch: &[u8],
        header: &Header,
        roll: Roll,
        producers: &Producers,
        now_ms: i64,
    ) -> io::Result<()> {
        let last = self.last();
        let aged = last.age_ms(header.max_timestamp, now_ms) > roll.age_ms;
        let full = aged || last.len + batch.len() as u64 > roll.bytes;
        if full && last.len > 0 {
            self.roll(producers, now_ms)?;
        }
        let end = self.last().len;
        if self.torn {
            self.active.set_len(end)?;
            self.torn = false;
        }
        self.active.write_all_at(batch, end).inspect_err(|_| self.torn = self.active.set_len(end).is_err())
    }

    /// Takes note of the batch just written.
    pub fn note(&mut self, header: &Header, aborted: Option<Aborted>, now_ms: i64) {
        let last = self.segments.last_mut().expect("a log has at least one segment");
        last.note(header, aborted);
        last.written_ms = now_ms;
    }

    /// Seals the last segment and starts another.
    pub fn roll(&mut self, producers: &Producers, now_ms: i64) -> io::Result<()> {
        let base = self.end();
        write_whole(&segment::producers_file(&self.dir, base), &serde_json::to_vec(producers)?)?;
        let next = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(segment::file(&self.dir, base))?;
        let sealed = std::mem::replace(&mut self.active, Arc::new(next));
        self.save_index(self.last());
        self.segments.push(Segment::new(base, now_ms));
        self.syncer.sync(sealed);
        Ok(())
    }

    /// Without its index a segment is read again at the next start: slower, nothing worse.
    fn save_index(&self, segment: &Segment) {
        if let Err(error) = segment.save(&self.dir) {
            tracing::debug!(%error, dir = %self.dir.display(), "index not saved");
        }
    }

    /// Where to read on for `offset`: the segment's file from a place at or before it. `None` at the end.
    pub fn seek(&self, offset: i64) -> io::Result<Option<Scan>> {
        let at = self.segments.partition_point(|segment| segment.next <= offset);
        let Some(segment) = self.segments.get(at) else { return Ok(None) };
        self.scan(at, segment.position_of(offset)).map(Some)
    }

    /// The first segment from `offset` on that has a record of `timestamp` or later: where to look, and where to go on.
    pub fn seek_time(&self, offset: i64, timestamp: i64) -> io::Result<Option<(Scan, i64)>> {
        let late = |segment: &Segment| segment.next > offset && segment.max_timestamp >= timestamp;
        let Some(at) = self.segments.iter().position(late) else { return Ok(None) };
        let scan = self.scan(at, self.segments[at].position_of_time(timestamp))?;
        Ok(Some((scan, self.segments[at].next)))
    }

    fn scan(&self, at: usize, position: u64) -> io::Result<Scan> {
        let segment = &self.segments[at];
        let active = at + 1 == self.segments.len();
        let file = if active { self.active.clone() } else { Arc::new(segment.open(&self.dir)?) };
        Ok(Scan::new(file, position, segment.len))
    }

    pub fn max_timestamp(&self) -> i64 {
        self.segments.iter().map(|segment| segment.max_timestamp).max().unwrap_or(-1)
    }

    /// Rolled-back transactions with a record in `[from, to)`.
    pub fn aborted(&self, from: i64, to: i64) -> Vec<Aborted> {
        let after = self.segments.iter().filter(|segment| segment.next > from);
        let all = after.flat_map(|segment| &segment.aborted);
        all.filter(|aborted| aborted.last_offset >= from && aborted.first_offset < to).copied().collect()
    }

    /// Drops the oldest `count` segments.
    pub fn drop_oldest(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count.min(self.segments.len() - 1) {
            self.segments[0].remove(&self.dir)?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// Puts `cleaned` in the place of the sealed segments it was made from.
    pub fn replace(&mut self, bases: std::ops::Range<i64>, cleaned: Option<Segment>) {
        let from = self.segments.partition_point(|segment| segment.base < bases.start);
        let to = self.segments.partition_point(|segment| segment.base < bases.end);
        self.segments.splice(from..to, cleaned);
    }

    pub fn sync(&self) -> io::Result<()> {
        self.active.sync_data()
    }
}

#[cfg(test)]
mod tests;
