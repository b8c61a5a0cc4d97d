//! The loop: take the earliest piece in hand, wait until it is due, write it, get the next one.
//!
//! Feeds are merged by recorded time, paced or not, so that two halves of a session come in their order at any speed.
//! Everything here runs on one thread; librdkafka's own threads compress and send. When Kafka is away the producer's
//! queue fills up and `send` waits: nothing is dropped, and nothing more is read.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::{Context, Latch};
use market::{Event, Trade};
use streams::{Admin, Env, Outgoing, StreamError, header};

use crate::config::{Config, Rebase, Speed};
use crate::observe::Tally;
use crate::pace::{Pace, Pacer};
use crate::progress::{Display, Reading};
use crate::recover::{self, Places};
use crate::reel::{Reel, State};
use crate::resume::{Checkpoint, Target};
use crate::sample::Sample;
use crate::sources::Bad;
use crate::start::Played;
use crate::summary::FeedSummary;
use crate::writer::{Origin, Writer};

/// Pieces between two looks at the clock, the counters and the checkpoint.
const HOUSEKEEPING_EVERY: u64 = 256;
/// The longest sleep between two looks at the shutdown while an event is not yet due.
const NAP: Duration = Duration::from_millis(50);
/// How long a checkpoint may wait for acknowledgements before it is put off, and how long a shutdown may.
const FLUSH: Duration = Duration::from_secs(10);

pub struct Replay {
    pub(crate) config: Config,
    pub(crate) env: Env,
    admin: Admin,
    places: Places,
    pub(crate) writer: Writer,
    pub(crate) tally: Tally,
    pub(crate) reels: Vec<Reel>,
    failed: Vec<FeedSummary>,
    pub(crate) pacer: Pacer,
    display: Display,
    pieces: u64,
    checkpoint_due: Instant,
    /// What the last checkpoint of each reel said: one is written only when there is news.
    written: Vec<Option<(u64, u64, bool, bool)>>,
}

impl Replay {
    #[allow(clippy::too_many_arguments)] // Made in one place, from parts that have nothing else in common.
    pub fn new(
        ctx: Context<Config>,
        env: Env,
        admin: Admin,
        places: Places,
        writer: Writer,
        tally: Tally,
        reels: Vec<Reel>,
        failed: Vec<FeedSummary>,
    ) -> Self {
        let config = ctx.config;
        let pace = match (config.sample, config.rate > 0.0, config.speed) {
            (true, ..) => Pace::Rate(1.0 / config.sample_every.as_secs_f64()),
            (_, true, _) => Pace::Rate(config.rate),
            (.., Speed::Max) => Pace::Max,
            (.., Speed::Times(factor)) => Pace::Recorded(factor),
        };
        Replay {
            pacer: Pacer::new(pace),
            display: Display::new(config.progress),
            written: vec![None; reels.len()],
            checkpoint_due: Instant::now(),
            pieces: 0,
            config,
            env,
            admin,
            places,
            writer,
            tally,
            reels,
            failed,
        }
    }

    /// Replays until all feeds have ended or the shutdown is set.
    pub fn play(mut self, ready: &Latch) -> anyhow::Result<Played> {
        let result = self.play_to_the_end(ready);
        self.display.finish();
        self.tally.publish(&self.reels, self.env.clock.now_ns(), true);
        match result {
            Ok(()) | Err(StreamError::Stopped(_)) => {}
            Err(error) => return Err(error).context("replay"),
        }
        let summary = self.tally.summary(&self.reels, &self.failed);
        let interrupted = self.reels.iter().any(|reel| !reel.has_ended());
        Ok(Played { summary, interrupted })
    }

    fn play_to_the_end(&mut self, ready: &Latch) -> streams::Result<()> {
        if self.config.sample {
            self.first_checkpoint()?;
            let sample = Sample::read(self)?;
            ready.release();
            sample.play(self)?;
        } else {
            self.load();
            self.rebase();
            self.first_checkpoint()?;
            ready.release();
            while !self.env.shutdown.is_set() && self.turn()? {}
        }
        self.finish()
    }

    /// Gets the first piece of each feed that is not known to be in Kafka in hand.
    fn load(&mut self) {
        for index in 0..self.reels.len() {
            if self.reels[index].has_ended() {
                continue;
            }
            self.advance(index);
            while self.reels[index].state == State::Loaded && !self.env.shutdown.is_set() {
                let reel = &self.reels[index];
                if !reel.known.covers(reel.pass, reel.piece.line) {
                    break;
                }
                self.tally.read();
                self.tally.skipped();
                self.advance(index);
                self.housekeep_sometimes();
            }
        }
    }

    /// Moves the sets of feeds so that the next event of each happens now. After an interruption the rest moves on to
    /// the new present: never back, so that nothing of it is late.
    fn rebase(&mut self) {
        if self.config.rebase != Rebase::Now {
            return;
        }
        let now = self.env.clock.now_ns();
        let sets: Vec<usize> = self.reels.iter().map(|reel| reel.course.set).collect();
        for (index, set) in sets.iter().enumerate() {
            let of_set = || self.reels.iter().zip(&sets).filter(|(_, of)| *of == set).map(|(reel, _)| reel);
            let earliest = of_set().filter_map(Reel::next_time).min();
            let before = of_set().map(|reel| reel.course.base).max().unwrap_or(0);
            // Feeds of one set come one after the other in this loop and must get the same base.
            if sets.iter().position(|other| other == set) == Some(index)
                && let Some(earliest) = earliest
            {
                let base = before.max(now.saturating_sub(earliest));
                for (reel, _) in self.reels.iter_mut().zip(&sets).filter(|(_, of)| *of == set) {
                    reel.set_base(base);
                }
            }
        }
    }

    /// One piece. `false` when all feeds have ended.
    fn turn(&mut self) -> streams::Result<bool> {
        let loaded = (0..self.reels.len()).filter(|index| self.reels[*index].state == State::Loaded);
        let Some(index) = loaded.min_by_key(|index| self.reels[*index].clock) else {
            if self.reels.iter().all(Reel::has_ended) {
                return Ok(false);
            }
            // Live sources have nothing at the moment.
            self.env.shutdown.wait_timeout(Duration::from_millis(5));
            (0..self.reels.len()).for_each(|index| self.advance_pending(index));
            self.housekeep()?;
            return Ok(true);
        };
        if !self.reels[index].piece.found.events.is_empty() && !self.wait_for(self.reels[index].clock)? {
            return Ok(false);
        }
        self.write(index)?;
        self.advance(index);
        self.housekeep_every()?;
        Ok(true)
    }

    /// Waits until a piece recorded at this time is due. `false` if the shutdown came first.
    pub(crate) fn wait_for(&mut self, recorded: i64) -> streams::Result<bool> {
        let now = self.env.clock.now_ns();
        let due = self.pacer.due(recorded, now);
        let mut left = due - now;
        while left > 0 {
            self.housekeep()?;
            let nap = NAP.min(Duration::from_nanos(left.unsigned_abs()));
            if self.env.shutdown.wait_timeout(nap) {
                return Ok(false);
            }
            left = due - self.env.clock.now_ns();
        }
        Ok(true)
    }

    /// Writes what the piece in hand holds.
    fn write(&mut self, index: usize) -> streams::Result<()> {
        let reel = &mut self.reels[index];
        let mut events = std::mem::take(&mut reel.piece.found.events);
        self.tally.read();
        if reel.piece.bad.is_none() {
            match events.is_empty() {
                true => self.tally.ignored(reel.piece.found.ignored.unwrap_or("other")),
                false => self.tally.line(),
            }
        }
        let now = self.env.clock.now_ns();
        for (sub, mut event) in events.drain(..).enumerate() {
            let partition = self.writer.partition_of(&event);
            let position = reel.position(sub);
            if reel.known.has(Target::Output, partition, position) {
                self.tally.resumed();
                continue;
            }
            if !reel.place(&mut event, now) {
                reel.piece.bad.get_or_insert_with(|| Bad::new("bad_time", "moved, its time lies beyond the year 2262"));
                continue;
            }
            let origin = Origin { feed: &reel.id, label: &reel.label, position };
            match self.writer.event(&event, partition, origin)? {
                Ok(()) => {
                    reel.events += 1;
                    if let Event::Trade(Trade { event_time, receive_time: Some(received), .. }) = &event {
                        reel.skew.note(*received, *event_time);
                    }
                    self.tally.produced(&event, partition);
                }
                Err(bad) => {
                    reel.piece.bad.get_or_insert(bad);
                }
            }
        }
        // Its memory is used again.
        self.reels[index].piece.found.events = events;
        if self.reels[index].piece.bad.is_some() {
            self.write_bad(index)?;
        }
        let reel = &mut self.reels[index];
        reel.finished = (reel.pass, reel.piece.line);
        Ok(())
    }

    pub(crate) fn write_bad(&mut self, index: usize) -> streams::Result<()> {
        let reel = &self.reels[index];
        let Some(bad) = &reel.piece.bad else { return Ok(()) };
        self.tally.invalid(reel, bad);
        // A text gives one dead letter, after all its events.
        let position = reel.position(usize::MAX);
        if reel.known.has(Target::DeadLetters, 0, position) {
            return Ok(());
        }
        let origin = Origin { feed: &reel.id, label: &reel.label, position };
        self.writer.bad(&reel.piece.text, bad, &reel.feed.path, origin)?;
        self.tally.dead_lettered();
        Ok(())
    }

    fn advance_pending(&mut self, index: usize) {
        if self.reels[index].state == State::Pending {
            self.advance(index);
        }
    }

    fn advance(&mut self, index: usize) {
        let passes = match (self.config.repeat, self.config.passes) {
            (true, 0) if self.env.drain.is_set() => Some(0),
            (true, 0) => None,
            (true, passes) => Some(passes),
            (false, _) => Some(1),
        };
        let reel = &mut self.reels[index];
        reel.advance(passes);
        if reel.has_ended()
            && let Some(error) = &reel.error
        {
            self.tally.feed_failed(&reel.feed.name, error);
        }
    }

    pub(crate) fn housekeep_every(&mut self) -> streams::Result<()> {
        self.pieces += 1;
        if self.pieces.is_multiple_of(HOUSEKEEPING_EVERY) { self.housekeep() } else { Ok(()) }
    }

    /// While nothing is written: counters and display, no checkpoint.
    pub(crate) fn housekeep_sometimes(&mut self) {
        self.pieces += 1;
        if self.pieces.is_multiple_of(HOUSEKEEPING_EVERY) {
            self.show();
        }
    }

    fn show(&mut self) {
        self.env.beat();
        self.tally.publish(&self.reels, self.env.clock.now_ns(), false);
        let (reels, rows, endless) = (&self.reels, self.tally.rows(), self.config.repeat || self.config.sample);
        self.display.update(|| Reading {
            rows,
            bytes: reels.iter().map(Reel::bytes).sum(),
            total_bytes: if endless { 0 } else { reels.iter().map(|reel| reel.opened.size).sum() },
        });
    }

    pub(crate) fn housekeep(&mut self) -> streams::Result<()> {
        self.show();
        self.writer.producer.poll()?;
        self.writer.end_batch();
        if Instant::now() >= self.checkpoint_due {
            self.checkpoint(false)?;
            self.checkpoint_due = Instant::now() + *self.config.checkpoint_every;
        }
        Ok(())
    }

    /// Before the first row: from here a restart looks for what came after.
    fn first_checkpoint(&mut self) -> streams::Result<()> {
        while !self.checkpoint(false)? || self.writer.producer.flush(FLUSH).is_err_and(|error| error.is_retry()) {
            self.env.beat();
            if self.env.shutdown.wait_timeout(Duration::from_millis(500)) {
                return Err(StreamError::Stopped("writing the first checkpoint".to_owned()));
            }
        }
        self.checkpoint_due = Instant::now() + *self.config.checkpoint_every;
        Ok(())
    }

    /// Has everything acknowledged and says so in the leases topic. `false` if Kafka did not answer in time: the next
    /// try comes soon enough, a restart would only have to look through more.
    fn checkpoint(&mut self, clean: bool) -> streams::Result<bool> {
        let news = |reel: &Reel| (reel.finished.0, reel.finished.1, reel.has_ended(), clean);
        if self.reels.iter().zip(&self.written).all(|(reel, before)| *before == Some(news(reel))) {
            return Ok(true);
        }
        let started = Instant::now();
        match self.writer.producer.flush(FLUSH) {
            Ok(()) => {}
            Err(error) if error.is_retry() => return Ok(false),
            Err(error) => return Err(error),
        }
        let topics = match recover::ends(&self.admin, &self.places) {
            Ok(topics) => topics,
            Err(error) if error.is_retry() => return Ok(false),
            Err(error) => return Err(error),
        };
        for (reel, written) in self.reels.iter().zip(&mut self.written) {
            let news = news(reel);
            if written.replace(news) == Some(news) {
                continue;
            }
            let checkpoint = Checkpoint {
                version: 1,
                feed: reel.feed.name.clone(),
                pass: reel.finished.0,
                line: reel.finished.1,
                // Read to its end, a file that is sampled is drawn from for ever.
                ended: reel.has_ended() && reel.error.is_none() && !self.config.sample,
                clean,
                base: reel.course.base,
                topics: topics.clone(),
                written: self.env.clock.now_ns(),
            };
            let value = serde_json::to_vec(&checkpoint).expect("a checkpoint is plain data");
            self.writer.producer.send(&Outgoing {
                topic: &self.places.leases,
                key: Some(reel.id.key().as_bytes()),
                value: Some(&value),
                headers: &[(header::CONTENT_TYPE, b"application/json"), (header::SCHEMA_VERSION, b"1")],
                ..Outgoing::default()
            })?;
        }
        self.tally.checkpointed(started.elapsed());
        Ok(true)
    }

    /// Everything acknowledged, and a last checkpoint. At the end of the feeds this waits for Kafka as long as it
    /// takes; at a shutdown only for a while, and a restart finds out what arrived.
    fn finish(&mut self) -> streams::Result<()> {
        loop {
            let done = self.checkpoint(true)? && self.writer.producer.flush(FLUSH).is_ok();
            if done {
                return Ok(());
            }
            if self.env.shutdown.is_set() {
                let unacknowledged = self.writer.producer.in_flight();
                tracing::warn!(
                    unacknowledged,
                    "stopping without Kafka's answer, the next start will look for these records"
                );
                return Ok(());
            }
            tracing::warn!(unacknowledged = self.writer.producer.in_flight(), "all is read, waiting for Kafka");
            self.show();
        }
    }
}
