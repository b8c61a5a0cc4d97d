//! The process: settings and signals by the harness, work by the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main("ingest", ingest::run)
}
