//! Cancels and corrections.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::properties::{SYMBOL, cases, prints, some_options, some_start, some_trades, spans, without_volatility};
use super::*;
use crate::metrics::{Quality, Undefined};

/// An amendment of a trade that says what it was, or only which.
pub(super) fn of<'a>(print: &'a Print, says: bool, right: Option<Right<'a>>, offset: i64) -> Amendment<'a> {
    Amendment {
        venue: "TEST",
        symbol: SYMBOL,
        trade_id: print.id.as_deref().unwrap_or_default(),
        price: says.then_some(print.price),
        quantity: says.then_some(print.quantity),
        trade_time: says.then_some(print.time),
        right,
        offset,
    }
}

/// A correction under the same id.
pub(super) fn right(at: usize, price: Decimal) -> Right<'static> {
    Right { trade_id: None, price, quantity: Decimal::from_int(at as i64), event_time: at as i64 }
}

fn print(s: i64, price: i64, quantity: i64) -> Print {
    Print {
        time: s * S,
        id: Some(s.to_string()),
        price: Decimal::from_int(price),
        quantity: Decimal::from_int(quantity),
        side: None,
        offset: s,
    }
}

fn ints(prices: [Option<Price>; 4]) -> [Option<i64>; 4] {
    prices.map(|price| price.map(|price| price.get().to_f64() as i64))
}

fn ohlc(r: &Metrics) -> [Option<i64>; 4] {
    ints([r.open, r.high, r.low, r.close])
}

fn minute(lateness: i64) -> Options {
    Options { windows: spans(&["1m"]), lateness_ns: lateness * S, ..Options::default() }
}

/// A fold of some trades, told up to now.
fn folded(options: &Options, prints: &[Print], out: &mut Vec<Metrics>) -> Fold {
    let mut fold = Fold::new(options, 0).unwrap();
    prints.iter().for_each(|p| assert_eq!(fold.trade(&p.input(SYMBOL), out), Outcome::Folded));
    fold.tick(Moment { now: 0, caught_up: false, ending: false }, out);
    fold
}

/// The last word on the window that starts at 0.
fn last(out: &[Metrics], window: &str) -> Metrics {
    let last = last_revisions(out);
    last.into_iter().find(|r| r.window_start == 0 && r.window.to_string() == window).unwrap()
}

/// 10, 30 (the high), 5 (the low and the close); each of them is taken back, one after the other.
#[test]
fn a_cancel_in_the_tail_leaves_no_trace() {
    let trades = [print(0, 10, 1), print(2, 30, 2), print(3, 5, 4), print(70, 7, 1)];
    let mut out = Vec::new();
    let mut fold = folded(&minute(600), &trades, &mut out);
    assert_eq!((last(&out, "1m").rev, last(&out, "1m").trade_count), (0, 3));
    let expected = [
        (1, [Some(10), Some(10), Some(5), Some(5)], 5, 2),
        (2, [Some(10), Some(10), Some(10), Some(10)], 1, 1),
        (0, [None; 4], 0, 0),
    ];
    for (rev, (at, prices, volume, count)) in (1..).zip(expected) {
        let cancel = of(&trades[at], false, None, 100 + i64::from(rev));
        assert_eq!(fold.amend(&cancel), Outcome::Folded);
        assert_eq!(fold.amend(&cancel), Outcome::Duplicate);
        assert_eq!(fold.trade(&trades[at].input(SYMBOL), &mut out), Outcome::Duplicate, "a void id stays seen");
        fold.tick(Moment { now: i64::from(rev) * S, caught_up: false, ending: false }, &mut out);
        let told = last(&out, "1m");
        assert_eq!((told.rev, ohlc(&told), told.trade_count), (rev, prices, count));
        assert_eq!((told.volume.get(), told.input.last_offset), (Decimal::from_int(volume), 100 + i64::from(rev)));
        assert!(!told.partial);
    }
    let empty = last(&out, "1m");
    assert_eq!((empty.vwap, empty.vwap_reason), (None, Some(crate::metrics::VwapReason::NoTrades)));
    assert_eq!(empty.reasons.twap, Some(Undefined::NoTrades));
    // It goes round as JSON, and a trade that comes after all starts it anew.
    let mut value = Vec::new();
    empty.encode(&mut value);
    assert_eq!(Metrics::decode(&value).unwrap(), empty);
    fold.trade(&print(4, 12, 3).input(SYMBOL), &mut out);
    fold.tick(END, &mut out);
    assert_eq!((ohlc(&last(&out, "1m")), last(&out, "1m").trade_count), ([Some(12); 4], 1));
}

#[test]
fn a_correction_takes_the_place_of_its_trade_and_can_be_corrected_again() {
    let trades = [print(1, 10, 1), print(2, 30, 2), print(3, 5, 4), print(70, 7, 1)];
    let mut out = Vec::new();
    let mut fold = folded(&minute(600), &trades, &mut out);
    let int = Decimal::from_int;
    let new = |id, price| Right { trade_id: Some(id), price: int(price), quantity: int(8), event_time: 1 };
    assert_eq!(fold.amend(&of(&trades[0], true, Some(new("90", 11)), 10)), Outcome::Folded);
    assert_eq!(fold.amend(&of(&trades[0], true, Some(new("90", 11)), 11)), Outcome::Duplicate);
    // The wrong one is gone: another correction of it says something that cannot be.
    assert_eq!(fold.amend(&of(&trades[0], true, Some(new("91", 12)), 12)), Outcome::Unknown);
    let corrected = Print { id: Some("90".into()), ..trades[0].clone() };
    assert_eq!(fold.trade(&corrected.input(SYMBOL), &mut out), Outcome::Duplicate);
    assert_eq!(fold.amend(&of(&corrected, false, Some(new("92", 13)), 13)), Outcome::Folded);
    // Under its own id, twice in turn.
    assert_eq!(fold.amend(&of(&trades[2], false, Some(right(1, int(6))), 14)), Outcome::Folded);
    assert_eq!(fold.amend(&of(&trades[2], false, Some(right(2, int(4))), 15)), Outcome::Folded);
    assert_eq!(fold.amend(&of(&trades[2], false, Some(right(1, int(6))), 16)), Outcome::Duplicate);
    fold.tick(END, &mut out);
    let told = last(&out, "1m");
    assert_eq!((ohlc(&told), told.trade_count), ([Some(13), Some(30), Some(4), Some(4)], 3));
    assert_eq!(told.volume.get(), int(8 + 2 + 2));
}

/// It is alone in its pane by then, and settled; what settles after it follows the right price.
#[test]
fn a_correction_of_the_only_trade_is_what_the_next_one_follows() {
    let options = Options { windows: spans(&["5m/1m"]), ..Options::default() };
    let (wrong, cancelled) = (print(10, 100, 1), print(40, 300, 1));
    let later = [print(50, 130, 1), print(55, 110, 1), print(70, 120, 1)];
    let (mut out, mut plain) = (Vec::new(), Vec::new());
    let mut fold = folded(&options, &[wrong.clone(), cancelled.clone()], &mut out);
    assert_eq!(fold.amend(&of(&cancelled, true, None, 41)), Outcome::Folded);
    let price = Decimal::from_int(200);
    let right = Right { trade_id: Some("11"), price, quantity: wrong.quantity, event_time: 0 };
    assert_eq!(fold.amend(&of(&wrong, true, Some(right), 42)), Outcome::Folded);
    later.iter().for_each(|p| assert_eq!(fold.trade(&p.input(SYMBOL), &mut out), Outcome::Folded));
    fold.tick(END, &mut out);
    let right = Print { price, ..wrong };
    folded(&options, &[&[right], &later[..]].concat(), &mut plain).tick(END, &mut plain);
    let path = |out: &[Metrics]| (last(out, "5m/1m").twap, last(out, "5m/1m").volatility);
    assert!(path(&plain).0.is_some());
    assert_eq!(path(&out), path(&plain));
}

/// The venue sends a correction to what stands there already: everything but the record has changed.
#[test]
fn what_was_told_as_final_is_not_told_again() {
    let (first, other) = (print(10, 100, 0), print(20, 100, 0));
    let mut out = Vec::new();
    let mut fold = folded(&minute(600), &[first.clone(), other], &mut out);
    let rest = Moment { now: 3_600 * S, caught_up: true, ending: false };
    fold.tick(rest, &mut out);
    fold.tick(Moment { now: 7_200 * S, ..rest }, &mut out);
    let told = out.len();
    assert!(out[told - 1].is_final, "{out:?}");
    let same = Right { trade_id: Some("30"), price: first.price, quantity: first.quantity, event_time: 0 };
    assert_eq!(fold.amend(&of(&first, true, Some(same), 15)), Outcome::Folded);
    fold.tick(Moment { now: 10_800 * S, ..rest }, &mut out);
    fold.tick(END, &mut out);
    assert_eq!(out.len(), told, "{out:?}");
}

/// The only trade of a bar is taken back before the bar is final; a trade that is too late for the bar, but not for the minute, puts
/// another into the panes that both share. Averages do not count it, before a restart or after.
#[test]
fn a_bar_that_lost_its_trade_stays_without_a_close() {
    let options = Options {
        windows: spans(&["10s", "1m"]),
        out_of_orderness_ns: 0,
        averages: vec!["sma:3".parse().unwrap()],
        ..minute(0)
    };
    let told = |restarts: bool| {
        let (mut fold, mut out, mut log) = (Fold::new(&options, 0).unwrap(), Vec::new(), Log::new());
        for (at, print) in
            [print(5, 1, 1), print(10, 2, 1), print(20, 3, 1), print(15, 4, 1), print(25, 5, 1)].iter().enumerate()
        {
            assert_eq!(fold.trade(&print.input(SYMBOL), &mut out), Outcome::Folded);
            if at == 1 {
                assert_eq!(fold.amend(&of(print, true, None, 100)), Outcome::Folded);
            }
            if restarts {
                log.save(&mut fold);
                fold = log.restore(&options);
            }
        }
        fold.tick(END, &mut out);
        last_revisions(&out).into_iter().filter(|r| r.window.to_string() == "10s").collect::<Vec<_>>()
    };
    let bars = told(false);
    assert_eq!(
        bars.iter().map(|r| r.close.map(|c| c.get().to_f64() as i64)).collect::<Vec<_>>(),
        [Some(1), None, Some(5)]
    );
    assert_eq!(bars[2].averages[0].1, None, "two closes are no average of three");
    assert_eq!(told(true), bars);
}

/// If the right trade comes by itself, too, it is counted once.
#[test]
fn a_correction_to_a_trade_that_came_takes_out_the_wrong_one() {
    let trades = [print(1, 10, 1), print(2, 30, 2), print(3, 5, 4)];
    let mut out = Vec::new();
    let mut fold = folded(&minute(600), &trades, &mut out);
    let to = Right { trade_id: Some("3"), price: trades[2].price, quantity: trades[2].quantity, event_time: 0 };
    assert_eq!(fold.amend(&of(&trades[0], false, Some(to), 10)), Outcome::Folded);
    fold.tick(END, &mut out);
    assert_eq!((ohlc(&last(&out, "1m")), last(&out, "1m").trade_count), ([Some(30), Some(30), Some(5), Some(5)], 2));
}

/// Five minutes, still open, of trades whose neighbours are gone: 10, 30 (the high), 20, 5 (the low), 15.
/// The first trade comes with the window: none of it was missed.
fn five_minutes(out: &mut Vec<Metrics>) -> (Vec<Print>, Fold) {
    let trades: Vec<Print> =
        [(0, 10), (20, 30), (25, 20), (30, 5), (40, 15), (100, 17)].map(|(s, p)| print(s, p, s.max(1))).into();
    let options = Options { windows: spans(&["1m", "5m"]), ..Options::default() };
    let fold = folded(&options, &trades, out);
    (trades, fold)
}

#[test]
fn a_cancel_of_a_settled_trade_is_exact_where_it_can_be() {
    let mut out = Vec::new();
    let (trades, mut fold) = five_minutes(&mut out);
    assert_eq!(fold.amend(&of(&trades[2], true, None, 200)), Outcome::Folded);
    assert_eq!(fold.amend(&of(&trades[2], true, None, 201)), Outcome::Duplicate);
    fold.tick(END, &mut out);
    // The minute was final and stays as it was.
    assert_eq!((last(&out, "1m").rev, last(&out, "1m").trade_count), (0, 5));
    let told = last(&out, "5m");
    assert_eq!((ohlc(&told), told.trade_count), ([Some(10), Some(30), Some(5), Some(17)], 5));
    assert_eq!(told.volume.get(), Decimal::from_int(1 + 20 + 30 + 40 + 100));
    assert_eq!((told.twap, told.reasons.twap), (None, Some(Undefined::Amended)));
    assert_eq!((told.volatility, told.reasons.volatility), (None, Some(Undefined::Amended)));
}

#[test]
fn a_cancel_of_a_settled_extreme_says_that_it_is_in_doubt() {
    for (at, is_edge) in [(0, true), (1, true), (2, false), (3, true), (4, true)] {
        let mut out = Vec::new();
        let (trades, mut fold) = five_minutes(&mut out);
        assert_eq!(fold.amend(&of(&trades[at], true, None, 200)), Outcome::Folded);
        fold.tick(END, &mut out);
        let told = last(&out, "5m");
        assert_eq!((told.partial, told.trade_count), (is_edge, 5), "trade {at}");
        assert_eq!(told.quality, if is_edge { Quality::Partial } else { Quality::Complete });
    }
}

#[test]
fn an_amendment_that_does_not_say_what_the_trade_was_is_set_aside_and_doubted() {
    let mut out = Vec::new();
    let (trades, mut fold) = five_minutes(&mut out);
    let wrong = Print { price: Decimal::from_int(99), ..trades[2].clone() };
    for (cancel, says) in [(&trades[2], false), (&wrong, true)] {
        let before = out.len();
        assert_eq!(fold.amend(&of(cancel, says, None, 200)), Outcome::Doubtful);
        fold.tick(Moment { now: i64::MAX, caught_up: true, ending: false }, &mut out);
        // The second time there is nothing new to say.
        assert_eq!(out.len() > before, !says);
    }
    let told = last(&out, "5m");
    assert_eq!((told.partial, told.quality, told.trade_count), (true, Quality::Partial, 6));
}

/// What nobody understood may have put another trade in the place of those that are taken out later.
#[test]
fn doubt_outlives_the_trades_that_it_was_about() {
    let mut out = Vec::new();
    let (trades, mut fold) = five_minutes(&mut out);
    assert_eq!(fold.amend(&of(&trades[2], false, None, 200)), Outcome::Doubtful);
    for (trade, offset) in trades[..5].iter().zip(201..) {
        assert_eq!(fold.amend(&of(trade, true, None, offset)), Outcome::Folded);
    }
    fold.tick(END, &mut out);
    let told = last(&out, "5m");
    assert_eq!((told.partial, told.trade_count), (true, 1), "of the first minute nothing is left");
}

#[test]
fn an_amendment_of_what_is_final_is_late_and_of_what_never_came_unknown() {
    let mut out = Vec::new();
    let (trades, mut fold) = five_minutes(&mut out);
    assert_eq!(fold.amend(&of(&print(50, 1, 1), true, None, 200)), Outcome::Unknown);
    assert_eq!(fold.amend(&of(&print(50, 1, 1), false, None, 200)), Outcome::Unknown);
    let other = Amendment { symbol: "OTHER", ..of(&trades[0], true, None, 200) };
    assert_eq!(fold.amend(&other), Outcome::Unknown);
    fold.trade(&print(400, 1, 1).input(SYMBOL), &mut out);
    fold.tick(END, &mut out);
    let before = out.len();
    assert_eq!(fold.amend(&of(&trades[2], true, None, 200)), Outcome::Late);
    fold.tick(END, &mut out);
    assert_eq!(out.len(), before);
}

proptest! {
    #![proptest_config(cases())]

    /// Trades in any order in time, some taken back and some corrected while they are in the tail: the finals are those of a plain
    /// computation over what is left, to the bit.
    #[test]
    fn amended_trades_equal_the_batch_without_them(
        options in some_options(),
        raw in some_trades(120),
        start in some_start(),
        amended in prop::collection::vec((0usize..120, 0usize..30, 0..3), 0..60),
    ) {
        let allowed = options.out_of_orderness_ns + options.lateness_ns;
        let arrived = prints(&raw, start, allowed);
        let (mut fold, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
        let (mut left, mut void) = (arrived.clone(), BTreeSet::new());
        let mut latest = i64::MIN;
        for (i, print) in arrived.iter().enumerate() {
            prop_assert_eq!(fold.trade(&print.input(SYMBOL), &mut out), Outcome::Folded);
            latest = latest.max(print.time);
            for (n, (_, back, kind)) in amended.iter().enumerate().filter(|(_, (at, ..))| *at == i) {
                let at = i.saturating_sub(*back);
                if arrived[at].time < latest - allowed {
                    continue;
                }
                let gone = void.contains(&arrived[at].offset);
                let right = (*kind > 0).then(|| right(n, print.price));
                let expected = match (gone, right.is_some()) {
                    (false, _) => Outcome::Folded,
                    (true, false) => Outcome::Duplicate,
                    (true, true) => Outcome::Unknown,
                };
                prop_assert_eq!(fold.amend(&of(&arrived[at], *kind == 1, right, print.offset)), expected);
                match right {
                    Some(right) if !gone => (left[at].price, left[at].quantity) = (right.price, right.quantity),
                    Some(_) => {}
                    None => drop(void.insert(arrived[at].offset)),
                }
                if n % 2 == 0 {
                    fold.tick(Moment { now: latest, caught_up: false, ending: false }, &mut out);
                }
            }
        }
        fold.tick(END, &mut out);
        let ours = last_revisions(&out);
        let config = ours.first().map(|r| r.config.clone()).unwrap_or_default();
        let expected = batch::metrics_without(SYMBOL, &left, &void, &options, &config);
        prop_assert_eq!(ours.len(), expected.len());
        for (ours, theirs) in ours.iter().zip(&expected) {
            prop_assert!(ours.is_final);
            prop_assert_eq!(&without_volatility(ours), theirs);
        }
        // Volatility, too, is what it would have been without them.
        let (mut plain, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
        left.iter().filter(|p| !void.contains(&p.offset)).for_each(|p| assert_eq!(plain.trade(&p.input(SYMBOL), &mut out), Outcome::Folded));
        plain.tick(END, &mut out);
        let found = |r: &Metrics| ours.iter().find(|o| (o.window, o.window_start) == (r.window, r.window_start)).cloned();
        for r in last_revisions(&out).iter().filter(|r| r.trade_count > 0) {
            prop_assert_eq!(found(r).map(|o| o.volatility), Some(r.volatility));
        }
    }
}
