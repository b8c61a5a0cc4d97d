//! What is sent arrives once, whole, where Java would put it, or the sender hears of it.

use std::path::Path;
use std::time::Duration;

use streams::{DeadLetters, Outgoing, Polled, StreamError, dead_letter};

use crate::kit::{Kit, LONG, numbers};

/// Computed with Kafka's own Java client: `Utils.toPositive(Utils.murmur2(key)) % 12`.
const JAVA: [(&str, i32); 9] = [
    ("AAPL", 9),
    ("GOOGL", 1),
    ("MSFT", 6),
    ("TSLA", 11),
    ("BINANCE:BTCUSDT", 0),
    ("BINANCE:ETHUSDT", 6),
    ("HSI", 3),
    ("", 9),
    ("\u{65e5}\u{7d4c}", 11),
];

#[test]
fn a_key_goes_to_the_partition_that_java_gives_it() {
    let kit = Kit::new();
    let topic = kit.topic(12);
    let keys: Vec<(String, String)> = JAVA.iter().map(|(key, _)| ((*key).to_owned(), "x".to_owned())).collect();
    kit.send(&topic, None, &keys);
    for (partition, records) in kit.read(&topic) {
        for record in records {
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            let expected = market::symbol::partition(key.as_bytes(), 12);
            assert_eq!(partition, expected, "{key}");
            let (_, java) = JAVA.iter().find(|(known, _)| *known == key).unwrap();
            assert_eq!(partition, *java, "{key}");
        }
    }
}

#[test]
fn order_is_kept_per_partition_and_every_codec_is_read_back() {
    for compression in [
        streams::Compression::None,
        streams::Compression::Snappy,
        streams::Compression::Gzip,
        streams::Compression::Lz4,
        streams::Compression::Zstd,
    ] {
        let mut kit = Kit::new();
        kit.kafka.compression = compression;
        let topic = kit.topic(1);
        let sent = numbers(0..5_000);
        kit.send(&topic, None, &sent);
        let read: Vec<String> = kit.read(&topic).remove(&0).unwrap().into_iter().map(text).collect();
        let sent: Vec<String> = sent.into_iter().map(|(_, value)| value).collect();
        assert!(read == sent, "{compression:?}: {} of {} records, or their order", read.len(), sent.len());
    }
}

/// The codecs by their number in a batch's attributes.
#[test]
fn what_is_stored_is_compressed_as_it_was_set() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let options = devbroker::Options::new(dir.path(), "127.0.0.1:0".parse().unwrap());
    let broker = runtime.block_on(devbroker::Broker::start(options)).unwrap();
    let mut kit = Kit::on(&broker.addr().to_string());
    for (compression, codec) in [
        (streams::Compression::None, 0),
        (streams::Compression::Gzip, 1),
        (streams::Compression::Snappy, 2),
        (streams::Compression::Lz4, 3),
        (streams::Compression::Zstd, 4),
    ] {
        kit.kafka.compression = compression;
        let topic = kit.topic(1);
        // All in one batch: one record alone would only grow, and is then left as it is.
        kit.kafka.librdkafka.insert("linger.ms".to_owned(), "1000".to_owned());
        kit.send(&topic, None, &numbers(0..5_000));
        let codecs = stored_codecs(dir.path(), &topic);
        assert!(!codecs.is_empty() && codecs.iter().all(|found| *found == codec), "{compression:?}: {codecs:?}");
    }
}

/// The codec of each batch in the topic's segments.
fn stored_codecs(dir: &Path, topic: &str) -> Vec<u8> {
    let mut codecs = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            codecs.extend(stored_codecs(&entry, topic));
        } else if entry.extension().is_some_and(|end| end == "log") && entry.to_string_lossy().contains(topic) {
            let segment = std::fs::read(&entry).unwrap();
            let mut rest = segment.as_slice();
            // Base offset (8 bytes), length of what follows (4), epoch (4), magic (1), checksum (4), attributes (2).
            while rest.len() > 23 {
                codecs.push(rest[22] & 7);
                let length = u32::from_be_bytes(rest[8..12].try_into().unwrap());
                rest = &rest[12 + usize::try_from(length).unwrap()..];
            }
        }
    }
    codecs
}

fn text(record: streams::OwnedRecord) -> String {
    String::from_utf8(record.value.unwrap()).unwrap()
}

#[test]
fn headers_tombstones_and_null_keys_arrive_as_they_were_sent() {
    let kit = Kit::new();
    let topic = kit.topic(1);
    let producer = kit.producer();
    let headers: [(&str, &[u8]); 3] = [("a", b"1"), ("b", &[0xff, 0x00]), ("a", b"2")];
    producer.send(&Outgoing { topic: &topic, value: Some(b""), headers: &headers, ..Outgoing::default() }).unwrap();
    producer.send(&Outgoing { topic: &topic, key: Some(b"gone"), ..Outgoing::default() }).unwrap();
    producer.flush(LONG).unwrap();
    assert_eq!((producer.acked(), producer.in_flight()), (2, 0));
    let records = kit.read(&topic).remove(&0).unwrap();
    assert_eq!((records[0].key.as_deref(), records[0].value.as_deref()), (None, Some(&b""[..])));
    let expected: Vec<(String, Option<Vec<u8>>)> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.to_vec()))).collect();
    assert_eq!(records[0].headers, expected);
    assert_eq!((records[1].key.as_deref(), records[1].value.as_deref()), (Some(&b"gone"[..]), None));
    assert!(records[0].timestamp_ms > 1_700_000_000_000, "the broker writes the time");
}

#[test]
fn what_cannot_be_written_is_told() {
    let kit = Kit::new();
    let topic = kit.topic(1);
    let producer = kit.producer();
    let big = vec![b'x'; 2 << 20];
    let error = producer.send(&Outgoing { topic: &topic, value: Some(&big), ..Outgoing::default() }).unwrap_err();
    assert!(matches!(&error, StreamError::TooLarge { bytes: 2_097_152, .. }), "{error}");
    // A partition that the topic does not have is known to be wrong only once the broker has said how many there are: the next
    // call tells.
    let sent = producer.send(&Outgoing { topic: &topic, partition: Some(9), value: Some(b"x"), ..Outgoing::default() });
    let error = sent.and_then(|()| producer.flush(LONG)).unwrap_err();
    assert!(error.to_string().contains("[9]"), "{error}");
}

#[test]
fn a_dead_letter_is_the_original_with_its_reason() {
    let kit = Kit::new();
    let (input, letters) = (kit.topic(2), kit.topic(1));
    let producer = kit.producer();
    let bytes: &[u8] = &[0xff, 0xfe, 0x00, b'{'];
    let headers: [(&str, &[u8]); 2] = [("traceparent", b"00-x"), ("source", &[0xc3, 0x28])];
    let out = Outgoing { topic: &input, partition: Some(1), key: Some(b"AAPL"), value: Some(bytes), headers: &headers };
    producer.send(&out).unwrap();
    producer.flush(LONG).unwrap();

    let dead_letters = DeadLetters::new(&kit.env, &producer, &["not_json"]).to_topic(letters.as_str());
    let mut reader = kit.reader();
    reader.assign(&[(streams::TopicPartition::new(input.as_str(), 1), 0)]).unwrap();
    loop {
        if let Polled::Record(record) = reader.poll(Duration::from_secs(1)).unwrap() {
            dead_letters.send(&record, "not_json", "expected value at line 1").unwrap();
            break;
        }
    }
    producer.flush(LONG).unwrap();

    let letter = kit.read(&letters).remove(&0).unwrap().remove(0);
    assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"AAPL"[..]), Some(bytes)));
    let letter = letter.as_record();
    assert_eq!(letter.header("traceparent"), Some(&b"00-x"[..]));
    assert_eq!(letter.header("source"), Some(&[0xc3, 0x28][..]));
    for (name, expected) in [
        (dead_letter::REASON, "not_json"),
        (dead_letter::DETAIL, "expected value at line 1"),
        (dead_letter::STAGE, "test"),
        (dead_letter::TOPIC, input.as_str()),
        (dead_letter::PARTITION, "1"),
        (dead_letter::OFFSET, "0"),
    ] {
        assert_eq!(letter.header(name), Some(expected.as_bytes()), "{name}");
    }
    assert!(kit.env.metrics.render().contains("dead_letters_total{reason=\"not_json\"} 1"));
}

#[test]
fn a_missing_topic_is_never_made_by_sending_to_it() {
    let mut kit = Kit::new();
    kit.kafka.librdkafka.insert("topic.metadata.propagation.max.ms".to_owned(), "500".to_owned());
    let topic = testkit::unique("absent");
    let producer = kit.producer();
    let out = Outgoing { topic: &topic, value: Some(b"x"), ..Outgoing::default() };
    let error = match producer.send(&out) {
        Ok(()) => producer.flush(LONG).unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(&error, StreamError::Fatal { .. }) && error.to_string().contains(&topic), "{error}");
    assert!(!kit.admin().list().unwrap().contains_key(&topic));
}
