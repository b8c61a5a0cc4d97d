//! `finflow replay FILE… --brokers HOST:PORT`: ingest, with the words of a person at a terminal.

use std::process::ExitCode;

use clap::ArgMatches;

use crate::cli::ReplayArgs;
use crate::settings::{QUIET, Settings};
use crate::usage;

pub fn main(args: ReplayArgs) -> ExitCode {
    match matches(args) {
        Ok(matches) => harness::run_with("ingest", &matches, ingest::run),
        Err(error) => usage("replay", &error),
    }
}

fn matches(args: ReplayArgs) -> anyhow::Result<ArgMatches> {
    let mut own = vec![("feeds", args.files.join(",")), ("admin", "off".to_owned())];
    own.extend(args.brokers.map(|brokers| ("kafka.brokers", brokers)));
    own.extend(args.speed.into_iter().flat_map(|speed| speed.0));
    own.extend(args.repeat.then(|| ("loop", "true".to_owned())));
    own.extend(args.rebase.map(|rebase| ("rebase", rebase.to_string())));
    let otherwise = vec![("speed", "max".to_owned()), ("log.level", QUIET.to_owned())];
    let mut words: Vec<String> = args.set.into_iter().flat_map(|pair| ["--set".to_owned(), pair]).collect();
    words.push("--until-end".to_owned());
    Settings { file: args.config.as_deref(), own, otherwise, words }.matches::<ingest::Config>("ingest")
}
