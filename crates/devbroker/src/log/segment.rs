//! One file of a partition's log, and what is known of it without reading it.

use crate::{batch::Header, files::write_whole, producers::Aborted};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

/// One mark of the index per this many bytes: a lookup reads at most so much, and a batch, before it is there.
const MARK_EVERY: u64 = 32 << 10;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Segment {
    /// The offset its file is named by; no record in it has a smaller one.
    pub base: i64,
    /// Bytes of whole batches.
    pub len: u64,
    /// The offset after the last record.
    pub next: i64,
    /// The time of its first batch, and the largest; -1 where there is none.
    pub first_timestamp: i64,
    pub max_timestamp: i64,
    /// When it was started and last written, by the wall clock.
    pub started_ms: i64,
    pub written_ms: i64,
    marks: Vec<Mark>,
    /// Transactions whose rollback is marked in this segment.
    pub aborted: Vec<Aborted>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Mark {
    offset: i64,
    position: u64,
    /// The largest timestamp before this position.
    max_before: i64,
}

impl Segment {
    pub fn new(base: i64, now_ms: i64) -> Segment {
        Segment {
            base,
            len: 0,
            next: base,
            first_timestamp: -1,
            max_timestamp: -1,
            started_ms: now_ms,
            written_ms: now_ms,
            marks: Vec::new(),
            aborted: Vec::new(),
        }
    }

    /// Takes note of the next batch of the file.
    pub fn note(&mut self, header: &Header, aborted: Option<Aborted>) {
        let marked = self.marks.last().map(|mark| mark.position);
        if marked.is_none_or(|position| self.len - position >= MARK_EVERY) {
            self.marks.push(Mark { offset: header.base_offset, position: self.len, max_before: self.max_timestamp });
        }
        if self.len == 0 {
            self.first_timestamp = header.max_timestamp;
        }
        self.len += header.size as u64;
        self.next = header.next_offset();
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.aborted.extend(aborted);
    }

    /// How old the segment is when a batch of `timestamp` comes: by the records' time, as Apache Kafka reckons, so that
    /// old data written today fills segments as it did when it was new.
    pub fn age_ms(&self, timestamp: i64, now_ms: i64) -> i64 {
        if self.first_timestamp >= 0 { timestamp - self.first_timestamp } else { now_ms - self.started_ms }
    }

    /// A position at or before the batch that holds `offset`.
    pub fn position_of(&self, offset: i64) -> u64 {
        let after = self.marks.partition_point(|mark| mark.offset <= offset);
        after.checked_sub(1).map_or(0, |at| self.marks[at].position)
    }

    /// A position before which every record is older than `timestamp`.
    pub fn position_of_time(&self, timestamp: i64) -> u64 {
        let after = self.marks.partition_point(|mark| mark.max_before < timestamp);
        after.checked_sub(1).map_or(0, |at| self.marks[at].position)
    }

    pub fn file(&self, dir: &Path) -> PathBuf {
        file(dir, self.base)
    }

    pub fn open(&self, dir: &Path) -> io::Result<File> {
        File::open(self.file(dir))
    }

    /// Writes down what is known, so that the next start need not read a segment that will not change any more.
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        write_whole(&index_file(dir, self.base), &serde_json::to_vec(self)?)
    }

    /// What was written down, if it fits the file.
    pub fn load(dir: &Path, base: i64) -> Option<Segment> {
        let segment: Segment = serde_json::from_slice(&fs::read(index_file(dir, base)).ok()?).ok()?;
        let len = fs::metadata(file(dir, base)).ok()?.len();
        (segment.base == base && segment.len == len).then_some(segment)
    }

    pub fn remove(&self, dir: &Path) -> io::Result<()> {
        // The log first: what is left of the others without it is ignored, a log without them is read again.
        for file in [file(dir, self.base), index_file(dir, self.base), producers_file(dir, self.base)] {
            match fs::remove_file(file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

pub fn file(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}.log"))
}

pub fn index_file(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}.index"))
}

/// The state of the partition's producers before the segment's first batch.
pub fn producers_file(dir: &Path, base: i64) -> PathBuf {
    dir.join(format!("{base:020}.producers"))
}
