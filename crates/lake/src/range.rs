//! A range of offsets while it is read: the rows by object, and what the claim will say about every offset.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::claim::{Claim, ClaimedObject, Kind, OFFSET};
use crate::format::{Body, Coordinates, Format, Rows};
use crate::layout::{ObjectName, Source};
use crate::row::{self, Feed, Placed, Record, Skip};
use crate::runs::{Runs, Target};
use crate::table::{Dir, Grain, Table};

/// Count and checksum of the records of a range, by which one reading of it is compared with another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) records: u64,
    pub(crate) crc32c: u32,
}

impl Digest {
    pub(crate) fn add(&mut self, record: &Record<'_>) {
        let length = record.value.map_or(u64::MAX, |value| value.len() as u64);
        let mut head = [0; 16];
        head[..8].copy_from_slice(&record.offset.to_le_bytes());
        head[8..].copy_from_slice(&length.to_le_bytes());
        self.records += 1;
        self.crc32c = crc32c::crc32c_append(self.crc32c, &head);
        self.crc32c = crc32c::crc32c_append(self.crc32c, record.value.unwrap_or_default());
    }
}

/// The rows of one object under way.
struct Slot {
    dir: Dir,
    rows: Box<dyn Rows>,
    count: u64,
    first: i64,
    last: i64,
    /// Of the rows that are not packed.
    size_bytes: usize,
    packed_rows: u64,
}

struct Slots {
    format: Format,
    all: Vec<Slot>,
    by_dir: HashMap<Dir, u32>,
    /// Where the last row went: the next one mostly goes there too.
    recent: Option<(Dir, u32)>,
}

impl Slots {
    fn of(&mut self, dir: Dir) -> (u32, &mut Slot) {
        let index = match self.recent {
            Some((last, index)) if last == dir => index,
            _ => *self.by_dir.entry(dir).or_insert_with(|| {
                self.all.push(Slot {
                    dir,
                    rows: self.format.rows(dir.table()),
                    count: 0,
                    first: 0,
                    last: 0,
                    size_bytes: 0,
                    packed_rows: 0,
                });
                u32::try_from(self.all.len() - 1).expect("a range is sealed long before 2^32 objects")
            }),
        };
        self.recent = Some((dir, index));
        (index, &mut self.all[index as usize])
    }
}

/// Grows from its start until it is sealed; nothing is stored before.
pub struct Range {
    source: Source,
    feed: Feed,
    format: Format,
    start: i64,
    /// The next offset expected.
    next: i64,
    digest: Digest,
    runs: Runs,
    skips: BTreeMap<Cow<'static, str>, u64>,
    markers: u64,
    slots: Slots,
    rows: u64,
    size_bytes: usize,
    /// Earliest and latest event time, tables by year left out: a file of daily bars spans decades by nature.
    span: Option<(i64, i64)>,
}

/// What [`Range::push`] made of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushed {
    Row(Table),
    Skip(Skip),
    /// Not the next offset or a later one: Kafka's order was broken by a seek, and the record is not taken.
    Repeated,
}

impl Range {
    pub fn new(source: Source, feed: Feed, format: Format, start: i64) -> Self {
        Self {
            source,
            feed,
            format,
            start,
            next: start,
            digest: Digest::default(),
            runs: Runs::default(),
            skips: BTreeMap::new(),
            markers: 0,
            slots: Slots { format, all: Vec::new(), by_dir: HashMap::new(), recent: None },
            rows: 0,
            size_bytes: 0,
            span: None,
        }
    }

    pub fn push(&mut self, record: &Record<'_>) -> Pushed {
        if record.offset < self.next {
            return Pushed::Repeated;
        }
        self.skip_to(record.offset);
        self.next = record.offset + 1;
        self.digest.add(record);
        match row::read(self.feed, record) {
            Ok(placed) => {
                self.place(record.offset, &placed);
                Pushed::Row(placed.dir.table())
            }
            Err(reason) => {
                self.pass_over(Cow::Borrowed(reason));
                Pushed::Skip(reason)
            }
        }
    }

    /// Takes a row that the lake has already, in the form that it has there. Offsets must come in order.
    pub(crate) fn take(&mut self, offset: i64, json: &[u8], placed: &Placed<'_>) {
        self.pass_to(offset, json);
        self.place(offset, placed);
    }

    /// Takes an offset that is known to have no row. Offsets must come in order.
    pub(crate) fn skip(&mut self, offset: i64, reason: &str) {
        self.pass_to(offset, reason.as_bytes());
        self.pass_over(Cow::Owned(reason.to_owned()));
    }

    fn pass_to(&mut self, offset: i64, value: &[u8]) {
        self.skip_to(offset);
        self.next = offset + 1;
        self.digest.add(&Record { offset, timestamp_ms: 0, key: None, value: Some(value), headers: &[] });
    }

    fn place(&mut self, offset: i64, Placed { dir, row, event_time }: &Placed<'_>) {
        if dir.table().grain() != Grain::Year {
            let (first, last) = self.span.unwrap_or((*event_time, *event_time));
            self.span = Some((first.min(*event_time), last.max(*event_time)));
        }
        let at = Coordinates { topic: &self.source.topic, partition: self.source.partition, offset };
        let (index, slot) = self.slots.of(*dir);
        slot.rows.push(row, at);
        let size_bytes = slot.rows.size_bytes();
        self.size_bytes += size_bytes - slot.size_bytes;
        slot.size_bytes = size_bytes;
        if slot.count == 0 {
            slot.first = offset;
        }
        slot.count += 1;
        self.rows += 1;
        slot.last = offset;
        self.runs.push(Target::Object(index), 1);
    }

    fn pass_over(&mut self, reason: Cow<'static, str>) {
        *self.skips.entry(reason).or_default() += 1;
        self.runs.push(Target::Skip, 1);
    }

    /// Says that Kafka has no record between the last one and `offset`.
    pub fn skip_to(&mut self, offset: i64) {
        let Ok(markers) = u64::try_from(offset - self.next) else { return };
        self.runs.push(Target::Marker, markers);
        self.markers += markers;
        self.next = self.next.max(offset);
    }

    pub fn start(&self) -> i64 {
        self.start
    }

    /// The offset after the last one of the range.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Nothing to claim: no offset has been passed yet.
    pub fn is_empty(&self) -> bool {
        self.next == self.start
    }

    pub fn records(&self) -> u64 {
        self.digest.records
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Packs the rows of the largest objects until the rest has at most so many bytes.
    pub(crate) fn pack_down_to(&mut self, size_bytes: usize) {
        while self.size_bytes > size_bytes {
            let Some(slot) = self.slots.all.iter_mut().max_by_key(|slot| slot.size_bytes) else { return };
            slot.rows.pack();
            let rest_bytes = slot.rows.size_bytes();
            if rest_bytes == slot.size_bytes {
                return;
            }
            self.size_bytes -= slot.size_bytes - rest_bytes;
            (slot.size_bytes, slot.packed_rows) = (rest_bytes, slot.count);
        }
    }

    /// Rows that were packed of the object of a partition, and their bytes.
    pub(crate) fn packed_of(&self, dir: Dir) -> (u64, usize) {
        let slot = self.slots.by_dir.get(&dir).map(|index| &self.slots.all[*index as usize]);
        slot.map_or((0, 0), |slot| (slot.packed_rows, slot.rows.packed_bytes()))
    }

    /// Bytes of all objects that are made already.
    pub(crate) fn packed_bytes(&self) -> usize {
        self.slots.all.iter().map(|slot| slot.rows.packed_bytes()).sum()
    }

    /// Bytes of the rows that are not packed.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Memory held by the rows.
    pub fn held_bytes(&self) -> usize {
        self.slots.all.iter().map(|slot| slot.rows.held_bytes()).sum()
    }

    /// Objects that sealing now would make; with one object per message, partitions touched.
    pub fn objects(&self) -> usize {
        self.slots.all.len()
    }

    /// From the earliest to the latest event time, in nanoseconds.
    pub fn span_ns(&self) -> i64 {
        self.span.map_or(0, |(first, last)| last.saturating_sub(first))
    }

    /// How many runs the claim would hold; see [`Runs::len`].
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Fixes the claim. `writer` is unique to this run of this process.
    pub fn seal(self, writer: &str, why: &str) -> Sealed {
        let end = self.next - 1;
        let extension = self.format.extension();
        let key = |dir: Dir| {
            let name = ObjectName::new(&self.source, self.start, end, extension);
            if self.format.is_per_message() {
                let ObjectName { topic, topic_id, partition, extension, .. } = name;
                return format!("{dir}/{topic}~{topic_id}-{partition}-{OFFSET}-{OFFSET}.{extension}");
            }
            format!("{dir}/{name}")
        };
        let object =
            |slot: &Slot| ClaimedObject { key: key(slot.dir), rows: slot.count, first: slot.first, last: slot.last };
        let mut claim = Claim::empty(&self.source, self.start, end, Kind::Data, writer, why);
        claim.layout = self.format.id().to_owned();
        claim.records = self.digest.records;
        claim.crc32c = self.digest.crc32c;
        claim.objects = self.slots.all.iter().map(object).collect();
        claim.skips = self.skips.into_iter().map(|(reason, count)| (reason.into_owned(), count)).collect();
        claim.markers = self.markers;
        claim.runs = self.runs.encode();
        let slots = self.slots.all.into_iter().enumerate().map(|(index, slot)| (index, slot.rows)).collect();
        Sealed { claim, slots, missing: Missing::new() }
    }
}

/// A claim and rows of its objects: all of them, or those that were found missing.
pub struct Sealed {
    pub claim: Claim,
    /// By index in the claim.
    pub(crate) slots: Vec<(usize, Box<dyn Rows>)>,
    pub(crate) missing: Missing,
}

/// Rows of each object that the claim counts and Kafka no longer has.
pub(crate) type Missing = BTreeMap<usize, Vec<i64>>;

/// Ready to be stored.
pub struct Encoded {
    pub claim: Claim,
    pub(crate) bodies: Vec<(usize, Vec<Body>)>,
    pub(crate) missing: Missing,
}

impl Sealed {
    /// Makes the bytes. Long work without I/O: not for an async thread.
    pub fn encode(self) -> Encoded {
        let bodies = self.slots.into_iter().map(|(index, rows)| (index, rows.finish())).collect();
        Encoded { claim: self.claim, bodies, missing: self.missing }
    }
}

/// How much there is to store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    pub objects: u64,
    pub rows: u64,
    pub bytes: u64,
}

impl Encoded {
    pub fn size(&self) -> Size {
        let mut size = Size::default();
        for body in self.bodies.iter().flat_map(|(_, bodies)| bodies) {
            size.objects += 1;
            size.rows += body.rows;
            size.bytes += body.bytes.len() as u64;
        }
        size
    }
}
