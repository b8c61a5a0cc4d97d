//! Everything at once, under load: members of a group that are killed, stopped and woken up when others have their
//! partitions, started beside each other and ended, at an S3 that refuses, is slow, does not answer, and does not
//! answer what it has carried out. A few of each by default; `make soak-store` has two hundred kills, on Apache Kafka and MinIO.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use testkit::{Fleet, from_env};

use crate::process::command;
use crate::proxy::{Fate, Proxy};
use crate::world::{MIDNIGHT, World};

const PARTITIONS: usize = 3;

/// One request in five has trouble of some kind.
fn weather(seed: u64, number: usize, is_write: bool) -> Fate {
    let fates = [
        Fate::Refuse(500),
        Fate::Refuse(503),
        Fate::Refuse(429),
        Fate::Slow(300),
        Fate::Slow(1_500),
        Fate::HoldBefore,
        Fate::LoseAnswer,
        Fate::HoldAfter,
    ];
    let mut rng = fastrand::Rng::with_seed(seed ^ (number as u64) << 1 ^ u64::from(is_write));
    if rng.u32(..5) == 0 { rng.choice(fates).expect("there are some") } else { Fate::Pass }
}

/// Sends at the rate until it is told to stop, to each partition in turn: a trade every ten seconds of market time, so that a
/// range touches some hours.
fn feed(world: &World, rate: f64, sent: &[AtomicI64; PARTITIONS], stop: &AtomicBool) {
    let (begun, mut n) = (Instant::now(), 0);
    while !stop.load(Ordering::SeqCst) {
        let due = (begun.elapsed().as_secs_f64() * rate) as i64;
        for n in n..due {
            let partition = n as usize % PARTITIONS;
            let trade = World::trade(n, MIDNIGHT + n * 10_000_000_000);
            world.send(&world.config.input, partition as i32, trade.as_bytes());
            sent[partition].fetch_add(1, Ordering::SeqCst);
        }
        n = due;
        std::thread::sleep(Duration::from_millis(20));
    }
    world.flush();
}

#[test]
fn whatever_happens_to_its_processes_and_its_s3_each_offset_is_stored_once() {
    let kills = from_env("FINFLOW_TEST_KILLS", 4);
    let seed = from_env("FINFLOW_TEST_SEED", 1);
    // Trades per second: fewer in a normal run, which is to be short.
    let rate = if kills < 10 { 250.0 } else { 1_000.0 };
    let mut world = World::new("soak", [PARTITIONS as i32, 1, 1, 1]);
    world.config.rotate.rows = 500;
    world.config.rotate.interval = harness::Duration::from_millis(500);
    world.config.s3.timeout = harness::Duration::from_secs(1);
    let proxy = Proxy::start(&world.config.s3.endpoint, move |number| weather(seed, number, true));
    proxy.set_reads(move |number| weather(seed, number, false));
    let sent = [const { AtomicI64::new(0) }; PARTITIONS];
    let start = |_, log: Stdio| {
        command(&world, &proxy.endpoint, &world.config.group).stderr(log).spawn().expect("the store starts")
    };
    // Longer than the session of the group.
    let sleep = || std::thread::sleep(Duration::from_secs(9));
    Fleet::new(seed, start).storm(kills, sleep, |stop| feed(&world, rate, &sent, stop));
    world.drain();
    let ends = sent.map(AtomicI64::into_inner);
    println!("{ends:?} records, {} objects, {} writes", world.objects().len(), proxy.writes());
    for (partition, end) in (0..).zip(ends) {
        world.assert_exactly_once(&world.config.input, partition, end);
    }
}
