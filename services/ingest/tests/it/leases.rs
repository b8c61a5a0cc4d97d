//! Several processes and one feed: of one key there is one connection, other feeds are shared; who dies, freezes or leaves is replaced.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;
use std::time::{Duration, Instant};

use testkit::venues::{FakeVenue, Kind};
use testkit::{eventually, signal};

use crate::bed::{Bed, runtime};
use crate::histories::{farewell, feed, judge, names};
use crate::live::{Killed, one, process, trade, venue, wait_for};

const DEADLINE: Duration = Duration::from_secs(30);
/// A lease as short as a busy machine allows.
const LEASE: [&str; 2] = ["--set", "live.lease=2s"];

fn processes(bed: &Bed, feed: &str, count: usize) -> Vec<Killed> {
    (0..count).map(|_| Killed(process(bed, feed, &LEASE))).collect()
}

/// The shares that each of these processes holds by the last word of each member in the topic.
fn held(bed: &Bed, processes: &[Killed]) -> BTreeMap<u32, BTreeSet<u64>> {
    let mut said: BTreeMap<Vec<u8>, (u32, BTreeSet<u64>)> = BTreeMap::new();
    for record in bed.records(&bed.leases) {
        let Some(key) = record.key.filter(|key| key.starts_with(b"lease/")) else { continue };
        let Some(value) = record.value else {
            said.remove(&key);
            continue;
        };
        let value: serde_json::Value = serde_json::from_slice(&value).unwrap();
        let pid = value["process"].as_str().unwrap().rsplit('/').nth(1).unwrap().parse().unwrap();
        let holds = value["holds"].as_object().unwrap().keys().map(|share| share.parse().unwrap()).collect();
        said.insert(key, (pid, holds));
    }
    let ours: BTreeSet<u32> = processes.iter().map(|process| process.0.id()).collect();
    said.into_values().filter(|(pid, _)| ours.contains(pid)).collect()
}

fn served(venue: &FakeVenue, what: &str) {
    let own_names: Vec<String> = names(venue.kind).2.iter().map(|name| (*name).to_owned()).collect();
    eventually(DEADLINE, what, || {
        venue.heartbeat();
        venue.serves(&own_names).then_some(())
    });
}

/// Trades until as many are in Kafka. Those that come while a process still has a connection and no lease any more lie in a gap.
fn goes_on(bed: &Bed, venue: &FakeVenue, trades: usize) {
    eventually(DEADLINE, &format!("{trades} trades in Kafka"), || {
        venue.heartbeat();
        trade(venue, 1);
        (one(bed, "f").trades.len() >= trades).then_some(())
    });
}

/// The only one that holds anything, once there is one.
fn holder<'a>(bed: &Bed, processes: &'a mut [Killed], but: Option<u32>) -> &'a mut Child {
    let pid = eventually(DEADLINE, "one of them holds the key", || {
        let held = held(bed, processes);
        let holders: Vec<u32> = held.iter().filter(|(_, shares)| !shares.is_empty()).map(|(pid, _)| *pid).collect();
        let holders: Vec<u32> = holders.into_iter().filter(|pid| Some(*pid) != but).collect();
        (held.len() == processes.len() && holders.len() == 1).then(|| holders[0])
    });
    &mut processes.iter_mut().find(|process| process.0.id() == pid).unwrap().0
}

#[test]
fn five_processes_with_one_key_are_one_connection_and_four_that_stand_by() {
    for kind in [Kind::Finnhub, Kind::Massive, Kind::Alpaca] {
        let (bed, venue) = (Bed::new(), venue(kind));
        let mut all = processes(&bed, &feed("f", &venue, "8s"), 5);
        served(&venue, "somebody reads it");
        trade(&venue, 3);
        wait_for(&bed, "f", 9, &venue);
        let pid = holder(&bed, &mut all, None).id();
        assert_eq!((venue.opened(), venue.violations()), (1, Vec::new()), "{kind:?}: one connection, never two");
        // It dies.
        holder(&bed, &mut all, None).kill().unwrap();
        let killed = Instant::now();
        venue.abort();
        all.retain(|process| process.0.id() != pid);
        served(&venue, "another one reads it");
        assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
        trade(&venue, 3);
        wait_for(&bed, "f", 18, &venue);
        // It leaves: the next one need not wait.
        let leaver = holder(&bed, &mut all, None);
        let pid = leaver.id();
        signal(leaver, "TERM");
        leaver.wait().unwrap();
        all.retain(|process| process.0.id() != pid);
        served(&venue, "the next one reads it");
        trade(&venue, 3);
        wait_for(&bed, "f", 27, &venue);
        assert_eq!((venue.opened(), venue.violations()), (3, Vec::new()), "{kind:?}");
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        drop(all);
        judge(kind, &venue.made(), &one(&bed, "f")).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
    }
}

/// It is taken for dead, and somebody else reads on. When it wakes it writes nothing of what it had read.
#[test]
fn a_frozen_process_is_replaced_and_writes_nothing_when_it_wakes() {
    for kind in [Kind::Binance, Kind::Finnhub] {
        let (bed, venue) = (Bed::new(), venue(kind));
        let feed = feed("f", &venue, "8s");
        let mut all = processes(&bed, &feed, 2);
        served(&venue, "somebody reads it");
        trade(&venue, 5);
        wait_for(&bed, "f", 15, &venue);
        let frozen = holder(&bed, &mut all, None);
        let pid = frozen.id();
        signal(frozen, "STOP");
        let opened = venue.opened();
        // These reach its socket, and nobody else.
        trade(&venue, 5);
        eventually(DEADLINE, "another one reads it", || {
            venue.heartbeat();
            (venue.opened() > opened).then_some(())
        });
        holder(&bed, &mut all, Some(pid));
        served(&venue, "another one serves all");
        goes_on(&bed, &venue, 30);
        let frozen = all.iter_mut().find(|process| process.0.id() == pid).unwrap();
        signal(&frozen.0, "CONT");
        // It has understood: it says that it holds nothing.
        eventually(DEADLINE, "the one that was frozen stands by", || {
            venue.heartbeat();
            held(&bed, &all).get(&pid).is_some_and(BTreeSet::is_empty).then_some(())
        });
        served(&venue, "the other one still serves all");
        goes_on(&bed, &venue, 45);
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        for process in &mut all {
            signal(&process.0, "TERM");
            process.0.wait().unwrap();
        }
        let totals =
            judge(kind, &venue.made(), &one(&bed, "f")).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
        assert!(totals.trades >= 45, "{kind:?}: {totals:?}");
    }
}

#[test]
fn processes_share_the_symbols_and_each_trade_is_written_once() {
    for kind in [Kind::Binance, Kind::Kraken] {
        let (bed, venue) = (Bed::new(), venue(kind));
        let feed = feed("f", &venue, "8s").replace("&shares=1", "");
        let mut all = processes(&bed, &feed, 1);
        served(&venue, "one reads all of it");
        trade(&venue, 5);
        wait_for(&bed, "f", 15, &venue);
        all.extend(processes(&bed, &feed, 2));
        let even = |all: &[Killed], least: usize| {
            eventually(DEADLINE, "the shares are divided", || {
                venue.heartbeat();
                trade(&venue, 1);
                let held = held(&bed, all);
                let shares: BTreeSet<u64> = held.values().flatten().copied().collect();
                let counts: Vec<usize> = held.values().map(BTreeSet::len).collect();
                let even = counts.len() == all.len() && counts.iter().all(|count| *count >= least);
                (even && shares.len() == 8 && counts.iter().sum::<usize>() == 8).then_some(())
            });
            served(&venue, "together they read all of it");
        };
        even(&all, 2);
        trade(&venue, 5);
        // One dies, and the two that are left have half of it each.
        all[1].0.kill().unwrap();
        all[1].0.wait().unwrap();
        all.remove(1);
        even(&all, 4);
        trade(&venue, 5);
        // One leaves, and all is with the last.
        signal(&all[0].0, "TERM");
        all[0].0.wait().unwrap();
        all.remove(0);
        even(&all, 8);
        let before = one(&bed, "f").trades.len();
        trade(&venue, 5);
        wait_for(&bed, "f", before + 15, &venue);
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        signal(&all[0].0, "TERM");
        all[0].0.wait().unwrap();
        let totals =
            judge(kind, &venue.made(), &one(&bed, "f")).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
        assert!(totals.trades >= 60 && venue.violations().is_empty(), "{kind:?}: {totals:?}");
    }
}

/// What was one is divided into eight, and then into three: nobody forgets where a symbol stood.
#[test]
fn a_feed_that_is_divided_otherwise_goes_on_where_it_stood() {
    let (bed, venue) = (Bed::new(), venue(Kind::Binance));
    let undivided = feed("f", &venue, "8s");
    let mut there = 0;
    for shares in ["&shares=1", "", "&shares=3", "&shares=1"] {
        let running = crate::live::start(&bed, &undivided.replace("&shares=1", shares), |_| {});
        running.serves(&venue);
        trade(&venue, 3);
        there += 9;
        wait_for(&bed, "f", there, &venue);
        running.stop();
        // Nobody reads these.
        trade(&venue, 1);
    }
    let written = one(&bed, "f");
    let totals = judge(Kind::Binance, &venue.made(), &written).unwrap();
    // Those behind the last record of all are nobody's yet.
    assert_eq!(
        (totals.trades, totals.missing, totals.gaps),
        (36, 9, 9),
        "each change of hands is a gap of one trade per symbol"
    );
}
