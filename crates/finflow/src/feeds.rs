//! `finflow feeds list|check`: which live venues there are and what each wants, and whether one of them answers.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use harness::SystemClock;
use ingest::live::{LiveFeed, probe};
use ingest::venues::{self, Continuity, Limits};
use serde_json::json;

use crate::cli::{FeedsCheckArgs, FeedsCommand, FeedsListArgs};
use crate::settings::Settings;
use crate::usage;

pub fn main(command: Option<FeedsCommand>) -> ExitCode {
    match command {
        None => list(&FeedsListArgs { json: false }),
        Some(FeedsCommand::List(args)) => list(&args),
        Some(FeedsCommand::Check(args)) => match prepare(&args) {
            Ok((config, feed)) => check(&args, &config, &feed),
            Err(error) => usage("feeds check", &error),
        },
    }
}

fn list(args: &FeedsListArgs) -> ExitCode {
    for name in venues::NAMES {
        let venue = venues::of(name).expect("every listed name is known");
        let limits = venue.limits();
        let keys = keys(limits);
        if args.json {
            let row = json!({
                "name": name, "address": limits.address, "keys": keys, "symbols": limits.symbols,
                "connects": limits.connects.to_string(), "sends": limits.sends.to_string(),
                "most_symbols": limits.most_symbols, "life_seconds": limits.life.map(|life| life.as_secs()),
                "silence_seconds": limits.silence.as_secs(), "connections_per_key": one_per_key(limits).then_some(1),
                "gaps": gaps(limits),
            });
            println!("{row}");
            continue;
        }
        println!("{name}");
        println!("  key      {}", if keys.is_empty() { "none".to_owned() } else { keys.join(", ") });
        println!("  symbols  such as {}", limits.symbols.join(" "));
        println!("  limits   {}", allowed(limits));
        println!("  gaps     {}", gaps(limits));
    }
    ExitCode::SUCCESS
}

/// The settings that hold what the venue wants to know us by.
fn keys(limits: &Limits) -> Vec<String> {
    let key = limits.needs_key.then(|| format!("{}.api_key", limits.name));
    let secret = limits.needs_secret.then(|| format!("{}.api_secret", limits.name));
    key.into_iter().chain(secret).collect()
}

fn one_per_key(limits: &Limits) -> bool {
    limits.needs_key && !limits.overlap
}

fn allowed(limits: &Limits) -> String {
    let mut all = vec![
        format!("{} symbols per connection", limits.most_symbols),
        format!("{} handshakes", limits.connects),
        format!("{} messages", limits.sends),
    ];
    if one_per_key(limits) {
        all.push("one connection per key".to_owned());
    }
    all.extend(limits.life.map(|life| format!("a connection lives {}", harness::Duration(life))));
    all.join(", ")
}

fn gaps(limits: &Limits) -> &'static str {
    match limits.continuity {
        Continuity::Ids => "known exactly, by trade id",
        Continuity::Connection => "by the numbers of messages, and each disconnect",
        Continuity::Nothing => "each disconnect",
    }
}

/// The feed as ingest would read it, keys and all; what is wrong with it is wrong usage.
fn prepare(args: &FeedsCheckArgs) -> anyhow::Result<(ingest::Config, LiveFeed)> {
    let words = args.set.iter().flat_map(|pair| ["--set".to_owned(), pair.clone()]).collect();
    // Any feed: one must be named for the settings to be whole.
    let own = vec![("feeds", "synthetic:".to_owned())];
    let settings = Settings { file: args.config.as_deref(), own, words, ..Settings::default() };
    let config = settings.load::<ingest::Config>("ingest")?.config;
    let feed = probe::feed(&args.feed, &args.symbol, &config).map_err(|problem| anyhow!(problem))?;
    Ok((config, feed))
}

fn check(args: &FeedsCheckArgs, config: &ingest::Config, feed: &LiveFeed) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("finflow feeds check: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let mut tell = |step: probe::Step| println!("ok      {step}");
    match runtime.block_on(probe::look(feed, config, Arc::new(SystemClock), *args.deadline, &mut tell)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("failed  {problem}");
            ExitCode::FAILURE
        }
    }
}
