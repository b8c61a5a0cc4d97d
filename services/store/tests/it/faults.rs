//! An object store that is away, slow or forgetful, and a memory that is small.

use std::time::Duration;

use harness::ByteSize;
use testkit::eventually;

use crate::proxy::{Fate, Proxy};
use crate::world::{LONG, World};

#[test]
fn an_s3_that_goes_away_loses_nothing_and_is_named() {
    let mut world = World::new("outage", [1, 1, 1, 1]);
    let real = world.config.s3.endpoint.clone();
    let proxy = Proxy::start(&real, |_| Fate::Pass);
    world.config.s3.endpoint = proxy.endpoint.clone();
    world.config.rotate.rows = 10;
    let store = world.start();
    world.trades(0, 10);
    eventually(LONG, "the first range is stored", || (world.objects().len() == 1).then_some(()));
    assert!(store.health.is_ready(), "{:?}", store.health.report());

    proxy.set(|_| Fate::Refuse(503));
    world.trades(10, 55);
    eventually(LONG, "not ready", || (!store.health.is_ready()).then_some(()));
    let report = store.health.report();
    let reason = report.checks["s3"].reason.clone().expect("a reason");
    assert!(reason.contains("503") && reason.contains(&proxy.endpoint), "{reason}");

    proxy.set(|_| Fate::Pass);
    eventually(LONG, "ready again", || store.health.is_ready().then_some(()));
    eventually(LONG, "all full ranges are stored", || (world.rows().len() >= 50).then_some(()));
    let summary = store.stop();
    assert_eq!(summary.rows, 55, "the rest is stored at the end");
    world.assert_exactly_once(&world.config.input, 0, 55);
    let metrics = summary.topics[&world.config.input][&0].end;
    assert_eq!(metrics, 55);
}

#[test]
fn answers_that_are_lost_double_nothing() {
    let mut world = World::new("lost", [1, 1, 1, 1]);
    // Every second write is carried out and not answered, the repetition of a write included.
    let proxy =
        Proxy::start(&world.config.s3.endpoint, |number| if number % 2 == 1 { Fate::LoseAnswer } else { Fate::Pass });
    world.config.s3.endpoint = proxy.endpoint.clone();
    world.config.rotate.rows = 20;
    world.trades(0, 130);
    let summary = world.drain();
    assert_eq!(summary.rows, 130);
    world.assert_exactly_once(&world.config.input, 0, 130);
}

#[test]
fn a_full_memory_stops_the_reading_and_nothing_else() {
    let mut world = World::new("memory", [2, 1, 1, 1]);
    let proxy =
        Proxy::start(&world.config.s3.endpoint, |number| if number < 3 { Fate::Pass } else { Fate::Refuse(500) });
    world.config.s3.endpoint = proxy.endpoint.clone();
    world.config.rotate.size = ByteSize::kib(64);
    world.config.memory = ByteSize::kib(256);
    // Far more than fits: 20000 rows of some 300 bytes.
    world.trades(0, 20_000);
    let store = world.start();
    eventually(LONG, "reading has stopped", || store.gauge("paused_partitions").filter(|paused| *paused > 0.0));
    let fullest = (0..20).map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        store.gauge("buffered_bytes").expect("a gauge")
    });
    let fullest = fullest.fold(0.0, f64::max);
    // One batch may come after the pause.
    assert!(fullest < 2.0 * 256.0 * 1024.0, "{fullest} bytes in memory");
    proxy.set(|_| Fate::Pass);
    eventually(LONG, "the backlog is read", || (store.gauge("consumer_lag_records")? == 0.0).then_some(()));
    eventually(LONG, "the S3 answers", || store.health.is_ready().then_some(()));
    store.stop();
    world.assert_exactly_once(&world.config.input, 0, 20_000);
}

#[test]
fn wrong_keys_and_a_missing_bucket_end_the_store_with_a_message() {
    let mut world = World::new("keys", [1, 1, 1, 1]);
    let right = world.config.s3.clone();
    world.config.s3.secret_key = harness::Secret::new("wrong");
    let error = format!("{:#}", world.try_drain().expect_err("wrong secret"));
    assert!(error.contains("SignatureDoesNotMatch") && error.contains("check the access key"), "{error}");
    assert!(!error.contains("wrong-secret"), "{error}");
    world.config.s3 = right;
    world.config.s3.bucket = "no-such-bucket".to_owned();
    let error = format!("{:#}", world.try_drain().expect_err("no bucket"));
    assert!(error.contains("no-such-bucket") && error.contains("create the bucket"), "{error}");
}

#[test]
fn the_group_grows_and_shrinks_under_load() {
    let mut world = World::new("scale", [3, 1, 1, 1]);
    world.config.rotate.rows = 50;
    world.config.rotate.interval = harness::Duration::from_millis(500);
    let mut sent = [0; 3];
    let mut produce = |world: &World| {
        for partition in 0..3 {
            for _ in 0..30 {
                let n = sent[partition as usize];
                world.send(
                    &world.config.input,
                    partition,
                    World::trade(n, crate::world::MIDNIGHT + n * 1_000_000_000).as_bytes(),
                );
                sent[partition as usize] += 1;
            }
        }
        world.flush();
        sent
    };
    let mut stores = vec![world.start()];
    for change in [1, 1, -1, 1, -1, -1] {
        for _ in 0..10 {
            produce(&world);
            std::thread::sleep(Duration::from_millis(50));
        }
        if change > 0 { stores.push(world.start()) } else { drop(stores.remove(0).stop()) }
    }
    let sent = produce(&world);
    stores.into_iter().for_each(|store| drop(store.stop()));
    world.drain();
    for (partition, sent) in (0..).zip(sent) {
        world.assert_exactly_once(&world.config.input, partition, sent);
    }
}
