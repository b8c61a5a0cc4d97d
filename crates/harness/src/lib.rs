//! The life of a process: config, logs, metrics, traces, health, shutdown.
