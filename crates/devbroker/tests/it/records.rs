//! Records: every codec, idempotence, times, what is refused.

use crate::{
    client::{committed, consumer, create, fill, flush, producer, read_all, send, values, watermarks},
    raw::{Raw, batch},
    target::{Target, now_ms, unique},
};
use bytes::Bytes;
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::Consumer,
    error::RDKafkaErrorCode,
    message::{Header, Headers, Message, OwnedHeaders},
    producer::{BaseRecord, Producer},
};
use std::time::Duration;

#[test]
fn every_codec_brings_back_what_was_sent_in_order() {
    let target = Target::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let topic = unique(codec);
        create(&target.addr, &topic, 2, &[]);
        let producer = producer(&target.addr, &[("compression.type", codec), ("linger.ms", "20")]);
        for n in 0..2000 {
            send(
                &producer,
                &topic,
                n % 2,
                &format!("key-{}", n % 7),
                &format!("{{\"n\":{n},\"text\":\"some text to compress\"}}"),
            );
        }
        flush(&producer);
        for partition in 0..2 {
            let records: Vec<_> =
                committed(&target.addr, &topic).into_iter().filter(|r| r.partition == partition).collect();
            assert!(records.iter().map(|record| record.offset).eq(0..1000), "{codec}");
            let want = (0..1000).map(|n| format!("{{\"n\":{},\"text\":\"some text to compress\"}}", n * 2 + partition));
            assert!(values(&records).into_iter().eq(want), "{codec}");
        }
    }
}

#[test]
fn keys_headers_tombstones_and_large_values_are_kept_as_they_are() {
    let target = Target::new();
    let topic = unique("kept");
    create(&target.addr, &topic, 1, &[]);
    let producer = producer(&target.addr, &[("message.max.bytes", "2000000")]);
    let headers = OwnedHeaders::new()
        .insert(Header { key: "h", value: Some("x") })
        .insert(Header { key: "none", value: None::<&str> });
    let large = vec![b'z'; 900_000];
    let record = BaseRecord::to(&topic).key("k").payload("v").timestamp(1_700_000_000_123).headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<str, str>::to(&topic).key("tombstone")).map_err(|(error, _)| error).unwrap();
    producer.send(BaseRecord::<[u8], [u8]>::to(&topic).payload(&large)).map_err(|(error, _)| error).unwrap();
    flush(&producer);

    let reader = consumer(&target.addr, "kept", &[]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    let mut records = Vec::new();
    while records.len() < 3 {
        if let Some(Ok(message)) = reader.poll(Duration::from_millis(200)) {
            records.push(message.detach());
        }
    }
    let headers = records[0].headers().unwrap();
    assert_eq!((headers.get(0).value, headers.get(1).value), (Some(&b"x"[..]), None));
    assert_eq!(records[0].timestamp().to_millis(), Some(1_700_000_000_123));
    assert_eq!((records[1].key(), records[1].payload()), (Some(&b"tombstone"[..]), None));
    assert_eq!((records[2].key(), records[2].payload()), (None, Some(&large[..])));
}

const OUT_OF_ORDER: i16 = 45;
const WRONG_EPOCH: i16 = 47;

#[test]
fn a_batch_sent_twice_stands_once() {
    let target = Target::new();
    let topic = unique("idempotent");
    create(&target.addr, &topic, 1, &[]);
    let mut raw = Raw::new(&target.addr);
    let producer = raw.producer_id();
    let mut send = |sequence, values: &[&str]| raw.produce(&topic, batch(producer, sequence, values));
    assert_eq!(send(0, &["a", "b"]), (0, 0));
    assert_eq!(send(2, &["c"]), (0, 2));
    assert_eq!(send(0, &["a", "b"]), (0, 0), "the answer was lost and the batch came again");
    assert_eq!(send(9, &["too soon"]).0, OUT_OF_ORDER);
    assert_eq!(send(3, &["d"]), (0, 3));
    assert_eq!(values(&committed(&target.addr, &topic)), ["a", "b", "c", "d"]);
    assert_eq!(raw.produce(&topic, batch((producer.0, producer.1 + 1), 0, &["e"])), (0, 4));
    assert_eq!(raw.produce(&topic, batch(producer, 4, &["of the old epoch"])).0, WRONG_EPOCH);
}

#[test]
fn what_is_no_batch_of_format_2_is_refused() {
    let target = Target::new();
    let topic = unique("refused");
    create(&target.addr, &topic, 1, &[]);
    let mut raw = Raw::new(&target.addr);
    let good = batch((-1, -1), -1, &["a"]);
    let change = |at: usize, value: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = value;
        Bytes::from(bytes)
    };
    assert_eq!(raw.produce(&topic, good.clone()), (0, 0));
    // Apache Kafka calls an old format an invalid record, this broker calls it by its own name.
    assert!(matches!(raw.produce(&topic, change(16, 1)).0, 43 | 87));
    assert_eq!(raw.produce(&topic, change(good.len() - 1, 0xff)).0, 2, "a wrong check sum");
    assert_ne!(raw.produce(&topic, good.slice(..good.len() - 3)).0, 0, "a cut batch");
    assert_ne!(raw.produce(&topic, Bytes::from([&good[..], &good].concat())).0, 0, "two at once");
    assert_eq!(watermarks(&target.addr, &topic, 0), (0, 1));
}

/// What became of one record sent with librdkafka.
fn outcome(target: &Target, topic: &str, record: BaseRecord<'_, str, [u8]>) -> Option<RDKafkaErrorCode> {
    let producer = producer(&target.addr, &[("message.max.bytes", "4000000")]);
    assert_eq!(record.topic, topic);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    let _ = producer.flush(Duration::from_secs(20));
    producer.context().failed.lock().unwrap().first().copied()
}

#[test]
fn records_a_topic_does_not_allow_are_refused() {
    let target = Target::new();
    let (plain, compacted) = (unique("plain"), unique("compacted"));
    create(&target.addr, &plain, 1, &[]);
    create(&target.addr, &compacted, 1, &[("cleanup.policy", "compact")]);
    let huge = vec![b'x'; 2_000_000];
    let too_large = outcome(&target, &plain, BaseRecord::to(&plain).key("k").payload(&huge));
    assert_eq!(too_large, Some(RDKafkaErrorCode::MessageSizeTooLarge));
    let keyless = outcome(&target, &compacted, BaseRecord::to(&compacted).payload(&b"v"[..]));
    assert_eq!(keyless, Some(RDKafkaErrorCode::InvalidRecord));
    let future = BaseRecord::to(&plain).key("k").payload(&b"v"[..]).timestamp(now_ms() + 2 * 3_600_000);
    assert_eq!(outcome(&target, &plain, future), Some(RDKafkaErrorCode::InvalidTimestamp));
    assert_eq!(outcome(&target, &compacted, BaseRecord::to(&compacted).key("k").payload(&b"v"[..])), None);
}

#[test]
fn the_brokers_time_can_replace_the_producers() {
    let target = Target::new();
    let topic = unique("stamped");
    create(&target.addr, &topic, 1, &[("message.timestamp.type", "LogAppendTime")]);
    let producer = producer(&target.addr, &[("compression.type", "snappy")]);
    let before = now_ms();
    for n in 0..3 {
        let record = BaseRecord::to(&topic).key("k").payload("v").timestamp(1000 + n);
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    flush(&producer);
    let times: Vec<_> = committed(&target.addr, &topic).iter().map(|record| record.timestamp.unwrap()).collect();
    assert_eq!(times.len(), 3, "by the producer's time retention would have taken them at once");
    assert!(times.iter().all(|time| (before - 1000..=now_ms() + 1000).contains(time)), "{times:?}");
}

#[test]
fn offsets_are_found_by_time() {
    let target = Target::new();
    let topic = unique("times");
    create(&target.addr, &topic, 1, &[]);
    let base = now_ms() - 3_600_000;
    for codec in ["none", "zstd"] {
        let producer = producer(&target.addr, &[("compression.type", codec), ("linger.ms", "20")]);
        let start = if codec == "none" { 0 } else { 50 };
        for n in start..start + 50 {
            let record = BaseRecord::to(&topic)
                .partition(0)
                .key("k")
                .payload("some text to compress")
                .timestamp(base + n * 1000);
            producer.send(record).map_err(|(error, _)| error).unwrap();
            if n % 10 == 9 {
                flush(&producer);
            }
        }
    }
    let reader = consumer(&target.addr, "times", &[]);
    let found = |ms: i64| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic, 0, Offset::Offset(base + ms)).unwrap();
        reader.offsets_for_times(list, Duration::from_secs(10)).unwrap().elements()[0].offset()
    };
    for (ms, want) in [(-5, 0), (0, 0), (1, 1), (33_000, 33), (49_500, 50), (75_001, 76), (99_000, 99)] {
        assert_eq!(found(ms), Offset::Offset(want), "{ms} ms");
    }
    assert_eq!(found(99_001), Offset::End);
}

#[test]
fn a_reader_far_behind_reads_everything_in_pieces() {
    let target = Target::new();
    let topic = unique("pieces");
    create(&target.addr, &topic, 1, &[("segment.bytes", "1048576")]);
    let producer = producer(&target.addr, &[]);
    let value = "x".repeat(5000);
    for n in 0..1000 {
        send(&producer, &topic, 0, &n.to_string(), &value);
    }
    flush(&producer);
    let all = read_all(&target.addr, &topic, "read_uncommitted");
    assert!(all.iter().map(|record| record.offset).eq(0..1000));
    assert!(all.iter().all(|record| record.value.as_deref() == Some(&value)));
}

#[test]
fn a_waiting_reader_is_told_at_once() {
    let target = Target::new();
    let topic = unique("waiting");
    create(&target.addr, &topic, 1, &[]);
    fill(&target.addr, &topic, 0, 0..1);
    // Were it not told, it would hear of the record only after ten seconds.
    let reader = consumer(&target.addr, "waiting", &[("fetch.wait.max.ms", "10000"), ("fetch.min.bytes", "1")]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    let next = |reader: &rdkafka::consumer::BaseConsumer| loop {
        if let Some(Ok(message)) = reader.poll(Duration::from_millis(100)) {
            return message.offset();
        }
    };
    assert_eq!(next(&reader), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            fill(&target.addr, &topic, 0, 1..2);
        });
        let start = std::time::Instant::now();
        assert_eq!(next(&reader), 1);
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
}
