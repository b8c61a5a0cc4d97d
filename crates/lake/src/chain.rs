//! The protocol: how a partition's records get into objects exactly once, whoever else tries at the same time.
//!
//! A chain of claims per partition tiles its offsets from 0. A writer finds its place at the end of the chain
//! ([`Chain::locate`]), reads on from there, and stores a range by claiming it first and writing its objects second
//! ([`Chain::store`]). Both are conditional writes, so there is one claim per start and one object per key, whoever
//! wrote it. A writer that finds a claim in its place finishes that one instead ([`crate::Adoption`]). Before the next
//! claim all objects of the last are stored, so only the last claim of a chain can be unfinished.
//!
//! There is no lock, lease or clock, and Kafka's committed offset is not asked: a paused twin that wakes up, a reset
//! group or a late request find claims and objects in their way and can do no harm.
//!
//! **Invariant:** no offset is in two objects at any moment; once the tail claim is finished every offset below the
//! chain's end is a row of one object, a skip, a marker, or declared lost.

use std::collections::BTreeSet;
use std::future::Future;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, TryStreamExt};
use tracing::{error, info, warn};

use crate::bucket::{Bucket, Object, Put};
use crate::claim::{Checked, Claim, Kind, message_key};
use crate::format::Body;
use crate::layout::{Paths, Source};
use crate::range::Encoded;

mod error;

pub use error::ChainError;

/// PUTs and HEADs under way at once for one claim.
const PARALLEL: usize = 16;

/// Metadata of objects: how many rows, and which claimed offsets Kafka no longer had.
pub const ROWS: &str = "finflow-rows";
pub const MISSING: &str = "finflow-missing";

/// What the chain must know of the log it stores. Asked at the protocol's own moments, so answers must be fresh.
pub trait Log: Send + Sync {
    /// The UUID that the topic's name stands for now.
    fn topic_id(&self, topic: &str) -> impl Future<Output = Result<String, ChainError>> + Send;

    /// First offset, and an end that nothing read so far lies beyond.
    fn watermarks(&self, source: &Source) -> impl Future<Output = Result<(i64, i64), ChainError>> + Send;
}

/// For a chain that is known without its log: whatever UUID a topic has now, this is its own.
#[derive(Clone, Debug)]
pub struct Unasked(pub String);

impl Log for Unasked {
    async fn topic_id(&self, _topic: &str) -> Result<String, ChainError> {
        Ok(self.0.clone())
    }

    async fn watermarks(&self, _source: &Source) -> Result<(i64, i64), ChainError> {
        Ok((0, i64::MAX))
    }
}

/// What to do at the end of the chain.
#[derive(Debug)]
pub enum Next {
    Read {
        from: i64,
    },
    /// The last claim is unfinished: its range is to be read again for the objects of these indexes.
    Adopt {
        claim: Box<Checked>,
        missing: Vec<usize>,
    },
}

#[derive(Debug, PartialEq, Eq)]
pub enum Stored {
    Done,
    /// Somebody claimed this start before: drop the range and [`Chain::locate`] again.
    Beaten,
}

#[derive(Clone)]
pub struct Chain<B, L> {
    bucket: B,
    log: L,
    paths: Paths,
    source: Source,
    writer: String,
}

impl<B: Bucket, L: Log> Chain<B, L> {
    /// `writer` is unique to this run of this process.
    pub fn new(bucket: B, log: L, paths: Paths, source: Source, writer: String) -> Self {
        Self { bucket, log, paths, source, writer }
    }

    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The last claim of the chain.
    pub async fn tail(&self) -> Result<Option<Checked>, ChainError> {
        let keys = self.bucket.list(&self.paths.claims(&self.source), None, 1).await?;
        let Some(key) = keys.into_iter().next() else { return Ok(None) };
        let Some(json) = self.bucket.get(&key).await? else { return Err(ChainError::ClaimGone { key }) };
        match Claim::read(&json, &self.source, None) {
            Ok(claim) if self.paths.claim(&self.source, claim.claim.start) == key => Ok(Some(claim)),
            Ok(_) => Err(ChainError::BadClaim { key, why: "its start is not that of its key".to_owned() }),
            Err(why) => Err(ChainError::BadClaim { key, why }),
        }
    }

    /// The offset below which everything is in the lake, or declared.
    pub async fn reaches(&self) -> Result<i64, ChainError> {
        let Some(tail) = self.tail().await? else { return Ok(0) };
        let finished = self.missing(&tail).await?.is_empty();
        Ok(if finished { tail.claim.end + 1 } else { tail.claim.start })
    }

    /// Finds the place to read on from, or the claim to finish first. Offsets that Kafka dropped before they were
    /// stored are declared on the way.
    pub async fn locate(&self) -> Result<Next, ChainError> {
        loop {
            let tail = self.tail().await?;
            let from = tail.as_ref().map_or(0, |tail| tail.claim.end + 1);
            if let Some(claim) = tail {
                let missing = self.missing(&claim).await?;
                if !missing.is_empty() {
                    self.confirm_topic().await?;
                    return Ok(Next::Adopt { claim: Box::new(claim), missing });
                }
            }
            // After the listing: the log can only have grown since the last claim was made.
            let (low, high) = self.log.watermarks(&self.source).await?;
            if from > high {
                return Err(ChainError::Ahead { source_partition: self.source.clone(), position: from, high });
            }
            if from >= low {
                return Ok(Next::Read { from });
            }
            let hole = Claim::empty(&self.source, from, low - 1, Kind::Hole, &self.writer, "retention");
            self.confirm_topic().await?;
            if self.claim(&hole).await? {
                error!(source = %self.source, start = from, end = low - 1, "kafka dropped these offsets before they were stored, declared a hole");
            }
        }
    }

    /// Claims a range and writes its objects.
    pub async fn store(&self, encoded: &Encoded) -> Result<Stored, ChainError> {
        self.confirm_topic().await?;
        if !self.claim(&encoded.claim).await? {
            return Ok(Stored::Beaten);
        }
        self.complete(encoded).await?;
        Ok(Stored::Done)
    }

    /// Writes objects of a claim that is in the chain. Those that are there already stay as they are.
    pub async fn complete(&self, encoded: &Encoded) -> Result<(), ChainError> {
        let mut under_way = FuturesUnordered::new();
        for (index, bodies) in &encoded.bodies {
            for body in bodies {
                if under_way.len() == PARALLEL {
                    under_way.try_next().await?;
                }
                under_way.push(self.put(encoded, *index, body));
            }
        }
        under_way.try_collect().await
    }

    /// Whether the claim in the chain is this one now. `false`: another is in its place.
    pub(crate) async fn claim(&self, claim: &Claim) -> Result<bool, ChainError> {
        let key = self.paths.claim(&self.source, claim.start);
        let body = Bytes::from(claim.to_json());
        let object = Object { body: body.clone(), content_type: "application/json", ..Object::default() };
        match self.bucket.put_new(&key, object).await? {
            Put::Created => Ok(true),
            // It may be this very claim, whose answer was lost.
            Put::Exists => match self.bucket.get(&key).await? {
                Some(found) if found == body => Ok(true),
                Some(_) => {
                    info!(source = %self.source, start = claim.start, "another writer claimed this start, following it");
                    Ok(false)
                }
                None => Err(ChainError::ClaimGone { key }),
            },
        }
    }

    async fn put(&self, encoded: &Encoded, index: usize, body: &Body) -> Result<(), ChainError> {
        let claimed = &encoded.claim.objects[index];
        let (key, rows) = match body.offset {
            Some(offset) => (message_key(&claimed.key, offset), 1),
            None => (claimed.key.clone(), claimed.rows),
        };
        let mut object = Object { body: body.bytes.clone(), ..Object::default() };
        object.content_type = content_type(&encoded.claim);
        object.metadata.insert(ROWS.to_owned(), body.rows.to_string());
        if body.rows < rows {
            let missing = match body.offset {
                Some(offset) => offset.to_string(),
                None => ranges(encoded.missing.get(&index).map_or(&[], Vec::as_slice)),
            };
            error!(source = %self.source, key, missing, "kafka dropped claimed records before they were stored, the object is short");
            object.metadata.insert(MISSING.to_owned(), missing);
        }
        let full_key = self.paths.below_prefix(&key);
        if self.bucket.put_new(&full_key, object).await? == Put::Exists {
            self.compare_with_first(&full_key, body.rows).await?;
        }
        Ok(())
    }

    /// Somebody wrote this object first, and it stays: only its count can be looked at.
    async fn compare_with_first(&self, key: &str, rows: u64) -> Result<(), ChainError> {
        let head = self.bucket.head(key).await?.ok_or_else(|| ChainError::ObjectGone { key: key.to_owned() })?;
        let stored = head.metadata.get(ROWS).and_then(|rows| rows.parse::<u64>().ok());
        if stored.is_some_and(|stored| stored != rows) {
            warn!(source = %self.source, key, stored, rows, "an object stored by another writer has other rows");
        }
        Ok(())
    }

    /// Indexes of the claimed objects that are not stored, wholly or (one object per message) in part.
    pub(crate) async fn missing(&self, claim: &Checked) -> Result<Vec<usize>, ChainError> {
        let mut missing = BTreeSet::new();
        let mut under_way = FuturesUnordered::new();
        for index in 0..claim.claim.objects.len() {
            for key in claim.keys(index) {
                if under_way.len() == PARALLEL
                    && let Some(Some(index)) = under_way.try_next().await?
                {
                    missing.insert(index);
                }
                under_way.push(self.look(index, key));
            }
        }
        while let Some(found) = under_way.try_next().await? {
            missing.extend(found);
        }
        Ok(missing.into_iter().collect())
    }

    /// The index, if its object is not there.
    async fn look(&self, index: usize, key: String) -> Result<Option<usize>, ChainError> {
        let found = self.bucket.head(&self.paths.below_prefix(&key)).await?;
        Ok(found.is_none().then_some(index))
    }

    /// The records read so far belong to the topic whose UUID is in the path.
    pub async fn confirm_topic(&self) -> Result<(), ChainError> {
        let now = self.log.topic_id(&self.source.topic).await?;
        if now == self.source.topic_id {
            return Ok(());
        }
        Err(ChainError::Recreated { topic: self.source.topic.clone(), was: self.source.topic_id.clone(), now })
    }
}

fn content_type(claim: &Claim) -> &'static str {
    crate::Format::from_id(&claim.layout).map_or("application/octet-stream", crate::Format::content_type)
}

/// `3-5,9`; cut when it grows beyond what metadata may hold, which is ASCII alone.
pub(crate) fn ranges(offsets: &[i64]) -> String {
    let mut text = String::new();
    let mut rest = offsets;
    while let Some(&first) = rest.first() {
        let length = rest.iter().zip(first..).take_while(|(offset, expected)| **offset == *expected).count();
        let last = rest[length - 1];
        let separator = if text.is_empty() { "" } else { "," };
        text += &if first == last { format!("{separator}{first}") } else { format!("{separator}{first}-{last}") };
        rest = &rest[length..];
        if text.len() > 1500 {
            return text + ",...";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn offsets_are_written_as_ranges() {
        assert_eq!(ranges(&[3, 4, 5, 9]), "3-5,9");
        assert_eq!(ranges(&[]), "");
        let many = ranges(&(0..10_000).map(|i| i * 2).collect::<Vec<_>>());
        assert!(many.len() < 2000 && many.is_ascii() && many.ends_with(",..."), "metadata holds 2 KB of ASCII: {many}");
    }
}
