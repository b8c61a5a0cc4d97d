//! A finished claim of the lake, read back: every offset with its row, or with the reason why there is none.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;

use super::CompactError;
use crate::bucket::Bucket;
use crate::chain::MISSING;
use crate::claim::Checked;
use crate::layout::{Paths, Source};
use crate::range::Range;
use crate::read::read_object;
use crate::row;
use crate::runs::Target;
use crate::table::Table;

/// Objects asked for at once.
const PARALLEL: usize = 8;

/// Rows that Kafka dropped before they were stored, as their object says.
const LOST: &str = "lost";
/// Rows that `finflow lake expire` deleted before they were compacted.
const EXPIRED: &str = "expired";

pub(super) struct Input {
    claim: Checked,
    key: String,
    rows: HashMap<i64, Result<(Table, Vec<u8>), &'static str>>,
}

#[derive(Deserialize)]
struct Place {
    _offset: i64,
}

/// An object that is to be read: its key, and the offsets of its rows.
type Wanted = (String, Vec<i64>);

impl Input {
    pub(super) async fn read<B: Bucket>(
        bucket: &B,
        paths: &Paths,
        expired: &HashSet<String>,
        source: &Source,
        claim: Checked,
    ) -> Result<Self, CompactError> {
        let objects = stream::iter(wanted(paths, &claim)).map(|wanted| object(bucket, paths, expired, wanted));
        let objects: Vec<Vec<_>> = objects.buffered(PARALLEL).try_collect().await?;
        let key = paths.claim(source, claim.claim.start);
        Ok(Self { claim, key, rows: objects.into_iter().flatten().collect() })
    }

    /// Appends the claim's offsets to a range.
    pub(super) fn push_to(mut self, range: &mut Range) -> Result<(), CompactError> {
        // Which of them a reason belongs to is not kept, only how many.
        let skips = &self.claim.claim.skips;
        let mut reasons = skips.iter().flat_map(|(reason, count)| (0..*count).map(move |_| reason.as_str()));
        for (offset, target) in self.claim.runs.offsets(self.claim.claim.start) {
            match target {
                Target::Marker => {}
                Target::Skip => range.skip(offset, reasons.next().unwrap_or_default()),
                Target::Object(_) => match self.rows.remove(&offset) {
                    Some(Ok((table, json))) => {
                        let placed = row::restore(table, &json)
                            .map_err(|why| bad(&self.key, format!("offset {offset}: {why}")))?;
                        range.take(offset, &json, &placed);
                    }
                    Some(Err(reason)) => range.skip(offset, reason),
                    None => return Err(bad(&self.key, format!("no object has offset {offset}"))),
                },
            }
        }
        range.skip_to(self.claim.claim.end + 1);
        Ok(())
    }
}

fn bad(key: &str, why: String) -> CompactError {
    CompactError::BadObject { key: key.to_owned(), why }
}

fn wanted(paths: &Paths, claim: &Checked) -> Vec<Wanted> {
    let mut offsets = BTreeMap::<u32, Vec<i64>>::new();
    for (offset, target) in claim.runs.offsets(claim.claim.start) {
        if let Target::Object(index) = target {
            offsets.entry(index).or_default().push(offset);
        }
    }
    let mut wanted = Vec::new();
    for (index, offsets) in offsets {
        let keys = claim.keys(index as usize);
        let keys = keys.into_iter().map(|key| paths.below_prefix(&key));
        // One object for all of them, or one for each.
        if claim.format.is_some_and(crate::Format::is_per_message) {
            wanted.extend(keys.zip(offsets).map(|(key, offset)| (key, vec![offset])));
        } else {
            wanted.extend(keys.map(|key| (key, offsets.clone())));
        }
    }
    wanted
}

type Row = (i64, Result<(Table, Vec<u8>), &'static str>);

async fn object<B: Bucket>(
    bucket: &B,
    paths: &Paths,
    expired: &HashSet<String>,
    (key, offsets): Wanted,
) -> Result<Vec<Row>, CompactError> {
    let Some((dir, _)) = paths.parse(&key) else {
        return Err(bad(&key, "its name is not one of the lake's".to_owned()));
    };
    let Some(body) = bucket.get(&key).await? else {
        if expired.contains(&dir.part()) {
            return Ok(offsets.into_iter().map(|offset| (offset, Err(EXPIRED))).collect());
        }
        return Err(bad(&key, "it is missing".to_owned()));
    };
    let (mut found, mut problem) = (BTreeMap::new(), None);
    let table = dir.table();
    let result = read_object(paths, &key, body, |json| match serde_json::from_slice::<Place>(json) {
        Ok(Place { _offset }) => {
            if found.insert(_offset, json.to_vec()).is_some() {
                problem = Some(format!("it has offset {_offset} twice"));
            }
        }
        Err(error) => problem = Some(format!("a row of it is none: {error}")),
    });
    if let Some(why) = result.err().map(|error| error.why).or(problem) {
        return Err(bad(&key, why));
    }
    let mut rows: Vec<Row> = Vec::with_capacity(offsets.len());
    let mut absent = Vec::new();
    for offset in offsets {
        match found.remove(&offset) {
            Some(json) => rows.push((offset, Ok((table, json)))),
            None => absent.push(offset),
        }
    }
    if let Some(offset) = found.keys().next() {
        return Err(bad(&key, format!("it has offset {offset}, which its claim does not put there")));
    }
    if !absent.is_empty() {
        let declared = bucket.head(&key).await?.is_some_and(|head| head.metadata.contains_key(MISSING));
        if !declared {
            return Err(bad(&key, format!("it lacks offset {}", absent[0])));
        }
        rows.extend(absent.into_iter().map(|offset| (offset, Err(LOST))));
    }
    Ok(rows)
}
