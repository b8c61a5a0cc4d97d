//! A group shares its partitions without losing or doubling a record, whoever comes, goes or sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use streams::{
    Consumer, ConsumerOptions, Env, GroupProtocol, KafkaConfig, Outgoing, Polled, Start, StreamError, TopicPartition,
};
use testkit::{eventually, set_session, unique};

use crate::kit::{Kit, LONG, env, join, numbers, session_ms, value};

const TURN: Duration = Duration::from_millis(50);

/// Offsets handled, by partition: a record handled twice is there twice.
type Handled = Arc<Mutex<BTreeMap<(i32, i64), usize>>>;

/// A loop as services write it: handles records in batches and commits after each batch and at each revocation.
struct Member {
    stop: Arc<AtomicBool>,
    owned: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<Result<(), StreamError>>,
}

impl Member {
    fn start(kafka: &KafkaConfig, group: &str, topic: &str, handled: &Handled) -> Member {
        let (stop, owned) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (kafka, group, topic, handled) = (kafka.clone(), group.to_owned(), topic.to_owned(), handled.clone());
        let thread = std::thread::spawn({
            let (stop, owned) = (stop.clone(), owned.clone());
            move || member(&kafka, &group, &topic, &handled, &stop, &owned)
        });
        Member { stop, owned, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap().unwrap();
    }
}

fn member(
    kafka: &KafkaConfig,
    group: &str,
    topic: &str,
    handled: &Handled,
    stop: &AtomicBool,
    owned: &AtomicUsize,
) -> Result<(), StreamError> {
    let mut consumer = Consumer::new(&env(), kafka, ConsumerOptions::new(group, [topic]))?;
    let mut batch: Vec<(TopicPartition, i64)> = Vec::new();
    let finish = |consumer: &mut Consumer, batch: &mut Vec<(TopicPartition, i64)>| {
        let mut positions = BTreeMap::new();
        let mut handled = handled.lock().unwrap();
        for (partition, offset) in batch.drain(..) {
            *handled.entry((partition.partition, offset)).or_default() += 1;
            positions.insert(partition, offset + 1);
        }
        consumer.commit(&positions.into_iter().collect::<Vec<_>>()).map(|committed| assert!(committed))
    };
    while !stop.load(Ordering::SeqCst) {
        match consumer.poll(TURN)? {
            Polled::Record(record) => {
                batch.push((TopicPartition::new(record.topic, record.partition), record.offset));
            }
            Polled::Assigned(_) => consumer.assign()?,
            Polled::Revoked(_) => {
                finish(&mut consumer, &mut batch)?;
                consumer.release()?;
            }
            Polled::Lost(_) => panic!("nobody slept"),
            Polled::CaughtUp(..) | Polled::Idle => {}
        }
        owned.store(consumer.assigned().count(), Ordering::SeqCst);
        if batch.len() >= 100 {
            finish(&mut consumer, &mut batch)?;
        }
    }
    finish(&mut consumer, &mut batch)?;
    consumer.close()
}

fn shares_exactly(strategy: &str) {
    let mut kit = Kit::new();
    if kit.kafka.group_protocol == GroupProtocol::Classic {
        kit.kafka.librdkafka.insert("partition.assignment.strategy".to_owned(), strategy.to_owned());
    }
    let (topic, group) = (kit.topic(4), unique("g"));
    let handled = Handled::default();
    let sent = Arc::new(AtomicUsize::new(0));
    let sending = Arc::new(AtomicBool::new(true));
    let sender = std::thread::spawn({
        let (producer, topic, sent, sending) = (kit.producer(), topic.clone(), sent.clone(), sending.clone());
        move || {
            for n in 0_u64.. {
                if !sending.load(Ordering::SeqCst) {
                    break;
                }
                let (key, value) = (n.to_string(), n.to_string());
                let out = Outgoing { key: Some(key.as_bytes()), value: Some(value.as_bytes()), ..Outgoing::default() };
                producer.send(&Outgoing { topic: &topic, ..out }).unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
                if n % 20 == 0 {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            producer.flush(LONG).unwrap();
        }
    });
    let owns = |member: &Member, n: usize| (member.owned.load(Ordering::SeqCst) == n).then_some(());
    let first = Member::start(&kit.kafka, &group, &topic, &handled);
    eventually(LONG, "the first owns all", || owns(&first, 4));
    let second = Member::start(&kit.kafka, &group, &topic, &handled);
    eventually(LONG, "both own half", || owns(&first, 2).and(owns(&second, 2)));
    let third = Member::start(&kit.kafka, &group, &topic, &handled);
    eventually(LONG, "the third owns some", || owns(&third, 1).or(owns(&third, 2)));
    first.stop();
    // How evenly is the assignor's business.
    let held = |member: &Member| member.owned.load(Ordering::SeqCst);
    eventually(LONG, "two are left", || {
        let (a, b) = (held(&second), held(&third));
        (a + b == 4 && a > 0 && b > 0).then_some(())
    });
    second.stop();
    eventually(LONG, "one is left", || owns(&third, 4));
    sending.store(false, Ordering::SeqCst);
    sender.join().unwrap();
    let sent = sent.load(Ordering::SeqCst);
    // The last member handles batches of 100 and the rest when it stops.
    eventually(LONG, "all but a batch is handled", || (handled.lock().unwrap().len() + 100 > sent).then_some(()));
    third.stop();
    let handled = handled.lock().unwrap();
    for partition in 0..4 {
        let mut offsets: Vec<i64> = handled.keys().filter(|(p, _)| *p == partition).map(|(_, o)| *o).collect();
        offsets.sort_unstable();
        let holes: Vec<i64> = (0..).zip(&offsets).filter(|(n, o)| n != *o).map(|(n, _)| n).take(3).collect();
        assert!(holes.is_empty(), "partition {partition} of {topic} misses {holes:?}");
    }
    let doubled: Vec<_> = handled.iter().filter(|(_, times)| **times != 1).collect();
    assert!(doubled.is_empty(), "{} records handled twice: {doubled:?}", doubled.len());
    // Records still in librdkafka's queue when the last member stopped are for the next: handled plus those is all.
    let committed = kit.admin().committed(&group, &topic).unwrap();
    let committed: i64 = committed.into_iter().map(Option::unwrap_or_default).sum();
    assert_eq!(usize::try_from(committed).unwrap(), handled.len(), "committed is what was handled");
    assert!(sent - handled.len() <= 100, "{} of {sent} handled", handled.len());
}

#[test]
fn members_come_and_go_cooperatively_and_every_record_is_handled_once() {
    shares_exactly("cooperative-sticky");
}

#[test]
fn members_come_and_go_eagerly_and_every_record_is_handled_once() {
    shares_exactly("range");
}

#[test]
fn a_member_that_slept_has_lost_its_partitions_and_cannot_commit() {
    let mut kit = Kit::new();
    let session_ms = session_ms(kit.brokers.is_embedded());
    kit.kafka.librdkafka.insert("max.poll.interval.ms".to_owned(), session_ms.to_string());
    let (topic, group) = (kit.topic(2), unique("g"));
    kit.send(&topic, None, &numbers(0..100));
    let mut sleeper = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    let partitions = join(&mut sleeper);
    let mut read = Vec::new();
    while read.len() < 100 {
        if let Polled::Record(record) = sleeper.poll(TURN).unwrap() {
            read.push(value(&record));
        }
    }
    // Sleeps: it does not poll, so the group gives its partitions to the next.
    let mut heir = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    let mut heirs = BTreeSet::new();
    let inherited = Instant::now();
    let mut again = 0;
    while heirs.len() < 2 || again < 100 {
        assert!(inherited.elapsed() < LONG, "the heir has {heirs:?} and {again} records");
        match heir.poll(TURN).unwrap() {
            Polled::Assigned(partitions) => {
                heirs.extend(partitions);
                heir.assign().unwrap();
            }
            Polled::Record(_) => again += 1,
            _ => {}
        }
    }
    // Nothing was committed, so the heir reads all of it; what the sleeper commits now is refused.
    let positions: Vec<(TopicPartition, i64)> = partitions.iter().map(|tp| (tp.clone(), 1)).collect();
    assert!(!sleeper.commit(&positions).unwrap(), "refused");
    let mut lost = Vec::new();
    let waited = Instant::now();
    while lost.is_empty() {
        assert!(waited.elapsed() < LONG, "the sleeper never heard of its loss");
        match sleeper.poll(TURN).unwrap() {
            Polled::Lost(partitions) => {
                lost = partitions;
                sleeper.release().unwrap();
            }
            Polled::Revoked(_) => panic!("they were lost, not revoked: a commit would be wrong"),
            _ => {}
        }
    }
    assert_eq!(lost, partitions);
    assert_eq!(kit.admin().committed(&group, &topic).unwrap(), [None, None]);
}

/// Who goes says so: the heir does not wait for the session of the one that went to end.
#[test]
fn a_member_that_stops_leaves_the_group_at_once() {
    let mut kit = Kit::new();
    set_session(&mut kit.kafka, 30_000);
    let (topic, group) = (kit.topic(4), unique("g"));
    let handled = Handled::default();
    let owns = |member: &Member, n: usize| (member.owned.load(Ordering::SeqCst) == n).then_some(());
    let first = Member::start(&kit.kafka, &group, &topic, &handled);
    eventually(LONG, "the first owns all", || owns(&first, 4));
    let heir = Member::start(&kit.kafka, &group, &topic, &handled);
    eventually(LONG, "both own half", || owns(&first, 2).and(owns(&heir, 2)));
    let stopped = Instant::now();
    first.stop();
    eventually(Duration::from_secs(5).saturating_sub(stopped.elapsed()), "the heir owns all", || owns(&heir, 4));
    heir.stop();
}

#[test]
fn closing_never_hangs_on_an_unanswered_rebalance() {
    let kit = Kit::new();
    let (topic, group) = (kit.topic(2), unique("g"));
    // An assignment nobody answered.
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    let until = |consumer: &mut Consumer, what: &str| {
        eventually(LONG, what, || match consumer.poll(TURN).unwrap() {
            Polled::Assigned(_) | Polled::Revoked(_) => Some(()),
            _ => None,
        });
    };
    until(&mut consumer, "assigned");
    closes_quickly(consumer, "unanswered assignment");
    // A revocation nobody answered.
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    join(&mut consumer);
    let handled = Handled::default();
    let other = Member::start(&kit.kafka, &group, &topic, &handled);
    until(&mut consumer, "revoked");
    closes_quickly(consumer, "unanswered revocation");
    eventually(LONG, "the other owns all", || (other.owned.load(Ordering::SeqCst) == 2).then_some(()));
    other.stop();
    // A rebalance that nobody even asked for.
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    consumer.poll(TURN).unwrap();
    closes_quickly(consumer, "joining");
}

/// The group may say more while what it said before waits in the queue, and be done with the member before it has answered all.
#[test]
fn closes_at_any_moment_of_a_rebalance() {
    let kit = Kit::new();
    for moment in 0..10 {
        let (topic, group) = (kit.topic(2), unique("g"));
        let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
        join(&mut consumer);
        let other = Member::start(&kit.kafka, &group, &topic, &Handled::default());
        std::thread::sleep(Duration::from_millis(40) * moment);
        closes_quickly(consumer, &format!("moment {moment}"));
        other.stop();
    }
}

fn closes_quickly(consumer: Consumer, when: &str) {
    let start = Instant::now();
    consumer.close().unwrap();
    assert!(start.elapsed() < Duration::from_secs(10), "{when}: took {:?}", start.elapsed());
}

#[test]
fn an_unanswered_rebalance_is_a_fault_of_the_loop_that_is_told() {
    let kit = Kit::new();
    let topic = kit.topic(1);
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(unique("g"), [&topic])).unwrap();
    eventually(LONG, "assigned", || matches!(consumer.poll(TURN).unwrap(), Polled::Assigned(_)).then_some(()));
    let error = consumer.poll(TURN).unwrap_err();
    assert!(error.is_fatal() && error.to_string().contains("was not answered"), "{error}");
}

#[test]
fn begins_where_it_is_told_and_goes_on_where_it_committed() {
    let kit = Kit::new();
    let topic = kit.topic(1);
    kit.send(&topic, None, &numbers(0..10));
    let first = |options: ConsumerOptions, at: Option<i64>| {
        let mut consumer = Consumer::new(&kit.env, &kit.kafka, options).unwrap();
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < LONG);
            match consumer.poll(TURN).unwrap() {
                Polled::Assigned(partitions) => match at {
                    Some(at) => consumer.assign_at(&[(partitions[0].clone(), at)]).unwrap(),
                    None => consumer.assign().unwrap(),
                },
                Polled::Record(record) => {
                    let offset = record.offset;
                    let tp = TopicPartition::new(topic.as_str(), 0);
                    consumer.commit(&[(tp, offset + 1)]).unwrap();
                    return Some(offset);
                }
                Polled::CaughtUp(_, offset) => return Some(-offset),
                _ => {}
            }
        }
    };
    let group = unique("g");
    assert_eq!(first(ConsumerOptions::new(&group, [&topic]), None), Some(0), "the start");
    assert_eq!(first(ConsumerOptions::new(&group, [&topic]), None), Some(1), "the position committed");
    assert_eq!(first(ConsumerOptions::new(&group, [&topic]), Some(7)), Some(7), "the offset given");
    assert_eq!(first(ConsumerOptions::new(&group, [&topic]), None), Some(8));
    let latest = ConsumerOptions::new(unique("g"), [&topic]).start(Start::Latest);
    assert_eq!(first(latest, None), Some(-10), "the end, with nothing after it");
}

#[test]
fn a_position_outside_the_topic_is_told_and_never_moved() {
    let kit = Kit::new();
    let topic = kit.topic(1);
    kit.send(&topic, None, &numbers(0..10));
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(unique("g"), [&topic])).unwrap();
    let start = Instant::now();
    let error = loop {
        assert!(start.elapsed() < LONG, "never told");
        match consumer.poll(TURN) {
            Ok(Polled::Assigned(partitions)) => {
                let far = partitions.into_iter().map(|tp| (tp, 1_000)).collect::<Vec<_>>();
                consumer.assign_at(&far).unwrap();
            }
            Ok(Polled::Record(record)) => panic!("jumped to {record:?}"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StreamError::OutOfRange(_)), "{error}");
}

#[test]
fn records_that_expired_unread_are_counted_where_that_is_asked_for() {
    let kit = Kit::new();
    let (topic, group) = (kit.topic(1), unique("g"));
    kit.send(&topic, None, &numbers(0..10));
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    let tp = join(&mut consumer).remove(0);
    assert!(consumer.commit(&[(tp, 3)]).unwrap());
    consumer.close().unwrap();
    kit.admin().delete_records(&topic, 0, 8).unwrap();

    let strict = ConsumerOptions::new(&group, [&topic]);
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, strict.clone()).unwrap();
    join(&mut consumer);
    let error = eventually(LONG, "told", || consumer.poll(TURN).err());
    assert!(matches!(error, StreamError::OutOfRange(_)), "{error}");
    drop(consumer);

    let mut consumer = Consumer::new(&kit.env, &kit.kafka, strict.skip_expired()).unwrap();
    join(&mut consumer);
    let first = eventually(LONG, "a record", || match consumer.poll(TURN).unwrap() {
        Polled::Record(record) => Some(record.offset),
        _ => None,
    });
    assert_eq!(first, 8);
    assert!(kit.env.metrics.render().contains("finflow_test_consumer_expired_records_total 5"));
}

#[test]
fn lag_is_true_in_messages_and_in_seconds() {
    let kit = Kit::new();
    let (topic, group) = (kit.topic(1), unique("g"));
    kit.send(&topic, None, &numbers(0..3));
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    join(&mut consumer);
    let caught_up = |consumer: &mut Consumer| {
        eventually(LONG, "caught up", || matches!(consumer.poll(TURN).unwrap(), Polled::CaughtUp(..)).then_some(()));
    };
    caught_up(&mut consumer);
    let lag = consumer.lag()[0].1;
    assert_eq!((lag.messages, lag.seconds), (0, 0.0), "nothing waits");
    // Silence is not lag: what comes after it is as old as it is, not as old as the silence.
    std::thread::sleep(Duration::from_millis(2_500));
    kit.send(&topic, None, &numbers(3..13));
    let first = Instant::now();
    eventually(LONG, "the first record", || matches!(consumer.poll(TURN).unwrap(), Polled::Record(_)).then_some(()));
    let lag = consumer.lag()[0].1;
    assert_eq!(lag.messages, 9);
    assert!(lag.seconds < 1.0 + first.elapsed().as_secs_f64(), "{lag:?}");
    // A loop that stands still falls behind by as much as it stands.
    std::thread::sleep(Duration::from_millis(2_000));
    let (stood, lag) = (first.elapsed().as_secs_f64(), consumer.lag()[0].1);
    assert!((lag.seconds - stood).abs() < 1.0, "stood {stood} s, lag {lag:?}");
    caught_up(&mut consumer);
    assert_eq!(consumer.lag()[0].1.messages, 0);
    let series = |name: &str| format!("finflow_test_{name}{{partition=\"0\",topic=\"{topic}\"}} 0");
    eventually(LONG, "the metrics say so, too", || {
        consumer.poll(TURN).unwrap();
        let text = kit.env.metrics.render();
        (text.contains(&series("consumer_lag_records")) && text.contains(&series("consumer_lag_seconds"))).then_some(())
    });
    consumer.close().unwrap();
    let text = kit.env.metrics.render();
    let lag = text.lines().any(|line| line.contains("consumer_lag") && line.contains(&topic));
    assert!(!lag, "who owns it no longer does not speak for it");
}

#[test]
fn each_end_is_told_with_its_topic() {
    let kit = Kit::new();
    let (one, two) = (kit.topic(1), kit.topic(2));
    kit.send(&one, None, &numbers(0..5));
    kit.send(&two, Some(1), &numbers(0..7));
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(unique("g"), [&one, &two])).unwrap();
    join(&mut consumer);
    let mut ends = BTreeMap::new();
    eventually(LONG, "three ends", || {
        if let Polled::CaughtUp(partition, offset) = consumer.poll(TURN).unwrap() {
            ends.insert(partition, offset);
        }
        (ends.len() == 3).then_some(())
    });
    let expected = [
        (TopicPartition::new(one.as_str(), 0), 5),
        (TopicPartition::new(two.as_str(), 0), 0),
        (TopicPartition::new(two.as_str(), 1), 7),
    ];
    assert_eq!(ends, BTreeMap::from(expected));
}

#[test]
fn a_topic_that_is_not_there_yet_is_joined_when_it_comes() {
    let mut kit = Kit::new();
    kit.kafka.librdkafka.insert("topic.metadata.refresh.interval.ms".to_owned(), "500".to_owned());
    let topic = unique("later");
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(unique("g"), [&topic])).unwrap();
    let early = Instant::now();
    while early.elapsed() < Duration::from_secs(1) {
        if let Polled::Assigned(partitions) = consumer.poll(TURN).unwrap() {
            assert!(partitions.is_empty());
            consumer.assign().unwrap();
        }
    }
    assert!(!kit.admin().list().unwrap().contains_key(&topic), "subscribing makes nothing");
    kit.brokers.create(&topic, 1);
    assert_eq!(join(&mut consumer).len(), 1);
}

/// Nobody is there: every client is made, says so and waits; nothing panics or floods.
#[test]
fn without_a_broker_everything_waits_and_health_says_why() {
    let shutdown = harness::Shutdown::new();
    let env = Env::standalone("test", &shutdown);
    let kafka = KafkaConfig { brokers: "127.0.0.1:9".to_owned(), ..KafkaConfig::default() };
    let mut consumer = Consumer::new(&env, &kafka, ConsumerOptions::new("g", ["t"])).unwrap();
    eventually(LONG, "health names the broker", || {
        assert!(matches!(consumer.poll(TURN).unwrap(), Polled::Idle));
        format!("{:?}", env.health.report()).contains("127.0.0.1:9 does not answer").then_some(())
    });
    closes_quickly(consumer, "without a broker");
}
