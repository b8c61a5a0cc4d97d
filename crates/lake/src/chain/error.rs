//! Why a chain cannot go on.

use thiserror::Error;

use crate::bucket::BucketError;
use crate::layout::Source;

#[derive(Debug, Error)]
pub enum ChainError {
    #[error(transparent)]
    Bucket(#[from] BucketError),
    /// The broker could not be asked.
    #[error("ask kafka about {topic}: {why}")]
    Log { topic: String, why: String },
    /// Without them a topic that was made again could not be told from its namesake.
    #[error("kafka gives topic {topic} no UUID; the store needs brokers of version 2.8 or later")]
    NoTopicIds { topic: String },
    /// A bug of this program.
    #[error("the work on {source_partition} panicked: {why}")]
    Panicked { source_partition: String, why: String },
    /// The topic was deleted and made again: what was read belongs to a topic that is no more.
    #[error("topic {topic} was deleted and made again (UUID {was}, now {now})")]
    Recreated { topic: String, was: String, now: String },
    #[error("claim {key} is unusable: {why}")]
    BadClaim { key: String, why: String },
    #[error("claim {key} was deleted while it was read; nothing under _claims/ may be deleted, restore it")]
    ClaimGone { key: String },
    #[error("object {key} was deleted while it was read; nothing in the lake may be deleted like this, restore it")]
    ObjectGone { key: String },
    #[error(
        "{source_partition} is stored up to offset {position}, but the log ends at {high}: it lost records \
         (unclean leader election, restored from a backup?); write to a topic of a new name"
    )]
    Ahead { source_partition: Source, position: i64, high: i64 },
    #[error(
        "{source_partition} offsets {start} to {end} read differently from what was claimed: {why}; the log was \
         changed (unclean leader election, log compaction) or the claim needs another version of this program"
    )]
    Mismatch { source_partition: Source, start: i64, end: i64, why: String },
}

impl ChainError {
    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self {
            ChainError::Bucket(error) => error.is_transient(),
            ChainError::Log { .. } => true,
            _ => false,
        }
    }
}
