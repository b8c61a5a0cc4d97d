//! The audit of a lake, from its claims and objects alone: no Kafka is asked, nothing is written.
//!
//! In: a bucket. Out: every [`Difference`] between what the claims promise and what a plain reader finds. The claims of
//! each partition must tile its offsets from 0; each object must be there and hold exactly the offsets that its claim
//! puts into it, each once and in the partition of its event time; and no object may lie in a table that no claim
//! names. Together that is: every offset is in exactly one object, or declared.

use std::collections::{BTreeMap, HashSet};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use serde::Deserialize;

use crate::bucket::{Bucket, BucketError, list_all};
use crate::chain::MISSING;
use crate::claim::{Checked, Claim, Kind};
use crate::expire;
use crate::layout::{Paths, Source};
use crate::read::read_object;
use crate::runs::Target;
use crate::table::{Dir, Table};

mod difference;

pub use difference::Difference;

/// Objects asked for at once.
const PARALLEL: usize = 8;

pub struct Audit<B> {
    bucket: B,
    paths: Paths,
    /// Starts of the claims of each chain, ascending.
    chains: BTreeMap<Source, Vec<i64>>,
    /// Keys of objects that a claim names.
    named: HashSet<String>,
    /// Partitions of which objects were deleted on purpose.
    expired: HashSet<String>,
    pub differences: Vec<Difference>,
    pub counts: Counts,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub partitions: u64,
    pub claims: u64,
    pub objects: u64,
    pub rows: u64,
    pub skips: u64,
    pub markers: u64,
    /// Offsets that Kafka dropped before they were stored, as claims and objects say themselves.
    pub lost: u64,
    /// Rows that were deleted with their partitions because they were old.
    pub expired: u64,
}

/// A row as it was read.
#[derive(Clone, Debug)]
pub struct StoredRow {
    pub table: Table,
    pub offset: i64,
    pub json: Vec<u8>,
}

/// Where a row says that it belongs.
#[derive(Deserialize)]
struct Place<'a> {
    #[serde(borrow)]
    _topic: std::borrow::Cow<'a, str>,
    _partition: i32,
    _offset: i64,
    event_time: Option<i64>,
    start: Option<i64>,
    window_start: Option<i64>,
    from: Option<i64>,
    time: Option<i64>,
}

impl Place<'_> {
    fn time(&self, table: Table) -> Option<i64> {
        match table.time_column() {
            "event_time" => self.event_time,
            "start" => self.start,
            "window_start" => self.window_start,
            "from" => self.from,
            _ => self.time,
        }
    }
}

impl<B: Bucket> Audit<B> {
    /// Lists the claims.
    pub async fn open(bucket: B, paths: Paths) -> Result<Self, BucketError> {
        let mut audit = Self {
            chains: BTreeMap::new(),
            named: HashSet::new(),
            expired: HashSet::new(),
            differences: Vec::new(),
            counts: Counts::default(),
            bucket,
            paths,
        };
        for key in list_all(&audit.bucket, &audit.paths.all_claims()).await? {
            match audit.paths.parse_claim(&key) {
                Some((source, start)) => audit.chains.entry(source).or_default().push(start),
                None if key == audit.paths.probe() => {}
                None => audit.differences.push(Difference::NoClaim { key }),
            }
        }
        audit.chains.values_mut().for_each(|starts| starts.sort_unstable());
        audit.expired = expire::expired(&audit.bucket, &audit.paths).await?;
        Ok(audit)
    }

    /// Partitions of which objects were deleted because they were old.
    pub fn expired(&self) -> usize {
        self.expired.len()
    }

    pub fn sources(&self) -> Vec<Source> {
        self.chains.keys().cloned().collect()
    }

    /// Claims of all chains.
    pub fn claims(&self) -> u64 {
        self.chains.values().map(|starts| starts.len() as u64).sum()
    }

    /// Checks one chain. `each` gets every claim with its rows in the order of their offsets.
    pub async fn check(
        &mut self,
        source: &Source,
        mut each: impl FnMut(&Claim, Vec<StoredRow>),
    ) -> Result<(), BucketError> {
        let starts = self.chains.get(source).cloned().unwrap_or_default();
        self.counts.partitions += 1;
        let mut next = 0;
        for (i, start) in starts.iter().enumerate() {
            self.counts.claims += 1;
            let key = self.paths.claim(source, *start);
            if *start > next {
                self.differences.push(Difference::Unclaimed { source: source.clone(), from: next, to: start - 1 });
            } else if *start < next {
                self.differences.push(Difference::Overlap { key: key.clone(), next });
            }
            let read = match self.bucket.get(&key).await? {
                Some(json) => Claim::read(&json, source, Some(*start)),
                None => Err("it was deleted since it was listed".to_owned()),
            };
            match read {
                Ok(claim) => {
                    next = next.max(claim.claim.end + 1);
                    let rows = self.objects(source, &claim, i + 1 == starts.len()).await?;
                    each(&claim.claim, rows);
                }
                // Where it would end is not known: the next claim is taken for right.
                Err(why) => {
                    self.differences.push(Difference::BadClaim { key, why });
                    next = starts.get(i + 1).copied().unwrap_or(next);
                }
            }
        }
        Ok(())
    }

    async fn objects(
        &mut self,
        source: &Source,
        claim: &Checked,
        is_last: bool,
    ) -> Result<Vec<StoredRow>, BucketError> {
        let Claim { start, end, kind, .. } = claim.claim;
        if kind == Kind::Hole {
            self.counts.lost += end.abs_diff(start) + 1;
            return Ok(Vec::new());
        }
        self.counts.skips += claim.claim.skips.values().sum::<u64>();
        self.counts.markers += claim.claim.markers;
        let mut offsets: Vec<Vec<i64>> = vec![Vec::new(); claim.claim.objects.len()];
        for (offset, target) in claim.runs.offsets(start) {
            if let Target::Object(index) = target {
                offsets[index as usize].push(offset);
            }
        }
        let mut wanted = Vec::new();
        for (index, offsets) in offsets.into_iter().enumerate() {
            let keys = claim.keys(index);
            // One object for all of them, or one for each.
            if keys.len() == 1 {
                wanted.push((keys.into_iter().next().expect("there is one"), offsets));
            } else {
                wanted.extend(keys.into_iter().zip(offsets).map(|(key, offset)| (key, vec![offset])));
            }
        }
        let mut rows = Vec::new();
        let (bucket, paths) = (self.bucket.clone(), self.paths.clone());
        let answers = stream::iter(wanted).map(|(key, offsets)| {
            let (bucket, key) = (bucket.clone(), paths.below_prefix(&key));
            async move { bucket.get(&key).await.map(|body| (key, offsets, body)) }
        });
        let mut answers = std::pin::pin!(answers.buffered(PARALLEL));
        while let Some(answer) = answers.next().await {
            let (key, offsets, body) = answer?;
            match body {
                Some(body) => self.object(source, &key, &offsets, body, &mut rows).await?,
                None if self.is_expired(&key) => self.counts.expired += offsets.len() as u64,
                None => {
                    let rows = offsets.len() as u64;
                    self.differences.push(Difference::Missing { key: key.clone(), rows, is_last });
                }
            }
            self.named.insert(key);
        }
        rows.sort_by_key(|row: &StoredRow| row.offset);
        Ok(rows)
    }

    fn is_expired(&self, key: &str) -> bool {
        self.paths.parse(key).is_some_and(|(dir, _)| self.expired.contains(&dir.part()))
    }

    /// Compares the rows of one object with the offsets that it must hold.
    async fn object(
        &mut self,
        source: &Source,
        key: &str,
        expected: &[i64],
        body: Bytes,
        rows: &mut Vec<StoredRow>,
    ) -> Result<(), BucketError> {
        self.counts.objects += 1;
        let Some((dir, _)) = self.paths.parse(key) else { return Ok(()) };
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        let result = read_object(&self.paths, key, body, |json| {
            let place: Place<'_> = match serde_json::from_slice(json) {
                Ok(place) => place,
                Err(error) => {
                    let why = format!("a row of it is none: {error}");
                    return problems.push(Difference::Unreadable { key: key.to_owned(), why });
                }
            };
            if place._topic != source.topic || place._partition != source.partition {
                let from = format!("{}[{}]", place._topic, place._partition);
                return problems.push(Difference::Alien { key: key.to_owned(), from, offset: place._offset });
            }
            let belongs = place.time(dir.table()).map(|time| Dir::of(dir.table(), time));
            if belongs != Some(dir) {
                let belongs = belongs.map(|dir| dir.to_string());
                problems.push(Difference::Elsewhere { key: key.to_owned(), offset: place._offset, belongs });
            }
            found.push(place._offset);
            rows.push(StoredRow { table: dir.table(), offset: place._offset, json: json.to_vec() });
        });
        if let Err(error) = result {
            problems.push(Difference::Unreadable { key: key.to_owned(), why: error.why });
        }
        self.differences.append(&mut problems);
        self.counts.rows += found.len() as u64;
        found.sort_unstable();
        let repeated: Vec<i64> = found.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        found.dedup();
        let absent: Vec<i64> = expected.iter().copied().filter(|at| found.binary_search(at).is_err()).collect();
        let alien: Vec<i64> = found.into_iter().filter(|at| expected.binary_search(at).is_err()).collect();
        let key = || key.to_owned();
        if !repeated.is_empty() {
            self.differences.push(Difference::Twice { key: key(), offsets: repeated });
        }
        if !alien.is_empty() {
            self.differences.push(Difference::Extra { key: key(), offsets: alien });
        }
        if !absent.is_empty() {
            let head = self.bucket.head(&key()).await?;
            let declared = head.is_some_and(|head| head.metadata.contains_key(MISSING));
            match declared {
                true => self.counts.lost += absent.len() as u64,
                false => self.differences.push(Difference::Absent { key: key(), offsets: absent }),
            }
        }
        Ok(())
    }

    /// Objects that no claim names. Chains that were not checked name none.
    pub async fn strays(&mut self) -> Result<(), BucketError> {
        for table in Table::ALL {
            for key in list_all(&self.bucket, &self.paths.table(table)).await? {
                if !self.named.contains(&key) {
                    self.differences.push(Difference::Stray { key });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
