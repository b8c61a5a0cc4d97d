//! Exact numbers, market events and their wire forms, windows and their folding. No I/O, no clock, no Kafka.
