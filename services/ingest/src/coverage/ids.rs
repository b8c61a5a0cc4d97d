//! A symbol whose trades have consecutive ids.

use std::collections::BTreeMap;

use market::{Gap, GapCause};

use super::{Saved, Verdict};

/// Ranges of missing ids that are kept. Of older ones a late trade is taken for a duplicate.
const MOST_RANGES: usize = 10_000;

/// Ids that have been passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hole {
    last: u64,
    /// Event times before and after.
    from: i64,
    to: i64,
    /// When it is said, unless what is missing comes.
    due: i64,
    cause: GapCause,
}

#[derive(Debug)]
pub struct Ids {
    /// The first and the last id that is known. All between is taken, missing or declared.
    range: Option<(u64, u64)>,
    /// The highest event time.
    time: i64,
    /// A trade was taken, or could have been missed. Before that a snapshot only says where the stream begins.
    started: bool,
    /// Explains the next hole; the venue's own numbering if nothing happened to the connection.
    cause: GapCause,
    missing: BTreeMap<u64, Hole>,
    /// First → last of what has been said to be missing.
    declared: BTreeMap<u64, u64>,
    /// First → last of what only the first snapshot held: not taken, and not missing either.
    before: BTreeMap<u64, u64>,
}

impl Default for Ids {
    fn default() -> Self {
        Ids {
            range: None,
            time: i64::MIN,
            started: false,
            cause: GapCause::Sequence,
            missing: BTreeMap::new(),
            declared: BTreeMap::new(),
            before: BTreeMap::new(),
        }
    }
}

impl Ids {
    /// An id has come, `old` in a snapshot. The second answer: it fills a gap that was said.
    pub fn take(&mut self, id: u64, time: i64, due: i64, old: bool) -> (Verdict, bool) {
        let Some((low, high)) = self.range else {
            self.range = Some((id, id));
            self.time = time;
            self.started = !old;
            return (if old { Verdict::Before } else { Verdict::Take }, false);
        };
        if old && !self.started {
            // The rest of the first snapshot: the stream begins behind it, and it may come in any order.
            self.range = Some((low.min(id), high.max(id)));
            self.time = self.time.max(time);
            return (Verdict::Before, false);
        }
        self.start();
        if id > high {
            if id > high + 1 {
                self.pass_over(high + 1, id - 1, time, due);
            }
            self.cause = GapCause::Sequence;
            self.range = Some((low, id));
            self.time = self.time.max(time);
            return (Verdict::Take, false);
        }
        if id < low {
            if old {
                return (Verdict::Before, false);
            }
            if id + 1 < low {
                let hole = Hole { last: low - 1, from: time, to: self.time.max(time), due, cause: GapCause::Sequence };
                self.missing.insert(id + 1, hole);
            }
            self.range = Some((id, high));
            self.begin_at(id, time, due);
            return (Verdict::Take, false);
        }
        if self.fill_missing(id) {
            self.time = self.time.max(time);
            return (Verdict::Take, false);
        }
        if remove(&mut self.declared, id) {
            return (Verdict::Take, true);
        }
        if old && holds(&self.before, id) {
            return (Verdict::Before, false);
        }
        // The venue counts it as of now, whatever its first snapshot held.
        if remove(&mut self.before, id) {
            self.begin_at(id, time, due);
            return (Verdict::Take, false);
        }
        (Verdict::Duplicate, false)
    }

    /// The stream turns out to begin here, inside or before the first snapshot: what that held beyond is missing now.
    fn begin_at(&mut self, id: u64, time: i64, due: i64) {
        let (from, to, cause) = (time.min(self.time), time.max(self.time), GapCause::Sequence);
        for (first, last) in self.before.split_off(&id) {
            self.missing.insert(first, Hole { last, from, to, due, cause });
        }
    }

    /// The first snapshot is over.
    fn start(&mut self) {
        if !self.started
            && let Some((low, high)) = self.range
        {
            self.before.insert(low, high);
            self.started = true;
        }
    }

    /// The venue has given ids up to this one; they may still be on their way.
    pub fn told(&mut self, id: u64, time: i64, due: i64) {
        if let Some((low, high)) = self.range
            && id > high
        {
            self.start();
            self.pass_over(high + 1, id, time, due);
            self.range = Some((low, id));
        }
    }

    fn pass_over(&mut self, first: u64, last: u64, time: i64, due: i64) {
        let hole = Hole { last, from: self.time.min(time), to: self.time.max(time), due, cause: self.cause };
        self.missing.insert(first, hole);
    }

    fn fill_missing(&mut self, id: u64) -> bool {
        let Some((&first, &hole)) = self.missing.range(..=id).next_back().filter(|(_, hole)| id <= hole.last) else {
            return false;
        };
        self.missing.remove(&first);
        if first < id {
            self.missing.insert(first, Hole { last: id - 1, ..hole });
        }
        if id < hole.last {
            self.missing.insert(id + 1, hole);
        }
        true
    }

    pub fn interrupted(&mut self, cause: GapCause) {
        // What came first explains what is missing, such as a restart whose first connection fails.
        if self.cause == GapCause::Sequence {
            self.cause = cause;
        }
        // What a later snapshot holds may be what is being missed now.
        self.start();
    }

    /// Says what is due until then. Answers when the next is.
    pub fn tick(&mut self, symbol: &str, until: i64, now: i64, gaps: &mut Vec<Gap>) -> i64 {
        let due: Vec<u64> =
            self.missing.iter().filter(|(_, hole)| hole.due <= until).map(|(first, _)| *first).collect();
        for first in due {
            let Some(hole) = self.missing.remove(&first) else { continue };
            self.declare(first, hole.last);
            gaps.push(Gap {
                symbol: symbol.to_owned(),
                from: hole.from,
                to: hole.to.max(hole.from),
                cause: hole.cause,
                first_missing: Some(first.to_string()),
                last_missing: Some(hole.last.to_string()),
                receive_time: Some(now),
            });
        }
        self.missing.values().map(|hole| hole.due).min().unwrap_or(i64::MAX)
    }

    fn declare(&mut self, first: u64, last: u64) {
        self.declared.insert(first, last);
        if self.declared.len() > MOST_RANGES {
            self.declared.pop_first();
        }
    }

    /// A gap of these is in Kafka. It may lie beyond what is known here, where trades after it are not.
    pub fn said(&mut self, first: u64, last: u64, to: i64) {
        let Some((mut low, high)) = self.range else {
            (self.range, self.time) = (Some((first, last)), to);
            self.started = true;
            return self.declare(first, last);
        };
        if first < low {
            // Said before the trades after it had come.
            if last + 1 < low {
                let hole = Hole { last: low - 1, from: to, to: self.time, due: i64::MAX, cause: GapCause::Sequence };
                self.missing.insert(last + 1, hole);
            }
            low = first;
            self.range = Some((low, high));
        }
        if last > high {
            // Said of the venue's own word: no trade has followed yet.
            if first > high + 1 {
                self.pass_over(high + 1, first - 1, to, i64::MAX);
            }
            self.range = Some((low, last));
        }
        let holes: Vec<(u64, Hole)> = self.missing.range(..=last).map(|(first, hole)| (*first, *hole)).collect();
        for (start, hole) in holes.into_iter().filter(|(_, hole)| hole.last >= first) {
            self.missing.remove(&start);
            if start < first {
                self.missing.insert(start, Hole { last: first - 1, ..hole });
            }
            if hole.last > last {
                self.missing.insert(last + 1, hole);
            }
        }
        self.declare(first, last);
    }

    pub fn save(&self) -> Option<Saved> {
        let (low, high) = self.range?;
        // Nothing that could be missed has been promised yet.
        self.started.then(|| Saved {
            time: self.time,
            low: Some(low),
            high: Some(high),
            missing: self.missing.iter().map(|(first, hole)| (*first, hole.last, hole.from, hole.to)).collect(),
            declared: self.declared.iter().map(|(first, last)| (*first, *last)).collect(),
            before: self.before.iter().map(|(first, last)| (*first, *last)).collect(),
            recent: Vec::new(),
        })
    }

    pub fn restored(saved: &Saved) -> Self {
        let hole = |(first, last, from, to): &(u64, u64, i64, i64)| {
            (*first, Hole { last: *last, from: *from, to: *to, due: i64::MIN, cause: GapCause::Restart })
        };
        Ids {
            range: saved.low.zip(saved.high),
            time: saved.time,
            started: saved.high.is_some(),
            cause: GapCause::Restart,
            missing: saved.missing.iter().map(hole).collect(),
            declared: saved.declared.iter().copied().collect(),
            before: saved.before.iter().copied().collect(),
        }
    }
}

fn holds(ranges: &BTreeMap<u64, u64>, id: u64) -> bool {
    ranges.range(..=id).next_back().is_some_and(|(_, last)| id <= *last)
}

/// Takes one id out of the ranges. `true` if it was in one.
fn remove(ranges: &mut BTreeMap<u64, u64>, id: u64) -> bool {
    let Some((&first, &last)) = ranges.range(..=id).next_back().filter(|(_, last)| id <= **last) else { return false };
    ranges.remove(&first);
    if first < id {
        ranges.insert(first, id - 1);
    }
    if id < last {
        ranges.insert(id + 1, last);
    }
    true
}
