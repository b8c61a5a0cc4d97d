//! A claim: the promise, made once and never changed, of what becomes of a range of offsets.
//!
//! The claims of a partition tile its offsets from 0 without gap or overlap. Each names every object of its range and
//! says for every offset whether it is a row of one of them, a skip or a marker, so that claims and objects alone are
//! the ledger of the lake.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::format::Format;
use crate::layout::Source;
use crate::runs::{Runs, Target};
use crate::table::Table;

pub const VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub v: u32,
    pub topic: String,
    pub topic_id: String,
    pub partition: i32,
    /// First and last offset, both inside.
    pub start: i64,
    pub end: i64,
    pub kind: Kind,
    /// How the objects are written; see [`Format::id`]. Kept as text: a later version may know more of them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub layout: String,
    /// Records that Kafka gave for the range: rows and skips.
    #[serde(default)]
    pub records: u64,
    /// Over offset and value of those records in order; who takes the claim over must read the same.
    #[serde(default)]
    pub crc32c: u32,
    #[serde(default)]
    pub objects: Vec<ClaimedObject>,
    /// Records that are no row, by reason.
    #[serde(default)]
    pub skips: BTreeMap<String, u64>,
    /// Offsets without a record.
    #[serde(default)]
    pub markers: u64,
    /// [`Runs`], encoded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub runs: String,
    /// Unique to one run of one process: tells a claim of one's own whose answer was lost from somebody else's.
    pub writer: String,
    /// Why the range ended here.
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Data,
    /// Kafka dropped these offsets before they were stored.
    Hole,
    /// An operator wished not to store these offsets.
    Skip,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimedObject {
    /// Below the prefix. Where each message is an object, `{offset}` stands for its offset.
    pub key: String,
    pub rows: u64,
    /// Offset of the first and of the last row.
    pub first: i64,
    pub last: i64,
}

/// Stands in [`ClaimedObject::key`] for the offset of each message.
pub const OFFSET: &str = "{offset}";

impl Claim {
    /// A claim of offsets that will have no object.
    pub fn empty(source: &Source, start: i64, end: i64, kind: Kind, writer: &str, why: &str) -> Self {
        Self {
            v: VERSION,
            topic: source.topic.clone(),
            topic_id: source.topic_id.clone(),
            partition: source.partition,
            start,
            end,
            kind,
            layout: String::new(),
            records: 0,
            crc32c: 0,
            objects: Vec::new(),
            skips: BTreeMap::new(),
            markers: 0,
            runs: String::new(),
            writer: writer.to_owned(),
            why: why.to_owned(),
        }
    }

    pub fn source(&self) -> Source {
        Source::new(&self.topic, &self.topic_id, self.partition)
    }

    pub fn rows(&self) -> u64 {
        self.objects.iter().map(|object| object.rows).sum()
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a claim has only text and numbers")
    }

    /// Reads a claim found at the key of `source` and `start`, and checks that it adds up.
    pub fn read(json: &[u8], source: &Source, start: Option<i64>) -> Result<Checked, String> {
        let claim: Claim = serde_json::from_slice(json).map_err(|error| format!("no claim: {error}"))?;
        if claim.v != VERSION {
            return Err(format!("claim of version {}, this program reads {VERSION}; run a newer one", claim.v));
        }
        if claim.source() != *source || start.is_some_and(|start| claim.start != start) || claim.start < 0 {
            return Err(format!("claim of {} from {} under the key of {source}", claim.source(), claim.start));
        }
        if claim.end < claim.start {
            return Err(format!("claim from {} to {}", claim.start, claim.end));
        }
        Checked::new(claim)
    }
}

/// A claim whose runs, counts and objects agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    pub claim: Claim,
    pub runs: Runs,
    /// `None` for holes and skips.
    pub format: Option<Format>,
    /// Of each object.
    pub tables: Vec<Table>,
}

impl Checked {
    fn new(claim: Claim) -> Result<Self, String> {
        if claim.kind != Kind::Data {
            let none = claim.objects.is_empty() && claim.records == 0;
            return if none {
                Ok(Self { claim, runs: Runs::default(), format: None, tables: Vec::new() })
            } else {
                Err("a hole with objects".into())
            };
        }
        let Some(format) = Format::from_id(&claim.layout) else {
            return Err(format!("layout `{}` is unknown to this program; run the version that wrote it", claim.layout));
        };
        let runs = Runs::decode(&claim.runs)?;
        let mut rows = vec![0u64; claim.objects.len()];
        let (mut offsets, mut skips, mut markers) = (0u64, 0u64, 0u64);
        for (target, length) in runs.iter() {
            offsets = offsets.checked_add(length).ok_or("runs longer than any partition")?;
            match target {
                Target::Marker => markers += length,
                Target::Skip => skips += length,
                Target::Object(index) => *rows.get_mut(index as usize).ok_or("runs name an object too many")? += length,
            }
        }
        let agree = offsets == claim.end.abs_diff(claim.start) + 1
            && markers == claim.markers
            && skips == claim.skips.values().sum::<u64>()
            && claim.records == offsets - markers
            && rows.iter().eq(claim.objects.iter().map(|object| &object.rows));
        if !agree {
            return Err("runs and counts disagree".into());
        }
        let mut tables = Vec::with_capacity(claim.objects.len());
        for ClaimedObject { key, .. } in &claim.objects {
            let table = key.split_once('/').and_then(|(table, _)| Table::named(table));
            tables.push(table.ok_or_else(|| {
                format!("object `{key}` is of no table known to this program; run the version that wrote it")
            })?);
        }
        Ok(Self { claim, runs, format: Some(format), tables })
    }

    /// Keys below the prefix of the object of this index: one, or one per message.
    pub fn keys(&self, index: usize) -> Vec<String> {
        let key = &self.claim.objects[index].key;
        if !key.contains(OFFSET) {
            return vec![key.clone()];
        }
        let here = Target::Object(u32::try_from(index).expect("runs count objects in 32 bits"));
        let offsets = self.runs.offsets(self.claim.start).filter(|(_, target)| *target == here);
        offsets.map(|(offset, _)| message_key(key, offset)).collect()
    }
}

/// The key of one message's object.
pub fn message_key(template: &str, offset: i64) -> String {
    template.replace(OFFSET, &format!("{offset:020}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source::new("raw", "id", 1)
    }

    fn claim() -> Claim {
        let mut runs = Runs::default();
        for (target, offsets) in
            [(Target::Object(0), 3), (Target::Marker, 1), (Target::Skip, 2), (Target::Object(1), 1)]
        {
            runs.push(target, offsets);
        }
        let mut claim = Claim::empty(&source(), 10, 16, Kind::Data, "w", "size");
        claim.layout = Format::JsonlGz.id().to_owned();
        (claim.records, claim.markers, claim.runs) = (6, 1, runs.encode());
        claim.skips.insert("heartbeat".to_owned(), 2);
        let object = |key: &str, rows, first, last| ClaimedObject { key: key.to_owned(), rows, first, last };
        claim.objects = vec![object("trades/a", 3, 10, 12), object("bars/b-{offset}", 1, 16, 16)];
        claim
    }

    #[test]
    fn a_claim_reads_back_with_its_keys() {
        let checked = Claim::read(&claim().to_json(), &source(), Some(10)).unwrap();
        assert_eq!(checked.claim, claim());
        assert_eq!(checked.keys(0), ["trades/a"]);
        assert_eq!(checked.keys(1), ["bars/b-00000000000000000016"]);
    }

    #[test]
    fn a_claim_that_does_not_add_up_is_refused() {
        type Breaks = fn(&mut Claim);
        let broken: [(Breaks, &str); 9] = [
            (|c| c.v = 2, "version 2"),
            (|c| c.topic_id = "other".to_owned(), "under the key of"),
            (|c| c.end = 9, "from 10 to 9"),
            (|c| c.layout = "parquet/9".to_owned(), "run the version that wrote it"),
            (|c| c.records += 1, "disagree"),
            (|c| c.objects[0].rows += 1, "disagree"),
            (|c| drop(c.objects.pop()), "an object too many"),
            (|c| c.objects[0].key = "ticks/a".to_owned(), "no table"),
            (|c| c.runs = "%".to_owned(), "base64"),
        ];
        for (breaks, words) in broken {
            let mut claim = claim();
            breaks(&mut claim);
            let error = Claim::read(&claim.to_json(), &source(), Some(10)).unwrap_err();
            assert!(error.contains(words), "{words} in {error}");
        }
        assert!(Claim::read(b"{", &source(), None).is_err());
    }
}
