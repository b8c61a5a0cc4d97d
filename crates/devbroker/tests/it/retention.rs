//! Old records go: by age, by size, by key.

use crate::{
    client::{admin, admin_options, committed, create, flush, producer, watermarks},
    target::{Target, block_on, eventually, now_ms, unique},
};
use rdkafka::{admin::ResourceSpecifier, producer::BaseRecord};
use std::time::Duration;

const HOUR_MS: i64 = 3_600_000;

/// A target that looks for old records often enough to wait for it.
fn target(what: &str) -> Option<Target> {
    let target = Target::new();
    let broker = ResourceSpecifier::Broker(1);
    let described = block_on(admin(&target.addr).describe_configs(&[broker], &admin_options())).unwrap();
    let described = described.into_iter().next().unwrap().unwrap();
    let every = described.get("log.retention.check.interval.ms").and_then(|entry| entry.value.clone());
    let every: u64 = every.and_then(|value| value.parse().ok()).unwrap_or(u64::MAX);
    if every > 30_000 {
        eprintln!(
            "skipped: {what}: this broker looks for old records every {every} ms only (log.retention.check.interval.ms)"
        );
        return None;
    }
    Some(target)
}

/// Sends one record a batch of its own, `age_ms` old.
fn send_old(target: &Target, topic: &str, key: &str, value: &str, age_ms: i64) {
    let producer = producer(&target.addr, &[]);
    let record = BaseRecord::to(topic).partition(0).key(key).payload(value).timestamp(now_ms() - age_ms);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    flush(&producer);
}

#[test]
fn records_go_by_age() {
    let Some(target) = target("retention by age") else { return };
    let topic = unique("aged");
    create(
        &target.addr,
        &topic,
        1,
        &[("retention.ms", "3600000"), ("segment.ms", "60000"), ("file.delete.delay.ms", "0")],
    );
    for (n, hours) in [3, 2, 0].into_iter().enumerate() {
        send_old(&target, &topic, "k", &n.to_string(), hours * HOUR_MS);
    }
    eventually(Duration::from_secs(60), "two records are too old", || {
        (watermarks(&target.addr, &topic, 0) == (2, 3)).then_some(())
    });
    assert_eq!(committed(&target.addr, &topic).len(), 1);
}

#[test]
fn records_go_by_size() {
    let Some(target) = target("retention by size") else { return };
    let topic = unique("sized");
    create(&target.addr, &topic, 1, &[("retention.bytes", "2000000"), ("segment.bytes", "1048576")]);
    let value = "x".repeat(500_000);
    for n in 0..10 {
        send_old(&target, &topic, &n.to_string(), &value, 0);
    }
    // Two records fill a segment, and whole segments go while what is left is still as much as was asked for.
    eventually(Duration::from_secs(60), "the log is short again", || {
        (watermarks(&target.addr, &topic, 0) == (6, 10)).then_some(())
    });
    assert_eq!(committed(&target.addr, &topic).len(), 4);
}

#[test]
fn of_each_key_the_last_record_stays() {
    let target = Target::new();
    let topic = unique("compacted");
    let config = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("segment.ms", "60000"),
        ("delete.retention.ms", "0"),
    ];
    create(&target.addr, &topic, 1, &config);
    // Each in a segment of its own, by its age.
    let records =
        [("a", "1", 6), ("b", "1", 5), ("a", "2", 4), ("c", "1", 3), ("b", "2", 2), ("a", "3", 1), ("z", "last", 0)];
    for (key, value, hours) in records {
        send_old(&target, &topic, key, value, hours * HOUR_MS);
    }
    let left = || {
        let all = committed(&target.addr, &topic);
        all.into_iter().map(|record| (record.offset, record.key.unwrap(), record.value.unwrap())).collect::<Vec<_>>()
    };
    let want = [(3, "c", "1"), (4, "b", "2"), (5, "a", "3"), (6, "z", "last")];
    eventually(Duration::from_secs(90), "only the last of each key is left", || {
        let left = left();
        let same =
            left.len() == want.len() && left.iter().zip(want).all(|(l, w)| (l.0, l.1.as_str(), l.2.as_str()) == w);
        same.then_some(())
    });
    assert_eq!(watermarks(&target.addr, &topic, 0).1, 7, "offsets stay what they are");
}
