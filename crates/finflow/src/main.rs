//! `finflow`: every stage by itself, and all of them in one process.

mod catalog;
mod cli;
mod compact;
mod doctor;
mod expire;
mod feeds;
mod lake_args;
mod query;
mod repartition;
mod replay;
mod settings;
mod tail;
mod topics;
mod up;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use crate::cli::{Cli, Command};

/// Wrong usage or settings, as for every service.
const EXIT_USAGE: u8 = 2;

/// The stages are sub-commands with the flags of their own binaries.
macro_rules! stages {
    ($($stage:ident),+) => {
        fn command() -> clap::Command {
            Cli::command()$(.subcommand(harness::command::<$stage::Config>(stringify!($stage))))+
        }

        fn stage(matches: &clap::ArgMatches) -> Option<ExitCode> {
            match matches.subcommand()? {
                $((stringify!($stage), matches) => Some(harness::run_with(stringify!($stage), matches, $stage::run)),)+
                _ => None,
            }
        }
    };
}

stages!(ingest, aggregate, alert, store, logger, gateway);

fn main() -> ExitCode {
    let dotenv = harness::dotenv();
    let matches = command().get_matches();
    if matches!(matches.subcommand_name(), Some("store" | "up")) {
        harness::share_arenas();
    }
    if let Err(problem) = dotenv {
        eprintln!("finflow: {problem}");
        return ExitCode::from(EXIT_USAGE);
    }
    if let Some(code) = stage(&matches) {
        return code;
    }
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Up(args) => up::main(*args),
        Command::Replay(args) => replay::main(args),
        Command::Tail(args) => tail::main(args),
        Command::Topics(command) => topics::main(command),
        Command::Repartition(args) => repartition::main(args),
        Command::Doctor(args) => doctor::main(&args),
        Command::Query(args) => query::main(&args),
        Command::Verify(args) => verify::main(args),
        Command::Feeds(args) => feeds::main(args.command),
        Command::Catalog(command) => catalog::main(command),
        Command::Compact(args) => compact::main(&args),
        Command::Lake(command) => expire::main(command),
    }
}

/// Settings with which nothing was started.
fn usage(command: &str, error: &anyhow::Error) -> ExitCode {
    eprintln!("finflow {command}: {error:#}");
    ExitCode::from(EXIT_USAGE)
}
