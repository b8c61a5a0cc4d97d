use std::process::ExitCode;

fn main() -> ExitCode {
    harness::main("gateway", gateway::run)
}
