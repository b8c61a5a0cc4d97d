//! Pausing: partitions stand still, and a pause ends with the ownership.

use std::time::{Duration, Instant};

use streams::{Consumer, ConsumerOptions, GroupProtocol, Polled, TopicPartition};
use testkit::{eventually, unique};

use crate::kit::{Kit, LONG, join, numbers};

const TURN: Duration = Duration::from_millis(50);

#[test]
fn paused_partitions_stand_still_and_seek_goes_back() {
    let kit = Kit::new();
    let topic = kit.topic(1);
    let tp = TopicPartition::new(topic.as_str(), 0);
    let mut consumer = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(unique("g"), [&topic])).unwrap();
    join(&mut consumer);
    consumer.pause(std::slice::from_ref(&tp)).unwrap();
    kit.send(&topic, None, &numbers(0..5));
    let paused = Instant::now();
    while paused.elapsed() < Duration::from_millis(700) {
        assert!(!matches!(consumer.poll(TURN).unwrap(), Polled::Record(_)), "paused");
    }
    consumer.resume(std::slice::from_ref(&tp)).unwrap();
    let five = |consumer: &mut Consumer| {
        let mut offsets = Vec::new();
        eventually(LONG, "five records", || {
            if let Polled::Record(record) = consumer.poll(TURN).unwrap() {
                offsets.push(record.offset);
            }
            (offsets.len() == 5).then_some(())
        });
        offsets
    };
    assert_eq!(five(&mut consumer), [0, 1, 2, 3, 4]);
    assert_eq!(consumer.position(&tp), Some(5));
    consumer.seek(&[(tp.clone(), 0)]).unwrap();
    assert_eq!(five(&mut consumer), [0, 1, 2, 3, 4]);
}

/// One turn: answers what the group says; the partitions that came or went, and whether they came.
fn answer(consumer: &mut Consumer) -> Option<(Vec<TopicPartition>, bool)> {
    match consumer.poll(TURN).unwrap() {
        Polled::Assigned(partitions) => {
            consumer.assign().unwrap();
            (!partitions.is_empty()).then_some((partitions, true))
        }
        Polled::Revoked(partitions) => {
            consumer.release().unwrap();
            Some((partitions, false))
        }
        _ => None,
    }
}

#[test]
fn a_partition_that_was_paused_when_it_went_is_read_when_it_comes_back() {
    let mut kit = Kit::new();
    if kit.kafka.group_protocol == GroupProtocol::Classic {
        kit.kafka.librdkafka.insert("partition.assignment.strategy".to_owned(), "cooperative-sticky".to_owned());
    }
    let (topic, group) = (kit.topic(2), unique("g"));
    let member = || Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&group, [&topic])).unwrap();
    let mut first = member();
    join(&mut first);
    let both: Vec<TopicPartition> = first.assigned().cloned().collect();
    first.pause(&both).unwrap();
    let mut second = member();
    let mut gone = None;
    eventually(LONG, "the second has what the first gave back", || {
        if let Some((partitions, false)) = answer(&mut first) {
            gone = partitions.first().cloned();
        }
        let came = matches!(answer(&mut second), Some((_, true)));
        (came && gone.is_some()).then_some(())
    });
    second.close().unwrap();
    eventually(LONG, "it comes back", || matches!(answer(&mut first), Some((_, true))).then_some(()));
    let gone = gone.unwrap();
    kit.send(&topic, Some(gone.partition), &numbers(0..1));
    eventually(LONG, "it is read", || {
        let polled = first.poll(TURN).unwrap();
        matches!(polled, Polled::Record(record) if record.partition == gone.partition).then_some(())
    });
}
