//! The logger on a broker: what it prints, counts, commits, and how it ends.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::{Context, Drain, FakeClock, Shutdown};
use logger::{Config, Outcomes, Summary};
use streams::{Env, Outgoing, Producer};
use testkit::{Brokers, eventually, unique};

const PATIENCE: Duration = Duration::from_secs(60);

fn trade(symbol: &str, id: u64, time_ms: u64) -> String {
    format!(
        r#"{{"kind":"trade","schema_version":1,"venue":"BINANCE","symbol":"{symbol}","trade_id":"{id}","price":61837.63,"quantity":0.02,"side":"sell","conditions":[],"event_time":{time_ms}000000}}"#
    )
}

/// Key, partition, value.
type Sent<'a> = (&'a str, i32, String);

fn send(brokers: &Brokers, topic: &str, records: &[Sent<'_>]) {
    let producer = Producer::new(&Env::standalone("test", &Shutdown::new()), &brokers.config()).unwrap();
    for (key, partition, value) in records {
        let (key, value) = (Some(key.as_bytes()), Some(value.as_bytes()));
        producer.send(&Outgoing { topic, partition: Some(*partition), key, value, headers: &[] }).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Screen {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn config(brokers: &Brokers, topic: &str, group: &str) -> Config {
    let mut config = Config { kafka: brokers.config(), group: group.to_owned(), ..Config::default() };
    config.input = vec![topic.to_owned()];
    config
}

/// Runs it until it has read what is there.
fn read_all(config: Config) -> (Summary, String, String) {
    let screen = Screen::default();
    let ctx = Context::hosted("logger", config, &Shutdown::new());
    let ctx = ctx.with_drain(Drain::already()).with_clock(FakeClock::at(2_000_000_000_000));
    let (metrics, out) = (ctx.metrics.clone(), Box::new(screen.clone()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let summary = runtime.block_on(logger::run_to(ctx, out, false)).unwrap();
    (summary, screen.text(), metrics.render())
}

#[test]
fn every_record_is_shown_checked_and_counted_once() {
    let brokers = Brokers::start();
    let (topic, group) = (unique("logger-raw"), unique("logger"));
    brokers.create(&topic, 3);
    let a = "BINANCE:BTCUSDT";
    send(
        &brokers,
        &topic,
        &[
            (a, 0, trade(a, 10, 1000)),
            (a, 0, trade(a, 11, 999)),
            (a, 0, trade(a, 9, 1000)),
            (a, 0, "{\"kind\":\"trade\"".to_owned()),
            ("MSFT", 0, trade("MSFT", 1, 1000)),
            ("MSFT", 1, trade("MSFT", 2, 1001)),
            ("other", 2, trade("AAPL", 1, 1500)),
        ],
    );
    let (summary, text, metrics) = read_all(config(&brokers, &topic, &group));

    assert_eq!((summary.records, summary.seen, summary.invalid_total()), (7, 6, 1), "{summary:?}");
    let outcomes = |partition: i32| summary.partitions[&format!("{topic}[{partition}]")];
    assert_eq!(outcomes(0), Outcomes { seen: 4, invalid: 1 });
    assert_eq!(outcomes(1), Outcomes { seen: 1, invalid: 0 });
    assert_eq!(outcomes(2), Outcomes { seen: 1, invalid: 0 });
    assert_eq!(summary.kinds["trade"], 6);
    assert_eq!(summary.symbols, 3);
    assert_eq!(summary.checks.wrong_key, 1);
    assert_eq!(summary.checks.moved_partition, 1);
    assert_eq!((summary.checks.time_backwards, summary.checks.id_backwards), (1, 1));
    assert_eq!(summary.invalid.keys().collect::<Vec<_>>(), ["not_json"]);

    assert_eq!(text.lines().count(), 7, "{text}");
    assert!(text.contains("1970-01-01 00:00:01.000  BINANCE:BTCUSDT       trade "), "{text}");
    assert!(text.contains(&format!("{topic}[0]@3 not_json")), "{text}");

    for line in [
        "finflow_logger_records_total{outcome=\"seen\"} 6",
        "finflow_logger_records_total{outcome=\"invalid\"} 1",
        "finflow_logger_invalid_total{reason=\"not_json\"} 1",
        "finflow_logger_invalid_total{reason=\"precision\"} 0",
        "finflow_logger_order_violations_total{check=\"moved_partition\"} 1",
        "finflow_logger_order_violations_total{check=\"untracked\"} 0",
        "finflow_logger_lines_total{result=\"printed\"} 7",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
    }

    let (again, text, _) = read_all(config(&brokers, &topic, &group));
    assert_eq!((again.records, text.as_str()), (0, ""), "the position was committed");
}

#[test]
fn a_limit_leaves_lines_out_and_counts_them() {
    let brokers = Brokers::start();
    let (topic, group) = (unique("logger-limit"), unique("logger"));
    brokers.create(&topic, 1);
    let records: Vec<Sent<'_>> = (0..500).map(|n| ("AAPL", 0, trade("AAPL", n, 1000 + n))).collect();
    send(&brokers, &topic, &records);
    let mut config = config(&brokers, &topic, &group);
    config.lines_per_second = Some(0);
    let (summary, text, _) = read_all(config);
    assert_eq!((summary.records, summary.printed, summary.not_printed), (500, 0, 500));
    assert_eq!(text, "");
}

#[test]
fn a_missing_topic_is_named_and_waited_for() {
    let brokers = Brokers::start();
    let (topic, group) = (unique("logger-later"), unique("logger"));
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("logger", config(&brokers, &topic, &group), &shutdown);
    let (health, screen) = (ctx.health.clone(), Screen::default());
    let out = Box::new(screen.clone());
    let running = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(logger::run_to(ctx, out, false)).unwrap()
    });
    eventually(PATIENCE, "the missing topic is named in /ready", || {
        let report = health.report();
        let reason = report.checks.get("topics")?.reason.clone()?;
        (!report.ready && reason.contains(&topic)).then_some(())
    });
    brokers.create(&topic, 1);
    send(&brokers, &topic, &[("AAPL", 0, trade("AAPL", 1, 1000))]);
    eventually(PATIENCE, "the record is printed", || screen.text().contains("AAPL").then_some(()));
    assert!(health.is_ready(), "{:?}", health.report());
    shutdown.trigger("the test is over");
    let summary = running.join().unwrap();
    assert_eq!(summary.records, 1);
    let (again, _, _) = read_all(config(&brokers, &topic, &group));
    assert_eq!(again.records, 0, "the shutdown committed what was printed");
}

#[test]
fn the_binary_prints_lines_and_a_summary_and_ends_well() {
    let brokers = Brokers::start();
    let (topic, group) = (unique("logger-bin"), unique("logger"));
    brokers.create(&topic, 1);
    send(&brokers, &topic, &[("AAPL", 0, trade("AAPL", 1, 1000)), ("AAPL", 0, trade("AAPL", 2, 1001))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_logger"));
    command.env_clear().current_dir(std::env::temp_dir());
    command.args(["--brokers", &brokers.addr, "--in", &topic, "--group", &group, "--admin", "off"]);
    let output = command.arg("--until-end").output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(stdout.lines().count(), 3, "{stdout}");
    assert!(stdout.lines().last().unwrap().starts_with("{\"records\":2,"), "{stdout}");
}

#[test]
fn a_reader_that_goes_away_ends_it_without_an_error() {
    let brokers = Brokers::start();
    let (topic, group) = (unique("logger-pipe"), unique("logger"));
    brokers.create(&topic, 1);
    let records: Vec<Sent<'_>> = (0..2000).map(|n| ("AAPL", 0, trade("AAPL", n, 1000 + n))).collect();
    send(&brokers, &topic, &records);
    let mut command = Command::new(env!("CARGO_BIN_EXE_logger"));
    command.env_clear().current_dir(std::env::temp_dir()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.args(["--brokers", &brokers.addr, "--in", &topic, "--group", &group, "--admin", "off"]);
    let mut child = command.spawn().unwrap();
    drop(child.stdout.take());
    let status = eventually(PATIENCE, "the logger ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
}
