use std::collections::BTreeSet;

use market::{Bar, Decimal, Gap, GapCause, News, Price, Quantity, Trade};
use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400_000_000_000;
const MINUTE: i64 = 60_000_000_000;

fn news(symbol: &str, id: &str, time: i64) -> Event {
    Event::News(News {
        symbol: symbol.to_owned(),
        news_id: id.to_owned(),
        publisher: None,
        headline: "h".to_owned(),
        summary: None,
        url: None,
        sentiment: None::<Decimal>,
        scored_by: None,
        relevance: None,
        event_time: time,
        receive_time: Some(i64::MAX),
    })
}

fn bar(start: i64) -> Event {
    let price = Price::parse(b"1").unwrap();
    Event::Bar(Bar {
        symbol: "A".to_owned(),
        interval: "1m".parse().unwrap(),
        start,
        end: start + MINUTE,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Quantity::parse(b"1").unwrap(),
        extra: BTreeMap::new(),
        receive_time: Some(i64::MAX),
    })
}

fn quote(id: &str, time: i64) -> Event {
    Event::Trade(Trade {
        venue: "V".to_owned(),
        symbol: "A".to_owned(),
        trade_id: Some(id.to_owned()),
        price: Price::parse(b"1").unwrap(),
        quantity: Quantity::parse(b"0").unwrap(),
        side: None,
        conditions: Vec::new(),
        event_time: time,
        receive_time: Some(time),
        backfilled: false,
    })
}

fn take(taken: &mut Taken, event: &Event) -> bool {
    let new = taken.is_new(event);
    taken.note(event);
    new
}

#[test]
fn late_news_is_new_and_old_news_is_not_even_once() {
    let mut taken = Taken::default();
    assert!(take(&mut taken, &news("A", "1", 10 * DAY)));
    assert!(!take(&mut taken, &news("A", "1", 10 * DAY)));
    assert!(take(&mut taken, &news("B", "1", 10 * DAY)), "of another symbol");
    assert!(take(&mut taken, &news("A", "2", 8 * DAY)), "published late");
    assert!(!take(&mut taken, &news("A", "2", 8 * DAY)));
    assert!(!taken.is_new(&news("A", "3", 6 * DAY)), "of before all that is remembered");
    assert_eq!(taken.newest("news A"), Some(10 * DAY));
}

#[test]
fn a_bar_is_told_by_its_start_and_a_quote_by_its_id() {
    let mut taken = Taken::default();
    assert!(take(&mut taken, &bar(0)) && take(&mut taken, &bar(MINUTE)));
    assert!(!taken.is_new(&bar(0)) && !taken.is_new(&bar(MINUTE)) && taken.is_new(&bar(2 * MINUTE)));
    assert!(take(&mut taken, &quote("q1", 5)) && !taken.is_new(&quote("q1", 5)));
    assert!(!taken.is_new(&quote("q1", 9)), "the same price, asked for later");
    assert!(taken.is_new(&quote("q2", 5)), "of the same second, and another");
}

#[test]
fn what_a_gap_covers_is_not_said_again() {
    let mut taken = Taken::default();
    take(&mut taken, &bar(0));
    let gap = Gap {
        symbol: "A".to_owned(),
        from: MINUTE,
        to: 9 * MINUTE,
        cause: GapCause::Disconnect,
        first_missing: None,
        last_missing: None,
        receive_time: None,
    };
    taken.note(&Event::Gap(gap));
    assert_eq!(taken.newest("bar 1m A"), Some(9 * MINUTE - 1));
    assert!(taken.is_new(&bar(9 * MINUTE)));
}

#[test]
fn a_time_in_the_future_hides_nothing() {
    let mut taken = Taken::default();
    let mut odd = news("A", "1", 100 * DAY);
    if let Event::News(news) = &mut odd {
        news.receive_time = Some(10 * DAY);
    }
    take(&mut taken, &odd);
    assert!(!taken.is_new(&odd) && taken.is_new(&news("A", "2", 10 * DAY)));
}

#[test]
fn what_cannot_be_read_is_kept_once_and_forgotten_in_the_end() {
    let mut taken = Taken::default();
    assert!(taken.note_bad(b"x") && !taken.note_bad(b"x"));
    (0..BAD).for_each(|n| assert!(taken.note_bad(n.to_string().as_bytes())));
    assert!(taken.note_bad(b"x"));
    assert_eq!(taken.bad.len(), BAD);
}

#[test]
fn old_checkpoints_read_for_ever() {
    let old = r#"{"streams":{"news A":{"newest":864000000000000000,"ids":{"1":864000000000000000}}},"bad":[7]}"#;
    let taken: Taken = serde_json::from_str(old).unwrap();
    assert!(!taken.is_new(&news("A", "1", 864_000_000_000_000_000)));
    assert_eq!(serde_json::to_string(&taken).unwrap(), old);
}

proptest! {
    /// Whatever comes, and however often the state is written and read: each once, and no more kept than may come late.
    #[test]
    fn nothing_is_taken_twice(items in prop::collection::vec((0u16..200, 0i64..10), 1..200), restart in 1usize..50) {
        let mut taken = Taken::default();
        let mut seen = BTreeSet::new();
        for (at, (id, day)) in items.into_iter().enumerate() {
            // An id has one time.
            let event = news("A", &format!("{day}-{id}"), day * DAY + i64::from(id));
            if take(&mut taken, &event) {
                prop_assert!(seen.insert((day, id)), "{day}-{id} twice");
            } else {
                let newest = taken.newest("news A").unwrap();
                prop_assert!(seen.contains(&(day, id)) || day * DAY + i64::from(id) < newest - LATE_NEWS_NS);
            }
            if at % restart == 0 {
                taken = serde_json::from_slice(&serde_json::to_vec(&taken).unwrap()).unwrap();
            }
            let newest = taken.newest("news A").unwrap();
            prop_assert!(taken.streams["news A"].ids.values().all(|time| *time >= newest - LATE_NEWS_NS));
        }
    }
}
