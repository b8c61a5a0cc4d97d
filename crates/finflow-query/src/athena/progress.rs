//! How far a query is, beside the rows: one line that changes on a terminal, elsewhere a line now and then.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use harness::grouped;

/// Without a terminal what is new about the same state is told that often.
const EVERY: Duration = Duration::from_secs(10);

pub(super) struct Progress {
    begun: Instant,
    terminal: bool,
    told: Option<(String, Instant)>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), terminal: stderr().is_terminal(), told: None }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    pub(super) fn tell(&mut self, state: &str, scanned: u64) {
        let line = format!("{}, {} bytes scanned, {:.1} s", state.to_lowercase(), grouped(scanned), self.seconds());
        if self.terminal {
            // Back to the start of the line, and what stood there is gone.
            eprint!("\r\x1b[K{line}");
            self.told = Some((state.to_owned(), Instant::now()));
        } else if self.told.as_ref().is_none_or(|(told, at)| told != state || at.elapsed() >= EVERY) {
            eprintln!("{line}");
            self.told = Some((state.to_owned(), Instant::now()));
        }
    }
}

impl Drop for Progress {
    /// What is said next has a line of its own.
    fn drop(&mut self) {
        if self.terminal && self.told.is_some() {
            eprintln!();
        }
    }
}
