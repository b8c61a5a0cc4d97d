//! The gateway from outside: over TCP, with a view that the test fills, and with a Kafka.

mod api;
mod kafka;
mod page;
mod strangers;
mod streaming;
mod support;
