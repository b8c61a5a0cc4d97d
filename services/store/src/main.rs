use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main("store", store::run)
}
