//! Every interleaving of two writers on one partition, with crashes between any two requests, lost answers, requests
//! that land late (also after their writer's death), retention, a topic made again, and a change of the format.
//!
//! The search is breadth first over the decisions in `world.rs`; a state is run again from its decisions, and two
//! states are one when bucket, log and the writers' experiences are equal. Checked in every state: no offset is in two
//! objects. Checked where both writers are done: every offset is a row of one object, a skip, a hole or declared
//! missing, and the claims tile the log.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex};

use lake::bucket::{Memory, Object};
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

struct State {
    shared: Shared,
    left: Faults,
    writers: [Option<Writer>; 2],
    flying: Vec<(String, Object)>,
    generation: u8,
}

impl State {
    fn new(faults: Faults) -> Self {
        let log = LogState { incarnation: 0, low: 0, high: faults.records };
        let log_changes = faults.retention + faults.recreations > 0;
        let shared = Shared { bucket: Memory::default(), log: Arc::new(Mutex::new(log)), log_changes };
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
                            What::Put(..) => {
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
        if self.left.retention > 0 && self.shared.log().low < self.shared.log().high {
            steps.push(Step::Retention);
        }
        if self.left.recreations > 0 {
            steps.push(Step::Recreate);
        }
        steps
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
                        self.flying.push((key.clone(), object.clone()));
                    }
                    _ => {}
                }
                let note = format!("{verdict:?} {} {:?}", self.seen(&what), self.shared.log());
                self.writers[i].as_mut().expect("as above").decide(index, verdict, note);
            }
            Step::Land(index) => {
                let (key, object) = self.flying.remove(index);
                now(self.shared.bucket.put_new(&key, object)).expect("memory does not fail");
            }
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
            What::Choose(_) => String::new(),
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
        for (key, object) in &self.flying {
            (key, &object.body).hash(&mut hasher);
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
        }
        for writer in self.writers.iter().flatten() {
            if let Some(Err(error)) = &writer.ended {
                return Err(format!("a writer gave up: {error}"));
            }
        }
        if self.is_quiet() { self.check_ledger() } else { Ok(()) }
    }

    /// Nothing is under way, and at least one writer ran to the end of the log as it is.
    fn is_quiet(&self) -> bool {
        let log = self.shared.log();
        let tail = tail_end(&self.shared.bucket, &Source::new(TOPIC, log.topic_id(), 0));
        let ended = |writer: &Option<Writer>| writer.as_ref().is_none_or(|writer| writer.ended.is_some());
        self.writers.iter().all(ended) && self.writers.iter().any(Option::is_some) && tail + 1 >= log.high
    }

    fn check_ledger(&self) -> Result<(), String> {
        let source = Source::new(TOPIC, self.shared.log().topic_id(), 0);
        let (objects, rows) = (self.shared.bucket.objects(), rows(&self.shared.bucket));
        let mut next = 0;
        let paths = Paths::new("");
        while let Some(claim) = objects.get(&paths.claim(&source, next)) {
            let checked = Claim::read(&claim.body, &source, Some(next))?;
            let fates: BTreeMap<i64, lake::Target> = checked.runs.offsets(next).collect();
            let kind = checked.claim.kind;
            for offset in next..=checked.claim.end {
                let row = rows.contains_key(&(source.topic_id.clone(), offset));
                let should = matches!(fates.get(&offset), Some(lake::Target::Object(_)));
                let lost = objects.values().any(|object| {
                    object
                        .metadata
                        .get(MISSING)
                        .is_some_and(|missing| missing.split(',').any(|m| m == offset.to_string()))
                });
                if row != (should && !lost) {
                    return Err(format!("offset {offset}: row {row}, claimed {should}, lost {lost}, {kind:?}"));
                }
            }
            next = checked.claim.end + 1;
        }
        let high = self.shared.log().high;
        if next == high { Ok(()) } else { Err(format!("the claims end at {next}, the log at {high}")) }
    }
}

fn tail_end(bucket: &Memory, source: &Source) -> i64 {
    let paths = Paths::new("");
    let Some(key) = now(bucket.list(&paths.claims(source), None, 1)).expect("memory").pop() else { return -1 };
    let body = now(bucket.get(&key)).expect("memory").expect("listed");
    Claim::read(&body, source, None).expect("a claim").claim.end
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
    quiet: usize,
    exhausted: bool,
}

/// Looks at every state within `limit`; panics with the shortest way to a wrong one.
fn explore(name: &str, faults: Faults, limit: usize) -> Found {
    let mut seen = HashSet::new();
    let mut queue = VecDeque::from([Vec::new()]);
    let (mut quiet, mut exhausted) = (0, true);
    while let Some(path) = queue.pop_front() {
        if seen.len() >= limit {
            exhausted = false;
            break;
        }
        for step in replay(faults, &path).steps() {
            let mut path = path.clone();
            path.push(step);
            let state = replay(faults, &path);
            if !seen.insert(state.fingerprint()) {
                continue;
            }
            if let Err(why) = state.check() {
                let steps: Vec<_> = (1..=path.len()).map(|n| describe(faults, &path[..n])).collect();
                panic!("{name}: {why}\nafter:\n{}", steps.join("\n"));
            }
            quiet += usize::from(state.is_quiet());
            queue.push_back(path);
        }
    }
    let found = Found { states: seen.len(), quiet, exhausted };
    eprintln!("{name}: {} states, {} quiet, exhausted: {}", found.states, found.quiet, found.exhausted);
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

#[test]
fn probe_sizes() {
    explore("crashes", Faults { starts: 3, ..CALM }, 2_000);
    explore("late", Faults { late: 1, ..CALM }, 2_000);
}
