use std::process::ExitCode;

fn main() -> ExitCode {
    harness::share_arenas();
    harness::main("store", store::run)
}
