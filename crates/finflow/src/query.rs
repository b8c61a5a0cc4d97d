//! `finflow query`: becomes the program that holds the SQL engine.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::cli::QueryArgs;

const PROGRAM: &str = "finflow-query";

pub fn main(args: &QueryArgs) -> ExitCode {
    // Beside this program, as both are installed; else wherever a shell would find it.
    let beside = std::env::current_exe().ok().map(|own| own.with_file_name(PROGRAM)).filter(|path| path.is_file());
    let program = beside.unwrap_or_else(|| PathBuf::from(PROGRAM));
    // In place of this process, so that signals, pipes and the exit code are its own.
    let error = Command::new(&program).args(&args.words).exec();
    eprintln!(
        "finflow query: run {}: {error}; the SQL engine is a program of its own, so that nobody else waits for its compiler: \
         `make query` builds it beside finflow in some minutes; elsewhere put {PROGRAM} beside finflow or on the PATH",
        program.display()
    );
    ExitCode::FAILURE
}
