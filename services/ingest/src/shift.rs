//! Moves a recording in time: to the present, and on by its own length for each pass of a loop.
//!
//! What is moved together is a *set* of feeds: recordings that begin within a day of each other or that hold a symbol in
//! common. Two halves of one session are a set, so looped they go round as one session; an index from 1965 and a
//! capture of last year are two.
//!
//! **Invariant:** within a symbol, every pass begins after the one before it, in event time and in trade ids: a loop
//! has no late trade and no duplicate.

use std::collections::HashMap;

use market::Event;

use crate::sources::Found;

const DAY_NS: i64 = 86_400_000_000_000;
const MS: i64 = 1_000_000;

/// What a reading of a whole feed tells about its times and ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Of event times: the first, and the first after the last.
    begin: Option<i64>,
    end: i64,
    /// Of the recorder's clock.
    recorded: Option<(i64, i64)>,
    events: u64,
    /// The longest bar: a shift must keep bars on their grid.
    longest_bar: i64,
    /// Per symbol, the smallest and the largest numeric trade id; none for a symbol without such ids.
    ids: HashMap<String, Option<(u64, u64)>>,
}

impl Survey {
    pub fn add(&mut self, found: &Found) {
        if let Some(at) = found.recorded {
            let (first, last) = self.recorded.get_or_insert((at, at));
            (*first, *last) = ((*first).min(at), (*last).max(at));
        }
        for event in &found.events {
            self.add_event(event);
        }
    }

    fn add_event(&mut self, event: &Event) {
        let (Some(symbol), Some(time)) = (event.symbol(), event.event_time()) else { return };
        let (begin, end, id) = match event {
            Event::Bar(bar) => {
                self.longest_bar = self.longest_bar.max(bar.interval.ns());
                (bar.start, bar.end, None)
            }
            Event::Trade(trade) => (time, time.saturating_add(1), trade.trade_id.as_deref().and_then(numeric)),
            _ => (time, time.saturating_add(1), None),
        };
        self.end = if self.begin.is_some() { self.end.max(end) } else { end };
        self.begin = Some(self.begin.map_or(begin, |first| first.min(begin)));
        self.events += 1;
        if !self.ids.contains_key(symbol) {
            self.ids.insert(symbol.to_owned(), None);
        }
        if let (Some(id), Some(range)) = (id, self.ids.get_mut(symbol)) {
            let (first, last) = range.get_or_insert((id, id));
            (*first, *last) = ((*first).min(id), (*last).max(id));
        }
    }

    fn merge(&mut self, other: &Survey) {
        let Some(begin) = other.begin else { return };
        self.end = if self.begin.is_some() { self.end.max(other.end) } else { other.end };
        self.begin = Some(self.begin.map_or(begin, |first| first.min(begin)));
        self.events += other.events;
        self.longest_bar = self.longest_bar.max(other.longest_bar);
        if let Some((first, last)) = other.recorded {
            let range = self.recorded.get_or_insert((first, last));
            *range = (range.0.min(first), range.1.max(last));
        }
        for (symbol, range) in &other.ids {
            let mine = self.ids.entry(symbol.clone()).or_default();
            if let Some((first, last)) = *range {
                let (from, to) = mine.get_or_insert((first, last));
                (*from, *to) = ((*from).min(first), (*to).max(last));
            }
        }
    }

    /// How far one pass lies behind the one before it: the length of the recording and one usual pause, in whole
    /// milliseconds, and in whole bars if there are bars.
    fn span(&self) -> i64 {
        let Some(begin) = self.begin else { return 0 };
        let length = self.end.saturating_sub(begin);
        let recorded = self.recorded.map_or(0, |(first, last)| last.saturating_sub(first));
        let length = length.max(recorded);
        let grid = self.longest_bar.max(MS);
        let pause =
            if self.longest_bar > 0 { 0 } else { length / i64::try_from(self.events.max(1)).unwrap_or(i64::MAX) };
        let longest = length.saturating_add(pause);
        longest.saturating_add((grid - longest.rem_euclid(grid)) % grid).max(grid)
    }
}

/// How the feeds of one set are moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// The set's first event time; `None` if the set holds no events.
    pub begin: Option<i64>,
    /// Which set it is: feeds of one set are moved by one base.
    pub set: usize,
    /// Added to every time, in every pass.
    pub base: i64,
    /// Added once more per pass.
    pub span: i64,
    /// Per symbol, added once more per pass to numeric trade ids.
    id_steps: HashMap<String, u64>,
}

impl Course {
    fn of(survey: &Survey, set: usize) -> Course {
        let steps = survey.ids.iter().map(|(symbol, ids)| {
            (symbol.clone(), ids.map_or(0, |(first, last)| last.saturating_sub(first).saturating_add(1)))
        });
        Course { begin: survey.begin, set, base: 0, span: survey.span(), id_steps: steps.collect() }
    }

    /// What pass `pass` adds to every time; `None` beyond the year 2262, where nanoseconds end.
    pub fn offset(&self, pass: u64) -> Option<i64> {
        i64::try_from(pass).ok()?.checked_mul(self.span)?.checked_add(self.base)
    }

    /// Moves one event into a pass. `false` if one of its times would leave what nanoseconds can count.
    pub fn apply(&self, event: &mut Event, pass: u64) -> bool {
        self.offset(pass).is_some_and(|offset| self.apply_at(event, offset, pass))
    }

    /// As [`Course::apply`], with another distance in time.
    pub fn apply_at(&self, event: &mut Event, offset: i64, pass: u64) -> bool {
        if offset != 0 && !move_times(event, offset) {
            return false;
        }
        if pass > 0
            && let Event::Trade(trade) = event
            && let Some(id) = &mut trade.trade_id
        {
            *id = moved_id(id, pass, self.id_steps.get(&trade.symbol).copied().unwrap_or(0));
        }
        true
    }
}

fn numeric(id: &str) -> Option<u64> {
    // Ids with leading zeros would come back shorter: they are text.
    if id.len() > 1 && id.starts_with('0') { None } else { id.parse().ok() }
}

fn moved_id(id: &str, pass: u64, step: u64) -> String {
    let moved = numeric(id).and_then(|number| number.checked_add(pass.checked_mul(step)?));
    match moved {
        Some(number) if step > 0 => number.to_string(),
        // An id that is no number, such as a UUID, gets the pass in its name.
        _ => format!("{id}.{pass}"),
    }
}

fn move_times(event: &mut Event, offset: i64) -> bool {
    let mut fits = true;
    let mut add = |time: &mut i64| match time.checked_add(offset) {
        Some(moved) => *time = moved,
        None => fits = false,
    };
    let receive_time = match event {
        Event::Trade(e) => {
            add(&mut e.event_time);
            &mut e.receive_time
        }
        Event::Quote(e) => {
            add(&mut e.event_time);
            &mut e.receive_time
        }
        Event::Bar(e) => {
            add(&mut e.start);
            add(&mut e.end);
            &mut e.receive_time
        }
        Event::Gap(e) => {
            add(&mut e.from);
            add(&mut e.to);
            &mut e.receive_time
        }
        Event::Cancel(e) => {
            add(&mut e.event_time);
            e.trade_time.iter_mut().for_each(&mut add);
            &mut e.receive_time
        }
        Event::Correction(e) => {
            add(&mut e.event_time);
            e.trade_time.iter_mut().for_each(&mut add);
            &mut e.receive_time
        }
        Event::News(e) => {
            add(&mut e.event_time);
            &mut e.receive_time
        }
        Event::Heartbeat(e) => {
            e.event_time.iter_mut().for_each(&mut add);
            add(&mut e.receive_time);
            return fits;
        }
    };
    receive_time.iter_mut().for_each(&mut add);
    fits
}

/// Puts feeds into sets and gives each feed the course of its set.
pub fn courses(surveys: &[Survey]) -> Vec<Course> {
    let mut sets: Vec<usize> = (0..surveys.len()).collect();
    for a in 0..surveys.len() {
        for b in a + 1..surveys.len() {
            if belong(&surveys[a], &surveys[b]) {
                let (from, to) = (sets[b], sets[a]);
                sets.iter_mut().filter(|set| **set == from).for_each(|set| *set = to);
            }
        }
    }
    let course = |set: usize| {
        let mut all = Survey::default();
        surveys.iter().zip(&sets).filter(|(_, of)| **of == set).for_each(|(survey, _)| all.merge(survey));
        Course::of(&all, set)
    };
    sets.iter().map(|set| course(*set)).collect()
}

fn belong(a: &Survey, b: &Survey) -> bool {
    let (Some(first), Some(second)) = (a.begin, b.begin) else { return false };
    first.abs_diff(second) <= DAY_NS as u64 || a.ids.keys().any(|symbol| b.ids.contains_key(symbol))
}

#[cfg(test)]
mod tests;
