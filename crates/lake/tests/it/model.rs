//! Interleavings of two writers on one partition, with crashes between any two requests, lost answers, requests
//! that land late (also after their writer's death), retention, a topic made again, a transaction's marker inside of a range,
//! and a change of the format. The same happens to commits of the group's position.
//!
//! Two searches: breadth first, which finds the shortest way to a wrong state and exhausts small worlds (the larger of them when
//! it is let: `make soak-lake`), and random walks, which get far.
//!
//! Both work on the decisions in `world.rs`; a state is run again from its decisions, and two states are one when
//! bucket, log and the writers' experiences are equal. Checked in every state: no record is in two objects or in one of
//! another topic, none that was in one is gone, the claims tile the log from 0, and every offset of every claim but the
//! last is what the claim says: a row, a skip, a marker, a hole or declared missing; nothing is committed that is not stored. Checked after each walk, once faults have
//! ended: the same of the last claim, and the claims reach the end of the log.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use lake::bucket::{Memory, Object};
use lake::claim::Kind;
use lake::{Bucket, Claim, Format, MISSING, Paths, Source};

use crate::world::{LogState, Shared, TOPIC, Verdict, What, Writer, rows};

/// What may happen, and how often.
#[derive(Clone, Copy)]
struct Faults {
    records: i64,
    /// Processes started in all, of both writers.
    starts: u8,
    late: u8,
    lost: u8,
    retention: u8,
    recreations: u8,
    marker: Option<i64>,
    commits: bool,
    /// Of the first and of the second writer.
    formats: [Format; 2],
}

const CALM: Faults = Faults {
    records: 2,
    starts: 2,
    late: 0,
    lost: 0,
    retention: 0,
    recreations: 0,
    marker: None,
    commits: false,
    formats: [Format::Json, Format::Json],
};

#[derive(Clone, Copy, Debug)]
enum Step {
    Start(usize),
    Crash(usize),
    Decide {
        writer: usize,
        index: usize,
        verdict: Verdict,
    },
    /// A late request arrives.
    Land(usize),
    /// The log loses its first record.
    Retention,
    Recreate,
}

enum Flying {
    Put(String, Object),
    Commit(u8, i64),
}

struct State {
    shared: Shared,
    left: Faults,
    writers: [Option<Writer>; 2],
    flying: Vec<Flying>,
    generation: u8,
}

impl State {
    fn new(faults: Faults) -> Self {
        let log = LogState { incarnation: 0, low: 0, high: faults.records, marker: faults.marker, committed: None };
        let log_changes = faults.retention + faults.recreations > 0;
        let (log, commits) = (Arc::new(Mutex::new(log)), faults.commits);
        let shared = Shared { bucket: Memory::default(), log, log_changes, commits };
        Self { shared, left: faults, writers: [None, None], flying: Vec::new(), generation: 0 }
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (i, slot) in self.writers.iter().enumerate() {
            match slot {
                Some(writer) if writer.ended.is_none() => {
                    // Requests under way together are PUTs of one claim: other keys, so their order is all one.
                    for (index, what) in writer.waits().iter().enumerate().take(1) {
                        let mut add = |verdict| steps.push(Step::Decide { writer: i, index, verdict });
                        match what {
                            What::Choose(options) => (0..*options).for_each(|option| add(Verdict::Chosen(option))),
                            What::Look(_) | What::List(_) => add(Verdict::Done),
                            What::Put(..) | What::Commit(..) => {
                                add(Verdict::Done);
                                if self.left.lost > 0 {
                                    add(Verdict::Lost);
                                }
                                if self.left.late > 0 {
                                    add(Verdict::Late);
                                }
                            }
                        }
                    }
                    if self.left.starts > 0 {
                        steps.push(Step::Crash(i));
                    }
                }
                _ if self.left.starts > 0 => steps.push(Step::Start(i)),
                _ => {}
            }
        }
        steps.extend((0..self.flying.len()).map(Step::Land));
        let log = self.shared.log().clone();
        if self.left.retention > 0 && log.low < log.high {
            steps.push(Step::Retention);
        }
        if self.left.recreations > 0 {
            steps.push(Step::Recreate);
        }
        steps
    }

    /// Whether the bucket may be another after it.
    fn writes(&self, step: Step) -> bool {
        match step {
            Step::Decide { writer, index, verdict: Verdict::Done | Verdict::Lost } => {
                let writer = self.writers[writer].as_ref().expect("only running writers wait");
                matches!(writer.waits()[index], What::Put(..) | What::Commit(..))
            }
            Step::Land(_) => true,
            _ => false,
        }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Start(i) => {
                self.left.starts -= 1;
                self.generation += 1;
                let name = format!("W{i}.{}", self.generation);
                self.writers[i] = Some(Writer::start(&self.shared, name, self.left.formats[i]));
            }
            Step::Crash(i) => self.writers[i] = None,
            Step::Decide { writer: i, index, verdict } => {
                let what = self.writers[i].as_ref().expect("only running writers wait").waits().swap_remove(index);
                match (&what, verdict) {
                    (_, Verdict::Lost) => self.left.lost -= 1,
                    (What::Put(key, object), Verdict::Late) => {
                        self.left.late -= 1;
                        self.flying.push(Flying::Put(key.clone(), object.clone()));
                    }
                    (What::Commit(incarnation, offset), Verdict::Late) => {
                        self.left.late -= 1;
                        self.flying.push(Flying::Commit(*incarnation, *offset));
                    }
                    _ => {}
                }
                let note = format!("{verdict:?} {} {:?}", self.seen(&what), self.shared.log());
                self.writers[i].as_mut().expect("as above").decide(index, verdict, note);
            }
            Step::Land(index) => match self.flying.remove(index) {
                Flying::Put(key, object) => {
                    now(self.shared.bucket.put_new(&key, object)).expect("memory does not fail");
                }
                Flying::Commit(incarnation, offset) => self.shared.log().committed = Some((incarnation, offset)),
            },
            Step::Retention => {
                self.left.retention -= 1;
                self.shared.log().low += 1;
            }
            Step::Recreate => {
                self.left.recreations -= 1;
                let mut log = self.shared.log();
                log.incarnation += 1;
                log.low = 0;
            }
        }
    }

    /// What the answer to a request says about the world.
    fn seen(&self, what: &What) -> String {
        let objects = self.shared.bucket.objects();
        match what {
            What::Put(key, _) => format!("put {key} {}", objects.contains_key(key)),
            What::Look(what) => format!("{what} {}", objects.contains_key(what.trim_start_matches("head "))),
            What::List(prefix) => format!("list {:?}", now(self.shared.bucket.list(prefix, None, 1))),
            What::Commit(..) | What::Choose(_) => String::new(),
        }
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (key, object) in self.shared.bucket.objects() {
            (key, object.body).hash(&mut hasher);
        }
        self.shared.log().hash(&mut hasher);
        for writer in &self.writers {
            writer.as_ref().map(|writer| &writer.history).hash(&mut hasher);
        }
        for flying in &self.flying {
            match flying {
                Flying::Put(key, object) => (key, &object.body).hash(&mut hasher),
                Flying::Commit(incarnation, offset) => (incarnation, offset).hash(&mut hasher),
            }
        }
        let left = &self.left;
        (left.starts, left.late, left.lost, left.retention, left.recreations).hash(&mut hasher);
        hasher.finish()
    }

    fn check(&self) -> Result<(), String> {
        for (offset, objects) in rows(&self.shared.bucket) {
            if objects.len() > 1 {
                return Err(format!("{offset:?} is in {objects:?}"));
            }
            if !objects[0].contains(&offset.0) {
                return Err(format!("{offset:?} is in {objects:?}, which is another topic's"));
            }
        }
        for writer in self.writers.iter().flatten() {
            if let Some(Err(error)) = &writer.ended {
                return Err(format!("a writer gave up: {error}"));
            }
        }
        self.check_ledger().map(drop)
    }

    /// What a reader once saw he sees for ever.
    fn still_shows(&self, visible: &BTreeMap<(String, i64), Vec<String>>) -> Result<(), String> {
        let now = rows(&self.shared.bucket);
        match visible.keys().find(|row| !now.contains_key(*row)) {
            Some(row) => Err(format!("{row:?} was visible and is gone")),
            None => Ok(()),
        }
    }

    /// Every offset of every claim is what the claim says of it; of the last claim, it may not be there yet. Returns
    /// whether the chain is finished: the last claim too, and up to the end of the log.
    fn check_ledger(&self) -> Result<bool, String> {
        let source = Source::new(TOPIC, self.shared.log().topic_id(), 0);
        let (objects, rows) = (self.shared.bucket.objects(), rows(&self.shared.bucket));
        let (mut next, mut tail, mut claims, mut unfinished, paths) = (0, 0, 0, None, Paths::new(""));
        while let Some(claim) = objects.get(&paths.claim(&source, next)) {
            if let Some(why) = unfinished {
                return Err(format!("claim {next} was made before the one before it was finished: {why}"));
            }
            let checked = Claim::read(&claim.body, &source, Some(next))?;
            let fates: BTreeMap<i64, lake::Target> = checked.runs.offsets(next).collect();
            for offset in next..=checked.claim.end {
                let is_marker = self.left.marker == Some(offset);
                if checked.claim.kind == Kind::Data && is_marker != (fates.get(&offset) == Some(&lake::Target::Marker))
                {
                    return Err(format!(
                        "offset {offset} is claimed as {:?}, a marker: {is_marker}",
                        fates.get(&offset)
                    ));
                }
                let row = rows.contains_key(&(source.topic_id.clone(), offset));
                let should = matches!(fates.get(&offset), Some(lake::Target::Object(_)));
                let lost = objects.iter().filter(|(key, _)| key.contains(&source.topic_id)).any(|(_, object)| {
                    let missing = object.metadata.get(MISSING);
                    missing.is_some_and(|missing| missing.split(',').any(|one| one == offset.to_string()))
                });
                if row && (!should || lost) {
                    return Err(format!("offset {offset} is a row and should not be: claimed {should}, lost {lost}"));
                }
                if !row && should && !lost {
                    unfinished = Some(format!("offset {offset} is no row yet"));
                }
            }
            (tail, next) = (next, checked.claim.end + 1);
            claims += 1;
        }
        let known = objects.keys().filter(|key| key.starts_with(&paths.claims(&source))).count();
        if known > claims {
            return Err(format!("claims beyond a gap at {next}"));
        }
        let log = self.shared.log().clone();
        let stored = unfinished.as_ref().map_or(next, |_| tail);
        if let Some((incarnation, offset)) = log.committed
            && incarnation == log.incarnation
            && offset > stored
        {
            return Err(format!("{offset} is committed, and only {stored} is stored"));
        }
        Ok(unfinished.is_none() && next == log.high)
    }
}

/// The result of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(value) => value,
        std::task::Poll::Pending => panic!("memory answers at once"),
    }
}

fn replay(faults: Faults, path: &[Step]) -> State {
    let mut state = State::new(faults);
    for step in path {
        state.apply(*step);
    }
    state
}

struct Found {
    states: usize,
    finished: usize,
    exhausted: bool,
}

/// Looks at every state within `limit`; panics with the shortest way to a wrong one.
fn explore(name: &str, faults: Faults, limit: usize) -> Found {
    let mut seen = HashSet::new();
    let mut queue = VecDeque::from([Vec::new()]);
    let (mut finished, mut exhausted) = (0, true);
    while let Some(path) = queue.pop_front() {
        if seen.len() >= limit {
            exhausted = false;
            break;
        }
        let before = replay(faults, &path);
        let visible = rows(&before.shared.bucket);
        for step in before.steps() {
            let mut path = path.clone();
            path.push(step);
            let state = replay(faults, &path);
            if !seen.insert(state.fingerprint()) {
                continue;
            }
            if let Err(why) = state.check().and_then(|()| state.still_shows(&visible)) {
                let steps: Vec<_> = (1..=path.len()).map(|n| describe(faults, &path[..n])).collect();
                panic!("{name}: {why}\nafter:\n{}", steps.join("\n"));
            }
            finished += usize::from(state.check_ledger() == Ok(true));
            queue.push_back(path);
        }
    }
    let found = Found { states: seen.len(), finished, exhausted };
    eprintln!("{name}: {} states, {} finished, exhausted: {}", found.states, found.finished, found.exhausted);
    found
}

fn describe(faults: Faults, path: &[Step]) -> String {
    let (last, before) = path.split_last().expect("a step");
    let state = replay(faults, before);
    match last {
        Step::Decide { writer, index, verdict } => {
            let writer_state = state.writers[*writer].as_ref().expect("running");
            let what = match &writer_state.waits()[*index] {
                What::Put(key, object) => format!("put {key} {:?}", object.body),
                other => format!("{other:?}"),
            };
            format!("  W{writer} {verdict:?} {what}")
        }
        other => format!("  {other:?}"),
    }
}

/// Goes on at random from the start, then mends the world: late requests arrive, both writers get to run to their
/// end. From wherever the faults led, every offset must then be accounted for.
fn walk(name: &str, faults: Faults, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut state, mut path) = (State::new(faults), Vec::new());
    let (length, mut visible) = (random.usize(5..120), BTreeMap::new());
    let fail = |path: &[Step], why: String| -> ! {
        let steps: Vec<_> = (1..=path.len()).map(|n| describe(faults, &path[..n])).collect();
        panic!("{name}, seed {seed}: {why}\nafter:\n{}", steps.join("\n"));
    };
    for _ in 0..length {
        let steps = state.steps();
        // A crash is one step among many: else no writer gets far.
        let calm: Vec<&Step> = steps.iter().filter(|step| matches!(step, Step::Decide { .. })).collect();
        let step = match random.choice(&calm) {
            Some(step) if random.u8(..) < 220 => **step,
            _ => match random.choice(&steps) {
                Some(step) => *step,
                None => break,
            },
        };
        let writes = state.writes(step);
        path.push(step);
        state.apply(step);
        if writes {
            if let Err(why) = state.check().and_then(|()| state.still_shows(&visible)) {
                fail(&path, why);
            }
            visible = rows(&state.shared.bucket);
        }
    }
    state.left = Faults { starts: 2, late: 0, lost: 0, retention: 0, recreations: 0, ..faults };
    state.writers = [None, None];
    for _ in 0..1000 {
        let steps = state.steps();
        let last = |step: &&Step| !matches!(step, Step::Crash(_));
        let Some(step) = steps.iter().rfind(last) else { break };
        state.apply(*step);
    }
    if let Err(why) = state.check() {
        fail(&path, format!("{why}, once all was mended"));
    }
    if state.check_ledger() != Ok(true) {
        fail(&path, "not every record is stored, once all was mended".to_owned());
    }
}

/// Bounded in a normal run; `make soak-lake` raises the bounds until the small worlds are exhausted.
fn bound(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn check(name: &str, faults: Faults) {
    let found = explore(name, faults, bound("FINFLOW_MODEL_STATES", 1000));
    assert!(found.states >= 1000, "{name}: only {} states, nothing was searched", found.states);
    let walks = bound("FINFLOW_MODEL_WALKS", 200);
    for seed in 0..walks as u64 {
        walk(name, faults, seed);
    }
}

#[test]
fn crashes_between_any_two_requests() {
    check("crashes", Faults { starts: 3, ..CALM });
}

#[test]
fn requests_that_land_late_and_answers_that_are_lost() {
    check("late and lost", Faults { late: 1, lost: 1, ..CALM });
}

#[test]
fn a_longer_log_with_more_of_everything() {
    check("long", Faults { records: 4, starts: 4, late: 2, lost: 1, ..CALM });
}

#[test]
fn kafka_drops_records_that_were_not_stored() {
    check("retention", Faults { records: 3, retention: 2, late: 1, starts: 3, ..CALM });
}

#[test]
fn the_topic_is_deleted_and_made_again() {
    check("recreated", Faults { recreations: 1, late: 1, starts: 3, ..CALM });
}

#[test]
fn the_writers_write_different_formats() {
    let formats = [Format::Parquet, Format::Json];
    check("formats", Faults { formats, starts: 3, late: 1, ..CALM });
}

#[test]
fn commits_whose_answers_are_lost_or_that_land_late() {
    check("commits", Faults { commits: true, late: 1, lost: 1, ..CALM });
}

#[test]
fn a_marker_inside_of_a_range() {
    check("marker", Faults { records: 3, marker: Some(1), starts: 3, ..CALM });
}

#[test]
fn small_worlds_are_exhausted() {
    let marker = Faults { marker: Some(1), starts: 2, ..CALM };
    let commits = Faults { records: 2, starts: 1, commits: true, lost: 1, late: 1, ..CALM };
    for (name, faults) in [("small with a marker", marker), ("small with lost commits", commits)] {
        let found = explore(name, faults, 15_000);
        assert!(found.exhausted && found.finished > 0, "{name}: {} states", found.states);
    }
}

#[test]
fn everything_at_once() {
    let formats = [Format::Json, Format::Parquet];
    check(
        "all",
        Faults {
            records: 4,
            starts: 4,
            late: 2,
            lost: 2,
            retention: 2,
            recreations: 1,
            marker: Some(3),
            commits: true,
            formats,
        },
    );
}
