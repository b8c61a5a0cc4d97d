use super::*;
use crate::{
    batch::tests::sequenced,
    clock::now_ms,
    config::{Overrides, Settings},
    groups::Group,
    records::tests::write,
    sync::Syncer,
};
use std::{path::Path, sync::Arc};

struct World {
    topics: Topics,
    coordinator: Coordinator,
}

impl World {
    fn open(dir: &Path) -> World {
        let topics = Topics::open(dir.join("topics"), Syncer::start().unwrap().0).unwrap();
        if topics.get("t").is_none() {
            topics.create("t", 2, Overrides::new(), false).unwrap();
        }
        let coordinator = Coordinator::open(&dir.join("journal"), &topics).unwrap();
        World { topics, coordinator }
    }

    fn init(&mut self) -> Producer {
        self.coordinator.init_producer(Some("tx"), 10_000, None, &self.topics, now_ms()).unwrap()
    }

    fn part(&self, index: i32) -> Part {
        Part { topic: "t".into(), id: self.topics.get("t").unwrap().id, index }
    }

    fn begin(&mut self, producer: Producer) -> Result<(), Code> {
        let parts = vec![self.part(0), self.part(1)];
        self.coordinator.add_partitions("tx", producer, parts, &self.topics, now_ms())
    }

    fn write(&self, producer: Producer, index: i32, sequence: i32) -> Result<i64, Code> {
        let batch = sequenced(producer.id, producer.epoch, sequence, 1, now_ms(), 0x10, &write(&[(None, None, 0)]));
        let appended = self.partition(index).append(batch, &Settings::new(&Overrides::new()));
        appended.map(|appended| appended.base_offset)
    }

    fn partition(&self, index: i32) -> Arc<crate::partition::Partition> {
        self.topics.get("t").unwrap().partition(index).unwrap()
    }

    /// First and last offset of every rollback in partition 0.
    fn aborted(&self) -> Vec<(i64, i64)> {
        let all = self.partition(0).lock().log.aborted(0, i64::MAX);
        all.iter().map(|aborted| (aborted.first_offset, aborted.last_offset)).collect()
    }

    fn stable(&self) -> i64 {
        self.partition(0).offsets().stable
    }

    fn hold(&mut self, producer: Producer, offset: i64) -> Result<(), Code> {
        self.coordinator.add_group("tx", producer, "g", &self.topics, now_ms())?;
        let committed = Committed { topic: "t".into(), partition: 0, offset, leader_epoch: -1, metadata: None };
        self.coordinator.hold_offsets("tx", producer, "g", vec![committed])
    }

    fn committed(&self) -> Option<i64> {
        self.coordinator.offsets.get("g", "t", 0).map(|committed| committed.offset)
    }

    fn end(&mut self, producer: Producer, commit: bool) -> Result<(), Code> {
        self.coordinator.end("tx", producer, commit, &self.topics, now_ms())
    }
}

#[test]
fn commit_and_rollback_end_everywhere_and_move_the_offsets() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let producer = world.init();
    world.begin(producer).unwrap();
    world.write(producer, 0, 0).unwrap();
    world.hold(producer, 5).unwrap();
    assert_eq!((world.stable(), world.committed()), (0, None));
    world.end(producer, true).unwrap();
    assert_eq!((world.stable(), world.committed(), world.aborted()), (2, Some(5), vec![]));
    world.end(producer, true).expect("a repeated request is answered as the first");
    assert_eq!(world.end(producer, false), Err(Code::InvalidTxnState));

    world.begin(producer).unwrap();
    world.write(producer, 0, 1).unwrap();
    world.hold(producer, 9).unwrap();
    world.end(producer, false).unwrap();
    assert_eq!((world.stable(), world.committed(), world.aborted()), (4, Some(5), vec![(2, 3)]));
}

#[test]
fn a_new_producer_rolls_back_and_shuts_out_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let old = world.init();
    world.begin(old).unwrap();
    world.write(old, 0, 0).unwrap();
    let new = world.init();
    assert_eq!(new.id, old.id);
    assert!(new.epoch > old.epoch);
    assert_eq!((world.stable(), world.aborted()), (2, vec![(0, 1)]));
    assert_eq!(world.begin(old), Err(Code::ProducerFenced));
    assert_eq!(world.end(old, true), Err(Code::ProducerFenced));
    assert!(world.write(old, 0, 1).is_err());
    assert_eq!(world.hold(old, 1), Err(Code::ProducerFenced));
    world.begin(new).unwrap();
    world.write(new, 0, 0).unwrap();
    world.end(new, true).unwrap();
}

#[test]
fn a_transaction_that_takes_too_long_is_rolled_back_and_its_producer_shut_out() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let producer = world.init();
    world.begin(producer).unwrap();
    world.write(producer, 0, 0).unwrap();
    world.coordinator.tick_transactions(&world.topics, now_ms() + 9_000);
    assert_eq!(world.stable(), 0);
    world.coordinator.tick_transactions(&world.topics, now_ms() + 11_000);
    assert_eq!((world.stable(), world.aborted()), (2, vec![(0, 1)]));
    assert_eq!(world.end(producer, true), Err(Code::ProducerFenced));
}

#[test]
fn an_open_transaction_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let producer = world.init();
    world.begin(producer).unwrap();
    world.write(producer, 0, 0).unwrap();
    world.hold(producer, 5).unwrap();
    drop(world);
    let mut world = World::open(dir.path());
    assert_eq!((world.stable(), world.coordinator.offsets.is_unstable("g", "t", 0)), (0, true));
    world.write(producer, 0, 1).unwrap();
    world.end(producer, true).unwrap();
    assert_eq!((world.stable(), world.committed(), world.aborted()), (3, Some(5), vec![]));
}

/// The decision belongs to one transaction: a crash after it was made, with the markers half written, ends that one as
/// decided. A later one of the same producer and epoch is another matter.
#[test]
fn a_decision_is_carried_out_after_a_crash_for_its_own_transaction_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let producer = world.init();
    world.begin(producer).unwrap();
    world.write(producer, 0, 0).unwrap();
    world.write(producer, 1, 0).unwrap();
    world.hold(producer, 5).unwrap();
    let state = world.coordinator.transactions["tx"].clone();
    let decided = Transaction { phase: Phase::Ending { commit: true }, ..state };
    world.coordinator.record(Entry::Transaction { id: "tx".into(), state: decided }).unwrap();
    let roll = Settings::new(&Overrides::new()).roll();
    world.partition(0).end_transaction(producer.id, producer.epoch, true, roll).unwrap();
    drop(world);

    let mut world = World::open(dir.path());
    let ends = [0, 1].map(|index| world.partition(index).offsets());
    assert!(ends.iter().all(|offsets| offsets.stable == 2 && offsets.end == 2), "one marker each: {ends:?}");
    assert_eq!((world.committed(), world.aborted()), (Some(5), vec![]));

    world.begin(producer).unwrap();
    world.write(producer, 0, 1).unwrap();
    world.hold(producer, 9).unwrap();
    drop(world);
    let mut world = World::open(dir.path());
    assert_eq!((world.stable(), world.committed()), (2, Some(5)), "not decided yet");
    world.init();
    assert_eq!((world.committed(), world.aborted()), (Some(5), vec![(2, 3)]));
}

#[test]
fn records_of_a_transaction_nobody_knows_are_rolled_back_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let producer = world.init();
    world.begin(producer).unwrap();
    world.write(producer, 0, 0).unwrap();
    drop(world);
    std::fs::remove_file(dir.path().join("journal")).unwrap();
    let world = World::open(dir.path());
    assert_eq!((world.stable(), world.aborted()), (2, vec![(0, 1)]));
}

#[test]
fn a_topic_made_again_is_not_part_of_the_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let producer = world.init();
    world.begin(producer).unwrap();
    world.write(producer, 0, 0).unwrap();
    world.topics.delete("t").unwrap();
    world.topics.create("t", 2, Overrides::new(), false).unwrap();
    assert_eq!(world.write(producer, 0, 1), Err(Code::InvalidTxnState));
    world.end(producer, true).unwrap();
    assert_eq!(world.partition(0).offsets().end, 0);
}

#[test]
fn ids_are_never_given_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mut world = World::open(dir.path());
        for _ in 0..1500 {
            assert!(seen.insert(world.coordinator.new_producer_id().unwrap()));
        }
    }
}

#[test]
fn epochs_that_run_out_give_way_to_a_new_id_and_a_lost_answer_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let first = world.init();
    let ask = |world: &mut World, expected| {
        world.coordinator.init_producer(Some("tx"), 10_000, Some(expected), &world.topics, now_ms())
    };
    let second = ask(&mut world, first).unwrap();
    assert_eq!(second.epoch, first.epoch + 1);
    assert_eq!(ask(&mut world, first), Ok(second), "the answer was lost");
    assert_eq!(ask(&mut world, Producer { epoch: 9, ..first }), Err(Code::ProducerFenced));
    let state = Transaction { epoch: i16::MAX - 1, ..world.coordinator.transactions["tx"].clone() };
    world.coordinator.transactions.insert("tx".into(), state);
    let fresh = world.init();
    assert!(fresh.id != first.id && fresh.epoch == 0);
}

#[test]
fn a_replaced_producer_does_not_get_its_successors_epoch() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    let old = world.init();
    let new = world.init();
    let ask = |world: &mut World, expected| {
        world.coordinator.init_producer(Some("tx"), 10_000, Some(expected), &world.topics, now_ms())
    };
    assert_eq!(ask(&mut world, old), Err(Code::ProducerFenced));
    assert!(ask(&mut world, new).is_ok());
}

#[test]
fn timeouts_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    for timeout_ms in [0, -1, 15 * 60 * 1000 + 1] {
        let given = world.coordinator.init_producer(Some("tx"), timeout_ms, None, &world.topics, 0);
        assert_eq!(given, Err(Code::InvalidTransactionTimeout));
    }
}

#[test]
fn a_group_with_members_is_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let mut world = World::open(dir.path());
    assert_eq!(world.coordinator.delete_group("g"), Err(Code::GroupIdNotFound));
    let committed = Committed { topic: "t".into(), partition: 0, offset: 1, leader_epoch: -1, metadata: None };
    world.coordinator.record(Entry::Commit { group: "g".into(), offsets: vec![committed] }).unwrap();
    world.coordinator.groups.insert("g".into(), Group::default());
    world.coordinator.delete_group("g").unwrap();
    assert_eq!(world.committed(), None);
    drop(world);
    assert_eq!(World::open(dir.path()).committed(), None);
}
