fn main() -> std::process::ExitCode {
    harness::main("alert", alert::run)
}
