//! What a live feed was told is kept, and replayed it comes to the same records, byte for byte.

use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::ByteSize;
use ingest::Config;
use testkit::eventually;
use testkit::venues::{FakeVenue, Kind, script};

use crate::bed::{Bed, runtime};
use crate::histories::{farewell, feed, names};
use crate::live::{Killed, process, start, trade, venue, wait_for};

/// Partition, key and value of each record, in order.
type Records = Vec<(i32, Option<Vec<u8>>, Option<Vec<u8>>)>;

fn records(bed: &Bed) -> Records {
    bed.output().into_iter().map(|record| (record.partition, record.key, record.value)).collect()
}

/// The files of a folder, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    all
}

/// What a replay of these files, one after the other, comes to.
fn replayed(files: &[&PathBuf]) -> Records {
    let bed = Bed::new();
    for file in files {
        let summary = bed.run(bed.config(&[file.to_str().unwrap()])).unwrap();
        assert_eq!(summary.feeds[0].error, None);
        assert!(summary.invalid.is_empty(), "{:?}", summary.invalid);
    }
    records(&bed)
}

fn recorded<'a>(dir: &'a Path, part: &'a str) -> impl FnOnce(&mut Config) + 'a {
    move |config| {
        config.live.record = dir.to_str().unwrap().to_owned();
        config.live.record_part = part.parse::<ByteSize>().unwrap();
    }
}

/// A session in which all kinds of things go wrong.
fn session(bed: &Bed, venue: &FakeVenue, dir: &Path, part: &str, seed: u64) {
    let rest = match venue.kind {
        Kind::Binance | Kind::Coinbase | Kind::Kraken => format!("&rest={}&rest_rate=1000/1s", venue.rest_url()),
        _ => String::new(),
    };
    let feed = format!("{}{rest}", feed("f", venue, "400ms"));
    let running = start(bed, &feed, recorded(dir, part));
    running.serves(venue);
    let own_names: Vec<String> = names(venue.kind).2.iter().map(|name| (*name).to_owned()).collect();
    let steps = script::steps(venue.kind, seed, 40);
    runtime().block_on(script::play(venue, &own_names, &steps, seed, Duration::from_millis(8)));
    running.serves(venue);
    trade(venue, 2);
    runtime().block_on(farewell(std::slice::from_ref(venue)));
    running.stop();
}

#[test]
fn a_recording_replays_to_the_records_of_the_live_feed() {
    for (seed, kind) in (1..).zip(Kind::ALL) {
        let (bed, venue, dir) = (Bed::new(), venue(kind), tempfile::tempdir().unwrap());
        session(&bed, &venue, dir.path(), "256MiB", seed);
        let (live, files) = (records(&bed), files(dir.path()));
        assert_eq!(files.len(), 1, "{kind:?}: {files:?}");
        // A snapshot after each reconnect leaves Kraken without a gap.
        let judged = live.iter().filter(|(_, _, value)| {
            let text = String::from_utf8_lossy(value.as_deref().unwrap_or_default()).into_owned();
            text.contains(r#""kind":"gap""#) || text.contains(r#""backfilled":true"#)
        });
        assert!(live.len() > 20 && judged.count() > 0, "{kind:?}: else little was shown");
        assert!(replayed(&[&files[0]]) == live, "{kind:?}");
    }
}

/// Each part is a file of its own; who reads the first reads them all.
#[test]
fn parts_are_one_recording_and_a_second_session_goes_on_from_the_first() {
    let (bed, first, dir) = (Bed::new(), venue(Kind::Binance), tempfile::tempdir().unwrap());
    session(&bed, &first, dir.path(), "2KiB", 3);
    let parts = files(dir.path());
    assert!(parts.len() > 3, "{parts:?}");
    assert!(replayed(&[&parts[0]]) == records(&bed));
    // Another process, which knows where the first stopped.
    let second = venue(Kind::Binance);
    trade(&second, 40);
    session(&bed, &second, dir.path(), "256MiB", 4);
    let all = files(dir.path());
    let new = all.iter().find(|file| !parts.contains(file)).unwrap();
    assert!(replayed(&[&parts[0], new]) == records(&bed));
}

#[test]
fn old_parts_are_removed_and_the_rest_can_be_replayed() {
    let (bed, venue, dir) = (Bed::new(), venue(Kind::Kraken), tempfile::tempdir().unwrap());
    let running = start(&bed, &feed("f", &venue, "8s"), |config| {
        recorded(dir.path(), "4KiB")(config);
        config.live.record_keep = 2;
    });
    running.serves(&venue);
    for round in 1..=40 {
        trade(&venue, 1);
        wait_for(&bed, "f", round * 3, &venue);
    }
    runtime().block_on(farewell(std::slice::from_ref(&venue)));
    running.stop();
    let left = files(dir.path());
    assert!(left.len() == 2 && !left[0].to_str().unwrap().contains("-000000."), "{left:?}");
    let (live, tail) = (records(&bed), replayed(&[&left[0]]));
    assert!(tail.len() > 3 && tail.len() < live.len(), "{} of {}", tail.len(), live.len());
    for partition in 0..3 {
        let of =
            |records: &Records| -> Records { records.iter().filter(|record| record.0 == partition).cloned().collect() };
        let (live, tail) = (of(&live), of(&tail));
        assert!(live.ends_with(&tail), "partition {partition}");
    }
}

/// What was written before is whole; of the rest at most the last seconds are lost.
#[test]
fn the_recording_of_a_killed_process_is_read_up_to_the_kill() {
    let (bed, venue, dir) = (Bed::new(), venue(Kind::Binance), tempfile::tempdir().unwrap());
    let record = format!("live.record={}", dir.path().to_str().unwrap());
    let child = Killed(process(&bed, &feed("f", &venue, "8s"), &["--set", &record]));
    let own_names = names(Kind::Binance).2.map(str::to_owned);
    eventually(Duration::from_secs(20), "all symbols are served", || venue.serves(&own_names).then_some(()));
    trade(&venue, 50);
    wait_for(&bed, "f", 150, &venue);
    let file = files(dir.path()).remove(0);
    let replay = || -> (usize, Option<String>) {
        let bed = Bed::new();
        let copy = bed.file("cut.frames.zst", std::fs::read(&file).unwrap());
        let error = bed.run(bed.config(&[&copy])).err().map(|error| format!("{error:#}"));
        (bed.output().len(), error)
    };
    eventually(Duration::from_secs(20), "all is on the disk", || (replay().0 >= 150).then_some(()));
    drop(child);
    let (count, error) = replay();
    assert_eq!(count, 150);
    assert!(error.is_some_and(|error| error.contains("the file was cut, only what came before was used")));
}

#[test]
fn a_folder_that_cannot_be_written_to_is_said_at_the_start() {
    let (bed, venue) = (Bed::new(), venue(Kind::Binance));
    let file = bed.file("file", "x");
    let mut config = bed.config(&[&feed("f", &venue, "8s")]);
    config.live.record = format!("{file}/folder");
    let error = bed.run(config).expect_err("it is no folder");
    assert!(format!("{error:#}").contains("setting `live.record`"), "{error:#}");
}
