//! One partition: records, markers, and what a reader of committed records may see of them.

use std::collections::{BTreeMap, BTreeSet};

use streams::OwnedRecord;

pub(super) type TxnId = u64;

pub(super) struct Entry {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
    txn: Option<TxnId>,
    marker: bool,
    compacted: bool,
}

impl Entry {
    /// As a reader of the partition gets it.
    pub fn record(&self, topic: &str, partition: i32, offset: i64) -> OwnedRecord {
        OwnedRecord {
            topic: topic.to_owned(),
            partition,
            offset,
            key: self.key.clone(),
            value: self.value.clone(),
            timestamp_ms: self.timestamp_ms,
            headers: Vec::new(),
        }
    }
}

#[derive(Default)]
pub(super) struct Log {
    entries: Vec<Entry>,
    /// Undecided transactions and where each begins.
    open: BTreeMap<TxnId, usize>,
    aborted: BTreeSet<TxnId>,
}

impl Log {
    pub fn append(&mut self, txn: Option<TxnId>, key: Option<&[u8]>, value: Option<&[u8]>, timestamp_ms: i64) {
        if let Some(txn) = txn {
            self.open.entry(txn).or_insert(self.entries.len());
        }
        let (key, value) = (key.map(<[u8]>::to_vec), value.map(<[u8]>::to_vec));
        self.entries.push(Entry { key, value, timestamp_ms, txn, marker: false, compacted: false });
    }

    /// The marker of a transaction: from here on it is decided in this partition.
    pub fn decide(&mut self, txn: TxnId, commit: bool) {
        self.open.remove(&txn);
        if !commit {
            self.aborted.insert(txn);
        }
        let marker = Entry { key: None, value: None, timestamp_ms: 0, txn: Some(txn), marker: true, compacted: false };
        self.entries.push(marker);
    }

    pub fn high(&self) -> i64 {
        self.entries.len() as i64
    }

    /// The last stable offset: everything before it is decided.
    pub fn stable(&self) -> i64 {
        self.open.values().min().map_or(self.high(), |first| *first as i64)
    }

    /// The first committed record in a range that is decided.
    pub fn committed_in(&self, from: i64, below: i64) -> Option<(i64, &Entry)> {
        let range = from.max(0) as usize..(below.max(from) as usize).min(self.entries.len());
        let entries = range.clone().zip(&self.entries[range]);
        entries.map(|(offset, entry)| (offset as i64, entry)).find(|(_, entry)| self.is_committed(entry))
    }

    /// All committed records.
    pub fn committed(&self) -> impl Iterator<Item = (i64, &Entry)> {
        let stable = self.stable();
        let mut from = 0;
        std::iter::from_fn(move || {
            let found = self.committed_in(from, stable)?;
            from = found.0 + 1;
            Some(found)
        })
    }

    /// Whether a range holds a record that is committed, or may yet be.
    pub fn may_hold(&self, from: i64, below: i64) -> bool {
        self.committed_in(from, below).is_some()
    }

    fn is_committed(&self, entry: &Entry) -> bool {
        !entry.marker && !entry.compacted && entry.txn.is_none_or(|txn| !self.aborted.contains(&txn))
    }

    /// Forgets, as the cleaner does, what a later committed record of the same key has replaced.
    pub fn compact(&mut self) {
        let mut seen = BTreeSet::new();
        let stable = self.stable() as usize;
        for offset in (0..stable).rev() {
            if self.is_committed(&self.entries[offset]) {
                let again = !seen.insert(self.entries[offset].key.clone());
                self.entries[offset].compacted = again;
            }
        }
    }
}
