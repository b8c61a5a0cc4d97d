//! The harness from outside: `examples/echo.rs` as a real process, with real signals and a real admin port.

mod config;
mod life;
mod process;
mod renewal;
mod traces;
