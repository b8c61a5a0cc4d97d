//! Groups through librdkafka: sharing, committing, resuming, being looked at.

use crate::{
    client::{LONG, admin, admin_options, committed_offsets, config, consumer, create, fill, watermarks},
    target::{Target, block_on, eventually, unique},
};
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance},
    error::RDKafkaErrorCode,
    message::Message,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What a member was told: how many partitions it was given or had to give back.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(&'static str, usize)>>>);

impl ClientContext for Told {}

impl ConsumerContext for Told {
    fn post_rebalance(&self, _: &BaseConsumer<Told>, rebalance: &Rebalance<'_>) {
        let told = match rebalance {
            Rebalance::Assign(list) => ("given", list.count()),
            Rebalance::Revoke(list) => ("taken", list.count()),
            Rebalance::Error(_) => ("error", 0),
        };
        self.0.lock().unwrap().push(told);
    }
}

struct Reader {
    consumer: BaseConsumer<Told>,
    told: Told,
    seen: BTreeMap<String, usize>,
}

impl Reader {
    fn new(target: &Target, group: &str, topic: &str, strategy: &str, extra: &[(&str, &str)]) -> Reader {
        let told = Told::default();
        let mut config = config(&target.addr, &[("group.id", group), ("enable.auto.commit", "false")]);
        config.set("auto.offset.reset", "earliest").set("partition.assignment.strategy", strategy);
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "100").set("fetch.wait.max.ms", "50");
        for (key, value) in extra {
            config.set(*key, *value);
        }
        let consumer: BaseConsumer<Told> = config.create_with_context(told.clone()).unwrap();
        consumer.subscribe(&[topic]).unwrap();
        Reader { consumer, told, seen: BTreeMap::new() }
    }

    /// Reads what is there for a moment, and commits it.
    fn step(&mut self) -> usize {
        while let Some(polled) = self.consumer.poll(Duration::from_millis(20)) {
            if let Ok(message) = polled {
                *self.seen.entry(String::from_utf8_lossy(message.payload().unwrap()).into_owned()).or_default() += 1;
            }
        }
        // During a rebalance, or before anything was read, there is nothing to commit.
        let _ = self.consumer.commit_consumer_state(CommitMode::Sync);
        self.consumer.assignment().unwrap().count()
    }
}

fn share_and_give_back(strategy: &str) -> Vec<(&'static str, usize)> {
    let target = Target::new();
    let (topic, group) = (unique("shared"), unique("shared-group"));
    create(&target.addr, &topic, 4, &[]);
    let fill_all =
        |from: i64| (0..4).for_each(|p| fill(&target.addr, &topic, p as i32, from + p * 10..from + p * 10 + 10));
    let mut first = Reader::new(&target, &group, &topic, strategy, &[]);
    fill_all(0);
    eventually(LONG, "one member reads all", || (first.step() == 4 && first.seen.len() == 40).then_some(()));
    let mut second = Reader::new(&target, &group, &topic, strategy, &[]);
    eventually(LONG, "two members share", || ((first.step(), second.step()) == (2, 2)).then_some(()));
    fill_all(100);
    let all = |first: &Reader, second: &Reader| first.seen.len() + second.seen.len();
    eventually(LONG, "both read on", || {
        first.step();
        second.step();
        (all(&first, &second) == 80).then_some(())
    });
    assert_eq!(second.seen.len(), 20, "it read its half only");
    let second_seen = std::mem::take(&mut second.seen);
    drop(second);
    eventually(LONG, "one member has all again", || (first.step() == 4).then_some(()));
    fill_all(200);
    eventually(LONG, "it reads on", || {
        first.step();
        (first.seen.len() + second_seen.len() == 120).then_some(())
    });
    assert!(first.seen.values().chain(second_seen.values()).all(|times| *times == 1), "read twice");
    let offsets = committed_offsets(&target.addr, &group, &topic, 4);
    assert_eq!(offsets, [Some(30); 4]);
    let lag: i64 = (0..4).map(|p| watermarks(&target.addr, &topic, p).1 - offsets[p as usize].unwrap()).sum();
    assert_eq!(lag, 0);
    first.told.0.lock().unwrap().clone()
}

#[test]
fn two_members_share_by_range_and_one_takes_over() {
    let told = share_and_give_back("range");
    assert_eq!(told[..3], [("given", 4), ("taken", 4), ("given", 2)], "all is given back before it is shared anew");
}

#[test]
fn two_members_share_cooperatively_and_keep_what_they_can() {
    let told = share_and_give_back("cooperative-sticky");
    let taken: Vec<_> = told.iter().filter(|(what, count)| *what == "taken" && *count > 0).collect();
    assert_eq!(taken.first(), Some(&&("taken", 2)), "only what another gets is given back: {told:?}");
}

#[test]
fn a_group_resumes_where_it_committed_and_lag_is_what_is_left() {
    let target = Target::new();
    let (topic, group) = (unique("resumed"), unique("resumed-group"));
    create(&target.addr, &topic, 1, &[]);
    fill(&target.addr, &topic, 0, 0..100);
    let reader = consumer(&target.addr, &group, &[]);
    reader.subscribe(&[&topic]).unwrap();
    let first = |reader: &BaseConsumer| {
        eventually(LONG, "a record", || match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => Some(message.offset()),
            _ => None,
        })
    };
    assert_eq!(first(&reader), 0);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(60)).unwrap();
    reader.commit(&list, CommitMode::Sync).unwrap();
    drop(reader);
    assert_eq!(committed_offsets(&target.addr, &group, &topic, 1), [Some(60)]);
    assert_eq!(watermarks(&target.addr, &topic, 0).1 - 60, 40, "the lag");
    let reader = consumer(&target.addr, &group, &[]);
    reader.subscribe(&[&topic]).unwrap();
    assert_eq!(first(&reader), 60);
}

#[test]
fn committed_offsets_survive_a_restart() {
    let Some(target) = Target::embedded("restarting") else { return };
    let (topic, group) = (unique("lasting"), unique("lasting-group"));
    create(&target.addr, &topic, 1, &[]);
    fill(&target.addr, &topic, 0, 0..10);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Offset(7)).unwrap();
    consumer(&target.addr, &group, &[]).commit(&list, CommitMode::Sync).unwrap();
    let target = target.restart();
    assert_eq!(committed_offsets(&target.addr, &group, &topic, 1), [Some(7)]);
    let groups = consumer(&target.addr, "lister", &[]).fetch_group_list(None, LONG).unwrap();
    assert!(groups.groups().iter().any(|known| known.name() == group));
    fill(&target.addr, &topic, 0, 10..12);
    assert_eq!(watermarks(&target.addr, &topic, 0), (0, 12));
}

#[test]
fn groups_are_listed_described_and_deleted_when_empty() {
    let target = Target::new();
    let (topic, group) = (unique("listed"), unique("listed-group"));
    create(&target.addr, &topic, 2, &[]);
    fill(&target.addr, &topic, 0, 0..3);
    let mut reader = Reader::new(&target, &group, &topic, "range", &[]);
    eventually(LONG, "it reads", || (reader.step() == 2 && reader.seen.len() == 3).then_some(()));
    let lister = consumer(&target.addr, "lister", &[]);
    let all = lister.fetch_group_list(None, LONG).unwrap();
    assert!(all.groups().iter().any(|known| known.name() == group));
    let one = lister.fetch_group_list(Some(&group), LONG).unwrap();
    let described = &one.groups()[0];
    assert_eq!((described.state(), described.protocol_type(), described.protocol()), ("Stable", "consumer", "range"));
    assert_eq!(described.members().len(), 1);
    assert!(described.members()[0].assignment().is_some_and(|assignment| !assignment.is_empty()));

    let delete = || {
        let deleted = block_on(admin(&target.addr).delete_groups(&[&group], &admin_options())).unwrap();
        deleted.into_iter().next().unwrap().map(|_| ()).map_err(|(_, code)| code)
    };
    assert_eq!(delete(), Err(RDKafkaErrorCode::NonEmptyGroup));
    drop(reader);
    eventually(LONG, "the empty group is deleted", || delete().ok());
    assert_eq!(delete(), Err(RDKafkaErrorCode::GroupIdNotFound));
    assert_eq!(committed_offsets(&target.addr, &group, &topic, 1), [None]);
}

#[test]
fn a_static_member_that_comes_back_disturbs_nobody() {
    let target = Target::new();
    let (topic, group) = (unique("static"), unique("static-group"));
    create(&target.addr, &topic, 2, &[]);
    let member = |name| Reader::new(&target, &group, &topic, "range", &[("group.instance.id", name)]);
    let (mut first, mut second) = (member("pod-0"), member("pod-1"));
    eventually(LONG, "both have one", || ((first.step(), second.step()) == (1, 1)).then_some(()));
    let before = first.told.0.lock().unwrap().len();
    drop(second);
    let mut second = member("pod-1");
    eventually(LONG, "it has its partition again", || {
        first.step();
        (second.step() == 1).then_some(())
    });
    assert_eq!(first.step(), 1);
    assert_eq!(first.told.0.lock().unwrap().len(), before, "the other was not asked to rebalance");
}
