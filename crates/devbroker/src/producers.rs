//! What one partition knows of its producers: sequence numbers that make a repeated batch harmless, epochs that shut
//! out a replaced producer, and where open transactions began.
//!
//! The state follows from the log alone (every batch carries producer, epoch and sequence), so recovery is applying
//! the batches again from the snapshot that stands before the last segment.

use crate::{batch::Header, errors::Code};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Clients have at most five requests under way, so no older batch can come again.
const REMEMBERED: usize = 5;
/// A producer silent for this long is forgotten; it goes on as an unknown one.
const FORGET_AFTER_MS: i64 = 24 * 3600 * 1000;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Producers {
    all: HashMap<i64, Producer>,
    /// First offset of each open transaction, and whose it is. The smallest bounds what read_committed may see.
    open: BTreeMap<i64, i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Producer {
    epoch: i16,
    recent: VecDeque<Sent>,
    seen_ms: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sent {
    first: i32,
    last: i32,
    pub base_offset: i64,
    pub timestamp: i64,
}

#[derive(Debug, PartialEq)]
pub enum Verdict {
    Append,
    /// It stands in the log already, there.
    Duplicate(Sent),
}

/// A transaction that was rolled back: readers of committed data leave out its records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Aborted {
    pub producer_id: i64,
    pub first_offset: i64,
    pub last_offset: i64,
}

impl Producers {
    /// May this batch be appended? Nothing changes until [`Producers::apply`].
    pub fn check(&self, header: &Header) -> Result<Verdict, Code> {
        let Some(producer) = self.all.get(&header.producer_id).filter(|_| header.is_idempotent()) else {
            return Ok(Verdict::Append);
        };
        if header.producer_epoch < producer.epoch {
            return Err(Code::InvalidProducerEpoch);
        }
        let mut expected = 0;
        if header.producer_epoch == producer.epoch {
            let same = |sent: &&Sent| sent.first == header.base_sequence && sent.last == header.last_sequence();
            if let Some(sent) = producer.recent.iter().find(same) {
                return Ok(Verdict::Duplicate(*sent));
            }
            expected = producer.recent.back().map_or(0, |sent| sent.last.checked_add(1).unwrap_or(0));
        }
        if header.base_sequence == expected { Ok(Verdict::Append) } else { Err(Code::OutOfOrderSequenceNumber) }
    }

    /// Takes note of a batch that is in the log. A marker that rolled back gives the transaction it ended.
    pub fn apply(&mut self, header: &Header, commit: Option<bool>, now_ms: i64) -> Option<Aborted> {
        if !header.is_idempotent() {
            return None;
        }
        let new = || Producer { epoch: header.producer_epoch, recent: VecDeque::new(), seen_ms: now_ms };
        let producer = self.all.entry(header.producer_id).or_insert_with(new);
        producer.seen_ms = now_ms;
        if header.producer_epoch > producer.epoch {
            producer.epoch = header.producer_epoch;
            producer.recent.clear();
        }
        if header.is_control() {
            let first_offset = self.close(header.producer_id)?;
            let (producer_id, last_offset) = (header.producer_id, header.base_offset);
            return (commit == Some(false)).then_some(Aborted { producer_id, first_offset, last_offset });
        }
        if producer.recent.len() == REMEMBERED {
            producer.recent.pop_front();
        }
        producer.recent.push_back(Sent {
            first: header.base_sequence,
            last: header.last_sequence(),
            base_offset: header.base_offset,
            timestamp: header.max_timestamp,
        });
        if header.is_transactional() && !self.has_open(header.producer_id) {
            self.open.insert(header.base_offset, header.producer_id);
        }
        None
    }

    fn close(&mut self, producer_id: i64) -> Option<i64> {
        let first = self.open.iter().find(|(_, id)| **id == producer_id).map(|(first, _)| *first)?;
        self.open.remove(&first);
        Some(first)
    }

    pub fn has_open(&self, producer_id: i64) -> bool {
        self.open.values().any(|id| *id == producer_id)
    }

    /// Where the oldest open transaction began.
    pub fn first_open(&self) -> Option<i64> {
        self.open.first_key_value().map(|(first, _)| *first)
    }

    /// Producers with an open transaction, and the epoch they wrote it in.
    pub fn open(&self) -> Vec<(i64, i16)> {
        let epoch = |id: &i64| self.all.get(id).map_or(0, |producer| producer.epoch);
        self.open.values().map(|id| (*id, epoch(id))).collect()
    }

    pub fn forget_silent(&mut self, now_ms: i64) {
        let open = &self.open;
        self.all.retain(|id, producer| {
            now_ms - producer.seen_ms < FORGET_AFTER_MS || open.values().any(|other| other == id)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{self, tests::sequenced};

    fn sent(producers: &mut Producers, epoch: i16, sequence: i32, count: i32, offset: i64) -> Result<Verdict, Code> {
        let mut bytes = sequenced(7, epoch, sequence, count, 0, 0, b"");
        batch::place(&mut bytes, offset);
        let header = Header::parse(&bytes).unwrap();
        let verdict = producers.check(&header)?;
        if verdict == Verdict::Append {
            producers.apply(&header, None, 0);
        }
        Ok(verdict)
    }

    #[test]
    fn a_repeated_batch_is_known_and_a_gap_is_refused() {
        let mut producers = Producers::default();
        for n in 0..6 {
            assert_eq!(sent(&mut producers, 0, n * 10, 10, i64::from(n) * 10), Ok(Verdict::Append));
        }
        let Ok(Verdict::Duplicate(first)) = sent(&mut producers, 0, 10, 10, 99) else { panic!("not known") };
        assert_eq!(first.base_offset, 10);
        assert_eq!(sent(&mut producers, 0, 0, 10, 99), Err(Code::OutOfOrderSequenceNumber));
        assert_eq!(sent(&mut producers, 0, 70, 10, 99), Err(Code::OutOfOrderSequenceNumber));
    }

    #[test]
    fn a_new_epoch_starts_at_zero_and_shuts_out_the_old() {
        let mut producers = Producers::default();
        sent(&mut producers, 0, 0, 5, 0).unwrap();
        assert_eq!(sent(&mut producers, 1, 5, 1, 5), Err(Code::OutOfOrderSequenceNumber));
        assert_eq!(sent(&mut producers, 1, 0, 1, 5), Ok(Verdict::Append));
        assert_eq!(sent(&mut producers, 0, 5, 1, 6), Err(Code::InvalidProducerEpoch));
    }

    #[test]
    fn sequences_wrap_around() {
        let mut producers = Producers::default();
        sent(&mut producers, 0, i32::MAX - 1, 2, 0).unwrap();
        assert_eq!(sent(&mut producers, 0, 0, 1, 2), Ok(Verdict::Append));
    }

    #[test]
    fn an_abort_names_the_whole_transaction() {
        let mut producers = Producers::default();
        let apply = |producers: &mut Producers, mut bytes: Vec<u8>, offset| {
            batch::place(&mut bytes, offset);
            producers.apply(&Header::parse(&bytes).unwrap(), batch::is_commit(&bytes), 0)
        };
        apply(&mut producers, sequenced(7, 0, 0, 2, 0, 0x10, b""), 10);
        apply(&mut producers, sequenced(8, 0, 0, 2, 0, 0x10, b""), 12);
        apply(&mut producers, sequenced(7, 0, 2, 2, 0, 0x10, b""), 14);
        assert_eq!((producers.first_open(), producers.open()), (Some(10), vec![(7, 0), (8, 0)]));
        let aborted = apply(&mut producers, batch::marker(7, 1, false, 0), 16);
        assert_eq!(aborted, Some(Aborted { producer_id: 7, first_offset: 10, last_offset: 16 }));
        assert_eq!(apply(&mut producers, batch::marker(8, 0, true, 0), 17), None);
        assert_eq!(producers.first_open(), None);
        // The marker's epoch counts: the producer that was replaced writes no more.
        assert_eq!(sent(&mut producers, 0, 4, 1, 18), Err(Code::InvalidProducerEpoch));
    }
}
