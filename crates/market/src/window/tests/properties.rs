//! What must hold for all inputs.

use proptest::prelude::*;

use super::*;
use crate::metrics::{Reasons, Undefined};
use crate::span::Span;

/// `PROPTEST_CASES` asks for more.
pub(super) fn cases() -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(asked.unwrap_or(96)) }
}

pub(super) const SYMBOL: &str = "BINANCE:BTCUSDT";

pub(super) fn spans(texts: &[&str]) -> Vec<Span> {
    texts.iter().map(|t| t.parse().unwrap()).collect()
}

/// Windows as different as a run may ask for: several grids, deep overlap.
fn some_windows() -> impl Strategy<Value = Vec<Span>> {
    prop_oneof![
        Just(spans(&["1m", "5m/1m"])),
        Just(spans(&["1s", "1m", "5m/1m", "1h"])),
        Just(spans(&["30s/1s", "7s"])),
        Just(spans(&["1d", "2s"])),
        Just(spans(&["1w", "1m", "1mo"])),
        Just(spans(&["5m@xnys", "1m", "1d@xnys"])),
    ]
}

/// Options, and how much later than in order a trade may come and still be in time.
pub(super) fn some_options() -> impl Strategy<Value = Options> {
    let times = (prop_oneof![Just(0), Just(2 * S), Just(20 * S)], prop_oneof![Just(0), Just(S), Just(90 * S)]);
    let emit = prop_oneof![Just(Emit::OnClose), Just(Emit::OnUpdate), Just(Emit::Both)];
    let empty = prop_oneof![Just(Empty::None), Just(Empty::Carry)];
    let averages = prop_oneof![Just(&[][..]), Just(&["sma:3", "ema:4", "ema:1", "sma:10"][..])];
    (some_windows(), times, emit, empty, averages).prop_map(|(windows, (ooo, lateness), emit, empty, averages)| {
        Options {
            windows,
            out_of_orderness_ns: ooo,
            lateness_ns: lateness,
            idle_ns: 5 * S,
            emit,
            empty,
            averages: averages.iter().map(|a| a.parse().unwrap()).collect(),
            throttle_ns: S,
            sentiment_ns: 86_400 * S,
            future_tolerance_ns: 0,
            rollups: Vec::new(),
            calendars: Vec::new(),
        }
    })
}

#[derive(Clone, Debug)]
pub(super) struct Raw {
    wait: i64,
    cents: i64,
    size: i64,
    side: Option<Side>,
    /// How late it comes, as a share of what is allowed.
    delay: f64,
}

pub(super) fn some_trades(most: usize) -> impl Strategy<Value = Vec<Raw>> {
    // Several in one millisecond, dense seconds, and silences of minutes.
    let wait = prop_oneof![4 => Just(0), 4 => 0..S, 2 => 0..10 * S, 1 => 0..400 * S];
    let side = prop_oneof![Just(None), Just(Some(Side::Buy)), Just(Some(Side::Sell))];
    let size = prop_oneof![1 => Just(0), 6 => 1i64..1_000_000_000];
    let raw = (wait, 1i64..10_000_000, size, side, 0.0..1.0f64);
    prop::collection::vec(
        raw.prop_map(|(wait, cents, size, side, delay)| Raw { wait, cents, size, side, delay }),
        1..most,
    )
}

/// Trades in the order of their times, then as they come: each delayed by its share of `allowed`.
pub(super) fn prints(raw: &[Raw], start: i64, allowed: i64) -> Vec<Print> {
    let mut time = start;
    let mut prints: Vec<(i64, Print)> = Vec::new();
    for (id, raw) in raw.iter().enumerate() {
        time += raw.wait;
        let price = Decimal::from_units(i128::from(raw.cents) * 10i128.pow(16)).unwrap();
        let quantity = Decimal::from_units(i128::from(raw.size) * 10i128.pow(10)).unwrap();
        let print = Print { time, id: Some((id * 3).to_string()), price, quantity, side: raw.side, offset: 0 };
        prints.push((time + (raw.delay * allowed as f64) as i64, print));
    }
    prints.sort_by_key(|(arrival, _)| *arrival);
    (0..).zip(prints).map(|(offset, (_, print))| Print { offset, ..print }).collect()
}

pub(super) fn feed(fold: &mut Fold, prints: &[Print], out: &mut Vec<Metrics>) -> Vec<Outcome> {
    prints.iter().map(|p| fold.trade(&p.input(SYMBOL), out)).collect()
}

fn finals(options: &Options, prints: &[Print]) -> Vec<Metrics> {
    let (mut fold, mut out) = (Fold::new(options, 0).unwrap(), Vec::new());
    let outcomes = feed(&mut fold, prints, &mut out);
    assert!(outcomes.iter().all(|o| *o == Outcome::Folded), "{outcomes:?}");
    fold.tick(END, &mut out);
    last_revisions(&out)
}

/// As the batch computes it: volatility is compared apart.
pub(super) fn without_volatility(record: &Metrics) -> Metrics {
    let reasons = Reasons { volatility: None, ..record.reasons };
    Metrics { volatility: None, reasons, ..content(record) }
}

/// Starts before 1970, at a boundary, in our time, and an hour before New York closes for Thanksgiving.
pub(super) fn some_start() -> impl Strategy<Value = i64> {
    prop_oneof![Just(-157_420_800 * S - 17), Just(0), Just(1_723_161_255_342_000_000), Just(1_732_737_600 * S)]
}

proptest! {
    #![proptest_config(cases())]

    /// Any order inside what is allowed gives the finals of a plain computation, to the bit.
    #[test]
    fn any_order_in_time_equals_the_batch(options in some_options(), raw in some_trades(120), start in some_start()) {
        let allowed = options.out_of_orderness_ns + options.lateness_ns;
        let arrived = prints(&raw, start, allowed);
        let fold = finals(&options, &arrived);
        let config = fold[0].config.clone();
        let expected = batch::metrics(SYMBOL, &arrived, &options, &config);
        prop_assert_eq!(fold.len(), expected.len());
        for (ours, theirs) in fold.iter().zip(&expected) {
            prop_assert!(ours.is_final);
            let volatility = ours.volatility;
            let reason = ours.reasons.volatility;
            prop_assert_eq!(reason.is_some(), volatility.is_none());
            prop_assert!(ours.trade_count != 0 || reason == Some(Undefined::NoTrades));
            prop_assert_eq!(&without_volatility(ours), theirs);
            let in_window = |p: &&Print| p.time >= ours.window_start && p.time < ours.window_end;
            let mut trades: Vec<Print> = arrived.iter().filter(in_window).cloned().collect();
            match (volatility.map(|v| v.to_f64()), batch::volatility(&mut trades)) {
                // These prices jump by factors of millions: large returns that are nearly equal leave few digits of either.
                (Some(a), Some((b, size))) => prop_assert!((a * a - b * b).abs() <= 2e-9 * b * b + 1e-14 * size, "{} {}", a, b),
                (a, b) => prop_assert_eq!(a.is_none(), b.is_none()),
            }
        }
        // Volatility too is the same to the bit for another order.
        let sorted = finals(&options, &prints(&raw, start, 0));
        prop_assert_eq!(fold.iter().map(content).collect::<Vec<_>>(), sorted.iter().map(content).collect::<Vec<_>>());
    }

    /// Saving and restoring at any points, with a clock running and trades beyond every bound, changes no record at all; nor does
    /// missing that something was removed.
    #[test]
    fn a_restored_fold_goes_on_as_the_saved_one(
        options in some_options(),
        raw in some_trades(100),
        start in some_start(),
        restores in prop::collection::btree_set(0usize..100, 0..12),
        ticks in prop::collection::btree_set(0usize..100, 0..20),
    ) {
        let mut arrived = prints(&raw, start, 400 * S);
        // Some come twice.
        let again: Vec<Print> = arrived.iter().step_by(7).cloned().collect();
        arrived.extend(again);
        (0..).zip(&mut arrived).for_each(|(offset, p)| p.offset = offset);
        let run = |restores: &std::collections::BTreeSet<usize>, removals_missed: bool| {
            let (mut fold, mut out, mut outcomes) = (Fold::new(&options, 0).unwrap(), Vec::new(), Vec::new());
            let mut log = Log::new();
            for (i, print) in arrived.iter().enumerate() {
                outcomes.push(fold.trade(&print.input(SYMBOL), &mut out));
                if i % 9 == 4 {
                    let of = &arrived[i - i % 7];
                    let right = (i % 2 == 0).then(|| amend::right(i, print.price));
                    fold.amend(&amend::of(of, i % 4 > 0, right, print.offset));
                    fold.tick(Moment { now: print.time, caught_up: false, ending: false }, &mut out);
                }
                if i % 31 == 5 {
                    fold.gap(SYMBOL, Hole { from: print.time - S, to: print.time + S, ids: (i % 2 == 0).then_some((60, 90)) });
                }
                if ticks.contains(&i) {
                    fold.tick(Moment { now: print.time + 50 * S, caught_up: i % 3 > 0, ending: false }, &mut out);
                }
                // When a symbol was last active is saved with its next trade: a restart in between only lengthens the idleness.
                if restores.contains(&i) && outcomes[i] != Outcome::Late {
                    log.save(&mut fold);
                    fold = if removals_missed { log.restore_with_what_had_gone(&options) } else { log.restore(&options) };
                }
            }
            fold.tick(END, &mut out);
            log.save(&mut fold);
            (out, outcomes, fold.watermark(SYMBOL), log.len())
        };
        let plain = run(&Default::default(), false);
        for restored in [run(&restores, false), run(&restores, true)] {
            for (a, b) in restored.0.iter().zip(&plain.0) {
                prop_assert_eq!(a, b);
            }
            prop_assert_eq!((restored.0.len(), &restored.1, restored.2, restored.3), (plain.0.len(), &plain.1, plain.2, plain.3));
        }
    }

    /// What the clock closed in between, how often updates were told: the last revisions tell the same. Trades beyond every bound,
    /// copies and gaps included.
    #[test]
    fn the_clock_changes_no_last_revision(
        options in some_options(),
        raw in some_trades(100),
        start in some_start(),
        allowed in prop_oneof![Just(0), Just(100 * S), Just(400 * S)],
        ticks in prop::collection::btree_map(0usize..100, (0..600 * S, any::<bool>()), 0..30),
    ) {
        let mut arrived = prints(&raw, start, allowed);
        let again: Vec<Print> = arrived.iter().step_by(5).cloned().collect();
        arrived.extend(again);
        (0..).zip(&mut arrived).for_each(|(offset, p)| p.offset = offset);
        let run = |ticking: bool| {
            let (mut fold, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
            let mut now = start;
            for (i, print) in arrived.iter().enumerate() {
                fold.trade(&print.input(SYMBOL), &mut out);
                if i % 9 == 4 {
                    let right = (i % 2 == 0).then(|| amend::right(i, print.price));
                    fold.amend(&amend::of(&arrived[i - i % 7], i % 4 > 0, right, print.offset));
                }
                if i % 13 == 3 {
                    fold.gap(SYMBOL, Hole { from: print.time - 30 * S, to: print.time - 10 * S, ids: Some((i as u64, i as u64 + 20)) });
                }
                now = now.max(print.time);
                if let (true, Some((wait, caught_up))) = (ticking, ticks.get(&i)) {
                    for _ in 0..2 {
                        now += wait;
                        fold.tick(Moment { now, caught_up: *caught_up, ending: false }, &mut out);
                    }
                }
            }
            fold.tick(END, &mut out);
            out
        };
        let (out, expected) = (run(true), last_revisions(&run(false)));
        let ours = last_revisions(&out);
        prop_assert!(ours.iter().all(|r| r.is_final));
        prop_assert_eq!(ours.len(), expected.len());
        for (ours, theirs) in ours.iter().zip(&expected) {
            prop_assert_eq!(said(ours), said(theirs));
        }
        // A final record is followed by another of its window only if there is something else to say.
        let mut told = std::collections::BTreeMap::new();
        for record in &out {
            let before = told.insert((record.window, record.window_start), record);
            prop_assert!(before.is_none_or(|b| !b.is_final || said(b) != said(record)), "{:?}", record);
        }
        prop_assert!(out.iter().filter(|r| r.closed_by.is_none()).all(|r| options.emit != Emit::OnClose && !r.is_final));
    }

    /// Every trade has one outcome, and what was folded is in the windows: nothing is lost, nothing is counted twice.
    #[test]
    fn volume_is_conserved(options in some_options(), raw in some_trades(150), start in some_start(), copies in 1usize..5) {
        let size: Span = "10s".parse().unwrap();
        let options = Options { windows: vec![size], ..options };
        let mut arrived = prints(&raw, start, 300 * S);
        let again: Vec<Print> = arrived.iter().step_by(copies).cloned().collect();
        arrived.extend(again);
        let (mut fold, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
        let outcomes = feed(&mut fold, &arrived, &mut out);
        fold.tick(END, &mut out);
        let total = |of: &mut dyn Iterator<Item = i128>| of.sum::<i128>();
        let folded = arrived.iter().zip(&outcomes).filter(|(_, o)| **o == Outcome::Folded);
        let mut ids: Vec<_> = folded.clone().map(|(p, _)| &p.id).collect();
        ids.sort();
        prop_assert!(ids.windows(2).all(|pair| pair[0] != pair[1]), "a copy was folded");
        let last = last_revisions(&out);
        prop_assert_eq!(
            total(&mut last.iter().map(|r| r.volume.get().units())),
            total(&mut folded.clone().map(|(p, _)| p.quantity.units()))
        );
        prop_assert_eq!(last.iter().map(|r| r.trade_count).sum::<u64>(), folded.count() as u64);
        let late = outcomes.iter().filter(|o| **o == Outcome::Late).count() as u64;
        prop_assert_eq!(fold.counts().late_for_window[0], late);
        for r in &last {
            prop_assert!(r.low <= r.open && r.low <= r.close && r.high >= r.open && r.high >= r.close);
        }
    }
}

/// Some trades carry no id: ties are then broken by offset, and equal trades are two trades.
#[test]
fn without_ids_nothing_is_a_duplicate() {
    let options = Options { windows: spans(&["1m"]), ..Options::default() };
    let print = |offset| Print {
        time: 0,
        id: None,
        price: Decimal::from_int(7 + offset),
        quantity: Decimal::ONE,
        side: None,
        offset,
    };
    let last = finals(&options, &[print(0), print(0), print(1), print(2)]);
    assert_eq!(last[0].trade_count, 4);
    assert_eq!(
        (last[0].open.unwrap().get(), last[0].close.unwrap().get()),
        (Decimal::from_int(7), Decimal::from_int(9))
    );
    assert_eq!(last[0].buy_volume, None);
}

/// Times at the ends of 64 bits have no window around them; those just inside do, and nothing loops or overflows.
#[test]
fn times_at_the_end_of_time_are_refused() {
    let options =
        Options { windows: spans(&["1m", "366d", "5m/1m", "1ms"]), lateness_ns: 90 * S, ..Options::default() };
    let print = |time| Print { time, id: None, price: Decimal::ONE, quantity: Decimal::ONE, side: None, offset: 0 };
    for far in [i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 366 * 86_400 * S] {
        let mut fold = Fold::new(&options, 0).unwrap();
        assert_eq!(fold.trade(&print(far).input(SYMBOL), &mut Vec::new()), Outcome::OutOfRange);
    }
    let edge = i64::MAX - 1_100 * 86_400 * S;
    let (mut fold, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
    for time in [-edge, 0, edge] {
        assert_eq!(fold.trade(&print(time).input(SYMBOL), &mut out), Outcome::Folded);
        fold.gap(SYMBOL, Hole { from: i64::MIN, to: i64::MAX, ids: Some((0, u64::MAX)) });
        fold.tick(Moment { now: i64::MAX, caught_up: true, ending: false }, &mut out);
    }
    fold.tick(END, &mut out);
    let seen: Vec<_> = last_revisions(&out).iter().map(|r| r.window.to_string()).collect();
    assert_eq!(seen.iter().filter(|window| *window == "1m").count(), 3);
}

/// A run with other settings over the state of an earlier one: what was final stays final, and a window that finds a part of its
/// trades gone says so.
#[test]
fn other_settings_claim_nothing_they_do_not_know() {
    let print = |time: i64, id: i64| Print {
        time: time * S,
        id: Some(id.to_string()),
        price: Decimal::ONE,
        quantity: Decimal::ONE,
        side: None,
        offset: id,
    };
    let before = Options { windows: spans(&["1m"]), ..Options::default() };
    let (mut fold, mut out, mut log) = (Fold::new(&before, 0).unwrap(), Vec::new(), Log::new());
    for (time, id) in [(0, 1), (100, 2), (200, 3)] {
        fold.trade(&print(time, id).input(SYMBOL), &mut out);
    }
    log.save(&mut fold);

    let after = Options { windows: spans(&["1m", "10m"]), lateness_ns: 1_000 * S, ..Options::default() };
    let mut fold = log.restore(&after);
    out.clear();
    // Its minute was final; the ten minutes are new, and do not know the first trade.
    assert_eq!(fold.trade(&print(10, 4).input(SYMBOL), &mut out), Outcome::Folded);
    fold.trade(&print(700, 5).input(SYMBOL), &mut out);
    fold.tick(END, &mut out);
    let last = last_revisions(&out);
    assert!(last.iter().all(|r| r.window_start != 0 || r.window.to_string() == "10m"), "{last:?}");
    let ten = last.iter().find(|r| r.window_start == 0).unwrap();
    assert!(ten.partial && ten.trade_count == 2, "{ten:?}");
    assert!(!last.iter().find(|r| r.window.to_string() == "10m" && r.window_start == 600 * S).unwrap().partial);
}

/// However far the watermark jumps, an hour of seconds is carried on after a trade, and the rest is counted.
#[test]
fn a_jump_of_the_watermark_is_no_flood() {
    let options =
        Options { windows: spans(&["1s"]), empty: Empty::Carry, out_of_orderness_ns: 0, ..Options::default() };
    let year = 366 * 86_400;
    let print =
        |s: i64| Print { time: s * S, id: None, price: Decimal::ONE, quantity: Decimal::ONE, side: None, offset: s };
    for far in [3_601, 3_602, 10_000, 100 * year] {
        let (mut fold, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
        for s in [0, far, far + 2] {
            fold.trade(&print(s).input(SYMBOL), &mut out);
        }
        fold.tick(END, &mut out);
        assert_eq!(out.iter().filter(|r| r.trade_count == 0).count(), 3_601, "after {far} s");
        assert!(out.iter().all(|r| r.window_start <= 3_600 * S || r.window_start >= far * S));
        assert_eq!(fold.counts().not_carried, far as u64 - 3_601);
    }
}

/// From a trade on Wednesday noon to one on Friday noon, over Thanksgiving: hours of the sessions are carried, the rests are not.
#[test]
fn the_rest_between_two_sessions_is_not_carried() {
    let options = Options { windows: spans(&["2h@xnys"]), empty: Empty::Carry, ..Options::default() };
    let at = |text: &str| crate::time::parse_rfc3339(text).unwrap();
    let times = ["2024-11-27T17:00:00Z", "2024-11-29T17:45:00Z", "2024-12-02T16:00:00Z"].map(at);
    let prints: Vec<Print> = (0..)
        .zip(times)
        .map(|(n, time)| Print { time, id: None, price: Decimal::ONE, quantity: Decimal::ONE, side: None, offset: n })
        .collect();
    let last = finals(&options, &prints);
    let empty = last.iter().filter(|r| r.trade_count == 0).map(|r| crate::time::rfc3339(r.window_start));
    let starts = ["2024-11-27T18:30:00Z", "2024-11-27T20:30:00Z", "2024-11-29T14:30:00Z"];
    assert_eq!(empty.collect::<Vec<_>>(), starts);
    let expected = batch::metrics(SYMBOL, &prints, &options, &last[0].config);
    assert_eq!(last.iter().map(without_volatility).collect::<Vec<_>>(), expected);
}

/// `config` differs with everything that decides over what final records hold, and with nothing that only decides when they are told.
#[test]
fn the_configuration_is_what_decides_over_records() {
    let of = |change: &dyn Fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        Fold::new(&options, 0).unwrap().config().to_owned()
    };
    let same = of(&|_| ());
    let changes: [&dyn Fn(&mut Options); 6] = [
        &|o| o.windows.truncate(1),
        &|o| o.out_of_orderness_ns += 1,
        &|o| o.lateness_ns += 1,
        &|o| o.empty = Empty::Carry,
        &|o| o.averages = vec!["sma:3".parse().unwrap()],
        &|o| o.future_tolerance_ns += 1,
    ];
    for (at, change) in changes.iter().enumerate() {
        assert_ne!(of(change), same, "change {at}");
    }
    let others: [&dyn Fn(&mut Options); 3] = [&|o| o.idle_ns += 1, &|o| o.emit = Emit::Both, &|o| o.throttle_ns += 1];
    assert!(others.iter().all(|change| of(change) == same));
}

/// Another calendar cuts elsewhere: records say so by their `config`, and panes cut by the old one are not taken for its own.
#[test]
fn another_calendar_is_another_configuration() {
    let of = |text: &str| {
        let calendars = vec![std::sync::Arc::new(text.parse().unwrap())];
        Options { windows: spans(&["1h@here"]), calendars, ..Options::default() }
    };
    let (early, late) = ("name here\nzone utc\nhours 08:00 16:00", "name here\nzone utc\nhours 08:30 16:00");
    let mut fold = Fold::new(&of(early), 0).unwrap();
    let config = fold.config().to_owned();
    assert_eq!(config, Fold::new(&of(early), 0).unwrap().config());
    let print = |time| Print { time, id: None, price: Decimal::ONE, quantity: Decimal::ONE, side: None, offset: 0 };
    fold.trade(&print(8 * 3_600 * S).input(SYMBOL), &mut Vec::new());
    let mut log = Log::new();
    log.save(&mut fold);
    let (mut other, mut out) = (log.restore(&of(late)), Vec::new());
    assert_ne!(other.config(), config);
    other.trade(&print(9 * 3_600 * S).input(SYMBOL), &mut out);
    other.tick(END, &mut out);
    assert_eq!(out.iter().map(|r| r.trade_count).collect::<Vec<_>>(), [1], "{out:?}");
    assert!(out[0].partial);
}

/// A busy market, whose tail lies in stretches of its own, and then a quiet one, whose tail is in the head again: of the
/// stretches, whose removal was missed, nothing is taken twice.
#[test]
fn stretches_that_had_gone_stay_gone() {
    let options = Options { windows: spans(&["1m", "5m"]), lateness_ns: 30 * S, ..Options::default() };
    let trade = |fold: &mut Fold, at_ms: i64, out: &mut Vec<Metrics>| {
        let price = Decimal::from_int(100 + at_ms / 100 % 7);
        let print = Print { time: at_ms * 1_000_000, id: None, price, quantity: price, side: None, offset: at_ms };
        fold.trade(&print.input(SYMBOL), out)
    };
    let (mut fold, mut log, mut told) = (Fold::new(&options, 0).unwrap(), Log::new(), Vec::new());
    for at in 0..200 {
        trade(&mut fold, at * 200, &mut told);
    }
    log.save(&mut fold);
    let stretches = |log: &Log| log.keys().filter(|key| key.contains("#tail/")).count();
    assert!(stretches(&log) > 0);
    for at in 41..65 {
        trade(&mut fold, at * 1_000, &mut told);
    }
    log.save(&mut fold);
    assert_eq!(stretches(&log), 0);
    let finals = |mut fold: Fold| {
        let mut out = Vec::new();
        fold.tick(END, &mut out);
        out
    };
    assert_eq!(finals(log.restore_with_what_had_gone(&options)), finals(log.restore(&options)));
}

/// State that this version did not write is refused by name, not misread.
#[test]
fn foreign_state_is_refused() {
    let mut fold = Fold::new(&Options::default(), 0).unwrap();
    assert!(matches!(fold.restore(b"AAPL", Some(b"x")), Err(StateError::Key(_))));
    assert!(matches!(fold.restore(b"AAPL#pane/1", Some(b"x")), Err(StateError::Key(_))));
    assert!(matches!(fold.restore(b"AAPL#head", Some(&[9])), Err(StateError::Version { found: 9, .. })));
    assert!(matches!(fold.restore(b"AAPL#head", Some(&[1, 0])), Err(StateError::Damaged(_))));
    assert!(matches!(fold.restore(b"AAPL#head", Some(&[])), Err(StateError::Damaged(_))));
}

proptest! {
    /// Damaged state is an error or a state, never a panic.
    #[test]
    fn damaged_state_never_panics(values in prop::collection::vec((0usize..4, prop::collection::vec(any::<u8>(), 0..80)), 1..6)) {
        let mut fold = Fold::new(&Options::default(), 0).unwrap();
        let keys = ["A#head", "A#pane/60000000000/0", "A#ids/0/0/0", "A#tail/0"];
        for (key, mut value) in values {
            value.insert(0, 1);
            let _ = fold.restore(keys[key].as_bytes(), Some(&value));
        }
    }
}
