//! Kafka as Finflow uses it: topics, producer, consumer groups, transactions, dead letters, lag.
