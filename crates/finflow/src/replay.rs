//! `finflow replay FILE… --brokers HOST:PORT`: ingest, with the words of a person at a terminal.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::cli::ReplayArgs;
use crate::up::speed;

pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let mut words = vec!["ingest".to_owned(), "--brokers".to_owned(), args.brokers.clone()];
    let mut set = |key: &str, value: &str| words.extend(["--set".to_owned(), format!("{key}={value}")]);
    set("feeds", &args.files.join(","));
    for (key, value) in speed::settings(&args.speed).map_err(|problem| anyhow!(problem))? {
        set(key, &value);
    }
    set("loop", if args.repeat { "true" } else { "false" });
    set("rebase", if args.rebase == "now" { "now" } else { "none" });
    for pair in &args.set {
        words.extend(["--set".to_owned(), pair.clone()]);
    }
    words.extend(["--admin".to_owned(), "off".to_owned(), "--log-level".to_owned(), "warn".to_owned()]);
    words.push("--until-end".to_owned());
    let matches = harness::command::<ingest::Config>("ingest").try_get_matches_from(words)?;
    Ok(harness::run_with("ingest", &matches, ingest::run))
}
