//! The store as a process sees it: topics in, objects out. Broker and S3 are embedded, or the real ones that
//! `FINFLOW_TEST_BROKERS` and `FINFLOW_TEST_S3` name.

mod basics;
mod catalog;
mod clock;
mod faults;
mod killed;
mod memory;
mod operators;
mod process;
mod proxy;
mod soak;
mod sts;
mod together;
mod world;
