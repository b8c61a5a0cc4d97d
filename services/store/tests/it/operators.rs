//! What operators and Kafka itself do to topics.

use testkit::eventually;

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
