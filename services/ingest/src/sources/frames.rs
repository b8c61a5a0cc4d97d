//! Recordings of live feeds: the entries go through the decoders and the judgement of the live path, at the times of then.

use market::{Event, Gap, GapCause};

use super::{Bad, Decode, Found};
use crate::coverage::Coverage;
use crate::live::judge::{self, Judged};
use crate::recording::{self, Begin, Entry};
use crate::venues::{self, Heard, Venue};

/// Knows nothing before the first `begin`.
#[derive(Default)]
pub struct Frames {
    run: Option<Run>,
}

struct Run {
    begin: Begin,
    venue: Box<dyn Venue>,
    coverage: Coverage,
    heard: Heard,
    judged: Vec<Judged>,
}

impl Decode for Frames {
    fn decode(&mut self, text: &[u8], found: &mut Found) -> Result<(), Bad> {
        let (now, entry) = recording::read(text)?;
        found.recorded = Some(now);
        if let Entry::Begin(begin) = entry {
            self.begin(*begin)?;
            return found.ignore("recording");
        }
        let missing = || Bad::new("missing_field", "an entry before the beginning of a recording: is a part missing?");
        let run = self.run.as_mut().ok_or_else(missing)?;
        let result = run.entry(now, entry);
        run.found(found);
        if found.events.is_empty() && result.is_ok() {
            found.ignore(run.heard.found.ignored.take().unwrap_or("recording"))?;
        }
        result
    }
}

impl Frames {
    fn begin(&mut self, begin: Begin) -> Result<(), Bad> {
        if let Some(run) = &mut self.run
            && begin.follows(&run.begin)
        {
            // It goes on: more is known than was written down.
            run.begin = begin;
            return Ok(());
        }
        let unknown = || Bad::new("missing_field", format!("a recording of `{}`, which is no venue", begin.venue));
        let mut venue = venues::of(&begin.venue).ok_or_else(unknown)?;
        if begin.quotes {
            venue.read_quotes();
        }
        let mut coverage = Coverage::new(venue.limits().continuity, begin.patience());
        coverage.take_saved(&begin.symbols);
        self.run = Some(Run { begin, venue, coverage, heard: Heard::default(), judged: Vec::new() });
        Ok(())
    }
}

impl Run {
    fn entry(&mut self, now: i64, entry: Entry<'_>) -> Result<(), Bad> {
        self.heard.clear();
        let mut gaps = Vec::new();
        match entry {
            Entry::Begin(_) => {}
            Entry::Frame(frame) => {
                let read = self.venue.decode(&frame, now, &mut self.heard);
                judge::frame(&mut self.coverage, &mut self.heard, now, &mut self.judged);
                return read;
            }
            Entry::Fetched(text) => {
                let event = Event::decode(text).map_err(|error| Bad::new(error.reason.as_str(), error.to_string()))?;
                judge::one(&mut self.coverage, event, now, &mut self.judged);
            }
            Entry::Served(symbol) => self.coverage.covered(symbol, now),
            Entry::Unserved(symbol) => self.coverage.uncovered(symbol, GapCause::Disconnect),
            Entry::Left(symbol) => self.coverage.left(symbol),
            Entry::Known(saved) => self.coverage.take_saved(&saved),
            Entry::Missed(symbol) => self.coverage.missed(symbol, now),
            Entry::Tick => self.coverage.tick(now, &mut gaps),
            Entry::End => self.coverage.close(now, &mut gaps),
        }
        self.judged.extend(gaps.into_iter().map(Judged::Gap));
        Ok(())
    }

    fn found(&mut self, found: &mut Found) {
        let event = |judged: Judged| match judged {
            Judged::Event(event) => Some(event),
            Judged::Gap(gap) => Some(Event::Gap(Gap { ..gap })),
            Judged::Duplicate | Judged::Before | Judged::Used { .. } => None,
        };
        found.events.extend(self.judged.drain(..).filter_map(event));
    }
}
