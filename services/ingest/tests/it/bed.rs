//! A broker with topics of a test's own, and a look at what is in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use harness::{Context, Drain, Shutdown};
use ingest::{Config, Progress, Speed, Summary};
use market::Event;
use streams::{Admin, Env, KafkaConfig, OwnedRecord, topic};
use testkit::{Brokers, unique};

pub struct Bed {
    pub kafka: KafkaConfig,
    pub output: String,
    pub dead_letters: String,
    pub leases: String,
    pub dir: tempfile::TempDir,
}

impl Bed {
    pub fn new() -> Bed {
        static BROKERS: OnceLock<Brokers> = OnceLock::new();
        let bed = Bed::without_topics(BROKERS.get_or_init(Brokers::start).config());
        bed.create_topics();
        bed
    }

    /// On a broker that may not be there yet.
    pub fn without_topics(kafka: KafkaConfig) -> Bed {
        Bed {
            kafka,
            output: unique("raw"),
            dead_letters: unique("dead"),
            leases: unique("leases"),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub fn create_topics(&self) {
        let specs = [
            topic::Spec::delete(&self.output, 3),
            topic::Spec::delete(&self.dead_letters, 1),
            topic::Spec::compact(&self.leases, 1),
        ];
        self.admin().apply(&specs, 1).unwrap();
    }

    pub fn admin(&self) -> Admin {
        Admin::new(&Env::standalone("test", &Shutdown::new()), &self.kafka).unwrap()
    }

    /// As fast as possible, to the end.
    pub fn config(&self, feeds: &[&str]) -> Config {
        Config {
            kafka: self.kafka.clone(),
            output: self.output.clone(),
            dead_letters: self.dead_letters.clone(),
            leases: self.leases.clone(),
            feeds: feeds.iter().map(|feed| feed.parse().unwrap()).collect(),
            speed: Speed::Max,
            progress: Progress::Off,
            ..Config::default()
        }
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Runs to the end of the feeds.
    pub fn run(&self, config: Config) -> anyhow::Result<Summary> {
        let ctx = Context::hosted("ingest", config, &Shutdown::new()).with_drain(Drain::already());
        runtime().block_on(ingest::run(ctx))
    }

    pub fn records(&self, topic: &str) -> Vec<OwnedRecord> {
        let env = Env::standalone("test", &Shutdown::new());
        let mut records = Vec::new();
        streams::read_topic(&env, &self.kafka, topic, &BTreeMap::new(), |record| records.push(record.to_owned()))
            .unwrap();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    pub fn output(&self) -> Vec<OwnedRecord> {
        self.records(&self.output)
    }

    pub fn dead_letters(&self) -> Vec<OwnedRecord> {
        self.records(&self.dead_letters)
    }

    pub fn events(&self) -> Vec<Event> {
        self.output().iter().map(|record| Event::decode(record.value.as_ref().unwrap()).unwrap()).collect()
    }
}

pub fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: OnceLock<tokio::runtime::Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap())
}

pub fn testdata(path: &str) -> String {
    testkit::testdata(path).to_str().unwrap().to_owned()
}

pub fn shared(path: &str) -> Option<PathBuf> {
    testkit::shared(&format!("data/{path}"))
}

pub fn header(record: &OwnedRecord, name: &str) -> String {
    let value = record.as_record().header(name).unwrap_or_else(|| panic!("no header {name} on {record:?}"));
    String::from_utf8(value.to_vec()).unwrap()
}

/// Positions of the records, which must be distinct: `feed:pass:line:sub`.
pub fn positions(records: &[OwnedRecord]) -> BTreeSet<String> {
    let all: Vec<String> = records.iter().map(|record| header(record, "finflow-pos")).collect();
    let distinct: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(distinct.len(), all.len(), "a row was written twice");
    distinct
}

/// A CSV of trades of a few symbols, one a millisecond.
pub fn trades_csv(rows: u64) -> String {
    let mut text = "symbol,time,price,quantity,trade_id\n".to_owned();
    for n in 0..rows {
        let symbol = ["AAPL", "MSFT", "TSLA", "GOOGL", "NVDA"][(n % 5) as usize];
        text.push_str(&format!("{symbol},{},{}.25,{},{}\n", 1_700_000_000_000 + n, 100 + n % 50, 1 + n % 9, n / 5));
    }
    text
}
