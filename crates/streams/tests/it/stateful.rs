//! The transactional stage: exactly once through kills, rebalances, sleepers and aborts; refused where it cannot be.

mod kills;
mod refusals;
mod repartition;
pub mod sum;

use std::time::Duration;

use harness::Shutdown;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use streams::stateful::{self, Counts, Ledger, Settings};
use streams::{Env, OwnedRecord};
use testkit::{eventually, set_session, unique};

use crate::kit::{Kit, LONG, env, numbers};
use sum::Sum;

/// The topics of one stage.
pub struct Topics {
    pub input: String,
    pub changelog: String,
    pub output: String,
    pub dead_letters: String,
    pub group: String,
}

impl Topics {
    pub fn new(kit: &Kit, partitions: i32) -> Topics {
        Topics {
            input: kit.topic(partitions),
            changelog: kit.compacted(partitions),
            output: kit.topic(partitions),
            dead_letters: kit.topic(1),
            group: unique("sum"),
        }
    }

    pub fn settings(&self, process: &str) -> Settings {
        Settings {
            outputs: vec![self.output.clone()],
            dead_letters: self.dead_letters.clone(),
            reasons: vec!["not_a_number"],
            transactional_id: format!("{}-{process}", self.group),
            ..Settings::new(&self.group, &self.input, &self.changelog)
        }
    }
}

/// Runs until everything that is there now is folded.
fn drain(kit: &Kit, topics: &Topics) -> anyhow::Result<Ledger> {
    let env = env();
    env.drain.set();
    stateful::run(&env, &kit.kafka, &topics.settings("drain"), &mut Sum::new(&topics.output))
}

/// A stage on a thread of its own.
pub struct Running {
    pub env: Env,
    thread: std::thread::JoinHandle<anyhow::Result<Ledger>>,
}

impl Running {
    pub fn start(kit: &Kit, topics: &Topics, process: &str) -> Running {
        Running::start_with(kit, topics, topics.settings(process))
    }

    pub fn start_with(kit: &Kit, topics: &Topics, settings: Settings) -> Running {
        let (env, kafka) = (env(), kit.kafka.clone());
        let mut stage = Sum::new(&topics.output);
        stage.caught_up = Some(env.metrics.gauge("sum_caught_up", "For this test."));
        let inner = env.clone();
        let thread = std::thread::spawn(move || {
            let result = stateful::run(&inner, &kafka, &settings, &mut stage);
            if let Err(error) = &result {
                eprintln!("the stage ended: {error:#}");
            }
            result
        });
        Running { env, thread }
    }

    pub fn stop(self) -> Ledger {
        self.env.shutdown.trigger("test");
        self.thread.join().unwrap().unwrap()
    }

    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// How it ended, by itself or stopped.
    pub fn end(self) -> anyhow::Result<Ledger> {
        self.env.shutdown.trigger("test");
        self.thread.join().unwrap()
    }

    pub fn drain(self) -> Ledger {
        self.env.drain.set();
        self.thread.join().unwrap().unwrap()
    }
}

/// What the stage must have written, by its own definition, for the records of one input partition in order.
pub fn expected(input: &[OwnedRecord]) -> Vec<(String, String)> {
    let mut sums: std::collections::BTreeMap<String, (u64, u64)> = Default::default();
    let mut all = Vec::new();
    for record in input {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        let Ok(value) = String::from_utf8(record.value.clone().unwrap()).unwrap().parse::<u64>() else { continue };
        let (count, sum) = sums.entry(key.clone()).or_default();
        (*count, *sum) = (*count + 1, *sum + value);
        all.push((key, format!("{count} {sum}")));
    }
    all
}

/// The output holds exactly one record for each input record, in order per key.
pub fn assert_exactly_once(kit: &Kit, topics: &Topics) {
    let by_key = |all: Vec<(String, String)>| {
        let mut map: std::collections::BTreeMap<String, Vec<String>> = Default::default();
        for (key, value) in all {
            map.entry(key).or_default().push(value);
        }
        map
    };
    let expected = by_key(kit.read(&topics.input).values().flat_map(|records| expected(records)).collect());
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    let found = kit.read(&topics.output).into_values().flatten();
    let found = by_key(found.map(|record| (text(record.key), text(record.value))).collect());
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, expected) in expected {
        let found = &found[&key];
        let differs = expected.iter().zip(found).position(|(expected, found)| expected != found);
        if let Some(at) = differs {
            panic!("{key}: number {at} is {:?}, expected {:?}", found[at], expected[at]);
        }
        assert_eq!(found.len(), expected.len(), "{key}");
    }
}

#[test]
fn drains_what_is_there_and_goes_on_where_it_stopped() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 3);
    kit.send(&topics.input, None, &numbers(0..1_000));
    let first = drain(&kit, &topics).unwrap();
    assert_eq!(first.outcomes(), Counts { folded: 1_000, ..Counts::default() });
    assert_eq!(first.emitted[&topics.output], 1_000);
    let again = drain(&kit, &topics).unwrap();
    assert_eq!(again.outcomes(), Counts::default(), "nothing is left");
    kit.send(&topics.input, None, &numbers(1_000..1_500));
    kit.send(&topics.input, Some(0), &[("S1".to_owned(), "not a number".to_owned())]);
    let last = drain(&kit, &topics).unwrap();
    assert_eq!(last.outcomes(), Counts { folded: 500, invalid: 1, ..Counts::default() });
    assert_eq!(last.dead_letters["not_a_number"], 1);
    assert_eq!(kit.count(&topics.dead_letters), 1);
    assert_exactly_once(&kit, &topics);
    // The position is true: what is committed is what is folded.
    let ends: i64 = kit.admin().watermarks(&topics.input).unwrap().iter().map(|(_, high)| high).sum();
    let committed = kit.admin().committed(&topics.group, &topics.input).unwrap();
    assert_eq!(committed.iter().map(|offset| offset.unwrap_or(0)).sum::<i64>(), ends);
}

/// The one that comes later is given nothing at first, and what the other gives up for it is nobody's for a moment.
#[test]
fn two_that_end_with_the_input_leave_nothing_of_it() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 6);
    kit.send(&topics.input, None, &numbers(0..4_000));
    let small = |process: &str| Settings { commit_records: 5, ..topics.settings(process) };
    let both = ["1", "2"].map(|process| Running::start_with(&kit, &topics, small(process)));
    both.iter().for_each(|running| running.env.drain.set());
    let folded: u64 = both.map(|running| running.drain().outcomes().folded).iter().sum();
    assert_eq!(folded, 4_000);
    assert_exactly_once(&kit, &topics);
}

/// A process that is killed has committed what it folded, and not said what is only said at the end: who stops at the end does.
#[test]
fn who_stops_at_the_end_says_what_others_have_not() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 4);
    let shows = |running: &Running, line: &str| running.env.metrics.render().contains(line).then_some(());
    let (first, heir) = (Running::start(&kit, &topics, "1"), Running::start(&kit, &topics, "2"));
    let half = "consumer_assigned_partitions 2\n";
    eventually(LONG, "both have half", || shows(&first, half).and(shows(&heir, half)));
    kit.send(&topics.input, None, &numbers(0..1_000));
    eventually(LONG, "all is folded", || (kit.count(&topics.output) == 1_000).then_some(()));
    let transactions = || {
        let text = heir.env.metrics.render();
        let line = text.lines().find(|line| line.contains("transactions_total{result=\"committed\"}"));
        line.and_then(|line| line.rsplit_once(' ')).map(|(_, count)| count.to_owned())
    };
    let before = transactions();
    heir.env.drain.set();
    eventually(LONG, "the heir has ended its half", || (transactions() != before).then_some(()));
    first.stop();
    let ended: Vec<i32> = heir.drain().consumed.into_keys().collect();
    let filled = kit.read(&topics.input).into_iter().filter(|(_, records)| !records.is_empty());
    assert_eq!(ended, filled.map(|(partition, _)| partition).collect::<Vec<_>>());
}

#[test]
fn an_empty_input_is_drained_at_once() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    assert_eq!(drain(&kit, &topics).unwrap(), Ledger::default());
}

#[test]
fn members_come_and_go_while_records_flow() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 4);
    let feeding = kills::Feeder::start(&kit, &topics.input);
    let has = |running: &Running, n: usize| {
        let text = running.env.metrics.render();
        text.contains(&format!("consumer_assigned_partitions {n}\n")).then_some(())
    };
    let first = Running::start(&kit, &topics, "1");
    eventually(LONG, "the first has all", || has(&first, 4));
    let second = Running::start(&kit, &topics, "2");
    eventually(LONG, "both have half", || has(&first, 2).and(has(&second, 2)));
    let third = Running::start(&kit, &topics, "3");
    eventually(LONG, "the third has one", || has(&third, 1));
    first.stop();
    eventually(LONG, "two are left", || has(&second, 2).and(has(&third, 2)));
    second.stop();
    eventually(LONG, "one is left", || has(&third, 4));
    feeding.stop();
    let ledger = third.drain();
    assert!(ledger.outcomes().folded > 0);
    assert_exactly_once(&kit, &topics);
}

#[test]
fn a_stage_that_stops_leaves_the_group_at_once() {
    let mut kit = Kit::new();
    set_session(&mut kit.kafka, 30_000);
    let topics = Topics::new(&kit, 4);
    let has = |running: &Running, n: usize| {
        let text = running.env.metrics.render();
        text.contains(&format!("consumer_assigned_partitions {n}\n")).then_some(())
    };
    let first = Running::start(&kit, &topics, "1");
    eventually(LONG, "the first has all", || has(&first, 4));
    let heir = Running::start(&kit, &topics, "2");
    eventually(LONG, "both have half", || has(&first, 2).and(has(&heir, 2)));
    let stopped = std::time::Instant::now();
    first.stop();
    eventually(Duration::from_secs(5).saturating_sub(stopped.elapsed()), "the heir has all", || has(&heir, 4));
    heir.stop();
}

#[test]
fn records_of_an_aborted_transaction_are_never_seen() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 1);
    let upstream = transactional(&kit);
    for (value, commit) in [("1", true), ("10", false), ("100", true), ("1000", false)] {
        upstream.begin_transaction().unwrap();
        upstream.send(BaseRecord::to(&topics.input).key("A").payload(value)).map_err(|(e, _)| e).unwrap();
        match commit {
            true => upstream.commit_transaction(LONG).unwrap(),
            false => {
                upstream.flush(LONG).unwrap();
                upstream.abort_transaction(LONG).unwrap();
            }
        }
    }
    assert_eq!(drain(&kit, &topics).unwrap().outcomes().folded, 2);
    let values: Vec<String> = expected(&kit.read(&topics.input)[&0]).into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["1 1", "2 101"]);
    assert_exactly_once(&kit, &topics);
}

#[test]
fn the_clock_may_close_nothing_while_a_transaction_upstream_is_open() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 1);
    let running = Running::start(&kit, &topics, "1");
    let caught_up = || running.env.metrics.gauge("sum_caught_up", "For this test.").get();
    eventually(LONG, "caught up with nothing", || (caught_up() == 0).then_some(()));
    kit.send(&topics.input, None, &numbers(0..1));
    eventually(LONG, "caught up with one record", || (caught_up() == 1).then_some(()));
    let upstream = transactional(&kit);
    upstream.begin_transaction().unwrap();
    upstream.send(BaseRecord::to(&topics.input).key("A").payload("5")).map_err(|(e, _)| e).unwrap();
    upstream.flush(LONG).unwrap();
    // The record is in the log and may yet be committed: it is before every end there is. A tick that was on its way
    // may still say otherwise; after that none may.
    std::thread::sleep(Duration::from_millis(700));
    running.env.metrics.gauge("sum_caught_up", "For this test.").set(-7);
    std::thread::sleep(Duration::from_millis(1_500));
    assert_eq!(caught_up(), -7, "caught up, with a transaction open");
    let undecided = || {
        let text = running.env.metrics.render();
        let line = text.lines().find(|line| line.starts_with("finflow_test_input_undecided_seconds "));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).expect("a gauge")
    };
    assert!(undecided() > 1.0, "nobody is told of it");
    upstream.commit_transaction(LONG).unwrap();
    eventually(LONG, "caught up again", || (caught_up() == 2).then_some(()));
    eventually(LONG, "nothing hides the end", || (undecided() == 0.0).then_some(()));
    running.stop();
    assert_exactly_once(&kit, &topics);
}

#[test]
fn a_record_is_committed_at_once_when_there_is_no_backlog() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 1);
    let running = Running::start(&kit, &topics, "1");
    kit.send(&topics.input, None, &numbers(0..1));
    eventually(LONG, "the first result", || (kit.count(&topics.output) == 1).then_some(()));
    let mut reader = kit.reader();
    reader.assign(&[(streams::TopicPartition::new(topics.output.as_str(), 0), 2)]).unwrap();
    let producer = kit.producer();
    let mut times = Vec::new();
    for (key, value) in numbers(1..41) {
        let out = streams::Outgoing { topic: &topics.input, ..Default::default() };
        let sent = std::time::Instant::now();
        producer.send(&streams::Outgoing { key: Some(key.as_bytes()), value: Some(value.as_bytes()), ..out }).unwrap();
        while !matches!(reader.poll(Duration::from_millis(100)).unwrap(), streams::Polled::Record(_)) {
            assert!(sent.elapsed() < LONG, "no result");
        }
        times.push(sent.elapsed());
    }
    times.sort_unstable();
    eprintln!("produce to visible: median {:?}, worst {:?}", times[20], times[39]);
    assert!(times[20] < Duration::from_millis(200), "{times:?}");
    running.stop();
}

#[test]
fn a_stop_while_the_state_is_read_back_commits_nothing_of_it() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 1);
    kit.send(&topics.input, None, &numbers(0..100));
    let running = Running::start(&kit, &topics, "1");
    eventually(LONG, "the first results", || (kit.count(&topics.output) == 100).then_some(()));
    // What this one leaves open keeps the state from being read back.
    let holder = transactional(&kit);
    holder.begin_transaction().unwrap();
    holder.send(BaseRecord::to(&topics.changelog).partition(0).key("x").payload("x")).map_err(|(e, _)| e).unwrap();
    holder.flush(LONG).unwrap();
    transactional_as(&kit, &topics.settings("1").transactional_id);
    kit.send(&topics.input, None, &numbers(100..200));
    eventually(LONG, "the stage is shut out in the middle of a batch", || {
        running.env.metrics.render().contains("result=\"unknown\"} 1\n").then_some(())
    });
    running.stop();
    holder.abort_transaction(LONG).unwrap();
    assert_eq!(Running::start(&kit, &topics, "2").drain().outcomes().folded, 100);
    assert_exactly_once(&kit, &topics);
}

pub fn transactional(kit: &Kit) -> BaseProducer {
    transactional_as(kit, &unique("upstream"))
}

fn transactional_as(kit: &Kit, id: &str) -> BaseProducer {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", &kit.brokers.addr).set("transactional.id", id);
    let producer: BaseProducer = config.create().unwrap();
    producer.init_transactions(LONG).unwrap();
    producer
}

#[test]
fn without_its_topics_the_stage_waits_and_can_be_stopped() {
    let kit = Kit::new();
    let env = Env::standalone("test", &Shutdown::new());
    let missing = unique("missing");
    let settings = Settings::new("g", &missing, unique("c"));
    let (kafka, inner) = (kit.kafka.clone(), env.clone());
    let thread = std::thread::spawn(move || stateful::run(&inner, &kafka, &settings, &mut Sum::new("o")));
    eventually(LONG, "health names it", || format!("{:?}", env.health.report()).contains(&missing).then_some(()));
    env.shutdown.trigger("test");
    assert_eq!(thread.join().unwrap().unwrap(), Ledger::default());
}
