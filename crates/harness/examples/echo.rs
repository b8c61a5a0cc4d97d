//! The smallest service there can be, and the one the tests of the harness run as a real process: it does nothing in
//! the way that `behave` says.
//!
//! `cargo run -p harness --example echo -- --print-config`

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use harness::{Common, Config, Context, Flag, Secret};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Echo {
    #[serde(flatten)]
    common: Common,
    kafka: Kafka,
    password: Secret,
    behave: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
struct Kafka {
    brokers: String,
}

impl Default for Echo {
    fn default() -> Self {
        Echo {
            common: Common::default(),
            kafka: Kafka::default(),
            password: Secret::default(),
            behave: "idle".to_owned(),
        }
    }
}

impl Default for Kafka {
    fn default() -> Self {
        Kafka { brokers: "127.0.0.1:9092".to_owned() }
    }
}

impl Config for Echo {
    const ABOUT: &'static str = "Does nothing, in the way that `behave` says.";
    const FLAGS: &'static [Flag] = &[
        Flag::BROKERS,
        Flag::UNTIL_END,
        Flag::own("behave", "behave", "HOW", "idle, return, fail, panic, thread_panic, stall, block, slow or stubborn"),
    ];

    fn common(&self) -> &Common {
        &self.common
    }
}

#[derive(Serialize)]
struct Summary {
    beats: u64,
    brokers: String,
}

async fn run(ctx: Context<Echo>) -> anyhow::Result<Summary> {
    let assigned = ctx.health.latch("assigned");
    ctx.health.check("quiet", || Ok(()));
    let loops = ctx.metrics.counter("loops_total", "Turns of the loop.");
    let brokers = ctx.config.kafka.brokers.clone();
    match ctx.config.behave.as_str() {
        "return" => return Ok(Summary { beats: 0, brokers }),
        "fail" => bail!("told to fail"),
        "panic" => panic!("told to panic"),
        "thread_panic" => return ctx.thread("worker", || panic!("told to panic in a thread")).await,
        // Blocks a worker of the runtime, as no service should.
        "block" => std::thread::sleep(Duration::from_secs(600)),
        "unready" => assigned.hold("told not to be ready"),
        _ => assigned.release(),
    }
    let characters = ctx.config.password.expose().chars().count();
    let work = ctx.clone();
    let work = move || {
        let heartbeat = work.heartbeat("loop");
        let mut beats = 0;
        tracing::info_span!("echo_work").in_scope(|| tracing::info!(characters, "working"));
        while !work.shutdown.is_set() && !work.drain.is_set() {
            tracing::debug!(beats, "turn");
            if work.config.behave != "stall" {
                heartbeat.beat();
            }
            loops.inc();
            beats += 1;
            work.shutdown.wait_timeout(Duration::from_millis(20));
        }
        match work.config.behave.as_str() {
            "stubborn" => std::thread::sleep(Duration::from_secs(600)),
            "slow" => std::thread::sleep(Duration::from_secs(1)),
            _ => {}
        }
        tracing::info!("finished what was begun");
        Ok(Summary { beats, brokers })
    };
    ctx.thread("worker", work).await
}

fn main() -> ExitCode {
    harness::main("echo", run)
}
