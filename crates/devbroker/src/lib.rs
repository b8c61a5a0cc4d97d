//! A one-node broker that speaks the Kafka protocol, for development and tests only.
