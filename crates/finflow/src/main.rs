//! `finflow`: every stage by itself, and all of them in one process.

mod cli;
mod replay;
mod tail;
mod topics;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use harness::Shutdown;

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
    let matches = command().get_matches();
    if let Some(code) = stage(&matches) {
        return code;
    }
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let result = match cli.command {
        Command::Up(args) => return up::main(*args),
        Command::Replay(args) => replay::run(&args),
        Command::Tail(args) => tail::run(&args, &interrupted()).map(|()| ExitCode::SUCCESS),
        Command::Topics(command) => topics::run(&command).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("finflow: {error:#}");
        match error.downcast_ref::<clap::Error>() {
            Some(_) => ExitCode::from(EXIT_USAGE),
            None => ExitCode::FAILURE,
        }
    })
}

/// A shutdown that Ctrl-C sets, for commands that are no stage.
fn interrupted() -> Shutdown {
    let shutdown = Shutdown::new();
    let heard = shutdown.clone();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        if let Ok(runtime) = runtime
            && runtime.block_on(tokio::signal::ctrl_c()).is_ok()
        {
            heard.trigger("Ctrl-C");
        }
    });
    shutdown
}
