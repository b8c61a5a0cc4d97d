//! Sentiment: what a record counts, and that neither the clock, a restart nor how the records are cut changes it.

use proptest::prelude::*;

use crate::decimal::Decimal;
use crate::event::News;
use crate::metrics::{Metrics, Sentiment};
use crate::price::{Price, Quantity};
use crate::window::{Fold, Input, Moment, Options};

const MINUTE: i64 = 60_000_000_000;
const HOUR: i64 = 60 * MINUTE;

/// What a partition holds: news with its time and score in tenths, or a trade with its time. Each has its place.
#[derive(Clone, Copy, Debug)]
enum Record {
    News(i64, i64, i64),
    Trade(i64),
}

fn options() -> Options {
    Options {
        windows: vec!["1m".parse().unwrap()],
        rollups: Vec::new(),
        out_of_orderness_ns: 0,
        sentiment_ns: HOUR,
        ..Options::default()
    }
}

fn tenths(tenths: i64) -> Decimal {
    Decimal::parse(format!("{tenths}e-1").as_bytes()).unwrap()
}

fn news(id: &str, time: i64, score: i64, weight: Option<i64>) -> News {
    News {
        symbol: "A".to_owned(),
        news_id: id.to_owned(),
        publisher: None,
        headline: "h".to_owned(),
        summary: None,
        url: None,
        sentiment: Some(tenths(score)),
        scored_by: None,
        relevance: weight.map(tenths),
        event_time: time,
        receive_time: None,
    }
}

fn take(fold: &mut Fold, place: i64, record: Record, out: &mut Vec<Metrics>) {
    match record {
        Record::News(id, time, score) => fold.news(&news(&id.to_string(), time, score, None), place),
        Record::Trade(time) => {
            let input = Input {
                venue: "V",
                symbol: "A",
                trade_id: None,
                price: Price::parse(b"1").unwrap(),
                quantity: Quantity::parse(b"1").unwrap(),
                side: None,
                event_time: time,
                backfilled: false,
                offset: place,
            };
            fold.trade(&input, out);
        }
    }
}

fn all(records: &[Record]) -> Vec<(i64, Option<Sentiment>)> {
    let (mut fold, mut out) = (Fold::new(&options(), 0).unwrap(), Vec::new());
    for (place, record) in (0..).zip(records) {
        take(&mut fold, place, *record, &mut out);
    }
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
    out.iter().map(|metrics| (metrics.window_start / MINUTE, metrics.sentiment)).collect()
}

fn said(mean: &str, count: u64) -> Option<Sentiment> {
    Some(Sentiment { mean: Some(Decimal::parse(mean.as_bytes()).unwrap()), count })
}

#[test]
fn a_window_counts_what_was_known_at_its_last_trade_and_no_older_than_the_span() {
    let records = [
        Record::Trade(100 * MINUTE),
        Record::News(1, 99 * MINUTE, 5),
        // Just within the hour before the end of minute 101, and just without.
        Record::News(2, 42 * MINUTE, -10),
        Record::News(3, 42 * MINUTE - 1, 10),
        Record::Trade(101 * MINUTE),
        // Published in time, and read after the last trade of minute 101.
        Record::News(4, 100 * MINUTE, 10),
        Record::Trade(102 * MINUTE),
        // Published after the end of the window.
        Record::News(5, 104 * MINUTE, -10),
        Record::Trade(103 * MINUTE),
    ];
    let found = all(&records);
    assert_eq!(
        found,
        [(100, None), (101, said("-0.25", 2)), (102, said("0.75", 2)), (103, said("0.75", 2))],
        "the hour before minute 102's end begins at minute 43"
    );
}

#[test]
fn the_mean_is_weighted_by_relevance_and_an_id_counts_once() {
    let (mut fold, mut out) = (Fold::new(&options(), 0).unwrap(), Vec::new());
    fold.news(&news("1", 0, 10, Some(2)), 0);
    fold.news(&news("2", 0, -5, Some(4)), 1);
    fold.news(&news("2", 0, 10, Some(10)), 2);
    let unscored = News { sentiment: None, ..news("3", 0, 0, None) };
    fold.news(&unscored, 3);
    let other = News { symbol: "B".to_owned(), ..news("4", 0, 10, None) };
    fold.news(&other, 4);
    take(&mut fold, 5, Record::Trade(0), &mut out);
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
    // (1 × 0.2 − 0.5 × 0.4) / 0.6
    assert_eq!(out[0].sentiment, said("0", 2));
    fold.news(&news("5", MINUTE, 10, Some(1)), 6);
    take(&mut fold, 7, Record::Trade(2 * MINUTE), &mut out);
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
    assert_eq!(out.last().unwrap().sentiment, said("0.142857142857", 3), "0.1 / 0.7, rounded once");
    let text = {
        let mut text = Vec::new();
        out.last().unwrap().encode(&mut text);
        String::from_utf8(text).unwrap()
    };
    assert!(text.ends_with(r#","sentiment":0.142857142857,"news_count":3}"#), "{text}");
    assert_eq!(Metrics::decode(text.as_bytes()).unwrap(), *out.last().unwrap());
}

#[test]
fn what_weighs_nothing_has_no_mean_and_without_a_span_nothing_is_said() {
    for (span, expected) in [(HOUR, Some(Sentiment { mean: None, count: 1 })), (0, None)] {
        let (mut fold, mut out) = (Fold::new(&Options { sentiment_ns: span, ..options() }, 0).unwrap(), Vec::new());
        fold.news(&news("1", 0, 10, Some(0)), 0);
        take(&mut fold, 1, Record::Trade(0), &mut out);
        fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
        assert_eq!(out[0].sentiment, expected);
    }
}

#[test]
fn a_symbol_keeps_no_more_than_its_windows_can_count() {
    let mut fold = Fold::new(&options(), 0).unwrap();
    let mut bytes = 0;
    for n in 0..10_000 {
        take(&mut fold, 2 * n, Record::News(n, n * MINUTE, 5), &mut Vec::new());
        take(&mut fold, 2 * n + 1, Record::Trade(n * MINUTE), &mut Vec::new());
        fold.save(|key, value| bytes = if key == "A#news" { value.unwrap().len() } else { bytes });
    }
    assert!((60..4_000).contains(&bytes), "an hour of them: {bytes} bytes");
    // Without a trade none is given up for its age, but for their number.
    let mut fold = Fold::new(&options(), 0).unwrap();
    for n in 0..10_000 {
        take(&mut fold, n, Record::News(n, n, 5), &mut Vec::new());
    }
    fold.save(|_, value| bytes = value.unwrap().len());
    assert!(bytes < 400_000, "it fits into a record: {bytes} bytes");
}

/// Keys and values as a compacted topic has them.
fn restored(fold: &mut Fold) -> Fold {
    let (mut again, mut log) = (Fold::new(&options(), 0).unwrap(), Vec::new());
    fold.save(|key, value| log.push((key.to_owned(), value.map(<[u8]>::to_vec))));
    for (key, value) in &log {
        assert_eq!(crate::window::owner(key.as_bytes()), Some(&b"A"[..]), "{key}");
        again.restore(key.as_bytes(), value.as_deref()).unwrap();
    }
    again.restored();
    again
}

proptest! {
    /// The last record of each window, whenever the clock looks and wherever the fold is saved and restored.
    #[test]
    fn a_restart_and_the_clock_change_no_sentiment(
        steps in prop::collection::vec((0i64..4, 0i64..120, -10i64..=10), 1..60),
        ticks in prop::collection::vec(any::<bool>(), 60),
        restart in 0usize..60,
    ) {
        let mut time = 200 * MINUTE;
        let records: Vec<Record> = (0..).zip(&steps).map(|(n, (ahead, ago, score))| match ago % 3 {
            0 => Record::News(n % 20, time - ago * MINUTE, *score),
            _ => { time += ahead * MINUTE / 2; Record::Trade(time) }
        }).collect();
        let plain: std::collections::BTreeMap<_, _> = all(&records).into_iter().collect();
        let (mut fold, mut out, mut now) = (Fold::new(&options(), 0).unwrap(), Vec::new(), 1_000 * HOUR);
        for (place, record) in (0..).zip(&records) {
            take(&mut fold, place, *record, &mut out);
            if ticks[place as usize] {
                // The first sees the last trade, the second that nothing came for an hour: the clock closes all there is.
                for _ in 0..2 {
                    now += HOUR;
                    fold.tick(Moment { now, caught_up: true, ending: false }, &mut out);
                }
            }
            if place as usize == restart {
                // All of it is new to this log: it is as if it had been saved each time.
                let mut again = restored(&mut fold);
                std::mem::swap(&mut fold, &mut again);
            }
        }
        fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
        let told: std::collections::BTreeMap<_, _> =
            out.iter().map(|metrics| (metrics.window_start / MINUTE, metrics.sentiment)).collect();
        prop_assert_eq!(told, plain);
    }
}
