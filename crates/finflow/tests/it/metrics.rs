//! Every counter has its series before the first event: one that appears with an event hides it from `increase()`.

use std::future::Future;

use harness::{Config, Context, Described, Drain, Registry, Shutdown};
use streams::topic;
use testkit::{Brokers, S3};

use crate::docs::golden;

/// The metrics of a stage that has found nothing to read.
fn metrics<C: Config, S, R>(
    name: &'static str,
    config: C,
    run: impl FnOnce(Context<C>) -> R,
) -> (&'static str, Registry)
where
    R: Future<Output = anyhow::Result<S>>,
{
    let ctx = Context::hosted(name, config, &Shutdown::new()).with_drain(Drain::already());
    let metrics = ctx.metrics.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    runtime.block_on(run(ctx)).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    (name, metrics)
}

const HEAD: &str = "\
# Metrics

Written from the code; do not edit: `UPDATE=1 cargo test -p finflow metrics`. Every stage serves them at `/metrics` of its
[admin port](cli.md#ports). Counters are there from the start, at zero. Labels are bounded: a symbol is never one. The dashboards and
alert rules of the chart are made of these: `deploy/helm/finflow/dashboards`, `deploy/helm/finflow/rules`.
";

/// As a section of `docs/metrics.md`.
fn section(title: &str, metrics: &[Described]) -> String {
    let row = |metric: &Described| {
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = if metric.name.ends_with("_total") { "counter" } else { metric.kind };
        format!("| `{}` | {kind} | {} | {} |\n", metric.name, labels.join(" "), metric.help.replace('|', "\\|"))
    };
    let rows: String = metrics.iter().map(row).collect();
    format!("\n## {title}\n\n| Metric | Kind | Labels | Meaning |\n|---|---|---|---|\n{rows}")
}

/// The page is what the code says, and each counter is published from the start.
#[test]
fn every_metric_of_every_stage_is_documented_and_every_counter_published_from_the_start() {
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
    let stages = [
        metrics("ingest", ingest, ingest::run),
        metrics("aggregate", aggregate, aggregate::run),
        metrics("alert", alert, alert::run),
        metrics("store", store, store::run),
        metrics("logger", logger, logger::run),
        metrics("gateway", gateway, gateway::run),
    ];
    let silent = stages.iter().flat_map(|(_, metrics)| metrics.without_series());
    assert_eq!(silent.filter(|name| name.ends_with("_total")).collect::<Vec<_>>(), Vec::<String>::new());

    // A live feed, of a venue that is not there.
    let feeds = vec!["kraken?url=ws://127.0.0.1:9".parse().expect("a feed")];
    let (_, live) =
        metrics("ingest", ingest::Config { kafka: brokers.config(), feeds, ..Default::default() }, ingest::run);
    let silent = live.without_series().into_iter().filter(|name| name.ends_with("_total"));
    assert_eq!(silent.collect::<Vec<_>>(), Vec::<String>::new());

    let is_shared = |name: &str| name.starts_with("process_") || name == "finflow_build_info";
    let mut shared = stages[0].1.described();
    shared.retain(|metric| is_shared(&metric.name));
    let mut page = format!("{HEAD}{}", section("Every stage", &shared));
    for (name, metrics) in &stages {
        let mut own = metrics.described();
        own.retain(|metric| !is_shared(&metric.name));
        page.push_str(&section(name, &own));
        if *name == "ingest" {
            let known: Vec<String> = metrics.described().into_iter().map(|metric| metric.name).collect();
            let mut live = live.described();
            live.retain(|metric| !known.contains(&metric.name));
            page.push_str(&section("ingest, of live feeds", &live));
        }
    }
    golden("docs/metrics.md", &page);
}
