//! Kafka is away at the start and goes away in the middle: nothing is lost, nothing is doubled.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use harness::{Context, Drain, Shutdown};
use streams::KafkaConfig;
use testkit::{eventually, free_addr};

use crate::bed::{Bed, positions, runtime, trades_csv};

fn start(dir: &Path, addr: SocketAddr) -> devbroker::Broker {
    runtime().block_on(devbroker::Broker::start(devbroker::Options::new(dir, addr))).unwrap()
}

#[test]
fn kafka_away_at_the_start_and_in_the_middle_costs_nothing() {
    const ROWS: u64 = 40_000;
    let addr = free_addr();
    let kafka = KafkaConfig { brokers: addr.to_string(), ..KafkaConfig::default() };
    let bed = Bed::without_topics(kafka);
    let feed = bed.file("t.csv", trades_csv(ROWS));
    let mut config = bed.config(&[&feed]);
    config.rate = 10_000.0;
    config.checkpoint_every = harness::Duration::from_millis(200);
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("ingest", config, &shutdown).with_drain(Drain::already());
    let (health, metrics) = (ctx.health.clone(), ctx.metrics.clone());
    let running = runtime().spawn(ingest::run(ctx));
    let reason = || health.report().checks.get("topics").and_then(|check| check.reason.clone()).unwrap_or_default();
    eventually(Duration::from_secs(30), "it says that it waits for Kafka", || {
        (!health.is_ready() && reason().contains(&addr.to_string())).then_some(())
    });

    let dir = tempfile::tempdir().unwrap();
    let broker = start(dir.path(), addr);
    bed.create_topics();
    let written = || -> u64 {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with("finflow_ingest_events_total{kind=\"trade\"}"));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
    };
    eventually(Duration::from_secs(30), "some thousand rows", || (written() > 8_000).then_some(()));
    assert!(health.is_ready(), "{:?}", health.report());
    runtime().block_on(broker.stop());
    eventually(Duration::from_secs(30), "/ready says that Kafka is away", || (!health.is_ready()).then_some(()));
    assert!(!shutdown.is_set());

    let broker = start(dir.path(), addr);
    let summary = runtime().block_on(running).unwrap().unwrap();
    assert_eq!(summary.total(), ROWS);
    assert_eq!(positions(&bed.output()).len() as u64, ROWS);
    runtime().block_on(broker.stop());
}
