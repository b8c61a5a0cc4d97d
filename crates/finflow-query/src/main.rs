//! `finflow-query`, which `finflow query` runs: SQL over the lake, by DataFusion, on the objects that Athena reads and with
//! the same named queries.
//!
//! In: the name of a query or SQL, and where the lake is. Out: rows as a table, CSV or JSON lines, or a plot. Each query
//! sees one listing of each table that it names ([`objects`]); what it may read is known, and refused above a limit,
//! before the first object is opened ([`run`]). Nothing is ever written to the lake.

use std::process::ExitCode;

use clap::Parser;

mod args;
mod functions;
mod objects;
mod output;
mod place;
mod plot;
mod run;
mod schema;
mod statement;
mod tables;

use args::Args;

/// As a shell tells of a program that Ctrl-C ended.
const EXIT_INTERRUPTED: u8 = 130;
const EXIT_USAGE: u8 = 2;

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
    // On a thread of its own: a query that computes for long must not keep Ctrl-C from being heard.
    let query = runtime.spawn(run::main(args, sql));
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = query => Some(ended),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    runtime.shutdown_background();
    match ended {
        Some(Ok(Ok(()))) => ExitCode::SUCCESS,
        Some(Ok(Err(error))) => {
            eprintln!("finflow query: {error:#}");
            ExitCode::FAILURE
        }
        Some(Err(panic)) => {
            eprintln!("finflow query: the query broke off: {panic}");
            ExitCode::FAILURE
        }
        None => {
            eprintln!("finflow query: interrupted; what was printed is not the whole answer");
            ExitCode::from(EXIT_INTERRUPTED)
        }
    }
}
