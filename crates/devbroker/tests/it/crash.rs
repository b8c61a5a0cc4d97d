//! The broker is killed: nothing it acknowledged is lost, nothing stands twice, and transactions end as decided.

use crate::{
    client::{
        LONG, TestProducer, committed, committed_offsets, consumer, create, fill, flush, producer, read_all, send,
        transactional, values, watermarks,
    },
    target::{eventually, real, unique},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    producer::Producer,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// A broker in a process of its own.
pub struct Process {
    child: Child,
    pub addr: String,
    pub log: PathBuf,
    /// The port is held by this listener between two lives, so that nobody else takes it.
    dir: PathBuf,
}

impl Process {
    pub fn start(dir: &Path, addr: &str) -> Process {
        Process::start_as(dir, addr, Command::new(env!("CARGO_BIN_EXE_devbroker")))
    }

    pub fn start_as(dir: &Path, addr: &str, mut command: Command) -> Process {
        let log = dir.with_extension("log");
        let stderr = OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut child = command.arg(dir).arg(addr).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addr = line.trim().to_owned();
        assert!(!addr.is_empty(), "it did not start: {}", std::fs::read_to_string(&log).unwrap());
        Process { child, addr, log, dir: dir.to_owned() }
    }

    /// SIGKILL.
    pub fn kill(mut self) -> (PathBuf, String) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.dir.clone(), self.addr.clone())
    }

    /// SIGKILL, and a new life on the same folder and port.
    pub fn killed(self) -> Process {
        let (dir, addr) = self.kill();
        Process::start(&dir, &addr)
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(&pid).status().unwrap().success());
        eventually(LONG, "a clean end", || self.child.try_wait().unwrap())
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn rss_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder for a process, or `None` where another broker is under test.
pub fn folder(what: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    if real().is_some() {
        eprintln!("skipped: {what} is for the embedded broker only");
        return None;
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    Some((dir, data))
}

const ANY: &str = "127.0.0.1:0";

fn acked(producer: &TestProducer) -> usize {
    producer.poll(Duration::ZERO);
    producer.context().acked.lock().unwrap().len()
}

/// Every acknowledged record stands where it was acknowledged, and every key once.
fn check_acked(producer: &TestProducer, addr: &str, topic: &str) {
    let records = committed(addr, topic);
    let places: BTreeMap<_, _> = records.iter().map(|r| ((r.partition, r.offset), r.key.clone().unwrap())).collect();
    for (partition, offset, key) in producer.context().acked.lock().unwrap().iter() {
        assert_eq!(places.get(&(*partition, *offset)), Some(key), "partition {partition} offset {offset}");
    }
    let keys: BTreeSet<_> = records.iter().map(|record| record.key.clone()).collect();
    assert_eq!(keys.len(), records.len(), "a record stands twice");
}

#[test]
fn killed_while_writing_it_loses_nothing_it_acknowledged() {
    let Some((_dir, data)) = folder("killing") else { return };
    let mut broker = Process::start(&data, ANY);
    let topic = unique("killed");
    create(&broker.addr, &topic, 3, &[("segment.bytes", "200000")]);
    let producer = producer(&broker.addr, &[("linger.ms", "1"), ("batch.num.messages", "50")]);
    let mut sent = 0;
    for round in 1..=3 {
        while acked(&producer) < round * 3000 {
            for _ in 0..100 {
                send(&producer, &topic, sent % 3, &format!("k{sent}"), "some value of a record");
                sent += 1;
            }
        }
        broker = broker.killed();
    }
    flush(&producer);
    assert_eq!(acked(&producer), sent as usize);
    check_acked(&producer, &broker.addr, &topic);
    assert_eq!(committed(&broker.addr, &topic).len(), sent as usize);
}

#[test]
fn a_half_written_batch_is_cut_off() {
    let Some((_dir, data)) = folder("killing") else { return };
    let broker = Process::start(&data, ANY);
    let topic = unique("torn");
    create(&broker.addr, &topic, 1, &[]);
    let producer = producer(&broker.addr, &[]);
    for n in 0..50 {
        send(&producer, &topic, 0, &format!("k{n}"), "v");
    }
    flush(&producer);
    let (dir, addr) = broker.kill();
    // The first half of what stands there, once more.
    let folder = std::fs::read_dir(dir.join("topics")).unwrap().next().unwrap().unwrap().path();
    let file = folder.join("0").join(format!("{:020}.log", 0));
    let bytes = std::fs::read(&file).unwrap();
    OpenOptions::new().append(true).open(&file).unwrap().write_all(&bytes[..bytes.len() / 2]).unwrap();
    let broker = Process::start(&dir, &addr);
    send(&producer, &topic, 0, "k50", "v");
    flush(&producer);
    check_acked(&producer, &broker.addr, &topic);
    assert_eq!(watermarks(&broker.addr, &topic, 0), (0, 51));
    assert!(std::fs::read_to_string(&broker.log).unwrap().contains("cut off a torn end"));
}

#[test]
fn killed_with_an_open_transaction_it_lets_the_producer_go_on() {
    let Some((_dir, data)) = folder("killing") else { return };
    let mut broker = Process::start(&data, ANY);
    let topic = unique("open");
    create(&broker.addr, &topic, 1, &[]);
    let producer = transactional(&broker.addr, "tx", "30000");
    for round in 0..3 {
        // Producer and epoch are the same each time: only the transaction tells what is committed.
        producer.begin_transaction().unwrap();
        send(&producer, &topic, 0, "k", &format!("{round} before"));
        flush(&producer);
        broker = broker.killed();
        assert_eq!(committed(&broker.addr, &topic).len(), if round == 2 { 2 } else { round * 2 });
        send(&producer, &topic, 0, "k", &format!("{round} after"));
        if round == 1 {
            flush(&producer);
            producer.abort_transaction(LONG).unwrap();
        } else {
            producer.commit_transaction(LONG).unwrap();
        }
        broker = broker.killed();
    }
    assert_eq!(values(&committed(&broker.addr, &topic)), ["0 before", "0 after", "2 before", "2 after"]);
}

#[test]
fn killed_with_an_open_transaction_it_rolls_back_for_the_next_producer() {
    let Some((_dir, data)) = folder("killing") else { return };
    let broker = Process::start(&data, ANY);
    let (topic, group) = (unique("next"), unique("next-group"));
    create(&broker.addr, &topic, 1, &[]);
    let reader = consumer(&broker.addr, &group, &[]);
    reader.subscribe(&[&topic]).unwrap();
    eventually(LONG, "it is a member", || {
        let _ = reader.poll(Duration::from_millis(20));
        (reader.assignment().unwrap().count() == 1).then_some(())
    });
    let old = transactional(&broker.addr, "tx", "30000");
    let offsets = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(offset)).unwrap();
        list
    };
    old.begin_transaction().unwrap();
    send(&old, &topic, 0, "k", "committed");
    old.send_offsets_to_transaction(&offsets(1), &reader.group_metadata().unwrap(), LONG).unwrap();
    old.commit_transaction(LONG).unwrap();
    old.begin_transaction().unwrap();
    send(&old, &topic, 0, "k", "open");
    flush(&old);
    old.send_offsets_to_transaction(&offsets(2), &reader.group_metadata().unwrap(), LONG).unwrap();
    let broker = broker.killed();
    assert_eq!(read_all(&broker.addr, &topic, "read_uncommitted").len(), 2);
    let new = transactional(&broker.addr, "tx", "30000");
    new.begin_transaction().unwrap();
    send(&new, &topic, 0, "k", "of the next");
    new.commit_transaction(LONG).unwrap();
    old.commit_transaction(LONG).expect_err("the old producer committed");
    assert_eq!(values(&committed(&broker.addr, &topic)), ["committed", "of the next"]);
    assert_eq!(committed_offsets(&broker.addr, &group, &topic, 1), [Some(1)]);
}

#[test]
fn killed_it_remembers_what_groups_committed() {
    let Some((_dir, data)) = folder("killing") else { return };
    let mut broker = Process::start(&data, ANY);
    let (topic, group) = (unique("remembered"), unique("remembered-group"));
    create(&broker.addr, &topic, 1, &[]);
    fill(&broker.addr, &topic, 0, 0..5);
    for offset in 1..=3 {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(offset)).unwrap();
        consumer(&broker.addr, &group, &[]).commit(&list, CommitMode::Sync).unwrap();
        broker = broker.killed();
        assert_eq!(committed_offsets(&broker.addr, &group, &topic, 1), [Some(offset)]);
    }
}

#[test]
fn a_consumer_in_a_group_outlives_the_kill() {
    let Some((_dir, data)) = folder("killing") else { return };
    let broker = Process::start(&data, ANY);
    let (topic, group) = (unique("outlives"), unique("outlives-group"));
    create(&broker.addr, &topic, 1, &[]);
    fill(&broker.addr, &topic, 0, 0..5);
    let reader = consumer(&broker.addr, &group, &[]);
    reader.subscribe(&[&topic]).unwrap();
    let mut seen = BTreeSet::new();
    let mut read = |want: usize| {
        eventually(LONG, "all records are read", || {
            if let Some(Ok(message)) = reader.poll(Duration::from_millis(50)) {
                seen.insert(rdkafka::Message::offset(&message));
            }
            (seen.len() == want).then_some(())
        });
    };
    read(5);
    reader.commit_consumer_state(CommitMode::Sync).unwrap();
    let broker = broker.killed();
    fill(&broker.addr, &topic, 0, 5..10);
    read(10);
}

#[test]
fn terminated_it_ends_cleanly_and_soon() {
    let Some((_dir, data)) = folder("terminating") else { return };
    let broker = Process::start(&data, ANY);
    let topic = unique("ended");
    create(&broker.addr, &topic, 1, &[]);
    // Someone who waits for records must not hold it up.
    let reader = consumer(&broker.addr, "waiting", &[("fetch.wait.max.ms", "20000")]);
    reader.subscribe(&[&topic]).unwrap();
    let _ = reader.poll(Duration::from_millis(300));
    let start = std::time::Instant::now();
    assert!(broker.terminate().success());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    drop(File::open(data.join("lock")).unwrap());
}
