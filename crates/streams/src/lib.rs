//! Kafka as Finflow uses it: topics, producer, consumer groups, transactions, dead letters, lag.
//!
//! - [`Consumer`]: a member of a group. What the group says comes out of `poll`, between the records; the loop answers
//!   when its work is done.
//! - [`Reader`]: reads partitions without a group.
//! - [`Producer`]: idempotent, waits when its queue is full, never drops.
//! - [`DeadLetters`]: what a stage cannot use, whole, with its reason.
//! - [`stateful`]: a stage with state, exactly once.
//! - [`read_topic`]: everything from given offsets to the end, outside of any group.
//! - [`Admin`] and [`topic`]: what topics there are and should be.
//!
//! All of it blocks and belongs on threads of its own: a transaction on an async worker would stop everything else that
//! runs there.
//!
//! **Architecture Invariant:** this is the only crate that names rdkafka, and its `unsafe` code is in `native`.
//! **Architecture Invariant:** nothing here creates a topic but [`Admin::apply`], and nothing skips a record in silence.

mod admin;
mod block_on;
mod config;
mod consumer;
mod cursor;
mod dead_letters;
mod env;
mod error;
pub mod header;
mod logs;
mod native;
mod producer;
mod reader;
mod record;
pub mod stateful;
pub mod topic;

pub use admin::{Admin, Applied, Described, Difference, TopicId};
pub use config::{Compression, GroupProtocol, KAFKA_DOCS, KafkaConfig, Mechanism, Protocol, Security};
pub use consumer::{Consumer, ConsumerOptions, Lag, Polled, Start, TopicPartition};
pub use dead_letters::DeadLetters;
pub use env::Env;
pub use error::{Result, StreamError};
pub use producer::{Outgoing, Producer};
pub use reader::{Reader, read_topic};
pub use record::{Header, OwnedRecord, Record};

/// The headers of a dead letter.
pub mod dead_letter {
    pub use crate::dead_letters::{DETAIL, OFFSET, PARTITION, REASON, SIZE, STAGE, TIMESTAMP, TOPIC, VERSION};
}
