//! `finflow-query`, which `finflow query` runs: SQL over the lake, by DataFusion, on the objects that Athena reads and with
//! the same named queries; or by Athena itself ([`athena`]).
//!
//! In: the name of a query or SQL, and where the lake is. Out: rows as a table, CSV, JSON lines or Parquet, or a plot. Each query
//! sees one listing of each table that it names ([`objects`]); what it may read is known, and refused above a limit,
//! before the first object is opened ([`run`]). Nothing is ever written to the lake.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;

mod args;
mod athena;
mod functions;
mod objects;
mod output;
mod place;
mod plot;
mod run;
mod schema;
mod sink;
mod statement;
mod tables;

use args::{Args, Engine};

/// As a shell tells of a program that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;
const EXIT_USAGE: u8 = 2;

/// How a query ended that did not fail.
enum Ended {
    Done,
    /// By Ctrl-C; with what became of it.
    Interrupted(String),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let sql = match statement::of(&args) {
        Ok(Some(sql)) => sql,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("finflow query: {error:#}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("finflow query: start the threads: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match args.engine {
            Engine::Local => here(args, sql).await,
            Engine::Athena => athena::main(args, sql).await,
        }
    });
    runtime.shutdown_background();
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted(what)) => {
            sink::abandon();
            eprintln!("finflow query: interrupted; {what}");
            ExitCode::from(EXIT_INTERRUPTED)
        }
        Err(error) => {
            eprintln!("finflow query: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn here(args: Args, sql: String) -> anyhow::Result<Ended> {
    // On a thread of its own: a query that computes for long must not keep Ctrl-C from being heard.
    let query = tokio::spawn(run::main(args, sql));
    tokio::select! {
        ended = query => ended.context("the query broke off")?.map(|()| Ended::Done),
        _ = tokio::signal::ctrl_c() => Ok(Ended::Interrupted("what was printed is not the whole answer".to_owned())),
    }
}
