//! The rules on a broker: which alerts they raise, where and once; what they remember over a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use alert::{Config, Judge, Rule, Summary};
use harness::{Context, Drain, FakeClock, Shutdown};
use market::{Alert, AlertState, Decimal, Input, Metrics, Price, Quality, Quantity, VwapReason};
use streams::{Env, Outgoing, OwnedRecord, Producer, dead_letter, header, read_topic};
use testkit::{Brokers, unique};

const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: i64 = 60_000_000_000;
const BTC: &str = "BINANCE:BTCUSDT";

/// A broker, and topics and a group that no other test uses.
struct Bench {
    brokers: Brokers,
    config: Config,
}

impl Bench {
    fn new(rules: &[&str]) -> Bench {
        let name = |what: &str| unique(&format!("alert-{what}"));
        let brokers = Brokers::start();
        let config = Config {
            kafka: brokers.config(),
            group: name("group"),
            input: name("metrics"),
            output: name("alerts"),
            state: name("state"),
            dead_letters: name("dead"),
            transactional_id: name("txn"),
            rules: rules.iter().map(|rule| serde_json::from_str::<Rule>(rule).unwrap()).collect(),
            ..Config::default()
        };
        brokers.create(&config.input, 3);
        brokers.create(&config.output, 2);
        brokers.create(&config.dead_letters, 1);
        brokers.create_compacted(&config.state, 3);
        Bench { brokers, config }
    }

    fn env(&self) -> Env {
        Env::standalone("test", &Shutdown::new())
    }

    fn send(&self, values: &[(&str, Vec<u8>)]) {
        let producer = Producer::new(&self.env(), &self.config.kafka).unwrap();
        for (key, value) in values {
            let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
            producer.send(&Outgoing { topic: &self.config.input, partition: None, key, value, headers: &[] }).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn send_metrics(&self, metrics: &[Metrics]) {
        let encoded = |m: &Metrics| {
            let mut value = Vec::new();
            m.encode(&mut value);
            value
        };
        let values: Vec<_> = metrics.iter().map(|m| (m.symbol.as_str(), encoded(m))).collect();
        self.send(&values);
    }

    fn run(&self, config: Config) -> Summary {
        let ctx = Context::hosted("alert", config, &Shutdown::new());
        let ctx = ctx.with_drain(Drain::already()).with_clock(FakeClock::at(0));
        tokio::runtime::Runtime::new().unwrap().block_on(alert::run(ctx)).unwrap()
    }

    fn records(&self, topic: &str) -> Vec<OwnedRecord> {
        let mut records = Vec::new();
        read_topic(&self.env(), &self.brokers.config(), topic, &BTreeMap::new(), |r| records.push(r.to_owned()))
            .unwrap();
        records
    }

    /// Ids and values, in the order of the windows.
    fn alerts(&self) -> Vec<(String, String)> {
        let records = self.records(&self.config.output);
        let mut alerts: Vec<Alert> =
            records.iter().map(|r| Alert::decode(r.value.as_deref().unwrap()).unwrap()).collect();
        alerts.sort_by_key(|a| (a.event_time, a.alert_id.clone()));
        alerts.into_iter().map(|a| (a.alert_id, a.value.to_string())).collect()
    }
}

/// One minute of a symbol, final.
fn minute(symbol: &str, n: i64, close: &str, change_pct: &str) -> Metrics {
    let close: Option<Price> = Some(close.parse().unwrap());
    Metrics {
        symbol: symbol.to_owned(),
        window: "1m".parse().unwrap(),
        window_start: n * MINUTE,
        window_end: (n + 1) * MINUTE,
        rev: 0,
        is_final: true,
        closed_by: None,
        open: close,
        high: close,
        low: close,
        close,
        volume: Quantity::ZERO,
        quote_volume: Some(Decimal::ZERO),
        vwap: None,
        vwap_reason: Some(VwapReason::ZeroVolume),
        twap: None,
        average: None,
        min: close,
        max: close,
        change_pct: Some(change_pct.parse().unwrap()),
        trade_count: 1,
        volatility: None,
        buy_volume: None,
        partial: false,
        quality: Quality::Complete,
        input: Input { partition: 0, first_offset: 0, last_offset: 0 },
        input_before: Vec::new(),
        late: 0,
        duplicate: 0,
        backfilled: 0,
        config: String::new(),
        bars: None,
        averages: Vec::new(),
        gap: false,
        reasons: Default::default(),
        sentiment: None,
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, value)| ((*id).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn rules_raise_and_resolve_and_remember_over_a_restart() {
    let bench = Bench::new(&[
        r#"{"name":"high","symbols":"BINANCE:*","window":"1m","above":"100","clear":"95"}"#,
        r#"{"name":"move","window":"1m","move_pct":1}"#,
    ]);
    bench.send_metrics(&[minute(BTC, 0, "99", "0.5"), minute(BTC, 1, "101", "0.4"), minute("AAPL", 1, "300", "-1.5")]);
    let summary = bench.run(bench.config.clone());
    assert_eq!((summary.outcomes.folded, summary.outcomes.sum(), summary.alerts), (3, 3, 2));
    let fired = [("high/BINANCE:BTCUSDT/1m/60000000000/fired", "101"), ("move/AAPL/1m/60000000000/fired", "-1.5")];
    assert_eq!(bench.alerts(), pairs(&fired));

    // What has fired stays fired over the restart: inside the band nothing happens, below it the alert is resolved, once.
    bench.send_metrics(&[minute(BTC, 2, "102", "0"), minute(BTC, 3, "96", "0"), minute(BTC, 4, "95", "0")]);
    assert_eq!(bench.run(bench.config.clone()).alerts, 1);
    bench.send_metrics(&[minute(BTC, 5, "94", "0")]);
    assert_eq!(bench.run(bench.config.clone()).alerts, 0);
    let resolved = [("high/BINANCE:BTCUSDT/1m/240000000000/resolved", "95")];
    assert_eq!(bench.alerts(), pairs(&[fired.as_slice(), &resolved].concat()));

    let records = bench.records(&bench.config.output);
    for record in &records {
        let alert = Alert::decode(record.value.as_deref().unwrap()).unwrap();
        assert_eq!(record.key.as_deref(), Some(alert.symbol.as_bytes()));
        assert_eq!(record.as_record().header(header::EVENT_ID), Some(alert.alert_id.as_bytes()));
        let source = format!("kafka:{}", bench.config.input);
        assert_eq!(record.as_record().header(header::SOURCE), Some(source.as_bytes()));
        assert_eq!(record.partition, market::symbol::partition(alert.symbol.as_bytes(), 2));
    }
    assert_eq!(records.len(), 3);
}

/// What has fired goes with its symbol when that moves to another partition.
#[test]
fn what_has_fired_follows_its_symbol_to_more_partitions() {
    let bench = Bench::new(&[r#"{"name":"high","window":"1m","above":"100","clear":"95"}"#]);
    // The separator of the state's keys is part of one symbol.
    let symbols: Vec<String> = (0..8).map(|n| format!("KRAKEN:T{n}/USD")).collect();
    let all = |minutes: i64, close: &str| -> Vec<Metrics> {
        symbols.iter().map(|symbol| minute(symbol, minutes, close, "0")).collect()
    };
    bench.send_metrics(&all(0, "101"));
    assert_eq!(bench.run(bench.config.clone()).alerts, 8);
    let ctx = Context::hosted("alert", bench.config.clone(), &Shutdown::new());
    let done = tokio::runtime::Runtime::new().unwrap().block_on(alert::repartition(ctx, 6)).unwrap();
    assert!(done.keys == 8 && done.moved > 0, "{done:?}");
    bench.send_metrics(&all(1, "102"));
    assert_eq!(bench.run(bench.config.clone()).alerts, 0, "none is told again");
    bench.send_metrics(&all(2, "90"));
    assert_eq!(bench.run(bench.config.clone()).alerts, 8, "each is resolved");
}

#[test]
fn aliens_are_set_aside_and_updates_wait_for_their_final() {
    let bench = Bench::new(&[r#"{"name":"high","window":"1m","above":100}"#]);
    let open = Metrics { is_final: false, ..minute(BTC, 0, "120", "0") };
    let closed = Metrics { rev: 1, ..minute(BTC, 0, "101", "0") };
    bench.send_metrics(&[open.clone(), closed.clone(), closed.clone()]);
    bench.send(&[("x", b"\xff\xfe".to_vec()), ("x", br#"{"kind":"trade","symbol":"A"}"#.to_vec()), ("x", Vec::new())]);
    let summary = bench.run(bench.config.clone());
    let o = summary.outcomes;
    assert_eq!((o.folded, o.duplicate, o.invalid, o.other_kind), (1, 1, 3, 1), "{summary:?}");
    assert_eq!(bench.alerts(), pairs(&[("high/BINANCE:BTCUSDT/1m/0/fired", "101")]));
    let letters = bench.records(&bench.config.dead_letters);
    assert_eq!(letters.len(), 3);
    for letter in &letters {
        let stage = letter.as_record().header(dead_letter::STAGE);
        assert_eq!(stage, Some(&b"alert"[..]));
        assert!(letter.as_record().header(dead_letter::REASON).is_some_and(|reason| !reason.is_empty()));
    }

    // Judged as they come, the update is the one that fires.
    let eager = Bench::new(&[r#"{"name":"high","window":"1m","above":100}"#]);
    eager.send_metrics(&[open, closed]);
    eager.run(Config { judge: Judge::Every, ..eager.config.clone() });
    assert_eq!(eager.alerts(), pairs(&[("high/BINANCE:BTCUSDT/1m/0/fired", "120")]));
}

/// Strangers' records in the state topic are passed over, also where their key looks like one of ours; what lies under
/// a rule's own key and cannot be read stops the stage.
#[test]
fn aliens_in_the_state_are_passed_over_and_damage_is_not() {
    let bench = Bench::new(&[r#"{"name":"high","window":"1m","above":100}"#]);
    let put = |key: &str, value: &[u8]| {
        let producer = Producer::new(&bench.env(), &bench.brokers.config()).unwrap();
        let (key, value) = (Some(key.as_bytes()), Some(value));
        let out = Outgoing { topic: &bench.config.state, partition: Some(0), key, value, headers: &[] };
        producer.send(&out).unwrap();
        producer.flush(PATIENCE).unwrap();
    };
    for key in ["alien", "KRAKEN:BTC/USD", "high-once/KRAKEN:BTC/USD", "/"] {
        put(key, b"[1,2");
    }
    let run = || {
        let ctx = Context::hosted("alert", bench.config.clone(), &Shutdown::new());
        let ctx = ctx.with_drain(Drain::already()).with_clock(FakeClock::at(0));
        let metrics = ctx.metrics.clone();
        let result = tokio::runtime::Runtime::new().unwrap().block_on(alert::run(ctx));
        (result, metrics.render())
    };
    let (result, metrics) = run();
    result.unwrap();
    assert!(metrics.contains("finflow_alert_alien_state_records_total 4\n"), "{metrics}");
    put("high/KRAKEN:BTC/USD", b"[1,2");
    let error = format!("{:#}", run().0.unwrap_err());
    assert!(error.contains("the state of \"high/KRAKEN:BTC/USD\" cannot be read"), "{error}");
}

#[test]
fn the_default_rules_find_what_the_recordings_hold() {
    // The largest moves of the committed recordings: 0.12 % in a minute, 0.28 % in five.
    let bench = Bench::new(&[]);
    let mut five = minute(BTC, 0, "1", "-0.28");
    five.window = "5m/1m".parse().unwrap();
    five.window_end = 5 * MINUTE;
    bench.send_metrics(&[minute(BTC, 0, "1", "0.12"), five]);
    let config = Config { rules: Config::default().rules, ..bench.config.clone() };
    assert_eq!(bench.run(config).alerts, 2);
    let states: Vec<AlertState> = bench
        .records(&bench.config.output)
        .iter()
        .map(|r| Alert::decode(r.value.as_deref().unwrap()).unwrap().state)
        .collect();
    assert_eq!(states, [AlertState::Fired, AlertState::Fired]);
}
