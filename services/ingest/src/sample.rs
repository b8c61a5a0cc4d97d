//! The pace of the original demo: one random row of the recordings, every second, for ever.
//!
//! The rows are read once and kept as the records they become. Each draw is a pass of its own, so positions, resume and
//! the moving of times work as in a loop; without `rebase` a row keeps its own time, as in the demo, and a row drawn
//! twice is a duplicate to whoever looks at trade ids.

use std::ops::Range;

use market::Event;

use crate::config::Rebase;
use crate::pipeline::Replay;
use crate::position::Position;
use crate::reel::{State, settle};
use crate::resume::Target;
use crate::rng::Rng;
use crate::writer::Origin;

/// Rows beyond this are not sampled: they would not fit in a small container.
const MOST_BYTES: usize = 256 * 1024 * 1024;

pub struct Sample {
    records: Vec<u8>,
    rows: Vec<Row>,
}

struct Row {
    reel: usize,
    line: u64,
    sub: u32,
    record: Range<usize>,
}

impl Sample {
    /// Reads all feeds to their end. Bad rows are dead-lettered now: they cannot be drawn.
    pub fn read(replay: &mut Replay) -> streams::Result<Sample> {
        let mut sample = Sample { records: Vec::new(), rows: Vec::new() };
        for index in 0..replay.reels.len() {
            replay.reels[index].advance(Some(1));
            while replay.reels[index].state == State::Loaded && sample.records.len() < MOST_BYTES {
                replay.tally.read();
                sample.keep(replay, index);
                let reel = &replay.reels[index];
                // Rows are read in pass 0, before every draw, wherever the draws have got to.
                let line = reel.piece.line;
                if reel.piece.bad.is_some() && !reel.known.covers(0, line) {
                    replay.write_bad(index)?;
                }
                let reel = &mut replay.reels[index];
                reel.finished = reel.finished.max((0, line));
                reel.advance(Some(1));
                replay.housekeep_sometimes();
                if replay.env.shutdown.is_set() {
                    break;
                }
            }
        }
        if sample.records.len() >= MOST_BYTES {
            tracing::warn!(rows = sample.rows.len(), "too much to keep, sampling from the first rows only");
        }
        Ok(sample)
    }

    fn keep(&mut self, replay: &mut Replay, index: usize) {
        let piece = &replay.reels[index].piece;
        if piece.bad.is_none() && piece.found.events.is_empty() {
            replay.tally.ignored(piece.found.ignored.unwrap_or("other"));
        } else if piece.bad.is_none() {
            replay.tally.line();
        }
        for (sub, event) in (0..).zip(&piece.found.events) {
            let from = self.records.len();
            event.encode(&mut self.records);
            self.rows.push(Row { reel: index, line: piece.line, sub, record: from..self.records.len() });
        }
    }

    /// Draws until the shutdown, or once per row if told to end.
    pub fn play(&self, replay: &mut Replay) -> streams::Result<()> {
        let mut rng = Rng::new(replay.config.seed);
        let mut draw = 0;
        while !self.rows.is_empty() && !replay.env.shutdown.is_set() {
            draw += 1;
            let row = &self.rows[rng.below(self.rows.len() as u64) as usize];
            if self.is_there(replay, row, draw) {
                continue;
            }
            if replay.env.drain.is_set() && draw > self.rows.len() as u64 {
                break;
            }
            if !replay.wait_for(0)? {
                break;
            }
            self.draw(replay, row, draw)?;
            replay.housekeep_every()?;
        }
        Ok(())
    }

    /// Whether an earlier run has written this draw. One that was killed may have left a partition behind the others.
    fn is_there(&self, replay: &mut Replay, row: &Row, draw: u64) -> bool {
        let known = &replay.reels[row.reel].known;
        if known.covers(draw, row.line) {
            return true;
        }
        if draw > known.highest().pass {
            return false;
        }
        let Ok(event) = Event::decode(&self.records[row.record.clone()]) else { return false };
        let position = Position { pass: draw, line: row.line, sub: row.sub };
        let is_there = known.has(Target::Output, replay.writer.partition_of(&event), position);
        if is_there {
            replay.tally.resumed();
        }
        is_there
    }

    fn draw(&self, replay: &mut Replay, row: &Row, draw: u64) -> streams::Result<()> {
        let Ok(mut event) = Event::decode(&self.records[row.record.clone()]) else { return Ok(()) };
        let now = replay.env.clock.now_ns();
        let moved = replay.config.rebase == Rebase::Now;
        let reel = &mut replay.reels[row.reel];
        let position = Position { pass: draw, line: row.line, sub: row.sub };
        let partition = replay.writer.partition_of(&event);
        if moved {
            let happened = event.event_time().unwrap_or(now);
            reel.course.apply_at(&mut event, now.saturating_sub(happened), draw);
        }
        settle(&mut event, now);
        let origin = Origin { feed: &reel.id, label: &reel.label, position };
        if replay.writer.event(&event, partition, origin)?.is_ok() {
            reel.events += 1;
            replay.tally.produced(&event, partition);
        }
        reel.finished = (draw, row.line);
        Ok(())
    }
}
