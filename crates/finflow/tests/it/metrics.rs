//! Every counter has its series before the first event: one that appears with an event hides it from `increase()`.

use std::future::Future;

use harness::{Config, Context, Drain, Shutdown};
use streams::topic;
use testkit::{Brokers, S3};

/// The counters of a stage that has found nothing to read, as far as they are not shown.
fn silent<C: Config, S, R>(name: &'static str, config: C, run: impl FnOnce(Context<C>) -> R) -> Vec<String>
where
    R: Future<Output = anyhow::Result<S>>,
{
    let ctx = Context::hosted(name, config, &Shutdown::new()).with_drain(Drain::already());
    let metrics = ctx.metrics.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(run(ctx)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    metrics.without_series().into_iter().filter(|name| name.ends_with("_total")).collect()
}

#[test]
fn every_counter_of_every_stage_is_published_from_the_start() {
    let (brokers, s3) = (Brokers::start(), S3::start());
    brokers.admin().apply(&topic::all(), 1).expect("topics are made");
    let dir = tempfile::tempdir().expect("a temporary folder");
    let feed = dir.path().join("empty.csv");
    std::fs::write(&feed, "").expect("the file is writable");
    let kafka = brokers.config();
    let mut store = store::Config { kafka: kafka.clone(), ..Default::default() };
    store.s3.endpoint = s3.endpoint.clone();
    store.s3.bucket = s3.bucket.clone();
    store.s3.access_key = s3.access_key.clone();
    store.s3.secret_key = harness::Secret::new(s3.secret_key.clone());
    let feeds = vec![feed.to_str().expect("utf-8").parse().expect("a feed")];
    let ingest = ingest::Config { kafka: kafka.clone(), feeds, ..Default::default() };
    let aggregate = aggregate::Config { kafka: kafka.clone(), ..Default::default() };
    let alert = alert::Config { kafka: kafka.clone(), ..Default::default() };
    let logger = logger::Config { kafka: kafka.clone(), ..Default::default() };
    let http = ([127, 0, 0, 1], 0).into();
    let gateway = gateway::Config { kafka, http, ..Default::default() };
    let silent = [
        silent("ingest", ingest, ingest::run),
        silent("aggregate", aggregate, aggregate::run),
        silent("alert", alert, alert::run),
        silent("store", store, store::run),
        silent("logger", logger, logger::run),
        silent("gateway", gateway, gateway::run),
    ];
    assert_eq!(silent.concat(), Vec::<String>::new());
}
