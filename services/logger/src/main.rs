fn main() -> std::process::ExitCode {
    harness::main("logger", logger::run)
}
