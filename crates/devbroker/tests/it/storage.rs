//! Folders, disks and memory that do not do as one wishes.

use crate::{
    client::{admin, committed, create, fill, flush, producer, send},
    crash::{Process, folder},
    target::{block_on, options, start, unique},
};
use devbroker::{Broker, Options};
use rdkafka::producer::Producer;
use std::{process::Command, time::Duration};

/// A shell that starts the broker with files limited to 2 MiB: a write beyond is cut short, then fails, as on a full disk.
fn limited() -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_devbroker")]);
    command
}

#[test]
fn on_a_full_disk_it_refuses_and_lives_and_loses_nothing() {
    let Some((_dir, data)) = folder("filling the disk") else { return };
    let mut broker = Process::start_as(&data, "127.0.0.1:0", limited());
    let topic = unique("full");
    create(&broker.addr, &topic, 1, &[]);
    let writer = producer(&broker.addr, &[("message.timeout.ms", "1500"), ("batch.size", "200000")]);
    let value = "x".repeat(50_000);
    for n in 0..60 {
        send(&writer, &topic, 0, &format!("k{n}"), &value);
        writer.poll(Duration::ZERO);
    }
    let _ = writer.flush(Duration::from_secs(20));
    let acked = writer.context().acked.lock().unwrap().len();
    let failed = writer.context().failed.lock().unwrap().len();
    assert!(acked > 20 && failed > 5 && acked + failed == 60, "{acked} acknowledged, {failed} refused");
    let log = std::fs::read_to_string(&broker.log).unwrap();
    assert!(log.contains("cannot write to the log: records are refused until it can be written again"), "{log}");

    assert!(broker.is_alive());
    assert_eq!(committed(&broker.addr, &topic).len(), acked);
    let other = unique("other");
    create(&broker.addr, &other, 1, &[]);
    fill(&broker.addr, &other, 0, 0..3);

    // There is room again: all that was acknowledged is there, and it goes on.
    let (dir, addr) = broker.kill();
    let broker = Process::start(&dir, &addr);
    let writer = producer(&broker.addr, &[]);
    send(&writer, &topic, 0, "later", &value);
    flush(&writer);
    let records = committed(&broker.addr, &topic);
    assert_eq!(records.len(), acked + 1);
    assert!(records[..acked].iter().all(|record| record.value.as_deref() == Some(&value)));
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let Some((dir, _)) = folder("its folder") else { return };
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = block_on(Broker::start(options(&file.join("below")))).err().unwrap().to_string();
    assert!(error.contains("file/below") && error.contains("needs to write there"), "{error}");

    let broker = start(&dir.path().join("used"));
    let error = block_on(Broker::start(options(&dir.path().join("used")))).err().unwrap().to_string();
    assert!(error.contains("in use by another broker"), "{error}");
    let taken = Options::new(dir.path().join("other"), broker.addr());
    let error = block_on(Broker::start(taken)).err().unwrap().to_string();
    assert!(error.contains(&format!("cannot listen on {}", broker.addr())), "{error}");

    // Free again as soon as the first one has stopped.
    block_on(broker.stop());
    let again = start(&dir.path().join("used"));
    drop(again);
}

#[test]
fn at_rest_it_takes_little_memory() {
    let Some((_dir, data)) = folder("its memory") else { return };
    let broker = Process::start(&data, "127.0.0.1:0");
    for n in 0..5 {
        let topic = unique("small");
        create(&broker.addr, &topic, 3, &[]);
        fill(&broker.addr, &topic, n % 3, 0..2000);
        assert_eq!(committed(&broker.addr, &topic).len(), 2000);
    }
    let _ = admin(&broker.addr);
    let rss = broker.rss_kib();
    eprintln!("memory at rest: {} MiB", rss / 1024);
    assert!(rss < 20 * 1024, "{rss} KiB");
}
