use market::{Bar, Interval, Price, Quantity, Trade};

use super::*;

const SECOND: i64 = 1_000_000_000;

fn trade(symbol: &str, time: i64, id: Option<&str>) -> Event {
    Event::Trade(Trade {
        venue: String::new(),
        symbol: symbol.to_owned(),
        trade_id: id.map(str::to_owned),
        price: "1".parse::<Price>().unwrap(),
        quantity: "1".parse::<Quantity>().unwrap(),
        side: None,
        conditions: Vec::new(),
        event_time: time,
        receive_time: Some(time - SECOND),
        backfilled: false,
    })
}

fn bar(day: i64) -> Event {
    let one = "1".parse::<Price>().unwrap();
    Event::Bar(Bar {
        symbol: "HSI".to_owned(),
        interval: Interval::DAY,
        start: day * DAY_NS,
        end: (day + 1) * DAY_NS,
        open: one,
        high: one,
        low: one,
        close: one,
        volume: Quantity::ZERO,
        extra: Default::default(),
        receive_time: None,
    })
}

fn survey(events: Vec<Event>) -> Survey {
    let mut survey = Survey::default();
    for event in events {
        let recorded = event.receive_time();
        survey.add(&Found { events: vec![event], ignored: None, recorded });
    }
    survey
}

fn moved(course: &Course, event: &Event, pass: u64) -> Event {
    let mut event = event.clone();
    assert!(course.apply(&mut event, pass));
    event
}

#[test]
fn each_pass_continues_strictly_in_time_and_ids() {
    let events: Vec<Event> =
        (0..10).map(|n| trade("A", 100 * SECOND + n * n * SECOND, Some(&(500 + n).to_string()))).collect();
    let course = &courses(&[survey(events.clone())])[0];
    let mut last: Option<(i64, u64)> = None;
    for pass in 0..4 {
        for event in &events {
            let Event::Trade(trade) = moved(course, event, pass) else { panic!() };
            let now = (trade.event_time, trade.trade_id.unwrap().parse().unwrap());
            assert!(last.is_none_or(|last| last.0 < now.0 && last.1 + 1 == now.1), "{last:?} then {now:?}");
            assert_eq!(trade.receive_time, Some(now.0 - SECOND), "both clocks move alike");
            last = Some(now);
        }
    }
}

#[test]
fn bars_stay_on_their_grid_and_follow_without_a_hole() {
    let course = &courses(&[survey(vec![bar(3), bar(4), bar(7)])])[0];
    assert_eq!(course.span, 5 * DAY_NS);
    let Event::Bar(next) = moved(course, &bar(3), 1) else { panic!() };
    assert_eq!((next.start, next.end), (8 * DAY_NS, 9 * DAY_NS));
}

#[test]
fn recordings_of_one_day_or_one_symbol_move_together() {
    let morning = survey(vec![trade("A", 0, Some("1")), trade("A", SECOND, Some("2"))]);
    let evening = survey(vec![trade("A", 3600 * SECOND, Some("3")), trade("B", 3700 * SECOND, None)]);
    let years_later = survey(vec![trade("C", 9_000 * DAY_NS, Some("9"))]);
    let same_symbol = survey(vec![trade("A", 10 * DAY_NS, Some("7"))]);
    let all = courses(&[morning.clone(), evening.clone(), years_later.clone(), same_symbol]);
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[3]);
    assert_ne!(all[0], all[2]);
    assert!(all[0].span > 10 * DAY_NS);
    let two = courses(&[morning, years_later, evening]);
    assert!(two[0].span > 3700 * SECOND && two[0] == two[2] && two[0] != two[1]);
    // The halves share the id space: pass 1 of the first half begins after the second half's ids.
    let Event::Trade(again) = moved(&two[0], &trade("A", 0, Some("1")), 1) else { panic!() };
    assert_eq!(again.trade_id.as_deref(), Some("4"));
}

#[test]
fn ids_that_are_no_numbers_stay_distinct() {
    let events = vec![trade("A", 0, Some("5c0b-uuid")), trade("B", SECOND, Some("007")), trade("C", 2 * SECOND, None)];
    let course = &courses(&[survey(events.clone())])[0];
    let ids: Vec<Option<String>> = events
        .iter()
        .map(|event| match moved(course, event, 2) {
            Event::Trade(trade) => trade.trade_id,
            _ => None,
        })
        .collect();
    assert_eq!(ids, [Some("5c0b-uuid.2".to_owned()), Some("007.2".to_owned()), None]);
}

#[test]
fn the_end_of_time_is_said_not_wrapped() {
    let course = &courses(&[survey(vec![bar(0), bar(100_000)])])[0];
    assert!(course.apply(&mut bar(0), 1));
    assert!(!course.apply(&mut bar(100_000), 1));
    assert!(!course.apply(&mut bar(0), u64::MAX));
    let full =
        survey(vec![trade("A", i64::MIN + SECOND, Some("0")), trade("A", i64::MAX, Some("18446744073709551615"))]);
    assert_eq!(courses(&[full])[0].offset(2), None);
}
