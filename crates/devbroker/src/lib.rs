//! A one-node broker that speaks the Kafka protocol, for development and tests only.
//!
//! In: Kafka requests on one TCP port. Out: the answers Apache Kafka would give, from record batches kept on
//! disk as they were received. It runs on threads of its own, so a caller that blocks inside a Kafka client
//! does not stop the broker it talks to.

mod options;
mod start;

pub use options::Options;
pub use start::{Broker, StartError};
