//! Everything at once, under load: processes that are killed, stopped and woken up when others have their partitions, started beside
//! each other and ended. A few of each by default; `make soak-aggregate` has a hundred kills, on Apache Kafka with one and with
//! three brokers, of which one goes and comes back meanwhile.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::crash::{settings, start_as};
use super::*;
use market::window::Outcome;
use streams::stateful::Counts;
use streams::stateful::world::META_KEY;
use testkit::{Fleet, from_env};

const SYMBOLS: usize = 12;
/// Trades per second.
const RATE: usize = 2_000;

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

/// Longer than a session, until the others have told more.
fn outsleep(bench: &Bench) {
    let end = || -> i64 {
        let marks = bench.brokers.admin().watermarks(&bench.output).unwrap();
        marks.iter().map(|(_, high)| high).sum()
    };
    std::thread::sleep(bench.session() * 2);
    let before = end();
    testkit::eventually(PATIENCE, "the others go on", || (end() > before).then_some(()));
}

#[test]
fn whatever_happens_to_its_processes_each_window_is_told_once() {
    let kills = from_env("FINFLOW_TEST_KILLS", 4);
    let seed = from_env("FINFLOW_TEST_SEED", 1);
    let bench = Bench::new(3);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), settings(&bench)).unwrap();
    let start = |place, log| start_as(&bench, &format!("{}-{place}", bench.group), file.path(), log, false);
    Fleet::new(seed, start).storm(kills, || outsleep(&bench), |stop| feed(&bench, seed, stop));
    let last =
        start_as(&bench, &format!("{}-0", bench.group), file.path(), Stdio::piped(), true).wait_with_output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    assert_balanced(&bench, &Options { lateness_ns: S, ..Options::default() });
}

/// Each window equals the batch, and every record is folded, a duplicate or late: as a plain computation says, and as the stage
/// itself has counted over all its processes.
fn assert_balanced(bench: &Bench, options: &Options) {
    assert_equals_batch(bench, options);
    let mut expected: BTreeMap<i32, Counts> = BTreeMap::new();
    let mut folds: BTreeMap<i32, Fold> = BTreeMap::new();
    for record in bench.records(&bench.input) {
        let Ok(Event::Trade(trade)) = Event::decode(record.value.as_deref().unwrap()) else { panic!("{record:?}") };
        let fold = folds.entry(record.partition).or_insert_with(|| Fold::new(options, record.partition).unwrap());
        let counts = expected.entry(record.partition).or_default();
        match fold.trade(&Input::of_owned(&trade, record.offset), &mut Vec::new()) {
            Outcome::Folded => counts.folded += 1,
            Outcome::Late => counts.late += 1,
            Outcome::Duplicate => counts.duplicate += 1,
            other => panic!("{other:?}"),
        }
    }
    let ends = bench.brokers.admin().watermarks(&bench.input).unwrap();
    for (partition, (counted, next_offset)) in counted(bench) {
        assert_eq!(counted, expected[&partition], "partition {partition}");
        assert_eq!(next_offset, ends[partition as usize].1, "partition {partition}");
    }
    let all = expected.values().fold(Counts::default(), |sum, counts| sum.plus(counts));
    let told = last_revisions(&bench.metrics());
    let minutes: u64 = told.iter().filter(|((_, w, _), _)| w == "1m").map(|(_, m)| m.trade_count).sum();
    println!("{} records, {} folded, {} late, {} windows", all.sum(), all.folded, all.late, told.len());
    // Some came too late for their minute and not for a window of five.
    let missed: u64 = folds.values().map(|fold| fold.counts().late_for_window[0]).sum();
    assert_eq!(minutes + missed, all.folded + all.late, "each trade in one minute or too late for it");
    assert_eq!(bench.records(&bench.dead_letters).len() as u64, all.late, "each late trade once in the dead letters");
}

/// What the last mark of each partition says: outcomes since the state began, and up to where.
fn counted(bench: &Bench) -> BTreeMap<i32, (Counts, i64)> {
    let marks = bench.records(&bench.state).into_iter().filter(|record| record.key.as_deref() == Some(META_KEY));
    let read = |record: OwnedRecord| {
        let mark: serde_json::Value = serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
        let counts = serde_json::from_value(mark["counts"].clone()).unwrap();
        (record.partition, (counts, mark["next_offset"].as_i64().unwrap()))
    };
    let counted: BTreeMap<_, _> = marks.map(read).collect();
    assert_eq!(counted.len(), 3);
    counted
}
