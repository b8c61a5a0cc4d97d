//! Several stores of one group that end with the input.

use testkit::eventually;

use crate::process::Process;
use crate::world::{LONG, MIDNIGHT, World};

const EACH: i64 = 50;

/// Trades in every partition of the events.
fn fill(world: &World, partitions: i32) {
    for partition in 0..partitions {
        for n in 0..EACH {
            world.send(&world.config.input, partition, World::trade(n, MIDNIGHT + n).as_bytes());
        }
    }
    world.flush();
}

fn assert_all_stored(world: &World, partitions: i32) {
    assert_eq!(world.rows().len() as i64, EACH * i64::from(partitions));
    (0..partitions).for_each(|partition| world.assert_exactly_once(&world.config.input, partition, EACH));
}

#[test]
fn what_another_leaves_behind_is_read_before_the_end() {
    let mut world = World::new("left", [4, 1, 1, 1]);
    // So that either has some of what there is.
    for topic in [&mut world.config.metrics, &mut world.config.alerts, &mut world.config.dead_letters] {
        topic.clear();
    }
    fill(&world, 4);
    // Reads everything, and stores nothing for the next ten minutes.
    let other = Process::start(&world, &world.config.s3.endpoint, &world.config.group, false);
    let admin = world.admin();
    let has_members = || admin.has_members(&world.config.group).is_ok_and(|has| has).then_some(());
    eventually(LONG, "the other is there", has_members);
    let ends = world.start_to_end();
    let stored = || {
        let committed = admin.committed(&world.config.group, &world.config.input).ok()?;
        committed.contains(&Some(EACH)).then_some(())
    };
    eventually(LONG, "its own part is stored", stored);
    other.kill();
    ends.end();
    assert_all_stored(&world, 4);
}

#[test]
fn two_that_end_with_the_input_store_all_of_it() {
    let mut world = World::new("two", [6, 1, 1, 1]);
    world.config.rotate.rows = 7;
    fill(&world, 6);
    let both = [world.start_to_end(), world.start_to_end()];
    both.into_iter().for_each(|running| drop(running.end()));
    assert_all_stored(&world, 6);
}
