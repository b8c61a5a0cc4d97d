//! `finflow feeds list|check`: which live venues there are and what each wants, and whether one of them answers.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use harness::SystemClock;
use ingest::Feed;
use ingest::live::poll::look;
use ingest::live::{LiveFeed, PollFeed, probe};
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
    for name in venues::poll::NAMES {
        let venue = venues::poll::of(name).expect("every listed name is known");
        let limits = venue.limits();
        let key = format!("{}.api_key", limits.keys_of);
        let rates: Vec<String> = limits.rates.iter().map(ToString::to_string).collect();
        if args.json {
            let row = json!({
                "name": name, "address": limits.address, "keys": [key], "symbols": limits.symbols, "reads": limits.reads,
                "requests": rates, "every_seconds": limits.every.as_secs(),
            });
            println!("{row}");
            continue;
        }
        println!("{name}");
        println!("  key      {key}");
        println!("  symbols  such as {}", limits.symbols.join(" "));
        println!("  reads    {}, by asking again and again", limits.reads.join(", "));
        println!("  limits   {} requests", rates.join(", "));
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

/// What is looked at.
enum Checked {
    Streamed(Box<LiveFeed>),
    Polled(PollFeed),
}

/// The feed as ingest would read it, keys and all; what is wrong with it is wrong usage.
fn prepare(args: &FeedsCheckArgs) -> anyhow::Result<(ingest::Config, Checked)> {
    let words = args.set.iter().flat_map(|pair| ["--set".to_owned(), pair.clone()]).collect();
    // Any feed: one must be named for the settings to be whole.
    let own = vec![("feeds", "synthetic:".to_owned())];
    let settings = Settings { file: args.config.as_deref(), own, words, ..Settings::default() };
    let config = settings.load::<ingest::Config>("ingest")?.config;
    let polled = args.feed.parse::<Feed>().is_ok_and(|feed| feed.is_polled());
    let feed = if polled {
        look::feed(&args.feed, &args.symbol, &config).map(Checked::Polled)
    } else {
        probe::feed(&args.feed, &args.symbol, &config).map(|feed| Checked::Streamed(Box::new(feed)))
    };
    Ok((config, feed.map_err(|problem| anyhow!(problem))?))
}

fn check(args: &FeedsCheckArgs, config: &ingest::Config, feed: &Checked) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("finflow feeds check: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let looked = match feed {
        Checked::Streamed(feed) => {
            let mut tell = |step: probe::Step| println!("ok      {step}");
            runtime.block_on(probe::look(feed, config, Arc::new(SystemClock), *args.deadline, &mut tell))
        }
        Checked::Polled(feed) => {
            let mut tell = |outcome: Result<String, String>| match outcome {
                Ok(found) => println!("ok      {found}"),
                Err(why) => println!("failed  {why}"),
            };
            runtime.block_on(look::look(feed, &SystemClock, *args.deadline, &mut tell))
        }
    };
    match looked {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            println!("failed  {problem}");
            ExitCode::FAILURE
        }
    }
}
