//! What goes in comes out in order, once, or is said to be lost; in memory there is never more than allowed.

use market::{Event, Trade};
use proptest::prelude::*;

use super::*;
use crate::position::Position;
use crate::sources::Bad;

fn trade(id: u64) -> Entry {
    let event = Event::Trade(Trade {
        venue: "V".to_owned(),
        symbol: "A".to_owned(),
        trade_id: Some(id.to_string()),
        price: "1.5".parse().unwrap(),
        quantity: "2".parse().unwrap(),
        side: None,
        conditions: vec!["@".to_owned()],
        event_time: i64::try_from(id).unwrap() * 1_000,
        receive_time: Some(7),
        backfilled: false,
    });
    Entry { feed: 3, position: Position { pass: 9, line: id, sub: 1 }, item: Item::Event(event) }
}

fn counter() -> IntCounter {
    harness::Registry::new("test").counter("x_total", "x")
}

/// The ids that come out, and those of gaps as pairs.
#[derive(Debug, PartialEq)]
enum Out {
    Trade(u64),
    Gap(u64, u64),
}

fn taken(queue: &Queue, out: &mut Vec<Out>) -> bool {
    let mut batch = VecDeque::new();
    let more = queue.take(&mut batch, Duration::ZERO);
    for entry in batch {
        let number = |text: &Option<String>| text.as_ref().unwrap().parse().unwrap();
        out.push(match entry.item {
            Item::Event(Event::Trade(trade)) => Out::Trade(number(&trade.trade_id)),
            Item::Event(Event::Gap(gap)) => Out::Gap(number(&gap.first_missing), number(&gap.last_missing)),
            other => panic!("{other:?}"),
        });
    }
    more
}

fn folder(dir: &tempfile::TempDir, most: u64) -> Option<Folder> {
    Some(Folder::open(dir.path(), most).unwrap())
}

fn files(dir: &tempfile::TempDir) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path());
    let mut files: Vec<_> = all.filter(|path| path.to_string_lossy().contains("spill-")).collect();
    files.sort();
    files
}

#[test]
fn an_entry_of_each_kind_comes_back_from_its_form() {
    let used = Item::Used { symbol: "A".to_owned(), id: u64::MAX, time: -5 };
    let bad = Item::Bad(vec![0, 255, b'x'], Bad::new("not_json", "because"));
    let all = [trade(1), Entry { item: used, ..trade(2) }, Entry { item: bad, ..trade(3) }];
    let mut bytes = Vec::new();
    all.iter().for_each(|entry| entry.write(&mut bytes));
    let mut rest = bytes.as_slice();
    all.iter().for_each(|entry| assert_eq!(Entry::read(&mut rest).as_ref(), Some(entry)));
    assert!(rest.is_empty());
    for cut in 0..bytes.len() {
        let mut rest = &bytes[..cut];
        while Entry::read(&mut rest).is_some() {}
    }
}

#[test]
fn more_than_memory_holds_goes_to_disk_and_comes_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, failed) = (Queue::new(64 * 1024, folder(&dir, u64::MAX)), counter());
    for id in 0..5_000 {
        assert_eq!(queue.put([trade(id)]), 0, "{id}");
        if queue.may_spill(&queue.lock()) {
            assert!(queue.spill_once(&failed));
        }
    }
    assert!(files(&dir).len() > 20 && queue.bytes().1 > 500_000 && !queue.is_calm());
    assert!(queue.offer(trade(0)).is_err(), "what can wait does");
    queue.close();
    let mut out = Vec::new();
    while taken(&queue, &mut out) {}
    assert_eq!(out, (0..5_000).map(Out::Trade).collect::<Vec<_>>());
    assert_eq!((files(&dir).len(), queue.bytes()), (0, (0, 0)));
    assert!(queue.lock().largest <= 64 * 1024, "{}", queue.lock().largest);
}

#[test]
fn beyond_the_limit_of_the_disk_it_is_dropped_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, failed) = (Queue::new(64 * 1024, folder(&dir, 20_000)), counter());
    let mut dropped = 0;
    for id in 0..5_000 {
        dropped += queue.put([trade(id)]);
        if queue.may_spill(&queue.lock()) {
            assert!(queue.spill_once(&failed));
        }
    }
    assert!(queue.bytes().1 < 60_000 && dropped > 4_000, "{:?} {dropped}", queue.bytes());
    let mut out = Vec::new();
    while !queue.lock().is_empty() || !queue.lock().losses.is_empty() {
        taken(&queue, &mut out);
    }
    assert_eq!(queue.put([trade(5_000)]), 0, "there is room again");
    taken(&queue, &mut out);
    let kept = 5_000 - dropped;
    let expected: Vec<Out> = (0..kept).map(Out::Trade).chain([Out::Gap(kept, 4_999), Out::Trade(5_000)]).collect();
    assert_eq!(out, expected);
}

#[test]
fn what_the_disk_loses_is_said_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, failed) = (Queue::new(64 * 1024, folder(&dir, u64::MAX)), counter());
    let mut id = 0;
    while files(&dir).len() < 3 {
        queue.put([trade(id)]);
        id += 1;
        if queue.may_spill(&queue.lock()) {
            queue.spill_once(&failed);
        }
    }
    // The second is damaged; and a write fails, since the folder is gone from under it.
    let damaged = &files(&dir)[1];
    let mut bytes = std::fs::read(damaged).unwrap();
    bytes[0] = 9;
    std::fs::write(damaged, bytes).unwrap();
    let mut out = Vec::new();
    while !queue.lock().is_empty() || !queue.lock().losses.is_empty() {
        taken(&queue, &mut out);
    }
    let gaps: Vec<&Out> = out.iter().filter(|out| matches!(out, Out::Gap(..))).collect();
    let Out::Gap(first, last) = gaps[0] else { panic!() };
    assert_eq!(gaps.len(), 1);
    let expected: Vec<u64> = (0..id).filter(|id| !(*first..=*last).contains(id)).collect();
    let before = out.iter().take_while(|out| matches!(out, Out::Trade(_))).count() as u64;
    assert_eq!(before, *first, "the gap is in its place");
    let trades: Vec<u64> =
        out.iter().filter_map(|out| if let Out::Trade(id) = out { Some(*id) } else { None }).collect();
    assert!(trades == expected && *last > *first, "{first} to {last} of {id}");

    std::fs::remove_dir_all(dir.path()).unwrap();
    let from = id;
    while !queue.may_spill(&queue.lock()) {
        queue.put([trade(id)]);
        id += 1;
    }
    assert!(!queue.spill_once(&failed));
    assert_eq!(failed.get(), 1);
    let mut out = Vec::new();
    while !queue.lock().is_empty() || !queue.lock().losses.is_empty() {
        taken(&queue, &mut out);
    }
    let at = out.iter().position(|out| matches!(out, Out::Gap(..))).unwrap();
    let Out::Gap(first, last) = out[at] else { panic!() };
    assert!(first > from && last > first);
    let there = (from..first).map(Out::Trade).chain([Out::Gap(first, last)]).chain((last + 1..id).map(Out::Trade));
    assert_eq!(out, there.collect::<Vec<_>>(), "what was in memory is there, and the gap in its place");
    assert_eq!(queue.put([trade(id)]), 0, "and it goes on in memory");
}

#[test]
fn a_folder_is_of_one_process_and_begins_empty() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("spill-000000000007"), "of a killed process").unwrap();
    std::fs::write(dir.path().join("other"), "not ours").unwrap();
    let first = folder(&dir, 1);
    assert!(files(&dir).is_empty() && dir.path().join("other").exists());
    let second = format!("{:#}", Folder::open(dir.path(), 1).unwrap_err());
    assert!(second.contains("another process has the folder"), "{second}");
    drop(first);
    Folder::open(dir.path(), 1).unwrap();
}

proptest! {
    /// Puts, takes and writes to disk in any order.
    #[test]
    fn the_order_is_kept_and_each_is_there_or_said_to_be_lost(
        steps in prop::collection::vec((0u8..8, 1u64..40), 1..200),
        on_disk in any::<bool>(),
        most_on_disk in prop_oneof![Just(0), Just(20_000), Just(u64::MAX)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let most = 32 * 1024;
        let queue = Queue::new(most, on_disk.then(|| Folder::open(dir.path(), most_on_disk).unwrap()));
        let (failed, mut out, mut id) = (counter(), Vec::new(), 0);
        for (what, count) in steps {
            match what {
                0..=2 => for _ in 0..count { queue.put([trade(id)]); id += 1; },
                3..=4 => { queue.put((id..id + count).map(trade)); id += count; }
                5..=6 => drop(taken(&queue, &mut out)),
                _ => if queue.may_spill(&queue.lock()) { prop_assert!(queue.spill_once(&failed)); },
            }
            prop_assert!(queue.lock().largest <= most, "{} in memory", queue.lock().largest);
        }
        queue.close();
        while taken(&queue, &mut out) || !queue.lock().losses.is_empty() {}
        let mut next = 0;
        for out in out {
            match out {
                Out::Trade(id) => { prop_assert_eq!(id, next); next += 1; }
                Out::Gap(first, last) => { prop_assert_eq!(first, next); next = last + 1; }
            }
        }
        prop_assert_eq!(next, id);
    }
}
