//! Lines to standard output, no more than so many each second.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::line::Line;

/// A line is seen at most this late while records keep coming.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);
const BUFFER_BYTES: usize = 1 << 16;

pub struct Printer {
    out: Box<dyn Write + Send>,
    colour: bool,
    buffer: String,
    flushed: Instant,
    per_second: Option<u32>,
    second: Instant,
    left: u32,
    pub printed: u64,
    pub suppressed: u64,
}

impl Printer {
    /// `per_second`: none is no limit.
    pub fn new(out: Box<dyn Write + Send>, colour: bool, per_second: Option<u32>) -> Self {
        let now = Instant::now();
        Printer {
            out,
            colour,
            buffer: String::new(),
            flushed: now,
            per_second,
            second: now,
            left: per_second.unwrap_or(0),
            printed: 0,
            suppressed: 0,
        }
    }

    /// The line is made only if it is printed: making it costs more than reading the record.
    pub fn print(&mut self, now: Instant, line: impl FnOnce() -> Line) -> std::io::Result<()> {
        if !self.may_print(now) {
            self.suppressed += 1;
            return Ok(());
        }
        line().write(&mut self.buffer, self.colour);
        self.printed += 1;
        if self.buffer.len() >= BUFFER_BYTES || now.duration_since(self.flushed) >= FLUSH_INTERVAL {
            return self.flush(now);
        }
        Ok(())
    }

    pub fn flush(&mut self, now: Instant) -> std::io::Result<()> {
        self.flushed = now;
        if self.buffer.is_empty() {
            return Ok(());
        }
        let result = self.out.write_all(self.buffer.as_bytes()).and_then(|()| self.out.flush());
        self.buffer.clear();
        result
    }

    fn may_print(&mut self, now: Instant) -> bool {
        let Some(per_second) = self.per_second else { return true };
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            self.second = now;
            self.left = per_second;
        }
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn lines(&self) -> usize {
            self.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count()
        }
    }

    #[test]
    fn no_more_lines_than_allowed_each_second_and_the_rest_is_counted() {
        let sink = Sink::default();
        let mut printer = Printer::new(Box::new(sink.clone()), false, Some(3));
        let start = Instant::now();
        for _ in 0..5 {
            printer.print(start, Line::default).unwrap();
        }
        let later = start + Duration::from_secs(1);
        for _ in 0..2 {
            printer.print(later, Line::default).unwrap();
        }
        printer.flush(later).unwrap();
        assert_eq!((printer.printed, printer.suppressed, sink.lines()), (5, 2, 5));
    }

    #[test]
    fn zero_prints_nothing_and_none_prints_all() {
        let now = Instant::now();
        for (per_second, printed) in [(Some(0), 0), (None, 1000)] {
            let sink = Sink::default();
            let mut printer = Printer::new(Box::new(sink.clone()), false, per_second);
            for _ in 0..1000 {
                printer.print(now, Line::default).unwrap();
            }
            printer.flush(now).unwrap();
            assert_eq!((printer.printed, sink.lines()), (printed, usize::try_from(printed).unwrap()));
        }
    }

    #[test]
    fn a_line_does_not_wait_for_the_buffer_to_fill() {
        let sink = Sink::default();
        let mut printer = Printer::new(Box::new(sink.clone()), false, None);
        let now = Instant::now();
        printer.print(now, Line::default).unwrap();
        printer.print(now + FLUSH_INTERVAL, Line::default).unwrap();
        assert_eq!(sink.lines(), 2);
    }
}
