//! The whole pipeline, run as a person runs it: the binary, its exit code, what it prints, what lies on S3 afterwards.
//!
//! With `FINFLOW_TEST_BROKERS` and `FINFLOW_TEST_S3` set, `real` does the same on Apache Kafka and MinIO.

mod bad_input;
mod binance;
mod catalog;
mod deploy;
mod disk;
mod docs;
mod doctor;
mod expire;
mod faults;
mod feeds;
mod finflow;
mod index;
mod kraken;
mod lake;
mod live;
mod metrics;
mod query;
mod real;
mod restart;
mod settings;
mod stages;
mod tables;
mod tidy;
mod tools;
mod traces;
mod verify;
