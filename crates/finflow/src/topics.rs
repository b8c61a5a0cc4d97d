//! `finflow topics apply|list`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;
use streams::{Admin, Env, topic};

use crate::cli::{ApplyArgs, ListArgs, TopicsCommand};
use crate::settings::Tool;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

pub fn main(command: TopicsCommand) -> ExitCode {
    let kafka = match &command {
        TopicsCommand::Apply(args) => &args.kafka,
        TopicsCommand::List(args) => &args.kafka,
    };
    Tool::run("topics", &kafka.clone(), move |env, kafka| {
        let admin = Admin::new(env, kafka).with_context(|| format!("connect to {}", kafka.brokers))?;
        match &command {
            TopicsCommand::Apply(args) => apply(&admin, env, args),
            TopicsCommand::List(args) => list(&admin, args),
        }
    })
}

fn apply(admin: &Admin, env: &Env, args: &ApplyArgs) -> anyhow::Result<()> {
    let deadline = Instant::now() + args.wait.0;
    let applied = loop {
        let replication = args.replication.map_or_else(|| admin.default_replication(), Ok);
        match replication.and_then(|replication| admin.apply(&topic::all(), replication)) {
            // A Kafka that is starting: whoever installs both at once need not count seconds.
            Err(error) if error.is_retry() && Instant::now() < deadline && !env.shutdown.wait_timeout(PAUSE) => {}
            answer => break answer.context("create the topics")?,
        }
    };
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

/// A topic as the broker has it.
struct Listed {
    partitions: i32,
    cleanup: String,
    retention_ms: Option<i64>,
    ends: Vec<(i64, i64)>,
}

fn list(admin: &Admin, args: &ListArgs) -> anyhow::Result<()> {
    let there = admin.list().context("list the topics")?;
    for spec in topic::all() {
        let name = &spec.name;
        let listed = look(admin, &there, name)?;
        match listed {
            None if args.json => println!("{}", json!({"topic": name, "missing": true})),
            None => println!("{name:<26} missing: `finflow topics apply` creates it"),
            Some(Listed { partitions, cleanup, retention_ms, ends }) if args.json => println!(
                "{}",
                json!({
                    "topic": name, "partitions": partitions, "cleanup": cleanup, "retention_ms": retention_ms,
                    "offsets": ends,
                })
            ),
            Some(listed) => println!("{name:<26} {}", listed.text()),
        }
    }
    Ok(())
}

fn look(admin: &Admin, there: &BTreeMap<String, i32>, name: &str) -> anyhow::Result<Option<Listed>> {
    let Some(&partitions) = there.get(name) else { return Ok(None) };
    let settings = admin.settings(name).with_context(|| format!("read the settings of {name}"))?;
    Ok(Some(Listed {
        partitions,
        cleanup: settings.get("cleanup.policy").cloned().unwrap_or_default(),
        retention_ms: settings.get("retention.ms").and_then(|text| text.parse().ok()),
        ends: admin.watermarks(name).with_context(|| format!("read the ends of {name}"))?,
    }))
}

impl Listed {
    fn text(&self) -> String {
        let records: i64 = self.ends.iter().map(|(low, high)| high - low).sum();
        let ends: Vec<String> = self.ends.iter().map(|(low, high)| format!("{low}..{high}")).collect();
        let (partitions, cleanup) = (self.partitions, self.cleanup());
        format!("{partitions} partitions  {cleanup:<12} {records:>12} offsets  {}", ends.join("  "))
    }

    /// With the retention, where records go by age.
    fn cleanup(&self) -> String {
        const DAY_MS: i64 = 24 * 3600 * 1000;
        match self.retention_ms.filter(|retention| *retention >= 0 && self.cleanup.contains("delete")) {
            Some(retention) if retention % DAY_MS == 0 => format!("{}, {} d", self.cleanup, retention / DAY_MS),
            Some(retention) => format!("{}, {retention} ms", self.cleanup),
            None => self.cleanup.clone(),
        }
    }
}
