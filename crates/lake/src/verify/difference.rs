//! What the audit may find, in words that say where and what to do.

use std::fmt;

use crate::chain::ranges;
use crate::layout::Source;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Something below `_claims/` that is no claim.
    NoClaim {
        key: String,
    },
    BadClaim {
        key: String,
        why: String,
    },
    /// Offsets between two claims, or before the first.
    Unclaimed {
        source: Source,
        from: i64,
        to: i64,
    },
    /// A claim that begins before the end of the one before it.
    Overlap {
        key: String,
        next: i64,
    },
    /// `is_last`: of the last claim, which the store may be about to finish.
    Missing {
        key: String,
        rows: u64,
        is_last: bool,
    },
    Unreadable {
        key: String,
        why: String,
    },
    /// Claimed rows that the object does not hold, and does not declare as lost.
    Absent {
        key: String,
        offsets: Vec<i64>,
    },
    /// Rows that the claim does not put into this object.
    Extra {
        key: String,
        offsets: Vec<i64>,
    },
    Twice {
        key: String,
        offsets: Vec<i64>,
    },
    /// A row of another topic or partition.
    Alien {
        key: String,
        from: String,
        offset: i64,
    },
    /// A row whose event time belongs to another partition of the table: a query that prunes would miss it.
    Elsewhere {
        key: String,
        offset: i64,
        belongs: Option<String>,
    },
    /// An object that no claim names.
    Stray {
        key: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoClaim { key } => write!(f, "{key}: lies among the claims and is none"),
            Self::BadClaim { key, why } => write!(f, "claim {key}: {why}"),
            Self::Unclaimed { source, from, to } => {
                write!(f, "{source} ({}): offsets {from} to {to} are in no claim; a claim was deleted", source.topic_id)
            }
            Self::Overlap { key, next } => {
                write!(f, "claim {key}: begins before offset {next}, where the claim before it ends")
            }
            Self::Missing { key, rows, is_last: true } => write!(
                f,
                "object {key}: missing, {rows} rows; its claim is the last of its partition and unfinished: a running \
                 store finishes it, else start one"
            ),
            Self::Missing { key, rows, is_last: false } => {
                write!(f, "object {key}: missing, {rows} rows; it was deleted, restore it")
            }
            Self::Unreadable { key, why } => write!(f, "object {key}: unreadable: {why}"),
            Self::Absent { key, offsets } => {
                write!(f, "object {key}: lacks {} claimed rows, offsets {}", offsets.len(), ranges(offsets))
            }
            Self::Extra { key, offsets } => {
                write!(
                    f,
                    "object {key}: holds {} rows that are claimed elsewhere or nowhere, offsets {}",
                    offsets.len(),
                    ranges(offsets)
                )
            }
            Self::Twice { key, offsets } => write!(f, "object {key}: holds offsets {} more than once", ranges(offsets)),
            Self::Alien { key, from, offset } => write!(f, "object {key}: holds offset {offset} of {from}"),
            Self::Elsewhere { key, offset, belongs: Some(belongs) } => {
                write!(f, "object {key}: offset {offset} belongs to {belongs} by its event time")
            }
            Self::Elsewhere { key, offset, belongs: None } => {
                write!(f, "object {key}: offset {offset} has no event time")
            }
            Self::Stray { key } => write!(f, "object {key}: no claim names it; its rows are counted twice or made up"),
        }
    }
}
