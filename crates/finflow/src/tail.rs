//! `finflow tail TOPIC`: records as they come, one line each.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use streams::{Admin, Consumer, ConsumerOptions, Env, KafkaConfig, Polled, Record, Start, TopicPartition};

use crate::cli::TailArgs;
use crate::settings::Tool;

/// How long a turn waits for a record before it looks at Ctrl-C again.
const TURN: Duration = Duration::from_millis(100);

pub fn main(args: TailArgs) -> ExitCode {
    Tool::run("tail", &args.kafka.clone(), move |env, kafka| run(&args, env, kafka))
}

fn run(args: &TailArgs, env: &Env, kafka: &KafkaConfig) -> anyhow::Result<()> {
    let shutdown = &env.shutdown;
    let admin = Admin::new(env, kafka).with_context(|| format!("connect to {}", kafka.brokers))?;
    match admin.wait_for(&[args.topic.as_str()]) {
        Err(error) if error.is_stopped() => return Ok(()),
        answer => answer?,
    }
    let ends: Vec<(i64, i64)> = admin.watermarks(&args.topic)?;
    // A group of its own that commits nothing: it sees every partition and leaves no trace.
    let group = format!("finflow-tail-{}", std::process::id());
    let oldest = args.from_beginning || args.last.is_some() || args.until_end;
    let start = if oldest { Start::Earliest } else { Start::Latest };
    let mut consumer = Consumer::new(env, kafka, ConsumerOptions::new(group, [args.topic.as_str()]).start(start))?;
    let mut left = args.max.unwrap_or(u64::MAX);
    let mut open: Vec<bool> = ends.iter().map(|(low, high)| low < high).collect();
    let mut out = io::stdout().lock();
    while left > 0 && !shutdown.is_set() && (!args.until_end || open.contains(&true)) {
        match consumer.poll(TURN)? {
            Polled::Record(record) => {
                let end = ends.get(record.partition as usize).map_or(i64::MAX, |(_, high)| *high);
                if args.until_end && record.offset >= end {
                    open[record.partition as usize] = false;
                    continue;
                }
                if args.key.as_ref().is_none_or(|key| record.key == Some(key.as_bytes())) {
                    write_record(&mut out, &record, args.json).context("write to the terminal")?;
                    left -= 1;
                }
            }
            Polled::Assigned(partitions) => match args.last {
                Some(last) => consumer.assign_at(&positions(&partitions, &ends, last))?,
                None => consumer.assign()?,
            },
            Polled::Revoked(_) | Polled::Lost(_) => consumer.release()?,
            Polled::CaughtUp(partition, _) => {
                if let Some(open) = open.get_mut(partition.partition as usize) {
                    *open = false;
                }
            }
            Polled::Idle => out.flush().context("write to the terminal")?,
        }
    }
    out.flush().context("write to the terminal")?;
    consumer.close()?;
    Ok(())
}

fn positions(partitions: &[TopicPartition], ends: &[(i64, i64)], last: i64) -> Vec<(TopicPartition, i64)> {
    let position = |partition: &TopicPartition| {
        let (low, high) = ends.get(partition.partition as usize).copied().unwrap_or((0, 0));
        (high - last.max(0)).max(low)
    };
    partitions.iter().map(|partition| (partition.clone(), position(partition))).collect()
}

fn write_record(out: &mut impl Write, record: &Record<'_>, as_json: bool) -> io::Result<()> {
    if as_json {
        return writeln!(out, "{}", to_json(record));
    }
    let key = record.key.map_or("-".into(), String::from_utf8_lossy);
    let value = record.value.map_or("(deleted)".into(), String::from_utf8_lossy);
    writeln!(out, "{}:{:<8} {key:<20} {value}", record.partition, record.offset)
}

/// The value is a string, whatever it holds: read as JSON here, long numbers would lose digits.
fn to_json(record: &Record<'_>) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let headers: serde_json::Map<String, Value> =
        record.headers().map(|(name, value)| (name.into_owned(), value.map(text).into())).collect();
    json!({
        "topic": record.topic, "partition": record.partition, "offset": record.offset,
        "timestamp_ms": record.timestamp_ms, "key": record.key.map(text), "headers": headers,
        "value": record.value.map(text),
    })
}
