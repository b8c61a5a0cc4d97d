//! Which trades have been folded already, so that a second copy is known for one.
//!
//! A trade's identity is (venue, symbol, trade id); a [`Seen`] belongs to one symbol. Nothing is ever taken for a duplicate by its
//! price, size or time: two equal trades are two trades, and trades without an id pass.
//!
//! Ids are kept as ranges in event-time buckets, so the contiguous ids most venues give cost a few bytes per bucket, whatever the
//! rate. A bucket goes when every window its trades could belong to is final: from then on a copy is *late* anyway. Sparse ids are
//! capped per symbol ([`MAX_RANGES`]); beyond the cap the oldest bucket goes early and is counted, never silently.
//!
//! Numeric ids are kept as they are; other ids (UUIDs) by 127 bits of a stable hash.

use std::collections::VecDeque;

use crate::interval::Interval;

use super::bytes::{Reader, Short, Writer};

/// Ranges in one saved value: rewriting a chunk stays cheap, and one insertion moves at most 4 KiB.
const CHUNK: usize = 128;
/// Ranges kept per symbol: 8 MiB.
pub(crate) const MAX_RANGES: usize = 262_144;

/// A trade id in the form it is compared in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u128);

impl Id {
    pub fn new(text: &str) -> Self {
        match numeric(text) {
            Some(number) => Self(number.into()),
            None => Self(1 << 127 | fnv128(text.as_bytes()) >> 1),
        }
    }

    /// A bar by its start. Those of a series without holes are neighbours: one range, however many there are.
    pub fn of_start(start: i64, interval: Interval) -> Self {
        let since = start.wrapping_sub(i64::MIN) as u64;
        let aligned = start.rem_euclid(interval.ns()) == 0;
        Self(if aligned { (since / interval.ns().unsigned_abs()).into() } else { 1 << 127 | u128::from(since) })
    }

    /// All of it, for state that is written down.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// What [`Id::bits`] gave.
    pub fn of_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// The id as a number, where it is one: the order of trades at the same instant.
    pub fn number(self) -> Option<u64> {
        u64::try_from(self.0).ok()
    }
}

/// Up to 18 digits without a leading zero; `007` and `7` are different ids.
fn numeric(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 18 || (bytes[0] == b'0' && bytes.len() > 1) {
        return None;
    }
    bytes.iter().try_fold(0u64, |n, b| b.is_ascii_digit().then(|| n * 10 + u64::from(b - b'0')))
}

/// FNV-1a, 128 bits: the same on every machine and in every version, which the saved state needs.
pub(super) fn fnv128(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
    })
}

/// Inclusive ranges of ids in order, none touching the next within its chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    number: u32,
    ranges: Vec<(u128, u128)>,
    dirty: bool,
    /// Has been saved, so its end must be saved too.
    saved: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Ids {
    /// In order of their first id.
    chunks: Vec<Chunk>,
    next_number: u32,
    max: u128,
}

impl Ids {
    fn contains(&self, id: u128) -> bool {
        if id > self.max || self.chunks.is_empty() {
            return false;
        }
        let after = self.chunks.partition_point(|c| c.ranges[0].0 <= id);
        let Some(chunk) = after.checked_sub(1).map(|i| &self.chunks[i]) else { return false };
        let after = chunk.ranges.partition_point(|r| r.0 <= id);
        after > 0 && chunk.ranges[after - 1].1 >= id
    }

    /// Takes an id that is not contained. Returns by how many ranges the set grew (minus one when two ranges became one).
    fn insert(&mut self, id: u128) -> isize {
        self.max = self.max.max(id);
        let at = self.chunk_of(id);
        match self.chunks.get(at) {
            None => return self.push_chunk(id),
            Some(chunk) if chunk.ranges.len() < CHUNK => {}
            // Ids that only ever grow fill their chunks; others halve them.
            Some(chunk) => {
                let last = chunk.ranges[chunk.ranges.len() - 1].1;
                if at + 1 == self.chunks.len() && id > last.wrapping_add(1) {
                    return self.push_chunk(id);
                }
                if id != last.wrapping_add(1) {
                    self.halve(at);
                }
            }
        }
        self.insert_into(self.chunk_of(id), id)
    }

    /// The chunk whose ids `id` lies among: the last that begins at or before it, else the first.
    fn chunk_of(&self, id: u128) -> usize {
        self.chunks.partition_point(|c| c.ranges[0].0 <= id).saturating_sub(1)
    }

    fn push_chunk(&mut self, id: u128) -> isize {
        let number = self.number();
        self.chunks.push(Chunk { number, ranges: vec![(id, id)], dirty: true, saved: false });
        1
    }

    fn halve(&mut self, at: usize) {
        let number = self.number();
        let chunk = &mut self.chunks[at];
        chunk.dirty = true;
        let ranges = chunk.ranges.split_off(CHUNK / 2);
        self.chunks.insert(at + 1, Chunk { number, ranges, dirty: true, saved: false });
    }

    fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number - 1
    }

    fn insert_into(&mut self, at: usize, id: u128) -> isize {
        let chunk = &mut self.chunks[at];
        chunk.dirty = true;
        let ranges = &mut chunk.ranges;
        let after =
            if ranges.last().is_some_and(|r| r.0 <= id) { ranges.len() } else { ranges.partition_point(|r| r.0 <= id) };
        let joins_left = after > 0 && ranges[after - 1].1.wrapping_add(1) == id;
        let joins_right = ranges.get(after).is_some_and(|r| id.wrapping_add(1) == r.0);
        match (joins_left, joins_right) {
            (true, true) => {
                ranges[after - 1].1 = ranges[after].1;
                ranges.remove(after);
                -1
            }
            (true, false) => {
                ranges[after - 1].1 = id;
                0
            }
            (false, true) => {
                ranges[after].0 = id;
                0
            }
            (false, false) => {
                ranges.insert(after, (id, id));
                1
            }
        }
    }

    fn ranges(&self) -> usize {
        self.chunks.iter().map(|c| c.ranges.len()).sum()
    }
}

/// The ids of one symbol whose event times fall into one stretch of time, per venue.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bucket {
    start: i64,
    /// By the number of the venue.
    venues: Vec<Ids>,
}

/// The trades of one symbol that were folded already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// In order of their start.
    buckets: VecDeque<Bucket>,
    ranges: isize,
    /// Saved chunks whose bucket has gone: to be removed from the changelog.
    gone: Vec<(i64, u8, u32)>,
}

impl Seen {
    pub fn contains(&self, venue: u8, id: Id) -> bool {
        self.bucket_of(venue, id).is_some()
    }

    /// The start of the stretch of time that its trade is of.
    pub fn bucket_of(&self, venue: u8, id: Id) -> Option<i64> {
        let has = |b: &&Bucket| b.venues.get(usize::from(venue)).is_some_and(|ids| ids.contains(id.0));
        self.buckets.iter().rev().find(has).map(|b| b.start)
    }

    /// How many of the numeric ids from `first` to `last` it contains, of whatever venue; at most as many as there are.
    pub fn count(&self, first: u64, last: u64) -> u64 {
        let (first, last) = (u128::from(first), u128::from(last));
        let ids = self.buckets.iter().flat_map(|b| &b.venues).flat_map(|v| &v.chunks).flat_map(|c| &c.ranges);
        let within = ids.map(|(from, to)| ((*to).min(last) + 1).saturating_sub((*from).max(first)));
        within.sum::<u128>().min(last - first + 1) as u64
    }

    /// Takes an id that is not contained. Returns how many ids were forgotten early because of the cap.
    pub fn insert(&mut self, bucket_start: i64, venue: u8, id: Id) -> u64 {
        let at = match self.buckets.back() {
            Some(last) if last.start == bucket_start => self.buckets.len() - 1,
            _ => {
                let at = self.buckets.partition_point(|b| b.start < bucket_start);
                if self.buckets.get(at).is_none_or(|b| b.start != bucket_start) {
                    self.buckets.insert(at, Bucket { start: bucket_start, venues: Vec::new() });
                }
                at
            }
        };
        let venues = &mut self.buckets[at].venues;
        let venue = usize::from(venue);
        if venues.len() <= venue {
            venues.resize_with(venue + 1, Ids::default);
        }
        self.ranges += venues[venue].insert(id.0);
        if self.ranges > MAX_RANGES as isize { self.forget_oldest() } else { 0 }
    }

    fn forget_oldest(&mut self) -> u64 {
        let Some(oldest) = self.buckets.front() else { return 0 };
        let ids = oldest.venues.iter().flat_map(|v| &v.chunks).flat_map(|c| &c.ranges);
        let forgotten = ids.map(|(from, to)| to - from + 1).sum::<u128>();
        self.drop_front();
        forgotten as u64
    }

    /// Drops the buckets that `is_over` says are of no more use, oldest first.
    pub fn drop_while(&mut self, is_over: impl Fn(i64) -> bool) {
        while self.buckets.front().is_some_and(|b| is_over(b.start)) {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        let Some(bucket) = self.buckets.pop_front() else { return };
        for (venue, ids) in (0u8..).zip(&bucket.venues) {
            self.ranges -= ids.ranges() as isize;
            self.gone.extend(ids.chunks.iter().filter(|c| c.saved).map(|c| (bucket.start, venue, c.number)));
        }
    }

    /// Hands out what changed since the last call: `(bucket start, venue, chunk)` and its bytes, or `None` when it is gone.
    pub fn save(&mut self, version: u8, mut put: impl FnMut(i64, u8, u32, Option<&[u8]>)) {
        for (start, venue, number) in self.gone.drain(..) {
            put(start, venue, number, None);
        }
        let mut w = Writer::default();
        for bucket in &mut self.buckets {
            for (venue, ids) in (0u8..).zip(&mut bucket.venues) {
                for chunk in ids.chunks.iter_mut().filter(|c| c.dirty) {
                    w.bytes.clear();
                    w.byte(version);
                    let mut before = 0;
                    w.unsigned(chunk.ranges.len() as u128);
                    for (from, to) in &chunk.ranges {
                        w.unsigned(from - before);
                        w.unsigned(to - from);
                        before = *to;
                    }
                    (chunk.dirty, chunk.saved) = (false, true);
                    put(bucket.start, venue, chunk.number, Some(&w.bytes));
                }
            }
        }
    }

    /// Takes back a chunk that was saved; [`Seen::restored`] must follow the last.
    pub fn restore(&mut self, start: i64, venue: u8, number: u32, r: &mut Reader<'_>) -> Result<(), Short> {
        let mut ranges = Vec::new();
        let mut before = 0u128;
        for _ in 0..r.count()? {
            let from = before.checked_add(r.unsigned()?).ok_or(Short)?;
            let to = from.checked_add(r.unsigned()?).ok_or(Short)?;
            ranges.push((from, to));
            before = to;
        }
        if ranges.is_empty() {
            return Err(Short);
        }
        self.forget(start, venue, number);
        let at = self.buckets.partition_point(|b| b.start < start);
        if self.buckets.get(at).is_none_or(|b| b.start != start) {
            self.buckets.insert(at, Bucket { start, venues: Vec::new() });
        }
        let venues = &mut self.buckets[at].venues;
        venues.resize_with(venues.len().max(usize::from(venue) + 1), Ids::default);
        venues[usize::from(venue)].chunks.push(Chunk { number, ranges, dirty: false, saved: true });
        Ok(())
    }

    /// A chunk was removed, or is about to be replaced.
    pub fn forget(&mut self, start: i64, venue: u8, number: u32) {
        let bucket = self.buckets.iter_mut().find(|b| b.start == start);
        if let Some(ids) = bucket.and_then(|b| b.venues.get_mut(usize::from(venue))) {
            ids.chunks.retain(|c| c.number != number);
        }
    }

    /// Brings restored chunks into order.
    pub fn restored(&mut self) {
        self.ranges = 0;
        self.buckets.retain(|b| b.venues.iter().any(|v| !v.chunks.is_empty()));
        for ids in self.buckets.iter_mut().flat_map(|b| &mut b.venues) {
            ids.chunks.sort_by_key(|c| c.ranges[0]);
            ids.next_number = ids.chunks.iter().map(|c| c.number + 1).max().unwrap_or(0);
            ids.max = ids.chunks.last().map_or(0, |c| c.ranges[c.ranges.len() - 1].1);
            self.ranges += ids.ranges() as isize;
        }
    }
}

#[cfg(test)]
mod tests;
