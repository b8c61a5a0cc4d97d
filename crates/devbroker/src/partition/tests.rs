use super::*;
use crate::{
    batch::tests::{plain, sequenced},
    config::Overrides,
    records::tests::write,
};

const TRANSACTIONAL: i16 = 0x10;

fn open(dir: &Path) -> Partition {
    Partition::open(dir.to_owned(), Syncer::start().unwrap().0).unwrap()
}

fn settings() -> Settings {
    Settings::new(&Overrides::new())
}

fn stamped() -> Settings {
    Settings::new(&Overrides::from([("message.timestamp.type".into(), "LogAppendTime".into())]))
}

fn in_transaction(pid: i64, epoch: i16, sequence: i32) -> Vec<u8> {
    sequenced(pid, epoch, sequence, 1, now_ms(), TRANSACTIONAL, &write(&[(Some("k"), Some("v"), 0)]))
}

fn bases(slice: &Slice) -> Vec<i64> {
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(header) = Header::parse(&slice.records[at..]) {
        all.push(header.base_offset);
        at += header.size;
    }
    all
}

#[test]
fn a_repeated_batch_is_acknowledged_once_more_but_not_stored_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let batch = |sequence| sequenced(7, 0, sequence, 1, now_ms(), 0, b"x");
    let partition = open(dir.path());
    for sequence in 0..3 {
        partition.append(batch(sequence), &settings()).unwrap();
    }
    assert_eq!(partition.append(batch(1), &settings()).unwrap().base_offset, 1);
    drop(partition);
    let partition = open(dir.path());
    assert_eq!(partition.append(batch(2), &settings()).unwrap().base_offset, 2);
    assert_eq!(partition.append(batch(4), &settings()), Err(Code::OutOfOrderSequenceNumber));
    assert_eq!(partition.offsets().end, 3);
}

#[test]
fn readers_of_committed_data_stop_at_the_first_open_transaction() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let roll = settings().roll();
    partition.append(plain(1, now_ms(), b"x"), &settings()).unwrap();
    for pid in [7, 8] {
        partition.expect(pid, 0);
        partition.append(in_transaction(pid, 0, 0), &settings()).unwrap();
    }
    partition.append(plain(1, now_ms(), b"x"), &settings()).unwrap();
    assert_eq!(partition.offsets(), Offsets { start: 0, stable: 1, end: 4 });
    assert_eq!(bases(&partition.read(0, 1 << 20, true, true).unwrap()), [0]);
    assert_eq!(bases(&partition.read(0, 1 << 20, false, true).unwrap()), [0, 1, 2, 3]);
    assert!(partition.read(1, 1 << 20, true, true).unwrap().records.is_empty());

    partition.end_transaction(7, 0, false, roll).unwrap();
    assert_eq!(partition.offsets().stable, 2);
    partition.end_transaction(8, 0, true, roll).unwrap();
    let slice = partition.read(0, 1 << 20, true, true).unwrap();
    assert_eq!(bases(&slice), [0, 1, 2, 3, 4, 5]);
    assert_eq!(slice.aborted, [Aborted { producer_id: 7, first_offset: 1, last_offset: 4 }]);
    // Only what was read is told of.
    assert_eq!(partition.read(5, 1 << 20, true, true).unwrap().aborted, []);
}

#[test]
fn a_batch_of_no_transaction_or_of_a_replaced_producer_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let roll = settings().roll();
    assert_eq!(partition.append(in_transaction(7, 0, 0), &settings()), Err(Code::InvalidTxnState));
    partition.expect(7, 1);
    assert_eq!(partition.append(in_transaction(7, 0, 0), &settings()), Err(Code::InvalidProducerEpoch));
    partition.append(in_transaction(7, 1, 0), &settings()).unwrap();
    partition.end_transaction(7, 1, true, roll).unwrap();
    assert_eq!(partition.append(in_transaction(7, 1, 1), &settings()), Err(Code::InvalidTxnState));
    let end = partition.offsets().end;
    partition.end_transaction(7, 1, true, roll).unwrap();
    assert_eq!(partition.offsets().end, end, "a second marker would be one too many");
}

#[test]
fn open_transactions_and_rollbacks_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    // Segments so short that every batch starts one: state comes from snapshots and indexes too.
    let short = Settings::new(&Overrides::from([("segment.bytes".into(), "1".into())]));
    let partition = open(dir.path());
    for pid in [7, 8] {
        partition.expect(pid, 0);
        partition.append(in_transaction(pid, 0, 0), &short).unwrap();
    }
    partition.end_transaction(7, 0, false, short.roll()).unwrap();
    let before = (partition.offsets(), partition.lock().producers.open());
    drop(partition);
    let partition = open(dir.path());
    assert_eq!((partition.offsets(), partition.lock().producers.open()), before);
    assert_eq!(partition.offsets().stable, 1);
    partition.end_transaction(8, 0, true, short.roll()).unwrap();
    assert_eq!(partition.lock().log.aborted(0, 9), [Aborted { producer_id: 7, first_offset: 0, last_offset: 2 }]);
}

#[test]
fn a_reader_gets_whole_batches_and_at_least_one() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    for _ in 0..5 {
        partition.append(plain(3, now_ms(), &[1; 200]), &settings()).unwrap();
    }
    let read = |offset, max_bytes, whole_first| bases(&partition.read(offset, max_bytes, false, whole_first).unwrap());
    assert_eq!(read(0, 1, true), [0]);
    assert!(read(0, 1, false).is_empty());
    assert_eq!(read(4, 600, true), [3, 6]);
    assert!(read(15, 600, true).is_empty());
    assert_eq!(partition.read(16, 600, false, true).err(), Some(Code::OffsetOutOfRange));
    assert_eq!(partition.read(-1, 600, false, true).err(), Some(Code::OffsetOutOfRange));
}

#[test]
fn deleted_records_stay_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    partition.append(plain(10, now_ms(), b"x"), &settings()).unwrap();
    assert_eq!(partition.delete_records(11), Err(Code::OffsetOutOfRange));
    assert_eq!(partition.delete_records(4), Ok(4));
    assert_eq!(partition.delete_records(2), Ok(4));
    drop(partition);
    let partition = open(dir.path());
    assert_eq!(partition.offsets(), Offsets { start: 4, stable: 10, end: 10 });
    assert_eq!(partition.read(3, 1, false, true).err(), Some(Code::OffsetOutOfRange));
    assert_eq!(partition.delete_records(-1), Ok(10));
}

#[test]
fn the_record_of_a_time_is_found_inside_its_batch() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let base = now_ms() - 100_000;
    for n in 0..3 {
        let records = write(&[(None, Some("a"), 0), (None, Some("b"), 100), (None, Some("c"), 200)]);
        let mut batch = sequenced(-1, -1, -1, 3, base + n * 1000, 0, &records);
        let header = Header::parse(&batch).unwrap();
        batch = batch::build(&Header { max_timestamp: header.base_timestamp + 200, ..header }, &records);
        partition.append(batch, &settings()).unwrap();
    }
    let at = |ms: i64| partition.offset_for_time(base + ms).unwrap().map(|(offset, time)| (offset, time - base));
    assert_eq!((at(0), at(1), at(200), at(201)), (Some((0, 0)), Some((1, 100)), Some((2, 200)), Some((3, 1000))));
    assert_eq!((at(2150), at(2201)), (Some((8, 2200)), None));
    partition.delete_records(4).unwrap();
    assert_eq!(at(0), Some((4, 1100)));
}

#[test]
fn the_brokers_time_replaces_the_producers() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    let before = now_ms();
    let appended = partition.append(plain(2, 5, b"x"), &stamped()).unwrap();
    assert!(appended.log_append_time >= before);
    let slice = partition.read(0, 1 << 20, false, true).unwrap();
    let header = Header::parse(&slice.records).unwrap();
    assert_eq!((header.is_log_append_time(), header.max_timestamp), (true, appended.log_append_time));
    assert!(batch::is_intact(&slice.records, &header));
    assert_eq!(partition.offset_for_time(before).unwrap(), Some((0, appended.log_append_time)));
    assert_eq!(partition.append(plain(1, now_ms(), b"x"), &settings()).unwrap().log_append_time, -1);
}

#[test]
fn nothing_is_written_to_a_deleted_topic() {
    let dir = tempfile::tempdir().unwrap();
    let partition = open(dir.path());
    partition.close();
    assert_eq!(partition.append(plain(1, now_ms(), b"x"), &settings()), Err(Code::UnknownTopicOrPartition));
    assert!(partition.read(0, 1, false, true).is_err());
}
