//! An alien as large as Kafka lets it be stops no stage, however little the dead-letter topic takes.

use streams::stateful::{self, Counts, Settings};
use streams::{DeadLetters, OwnedRecord, dead_letter, topic};
use testkit::{eventually, unique};

use crate::kit::{Kit, LONG, env};
use crate::stateful::sum::Sum;
use crate::stateful::{Running, Topics};

/// Just under what a topic takes by default, and over what librdkafka sends by default.
const LARGE: usize = 1_040_000;
/// What the smaller dead-letter topic takes.
const LITTLE: usize = 300_000;

/// Text that no codec makes much smaller: brokers measure what is compressed.
fn alien(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        b'!' + (state >> 32) as u8 % 94
    };
    (0..size).map(|_| next()).collect()
}

/// Other people's producers are set as they like.
fn send_alien(kit: &Kit, topic: &str) {
    let value = String::from_utf8(alien(LARGE)).unwrap();
    let mut kafka = kit.kafka.clone();
    kafka.librdkafka.insert("message.max.bytes".to_owned(), "2000000".to_owned());
    let producer = streams::Producer::new(&kit.env, &kafka).unwrap();
    let (key, value) = (Some(&b"A"[..]), Some(value.as_bytes()));
    producer.send(&streams::Outgoing { topic, key, value, ..Default::default() }).unwrap();
    producer.flush(LONG).unwrap();
}

fn little(kit: &Kit) -> String {
    let name = unique("little");
    kit.admin().apply(&[topic::Spec::delete(&name, 1).largest(LITTLE)], 1).unwrap();
    name
}

fn letter(kit: &Kit, topic: &str) -> OwnedRecord {
    let mut letters = kit.read(topic).remove(&0).unwrap();
    assert_eq!(letters.len(), 1);
    letters.remove(0)
}

fn assert_whole(letter: &OwnedRecord) {
    assert!(letter.value.as_deref() == Some(&alien(LARGE)), "whole");
    assert_eq!(letter.as_record().header(dead_letter::SIZE), None);
}

fn assert_cut(letter: &OwnedRecord) {
    let value = letter.value.as_deref().unwrap();
    assert!(alien(LARGE).starts_with(value) && value.len() > LITTLE - 2_000, "{} bytes", value.len());
    assert_eq!(letter.as_record().header(dead_letter::SIZE), Some(LARGE.to_string().as_bytes()));
    assert_eq!(letter.key.as_deref(), Some(&b"A"[..]));
}

/// What the plain path makes of the alien.
fn plain(kit: &Kit, letters: &str) -> OwnedRecord {
    let producer = kit.producer();
    let dead_letters = DeadLetters::new(&kit.env, &producer, &["not_json"]).to_topic(letters);
    let record = OwnedRecord {
        topic: "in".to_owned(),
        key: Some(b"A".to_vec()),
        value: Some(alien(LARGE)),
        ..OwnedRecord::default()
    };
    dead_letters.send(&record.as_record(), "not_json", "an alien").unwrap();
    producer.flush(LONG).unwrap();
    letter(kit, letters)
}

/// What the transactional path makes of it; the stage goes on.
fn transactional(kit: &Kit, letters: Option<String>) -> OwnedRecord {
    let mut topics = Topics::new(kit, 1);
    topics.dead_letters = letters.unwrap_or(topics.dead_letters);
    send_alien(kit, &topics.input);
    kit.send(&topics.input, None, &[("A".to_owned(), "1".to_owned())]);
    let env = env();
    env.drain.set();
    let settings = Settings { commit_records: 1, ..topics.settings("large") };
    let ledger = stateful::run(&env, &kit.kafka, &settings, &mut Sum::new(&topics.output)).unwrap();
    assert_eq!(ledger.outcomes(), Counts { folded: 1, invalid: 1, ..Counts::default() });
    letter(kit, &topics.dead_letters)
}

#[test]
fn a_large_alien_is_a_whole_dead_letter() {
    let kit = Kit::new();
    assert_whole(&plain(&kit, &kit.topic(1)));
    assert_whole(&transactional(&kit, None));
}

#[test]
fn a_topic_that_takes_less_gets_the_first_of_it_and_its_size() {
    let kit = Kit::new();
    assert_cut(&plain(&kit, &little(&kit)));
    assert_cut(&transactional(&kit, Some(little(&kit))));
}

#[test]
fn a_producer_that_may_send_less_does_so_too() {
    let mut kit = Kit::new();
    kit.kafka.librdkafka.insert("message.max.bytes".to_owned(), LITTLE.to_string());
    assert_cut(&plain(&kit, &kit.topic(1)));
    assert_cut(&transactional(&kit, None));
}

/// A result that the broker refuses for its size would be refused for ever: the stage says so instead of trying on.
#[test]
fn a_result_that_its_topic_does_not_take_ends_the_stage() {
    let kit = Kit::new();
    let mut topics = Topics::new(&kit, 1);
    topics.output = unique("tiny");
    kit.admin().apply(&[topic::Spec::delete(&topics.output, 1).largest(60)], 1).unwrap();
    kit.send(&topics.input, None, &[("A".to_owned(), "1".to_owned())]);
    let running = Running::start(&kit, &topics, "tiny");
    eventually(LONG, "the stage ends", || running.has_ended().then_some(()));
    let error = running.end().unwrap_err().to_string();
    assert!(error.contains("larger than Kafka takes") && error.contains(&topics.output), "{error}");
}
