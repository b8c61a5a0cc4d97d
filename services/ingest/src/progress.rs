//! Shows how far a long replay is: a bar on a terminal, else a line every few seconds.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::config::Progress;

const LINE_EVERY: Duration = Duration::from_secs(5);
const BAR_EVERY: Duration = Duration::from_millis(200);

/// What a display needs to know.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    pub rows: u64,
    /// Of the files as they lie on disk.
    pub bytes: u64,
    /// 0 if the end is not known, as in a loop.
    pub total_bytes: u64,
}

pub struct Display {
    kind: Kind,
    started: Instant,
    last: Instant,
}

enum Kind {
    Off,
    Lines,
    Bar(ProgressBar),
}

impl Display {
    pub fn new(choice: Progress) -> Self {
        let kind = match choice {
            Progress::Off => Kind::Off,
            Progress::Lines => Kind::Lines,
            Progress::Auto if !std::io::stderr().is_terminal() => Kind::Lines,
            Progress::Bar | Progress::Auto => {
                let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
                let style = ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {msg}");
                bar.set_style(style.expect("the template is a constant that a test has drawn"));
                Kind::Bar(bar)
            }
        };
        Display { kind, started: Instant::now(), last: Instant::now() }
    }

    /// Call as often as convenient; it draws a few times a second, or writes a line every few seconds.
    pub fn update(&mut self, reading: impl FnOnce() -> Reading) {
        let every = match self.kind {
            Kind::Off => return,
            Kind::Lines => LINE_EVERY,
            Kind::Bar(_) => BAR_EVERY,
        };
        if self.last.elapsed() < every {
            return;
        }
        self.last = Instant::now();
        let reading = reading();
        let text = describe(reading, self.started.elapsed());
        match &self.kind {
            Kind::Bar(bar) => {
                bar.set_length(reading.total_bytes.max(reading.bytes));
                bar.set_position(reading.bytes);
                bar.set_message(text);
            }
            _ => tracing::info!(rows = reading.rows, bytes = reading.bytes, "replaying: {text}"),
        }
    }

    pub fn finish(&mut self) {
        if let Kind::Bar(bar) = &self.kind {
            bar.finish_and_clear();
        }
    }
}

/// `104224 rows, 2.5 MB/s, 3 seconds left`.
fn describe(reading: Reading, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let speed = reading.bytes as f64 / seconds / 1e6;
    let mut text = format!("{} rows, {speed:.1} MB/s, {:.0} rows/s", reading.rows, reading.rows as f64 / seconds);
    if reading.bytes > 0 && reading.total_bytes > reading.bytes {
        let left = seconds * (reading.total_bytes - reading.bytes) as f64 / reading.bytes as f64;
        let left = Duration::from_secs_f64(left.min(1e9));
        text.push_str(&format!(", {} left", HumanDuration(left)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_rows_speed_and_what_is_left() {
        let reading = Reading { rows: 1000, bytes: 2_000_000, total_bytes: 8_000_000 };
        let text = describe(reading, Duration::from_secs(2));
        assert_eq!(text, "1000 rows, 1.0 MB/s, 500 rows/s, 6 seconds left");
        let endless = describe(Reading { total_bytes: 0, ..reading }, Duration::from_secs(2));
        assert!(!endless.contains("left"), "{endless}");
    }

    #[test]
    fn the_bar_can_be_drawn() {
        let mut display = Display::new(Progress::Bar);
        display.last = Instant::now() - Duration::from_secs(10);
        display.update(|| Reading { rows: 1, bytes: 5, total_bytes: 10 });
        let Kind::Bar(bar) = &display.kind else { panic!() };
        assert_eq!((bar.position(), bar.length()), (5, Some(10)));
        display.finish();
    }
}
