//! Gaps filled by REST, against the REST side of fake venues: what was missed is there once, and what could not be fetched stays
//! a gap that is said.

use std::collections::BTreeMap;
use std::time::Duration;

use ingest::Config;
use market::{Event, GapCause, Trade};
use testkit::eventually;
use testkit::venues::{FakeVenue, Kind, script};

use crate::bed::{Bed, runtime};
use crate::histories::{Totals, farewell, feed, judge, names};
use crate::live::{Running, one, start, trade, venue, wait_for};

const KINDS: [Kind; 3] = [Kind::Binance, Kind::Coinbase, Kind::Kraken];
const DEADLINE: Duration = Duration::from_secs(20);

fn mended(name: &str, venue: &FakeVenue, rate: &str) -> String {
    format!("{}&rest={}&rest_rate={rate}", feed(name, venue, "8s"), venue.rest_url())
}

/// A feed `f` that serves all its symbols, with a trade of each, so that whatever is missing from here on is a gap.
fn begin(bed: &Bed, venue: &FakeVenue, rate: &str, change: impl FnOnce(&mut Config)) -> Running {
    let running = start(bed, &mended("f", venue, rate), change);
    running.serves(venue);
    trade(venue, 1);
    wait_for(bed, "f", 3, venue);
    running
}

/// Trades of the first symbol that nobody is told of, and one that shows it.
fn miss(venue: &FakeVenue, count: usize) -> Vec<u64> {
    let name = names(venue.kind).2[0];
    let made: Vec<usize> = (0..count).map(|_| venue.make(name)).collect();
    venue.trade(name);
    let all = venue.made();
    made.into_iter().map(|index| all[index].id).collect()
}

fn end(bed: &Bed, venue: &FakeVenue, running: Running) -> Totals {
    runtime().block_on(farewell(std::slice::from_ref(venue)));
    running.stop();
    judge(venue.kind, &venue.made(), &one(bed, "f")).unwrap_or_else(|problem| panic!("{:?}: {problem}", venue.kind))
}

fn outcomes(running: &Running, outcome: &str) -> u64 {
    let series = format!("finflow_ingest_feed_backfills_total{{feed=\"f\",outcome=\"{outcome}\"}} ");
    let text = running.metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series.as_str()));
    line.unwrap_or_else(|| panic!("no {series} in {text}")).parse().expect("a count")
}

fn wait_for_outcome(running: &Running, venue: &FakeVenue, outcome: &str, count: u64) {
    eventually(DEADLINE, &format!("{count} gaps are {outcome}"), || {
        venue.heartbeat();
        (outcomes(running, outcome) >= count).then_some(())
    });
}

fn filled(trades: &[Trade]) -> Vec<u64> {
    let filled = trades.iter().filter(|trade| trade.backfilled);
    filled.map(|trade| trade.trade_id.as_deref().expect("an id").parse().expect("a number")).collect()
}

#[test]
fn a_gap_is_filled_page_by_page_behind_its_record() {
    for kind in KINDS {
        let (bed, venue) = (Bed::new(), venue(kind));
        venue.rest_page(4);
        let running = begin(&bed, &venue, "1000/1s", |_| {});
        let ids = miss(&venue, 10);
        wait_for_outcome(&running, &venue, "filled", 1);
        wait_for(&bed, "f", 14, &venue);
        let totals = end(&bed, &venue, running);
        assert_eq!((totals.trades, totals.missing, totals.gaps), (14, 0, 1), "{kind:?}");
        let written = one(&bed, "f");
        let mut came = filled(&written.trades);
        came.sort_unstable();
        assert_eq!(came, ids, "{kind:?}: these and no others are marked");
        let gap = &written.gaps[0];
        let named = (gap.first_missing.as_deref(), gap.last_missing.as_deref());
        assert_eq!(named, (Some(ids[0].to_string().as_str()), Some(ids[9].to_string().as_str())), "{kind:?}");
        assert!(venue.rest_requests().len() >= 3, "{kind:?}: pages of four, {:?}", venue.rest_requests());
        // Whoever reads it knows the gap before what heals it.
        let events = bed.events();
        let of_symbol = events.iter().filter(|event| event.symbol() == Some(gap.symbol.as_str()));
        let mut gap_seen = false;
        for event in of_symbol {
            match event {
                Event::Gap(_) => gap_seen = true,
                Event::Trade(trade) => assert!(gap_seen || !trade.backfilled, "{kind:?}"),
                _ => {}
            }
        }
    }
}

#[test]
fn a_venue_that_does_not_answer_leaves_the_gap_and_the_feed_goes_on() {
    let (bed, venue) = (Bed::new(), venue(Kind::Binance));
    venue.rest_down(true);
    let running = begin(&bed, &venue, "1000/1s", |_| {});
    let lost = miss(&venue, 3);
    trade(&venue, 2);
    wait_for(&bed, "f", 10, &venue);
    wait_for_outcome(&running, &venue, "failed", 1);
    assert_eq!(venue.rest_requests().len(), 6, "tried again, and not for ever");
    assert!(running.health.is_ready(), "a gap is no reason to take the feed for ill");
    venue.rest_down(false);
    let found = miss(&venue, 2);
    wait_for_outcome(&running, &venue, "filled", 1);
    wait_for(&bed, "f", 13, &venue);
    let totals = end(&bed, &venue, running);
    assert_eq!((totals.trades, totals.missing, totals.gaps), (13, lost.len(), 2));
    assert_eq!(filled(&one(&bed, "f").trades), found);
}

#[test]
fn what_the_venue_is_late_with_or_too_busy_for_is_asked_for_again() {
    let (bed, venue) = (Bed::new(), venue(Kind::Coinbase));
    let running = begin(&bed, &venue, "1000/1s", |_| {});
    venue.rest_answers(&[503, 429]);
    let next = venue.made().iter().map(|made| made.id).max().expect("some");
    venue.rest_is_late_with(&[next + 2]);
    let ids = miss(&venue, 4);
    assert!(ids.contains(&(next + 2)), "{ids:?}");
    eventually(DEADLINE, "an answer without one of them", || {
        venue.heartbeat();
        (venue.rest_requests().len() >= 3).then_some(())
    });
    wait_for_outcome(&running, &venue, "filled", 1);
    wait_for(&bed, "f", 8, &venue);
    let at: Vec<_> = venue.rest_requests().into_iter().map(|(_, at)| at).collect();
    assert!(at[2].duration_since(at[1]) >= Duration::from_secs(1), "it was told to wait a second");
    let totals = end(&bed, &venue, running);
    assert_eq!((totals.trades, totals.missing), (8, 0));
}

#[test]
fn an_answer_that_no_try_would_change_is_taken_for_one() {
    let (bed, venue) = (Bed::new(), venue(Kind::Kraken));
    let running = begin(&bed, &venue, "1000/1s", |_| {});
    venue.rest_answers(&[403]);
    miss(&venue, 3);
    wait_for_outcome(&running, &venue, "failed", 1);
    assert_eq!(venue.rest_requests().len(), 1);
    let totals = end(&bed, &venue, running);
    assert_eq!((totals.missing, totals.gaps), (3, 1));
}

#[test]
fn a_gap_larger_than_allowed_is_not_asked_for() {
    let (bed, venue) = (Bed::new(), venue(Kind::Binance));
    let running = begin(&bed, &venue, "1000/1s", |config| config.live.backfill = 5);
    miss(&venue, 6);
    wait_for_outcome(&running, &venue, "too_large", 1);
    let ids = miss(&venue, 5);
    wait_for_outcome(&running, &venue, "filled", 1);
    wait_for(&bed, "f", 10, &venue);
    let totals = end(&bed, &venue, running);
    assert_eq!((totals.missing, totals.gaps), (6, 2));
    assert_eq!(filled(&one(&bed, "f").trades), ids);
}

/// Beside the live path: trades come through while the pages trickle.
#[test]
fn no_more_is_asked_than_the_venue_allows() {
    const BURST: usize = 4;
    const PER: Duration = Duration::from_millis(400);
    let (bed, venue) = (Bed::new(), venue(Kind::Binance));
    venue.rest_page(1);
    let running = begin(&bed, &venue, "4/400ms", |_| {});
    miss(&venue, 16);
    eventually(DEADLINE, "the first pages", || (venue.rest_requests().len() >= BURST).then_some(()));
    trade(&venue, 1);
    wait_for(&bed, "f", 7, &venue);
    assert_eq!(outcomes(&running, "filled"), 0, "the live path does not wait for the past");
    wait_for_outcome(&running, &venue, "filled", 1);
    wait_for(&bed, "f", 23, &venue);
    let at: Vec<_> = venue.rest_requests().into_iter().map(|(_, at)| at).collect();
    assert_eq!(at.len(), 16);
    // They are counted where they arrive: a little less than the time between their departures may be between them.
    let tolerance = PER / 4;
    for window in at.windows(BURST + 1) {
        assert!(window[BURST].duration_since(window[0]) >= PER - tolerance, "{BURST} in {PER:?}: {window:?}");
    }
    assert_eq!(end(&bed, &venue, running).missing, 0);
}

#[test]
fn what_a_restart_missed_is_fetched_and_nothing_is_written_twice() {
    for kind in KINDS {
        let (bed, venue) = (Bed::new(), venue(kind));
        let first = begin(&bed, &venue, "1000/1s", |_| {});
        first.stop();
        trade(&venue, 60);
        let second = start(&bed, &mended("f", &venue, "1000/1s"), |_| {});
        second.serves(&venue);
        trade(&venue, 1);
        wait_for(&bed, "f", 186, &venue);
        second.stop();
        // Once more: it knows what was fetched.
        let third = start(&bed, &mended("f", &venue, "1000/1s"), |_| {});
        third.serves(&venue);
        trade(&venue, 1);
        wait_for(&bed, "f", 189, &venue);
        let totals = end(&bed, &venue, third);
        assert_eq!((totals.trades, totals.missing), (189, 0), "{kind:?}");
        let causes = one(&bed, "f").gaps.iter().filter(|gap| gap.cause == GapCause::Restart).count();
        assert_eq!(causes, 3, "{kind:?}: one per symbol");
    }
}

/// Everything that goes wrong with a venue, and REST beside it: in the end nothing is missing.
#[test]
fn histories_end_without_a_missing_trade() {
    for kind in KINDS {
        for seed in 1..=4 {
            let (bed, venue) = (Bed::new(), venue(kind));
            venue.rest_page(7);
            let feed = mended("f", &venue, "1000/1s").replace("silence=8s", "silence=400ms");
            let running = start(&bed, &feed, |_| {});
            running.serves(&venue);
            trade(&venue, 1);
            wait_for(&bed, "f", 3, &venue);
            let own_names: Vec<String> = names(kind).2.iter().map(|name| (*name).to_owned()).collect();
            let moment = Duration::from_millis(8);
            runtime().block_on(script::play(&venue, &own_names, &script::steps(kind, seed, 40), seed, moment));
            running.serves(&venue);
            trade(&venue, 1);
            let made = venue.made();
            eventually(DEADLINE, "every trade is in Kafka", || {
                venue.heartbeat();
                (one(&bed, "f").trades.len() >= made.len()).then_some(())
            });
            let totals = end(&bed, &venue, running);
            assert_eq!((totals.trades, totals.missing), (made.len(), 0), "{kind:?} seed {seed}");
            let mut times: BTreeMap<(String, u64), usize> = BTreeMap::new();
            for trade in one(&bed, "f").trades {
                *times.entry((trade.symbol, trade.price.to_string().parse().expect("an id"))).or_default() += 1;
            }
            assert!(times.values().all(|count| *count == 1), "{kind:?} seed {seed}");
        }
    }
}
