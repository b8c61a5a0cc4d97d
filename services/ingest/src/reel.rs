//! One feed while it plays: its source, the piece in hand, the pass it is in, and what of it is in Kafka already.

use market::Event;

use crate::position::Position;
use crate::resume::{FeedId, How, Known};
use crate::shift::{Course, Survey};
use crate::skew::Skew;
use crate::sources::files::{self, Choices, Opened};
use crate::sources::{Piece, Step};
use crate::spec::{Feed, Format};
use crate::summary::FeedSummary;

/// Whether there is a piece in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Loaded,
    /// A live source has nothing at the moment.
    Pending,
    Ended,
}

pub struct Reel {
    pub feed: Feed,
    pub id: FeedId,
    pub format: Format,
    /// Header `source` of its records.
    pub label: String,
    pub opened: Opened,
    pub piece: Piece,
    pub state: State,
    pub pass: u64,
    /// Recorded time of the piece in hand, moved as its events are; it never goes back, so that a file that is not in
    /// order of time keeps its own order among others.
    pub clock: i64,
    pub course: Course,
    pub known: Known,
    /// The last line that was dealt with, for checkpoints.
    pub finished: (u64, u64),
    pub read: u64,
    pub events: u64,
    pub skew: Skew,
    /// Events in this pass: a file without any must not loop.
    pass_events: u64,
    pub passes: u64,
    pub error: Option<String>,
    bytes_before: u64,
    choices: Choices,
}

impl Reel {
    /// Opens the feed at its beginning. The error is a sentence.
    pub fn open(feed: Feed, choices: Choices, sampled: bool) -> Result<Reel, String> {
        let opened = files::open(&feed, choices)?;
        let id = FeedId::of(&feed, How { sampled, seed: choices.seed });
        let id = id.map_err(|error| format!("cannot read `{}`: {error}", feed.path))?;
        Ok(Reel {
            label: format!("{}:{}", opened.format.as_str(), feed.name),
            format: opened.format,
            id,
            feed,
            opened,
            piece: Piece::default(),
            state: State::Pending,
            pass: 0,
            clock: i64::MIN,
            course: Course::default(),
            known: Known::default(),
            finished: (0, 0),
            read: 0,
            events: 0,
            skew: Skew::default(),
            pass_events: 0,
            passes: 0,
            error: None,
            bytes_before: 0,
            choices,
        })
    }

    /// Never ends by itself: it cannot be surveyed and need not loop.
    pub fn is_endless(&self) -> bool {
        self.format == Format::Synthetic
    }

    /// Reads the whole feed once to learn its times and ids. Only the first event of an endless one.
    pub fn survey(&self, mut beat: impl FnMut() -> bool) -> Survey {
        let (mut survey, mut piece) = (Survey::default(), Piece::default());
        // A file that has gone since is said to be gone when it is played.
        let Ok(Opened { mut source, .. }) = files::open(&self.feed, self.choices) else { return survey };
        let mut pieces = 0u64;
        // A source that breaks off is surveyed as far as it goes; playing it will say what is wrong.
        while let Ok(Step::Piece) = source.next(&mut piece) {
            survey.add(&piece.found);
            pieces += 1;
            if (self.is_endless() && !piece.found.events.is_empty()) || (pieces.is_multiple_of(1024) && !beat()) {
                break;
            }
        }
        survey
    }

    /// Starts reading where an earlier run stopped. Lines before that are read again and passed over: a compressed
    /// file has no other way, and reading is faster than anything else here.
    pub fn go_on(&mut self, known: Known) {
        self.pass = known.floor().0;
        self.passes = self.pass;
        self.finished = known.floor();
        self.known = known;
    }

    /// Gets the next piece in hand. At the end of the file it goes round until `passes` are done; `None` is for ever.
    pub fn advance(&mut self, passes: Option<u64>) {
        loop {
            match self.opened.source.next(&mut self.piece) {
                Ok(Step::Piece) => {
                    self.read += 1;
                    self.pass_events += self.piece.found.events.len() as u64;
                    self.tick();
                    self.state = State::Loaded;
                    return;
                }
                Ok(Step::Pending) => {
                    self.state = State::Pending;
                    return;
                }
                Ok(Step::End) => {
                    self.passes += 1;
                    let done = passes.is_some_and(|passes| self.passes >= passes);
                    if done || self.is_endless() || self.pass_events == 0 {
                        self.state = State::Ended;
                        return;
                    }
                    if let Err(error) = self.rewind() {
                        return self.fail(error);
                    }
                }
                Err(error) => return self.fail(error.to_string()),
            }
        }
    }

    /// There is nothing more to read of it.
    pub fn end(&mut self) {
        self.state = State::Ended;
    }

    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Bytes read of the file so far, in all passes.
    pub fn bytes(&self) -> u64 {
        self.bytes_before + self.opened.read.get()
    }

    /// Ends the feed with an error; what was read of it stays good.
    pub fn fail(&mut self, error: String) {
        self.state = State::Ended;
        self.error.get_or_insert(error);
    }

    fn rewind(&mut self) -> Result<(), String> {
        self.bytes_before = self.bytes();
        self.opened = files::open(&self.feed, self.choices)?;
        self.pass += 1;
        self.pass_events = 0;
        if self.course.offset(self.pass).is_none() {
            return Err(format!("pass {} would reach beyond the year 2262: the loop ends here", self.pass));
        }
        Ok(())
    }

    /// When the next event happens, before the set's base is added.
    pub fn next_time(&self) -> Option<i64> {
        if self.has_ended() {
            return None;
        }
        if self.finished == (0, 0) {
            return self.course.begin;
        }
        let pass = i64::try_from(self.pass).ok()?.checked_mul(self.course.span)?;
        self.piece.found.recorded?.checked_add(pass)
    }

    pub fn set_base(&mut self, base: i64) {
        self.course.base = base;
        self.clock = i64::MIN;
        self.tick();
    }

    /// Moves the clock on to the piece in hand.
    fn tick(&mut self) {
        if let (Some(at), Some(offset)) = (self.piece.found.recorded, self.course.offset(self.pass)) {
            self.clock = self.clock.max(at.saturating_add(offset));
        }
    }

    pub fn position(&self, sub: usize) -> Position {
        Position { pass: self.pass, line: self.piece.line, sub: u32::try_from(sub).unwrap_or(u32::MAX) }
    }

    pub fn summary(&self) -> FeedSummary {
        FeedSummary {
            name: self.feed.name.clone(),
            format: self.format.as_str().to_owned(),
            read: self.read,
            events: self.events,
            passes: self.passes,
            ended: self.has_ended(),
            error: self.error.clone(),
        }
    }

    /// Moves an event into this pass and gives it a time of receipt if the recording has none: ours, but never one
    /// before it happened, which a replay that runs ahead of the clock would give.
    pub fn place(&self, event: &mut Event, now: i64) -> bool {
        if !self.course.apply(event, self.pass) {
            return false;
        }
        settle(event, now);
        true
    }
}

/// Gives an event a time of receipt if it has none.
pub fn settle(event: &mut Event, now: i64) {
    let happened = event.event_time();
    let received = match event {
        Event::Trade(e) => &mut e.receive_time,
        Event::Quote(e) => &mut e.receive_time,
        Event::Bar(e) => &mut e.receive_time,
        Event::Gap(e) => &mut e.receive_time,
        Event::Cancel(e) => &mut e.receive_time,
        Event::Correction(e) => &mut e.receive_time,
        Event::News(e) => &mut e.receive_time,
        Event::Heartbeat(_) => return,
    };
    received.get_or_insert_with(|| happened.map_or(now, |happened| now.max(happened)));
}
