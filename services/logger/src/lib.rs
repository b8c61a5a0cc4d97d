//! Prints what flows, and checks order and schema.
//!
//! Reads `raw-market-data` (or any list of Finflow's topics) in a group of its own, so it disturbs nobody. Writes one
//! line per record to standard output, and counts and rates to the log every few seconds. At least once: after a crash
//! a few lines repeat.
//!
//! It never sends dead letters: a record that nobody can read is dead-lettered by the stage that needed it, once, and
//! here it is counted and shown.
//!
//! **Invariant:** consumed = seen + invalid, per partition.

mod config;
mod decode;
mod error;
mod line;
mod observe;
mod order;
mod pipeline;
mod printer;
mod tally;

use std::io::{IsTerminal, Write};

use anyhow::Context as _;
use harness::Context;
use streams::{Admin, Consumer, ConsumerOptions, Env};

pub use config::Config;
pub use tally::{Checks, Outcomes, Summary};

use pipeline::Pipeline;
use printer::Printer;

pub async fn run(ctx: Context<Config>) -> anyhow::Result<Summary> {
    let stdout = std::io::stdout();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    run_to(ctx, Box::new(stdout), colour).await
}

/// As [`run`], with the lines to `out`.
pub async fn run_to(ctx: Context<Config>, out: Box<dyn Write + Send>, colour: bool) -> anyhow::Result<Summary> {
    let assigned = ctx.health.latch("assigned");
    let worker = ctx.clone();
    ctx.thread("loop", move || {
        let env = Env::of(&worker).with_heartbeat(worker.heartbeat("loop"));
        let config = worker.config;
        let topics: Vec<&str> = config.input.iter().map(String::as_str).collect();
        let waited = Admin::new(&env, &config.kafka)?.wait_for(&topics);
        if env.shutdown.is_set() {
            return Ok(Summary::default());
        }
        waited.context("wait for the topics")?;
        let options = ConsumerOptions::new(config.group.as_str(), config.input.clone()).start(config.start);
        let consumer = Consumer::new(&env, &config.kafka, options).context("subscribe")?;
        let printer = Printer::new(out, colour, config.lines_per_second);
        Pipeline::new(config, env, consumer, printer, assigned).run().context("read the topics")
    })
    .await
}
