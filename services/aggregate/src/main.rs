fn main() -> std::process::ExitCode {
    harness::main("aggregate", aggregate::run)
}
