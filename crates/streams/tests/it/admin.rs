//! Topics: made when asked, compared, waited for; never changed or made in silence.

use harness::Shutdown;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions};
use rdkafka::client::DefaultClientContext;
use streams::{Admin, Env, KafkaConfig, StreamError, topic};
use testkit::{eventually, unique};

use crate::kit::{Kit, LONG, numbers};

#[test]
fn apply_makes_what_is_missing_and_reports_the_rest() {
    let kit = Kit::new();
    let admin = kit.admin();
    let specs = [topic::Spec::delete(unique("d"), 3), topic::Spec::compact(unique("c"), 2)];
    let applied = admin.apply(&specs, 1).unwrap();
    assert_eq!(applied.created, [specs[0].name.as_str(), specs[1].name.as_str()]);
    let again = admin.apply(&specs, 1).unwrap();
    assert_eq!((again.created.len(), again.unchanged.len(), again.differs.len()), (0, 2, 0), "{again:?}");
    let settings = admin.settings(&specs[0].name).unwrap();
    for (name, value) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "604800000"),
        ("message.timestamp.type", "LogAppendTime"),
        ("compression.type", "producer"),
        ("min.insync.replicas", "1"),
    ] {
        assert_eq!(settings.get(name).map(String::as_str), Some(value), "{name}");
    }
    let mut other = specs.clone();
    other[0].partitions = 5;
    other[1].cleanup = topic::Cleanup::Delete;
    let differs = admin.apply(&other, 1).unwrap().differs;
    let told: Vec<String> =
        differs.iter().map(|d| format!("{} {} {} {}", d.topic == other[0].name, d.what, d.wanted, d.found)).collect();
    assert!(told.contains(&"true partitions 5 3".to_owned()), "{told:?}");
    assert!(told.contains(&"false cleanup.policy delete compact".to_owned()), "{told:?}");
    assert_eq!(admin.list().unwrap()[&other[0].name], 3, "reported, not changed");
}

/// Brokers that only know how many they are.
#[test]
fn a_topic_has_three_copies_or_as_many_as_there_are_brokers() {
    for (brokers, copies) in [(1, 1), (2, 2), (3, 3), (5, 3)] {
        let cluster = rdkafka::mocking::MockCluster::new(brokers).unwrap();
        let kafka = KafkaConfig { brokers: cluster.bootstrap_servers(), ..KafkaConfig::default() };
        let admin = Admin::new(&Env::standalone("test", &Shutdown::new()), &kafka).unwrap();
        assert_eq!(admin.default_replication().unwrap(), copies, "{brokers} brokers");
    }
}

#[test]
fn a_topic_made_again_has_another_id() {
    let kit = Kit::new();
    let admin = kit.admin();
    let name = kit.topic(2);
    let first = admin.describe(&name).unwrap().expect("it is there");
    assert_eq!((first.partitions, first.replication), (2, 1));
    assert!(!first.topic_id.is_zero());
    assert_eq!(admin.describe(&name).unwrap().unwrap().topic_id, first.topic_id);
    let raw: AdminClient<DefaultClientContext> = raw_admin(&kit);
    block_on(raw.delete_topics(&[&name], &AdminOptions::new()));
    eventually(LONG, "the topic is gone", || admin.describe(&name).unwrap().is_none().then_some(()));
    eventually(LONG, "the name is free", || (!admin.list().unwrap().contains_key(&name)).then_some(()));
    kit.brokers.create(&name, 2);
    assert_ne!(admin.describe(&name).unwrap().unwrap().topic_id, first.topic_id);
}

#[test]
fn watermarks_and_positions_are_by_partition() {
    let kit = Kit::new();
    let name = kit.topic(2);
    kit.send(&name, Some(1), &numbers(0..10));
    let admin = kit.admin();
    assert_eq!(admin.watermarks(&name).unwrap(), [(0, 0), (0, 10)]);
    assert_eq!(admin.committed(&unique("nobody"), &name).unwrap(), [None, None]);
}

#[test]
fn a_missing_topic_is_named_and_waited_for() {
    let kit = Kit::new();
    let (there, missing) = (kit.topic(1), unique("missing"));
    let admin = kit.admin();
    let waiting = std::thread::spawn({
        let names = [there.clone(), missing.clone()];
        move || admin.wait_for(&[&names[0], &names[1]])
    });
    eventually(LONG, "the health check names the missing topic", || {
        let report = format!("{:?}", kit.env.health.report());
        (report.contains(&missing) && !report.contains(&there)).then_some(())
    });
    assert!(!kit.admin().list().unwrap().contains_key(&missing), "waiting makes nothing");
    kit.brokers.create(&missing, 1);
    waiting.join().unwrap().unwrap();
    assert!(kit.env.health.is_ready());
}

#[test]
fn waiting_ends_with_the_shutdown() {
    let kit = Kit::new();
    let missing = unique("missing");
    kit.env.shutdown.trigger("test");
    let error = kit.admin().wait_for(&[&missing]).unwrap_err();
    assert!(matches!(&error, StreamError::Stopped(what) if what.contains(&missing)), "{error}");
}

pub fn raw_admin(kit: &Kit) -> AdminClient<DefaultClientContext> {
    rdkafka::ClientConfig::new().set("bootstrap.servers", &kit.brokers.addr).create().unwrap()
}

/// Grows a topic.
pub fn grow(kit: &Kit, topic: &str, partitions: usize) {
    block_on(raw_admin(kit).create_partitions(&[NewPartitions::new(topic, partitions)], &AdminOptions::new()));
    let grown = |count: i32| usize::try_from(count).is_ok_and(|count| count == partitions);
    eventually(LONG, "the topic has grown", || grown(kit.admin().list().unwrap()[topic]).then_some(()));
}

pub fn delete(kit: &Kit, topic: &str) {
    block_on(raw_admin(kit).delete_topics(&[topic], &AdminOptions::new()));
    eventually(LONG, "the topic is gone", || (!kit.admin().list().unwrap().contains_key(topic)).then_some(()));
}

fn block_on<T, E: std::fmt::Debug>(results: impl Future<Output = rdkafka::error::KafkaResult<Vec<Result<T, E>>>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for result in runtime.block_on(results).unwrap() {
        result.map(drop).unwrap();
    }
}
