//! More partitions: nothing begins with state of another number, and the command carries it to where its records are.

use std::collections::BTreeMap;

use rdkafka::producer::{BaseRecord, Producer as _};
use streams::stateful::{self, Repartitioned, Settings};
use testkit::eventually;

use super::sum::Sum;
use super::{Running, Topics, drain, transactional_as};
use crate::admin::grow;
use crate::kit::{Kit, LONG, env, numbers};

fn repartition(kit: &Kit, topics: &Topics, to: i32) -> anyhow::Result<Repartitioned> {
    stateful::repartition(&env(), &kit.kafka, &topics.settings("1"), &mut Sum::new(&topics.output), to)
}

fn refusal<T: std::fmt::Debug>(result: anyhow::Result<T>, part: &str) {
    let error = format!("{:#}", result.expect_err(part));
    assert!(error.contains(part), "{error}");
}

/// Each key was counted and summed through, from the first number to `end`, whatever partition its records came from.
fn assert_went_on(kit: &Kit, topics: &Topics, end: u64) {
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sums: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (key, number) in numbers(0..end) {
        let (count, sum) = sums.entry(key.clone()).or_default();
        (*count, *sum) = (*count + 1, *sum + number.parse::<u64>().unwrap());
        expected.entry(key).or_default().push(format!("{count} {sum}"));
    }
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in kit.read(&topics.output).into_values().flatten() {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
        found.entry(text(record.key)).or_default().push(text(record.value));
    }
    assert_eq!(found, expected);
}

#[test]
fn three_become_six() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 3);
    kit.send(&topics.input, None, &numbers(0..300));
    drain(&kit, &topics).unwrap();
    // Placed by three, and folded by nobody before somebody lets the input grow; then placed by six.
    kit.send(&topics.input, None, &numbers(300..350));
    grow(&kit, &topics.input, 6);
    kit.send(&topics.input, None, &numbers(350..400));
    refusal(drain(&kit, &topics), "`finflow repartition test --partitions 6`");

    let done = repartition(&kit, &topics, 6).unwrap();
    assert_eq!((done.from, done.to, done.keys), (3, 6, 7));
    let moves = |n: u64| {
        let key = format!("S{n}");
        market::symbol::partition(key.as_bytes(), 3) != market::symbol::partition(key.as_bytes(), 6)
    };
    let moved = (0..7).filter(|n| moves(*n)).count() as u64;
    assert!(moved > 0, "else nothing is shown");
    assert_eq!(done.moved, moved);
    // Those of six that lie where they would have lain before are folded on the way.
    let stayed = (350..400).filter(|n| !moves(n % 7)).count() as u64;
    assert_eq!(done.folded, 50 + stayed);

    assert_eq!(drain(&kit, &topics).unwrap().outcomes().folded, 50 - stayed);
    assert_went_on(&kit, &topics, 400);
    kit.send(&topics.input, None, &numbers(400..500));
    assert_eq!(drain(&kit, &topics).unwrap().outcomes().folded, 100);
    assert_went_on(&kit, &topics, 500);

    let again = repartition(&kit, &topics, 6).unwrap();
    assert_eq!(again, Repartitioned { from: 6, to: 6, ..Repartitioned::default() }, "nothing is left to do");
    let rebuild = Settings { rebuild: true, ..topics.settings("1") };
    let env = env();
    env.drain.set();
    let rebuilt = stateful::run(&env, &kit.kafka, &rebuild, &mut Sum::new(&topics.output));
    refusal(rebuilt, "would fold them in two places");

    // And once more: what was moved is moved again.
    assert_eq!(repartition(&kit, &topics, 12).unwrap().from, 6);
    kit.send(&topics.input, None, &numbers(500..600));
    drain(&kit, &topics).unwrap();
    assert_went_on(&kit, &topics, 600);
}

/// It may stand in a file from some other day.
#[test]
fn a_rebuild_that_is_asked_for_throws_nothing_away() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    kit.send(&topics.input, None, &numbers(0..50));
    drain(&kit, &topics).unwrap();
    let settings = Settings { rebuild: true, ..topics.settings("1") };
    let done = stateful::repartition(&env(), &kit.kafka, &settings, &mut Sum::new(&topics.output), 4).unwrap();
    assert_eq!((done.folded, done.keys), (0, 7));
    kit.send(&topics.input, None, &numbers(50..100));
    drain(&kit, &topics).unwrap();
    assert_went_on(&kit, &topics, 100);
}

/// One that was killed after each of its steps, the last in the middle of its transaction.
#[test]
fn stopped_anywhere_it_is_run_again() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 3);
    kit.send(&topics.input, None, &numbers(0..300));
    drain(&kit, &topics).unwrap();
    kit.send(&topics.input, None, &numbers(300..350));
    grow(&kit, &topics.changelog, 6);
    refusal(drain(&kit, &topics), "`finflow repartition test --partitions 6`");
    grow(&kit, &topics.input, 6);
    refusal(drain(&kit, &topics), "`finflow repartition test --partitions 6`");
    let (only, env) = (Settings { only: Some(3), ..topics.settings("1") }, env());
    env.drain.set();
    let folded = stateful::run(&env, &kit.kafka, &only, &mut Sum::new(&topics.output)).unwrap();
    assert_eq!(folded.outcomes().folded, 50);
    refusal(drain(&kit, &topics), "`finflow repartition test --partitions 6`");
    let killed = transactional_as(&kit, &format!("{}-repartition", topics.group));
    killed.begin_transaction().unwrap();
    for partition in 0..6 {
        let record = BaseRecord::to(&topics.changelog).partition(partition).key("S1").payload("[1,2,3]");
        killed.send(record).map_err(|(error, _)| error).unwrap();
    }
    killed.flush(LONG).unwrap();

    let done = repartition(&kit, &topics, 6).unwrap();
    assert_eq!((done.from, done.to, done.folded, done.keys), (3, 6, 0, 7));
    drop(killed);
    kit.send(&topics.input, None, &numbers(350..500));
    drain(&kit, &topics).unwrap();
    assert_went_on(&kit, &topics, 500);
}

#[test]
fn topics_without_state_just_grow() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    repartition(&kit, &topics, 5).unwrap();
    let there = kit.admin().list().unwrap();
    assert_eq!((there[&topics.input], there[&topics.changelog]), (5, 5));
    kit.send(&topics.input, None, &numbers(0..50));
    drain(&kit, &topics).unwrap();
    assert_went_on(&kit, &topics, 50);
    refusal(repartition(&kit, &topics, 3), "has 5 partitions already");
}

/// Of two processes one may be given new partitions alone, where no mark says that anything is wrong.
#[test]
fn a_partition_without_state_does_not_hide_the_state_of_others() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 3);
    // All records of one key, so two partitions never hold anything.
    kit.send(&topics.input, None, &[("S1".to_owned(), "1".to_owned())]);
    drain(&kit, &topics).unwrap();
    grow(&kit, &topics.input, 4);
    grow(&kit, &topics.changelog, 4);
    refusal(drain(&kit, &topics), "holds the state of 3 partitions");
}

#[test]
fn nobody_may_be_at_work() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    kit.send(&topics.input, None, &numbers(0..20));
    let running = Running::start(&kit, &topics, "1");
    eventually(LONG, "all is folded", || (kit.count(&topics.output) == 20).then_some(()));
    refusal(repartition(&kit, &topics, 4), "has members: stop every process of test first");
    running.stop();
    repartition(&kit, &topics, 4).unwrap();
    kit.send(&topics.input, None, &numbers(20..60));
    drain(&kit, &topics).unwrap();
    assert_went_on(&kit, &topics, 60);
}

/// Long before the group hears of the new partitions the stage must know, since it would close windows whose records
/// lie there.
#[test]
fn a_stage_that_runs_notices_that_its_input_grows() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    kit.send(&topics.input, None, &numbers(0..20));
    let running = Running::start(&kit, &topics, "1");
    eventually(LONG, "all is folded", || (kit.count(&topics.output) == 20).then_some(()));
    grow(&kit, &topics.input, 3);
    eventually(LONG, "it has stopped", || running.has_ended().then_some(()));
    refusal(running.end(), "had 2 partitions and has 3 now");
}

/// The client reads on where the old topic ended, which says nothing: the new one may never get so long.
#[test]
fn a_stage_that_runs_notices_that_its_input_was_made_again() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    kit.send(&topics.input, None, &numbers(0..20));
    let running = Running::start(&kit, &topics, "1");
    eventually(LONG, "all is folded", || (kit.count(&topics.output) == 20).then_some(()));
    let admin = kit.brokers.admin();
    admin.delete(&topics.input).unwrap();
    eventually(LONG, "the topic is gone", || (!admin.list().unwrap().contains_key(&topics.input)).then_some(()));
    kit.brokers.create(&topics.input, 2);
    eventually(LONG, "it has stopped", || running.has_ended().then_some(()));
    refusal(running.end(), "was deleted and made again while it was read");
}

#[test]
fn records_that_are_not_placed_by_their_key_are_not_guessed_at() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    let elsewhere = 1 - market::symbol::partition(b"S1", 2);
    kit.send(&topics.input, Some(elsewhere), &[("S1".to_owned(), "1".to_owned())]);
    drain(&kit, &topics).unwrap();
    refusal(repartition(&kit, &topics, 4), "does not place records by key");
}
