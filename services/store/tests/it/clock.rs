//! Clocks that are wrong.

use std::time::Duration;

use harness::FakeClock;
use testkit::eventually;

use crate::proxy::{Fate, Proxy};
use crate::world::{LONG, MIDNIGHT, Running, World};

const TWO_HOURS_NS: i64 = 7_200_000_000_000;

/// Waits until more than this is in memory; it is told after the look at the clock. Returns how much it is.
fn buffered(store: &Running, more_than: f64) -> f64 {
    eventually(LONG, "the records are read", || store.gauge("buffered_bytes").filter(|now| *now > more_than))
}

#[test]
fn a_clock_set_forward_hurries_no_object_and_one_set_back_delays_none() {
    let world = World::new("clock", [1, 1, 1, 1]);
    let clock = FakeClock::at(MIDNIGHT);
    let store = world.start_at(clock.clone());
    world.trades(0, 10);
    let before = buffered(&store, 0.0);
    clock.set(MIDNIGHT + TWO_HOURS_NS);
    world.trades(10, 15);
    buffered(&store, before);
    clock.set(MIDNIGHT - TWO_HOURS_NS);
    clock.advance(Duration::from_secs(601));
    eventually(LONG, "an object is ten minutes old", || (world.rows().len() == 15).then_some(()));
    store.stop();
    let claims = world.claims(&world.config.input, 0);
    assert_eq!(claims.iter().map(|claim| (claim.claim.end, &*claim.claim.why)).collect::<Vec<_>>(), [(14, "interval")]);
}

#[test]
fn a_store_whose_machine_has_the_wrong_time_waits_and_says_so() {
    let mut world = World::new("skewed", [1, 1, 1, 1]);
    let proxy = Proxy::start(&world.config.s3.endpoint, |_| Fate::Skewed);
    world.config.s3.endpoint = proxy.endpoint.clone();
    world.trades(0, 10);
    let store = world.start();
    eventually(LONG, "the reason is named", || {
        let reason = store.health.report().checks.get("s3")?.reason.clone()?;
        reason.contains("the clock of this machine is off").then_some(())
    });
    assert!(!store.health.is_ready());
    proxy.set(|_| Fate::Pass);
    eventually(LONG, "ready", || store.health.is_ready().then_some(()));
    eventually(LONG, "all is read", || (store.gauge("consumer_records_total")? >= 10.0).then_some(()));
    store.stop();
    world.assert_exactly_once(&world.config.input, 0, 10);
}
