//! Transactions: all or nothing, for readers of committed data.

use crate::{
    client::{LONG, committed, consumer, create, flush, read_all, send, transactional, values},
    raw::Raw,
    target::{Target, eventually, unique},
};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Message,
    producer::Producer,
};
use std::time::Duration;

#[test]
fn committed_records_are_seen_and_rolled_back_ones_are_not() {
    let target = Target::new();
    let (topic, id) = (unique("tx"), unique("tx-id"));
    create(&target.addr, &topic, 2, &[]);
    let producer = transactional(&target.addr, &id, "30000");
    let round = |name: &str, commit: Option<bool>| {
        producer.begin_transaction().unwrap();
        for partition in 0..2 {
            send(&producer, &topic, partition, "k", name);
        }
        flush(&producer);
        match commit {
            Some(true) => producer.commit_transaction(LONG).unwrap(),
            Some(false) => producer.abort_transaction(LONG).unwrap(),
            None => {}
        }
    };
    round("first", Some(true));
    round("second", Some(false));
    round("third", Some(true));
    round("open", None);
    let mut seen = values(&committed(&target.addr, &topic));
    seen.sort();
    assert_eq!(seen, ["first", "first", "third", "third"]);
    assert_eq!(read_all(&target.addr, &topic, "read_uncommitted").len(), 8);
    producer.commit_transaction(LONG).unwrap();
    assert_eq!(committed(&target.addr, &topic).len(), 6);
}

#[test]
fn an_open_transaction_hides_what_others_wrote_after_it() {
    let target = Target::new();
    let topic = unique("hidden");
    create(&target.addr, &topic, 1, &[]);
    let producer = transactional(&target.addr, &unique("hidden-id"), "30000");
    producer.begin_transaction().unwrap();
    send(&producer, &topic, 0, "k", "open");
    flush(&producer);
    crate::client::fill(&target.addr, &topic, 0, 0..3);
    assert_eq!(committed(&target.addr, &topic), []);
    // The client's own view of the end: the last stable offset, or the log's end.
    let end = |isolation| {
        let reader = consumer(&target.addr, "ends", &[("isolation.level", isolation)]);
        reader.fetch_watermarks(&topic, 0, LONG).unwrap().1
    };
    assert_eq!((end("read_committed"), end("read_uncommitted")), (0, 4));
    producer.abort_transaction(LONG).unwrap();
    assert_eq!(values(&committed(&target.addr, &topic)), ["0", "1", "2"]);
    assert_eq!((end("read_committed"), end("read_uncommitted")), (5, 5));
}

#[test]
fn a_second_producer_of_the_same_name_shuts_out_the_first() {
    let target = Target::new();
    let (topic, id) = (unique("fenced"), unique("fenced-id"));
    create(&target.addr, &topic, 1, &[]);
    let old = transactional(&target.addr, &id, "30000");
    old.begin_transaction().unwrap();
    send(&old, &topic, 0, "k", "of the old one");
    flush(&old);
    let new = transactional(&target.addr, &id, "30000");
    assert_eq!(committed(&target.addr, &topic), []);
    assert_eq!(crate::client::watermarks(&target.addr, &topic, 0).1, 2, "rolled back, not left open");
    let error = old.commit_transaction(LONG).expect_err("the old producer committed");
    assert!(is_fatal(&error), "{error}");
    new.begin_transaction().unwrap();
    send(&new, &topic, 0, "k", "of the new one");
    new.commit_transaction(LONG).unwrap();
    assert_eq!(values(&committed(&target.addr, &topic)), ["of the new one"]);
}

#[test]
fn an_epoch_is_given_again_to_who_lost_the_answer_and_to_nobody_else() {
    let target = Target::new();
    let id = unique("replaced");
    let mut coordinator = Raw::coordinator(&target.addr, &id, 1);
    let newcomer = |coordinator: &mut Raw| {
        eventually(LONG, "a newcomer is let in", || {
            let (error, given) = coordinator.introduce(&id, (-1, -1));
            (error == 0).then_some(given)
        })
    };
    let old = newcomer(&mut coordinator);
    let new = newcomer(&mut coordinator);
    assert_eq!((new.0, new.1), (old.0, old.1 + 1));
    let fenced = 90;
    assert_eq!(coordinator.introduce(&id, old).0, fenced, "the old producer was given the new one's epoch");
    let (error, next) = coordinator.introduce(&id, new);
    assert_eq!((error, next), (0, (new.0, new.1 + 1)));
    assert_eq!(coordinator.introduce(&id, new), (0, next), "the answer was lost");
    assert_eq!(coordinator.introduce(&id, old).0, fenced);
}

fn is_fatal(error: &KafkaError) -> bool {
    matches!(error, KafkaError::Transaction(error) if error.is_fatal())
}

#[test]
fn a_transaction_that_takes_too_long_is_rolled_back() {
    let target = Target::new();
    let topic = unique("slow");
    create(&target.addr, &topic, 1, &[]);
    let producer = transactional(&target.addr, &unique("slow-id"), "6000");
    producer.begin_transaction().unwrap();
    send(&producer, &topic, 0, "k", "too slow");
    flush(&producer);
    crate::client::fill(&target.addr, &topic, 0, 0..1);
    assert_eq!(committed(&target.addr, &topic), []);
    eventually(target.patience(), "readers of committed data go on", || {
        (values(&committed(&target.addr, &topic)) == ["0"]).then_some(())
    });
    producer.commit_transaction(LONG).expect_err("committed after the time was over");
}

#[test]
fn a_reader_of_committed_data_follows_along_without_a_gap() {
    let target = Target::new();
    let topic = unique("along");
    create(&target.addr, &topic, 1, &[]);
    let reader: BaseConsumer = consumer(&target.addr, "along", &[("isolation.level", "read_committed")]);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic, 0, Offset::Beginning).unwrap();
    reader.assign(&list).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let producer = transactional(&target.addr, &unique("along-id"), "30000");
            for round in 0..30 {
                producer.begin_transaction().unwrap();
                for n in 0..10 {
                    send(&producer, &topic, 0, "k", &format!("{round}/{n}"));
                }
                if round % 3 == 0 {
                    flush(&producer);
                    producer.abort_transaction(LONG).unwrap();
                } else {
                    producer.commit_transaction(LONG).unwrap();
                }
            }
        });
        let want: Vec<String> =
            (0..30).filter(|r| r % 3 != 0).flat_map(|r| (0..10).map(move |n| format!("{r}/{n}"))).collect();
        let mut seen = Vec::new();
        eventually(target.patience(), "all committed records are read", || {
            if let Some(Ok(message)) = reader.poll(Duration::from_millis(50)) {
                seen.push(String::from_utf8_lossy(message.payload().unwrap()).into_owned());
            }
            (seen.len() >= want.len()).then_some(())
        });
        assert_eq!(seen, want);
    });
}
