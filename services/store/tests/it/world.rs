//! A broker, an S3, a topic of each kind, and any number of stores between them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::time::Duration;

use harness::{Context, Drain, Secret, Shutdown};
use lake::bucket::{Bucket, list_all};
use lake::{Claim, Paths, S3 as Client, S3Config, Source, Target};
use store::{Config, Summary};
use streams::{Env, Outgoing, Producer};
use testkit::{Brokers, S3, set_session, unique};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

pub const LONG: Duration = Duration::from_secs(60);

pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().expect("a runtime starts"))
}

/// One broker and one S3 for all tests of this binary: names keep them apart.
fn parts() -> &'static (Brokers, S3) {
    static PARTS: OnceLock<(Brokers, S3)> = OnceLock::new();
    PARTS.get_or_init(|| (Brokers::start(), S3::start()))
}

pub struct World {
    pub config: Config,
    producer: Producer,
}

impl World {
    /// Topics of these numbers of partitions: events, metrics, alerts, dead letters.
    pub fn new(name: &str, partitions: [i32; 4]) -> Self {
        let (brokers, s3) = parts();
        let name = unique(name);
        let mut config = Config {
            kafka: brokers.config(),
            group: format!("{name}-store"),
            input: format!("{name}-raw"),
            metrics: format!("{name}-metrics"),
            alerts: format!("{name}-alerts"),
            dead_letters: format!("{name}-dlq"),
            s3: S3Config {
                endpoint: s3.endpoint.clone(),
                bucket: s3.bucket.clone(),
                prefix: name.clone(),
                access_key: s3.access_key.clone(),
                secret_key: Secret::new(&s3.secret_key),
                ..S3Config::default()
            },
            ..Config::default()
        };
        // A killed member is missed soon; the group must not make a test wait for half a minute.
        set_session(&mut config.kafka, 6000);
        let topics = [&config.input, &config.metrics, &config.alerts, &config.dead_letters];
        for (topic, partitions) in topics.into_iter().zip(partitions) {
            brokers.create(topic, partitions);
        }
        let env = Env::standalone("test", &Shutdown::new());
        let producer = Producer::new(&env, &config.kafka).expect("a producer");
        Self { config, producer }
    }

    /// The same topics, stored by another group into a lake of its own.
    pub fn clone_at(&self, name: &str) -> Self {
        let mut config = self.config.clone();
        config.group = format!("{}-{name}", config.group);
        config.s3.prefix = format!("{}-{name}", config.s3.prefix);
        let env = Env::standalone("test", &Shutdown::new());
        let producer = Producer::new(&env, &config.kafka).expect("a producer");
        Self { config, producer }
    }

    pub fn send(&self, topic: &str, partition: i32, value: &[u8]) {
        let out = Outgoing { topic, partition: Some(partition), value: Some(value), ..Outgoing::default() };
        self.producer.send(&out).expect("the record is queued");
    }

    pub fn flush(&self) {
        self.producer.flush(LONG).expect("the records are written");
    }

    pub fn trade(n: i64, event_time: i64) -> String {
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"BINANCE","symbol":"BINANCE:BTCUSDT","trade_id":"{n}","price":61837.63,"quantity":0.02,"side":"sell","event_time":{event_time}}}"#
        )
    }

    /// Trades `from..to` into partition 0 of the events, one a minute from midnight of 2024-08-08.
    pub fn trades(&self, from: i64, to: i64) {
        for n in from..to {
            self.send(&self.config.input, 0, Self::trade(n, MIDNIGHT + n * 60_000_000_000).as_bytes());
        }
        self.flush();
    }

    /// Runs a store to the end of what is there.
    pub fn drain(&self) -> Summary {
        self.try_drain().expect("the store runs to the end")
    }

    pub fn try_drain(&self) -> anyhow::Result<Summary> {
        let ctx = Context::hosted("store", self.config.clone(), &Shutdown::new()).with_drain(Drain::already());
        runtime().block_on(async { tokio::time::timeout(LONG, store::run(ctx)).await.expect("the store ends in time") })
    }

    pub fn start(&self) -> Running {
        self.start_at(harness::SystemClock)
    }

    pub fn start_at(&self, clock: impl harness::Clock) -> Running {
        self.run(|ctx| ctx.with_clock(clock))
    }

    /// One that ends with the input.
    pub fn start_to_end(&self) -> Running {
        self.run(|ctx| ctx.with_drain(Drain::already()))
    }

    fn run(&self, with: impl FnOnce(Context<Config>) -> Context<Config>) -> Running {
        let shutdown = Shutdown::new();
        let ctx = with(Context::hosted("store", self.config.clone(), &shutdown));
        let health = ctx.health.clone();
        let metrics = ctx.metrics.clone();
        Running { shutdown, health, metrics, task: runtime().spawn(store::run(ctx)) }
    }

    pub fn admin(&self) -> streams::Admin {
        parts().0.admin()
    }

    /// One with the patience of a reader, whatever the store of the test is given.
    pub fn client(&self) -> Client {
        let config = lake::S3Config { timeout: lake::S3Config::default().timeout, ..self.config.s3.clone() };
        runtime().block_on(Client::connect(&config))
    }

    /// Every object but the claims, and what is in it.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let client = self.client();
        runtime().block_on(async {
            let mut objects = BTreeMap::new();
            for key in list_all(&client, &format!("{}/", self.config.s3.prefix)).await.expect("a listing") {
                if !key.contains("/_claims/") {
                    let body = client.get(&key).await.expect("the object").expect("listed");
                    objects.insert(key, body.to_vec());
                }
            }
            objects
        })
    }

    /// The rows of all objects, in the order of the keys.
    pub fn rows(&self) -> Vec<Row> {
        let (mut rows, paths) = (Vec::new(), Paths::new(&self.config.s3.prefix));
        for (key, body) in self.objects() {
            let take = |line: &[u8]| {
                rows.push(Row { key: key.clone(), json: serde_json::from_slice(line).expect("a row is JSON") });
            };
            lake::read_object(&paths, &key, body.into(), take).expect("the object is whole");
        }
        rows
    }

    /// Claims of a partition of the events from the first to the last, checked to tile from 0.
    pub fn claims(&self, topic: &str, partition: i32) -> Vec<lake::Checked> {
        let client = self.client();
        let paths = Paths::new(&self.config.s3.prefix);
        runtime().block_on(async {
            let prefix = format!("{}/_claims/{topic}~", self.config.s3.prefix);
            let keys = list_all(&client, &prefix).await.expect("a listing");
            let id = keys.first().and_then(|key| key[prefix.len()..].split('/').next()).unwrap_or_default();
            let source = Source::new(topic, id, partition);
            let (mut claims, mut next) = (Vec::new(), 0);
            while let Some(json) = client.get(&paths.claim(&source, next)).await.expect("an answer") {
                let claim = Claim::read(&json, &source, Some(next)).expect("a good claim");
                next = claim.claim.end + 1;
                claims.push(claim);
            }
            let found = keys.iter().filter(|key| key.starts_with(&paths.claims(&source))).count();
            assert_eq!(claims.len(), found, "claims that the chain does not reach: {keys:?}");
            claims
        })
    }

    /// Every offset of the partition below `end` is in exactly one object, or declared: the promise itself, by plain
    /// listing and reading; and the audit finds nothing wrong in the whole lake.
    pub fn assert_exactly_once(&self, topic: &str, partition: i32, end: i64) {
        self.assert_exactly_once_but(topic, partition, end, None);
    }

    /// The same, where these offsets were gone from Kafka.
    pub fn assert_exactly_once_but(&self, topic: &str, partition: i32, end: i64, hole: Option<RangeInclusive<i64>>) {
        let client = self.client();
        let differences = runtime().block_on(async {
            let paths = Paths::new(&self.config.s3.prefix);
            let mut audit = lake::verify::Audit::open(client, paths).await.expect("the claims are listed");
            for source in audit.sources() {
                audit.check(&source, |_, _| ()).await.expect("the chain is read");
            }
            audit.strays().await.expect("the objects are listed");
            audit.differences
        });
        assert_eq!(differences, []);
        let mut found: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for row in self.rows() {
            if row.json["_topic"] == topic && row.json["_partition"] == partition {
                found.entry(row.json["_offset"].as_i64().expect("an offset")).or_default().push(row.key);
            }
        }
        let twice: Vec<_> = found.iter().filter(|(_, keys)| keys.len() > 1).collect();
        assert!(twice.is_empty(), "in more than one object: {twice:?}");
        let claims = self.claims(topic, partition);
        let fates = claims.iter().flat_map(|claim| claim.runs.offsets(claim.claim.start));
        let mut next = 0;
        for (offset, target) in fates {
            if let Some(hole) = hole.as_ref().filter(|hole| offset > next && next == *hole.start()) {
                next = hole.end() + 1;
            }
            assert_eq!(offset, next, "the claims have a gap");
            assert_eq!(found.contains_key(&offset), matches!(target, Target::Object(_)), "offset {offset}: {target:?}");
            next += 1;
        }
        assert_eq!(next, end, "the chain ends elsewhere");
    }
}

/// 2024-08-08T00:00:00Z
pub const MIDNIGHT: i64 = 1_723_075_200_000_000_000;

#[derive(Debug)]
pub struct Row {
    pub key: String,
    pub json: serde_json::Value,
}

/// A store in the background.
pub struct Running {
    pub shutdown: Shutdown,
    pub health: harness::Health,
    pub metrics: harness::Registry,
    task: JoinHandle<anyhow::Result<Summary>>,
}

impl Running {
    /// The sum of all series of a metric of the store.
    pub fn gauge(&self, name: &str) -> Option<f64> {
        let text = self.metrics.render();
        let series = text.lines().filter(|line| line.starts_with(&format!("finflow_store_{name}")));
        let values: Vec<f64> = series.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        if values.is_empty() { None } else { Some(values.iter().sum()) }
    }

    /// As SIGTERM does.
    pub fn stop(self) -> Summary {
        self.shutdown.trigger("test");
        self.end()
    }

    pub fn end(self) -> Summary {
        runtime()
            .block_on(async { tokio::time::timeout(LONG, self.task).await })
            .expect("ends in time")
            .expect("no panic")
            .expect("no error")
    }
}
