//! What is delivered is taken once, and what is not is said once, whatever the order and wherever a restart falls.

use std::collections::{BTreeMap, BTreeSet};

use market::{Gap, GapCause, Price, Quantity, Trade};
use proptest::prelude::*;

use super::{Coverage, Patience, Verdict};
use crate::venues::Continuity;

const MS: i64 = 1_000_000;
const PATIENCE: Patience = Patience { reorder_ns: 1_000 * MS, quiet_ns: 5_000 * MS, unsure_ns: 0 };

fn trade(id: Option<u64>, time_ms: i64, old: bool) -> Trade {
    Trade {
        venue: "V".to_owned(),
        symbol: "V:A".to_owned(),
        trade_id: id.map(|id| id.to_string()),
        price: Price::parse(b"1").unwrap(),
        quantity: Quantity::parse(b"1").unwrap(),
        side: None,
        conditions: Vec::new(),
        event_time: time_ms * MS,
        receive_time: None,
        backfilled: old,
    }
}

struct Bench {
    coverage: Coverage,
    gaps: Vec<Gap>,
}

impl Bench {
    fn of(continuity: Continuity) -> Bench {
        Bench { coverage: Coverage::new(continuity, PATIENCE), gaps: Vec::new() }
    }

    fn ids() -> Bench {
        Bench::of(Continuity::Ids)
    }

    fn id(&mut self, id: u64, now_ms: i64) -> Verdict {
        self.coverage.trade(&mut trade(Some(id), now_ms, false), now_ms * MS, &mut self.gaps)
    }

    fn old(&mut self, id: u64, now_ms: i64) -> Verdict {
        self.coverage.trade(&mut trade(Some(id), id as i64, true), now_ms * MS, &mut self.gaps)
    }

    fn plain(&mut self, time_ms: i64, now_ms: i64) -> Verdict {
        self.coverage.trade(&mut trade(None, time_ms, false), now_ms * MS, &mut self.gaps)
    }

    fn tick(&mut self, now_ms: i64) {
        self.coverage.tick(now_ms * MS, &mut self.gaps);
    }

    fn gaps(&mut self) -> Vec<String> {
        let gaps = std::mem::take(&mut self.gaps);
        gaps.iter().map(told).collect()
    }
}

fn told(gap: &Gap) -> String {
    let ids = match (&gap.first_missing, &gap.last_missing) {
        (Some(first), Some(last)) => format!(" {first}..{last}"),
        _ => String::new(),
    };
    format!("{}{ids} {}-{}", gap.cause.as_str(), gap.from / MS, gap.to / MS)
}

/// With ids and without: what began with a restart stays one, though the first connection after it ends as well.
#[test]
fn the_first_cause_of_a_gap_is_told() {
    for continuity in [Continuity::Ids, Continuity::Connection, Continuity::Nothing] {
        let mut bench = Bench::of(continuity);
        bench.coverage.covered("V:A", 0);
        bench.id(1, 1_000);
        let saved = bench.coverage.save();
        let mut again = Bench::of(continuity);
        again.coverage.take_saved(&saved);
        again.coverage.uncovered("V:A", GapCause::Disconnect);
        again.coverage.covered("V:A", 8_000 * MS);
        again.id(5, 9_000);
        again.tick(20_000);
        let causes: Vec<GapCause> = again.gaps.iter().map(|gap| gap.cause).collect();
        assert_eq!(causes, [GapCause::Restart], "{continuity:?}");
    }
}

#[test]
fn an_id_that_is_passed_over_is_said_after_a_while_unless_it_comes() {
    let mut bench = Bench::ids();
    assert_eq!([bench.id(10, 100), bench.id(13, 130), bench.id(14, 140)], [Verdict::Take; 3]);
    bench.tick(1_000);
    assert_eq!(bench.gaps(), Vec::<String>::new(), "it may still come");
    assert_eq!(bench.id(12, 1_050), Verdict::Take);
    bench.tick(1_131);
    assert_eq!(bench.gaps(), ["sequence 11..11 100-130"]);
    let mut late = trade(Some(11), 120, false);
    assert_eq!(bench.coverage.trade(&mut late, 9_000 * MS, &mut bench.gaps), Verdict::Take);
    assert!(late.backfilled, "it fills a gap that was said");
    assert_eq!([bench.id(11, 9_001), bench.id(12, 9_001), bench.id(14, 9_001)], [Verdict::Duplicate; 3]);
}

#[test]
fn a_disconnect_in_which_nothing_was_traded_is_no_gap() {
    let mut bench = Bench::ids();
    bench.id(10, 100);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", 200 * MS);
    bench.id(11, 300);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.id(15, 400);
    bench.id(18, 500);
    bench.tick(5_000);
    assert_eq!(bench.gaps(), ["disconnect 12..14 300-400", "sequence 16..17 400-500"]);
}

#[test]
fn the_first_snapshot_says_where_the_stream_begins_and_later_ones_what_was_missed() {
    let mut bench = Bench::ids();
    assert_eq!([bench.old(48, 100), bench.old(50, 100), bench.old(49, 100)], [Verdict::Before; 3]);
    assert_eq!(bench.id(51, 110), Verdict::Take);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    assert_eq!([bench.old(50, 200), bench.old(51, 200)], [Verdict::Before, Verdict::Duplicate]);
    assert_eq!([bench.old(54, 200), bench.old(55, 200)], [Verdict::Take; 2]);
    assert_eq!([bench.old(47, 200), bench.id(56, 210)], [Verdict::Before, Verdict::Take]);
    bench.tick(5_000);
    assert_eq!(bench.gaps(), ["disconnect 52..53 54-110"]);
}

#[test]
fn a_snapshot_after_a_disconnect_without_a_trade_is_of_our_time() {
    let mut bench = Bench::ids();
    assert_eq!(bench.old(50, 100), Verdict::Before);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    assert_eq!([bench.old(50, 200), bench.old(51, 200)], [Verdict::Before, Verdict::Take]);
}

#[test]
fn a_heartbeat_that_names_the_last_id_shows_what_no_trade_has_shown() {
    let mut bench = Bench::ids();
    bench.coverage.last_id("V:A", 7, 0, 0);
    assert_eq!(bench.id(7, 100), Verdict::Take, "a heartbeat does not say where the stream begins");
    bench.coverage.last_id("V:A", 7, 150 * MS, 150 * MS);
    bench.coverage.last_id("V:A", 9, 200 * MS, 200 * MS);
    assert_eq!(bench.id(8, 300), Verdict::Take, "it was on its way");
    bench.tick(2_000);
    assert_eq!(bench.gaps(), ["sequence 9..9 100-200"]);
}

/// A venue that starts its numbering over must not have all its trades taken for duplicates.
#[test]
fn a_numbering_that_starts_over_loses_nothing() {
    let mut bench = Bench::ids();
    bench.id(1_000_000, 100);
    for id in 1..5 {
        assert_eq!(bench.id(id, 100 + id as i64), Verdict::Take, "{id}");
    }
}

#[test]
fn an_id_that_is_used_for_no_trade_leaves_no_hole() {
    let mut bench = Bench::ids();
    bench.id(1, 100);
    bench.coverage.used("V:A", 2, 0, 0);
    bench.id(3, 100);
    bench.tick(10_000);
    assert_eq!(bench.gaps(), Vec::<String>::new());
}

#[test]
fn without_ids_every_disconnect_is_a_gap_that_the_next_trade_ends() {
    let mut bench = Bench::of(Continuity::Nothing);
    bench.coverage.covered("V:A", 0);
    assert_eq!([bench.plain(100, 101), bench.plain(100, 101)], [Verdict::Take; 2], "equal trades are all real");
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", 200 * MS);
    bench.plain(300, 301);
    assert_eq!(bench.gaps(), ["disconnect 100-300"]);
    bench.plain(301, 302);
    assert_eq!(bench.gaps(), Vec::<String>::new());
}

#[test]
fn without_a_trade_the_gap_ends_where_the_symbol_was_served_again() {
    let mut bench = Bench::of(Continuity::Nothing);
    // The venue's clock is 40 ms ahead of ours.
    bench.plain(140, 100);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.tick(60_000);
    assert_eq!(bench.gaps(), Vec::<String>::new(), "it has not ended");
    bench.coverage.covered("V:A", 60_000 * MS);
    bench.tick(64_999);
    assert_eq!(bench.gaps(), Vec::<String>::new());
    bench.tick(65_000);
    assert_eq!(bench.gaps(), ["disconnect 140-60040"]);
    bench.plain(70_000, 70_000);
    assert_eq!(bench.gaps(), Vec::<String>::new(), "said once");
}

/// A venue may report a trade minutes after it happened. That it comes is no sign that all since then has come.
#[test]
fn a_trade_that_is_reported_late_ends_no_gap_before_the_symbol_was_served_again() {
    for reported_ms in [50, 130, 190] {
        let mut bench = Bench::of(Continuity::Nothing);
        bench.plain(100, 101);
        bench.coverage.uncovered("V:A", GapCause::Disconnect);
        bench.coverage.covered("V:A", 200 * MS);
        bench.plain(reported_ms, 210);
        assert_eq!(bench.gaps(), ["disconnect 100-200"], "{reported_ms}");
    }
    // Not acknowledged yet: it is served since this trade at the latest.
    let mut bench = Bench::of(Continuity::Nothing);
    bench.plain(100, 101);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.plain(130, 170);
    assert_eq!(bench.gaps(), ["disconnect 100-170"]);
    // Nor will it ever be.
    let mut bench = Bench::of(Continuity::Nothing);
    bench.coverage.patience.unsure_ns = 2_000 * MS;
    bench.plain(100, 101);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", 150 * MS);
    bench.plain(130, 170);
    assert_eq!(bench.gaps(), ["disconnect 100-170"]);
}

/// Delayed by a quarter of an hour, as cheap plans are: the gap is no longer for that.
#[test]
fn the_gap_of_a_delayed_feed_ends_by_the_time_of_its_trades() {
    let late = 900_000;
    let mut bench = Bench::of(Continuity::Nothing);
    bench.plain(100, late + 140);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", (late + 2_000) * MS);
    bench.plain(5_000, late + 5_040);
    assert_eq!(bench.gaps(), ["disconnect 100-5000"]);
}

/// Nobody says when the subscription took effect: the gap is said to be longer rather than too short.
#[test]
fn where_nothing_is_acknowledged_the_gap_ends_later() {
    let mut bench = Bench::of(Continuity::Nothing);
    bench.coverage.patience.unsure_ns = 2_000 * MS;
    bench.plain(100, 100);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", 200 * MS);
    bench.tick(5_200);
    assert_eq!(bench.gaps(), ["disconnect 100-2200"]);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", 6_000 * MS);
    bench.coverage.close(6_500 * MS, &mut bench.gaps);
    assert_eq!(bench.gaps(), ["disconnect 100-6500"]);
}

#[test]
fn a_symbol_that_never_traded_is_missed_from_when_it_was_first_served() {
    let mut bench = Bench::of(Continuity::Nothing);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.covered("V:A", 50 * MS);
    bench.plain(60, 60);
    assert_eq!(bench.gaps(), Vec::<String>::new(), "nothing was promised before");
    let mut bench = Bench::of(Continuity::Nothing);
    bench.coverage.covered("V:A", 50 * MS);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    bench.coverage.close(90 * MS, &mut bench.gaps);
    assert_eq!(bench.gaps(), ["disconnect 50-90"]);
}

#[test]
fn a_lost_message_of_a_connection_is_a_gap_of_each_of_its_symbols() {
    let mut bench = Bench::of(Continuity::Connection);
    assert_eq!(bench.old(1, 5), Verdict::Before);
    bench.id(2, 100);
    bench.coverage.missed("V:A", 110 * MS);
    bench.id(4, 120);
    assert_eq!(bench.gaps(), ["sequence 100-120"]);
    // Nothing of it is acknowledged: it may not be served yet, and quiet ends nothing.
    bench.coverage.missed("V:A", 130 * MS);
    bench.tick(50_000);
    assert_eq!(bench.gaps(), Vec::<String>::new());
    bench.coverage.covered("V:A", 50_000 * MS);
    bench.coverage.missed("V:A", 50_010 * MS);
    bench.tick(60_000);
    assert_eq!(bench.gaps(), ["sequence 120-50010"]);
    bench.coverage.uncovered("V:A", GapCause::Disconnect);
    // A snapshot of ids 1 to 6 at times of 1 to 6 s.
    let snapshot: Vec<Verdict> = [1, 2, 4, 5].iter().map(|id| bench.old(*id, 200)).collect();
    assert_eq!(snapshot, [Verdict::Duplicate, Verdict::Duplicate, Verdict::Duplicate, Verdict::Before]);
}

/// One thing that may happen to a symbol with ids.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The next id is delivered, dropped, or delivered after so many further steps, and perhaps again.
    Next {
        drop: bool,
        later: u8,
        again: bool,
    },
    Wait(u16),
    Cut,
    Snapshot(u8),
    /// The process is killed; the last records of what it had taken are not in Kafka.
    Kill {
        lost: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (prop::bool::weighted(0.2), prop_oneof![4 => Just(0u8), 1 => 1u8..6], prop::bool::weighted(0.1))
            .prop_map(|(drop, later, again)| Step::Next { drop, later, again }),
        2 => (1u16..3_000).prop_map(Step::Wait),
        1 => Just(Step::Cut),
        1 => (1u8..12).prop_map(Step::Snapshot),
        1 => (0u8..6).prop_map(|lost| Step::Kill { lost }),
    ];
    prop::collection::vec(step, 1..120)
}

/// Kafka, and a process that writes to it what its coverage says.
struct World {
    coverage: Coverage,
    /// What a restart would know: folded from what is in Kafka.
    written: Vec<Result<Trade, Gap>>,
    now: i64,
    delivered: BTreeSet<u64>,
}

impl World {
    fn new() -> World {
        World {
            coverage: Coverage::new(Continuity::Ids, PATIENCE),
            written: Vec::new(),
            now: 0,
            delivered: BTreeSet::new(),
        }
    }

    fn deliver(&mut self, id: u64, old: bool) {
        let mut trade = trade(Some(id), id as i64 * 10, old);
        let mut gaps = Vec::new();
        let verdict = self.coverage.trade(&mut trade, self.now * MS, &mut gaps);
        self.written.extend(gaps.into_iter().map(Err));
        match verdict {
            Verdict::Take => self.written.push(Ok(trade)),
            Verdict::Duplicate => {}
            Verdict::Before => return,
        }
        self.delivered.insert(id);
    }

    fn tick(&mut self) {
        let mut gaps = Vec::new();
        self.coverage.tick(self.now * MS, &mut gaps);
        self.written.extend(gaps.into_iter().map(Err));
    }

    /// What was taken and not yet written when the process died was not delivered, as far as Kafka is concerned.
    fn kill(&mut self, lost: usize) {
        for _ in 0..lost {
            if let Some(Ok(trade)) = self.written.pop() {
                self.delivered.remove(&trade.trade_id.unwrap().parse().unwrap());
            }
        }
        let mut folded = Coverage::new(Continuity::Ids, PATIENCE);
        for record in &self.written {
            match record {
                Ok(trade) => folded.written(trade),
                Err(gap) => folded.said(gap),
            }
        }
        let saved = folded.save();
        self.coverage = Coverage::new(Continuity::Ids, PATIENCE);
        self.coverage.take_saved(&saved);
        self.tick();
    }

    fn verdict(mut self) -> Result<(), String> {
        let mut gaps = Vec::new();
        self.coverage.close(self.now * MS, &mut gaps);
        self.written.extend(gaps.into_iter().map(Err));
        let mut taken = BTreeMap::new();
        let mut said = BTreeMap::new();
        for record in &self.written {
            match record {
                Ok(trade) => *taken.entry(trade.trade_id.clone().unwrap().parse::<u64>().unwrap()).or_insert(0) += 1,
                Err(gap) => {
                    let number = |text: &Option<String>| text.clone().unwrap().parse::<u64>().unwrap();
                    for id in number(&gap.first_missing)..=number(&gap.last_missing) {
                        *said.entry(id).or_insert(0) += 1;
                    }
                    if gap.from > gap.to {
                        return Err(format!("{gap:?} ends before it begins"));
                    }
                }
            }
        }
        if let Some((id, times)) = taken.iter().find(|(_, times)| **times != 1) {
            return Err(format!("{id} was written {times} times"));
        }
        let taken: BTreeSet<u64> = taken.keys().copied().collect();
        if taken != self.delivered {
            return Err(format!("written {taken:?}, delivered {:?}", self.delivered));
        }
        let (Some(first), Some(last)) = (taken.first(), taken.last()) else { return Ok(()) };
        for id in *first..=*last {
            match (taken.contains(&id), said.get(&id).copied().unwrap_or(0)) {
                // A gap may be healed by a late trade; it is said at most once all the same.
                (true, 0 | 1) | (false, 1) => {}
                (there, times) => return Err(format!("{id}: there {there}, said missing {times} times")),
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(std::env::var("FINFLOW_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000)))]

    #[test]
    fn each_delivered_id_is_written_once_and_each_other_one_is_said_once(steps in steps()) {
        let mut world = World::new();
        let mut next = 100u64;
        let mut later: Vec<(usize, u64)> = Vec::new();
        for (n, step) in steps.iter().enumerate() {
            world.now += 10;
            let due: Vec<u64> = later.iter().filter(|(at, _)| *at <= n).map(|(_, id)| *id).collect();
            later.retain(|(at, _)| *at > n);
            due.into_iter().for_each(|id| world.deliver(id, false));
            match *step {
                Step::Next { drop, later: delay, again } => {
                    if !drop && delay == 0 {
                        world.deliver(next, false);
                    } else if !drop {
                        later.push((n + usize::from(delay), next));
                    }
                    if again {
                        world.deliver(next.saturating_sub(1).max(100), true);
                    }
                    next += 1;
                }
                Step::Wait(ms) => world.now += i64::from(ms),
                Step::Cut => world.coverage.uncovered("V:A", GapCause::Disconnect),
                Step::Snapshot(length) => {
                    for id in next.saturating_sub(u64::from(length)).max(100)..next {
                        world.deliver(id, true);
                    }
                }
                Step::Kill { lost } => world.kill(usize::from(lost)),
            }
            world.tick();
        }
        if let Err(problem) = world.verdict() {
            prop_assert!(false, "{}", problem);
        }
    }
}
