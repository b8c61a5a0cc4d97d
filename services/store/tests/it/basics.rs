//! Every kind of record finds its table, and what is no record of its topic stops nothing.

use std::collections::BTreeMap;

use crate::world::{MIDNIGHT, World};

fn count_by_table(world: &World) -> BTreeMap<String, usize> {
    let mut tables = BTreeMap::new();
    for row in world.rows() {
        let below = row.key.strip_prefix(&format!("{}/", world.config.s3.prefix)).expect("below the prefix").to_owned();
        *tables.entry(below.rsplit_once('/').expect("a folder").0.to_owned()).or_default() += 1;
    }
    tables
}

#[test]
fn every_kind_of_record_goes_to_its_table() {
    let world = World::new("kinds", [2, 1, 1, 1]);
    let raw = &world.config.input;
    let kinds = [
        World::trade(1, MIDNIGHT),
        r#"{"symbol":"AAPL","price":187.5,"volume":10,"timestamp":1723075200000}"#.to_owned(),
        r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.300049,"High":2568.300049,"Low":2568.300049,"Close":2568.300049,"Adj Close":2568.300049,"Volume":0.0,"CloseUSD":333.87900637}"#.to_owned(),
        format!(r#"{{"kind":"quote","schema_version":1,"venue":"BINANCE","symbol":"BINANCE:BTCUSDT","bid":1,"bid_quantity":2,"ask":3,"ask_quantity":4,"event_time":{MIDNIGHT}}}"#),
        format!(r#"{{"kind":"gap","schema_version":1,"symbol":"BINANCE:BTCUSDT","from":{MIDNIGHT},"to":{MIDNIGHT},"cause":"disconnect"}}"#),
        format!(r#"{{"kind":"heartbeat","schema_version":1,"venue":"BINANCE","receive_time":{MIDNIGHT}}}"#),
        "{ not json".to_owned(),
        String::new(),
    ];
    for kind in &kinds {
        world.send(raw, 0, kind.as_bytes());
    }
    // An alien in every topic.
    for topic in [&world.config.input, &world.config.metrics, &world.config.alerts, &world.config.dead_letters] {
        world.send(topic, 0, b"\xff\xfe alien");
    }
    world.flush();

    let summary = world.drain();
    assert_eq!(
        count_by_table(&world).into_iter().filter(|(dir, _)| !dir.starts_with("dead_letters")).collect::<Vec<_>>(),
        [
            ("bars/year=1986".to_owned(), 1),
            ("gaps/dt=2024-08-08".to_owned(), 1),
            ("quotes/dt=2024-08-08/hour=00".to_owned(), 1),
            ("trades/dt=2024-08-08/hour=00".to_owned(), 2),
        ]
    );
    let letters: Vec<_> = world.rows().into_iter().filter(|row| row.key.contains("/dead_letters/")).collect();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].json["value"], "//4gYWxpZW4=", "the original bytes in base64");
    assert_eq!(summary.rows, 6);
    let raw_partition = &summary.topics[raw][&0];
    assert_eq!((raw_partition.end, raw_partition.rows), (9, 5));
    assert_eq!(raw_partition.skipped.values().sum::<u64>(), 4, "{raw_partition:?}");
    assert_eq!(raw_partition.skipped["heartbeat"], 1);
    for (topic, end) in
        [(raw, 9), (&world.config.metrics, 1), (&world.config.alerts, 1), (&world.config.dead_letters, 1)]
    {
        world.assert_exactly_once(topic, 0, end);
    }
}

#[test]
fn a_second_run_goes_on_where_the_first_stopped() {
    let world = World::new("again", [1, 1, 1, 1]);
    world.trades(0, 100);
    assert_eq!(world.drain().rows, 100);
    let before = world.objects();
    assert_eq!(world.drain().rows, 0, "nothing is new");
    world.trades(100, 150);
    let summary = world.drain();
    assert_eq!((summary.rows, summary.topics[&world.config.input][&0].end), (50, 150));
    let after = world.objects();
    assert!(before.iter().all(|(key, body)| after.get(key) == Some(body)), "an object was changed");
    world.assert_exactly_once(&world.config.input, 0, 150);
}

#[test]
fn the_same_records_are_the_same_rows_in_every_format() {
    let mut world = World::new("formats", [1, 1, 1, 1]);
    let mut rows = Vec::new();
    for format in lake::Format::ALL {
        let mut here = world.clone_at(&format!("{:?}", format));
        here.config.format = format;
        if rows.is_empty() {
            here.trades(0, 300);
        }
        here.drain();
        here.assert_exactly_once(&here.config.input, 0, 300);
        let extension = format!(".{}", format.extension());
        assert!(here.objects().keys().all(|key| key.ends_with(&extension)), "{format:?}");
        let mut found: Vec<String> = here.rows().iter().map(|row| row.json.to_string()).collect();
        found.sort();
        rows.push(found);
        world = here;
    }
    assert_eq!(rows[0].len(), 300);
    assert!(rows.iter().all(|other| *other == rows[0]), "a format says other things than the first");
}

#[test]
fn one_object_per_message_holds_each_message_once() {
    let mut world = World::new("json", [1, 1, 1, 1]);
    world.config.format = lake::Format::Json;
    world.trades(0, 70);
    let summary = world.drain();
    assert_eq!((summary.objects, summary.rows), (70, 70));
    assert_eq!(world.objects().len(), 70);
    world.assert_exactly_once(&world.config.input, 0, 70);
    // The format may change between two runs.
    world.config.format = lake::Format::JsonlZst;
    world.trades(70, 80);
    assert_eq!(world.drain().rows, 10);
    world.assert_exactly_once(&world.config.input, 0, 80);
}

#[test]
fn the_committed_position_is_not_asked_and_is_right_for_lag_tools() {
    let world = World::new("reset", [1, 1, 1, 1]);
    world.trades(0, 10);
    world.drain();
    let admin = world.admin();
    assert_eq!(admin.committed(&world.config.group, &world.config.input).expect("an answer"), [Some(10)]);
    // A group of another name has no position at all, which is as if an operator had reset it.
    let mut other = world;
    other.config.group += "-reset";
    assert_eq!(other.drain().rows, 0);
    other.trades(10, 12);
    assert_eq!(other.drain().rows, 2);
    other.assert_exactly_once(&other.config.input, 0, 12);
}
