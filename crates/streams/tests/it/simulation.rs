//! The loop through thousands of histories on a simulated cluster, and each of its rules broken once.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use streams::Record;
use streams::stateful::{Changelog, Outbox, Outcome, Settings, Stage, Tick};
use testkit::simulation::{Ended, Fed, Lie, Simulation, play};

const PARTITIONS: i32 = 3;

/// Histories in which each broken rule must be noticed.
const ENOUGH: u64 = 3_000;

/// Counts and adds up numbers by key, and says both with every record; and once more when the clock finds nothing to come.
struct Tally;

#[derive(Default)]
struct Part {
    /// By key: count, sum, and the count that was last said by the clock.
    sums: BTreeMap<String, (u64, u64, u64)>,
    dirty: BTreeSet<String>,
}

impl Stage for Tally {
    type Part = Part;

    fn new_part(&mut self, _: i32) -> Part {
        Part::default()
    }

    fn restore(&mut self, part: &mut Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        let value = serde_json::from_slice(value.unwrap_or_default())?;
        part.sums.insert(String::from_utf8(key.to_vec())?, value);
        Ok(())
    }

    fn record(&mut self, part: &mut Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
        let (key, Ok(number)) = (text(record.key), text(record.value).parse::<u64>()) else {
            out.dead_letter(record, "not_a_number", "");
            return Outcome::Invalid;
        };
        let (count, sum, _) = part.sums.entry(key.clone()).or_default();
        (*count, *sum) = (*count + 1, *sum + number);
        out.emit("output", key.as_bytes(), format!("{count} {sum}").as_bytes(), &[]);
        part.dirty.insert(key);
        Outcome::Folded
    }

    fn tick(&mut self, part: &mut Part, tick: Tick, out: &mut Outbox<'_>) {
        if !tick.caught_up && !tick.ending {
            return;
        }
        for (key, (count, _, said)) in part.sums.iter_mut().filter(|(_, (count, _, said))| count != said) {
            out.emit("output", key.as_bytes(), format!("still {count}").as_bytes(), &[]);
            *said = *count;
            part.dirty.insert(key.clone());
        }
    }

    fn snapshot(&mut self, part: &mut Part, log: &mut Changelog<'_>) {
        for key in std::mem::take(&mut part.dirty) {
            log.put(key.as_bytes(), &serde_json::to_vec(&part.sums[&key]).unwrap());
        }
    }
}

fn simulation() -> Simulation<Tally> {
    let settings = Settings {
        outputs: vec!["output".to_owned()],
        dead_letters: "dead".to_owned(),
        reasons: vec!["not_a_number"],
        ..Settings::new("tally", "input", "changelog")
    };
    let topics = [("input", PARTITIONS), ("changelog", PARTITIONS), ("output", 2), ("dead", 1)];
    Simulation {
        settings,
        topics: topics.map(|(topic, partitions)| (topic.to_owned(), partitions)).into(),
        upstream: true,
        stage: Rc::new(|_| Tally),
        feed: Rc::new(feed),
        check: Rc::new(check),
    }
}

/// Numbers for a few keys of each partition; bursts, and times when nothing comes.
fn feed(rng: &mut fastrand::Rng) -> Vec<Fed> {
    let (mut at, mut all) = (Duration::ZERO, Vec::new());
    for n in 0..rng.u64(5..60) {
        at += Duration::from_micros(if rng.u8(0..8) == 0 { rng.u64(0..1_200_000) } else { rng.u64(0..30_000) });
        let partition = rng.i32(0..PARTITIONS);
        let key = format!("{partition}{}", rng.char('a'..='b')).into_bytes();
        let value = if rng.u8(0..20) == 0 { "x".to_owned() } else { n.to_string() };
        all.push(Fed { at, partition, key, value: value.into_bytes() });
    }
    all
}

/// For every key each count was said once, in order, and by the clock at most once, the last one for certain.
fn check(ended: &Ended) -> Result<(), String> {
    let text = |bytes: &Option<Vec<u8>>| String::from_utf8(bytes.clone().unwrap_or_default()).unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for record in ended.topics["input"].iter().flatten() {
        let (key, Ok(number)) = (text(&record.key), text(&record.value).parse::<u64>()) else { continue };
        let (count, sum) = sums.entry(key.clone()).or_default();
        (*count, *sum) = (*count + 1, *sum + number);
        expected.entry(key).or_default().push(format!("{count} {sum}"));
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut still: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for record in ended.topics["output"].iter().flatten() {
        let value = text(&record.value);
        match value.strip_prefix("still ") {
            Some(count) => still.entry(text(&record.key)).or_default().push(count.parse().unwrap()),
            None => found.entry(text(&record.key)).or_default().push(value),
        }
    }
    if found != expected {
        return Err(format!("said {found:?}, expected {expected:?}"));
    }
    for (key, (count, _)) in sums {
        let said = still.remove(&key).unwrap_or_default();
        if !said.is_sorted_by(|a, b| a < b) || said.last() != Some(&count) {
            return Err(format!("the clock said {said:?} of {key}, which has {count}"));
        }
    }
    let invalid: u64 = ended.counts.values().map(|counts| counts.invalid).sum();
    let dead = ended.topics["dead"].iter().flatten().count();
    if invalid != dead as u64 {
        return Err(format!("{invalid} records invalid, {dead} dead letters"));
    }
    Ok(())
}

#[test]
fn whatever_happens_every_record_counts_once() {
    let stats = play(&simulation(), ENOUGH).stats;
    // A simulation in which nothing goes wrong would show nothing.
    let happened = [stats.aborted, stats.stale, stats.unknown, stats.crashes, stats.stops, stats.pauses, stats.gave_up];
    if std::env::var_os("FINFLOW_SIM_SEED").is_none() {
        assert!(happened.iter().all(|n| *n > 0), "{stats:?}");
    }
}

#[test]
fn a_seed_is_a_history() {
    for seed in 0..50 {
        let once = || simulation().run(seed, None).unwrap_or_else(|failed| panic!("{failed}"));
        assert_eq!(format!("{:?}", once()), format!("{:?}", once()), "seed {seed}");
    }
}

#[test]
fn each_rule_that_is_broken_is_noticed() {
    for lie in Lie::ALL {
        match simulation().find(0..ENOUGH, Some(lie)) {
            Err(failed) => println!("{lie:?}: seed {}: {:.300}", failed.seed, failed.what),
            Ok(played) => panic!("{lie:?} went unnoticed in {played:?}"),
        }
    }
}
