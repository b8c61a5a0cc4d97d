//! Interruptions: every row is in Kafka once.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{Context, Shutdown};
use testkit::eventually;

use crate::bed::{Bed, positions, runtime, testdata, trades_csv};

fn ingest(bed: &Bed, feed: &str, extra: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest"));
    command
        .args(["--brokers", &bed.kafka.brokers, "--out", &bed.output, "--feed", feed, "--admin", "off"])
        .args(["--set", &format!("dead_letters={}", bed.dead_letters), "--set", &format!("leases={}", bed.leases)])
        .args(["--set", "checkpoint_every=50ms"])
        .args(extra)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn spawn(bed: &Bed, feed: &str, extra: &[&str]) -> Child {
    ingest(bed, feed, extra).arg("--until-end").spawn().unwrap()
}

fn end_offsets(bed: &Bed) -> i64 {
    bed.admin().watermarks(&bed.output).unwrap().iter().map(|(_, high)| high).sum()
}

/// Bad rows among the good ones: their dead letters must be there once, too.
fn mixed_csv(rows: u64) -> String {
    let mut text = String::new();
    for (n, line) in trades_csv(rows).lines().enumerate() {
        text.push_str(line);
        text.push('\n');
        if n % 97 == 96 {
            text.push_str("AAPL,not a time,1,1,1\n");
        }
    }
    text
}

#[test]
fn killed_again_and_again_every_row_is_written_once() {
    const ROWS: u64 = 60_000;
    let bed = Bed::new();
    let feed = bed.file("t.csv", mixed_csv(ROWS));
    let bad = mixed_csv(ROWS).lines().count() as u64 - 1 - ROWS;
    let mut kills = 0;
    loop {
        let before = end_offsets(&bed);
        let mut child = spawn(&bed, &feed, &["--rate", "30000"]);
        // Kill it once it has written some thousand rows more, at a moment that differs from time to time.
        let target = before + 3_000 + 1_777 * kills;
        let ended = eventually(Duration::from_secs(120), "rows or the end", || match child.try_wait().unwrap() {
            Some(status) => Some(Some(status)),
            None => (end_offsets(&bed) >= target).then_some(None),
        });
        if let Some(status) = ended {
            assert!(status.success(), "{status}");
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills >= 4, "killed only {kills} times");
    assert_eq!(positions(&bed.output()).len() as u64, ROWS);
    assert_eq!(positions(&bed.dead_letters()).len() as u64, bad);
    assert!(bad > 500);
    // In each partition the rows are in the order of the file.
    let mut last = [0u64; 3];
    for record in bed.output() {
        let line: u64 = crate::bed::header(&record, "finflow-pos").split(':').nth(2).unwrap().parse().unwrap();
        let last = &mut last[usize::try_from(record.partition).unwrap()];
        assert!(*last < line);
        *last = line;
    }
}

#[test]
fn a_stopped_replay_goes_on_and_an_ended_one_is_not_repeated() {
    let bed = Bed::new();
    let feed = bed.file("t.csv", trades_csv(20_000));
    let mut config = bed.config(&[&feed]);
    config.rate = 20_000.0;
    let shutdown = Shutdown::new();
    let running = runtime().spawn(ingest::run(Context::hosted("ingest", config.clone(), &shutdown)));
    eventually(Duration::from_secs(30), "some rows", || (end_offsets(&bed) > 2_000).then_some(()));
    shutdown.trigger("half is enough");
    let first = runtime().block_on(running).unwrap().unwrap();
    assert!(first.total() > 2_000 && first.total() < 20_000, "{first:?}");
    config.rate = 0.0;
    let second = bed.run(config.clone()).unwrap();
    assert_eq!(first.total() + second.total(), 20_000);
    assert_eq!((second.resumed, second.skipped), (0, 1 + first.total()), "a clean stop needs no search");
    let third = bed.run(config.clone()).unwrap();
    assert_eq!((third.read, third.total()), (0, 0));
    assert_eq!(positions(&bed.output()).len(), 20_000);
    config.resume = false;
    assert_eq!(bed.run(config).unwrap().total(), 20_000, "unless asked to");
}

/// A file read wrongly is read again once its columns are told rightly, though the wrong reading had ended.
#[test]
fn a_mended_option_is_another_replay() {
    let bed = Bed::new();
    let header = "Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD\n";
    let feed = bed.file("days.csv", format!("{header}HSI,31/12/1986,1,1,1,1,1,1,1\n"));
    let wrong = bed.run(bed.config(&[&feed])).unwrap();
    assert_eq!((wrong.total(), wrong.invalid["bad_time"]), (0, 1));
    let right = bed.run(bed.config(&[&format!("{feed}?time_format=DD/MM/YYYY")])).unwrap();
    assert_eq!((right.total(), right.invalid.len()), (1, 0));
    let again = bed.run(bed.config(&[&format!("{feed}?time_format=DD/MM/YYYY")])).unwrap();
    assert_eq!((again.read, again.total()), (0, 0), "the same reading is the same replay");
}

/// What the binary warns of while it does nothing: a log of warnings alone must say why.
#[test]
fn an_empty_file_and_an_ended_replay_are_warned_of() {
    let bed = Bed::new();
    let (empty, ended) = (bed.file("empty.csv", ""), bed.file("t.csv", trades_csv(10)));
    let warnings = |feed: &str| {
        let mut command = ingest(&bed, feed, &["--until-end", "--log-level", "warn"]);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let log = warnings(&empty);
    assert!(log.contains("the file is empty, nothing to replay") && log.contains("empty.csv"), "{log}");
    let log = warnings(&ended);
    assert!(!log.contains("replayed to its end already"), "{log}");
    let log = warnings(&ended);
    assert!(log.contains("replayed to its end already") && log.contains("resume: false"), "{log}");
}

#[test]
fn a_loop_goes_on_in_its_pass() {
    let bed = Bed::new();
    let feed = bed.file("t.csv", trades_csv(1_000));
    let mut config = bed.config(&[&feed]);
    config.repeat = true;
    config.passes = 3;
    assert_eq!(bed.run(config.clone()).unwrap().total(), 3_000);
    config.passes = 5;
    assert_eq!(bed.run(config).unwrap().total(), 2_000);
    let events = bed.events();
    let mut identities = std::collections::BTreeSet::new();
    for event in &events {
        let market::Event::Trade(trade) = event else { panic!() };
        assert!(identities.insert((trade.symbol.clone(), trade.trade_id.clone())), "{trade:?}");
    }
    assert_eq!(identities.len(), 5_000);
}

#[test]
fn a_loop_in_the_present_goes_on_without_going_back_in_time() {
    let bed = Bed::new();
    let mut config = bed.config(&[&testdata("binance/spot_btcusdt_20240808.head.gz")]);
    config.repeat = true;
    config.rebase = ingest::Rebase::Now;
    for passes in [2, 4] {
        config.passes = passes;
        assert_eq!(bed.run(config.clone()).unwrap().total(), 264);
    }
    let mut last = (i64::MIN, 0);
    for event in bed.events() {
        let market::Event::Trade(trade) = event else { panic!() };
        let now = (trade.event_time, trade.trade_id.unwrap().parse::<u64>().unwrap());
        assert!(last.0 <= now.0 && last.1 < now.1, "{last:?} then {now:?}");
        last = now;
    }
}

#[test]
fn a_topic_made_anew_is_filled_anew() {
    let bed = Bed::new();
    let feed = bed.file("t.csv", trades_csv(1_000));
    assert_eq!(bed.run(bed.config(&[&feed])).unwrap().total(), 1_000);
    let mut config = bed.config(&[&feed]);
    config.output = testkit::unique("raw-again");
    bed.admin().apply(&[streams::topic::Spec::delete(&config.output, 3)], 1).unwrap();
    assert_eq!(bed.run(config).unwrap().total(), 1_000);
}

#[test]
fn a_missing_topic_is_waited_for_and_kafka_may_come_later() {
    let bed = Bed::new();
    let feed = bed.file("t.csv", trades_csv(100));
    let mut config = bed.config(&[&feed]);
    config.output = testkit::unique("later");
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("ingest", config.clone(), &shutdown).with_drain(harness::Drain::already());
    let health = ctx.health.clone();
    let running = runtime().spawn(ingest::run(ctx));
    eventually(Duration::from_secs(30), "the missing topic is named", || {
        let report = health.report();
        let reason = report.checks.get("topics").and_then(|check| check.reason.clone());
        (!report.ready && reason?.contains(&config.output)).then_some(())
    });
    bed.admin().apply(&[streams::topic::Spec::delete(&config.output, 3)], 1).unwrap();
    assert_eq!(runtime().block_on(running).unwrap().unwrap().total(), 100);
}

/// `INGEST_BIN=… INGEST_FEED=… cargo test -p ingest --test it -- --ignored --nocapture throughput`
#[test]
#[ignore = "a measurement, not a check"]
fn throughput() {
    let bed = Bed::new();
    let binary = std::env::var("INGEST_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ingest").to_owned());
    let feed = std::env::var("INGEST_FEED").unwrap_or_else(|_| bed.file("t.csv", trades_csv(500_000)));
    let started = std::time::Instant::now();
    let output = Command::new("bash")
        .args(["-c", "time $WRAP \"$0\" \"$@\"", &binary])
        .args(["--brokers", &bed.kafka.brokers, "--out", &bed.output, "--feed", &feed, "--until-end", "--admin", "off"])
        .args(["--set", &format!("dead_letters={}", bed.dead_letters), "--set", &format!("leases={}", bed.leases)])
        .args(["--speed", "max"])
        .output()
        .unwrap();
    let rows = end_offsets(&bed);
    println!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{rows} rows in {:?}, {:.0} rows/s", started.elapsed(), rows as f64 / started.elapsed().as_secs_f64());
}

/// Bad rows are set aside while the file is read, before the first draw: a restart, clean or not, repeats neither them
/// nor a draw, and goes on drawing.
#[test]
fn a_sample_goes_on_and_repeats_nothing() {
    const BAD: usize = 30;
    let bed = Bed::new();
    let bad = "AAPL,not a time,1,1,1\n".repeat(BAD);
    let feed = bed.file("t.csv", format!("{}{bad}", trades_csv(20)));
    let draws = |count: i64| {
        let target = end_offsets(&bed) + count;
        let mut child = ingest(&bed, &feed, &["--sample", "--set", "sample_every=3ms"]).spawn().unwrap();
        eventually(Duration::from_secs(60), "draws", || (end_offsets(&bed) >= target).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
    };
    draws(1);
    draws(40);
    let mut config = bed.config(&[&feed]);
    config.sample = true;
    config.sample_every = harness::Duration::from_millis(2);
    for _ in 0..2 {
        let target = end_offsets(&bed) + 20;
        let shutdown = Shutdown::new();
        let running = runtime().spawn(ingest::run(Context::hosted("ingest", config.clone(), &shutdown)));
        eventually(Duration::from_secs(60), "draws", || (end_offsets(&bed) >= target).then_some(()));
        shutdown.trigger("enough");
        runtime().block_on(running).unwrap().unwrap();
    }
    let passes = |position: &String| -> u64 { position.split(':').nth(1).unwrap().parse().unwrap() };
    let drawn: std::collections::BTreeSet<u64> = positions(&bed.output()).iter().map(passes).collect();
    assert_eq!(drawn.len(), bed.output().len(), "each draw is written once");
    assert_eq!(drawn.last(), Some(&(drawn.len() as u64)), "and none is missing");
    assert_eq!(bed.dead_letters().len(), BAD);
}
