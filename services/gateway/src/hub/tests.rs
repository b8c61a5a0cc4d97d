use std::time::Duration;

use super::*;
use crate::view::tests::metrics;
use market::{Event, Trade};

const NOW: i64 = 1_723_161_255_000_000_000;

fn hub() -> Hub {
    Hub::new(&config::View { rounds: 4, ..config::View::default() }, "e".to_owned())
}

fn price(hub: &Hub, symbol: &str, price: i64) {
    let trade = Trade {
        venue: String::new(),
        symbol: symbol.to_owned(),
        trade_id: None,
        price: price.to_string().parse().unwrap(),
        quantity: "1".parse().unwrap(),
        side: None,
        conditions: Vec::new(),
        event_time: NOW,
        receive_time: None,
        backfilled: false,
    };
    hub.view().event(&Event::Trade(trade), NOW);
}

/// What the client is given now, as (event, data) and the last id; nothing is waited for.
async fn take(hub: &Hub, cursor: &mut Cursor) -> (Vec<(String, serde_json::Value)>, Option<String>, u64) {
    let Ok(given) = tokio::time::timeout(Duration::from_millis(20), hub.next(cursor)).await else {
        return (Vec::new(), None, 0);
    };
    let text = String::from_utf8(given.bytes.concat()).unwrap();
    let mut events = Vec::new();
    let mut id = None;
    for block in text.split_terminator("\n\n") {
        match block.split_once('\n') {
            Some((name, data)) => events.push((
                name.strip_prefix("event: ").unwrap().to_owned(),
                serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap(),
            )),
            None => id = Some(block.strip_prefix("id: ").unwrap().to_owned()),
        }
    }
    (events, id, given.lagged)
}

fn names(events: &[(String, serde_json::Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test]
async fn a_client_has_a_snapshot_then_each_round_with_its_id() {
    let hub = hub();
    price(&hub, "A", 1);
    let mut cursor = hub.subscribe(Filter::default(), None);
    let (events, id, _) = take(&hub, &mut cursor).await;
    assert_eq!((names(&events), events[0].1["quotes"][0]["price"].as_i64()), (vec!["snapshot"], Some(1)));
    assert_eq!(id.as_deref(), Some("e-0"));
    hub.tick();
    take(&hub, &mut cursor).await;
    assert!(take(&hub, &mut cursor).await.0.is_empty(), "nothing changed");
    hub.tick();
    assert!(take(&hub, &mut cursor).await.0.is_empty(), "a tick without changes is no round");

    price(&hub, "A", 2);
    price(&hub, "A", 3);
    hub.view().metrics(&metrics("A", NOW, 0, "3"), NOW);
    assert!(take(&hub, &mut cursor).await.0.is_empty(), "not before the tick");
    hub.tick();
    let (events, id, lagged) = take(&hub, &mut cursor).await;
    assert_eq!((names(&events), id.as_deref(), lagged), (vec!["price", "metric"], Some("e-2"), 0));
    assert_eq!(events[0].1["price"].as_i64(), Some(3), "conflated to the last of the tick");
    assert_eq!(events[1].1["window"].as_str(), Some("1m"));
}

#[tokio::test]
async fn a_client_that_was_away_goes_on_from_its_id() {
    let hub = hub();
    let _other = hub.subscribe(Filter::default(), None);
    price(&hub, "A", 1);
    hub.tick();
    for n in 1..=3 {
        price(&hub, &format!("S{n}"), n);
        hub.tick();
    }
    let mut cursor = hub.subscribe(Filter::default(), Some("e-2"));
    let (events, id, lagged) = take(&hub, &mut cursor).await;
    let symbols: Vec<&str> = events.iter().filter_map(|(_, data)| data["symbol"].as_str()).collect();
    assert_eq!((symbols, id.as_deref(), lagged), (vec!["S2", "S3"], Some("e-4"), 0), "no snapshot, nothing twice");
    for strange in ["other-2", "e-999", "e", ""] {
        let mut cursor = hub.subscribe(Filter::default(), Some(strange));
        assert_eq!(names(&take(&hub, &mut cursor).await.0), ["snapshot"], "{strange:?}");
    }
}

#[tokio::test]
async fn a_slow_client_is_told_so_and_given_the_latest_of_each() {
    let hub = hub();
    price(&hub, "A", 0);
    price(&hub, "quiet", 0);
    let mut slow = hub.subscribe(Filter::default(), None);
    take(&hub, &mut slow).await;
    hub.tick();
    take(&hub, &mut slow).await;
    for n in 1..=50 {
        price(&hub, "A", n);
        price(&hub, "B", n * 2);
        hub.tick();
    }
    let (mut events, id, lagged) = take(&hub, &mut slow).await;
    assert_eq!((id.as_deref(), lagged), (Some("e-51"), 50));
    assert_eq!(events.remove(0), ("lagged".to_owned(), serde_json::json!({"lagged": 50})));
    let mut latest: Vec<(&str, i64)> = events
        .iter()
        .map(|(name, data)| {
            assert_eq!(name, "price");
            (data["symbol"].as_str().unwrap(), data["price"].as_i64().unwrap())
        })
        .collect();
    latest.sort_unstable();
    assert_eq!(latest, [("A", 50), ("B", 100)], "one of each that changed, none that did not");
    price(&hub, "A", 51);
    hub.tick();
    assert_eq!(names(&take(&hub, &mut slow).await.0), ["price"], "and then it follows again");
}

#[tokio::test]
async fn a_client_gets_what_it_asked_for_and_every_id() {
    let hub = hub();
    let filter =
        Filter { symbols: Some(["A".to_owned()].into()), bars: Bars::Of(vec![("B".to_owned(), "1m".to_owned())]) };
    let mut cursor = hub.subscribe(filter, None);
    take(&hub, &mut cursor).await;
    for symbol in ["A", "B", "C"] {
        price(&hub, symbol, 1);
        hub.view().metrics(&metrics(symbol, NOW, 0, "1"), NOW);
    }
    hub.tick();
    let (events, id, _) = take(&hub, &mut cursor).await;
    let got: Vec<(&str, &str)> = events.iter().map(|(n, d)| (n.as_str(), d["symbol"].as_str().unwrap())).collect();
    assert_eq!((got, id.is_some()), (vec![("price", "A"), ("metric", "B")], true));
    price(&hub, "C", 2);
    hub.tick();
    let (events, id, _) = take(&hub, &mut cursor).await;
    assert_eq!((events.len(), id.as_deref()), (0, Some("e-2")), "it has seen this round, empty as it was for it");
}

#[tokio::test]
async fn with_nobody_there_rounds_are_not_made_and_nothing_is_lost() {
    let hub = hub();
    for n in 0..10 {
        price(&hub, "A", n);
        hub.tick();
    }
    assert!(hub.0.ring.read().unwrap().rounds.is_empty());
    let mut back = hub.subscribe(Filter::default(), Some("e-3"));
    price(&hub, "B", 1);
    hub.tick();
    let (events, ..) = take(&hub, &mut back).await;
    assert_eq!(names(&events), ["lagged", "price", "price"]);
    assert_eq!(
        events.iter().filter(|(_, d)| d["symbol"] == "A").map(|(_, d)| d["price"].as_i64()).next(),
        Some(Some(9))
    );
}

#[tokio::test]
async fn rounds_take_no_more_memory_than_they_may() {
    let settings = config::View { rounds: 1000, rounds_size: harness::ByteSize::kib(4), ..config::View::default() };
    let hub = Hub::new(&settings, "e".to_owned());
    let _client = hub.subscribe(Filter::default(), None);
    for n in 0..500 {
        price(&hub, &format!("S{}", n % 50), n);
        hub.tick();
        let ring = hub.0.ring.read().unwrap();
        assert_eq!(ring.bytes, ring.rounds.iter().map(|round| round.bytes.len()).sum::<usize>());
        assert!(ring.bytes <= 4096 || ring.rounds.len() == 1);
    }
}

#[test]
fn the_snapshot_is_made_once_for_all_who_come_in_the_same_round() {
    let hub = hub();
    price(&hub, "A", 1);
    let all = Filter::default();
    let (_, first) = hub.snapshot(&all);
    let (_, second) = hub.snapshot(&all);
    assert_eq!(first.as_ptr(), second.as_ptr());
    hub.view().skip_round();
    assert_ne!(hub.snapshot(&all).1.as_ptr(), first.as_ptr());
}
