//! Where a range ends for the sake of its objects' size.
//!
//! Engines like objects of 128 to 512 MB. A range takes claims until the object that the next claim would add most to
//! has the size wanted, and goes on all the same where what is left of that object's partition is too little for an object
//! of its own. So objects have the size wanted, up to half as much again; a partition with less in all has one object;
//! and none is made of a small rest. What else lies in the range is divided with it.
//!
//! The size of an object is known as far as its rows are packed, and so is how many bytes a row takes.

use std::collections::BTreeMap;

use super::{CompactError, Compactor};
use crate::bucket::Bucket;
use crate::claim::Checked;
use crate::range::Range;
use crate::runs::MAX_RUNS;
use crate::table::Dir;

impl<B: Bucket> Compactor<B> {
    /// Whether the range is to end before this claim. `whole`: the partition whose object goes on to its end.
    pub(super) async fn is_full(
        &self,
        range: &Range,
        next: &Checked,
        whole: &mut Option<Dir>,
    ) -> Result<bool, CompactError> {
        let packed_bytes = range.packed_bytes();
        if range.is_empty() {
            return Ok(false);
        }
        if packed_bytes >= self.options.memory_bytes / 2 || range.runs() + next.runs.len() > MAX_RUNS / 2 {
            return Ok(true);
        }
        let Some((dir, _)) = by_dir(next).into_iter().max_by_key(|(_, rows)| *rows) else { return Ok(false) };
        let (rows, bytes) = range.packed_of(dir);
        let wanted_bytes = self.options.object_bytes;
        if bytes < wanted_bytes / 8 {
            // Another partition has begun, as an hour does: no object is cut here that matters. Early enough for the next
            // one to have room.
            return Ok(packed_bytes >= wanted_bytes / 4);
        }
        if bytes < wanted_bytes || *whole == Some(dir) {
            return Ok(false);
        }
        let least_rows = rows.saturating_mul(wanted_bytes as u64 / 2) / bytes as u64;
        if self.has_rows(next, dir, least_rows).await? {
            return Ok(true);
        }
        *whole = Some(dir);
        Ok(false)
    }

    /// Whether the partition has at least so many rows in finished claims from this one on.
    async fn has_rows(&self, from: &Checked, dir: Dir, least_rows: u64) -> Result<bool, CompactError> {
        let source = from.claim.source();
        let day = self.day(from);
        let mut rows = 0;
        for start in self.starts(&source, from.claim.start)? {
            let claim = self.claim(&source, *start).await?;
            if self.day(&claim).or(day) != day {
                break;
            }
            rows += by_dir(&claim).get(&dir).copied().unwrap_or(0);
            if rows >= least_rows {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// How many rows a claim has of each partition.
fn by_dir(claim: &Checked) -> BTreeMap<Dir, u64> {
    let mut rows = BTreeMap::new();
    for object in &claim.claim.objects {
        if let Some(dir) = object.key.rsplit_once('/').and_then(|(dir, _)| dir.parse::<Dir>().ok()) {
            *rows.entry(dir).or_default() += object.rows;
        }
    }
    rows
}
