//! Where state and position do not belong together the stage stops and says what to do, and writes nothing.

use streams::stateful::{self, Settings};
use streams::{Consumer, ConsumerOptions, TopicPartition};

use super::sum::Sum;
use super::{Topics, assert_exactly_once, drain};
use crate::admin::{delete, grow};
use crate::kit::{Kit, join, numbers};

fn folded(kit: &Kit, partitions: i32) -> Topics {
    let topics = Topics::new(kit, partitions);
    kit.send(&topics.input, None, &numbers(0..50));
    drain(kit, &topics).unwrap();
    topics
}

fn refused(kit: &Kit, topics: &Topics, part: &str) {
    let before = kit.count(&topics.output);
    let error = drain(kit, topics).expect_err(part);
    let text = format!("{error:#}");
    assert!(text.contains(part), "{text}");
    assert_eq!(kit.count(&topics.output), before, "refused, yet something was written");
}

#[test]
fn a_position_that_somebody_moved() {
    let kit = Kit::new();
    let topics = folded(&kit, 1);
    let mut other = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&topics.group, [&topics.input])).unwrap();
    join(&mut other);
    assert!(other.commit(&[(TopicPartition::new(topics.input.as_str(), 0), 20)]).unwrap());
    other.close().unwrap();
    refused(&kit, &topics, "somebody moved the group's position");
    // The way back that the message names.
    let mut other = Consumer::new(&kit.env, &kit.kafka, ConsumerOptions::new(&topics.group, [&topics.input])).unwrap();
    join(&mut other);
    assert!(other.commit(&[(TopicPartition::new(topics.input.as_str(), 0), 50)]).unwrap());
    other.close().unwrap();
    drain(&kit, &topics).unwrap();
}

#[test]
fn another_group_on_the_same_state() {
    let kit = Kit::new();
    let mut topics = folded(&kit, 1);
    topics.group = testkit::unique("other");
    refused(&kit, &topics, "give each its own changelog topic");
}

#[test]
fn state_that_is_gone() {
    let kit = Kit::new();
    let mut topics = folded(&kit, 1);
    topics.changelog = kit.compacted(1);
    refused(&kit, &topics, "holds no state for it");
}

#[test]
fn a_changelog_that_would_be_deleted_by_age() {
    let kit = Kit::new();
    let mut topics = Topics::new(&kit, 1);
    topics.changelog = kit.topic(1);
    refused(&kit, &topics, "cleanup.policy=delete");
}

#[test]
fn an_input_that_was_made_again() {
    let kit = Kit::new();
    let topics = folded(&kit, 1);
    delete(&kit, &topics.input);
    kit.brokers.create(&topics.input, 1);
    let error = format!("{:#}", drain(&kit, &topics).unwrap_err());
    // Deleting a topic deletes the positions in it, sooner or later: either is refused.
    assert!(error.contains("was deleted and made again"), "{error}");
}

#[test]
fn an_input_that_has_grown() {
    let kit = Kit::new();
    let topics = folded(&kit, 2);
    grow(&kit, &topics.input, 3);
    refused(&kit, &topics, "must have as many as each other");
    grow(&kit, &topics.changelog, 3);
    refused(&kit, &topics, "holds the state of 2 partitions");
}

#[test]
fn state_of_another_layout() {
    let kit = Kit::new();
    let topics = folded(&kit, 1);
    let env = crate::kit::env();
    env.drain.set();
    let mut stage = Sum { layout: 2, ..Sum::new(&topics.output) };
    let error = stateful::run(&env, &kit.kafka, &topics.settings("1"), &mut stage).unwrap_err();
    assert!(format!("{error:#}").contains("has the form 1.1, this program reads 1.2"), "{error:#}");
}

#[test]
fn a_rebuild_throws_the_state_away_and_folds_from_the_start() {
    let kit = Kit::new();
    let topics = folded(&kit, 2);
    kit.send(&topics.input, None, &numbers(50..60));
    let env = crate::kit::env();
    env.drain.set();
    let fresh = Topics { output: kit.topic(2), ..topics };
    let settings = Settings { rebuild: true, ..fresh.settings("drain") };
    let ledger = stateful::run(&env, &kit.kafka, &settings, &mut Sum::new(&fresh.output)).unwrap();
    assert_eq!(ledger.outcomes().folded, 60, "all of it, again");
    assert_exactly_once(&kit, &fresh);
    kit.send(&fresh.input, None, &numbers(60..65));
    assert_eq!(drain(&kit, &fresh).unwrap().outcomes().folded, 5, "and goes on from there");
    assert_exactly_once(&kit, &fresh);
}
