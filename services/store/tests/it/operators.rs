//! What operators and Kafka itself do to topics.

use harness::{ByteSize, Duration};
use testkit::{eventually, move_position, transactions};

use crate::proxy::{Fate, Proxy};
use crate::world::{LONG, World};

#[test]
fn records_that_kafka_dropped_before_they_were_stored_are_declared() {
    let world = World::new("hole", [1, 1, 1, 1]);
    let topic = &world.config.input;
    world.trades(0, 30);
    world.drain();
    world.trades(30, 80);
    world.admin().delete_records(topic, 0, 50).expect("records are deleted");
    assert_eq!(world.drain().rows, 30);
    let claims = world.claims(topic, 0);
    let kinds: Vec<_> = claims.iter().map(|claim| (claim.claim.kind, claim.claim.start, claim.claim.end)).collect();
    assert_eq!(
        kinds,
        [(lake::claim::Kind::Data, 0, 29), (lake::claim::Kind::Hole, 30, 49), (lake::claim::Kind::Data, 50, 79)]
    );
    let offsets: Vec<i64> = world.rows().iter().map(|row| row.json["_offset"].as_i64().expect("an offset")).collect();
    assert_eq!(offsets.len(), 60);
    assert!(offsets.iter().all(|offset| !(30..50).contains(offset)));
}

#[test]
fn records_that_vanish_under_a_running_store_are_declared() {
    let mut world = World::new("vanish", [1, 1, 1, 1]);
    world.config.rotate.rows = 10;
    let topic = world.config.input.clone();
    let store = world.start();
    world.trades(0, 10);
    eventually(LONG, "the first range is stored", || (world.rows().len() == 10).then_some(()));
    // Faster than the store can be: it is not reading while this happens.
    store.stop();
    world.trades(10, 40);
    world.admin().delete_records(&topic, 0, 25).expect("records are deleted");
    let store = world.start();
    eventually(LONG, "what is left is stored", || (world.rows().len() >= 20).then_some(()));
    store.stop();
    assert_eq!(world.rows().len(), 25);
    let holes: Vec<_> =
        world.claims(&topic, 0).into_iter().filter(|claim| claim.claim.kind == lake::claim::Kind::Hole).collect();
    assert_eq!((holes.len(), holes[0].claim.start, holes[0].claim.end), (1, 10, 24));
}

#[test]
fn a_topic_that_is_made_again_is_another_topic() {
    let world = World::new("again", [1, 1, 1, 1]);
    let topic = &world.config.input;
    world.trades(0, 40);
    world.drain();
    let admin = world.admin();
    admin.delete(topic).expect("the topic is deleted");
    eventually(LONG, "the topic is gone", || (!admin.list().expect("a list").contains_key(topic)).then_some(()));
    admin.apply(&[streams::topic::Spec::delete(topic.as_str(), 1)], 1).expect("the topic is made again");
    world.trades(100, 125);
    let summary = world.drain();
    assert_eq!(summary.topics[topic][&0].end, 25);
    assert_eq!(summary.rows, 25, "offsets start over: none of these was ever stored");
    let rows = world.rows();
    assert_eq!(rows.len(), 65);
    let ids: std::collections::BTreeSet<_> = rows.iter().map(|row| row.json["trade_id"].to_string()).collect();
    assert_eq!(ids.len(), 65, "each trade once");
}

/// The place is in the lake: whoever resets the group, to the beginning or into the middle of a claim, moves nothing.
#[test]
fn a_position_that_was_moved_doubles_and_skips_nothing() {
    let mut world = World::new("moved", [1, 1, 1, 1]);
    world.config.rotate.rows = 20;
    let mut sent = 0;
    for moved_to in [0, 25, 79, 1] {
        world.trades(sent, sent + 30);
        sent += 30;
        assert_eq!(world.drain().rows, 30);
        move_position(&world.config.kafka.brokers, &world.config.group, &world.config.input, moved_to);
    }
    world.trades(sent, sent + 30);
    assert_eq!(world.drain().rows, 30);
    world.assert_exactly_once(&world.config.input, 0, sent + 30);
}

#[test]
fn a_topic_that_is_made_again_under_a_running_store_is_another_topic() {
    let mut world = World::new("swapped", [1, 1, 1, 1]);
    world.config.rotate.interval = Duration::from_millis(300);
    world.config.kafka.librdkafka.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let topic = world.config.input.clone();
    let store = world.start();
    world.trades(0, 40);
    eventually(LONG, "the first topic is stored", || (world.rows().len() == 40).then_some(()));
    let admin = world.admin();
    admin.delete(&topic).expect("the topic is deleted");
    eventually(LONG, "the topic is gone", || (!admin.list().expect("a list").contains_key(&topic)).then_some(()));
    admin.apply(&[streams::topic::Spec::delete(topic.as_str(), 1)], 1).expect("the topic is made again");
    world.trades(100, 125);
    eventually(LONG, "the second topic is stored", || (world.rows().len() == 65).then_some(()));
    store.stop();
    let ids: std::collections::BTreeSet<_> = world.rows().iter().map(|row| row.json["trade_id"].to_string()).collect();
    assert_eq!(ids.len(), 65, "each trade once");
}

/// Reading has stopped for want of memory, and what comes next is gone when it goes on.
#[test]
fn records_that_vanish_before_a_running_store_are_declared_and_what_was_read_is_stored() {
    let mut world = World::new("overtaken", [1, 1, 1, 1]);
    let topic = world.config.input.clone();
    let proxy =
        Proxy::start(&world.config.s3.endpoint, |number| if number < 3 { Fate::Pass } else { Fate::Refuse(500) });
    world.config.s3.endpoint = proxy.endpoint.clone();
    world.config.rotate.size = ByteSize::kib(64);
    world.config.memory = ByteSize::kib(256);
    // The client itself must not hold what the store has not asked for.
    world.config.kafka.librdkafka.insert("queued.min.messages".to_owned(), "1".to_owned());
    world.config.kafka.librdkafka.insert("fetch.message.max.bytes".to_owned(), "10000".to_owned());
    world.trades(0, 20_000);
    let store = world.start();
    eventually(LONG, "reading has stopped", || store.gauge("paused_partitions").filter(|paused| *paused > 0.0));
    world.admin().delete_records(&topic, 0, 19_000).expect("records are deleted");
    proxy.set(|_| Fate::Pass);
    let holes = || -> Vec<(i64, i64)> {
        let claims = world.claims(&topic, 0).into_iter().map(|checked| checked.claim);
        claims.filter(|claim| claim.kind == lake::claim::Kind::Hole).map(|claim| (claim.start, claim.end)).collect()
    };
    // Committed when it is stored.
    let stored = || world.admin().committed(&world.config.group, &topic).expect("an answer")[0].unwrap_or(0);
    eventually(LONG, "what is left is stored", || (stored() > 19_000).then_some(()));
    store.stop();
    world.drain();
    let holes = holes();
    assert_eq!((holes.len(), holes[0].1), (1, 18_999), "{holes:?}");
    assert!(holes[0].0 > 0, "what was read before is stored");
    world.assert_exactly_once_but(&topic, 0, 20_000, Some(holes[0].0..=holes[0].1));
}

#[test]
fn partitions_that_are_added_to_a_running_store_are_stored_from_their_first_record() {
    let mut world = World::new("added", [1, 1, 1, 1]);
    world.config.rotate.interval = Duration::from_millis(300);
    world.config.kafka.librdkafka.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let store = world.start();
    world.trades(0, 10);
    eventually(LONG, "the first partition is stored", || (world.rows().len() == 10).then_some(()));
    world.admin().grow(&world.config.input, 3).expect("there are more partitions");
    // A producer that knows of them.
    let later = world.clone_at("later");
    for partition in 1..3 {
        for n in 0..20 {
            let trade = World::trade(n, crate::world::MIDNIGHT + n);
            later.send(&world.config.input, partition, trade.as_bytes());
        }
    }
    later.flush();
    eventually(LONG, "the new ones are stored", || (world.rows().len() == 50).then_some(()));
    store.stop();
    for (partition, end) in [(0, 10), (1, 20), (2, 20)] {
        world.assert_exactly_once(&world.config.input, partition, end);
    }
}

/// Markers have offsets and no record, and what was rolled back has offsets that nobody sees.
#[test]
fn what_transactions_leave_between_the_records_is_declared() {
    let mut world = World::new("transactions", [1, 1, 1, 1]);
    world.config.rotate.rows = 7;
    let topic = world.config.input.clone();
    // Of eight transactions of five records two are rolled back; each leaves a marker.
    let trades = |n: i64| (n * 5..n * 5 + 5).map(|n| World::trade(n, crate::world::MIDNIGHT + n)).collect();
    transactions(&world.config.kafka.brokers, &topic, (0..8).map(|n| (trades(n), n % 3 != 2)));
    assert_eq!(world.drain().rows, 30);
    world.assert_exactly_once(&topic, 0, 48);
    let claims = world.claims(&topic, 0);
    assert_eq!(claims.iter().map(|claim| claim.claim.markers).sum::<u64>(), 8 + 10);
}

#[test]
fn each_partition_has_a_chain_of_its_own_from_offset_0() {
    let world = World::new("grow", [2, 1, 1, 1]);
    for partition in 0..2 {
        world.send(&world.config.input, partition, World::trade(partition.into(), crate::world::MIDNIGHT).as_bytes());
    }
    world.flush();
    assert_eq!(world.drain().rows, 2);
    for partition in 0..2 {
        world.assert_exactly_once(&world.config.input, partition, 1);
    }
}
