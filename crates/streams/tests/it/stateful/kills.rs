//! Processes that die and processes that sleep. They are this test binary, started again as [`child`].

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use streams::Outgoing;
use streams::stateful::{self, Settings};
use testkit::{Brokers, eventually, set_session, signal};

use super::sum::Sum;
use super::{Running, Topics, assert_exactly_once};
use crate::kit::{Kit, LONG, env, numbers, session_ms};

/// Sends numbers, a few thousand a second, until it is stopped.
pub struct Feeder {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Feeder {
    pub fn start(kit: &Kit, topic: &str) -> Feeder {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, producer, topic) = (stop.clone(), kit.producer(), topic.to_owned());
        let thread = std::thread::spawn(move || {
            let mut sent = 0;
            while !stopped.load(Ordering::SeqCst) {
                for (key, value) in numbers(sent..sent + 10) {
                    let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
                    producer.send(&Outgoing { topic: &topic, key, value, ..Outgoing::default() }).unwrap();
                }
                sent += 10;
                std::thread::sleep(Duration::from_millis(3));
            }
            producer.flush(LONG).unwrap();
            sent
        });
        Feeder { stop, thread }
    }

    pub fn stop(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

/// Not a test of its own: what the tests below start as a process of its own.
#[test]
fn child() {
    let Ok(text) = std::env::var("FINFLOW_TEST_STAGE") else { return };
    crate::kit::show_logs();
    let words: Vec<&str> = text.split(' ').collect();
    let [brokers, session_ms, group, input, changelog, output, dead_letters, process] = words[..] else {
        panic!("{text}")
    };
    let mut kafka = Brokers::at(brokers).config();
    set_session(&mut kafka, session_ms.parse().unwrap());
    let settings = Settings {
        outputs: vec![output.to_owned()],
        dead_letters: dead_letters.to_owned(),
        transactional_id: format!("{group}-{process}"),
        // Who dies or sleeps in the middle of a transaction holds the next owner up for so long.
        transaction_timeout: Duration::from_secs(2),
        ..Settings::new(group, input, changelog)
    };
    stateful::run(&env(), &kafka, &settings, &mut Sum::new(output)).unwrap();
}

fn spawn(kit: &Kit, topics: &Topics, process: &str) -> Child {
    let Topics { input, changelog, output, dead_letters, group } = topics;
    let session_ms = session_ms(kit.brokers.is_embedded()).to_string();
    let stage: [&str; 8] = [&kit.brokers.addr, &session_ms, group, input, changelog, output, dead_letters, process];
    Command::new(std::env::current_exe().unwrap())
        .args(["stateful::kills::child", "--exact"])
        .env("FINFLOW_TEST_STAGE", stage.join(" "))
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Waits until the output has grown by at least one record.
fn until_it_grows(kit: &Kit, topics: &Topics) {
    let end = || kit.admin().watermarks(&topics.output).unwrap().iter().map(|(_, high)| high).sum::<i64>();
    let before = end();
    eventually(LONG, "the output grows", || (end() > before).then_some(()));
}

#[test]
fn killed_at_any_moment_it_counts_everything_once() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 3);
    let feeding = Feeder::start(&kit, &topics.input);
    // More with `FINFLOW_TEST_KILLS=100`: each costs a session timeout.
    let kills = std::env::var("FINFLOW_TEST_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    for n in 0..kills {
        let mut child = spawn(&kit, &topics, "1");
        until_it_grows(&kit, &topics);
        // Somewhere in the middle of folding, writing, committing.
        let unlucky = Instant::now() + Duration::from_micros(100_000 + 7_919 * n % 50_000);
        while Instant::now() < unlucky {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let sent = feeding.stop();
    let ledger = Running::start(&kit, &topics, "1").drain();
    assert!(ledger.outcomes().folded < sent, "the killed ones have done some of it");
    assert_exactly_once(&kit, &topics);
}

#[test]
fn a_sleeper_that_wakes_up_writes_nothing_for_what_it_has_lost() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    let feeding = Feeder::start(&kit, &topics.input);
    let mut sleeper = spawn(&kit, &topics, "sleeper");
    until_it_grows(&kit, &topics);
    signal(&sleeper, "STOP");
    let heir = Running::start(&kit, &topics, "heir");
    let has = |n: usize| {
        let text = heir.env.metrics.render();
        text.contains(&format!("consumer_assigned_partitions {n}\n")).then_some(())
    };
    eventually(LONG, "the heir has all", || has(2));
    until_it_grows(&kit, &topics);
    signal(&sleeper, "CONT");
    // It finds itself thrown out, joins again and gets a part.
    eventually(LONG, "the sleeper is back", || has(1));
    until_it_grows(&kit, &topics);
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    eventually(LONG, "the heir has all again", || has(2));
    feeding.stop();
    heir.drain();
    assert_exactly_once(&kit, &topics);
}

/// The broker is away for longer than sessions and transactions live, under a steady stream.
fn outage(after: impl FnOnce(&Kit, &Topics)) {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let start = |addr| runtime.block_on(devbroker::Broker::start(devbroker::Options::new(dir.path(), addr))).unwrap();
    let broker = start("127.0.0.1:0".parse().unwrap());
    let addr = broker.addr();
    let kit = Kit::on(&addr.to_string());
    let topics = Topics::new(&kit, 2);
    let mut settings = topics.settings("1");
    settings.transaction_timeout = Duration::from_secs(2);
    let running = Running::start_with(&kit, &topics, settings);
    let feeding = Feeder::start(&kit, &topics.input);
    until_it_grows(&kit, &topics);
    runtime.block_on(broker.stop());
    std::thread::sleep(Duration::from_secs(9));
    let broker = start(addr);
    after(&kit, &topics);
    feeding.stop();
    running.drain();
    assert_exactly_once(&kit, &topics);
    runtime.block_on(broker.stop());
}

#[test]
fn an_outage_costs_time_and_nothing_else() {
    outage(until_it_grows);
}

/// The group takes everything away and gives it back: between the two there is nothing to do, and yet no end.
#[test]
fn an_end_that_is_asked_for_right_after_an_outage_is_the_true_end() {
    outage(|_, _| ());
}

#[test]
fn two_processes_of_one_transactional_id_are_told_so() {
    let kit = Kit::new();
    let topics = Topics::new(&kit, 2);
    let feeding = Feeder::start(&kit, &topics.input);
    let (one, two) = (Running::start(&kit, &topics, "same"), Running::start(&kit, &topics, "same"));
    eventually(LONG, "one of them gives up", || (one.has_ended() || two.has_ended()).then_some(()));
    let told = [one.end(), two.end()].into_iter().find_map(Result::err).expect("the one that gave up says why");
    assert!(format!("{told:#}").contains("another process use the same transactional id"), "{told:#}");
    feeding.stop();
    Running::start(&kit, &topics, "same").drain();
    assert_exactly_once(&kit, &topics);
}
