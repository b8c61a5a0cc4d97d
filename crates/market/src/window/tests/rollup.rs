//! Bars rolled up: the index data set against a plain computation, and what must hold for all bars.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::real::{read, root, shared};
use super::*;
use crate::event::{Bar, Event};
use crate::interval::Interval;
use crate::metrics::{Bars, VwapReason};
use crate::span::Span;
use crate::time::{Civil, NS_PER_DAY as DAY};
use crate::wide::Wide;

fn options() -> Options {
    Options { out_of_orderness_ns: 2 * S, ..Options::default() }
}

/// Bars as the seeds' file has them, row by row.
fn index(text: &str) -> Vec<Bar> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let bars = lines.map(|line| {
        let fields = names.iter().zip(line.split(',')).enumerate();
        let fields = fields.map(|(i, (n, v))| if i < 2 { format!("{n:?}:{v:?}") } else { format!("{n:?}:{v}") });
        let row = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        match Event::decode(row.as_bytes()).unwrap() {
            Event::Bar(bar) => bar,
            other => panic!("{other:?}"),
        }
    });
    bars.collect()
}

/// The week, or the month, of a row by its date alone: the Monday, or `YYYY-MM`.
fn key(window: &str, start: i64) -> String {
    let day = start.div_euclid(DAY);
    match window {
        "1mo" => Civil::of(start).date()[..7].to_owned(),
        // 1970 began on a Thursday.
        _ => Civil::of((day - (day + 3).rem_euclid(7)) * DAY).date(),
    }
}

#[derive(Debug, PartialEq)]
struct Expected {
    open: Price,
    high: Price,
    low: Price,
    close: Price,
    volume: Decimal,
    count: u64,
}

/// Weeks and months computed row by row in the order of the file, which is the order of days.
fn plainly(bars: &[Bar]) -> BTreeMap<(String, &'static str, String), Expected> {
    let mut all: BTreeMap<_, Expected> = BTreeMap::new();
    for bar in bars {
        for window in ["1w", "1mo"] {
            let fresh = Expected {
                open: bar.open,
                high: bar.high,
                low: bar.low,
                close: bar.close,
                volume: Decimal::ZERO,
                count: 0,
            };
            let e = all.entry((bar.symbol.clone(), window, key(window, bar.start))).or_insert(fresh);
            (e.high, e.low, e.close) = (e.high.max(bar.high), e.low.min(bar.low), bar.close);
            e.volume = Wide::of(e.volume).checked_add(Wide::of(bar.volume)).unwrap().sum().unwrap();
            e.count += 1;
        }
    }
    all
}

fn equal_a_plain_computation(text: &str) -> usize {
    let bars = index(text);
    let (mut fold, mut out) = (Fold::new(&options(), 0).unwrap(), Vec::new());
    for (offset, bar) in (0..).zip(&bars) {
        assert_eq!(fold.bar(bar, offset, &mut out), Outcome::Folded, "{bar:?}");
    }
    fold.tick(END, &mut out);
    assert!(fold.counts().late_for_window.iter().chain(&fold.counts().across_window).all(|count| *count == 0));
    let expected = plainly(&bars);
    assert_eq!(out.len(), expected.len(), "each window once");
    for r in &out {
        let window = if r.window == Span::WEEK { "1w" } else { "1mo" };
        let start = Civil::of(r.window_start).date();
        let e = &expected[&(r.symbol.clone(), window, if window == "1w" { start } else { start[..7].to_owned() })];
        let prices = [r.open, r.high, r.low, r.close].map(Option::unwrap);
        assert_eq!(prices, [e.open, e.high, e.low, e.close], "{r:?}");
        assert_eq!((r.min, r.max, r.volume.get()), (r.low, r.high, e.volume), "{r:?}");
        assert_eq!(r.bars, Some(Bars { interval: Interval::DAY, count: e.count }), "{r:?}");
        assert_eq!((r.rev, r.is_final, r.trade_count), (0, true, 0), "no bar is taken for a trade");
        assert_eq!((r.vwap, r.vwap_reason, r.twap, r.volatility), (None, Some(VwapReason::FromBars), None, None));
        assert_eq!((r.quote_volume, r.average, r.buy_volume), (None, None, None));
    }
    out.len()
}

#[test]
fn weeks_and_months_of_the_committed_rows_equal_a_plain_computation() {
    let text = read(&root().join("testdata/index/index_invented.csv"));
    assert_eq!(equal_a_plain_computation(&text), 19);
}

#[test]
fn weeks_and_months_of_the_whole_index_data_equal_a_plain_computation() {
    let Some(file) = shared("index/indexProcessed.csv.gz") else { return };
    // Thirteen indexes, 104,224 rows.
    assert!(equal_a_plain_computation(&read(&file)) > 25_000);
}

fn bar(start: i64, length: i64, close: i64) -> Bar {
    let price = |n: i64| Price::new(Decimal::from_int(n));
    Bar {
        symbol: "A".into(),
        interval: Interval::from_ns(length).unwrap(),
        start,
        end: start + length,
        open: price(close - 1),
        high: price(close + 2),
        low: price(close - 2),
        close: price(close),
        volume: Quantity::new(Decimal::from_int(close)).unwrap(),
        extra: BTreeMap::new(),
        receive_time: None,
    }
}

const HOUR: i64 = 3_600 * S;

/// Hours into days: short enough to be told in one test.
fn hours() -> Options {
    let rollups = vec![Rollup { bars: Interval::HOUR, windows: vec!["2h".parse().unwrap(), "1d".parse().unwrap()] }];
    Options { rollups, ..options() }
}

#[test]
fn a_bar_moves_no_trades_watermark_and_no_trade_a_bars() {
    let (mut fold, mut out) = (Fold::new(&hours(), 0).unwrap(), Vec::new());
    let print = |time| Print { time, id: None, price: Decimal::ONE, quantity: Decimal::ONE, side: None, offset: 0 };
    assert_eq!(fold.trade(&print(10 * S).input("A"), &mut out), Outcome::Folded);
    assert_eq!(fold.bar(&bar(9 * HOUR, HOUR, 10), 1, &mut out), Outcome::Folded);
    assert_eq!(fold.watermark("A"), Some(8 * S));
    assert_eq!(fold.trade(&print(100 * HOUR).input("A"), &mut out), Outcome::Folded);
    // By the trade's watermark this bar would be four days late.
    assert_eq!(fold.bar(&bar(10 * HOUR, HOUR, 10), 3, &mut out), Outcome::Folded);
    let told: Vec<_> = out.iter().map(|r| (r.window.to_string(), r.trade_count, r.bars.is_some())).collect();
    assert_eq!(told.iter().filter(|(window, ..)| window == "2h").count(), 1, "{told:?}");
    assert!(told.iter().all(|(window, trades, bars)| *bars == (window == "2h") && *trades == u64::from(!bars)));
}

#[test]
fn each_bar_has_one_outcome() {
    let (mut fold, mut out) = (Fold::new(&hours(), 0).unwrap(), Vec::new());
    let mut told = |bar: &Bar| fold.bar(bar, 0, &mut out);
    assert_eq!(told(&bar(0, 60 * S, 10)), Outcome::NoRollup);
    assert_eq!(told(&bar(0, HOUR, 10)), Outcome::Folded);
    // Known by its start, whatever it says.
    assert_eq!(told(&bar(0, HOUR, 11)), Outcome::Duplicate);
    // From 01:30 to 02:30: across the border of two hours, within the day.
    assert_eq!(told(&bar(HOUR * 3 / 2, HOUR, 10)), Outcome::Folded);
    // From 23:30 to 00:30: across both.
    assert_eq!(told(&bar(HOUR * 47 / 2, HOUR, 10)), Outcome::Across);
    assert_eq!(told(&bar(5 * HOUR, HOUR, 10)), Outcome::Folded);
    // Two hours are final, the day is not.
    assert_eq!(told(&bar(HOUR, HOUR, 10)), Outcome::Folded);
    assert_eq!(told(&bar(30 * HOUR, HOUR, 10)), Outcome::Folded);
    assert_eq!(told(&bar(2 * HOUR, HOUR, 10)), Outcome::Late);
    let (late, across) = (&fold.counts().late_for_window, &fold.counts().across_window);
    assert_eq!((&late[2..], &across[2..]), (&[2, 1][..], &[2, 1][..]));
    let day = out.iter().find(|r| r.window.to_string() == "1d").unwrap();
    assert_eq!(day.bars.map(|b| b.count), Some(4));
    assert_eq!((day.duplicate, day.late, day.volume.get()), (1, 1, Decimal::from_int(40)));
}

#[test]
fn the_quote_volume_is_told_where_every_bar_tells_it() {
    let told = |quotes: [Option<i64>; 2]| {
        let (mut fold, mut out) = (Fold::new(&hours(), 0).unwrap(), Vec::new());
        for (n, quote) in (0..).zip(quotes) {
            let mut bar = bar(n * HOUR, HOUR, 10);
            quote.map(|quote| bar.extra.insert("quote_volume".into(), Decimal::from_int(quote)));
            fold.bar(&bar, n, &mut out);
        }
        fold.tick(END, &mut out);
        out[0].quote_volume
    };
    assert_eq!(told([Some(7), Some(8)]), Some(Decimal::from_int(15)));
    assert_eq!(told([Some(7), None]), None);
}

/// A run without the roll-up missed bars: what is left of it is thrown away, not gone on with.
#[test]
fn the_state_of_a_roll_up_that_is_asked_for_no_more_goes() {
    let (mut fold, mut log) = (Fold::new(&hours(), 0).unwrap(), Log::new());
    fold.bar(&bar(0, HOUR, 10), 0, &mut Vec::new());
    log.save(&mut fold);
    assert!(log.len() > 0);
    log.save(&mut log.restore(&Options { rollups: Vec::new(), ..hours() }));
    assert_eq!(log.len(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// Hours of a few weeks with holes, before 1970 and after it, in any order inside the lateness, some twice: the days and the
    /// weeks are those of a plain computation, and saving and restoring at any point changes nothing.
    #[test]
    fn any_order_in_time_equals_the_plain_sums(
        picked in prop::collection::btree_map(-400i64..400, 3i64..1000, 1..120),
        shuffle in prop::collection::vec(0.0..1.0f64, 120),
        restores in prop::collection::btree_set(0usize..120, 0..8),
    ) {
        let windows: Vec<Span> = ["1d", "1w"].map(|w| w.parse().unwrap()).to_vec();
        let rollups = vec![Rollup { bars: Interval::HOUR, windows }];
        let options = Options { rollups, lateness_ns: 30 * HOUR, ..options() };
        let mut arrived: Vec<(f64, Bar)> = picked
            .iter()
            .zip(&shuffle)
            .map(|((hour, close), delay)| (*hour as f64 + delay * 30.0, bar(hour * HOUR, HOUR, *close)))
            .collect();
        arrived.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (mut fold, mut out, mut log) = (Fold::new(&options, 0).unwrap(), Vec::new(), Log::new());
        for (i, (_, bar)) in arrived.iter().enumerate() {
            prop_assert_eq!(fold.bar(bar, i as i64, &mut out), Outcome::Folded);
            prop_assert_eq!(fold.bar(bar, i as i64, &mut out), Outcome::Duplicate);
            if restores.contains(&i) {
                log.save(&mut fold);
                fold = log.restore(&options);
            }
        }
        fold.tick(END, &mut out);
        let last = last_revisions(&out);
        prop_assert_eq!(last.iter().map(|r| r.bars.unwrap().count).sum::<u64>(), 2 * arrived.len() as u64);
        for r in &last {
            let within: Vec<i64> =
                picked.keys().copied().filter(|h| h * HOUR >= r.window_start && h * HOUR < r.window_end).collect();
            let closes: Vec<i64> = within.iter().map(|h| picked[h]).collect();
            let price = |n: i64| Some(Price::new(Decimal::from_int(n)));
            prop_assert!(r.is_final);
            prop_assert_eq!((r.open, r.close), (price(closes[0] - 1), price(closes[closes.len() - 1])));
            prop_assert_eq!(r.high, price(closes.iter().max().unwrap() + 2));
            prop_assert_eq!(r.low, price(closes.iter().min().unwrap() - 2));
            prop_assert_eq!(r.volume.get(), Decimal::from_int(closes.iter().sum()));
            prop_assert_eq!((r.bars.unwrap().count, r.duplicate), (closes.len() as u64, closes.len() as u64));
        }
    }
}
