//! The aggregator on a broker: what it emits, refuses, counts and commits, and what a crash does to it: nothing.

mod crash;
mod ledger;
mod news;
mod repartition;
mod restart;
mod soak;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use aggregate::{Config, Summary};
use harness::{Clock, Context, Drain, Shutdown};
use market::window::{Fold, Input, Moment, Options};
use market::{Decimal, Event, Metrics, Price, Quantity, Side, Trade};
use streams::{Env, Outgoing, OwnedRecord, Producer, read_topic};
use testkit::{Brokers, set_session, testdata, unique};

const PATIENCE: Duration = Duration::from_secs(60);
const S: i64 = 1_000_000_000;

/// A broker, and topics and a group that no other test uses.
struct Bench {
    brokers: Brokers,
    input: String,
    output: String,
    state: String,
    dead_letters: String,
    group: String,
}

impl Bench {
    fn new(partitions: i32) -> Bench {
        let name = |what: &str| unique(&format!("aggregate-{what}"));
        let bench = Bench {
            brokers: Brokers::start(),
            input: name("raw"),
            output: name("metrics"),
            state: name("state"),
            dead_letters: name("dead"),
            group: name("group"),
        };
        bench.brokers.create(&bench.input, partitions);
        bench.brokers.create(&bench.output, partitions);
        bench.brokers.create(&bench.dead_letters, 1);
        bench.brokers.create_compacted(&bench.state, partitions);
        bench
    }

    fn config(&self) -> Config {
        Config {
            kafka: self.brokers.config(),
            group: self.group.clone(),
            input: self.input.clone(),
            output: self.output.clone(),
            state: self.state.clone(),
            dead_letters: self.dead_letters.clone(),
            transactional_id: self.group.clone(),
            rollups: market::window::Options::default().rollups,
            ..Config::default()
        }
    }

    /// As short as the broker allows.
    fn session(&self) -> Duration {
        Duration::from_secs(if self.brokers.is_embedded() { 2 } else { 6 })
    }

    fn env(&self) -> Env {
        Env::standalone("test", &Shutdown::new())
    }

    fn producer(&self) -> Producer {
        Producer::new(&self.env(), &self.brokers.config()).unwrap()
    }

    /// Sends values with the key that their symbol is, and waits until they are there.
    fn send(&self, values: &[(&str, Vec<u8>)]) {
        let producer = self.producer();
        for (key, value) in values {
            let (key, value) = (Some(key.as_bytes()), Some(value.as_slice()));
            producer.send(&Outgoing { topic: &self.input, partition: None, key, value, headers: &[] }).unwrap();
        }
        producer.flush(PATIENCE).unwrap();
    }

    fn send_trades(&self, trades: &[Trade]) {
        let values: Vec<(&str, Vec<u8>)> = trades.iter().map(|t| (t.symbol.as_str(), encoded(t))).collect();
        self.send(&values);
    }

    /// Runs until what is there is read, folded and closed.
    fn run_to_end(&self, config: Config, clock: impl Clock) -> Summary {
        let ctx = Context::hosted("aggregate", config, &Shutdown::new());
        let ctx = ctx.with_drain(Drain::already()).with_clock(clock);
        tokio::runtime::Runtime::new().unwrap().block_on(aggregate::run(ctx)).unwrap()
    }

    fn records(&self, topic: &str) -> Vec<OwnedRecord> {
        let mut records = Vec::new();
        read_topic(&self.env(), &self.brokers.config(), topic, &BTreeMap::new(), |r| records.push(r.to_owned()))
            .unwrap();
        records
    }

    /// Every committed record of the output.
    fn metrics(&self) -> Vec<Metrics> {
        let records = self.records(&self.output);
        records.iter().map(|r| Metrics::decode(r.value.as_deref().unwrap()).unwrap()).collect()
    }
}

fn encoded(trade: &Trade) -> Vec<u8> {
    let mut value = Vec::new();
    Event::Trade(trade.clone()).encode(&mut value);
    value
}

fn trade(symbol: &str, id: u64, seconds: f64, price: &str, quantity: &str) -> Trade {
    Trade {
        venue: "TEST".to_owned(),
        symbol: symbol.to_owned(),
        trade_id: Some(id.to_string()),
        price: price.parse().unwrap(),
        quantity: quantity.parse().unwrap(),
        side: Some(Side::Buy),
        conditions: Vec::new(),
        event_time: (seconds * 1e9) as i64,
        receive_time: Some((seconds * 1e9) as i64),
        backfilled: false,
    }
}

/// The futures trades of the committed recording.
fn recording() -> Vec<Trade> {
    let packed = std::fs::read(testdata("binance/usdm_btcusdt_20240808.trades.csv.gz")).unwrap();
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let c: Vec<&str> = line.split(',').collect();
        Trade {
            venue: "BINANCE_USDM".to_owned(),
            symbol: "BINANCE_USDM:BTCUSDT".to_owned(),
            trade_id: Some(c[2].to_owned()),
            price: Price::new(c[3].parse().unwrap()),
            quantity: Quantity::new(c[4].parse().unwrap()).unwrap(),
            side: Some(if c[8] == "true" { Side::Sell } else { Side::Buy }),
            conditions: Vec::new(),
            event_time: c[5].parse::<i64>().unwrap() * 1_000_000,
            receive_time: Some(c[7].parse().unwrap()),
            backfilled: false,
        }
    });
    rows.collect()
}

/// The last revision of every window; revisions must have no gap and no repeat.
fn last_revisions(metrics: &[Metrics]) -> BTreeMap<(String, String, i64), Metrics> {
    let mut last = BTreeMap::new();
    for record in metrics {
        let key = (record.symbol.clone(), record.window.to_string(), record.window_start);
        let before: Option<Metrics> = last.insert(key, record.clone());
        assert_eq!(record.rev, before.map_or(0, |b| b.rev + 1), "{record:?}");
    }
    last
}

/// What may differ between two runs over the same trades, made equal.
fn content(record: &Metrics) -> Metrics {
    Metrics { rev: 0, is_final: true, closed_by: None, ..record.clone() }
}

/// The same trades of one partition folded in this process, in one go.
fn batch(trades: &[(i64, Trade)], partition: i32, options: &Options) -> Vec<Metrics> {
    let (mut fold, mut out) = (Fold::new(options, partition).unwrap(), Vec::new());
    for (offset, t) in trades {
        fold.trade(&Input::of_owned(t, *offset), &mut out);
    }
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
    out
}

/// What a batch computation makes of everything that is in the input topic.
fn batch_of_input(bench: &Bench, options: &Options) -> BTreeMap<(String, String, i64), Metrics> {
    let mut partitions: BTreeMap<i32, Vec<(i64, Trade)>> = BTreeMap::new();
    for record in bench.records(&bench.input) {
        if let Ok(Event::Trade(trade)) = Event::decode(record.value.as_deref().unwrap_or_default()) {
            partitions.entry(record.partition).or_default().push((record.offset, trade));
        }
    }
    let records: Vec<Metrics> =
        partitions.iter().flat_map(|(partition, trades)| batch(trades, *partition, options)).collect();
    last_revisions(&records)
}

fn assert_equals_batch(bench: &Bench, options: &Options) {
    let (ours, expected) = (last_revisions(&bench.metrics()), batch_of_input(bench, options));
    assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (key, record) in &ours {
        assert!(record.is_final, "{key:?}");
        assert_eq!(content(record), content(&expected[key]), "{key:?}");
    }
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}
