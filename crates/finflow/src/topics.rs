//! `finflow topics apply|list`.

use anyhow::{Context as _, bail};
use harness::Shutdown;
use serde_json::json;
use streams::{Admin, Env, KafkaConfig, topic};

use crate::cli::{TopicsArgs, TopicsCommand};

pub fn run(command: &TopicsCommand) -> anyhow::Result<()> {
    match command {
        TopicsCommand::Apply(args) => apply(args),
        TopicsCommand::List(args) => list(args),
    }
}

fn admin(args: &TopicsArgs) -> anyhow::Result<Admin> {
    let kafka = KafkaConfig { brokers: args.brokers.clone(), ..KafkaConfig::default() };
    let env = Env::standalone("topics", &Shutdown::new());
    Admin::new(&env, &kafka).with_context(|| format!("connect to {}", args.brokers))
}

fn apply(args: &TopicsArgs) -> anyhow::Result<()> {
    let admin = admin(args)?;
    let applied = admin.apply(&topic::all(), args.replication.unwrap_or(1)).context("create the topics")?;
    if args.json {
        let differs: Vec<_> = applied
            .differs
            .iter()
            .map(|d| json!({"topic": d.topic, "what": d.what, "wanted": d.wanted, "found": d.found}))
            .collect();
        println!("{}", json!({"created": applied.created, "unchanged": applied.unchanged, "differs": differs}));
    } else {
        for name in &applied.created {
            println!("created    {name}");
        }
        for name in &applied.unchanged {
            println!("unchanged  {name}");
        }
        for d in &applied.differs {
            println!(
                "differs    {}: {} is {}, Finflow expects {}; nothing was changed",
                d.topic, d.what, d.found, d.wanted
            );
        }
    }
    if !applied.differs.is_empty() {
        bail!("{} settings differ from what Finflow expects", applied.differs.len());
    }
    Ok(())
}

fn list(args: &TopicsArgs) -> anyhow::Result<()> {
    let admin = admin(args)?;
    let there = admin.list().context("list the topics")?;
    let mut rows = Vec::new();
    for spec in topic::all() {
        let Some(&partitions) = there.get(&spec.name) else {
            rows.push((spec.name, None));
            continue;
        };
        let watermarks = admin.watermarks(&spec.name).with_context(|| format!("read the ends of {}", spec.name))?;
        rows.push((spec.name, Some((partitions, spec.cleanup.as_str(), watermarks))));
    }
    for (name, found) in rows {
        match found {
            None if args.json => println!("{}", json!({"topic": name, "missing": true})),
            None => println!("{name:<26} missing: `finflow topics apply` creates it"),
            Some((partitions, cleanup, ends)) if args.json => {
                println!("{}", json!({"topic": name, "partitions": partitions, "cleanup": cleanup, "offsets": ends}));
            }
            Some((partitions, cleanup, ends)) => {
                let records: i64 = ends.iter().map(|(low, high)| high - low).sum();
                let ends: Vec<String> = ends.iter().map(|(low, high)| format!("{low}..{high}")).collect();
                println!("{name:<26} {partitions} partitions  {cleanup:<8} {records:>12} offsets  {}", ends.join("  "));
            }
        }
    }
    Ok(())
}
