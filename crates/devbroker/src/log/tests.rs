use super::*;
use crate::{
    batch::{self, tests::plain},
    clock::now_ms,
};

const ROLL: Roll = Roll { bytes: 1000, age_ms: i64::MAX };

fn open(dir: &Path) -> Log {
    Log::open(dir, Syncer::start().unwrap().0, now_ms()).unwrap().0
}

/// Appends one batch of two records and `size` bytes of them.
fn append(log: &mut Log, timestamp: i64, size: usize) {
    let mut bytes = plain(2, timestamp, &vec![7; size]);
    batch::place(&mut bytes, log.end());
    let header = Header::parse(&bytes).unwrap();
    log.write(&bytes, &header, ROLL, &Producers::default(), now_ms()).unwrap();
    log.note(&header, None, now_ms());
}

fn offsets(log: &Log) -> Vec<i64> {
    let mut all = Vec::new();
    let mut from = 0;
    while let Some(mut scan) = log.seek(from).unwrap() {
        while let Some(header) = scan.peek().unwrap() {
            if header.last_offset() >= from {
                all.push(header.base_offset);
                from = header.next_offset();
            }
            scan.skip(&header);
        }
    }
    all
}

#[test]
fn a_log_is_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..20 {
        append(&mut log, n, 300);
    }
    let want: Vec<_> = (0..20).map(|n| n * 2).collect();
    assert_eq!(offsets(&log), want);
    assert!(log.sealed().len() >= 8);
    let (marks, end) = (format!("{:?}", log.sealed()), log.end());
    drop(log);
    let log = open(dir.path());
    assert_eq!((offsets(&log), log.end()), (want, end));
    assert_eq!(format!("{:?}", log.sealed()), marks);
}

#[test]
fn without_its_indexes_a_log_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..9 {
        append(&mut log, n, 300);
    }
    let want = offsets(&log);
    let sealed = log.sealed().len();
    drop(log);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "log") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let log = open(dir.path());
    assert_eq!((offsets(&log), log.sealed().len()), (want, sealed));
}

#[test]
fn a_torn_or_wrong_end_is_cut_off_and_written_over() {
    for (name, harm) in [("cut", 1), ("flipped", 2), ("garbage", 3), ("half a header", 4)] {
        let dir = tempfile::tempdir().unwrap();
        let mut log = open(dir.path());
        for n in 0..2 {
            append(&mut log, n, 100);
        }
        let whole = log.last().len;
        append(&mut log, 2, 100);
        let file = OpenOptions::new().write(true).open(log.last().file(dir.path())).unwrap();
        let len = log.last().len;
        drop(log);
        match harm {
            1 => file.set_len(len - 1).unwrap(),
            2 => file.write_all_at(&[0xff], len - 5).unwrap(),
            3 => file.write_all_at(&[0x55; 200], whole).unwrap(),
            _ => file.set_len(whole + 30).unwrap(),
        }
        let mut log = open(dir.path());
        assert_eq!((offsets(&log), log.end()), (vec![0, 2], 4), "{name}");
        append(&mut log, 3, 100);
        drop(log);
        assert_eq!(offsets(&open(dir.path())), [0, 2, 4], "{name}");
    }
}

#[test]
fn times_are_found_by_segment_and_position() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    for n in 0..10 {
        append(&mut log, n * 10, 400);
    }
    let found = |timestamp| {
        let (mut scan, _) = log.seek_time(0, timestamp).unwrap()?;
        while let Some(header) = scan.peek().unwrap() {
            if header.max_timestamp >= timestamp {
                return Some(header.base_offset);
            }
            scan.skip(&header);
        }
        None
    };
    assert_eq!((found(0), found(45), found(90), found(91)), (Some(0), Some(10), Some(18), None));
}

#[test]
fn marks_lead_to_the_batch_in_a_long_segment() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path());
    let roll = Roll { bytes: 1 << 30, ..ROLL };
    for n in 0..400 {
        let mut bytes = plain(1, n, &[7; 1000]);
        batch::place(&mut bytes, n);
        let header = Header::parse(&bytes).unwrap();
        log.write(&bytes, &header, roll, &Producers::default(), 0).unwrap();
        log.note(&header, None, 0);
    }
    let mut scan = log.seek(333).unwrap().unwrap();
    assert!(scan.position > 300_000, "the mark before it: {}", scan.position);
    let mut steps = 0;
    while scan.peek().unwrap().unwrap().base_offset < 333 {
        let header = scan.peek().unwrap().unwrap();
        scan.skip(&header);
        steps += 1;
    }
    assert!(steps <= 32, "{steps}");
    assert!(log.seek(400).unwrap().is_none());
}
