//! Everything at once, under load: processes that are killed, stopped and woken up when others have their partitions, started beside
//! each other and ended. A few of each by default; `make soak-aggregate` has a hundred kills, on Apache Kafka with one and with
//! three brokers, of which one goes and comes back meanwhile.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::crash::{settings, start_as};
use super::*;
use market::window::Outcome;

const SYMBOLS: usize = 12;
/// Trades per second.
const RATE: usize = 2_000;

fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// Trades of several symbols that come a little out of order, twice, or far too late.
struct Market {
    rng: fastrand::Rng,
    sent: u64,
    last: Option<Trade>,
}

impl Market {
    fn next(&mut self) -> Trade {
        if let Some(last) = self.last.take_if(|_| self.rng.u32(..100) == 0) {
            return last;
        }
        self.sent += 1;
        let behind = match self.rng.u32(..1000) {
            0 => 3_600.0,
            1..10 => self.rng.f64() * 4.0,
            _ => 0.0,
        };
        let symbol = format!("S{}", self.rng.usize(..SYMBOLS));
        // An hour of market in a minute and a half, so that many windows close.
        let seconds = 1_000_000.0 + self.sent as f64 * 0.02 - behind;
        let price = format!("{}.{:02}", self.rng.u32(90..110), self.rng.u32(..100));
        let trade = trade(&symbol, self.sent, seconds, &price, &format!("0.{:03}", self.rng.u32(1..1000)));
        self.last = Some(trade.clone());
        trade
    }
}

/// Sends at the rate until it is told to stop.
fn feed(bench: &Bench, seed: u64, stop: &AtomicBool) {
    let mut market = Market { rng: fastrand::Rng::with_seed(seed), sent: 0, last: None };
    let (begun, mut sent) = (Instant::now(), 0);
    while !stop.load(Ordering::SeqCst) {
        let due = (begun.elapsed().as_secs_f64() * RATE as f64) as usize;
        let trades: Vec<Trade> = (sent..due).map(|_| market.next()).collect();
        sent = due;
        bench.send_trades(&trades);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, name: &str) {
    assert!(std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// The processes of the group, each in a place of its own.
struct Fleet<'a> {
    bench: &'a Bench,
    settings: &'a std::path::Path,
    /// What all of them say: a pipe that nobody reads would stop them.
    log: &'a tempfile::NamedTempFile,
    children: Vec<Child>,
    rng: fastrand::Rng,
}

impl Fleet<'_> {
    fn grow(&mut self) {
        self.children.push(self.child(self.children.len()));
    }

    fn child(&self, place: usize) -> Child {
        let log = std::fs::OpenOptions::new().append(true).open(self.log.path()).unwrap();
        start_as(self.bench, &format!("{}-{place}", self.bench.group), self.settings, log.into(), false)
    }

    fn kill_one(&mut self) {
        let place = self.rng.usize(..self.children.len());
        self.all_alive();
        self.children[place].kill().unwrap();
        self.children[place].wait().unwrap();
        self.children[place] = self.child(place);
    }

    /// Drains the last one.
    fn shrink(&mut self) {
        let child = self.children.pop().unwrap();
        signal(&child, "-TERM");
        assert!(child.wait_with_output().unwrap().status.success(), "{}", self.last_words());
    }

    /// Stops one for longer than its session, until others have told more, and wakes it up.
    fn stop_and_wake(&mut self) {
        let place = self.rng.usize(..self.children.len());
        signal(&self.children[place], "-STOP");
        let end = |bench: &Bench| -> i64 {
            let marks = bench.brokers.admin().watermarks(&bench.output).unwrap();
            marks.iter().map(|(_, high)| high).sum()
        };
        std::thread::sleep(self.bench.session() * 2);
        let before = end(self.bench);
        testkit::eventually(PATIENCE, "the others go on", || (end(self.bench) > before).then_some(()));
        signal(&self.children[place], "-CONT");
    }

    fn all_alive(&mut self) {
        let ended = self.children.iter_mut().find_map(|child| child.try_wait().unwrap());
        assert_eq!(ended, None, "one ended by itself: {}", self.last_words());
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(self.log.path()).unwrap();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    fn pause(&mut self, most_ms: u64) {
        std::thread::sleep(Duration::from_millis(self.rng.u64(..most_ms)));
    }
}

impl Drop for Fleet<'_> {
    fn drop(&mut self) {
        for child in &mut self.children {
            child.kill().unwrap();
        }
    }
}

#[test]
fn whatever_happens_to_its_processes_each_window_is_told_once() {
    let kills = from_env("FINFLOW_TEST_KILLS", 4);
    let seed = from_env("FINFLOW_TEST_SEED", 1);
    let bench = Bench::new(3);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings(&bench)).unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let stop = AtomicBool::new(false);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| feed(&bench, seed, &stop));
        let _stop = StopAtEnd(&stop);
        let rng = fastrand::Rng::with_seed(seed);
        let mut fleet = Fleet { bench: &bench, settings: file.path(), log: &log, children: Vec::new(), rng };
        fleet.grow();
        // Five rounds of 1 -> 3 -> 1, or fewer where there are not many kills.
        let round = kills.div_ceil(5).max(4);
        for kill in 0..kills {
            fleet.pause(1_500);
            match kill % round {
                1 => (0..2).for_each(|_| fleet.grow()),
                2 => fleet.stop_and_wake(),
                3 => (0..2).for_each(|_| fleet.shrink()),
                _ => {}
            }
            fleet.pause(1_500);
            fleet.kill_one();
            if kill % 10 == 9 {
                println!("{} of {kills} kills in {:?}", kill + 1, begun.elapsed());
            }
        }
        fleet.pause(1_500);
        while !fleet.children.is_empty() {
            fleet.shrink();
        }
    });
    let last =
        start_as(&bench, &format!("{}-0", bench.group), file.path(), Stdio::piped(), true).wait_with_output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    assert_balanced(&bench, &Options { lateness_ns: S, ..Options::default() });
}

/// Ends the feeder even where the test fails: the scope waits for it.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Each window equals the batch, and every record is folded, a duplicate or late, as a plain computation says.
fn assert_balanced(bench: &Bench, options: &Options) {
    assert_equals_batch(bench, options);
    let (mut folded, mut late, mut all) = (0, 0, 0);
    let mut folds: BTreeMap<i32, Fold> = BTreeMap::new();
    for record in bench.records(&bench.input) {
        let Ok(Event::Trade(trade)) = Event::decode(record.value.as_deref().unwrap()) else { panic!("{record:?}") };
        let fold = folds.entry(record.partition).or_insert_with(|| Fold::new(options, record.partition).unwrap());
        all += 1;
        match fold.trade(&Input::of_owned(&trade, record.offset), &mut Vec::new()) {
            Outcome::Folded => folded += 1,
            Outcome::Late => late += 1,
            Outcome::Duplicate => {}
            other => panic!("{other:?}"),
        }
    }
    let told = last_revisions(&bench.metrics());
    let minutes: u64 = told.iter().filter(|((_, w, _), _)| w == "1m").map(|(_, m)| m.trade_count).sum();
    println!("{all} records, {folded} folded, {late} late, {} windows", told.len());
    // Some came too late for their minute and not for a window of five.
    let missed: u64 = folds.values().map(|fold| fold.counts().late_for_window[0]).sum();
    assert_eq!(minutes + missed, folded + late, "each trade in one minute or too late for it");
    assert_eq!(bench.records(&bench.dead_letters).len() as u64, late, "each late trade once in the dead letters");
}
