//! The real binary, killed and stopped at the worst moments.

use std::time::Duration;

use testkit::{eventually, from_env, signal, unique};

use crate::process::Process;
use crate::proxy::{Fate, Proxy};
use crate::world::{LONG, World};

/// Each process gets a group of its own, so that every one believes to own every partition: a restart need not wait for
/// the dead member to be missed, and twins meet at every step.
fn start(world: &World, endpoint: &str, until_end: bool) -> Process {
    Process::start(world, endpoint, &unique("twin"), until_end)
}

/// Two hours of trades in two ranges: two claims with three objects.
fn two_ranges(name: &str) -> World {
    let mut world = World::new(name, [1, 1, 1, 1]);
    world.config.rotate.rows = 40;
    world.trades(20, 100);
    world
}

#[test]
fn killed_at_each_write_of_the_store() {
    let counted = two_ranges("count");
    let proxy = Proxy::start(&counted.config.s3.endpoint, |_| Fate::Pass);
    let mut process = start(&counted, &proxy.endpoint, true);
    eventually(LONG, "an undisturbed run ends", || process.has_ended().then_some(()));
    counted.assert_exactly_once(&counted.config.input, 0, 80);
    let writes = proxy.writes();
    assert!(writes >= 6, "{writes} writes: a probe, two claims and three objects at least");

    let fates = [Fate::HoldBefore, Fate::HoldAfter, Fate::HoldLate];
    let all = from_env("FINFLOW_TEST_KILLS", 0) > 0;
    std::thread::scope(|scope| {
        for (n, fate) in fates.into_iter().enumerate() {
            scope.spawn(move || {
                // Every write meets one of the fates in a normal run, and all of them in a soak.
                for write in (0..writes).filter(|write| all || write % fates.len() == n) {
                    killed_at(write, fate);
                }
            });
        }
    });
}

fn killed_at(write: usize, fate: Fate) {
    let world = two_ranges("kill");
    let plan = move |number| if number == write { fate } else { Fate::Pass };
    let proxy = Proxy::start(&world.config.s3.endpoint, plan);
    let process = start(&world, &proxy.endpoint, true);
    eventually(LONG, "the write is reached", || (proxy.held() > 0).then_some(()));
    process.kill();
    let rows = world.rows().len();
    world.drain();
    assert!(world.rows().len() >= rows, "a row that was visible is gone");
    world.assert_exactly_once(&world.config.input, 0, 80);
    if fate == Fate::HoldLate {
        proxy.release();
        world.assert_exactly_once(&world.config.input, 0, 80);
        world.trades(100, 110);
        world.drain();
        world.assert_exactly_once(&world.config.input, 0, 90);
    }
}

#[test]
fn killed_at_random_while_records_come() {
    let mut world = World::new("random", [1, 1, 1, 1]);
    world.config.rotate.rows = 25;
    world.config.rotate.interval = harness::Duration::from_millis(300);
    let kills = from_env("FINFLOW_TEST_KILLS", 6);
    let mut random = fastrand::Rng::with_seed(7);
    let mut sent = 0;
    for kill in 0..kills {
        let process = start(&world, &world.config.s3.endpoint, false);
        // The first ones die before they are in the group, later ones in the midst of work.
        let lives_ms = if kill % 3 == 0 { random.u64(0..1000) } else { random.u64(1000..5000) };
        let dies = std::time::Instant::now() + Duration::from_millis(lives_ms);
        while std::time::Instant::now() < dies {
            world.trades(sent, sent + 10);
            sent += 10;
            std::thread::sleep(Duration::from_millis(20));
        }
        process.kill();
    }
    world.drain();
    world.assert_exactly_once(&world.config.input, 0, sent);
}

#[test]
fn twins_that_are_stopped_and_wake_up() {
    let mut world = World::new("twins", [1, 1, 1, 1]);
    world.config.rotate.rows = 20;
    world.config.rotate.interval = harness::Duration::from_millis(400);
    let twins = [0, 1].map(|_| start(&world, &world.config.s3.endpoint, false));
    let mut random = fastrand::Rng::with_seed(11);
    let mut sent = 0;
    for round in 0..from_env("FINFLOW_TEST_KILLS", 12) {
        let sleeper = &twins[round as usize % 2];
        let (naps_ms, works_ms) = (random.u64(50..900), random.u64(50..600));
        for (name, lasts_ms) in [("STOP", naps_ms), ("CONT", works_ms)] {
            signal(&sleeper.0, name);
            let until = std::time::Instant::now() + Duration::from_millis(lasts_ms);
            while std::time::Instant::now() < until {
                world.trades(sent, sent + 5);
                sent += 5;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    for twin in twins {
        twin.terminate();
    }
    world.drain();
    world.assert_exactly_once(&world.config.input, 0, sent);
}
