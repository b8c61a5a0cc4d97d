//! One suite for this broker and for Apache Kafka: what a client relies on must hold on both.
//!
//! Against the embedded broker by default; against a real one with `FINFLOW_TEST_BROKERS=127.0.0.1:19092`. What only
//! makes sense for one of them (killing it, attacking its port) says that it was skipped. The real broker should be
//! started with short intervals for retention, compaction and transaction timeouts, or those tests take minutes:
//! `KAFKA_EXTRA=$'log.retention.check.interval.ms=1000\nlog.cleaner.backoff.ms=500'`.

mod client;
mod crash;
mod groups;
mod membership;
mod port;
mod raw;
mod records;
mod retention;
mod storage;
mod target;
mod topics;
mod transactions;
mod txn_offsets;
