//! The life of a process: config, logs, metrics, traces, health, shutdown.
//!
//! A service is a function `async fn run(ctx: harness::Context<Config>) -> anyhow::Result<Summary>`, and its
//! `main.rs` is `harness::main("aggregate", aggregate::run)`. Everything between the start of the process and
//! that call, and between its return and the exit code, happens here, once, for all services:
//!
//! 1. flags are parsed, the config is layered (defaults < YAML < environment < flags) and refused if a key is unknown;
//! 2. logs, metrics, traces and the admin port come up;
//! 3. `run` is called. It registers latches and checks ([`Health`]), beats its [`Heartbeat`] and looks at
//!    [`Shutdown`] and [`Drain`] in its loop;
//! 4. SIGTERM, SIGINT or a stalled heartbeat set [`Shutdown`]: `/ready` fails, `run` finishes and returns, traces are
//!    flushed, the process exits. A second signal exits at once; so does the hard limit `shutdown_timeout`.
//!    Credentials that change on disk set it, too: then the process begins anew (`renewal`).
//!
//! Several services share a process (`finflow up`, tests) through [`Context::hosted`]: each has its own metrics and
//! health, all share one [`Shutdown`].
//!
//! **Invariant:** no service reads the wall clock, installs a signal handler or calls `exit` itself.

mod admin;
mod clock;
mod commands;
mod config;
mod context;
mod flags;
mod health;
mod heartbeat;
mod logs;
mod memory;
mod metrics;
mod renewal;
mod run;
mod secret;
mod shutdown;
pub mod traces;
mod units;

pub use clock::{Clock, FakeClock, SystemClock};
pub use commands::{Call, Commands, Reply};
pub use config::{
    Common, Config, ConfigError, Log, LogFormat, Otlp, default_admin, docs_markdown, dotenv, example_yaml, given,
    is_common, load, undocumented,
};
pub use context::Context;
pub use flags::{Flag, command};
pub use health::{Health, Latch};
pub use heartbeat::Heartbeat;
pub use memory::share_arenas;
pub use metrics::{Described, Registry, SECONDS, cpu_seconds};
pub use prometheus as prom;
pub use run::{host, main, run_with};
pub use secret::Secret;
pub use shutdown::{Drain, Reason, Shutdown};
pub use units::{ByteSize, Duration, grouped};
