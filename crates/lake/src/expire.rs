//! Old partitions, taken out of the lake because an operator wishes it. Nothing else in Finflow deletes.
//!
//! In: a lake, tables, and a time. Out: whole partitions (`dt=…`, `year=…`) that ended before it, without their objects.
//! Claims stay, for ever: they say what became of every offset, so nothing that was expired is stored again. Before the first object
//! of a partition goes, a mark under `_expired/` says so, by which an [`Audit`](crate::verify::Audit) tells what was
//! expired from what was lost, also when this is ended half-way; run again, it goes on.
//!
//! **Invariant:** no object of the last claim of a chain is deleted. Whoever owns the chain next looks for exactly those, and would
//! read what it misses from Kafka once more, or declare it lost.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use crate::bucket::{Bucket, BucketError, Object, list_all};
use crate::chain::ChainError;
use crate::claim::Claim;
use crate::layout::{Paths, Source};
use crate::table::Table;

/// Requests under way at once.
const PARALLEL: usize = 16;

/// A store whose objects can be deleted; apart from [`Bucket`], so that nothing else can.
pub trait Delete: Bucket {
    /// Deletes the object, if it is there.
    fn delete(&self, key: &str) -> impl Future<Output = Result<(), BucketError>> + Send;
}

/// What would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Keys by partition, such as `trades/dt=2024-08-08`.
    pub partitions: BTreeMap<String, Vec<String>>,
    /// Objects of those partitions that stay: the last claim of a chain names them, or they are to be compacted first.
    pub kept: Vec<String>,
}

impl Plan {
    pub fn objects(&self) -> usize {
        self.partitions.values().map(Vec::len).sum()
    }
}

/// Finds the objects of partitions that ended at `before` (nanoseconds since 1970 UTC) or earlier.
pub async fn plan<B: Bucket>(bucket: &B, paths: &Paths, tables: &[Table], before: i64) -> Result<Plan, ChainError> {
    let mut plan = Plan::default();
    for table in tables {
        for key in list_all(bucket, &paths.table(*table)).await? {
            // What is no object of the lake is somebody else's.
            if let Some((dir, _)) = paths.parse(&key).filter(|(dir, _)| dir.part_ends_at() <= i128::from(before)) {
                plan.partitions.entry(dir.part()).or_default().push(key);
            }
        }
    }
    // After the tables: the claims of all objects in those listings are there by now, and each but the last of its chain is finished.
    let last = of_last_claims(bucket, paths).await?;
    // Where there is a compacted root, it gets every row first. Its last claim may have to be made of the lake again.
    let compacted = last_claims(bucket, &paths.compact()).await?;
    let waits = |key: &str| {
        let Some((_, name)) = paths.parse(key) else { return false };
        let source = Source::new(name.topic, name.topic_id, name.partition);
        !compacted.is_empty() && compacted.get(&source).is_none_or(|start| name.end >= *start)
    };
    for keys in plan.partitions.values_mut() {
        let (kept, gone) = std::mem::take(keys).into_iter().partition(|key| last.contains(key) || waits(key));
        *keys = gone;
        plan.kept.extend::<Vec<String>>(kept);
    }
    plan.partitions.retain(|_, keys| !keys.is_empty());
    Ok(plan)
}

/// Where the last claim of each chain starts.
async fn last_claims<B: Bucket>(bucket: &B, paths: &Paths) -> Result<BTreeMap<Source, i64>, BucketError> {
    let mut tails = BTreeMap::<Source, i64>::new();
    for (source, start) in list_all(bucket, &paths.all_claims()).await?.iter().filter_map(|key| paths.parse_claim(key))
    {
        let last = tails.entry(source).or_insert(start);
        *last = start.max(*last);
    }
    Ok(tails)
}

/// Keys of the objects that the last claim of each chain names.
async fn of_last_claims<B: Bucket>(bucket: &B, paths: &Paths) -> Result<HashSet<String>, ChainError> {
    let mut keys = HashSet::new();
    for (source, start) in last_claims(bucket, paths).await? {
        let key = paths.claim(&source, start);
        let Some(json) = bucket.get(&key).await? else { return Err(ChainError::ClaimGone { key }) };
        let claim = Claim::read(&json, &source, Some(start)).map_err(|why| ChainError::BadClaim { key, why })?;
        let objects = 0..claim.claim.objects.len();
        keys.extend(objects.flat_map(|index| claim.keys(index)).map(|key| paths.below_prefix(&key)));
    }
    Ok(keys)
}

/// Deletes what is planned. `done` hears of each partition, with the number of its objects.
pub async fn apply<B: Delete>(
    bucket: &B,
    paths: &Paths,
    plan: &Plan,
    mut done: impl FnMut(&str, usize),
) -> Result<(), BucketError> {
    for (partition, keys) in &plan.partitions {
        let body = Bytes::from_static(b"Objects of this partition were deleted by `finflow lake expire`.\n");
        let mark = Object { body, content_type: "text/plain", ..Object::default() };
        bucket.put_new(&paths.expired(partition), mark).await?;
        let deleted = stream::iter(keys).map(|key| bucket.delete(key)).buffer_unordered(PARALLEL);
        deleted.try_collect::<()>().await?;
        done(partition, keys.len());
    }
    Ok(())
}

/// Names of partitions of which objects were deleted.
pub async fn expired<B: Bucket>(bucket: &B, paths: &Paths) -> Result<HashSet<String>, BucketError> {
    let root = paths.expired("");
    let keys = list_all(bucket, &root).await?;
    Ok(keys.iter().filter_map(|key| key.strip_prefix(&root)).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
