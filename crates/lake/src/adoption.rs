//! Finishing a claim that somebody else made, or that this writer made before it was stopped.
//!
//! In: the claim, the objects of it that are missing, and the records of its range, read from Kafka again. Out: the
//! missing objects, with exactly the rows that the claim promised. Its own settings play no part.

use crate::chain::ChainError;
use crate::claim::Checked;
use crate::format::{Coordinates, Rows};
use crate::layout::Source;
use crate::range::{Digest, Missing, Sealed};
use crate::row::{self, Feed, Record};
use crate::runs::Target;

pub struct Adoption {
    source: Source,
    feed: Feed,
    claim: Checked,
    /// By index in the claim; `None` for objects that are stored already.
    slots: Vec<Option<Box<dyn Rows>>>,
    digest: Digest,
    /// Where in the claim's runs the reading stands: index of the run, and its first offset.
    run: (usize, i64),
    runs: Vec<(Target, u64)>,
    next: i64,
    /// Rows of the objects to make that Kafka did not give.
    missing: Missing,
    /// The last record of the claim that Kafka did not give.
    last_absent: Option<i64>,
    /// The first record that this program cannot turn into the row it is claimed as.
    unreadable: Option<(i64, &'static str)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    More,
    /// Every offset of the claim has been passed; a record beyond its end was not taken.
    Complete,
}

impl Adoption {
    /// `missing`: indexes of the objects to make.
    pub fn new(claim: Checked, feed: Feed, missing: &[usize]) -> Self {
        let slots = claim.claim.objects.iter().enumerate();
        let wanted = |index: usize| {
            let format = claim.format.filter(|_| missing.contains(&index))?;
            Some(format.rows(claim.tables[index]))
        };
        Self {
            source: claim.claim.source(),
            feed,
            slots: slots.map(|(index, _)| wanted(index)).collect(),
            digest: Digest::default(),
            run: (0, claim.claim.start),
            runs: claim.runs.iter().collect(),
            next: claim.claim.start,
            missing: Missing::new(),
            last_absent: None,
            unreadable: None,
            claim,
        }
    }

    /// Where to read from.
    pub fn start(&self) -> i64 {
        self.claim.claim.start
    }

    /// The last offset of the claim.
    pub fn end(&self) -> i64 {
        self.claim.claim.end
    }

    pub fn held_bytes(&self) -> usize {
        self.slots.iter().flatten().map(|rows| rows.held_bytes()).sum()
    }

    pub fn push(&mut self, record: &Record<'_>) -> Progress {
        if record.offset > self.claim.claim.end {
            return Progress::Complete;
        }
        if record.offset < self.next {
            return Progress::More;
        }
        self.pass(record.offset);
        self.next = record.offset + 1;
        self.digest.add(record);
        if let Target::Object(index) = self.target(record.offset)
            && let Some(rows) = &mut self.slots[index as usize]
        {
            let at = Coordinates { topic: &self.source.topic, partition: self.source.partition, offset: record.offset };
            match row::read(self.feed, record) {
                Ok(placed) => rows.push(&placed.row, at),
                Err(reason) => self.unreadable = self.unreadable.or(Some((record.offset, reason))),
            }
        }
        if record.offset == self.claim.claim.end { Progress::Complete } else { Progress::More }
    }

    /// Notes the rows among the offsets from the last record to `offset`, which Kafka did not give.
    fn pass(&mut self, offset: i64) {
        for absent in self.next..offset {
            let target = self.target(absent);
            if target != Target::Marker {
                self.last_absent = Some(absent);
            }
            if let Target::Object(index) = target
                && let Some(rows) = &mut self.slots[index as usize]
            {
                rows.lost(absent);
                self.missing.entry(index as usize).or_default().push(absent);
            }
        }
    }

    /// What the claim says of this offset. Offsets must come in order.
    fn target(&mut self, offset: i64) -> Target {
        loop {
            let (index, first) = self.run;
            let (target, length) = self.runs[index];
            let end = first.saturating_add_unsigned(length);
            if offset < end {
                return target;
            }
            self.run = (index + 1, end);
        }
    }

    /// Everything of the range that Kafka has was pushed. `low` is the log's first offset, asked for after that.
    ///
    /// What is gone from the log by retention makes an object short, and is listed in it. Any other difference means
    /// that the log is not the one the claim was made of.
    pub fn finish(mut self, low: i64) -> Result<Sealed, ChainError> {
        let Checked { claim, .. } = &self.claim;
        let (source, start, end) = (self.source.clone(), claim.start, claim.end);
        let claimed = Digest { records: claim.records, crc32c: claim.crc32c };
        self.pass(end + 1);
        let short = self.last_absent.is_some_and(|offset| offset < low);
        if !short && self.digest != claimed {
            let why = format!("{} records instead of {}, or other ones", self.digest.records, claimed.records);
            return Err(ChainError::Mismatch { source_partition: source, start, end, why });
        }
        if let Some((offset, reason)) = self.unreadable {
            let why = format!("offset {offset} was claimed as a row and is unreadable to this version: {reason}");
            return Err(ChainError::Mismatch { source_partition: source, start, end, why });
        }
        let slots = self.slots.into_iter().enumerate().filter_map(|(index, rows)| Some((index, rows?)));
        Ok(Sealed { claim: self.claim.claim, slots: slots.collect(), missing: self.missing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::range::Range;
    use crate::{Claim, Format};

    fn value(offset: i64) -> Vec<u8> {
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":{},"quantity":1,"event_time":0}}"#,
            offset + 1
        )
        .into_bytes()
    }

    fn record(offset: i64, value: &[u8]) -> Record<'_> {
        Record { offset, timestamp_ms: 0, key: None, value: Some(value), headers: &[] }
    }

    /// Offsets 0 to 5, of which 2 is a marker.
    fn claim() -> Checked {
        let source = Source::new("raw", "id", 0);
        let mut range = Range::new(source.clone(), Feed::Raw, Format::Parquet, 0);
        for offset in [0, 1, 3, 4, 5] {
            range.push(&record(offset, &value(offset)));
        }
        let claim = range.seal("w", "test").claim;
        assert_eq!((claim.records, claim.markers, claim.rows()), (5, 1, 5));
        Claim::read(&claim.to_json(), &source, Some(0)).unwrap()
    }

    fn adopt(offsets: &[i64], low: i64, change: impl Fn(i64) -> Vec<u8>) -> Result<Sealed, ChainError> {
        let mut adoption = Adoption::new(claim(), Feed::Raw, &[0]);
        for offset in offsets {
            adoption.push(&record(*offset, &change(*offset)));
        }
        adoption.finish(low)
    }

    #[test]
    fn the_same_records_finish_the_claim() {
        let sealed = adopt(&[0, 1, 3, 4, 5], 0, value).unwrap();
        assert!(sealed.missing.is_empty());
        assert_eq!(sealed.encode().size().rows, 5);
    }

    #[test]
    fn whoever_finishes_a_claim_writes_the_same_bytes() {
        for format in Format::ALL {
            let source = Source::new("raw", "id", 0);
            let mut range = Range::new(source.clone(), Feed::Raw, format, 0);
            for offset in 0..50 {
                range.push(&record(offset, &value(offset)));
            }
            let first = range.seal("w", "test").encode();
            let claim = Claim::read(&first.claim.to_json(), &source, Some(0)).unwrap();
            let mut adoption = Adoption::new(claim, Feed::Raw, &[0]);
            for offset in 0..50 {
                adoption.push(&record(offset, &value(offset)));
            }
            let second = adoption.finish(0).unwrap().encode();
            assert_eq!(first.bodies, second.bodies, "{format:?}");
        }
    }

    #[test]
    fn what_retention_took_is_listed() {
        let sealed = adopt(&[3, 4, 5], 3, value).unwrap();
        assert_eq!(sealed.missing[&0], [0, 1], "the marker is not missing");
        assert_eq!(sealed.encode().size().rows, 3);
        assert_eq!(adopt(&[], 9, value).unwrap().encode().size().rows, 0);
    }

    #[test]
    fn any_other_difference_is_refused() {
        let other = |offset| if offset == 3 { value(99) } else { value(offset) };
        for (case, result) in [
            ("another value", adopt(&[0, 1, 3, 4, 5], 0, other)),
            ("a record less, though the log has it", adopt(&[0, 1, 3, 5], 0, value)),
            ("a record more", adopt(&[0, 1, 2, 3, 4, 5], 0, value)),
            ("the last one missing, though the log has it", adopt(&[0, 1, 3, 4], 2, value)),
        ] {
            assert!(matches!(result, Err(ChainError::Mismatch { .. })), "{case}");
        }
    }

    #[test]
    fn the_end_of_the_claim_and_what_lies_beyond_end_the_reading() {
        let mut adoption = Adoption::new(claim(), Feed::Raw, &[0]);
        assert_eq!(adoption.push(&record(4, &value(4))), Progress::More);
        assert_eq!(adoption.push(&record(5, &value(5))), Progress::Complete);
        let mut adoption = Adoption::new(claim(), Feed::Raw, &[0]);
        assert_eq!(adoption.push(&record(6, &value(6))), Progress::Complete);
    }
}
