//! Black box against a Kafka: the one of `FINFLOW_TEST_BROKERS`, else the embedded broker.

mod admin;
mod consumer;
mod dead_letters;
mod iam;
mod kit;
mod paused;
mod producer;
mod reader;
mod simulation;
mod spare;
mod stateful;
