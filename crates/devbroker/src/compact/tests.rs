use super::*;
use crate::{batch::tests::sequenced, clock::now_ms, config::Overrides, records::tests::write, sync::Syncer};

fn settings(overrides: &[(&str, &str)]) -> Settings {
    let base = [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0"), ("segment.bytes", "1024")];
    let all = [&base[..], overrides].concat();
    Settings::new(&all.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Overrides>())
}

fn open(dir: &Path) -> Partition {
    Partition::open(dir.to_owned(), Syncer::start().unwrap().0).unwrap()
}

fn append(partition: &Partition, settings: &Settings, records: &[(&str, Option<&str>)]) {
    let records: Vec<_> = records.iter().map(|(key, value)| (Some(*key), *value, 0)).collect();
    let batch = sequenced(-1, -1, -1, records.len() as i32, now_ms(), 0, &write(&records));
    partition.append(batch, settings).unwrap();
}

/// Ends the segment, so that all that was appended can be compacted.
fn seal(partition: &Partition) {
    let mut state = partition.lock();
    let state = &mut *state;
    state.log.roll(&state.producers, now_ms()).unwrap();
}

/// Offset, key and whether there is a value, of every record a reader would get.
fn contents(partition: &Partition) -> Vec<(i64, String, bool)> {
    let mut all = Vec::new();
    let mut from = 0;
    loop {
        let slice = partition.read(from, 1 << 20, true, true).unwrap();
        let mut at = 0;
        while let Some(header) = Header::parse(&slice.records[at..]) {
            let batch = &slice.records[at..at + header.size];
            assert!(batch::is_intact(batch, &header));
            let aborted = slice.aborted.iter().any(|a| a.producer_id == header.producer_id);
            if !header.is_control() && !aborted {
                let unfolded = records::unfold(batch, &header).unwrap();
                for record in records::walk(&unfolded).map(Result::unwrap) {
                    let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                    all.push((header.base_offset + i64::from(record.offset_delta), key, record.has_value));
                }
            }
            at += header.size;
            from = header.next_offset();
        }
        if slice.records.is_empty() {
            return all;
        }
    }
}

fn names(contents: &[(i64, String, bool)]) -> Vec<String> {
    contents.iter().map(|(offset, key, _)| format!("{offset}{key}")).collect()
}

#[test]
fn the_last_record_of_each_key_stays_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&[]);
    let partition = open(dir.path());
    append(&partition, &settings, &[("a", Some("1")), ("b", Some("1")), ("c", Some("1"))]);
    append(&partition, &settings, &[("a", Some("2"))]);
    seal(&partition);
    append(&partition, &settings, &[("b", Some("2")), ("a", Some("3"))]);
    seal(&partition);
    append(&partition, &settings, &[("c", Some("active: not touched"))]);
    assert!(compact(&partition, &settings, now_ms()).unwrap());
    assert_eq!(names(&contents(&partition)), ["2c", "4b", "5a", "6c"]);
    assert_eq!(partition.offsets().end, 7);
    assert!(!compact(&partition, &settings, now_ms()).unwrap(), "nothing new to do");
    drop(partition);
    let partition = open(dir.path());
    assert_eq!(names(&contents(&partition)), ["2c", "4b", "5a", "6c"]);
    append(&partition, &settings, &[("a", None)]);
    seal(&partition);
    assert!(compact(&partition, &settings, now_ms()).unwrap());
    assert_eq!(contents(&partition), [(4, "b".into(), true), (6, "c".into(), true), (7, "a".into(), false)]);
}

#[test]
fn a_tombstone_goes_when_everyone_had_time_to_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&[("delete.retention.ms", "60000")]);
    let partition = open(dir.path());
    append(&partition, &settings, &[("a", Some("1")), ("b", Some("1"))]);
    append(&partition, &settings, &[("a", None)]);
    seal(&partition);
    compact(&partition, &settings, now_ms()).unwrap();
    assert_eq!(names(&contents(&partition)), ["1b", "2a"]);
    append(&partition, &settings, &[("x", Some("something new"))]);
    seal(&partition);
    compact(&partition, &settings, now_ms() + 61_000).unwrap();
    assert_eq!(names(&contents(&partition)), ["1b", "3x"]);
}

#[test]
fn rolled_back_records_never_supersede_and_open_ones_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&[]);
    let partition = open(dir.path());
    let transactional = |pid, key: &str| {
        partition.expect(pid, 0);
        let batch = sequenced(pid, 0, 0, 1, now_ms(), 0x10, &write(&[(Some(key), Some("t"), 0)]));
        partition.append(batch, &settings).unwrap();
    };
    append(&partition, &settings, &[("a", Some("1")), ("b", Some("1"))]);
    transactional(7, "a");
    partition.end_transaction(7, 0, false, settings.roll()).unwrap();
    transactional(8, "b");
    partition.end_transaction(8, 0, true, settings.roll()).unwrap();
    seal(&partition);
    transactional(9, "a");
    seal(&partition);
    compact(&partition, &settings, now_ms()).unwrap();
    assert_eq!(names(&contents(&partition)), ["0a", "4b"]);
    assert_eq!(partition.offsets().stable, 6);
    partition.end_transaction(9, 0, true, settings.roll()).unwrap();
    seal(&partition);
    compact(&partition, &settings, now_ms()).unwrap();
    assert_eq!(names(&contents(&partition)), ["4b", "6a"]);
}

#[test]
fn many_short_segments_become_few() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&[]);
    let partition = open(dir.path());
    for n in 0..40 {
        append(&partition, &settings, &[(&format!("k{}", n % 3), Some(&"v".repeat(200)))]);
        seal(&partition);
    }
    compact(&partition, &settings, now_ms()).unwrap();
    compact(&partition, &settings, now_ms()).unwrap();
    append(&partition, &settings, &[("k0", Some("v"))]);
    seal(&partition);
    compact(&partition, &settings, now_ms()).unwrap();
    assert!(partition.lock().log.sealed().len() < 8, "{}", partition.lock().log.sealed().len());
    assert_eq!(names(&contents(&partition)), ["37k1", "38k2", "40k0"]);
}

#[test]
fn enough_must_be_new() {
    let dir = tempfile::tempdir().unwrap();
    let lazy = settings(&[("min.cleanable.dirty.ratio", "0.5")]);
    let partition = open(dir.path());
    append(&partition, &lazy, &[("a", Some(&"v".repeat(900)))]);
    seal(&partition);
    assert!(compact(&partition, &lazy, now_ms()).unwrap());
    append(&partition, &lazy, &[("b", Some("v"))]);
    seal(&partition);
    assert!(!compact(&partition, &lazy, now_ms()).unwrap());
    let late = settings(&[("min.compaction.lag.ms", "60000")]);
    assert!(!compact(&partition, &late, now_ms()).unwrap());
    assert!(compact(&partition, &late, now_ms() + 61_000).unwrap());
}

#[test]
fn a_crash_while_swapping_leaves_a_whole_log() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&[]);
    let partition = open(dir.path());
    append(&partition, &settings, &[("a", Some("1"))]);
    seal(&partition);
    append(&partition, &settings, &[("a", Some("2"))]);
    seal(&partition);
    let before: Vec<_> = partition.lock().log.sealed().to_vec();
    let old: Vec<_> = before.iter().map(|s| (s.file(dir.path()), fs::read(s.file(dir.path())).unwrap())).collect();
    compact(&partition, &settings, now_ms()).unwrap();
    drop(partition);
    // As if killed just after the finished file got its name: the old segments are still there.
    let swap = dir.path().join(format!("{:020}-{:020}.swap", 0, 2));
    fs::rename(segment::file(dir.path(), 0), swap).unwrap();
    for (path, bytes) in old {
        fs::write(path, bytes).unwrap();
    }
    fs::write(dir.path().join(format!("{:020}.cleaned", 0)), b"half").unwrap();
    let partition = open(dir.path());
    assert_eq!(names(&contents(&partition)), ["1a"]);
    assert!(!fs::read_dir(dir.path()).unwrap().any(|e| {
        let path = e.unwrap().path();
        path.extension().is_some_and(|x| x == "swap" || x == "cleaned")
    }));
}
