//! `finflow lake expire`: old partitions out of the lake.

use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use harness::{Clock, SystemClock, grouped};
use lake::expire::{self, Plan};
use lake::{Grain, S3Config, Table};
use serde_json::json;

use crate::cli::{ExpireArgs, LakeCommand};
use crate::usage;

const DAY_NS: i64 = 86_400_000_000_000;

pub fn main(command: LakeCommand) -> ExitCode {
    let LakeCommand::Expire(args) = command;
    let (s3, tables) = match settings(&args) {
        Ok(settings) => settings,
        Err(error) => return usage("lake expire", &error),
    };
    if args.lifecycle {
        println!("{:#}", lifecycle(&s3.prefix, &tables, args.older_than.as_ns() / DAY_NS));
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.context("start the threads").and_then(|runtime| runtime.block_on(run(&args, s3, &tables))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("finflow lake expire: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn settings(args: &ExpireArgs) -> anyhow::Result<(S3Config, Vec<Table>)> {
    let age = args.older_than.as_ns();
    ensure!(age >= DAY_NS && age % DAY_NS == 0, "--older-than: `{}` is no number of days such as 90d", args.older_than);
    let named = args.table.iter().map(|name| {
        let known = || Table::ALL.map(Table::name).join(", ");
        Table::named(name).with_context(|| format!("--table: there is no table `{name}`; there are {}", known()))
    });
    let mut tables = named.collect::<anyhow::Result<Vec<_>>>()?;
    if tables.is_empty() {
        // Bars reach back decades: they are old when they arrive.
        tables = Table::ALL.into_iter().filter(|table| table.grain() != Grain::Year).collect();
    }
    Ok((args.lake.config()?, tables))
}

async fn run(args: &ExpireArgs, s3: S3Config, tables: &[Table]) -> anyhow::Result<()> {
    let lake = args.lake.open(s3).await?;
    let before = SystemClock.now_ns().saturating_sub(args.older_than.as_ns());
    let plan = expire::plan(&lake.s3, &lake.paths, tables, before).await.context("find what is old")?;
    let Plan { partitions, kept } = &plan;
    let objects = grouped(plan.objects() as u64);
    for key in kept {
        println!("keep   {key}: the last claim of its topic's partition names it");
    }
    if args.dry_run {
        partitions.iter().for_each(|(partition, keys)| println!("old    {partition}, {} objects", keys.len()));
        println!("dry run: {objects} objects of {} partitions are old, none deleted", partitions.len());
        return Ok(());
    }
    let done = |partition: &str, objects| println!("delete {partition}, {objects} objects");
    expire::apply(&lake.s3, &lake.paths, &plan, done).await.context("delete what is old; run it again to go on")?;
    println!("{objects} objects of {} partitions deleted", partitions.len());
    Ok(())
}

/// Rules for `aws s3api put-bucket-lifecycle-configuration`.
fn lifecycle(prefix: &str, tables: &[Table], days: i64) -> serde_json::Value {
    let paths = lake::Paths::new(prefix);
    let rule = |table: &Table| {
        json!({
            "ID": format!("finflow-{}", table.name()),
            "Status": "Enabled",
            "Filter": {"Prefix": paths.table(*table)},
            "Expiration": {"Days": days},
        })
    };
    let mut rules: Vec<_> = tables.iter().map(rule).collect();
    // What a killed process had uploaded of an object stays otherwise, unseen and paid for.
    rules.push(json!({
        "ID": "finflow-unfinished-uploads",
        "Status": "Enabled",
        "Filter": {"Prefix": paths.below_prefix("")},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    }));
    json!({"Rules": rules})
}
