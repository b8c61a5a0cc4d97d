//! The lake on S3: what is stored where, and the protocol that puts every record there exactly once.
//!
//! In: records of the topics, as Kafka gave them. Out: objects that any plain reader can list and read, partitioned by
//! event time ([`table`]), and a chain of claims beside them that says what became of every offset ([`claim`]).
//!
//! The way of a record: [`Range::push`] reads it as a row of a table or counts it as a skip; [`Range::seal`] fixes the
//! claim; [`Sealed::encode`] makes the bytes; [`Chain::store`] claims, then writes. A restart begins with
//! [`Chain::locate`], and an unfinished claim is finished by an [`Adoption`].
//!
//! **Invariants:** nothing here overwrites an object, and nothing but [`expire`] deletes one; no venue's format is known here; no clock decides what is stored.

mod adoption;
pub mod aws;
pub mod bucket;
pub mod catalog;
mod chain;
pub mod claim;
pub mod compact;
mod config;
pub mod expire;
mod format;
mod layout;
mod patient;
pub mod queries;
mod range;
mod read;
mod row;
mod runs;
mod s3;
mod table;
pub mod verify;

pub use adoption::{Adoption, Progress};
pub use bucket::{Bucket, BucketError, Trouble};
pub use chain::{Chain, ChainError, Log, MISSING, Next, ROWS, Stored, Unasked};
pub use claim::{Checked, Claim};
pub use config::{Encryption, S3_DOCS, S3Config};
pub use format::Format;
pub use layout::{ObjectName, Paths, Source};
pub use patient::{Patient, Watcher};
pub use range::{Encoded, Pushed, Range, Sealed, Size};
pub use read::{ReadError, read_object};
pub use row::{Feed, Record, Skip};
pub use runs::{Runs, Target};
pub use s3::{Listed, S3};
pub use table::columns::{Absent, Column, Type};
pub use table::{Dir, Grain, Table};
