//! With a Kafka: the embedded one, or the one that `FINFLOW_TEST_BROKERS` names.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::{Config, Group, Server, Summary};
use harness::{Context, Shutdown};
use serde_json::Value;
use streams::{Consumer, ConsumerOptions, DeadLetters, Env, Outgoing, Polled, Producer, TopicPartition};
use testkit::{Brokers, eventually, unique};
use tokio::task::JoinHandle;

use crate::support::{Running, Said, Stream, config, get};

const SOON: Duration = Duration::from_secs(60);

struct Pipeline {
    brokers: Brokers,
    config: Config,
    shutdown: Shutdown,
    address: SocketAddr,
    task: Option<JoinHandle<anyhow::Result<Summary>>>,
}

impl Pipeline {
    /// Settings with topics that nobody else has; none of them made yet.
    async fn new() -> Pipeline {
        let brokers = tokio::task::spawn_blocking(Brokers::start).await.expect("a broker");
        let name = unique("gateway");
        let topic = |role: &str| format!("{name}-{role}");
        let mut config = Config {
            kafka: brokers.config(),
            input: topic("raw"),
            metrics: topic("metrics"),
            alerts: topic("alerts"),
            dead_letters: topic("dead"),
            groups: vec![Group {
                stage: "aggregate".to_owned(),
                group: topic("group"),
                topics: vec![topic("raw")],
                patience: harness::Duration::from_secs(1),
            }],
            ..config()
        };
        config.view.probe = harness::Duration::from_millis(100);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Pipeline { brokers, config, shutdown: Shutdown::new(), address, task: None }
    }

    fn topics(&self) -> [&str; 4] {
        [&self.config.input, &self.config.metrics, &self.config.alerts, &self.config.dead_letters]
    }

    fn make(&self, topics: &[&str]) {
        block(|| topics.iter().for_each(|topic| self.brokers.create(topic, 2)));
    }

    fn context(&self) -> Context<Config> {
        Context::hosted("gateway", self.config.clone(), &self.shutdown)
    }

    fn start(&mut self) -> Context<Config> {
        let ctx = self.context();
        let server = Server::bind(ctx.config.http).expect("a free port");
        self.address = server.address();
        self.task = Some(tokio::spawn(gateway::run_on(server, ctx.clone())));
        ctx
    }

    fn env(&self) -> Env {
        Env::standalone("test", &Shutdown::new())
    }

    fn produce(&self, topic: &str, key: &str, values: impl IntoIterator<Item = String>) {
        block(|| {
            let producer = Producer::new(&self.env(), &self.config.kafka).expect("a producer");
            for value in values {
                let out =
                    Outgoing { topic, key: Some(key.as_bytes()), value: Some(value.as_bytes()), ..Outgoing::default() };
                producer.send(&out).expect("room in the queue");
            }
            producer.flush(SOON).expect("written");
        });
    }

    /// Asks until the answer fits.
    async fn until(&self, path: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let asked = async {
            loop {
                let answer = get(self.address, path).await;
                if answer.status == 200 && fits(&answer.json()) {
                    return answer.json();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        match tokio::time::timeout(SOON, asked).await {
            Ok(answer) => answer,
            Err(_) => panic!("{path} never fitted: {}", get(self.address, path).await.body),
        }
    }

    async fn stop(mut self) -> Summary {
        self.shutdown.trigger("test");
        self.task.take().expect("it was started").await.expect("no panic").expect("no error")
    }
}

fn block<T>(body: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(body)
}

fn trades(symbol: &str, prices: std::ops::Range<i64>) -> Vec<String> {
    let trade = |n| {
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"V","symbol":"{symbol}","trade_id":"{n}","price":{n}.5,"quantity":1,"side":"buy","event_time":{},"receive_time":{}}}"#,
            crate::support::NOW + n,
            crate::support::NOW + n
        )
    };
    prices.map(trade).collect()
}

fn example(name: &str) -> String {
    std::fs::read_to_string(testkit::testdata(&format!("events/v1/{name}.json"))).expect("an example of the contract")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reads_what_is_there_then_what_comes_and_alien_records_do_no_harm() {
    let mut pipeline = Pipeline::new().await;
    pipeline.make(&pipeline.topics());
    let [raw, metrics, alerts, dead] = pipeline.topics().map(str::to_owned);
    pipeline.produce(&raw, "A", trades("A", 0..50));
    pipeline.produce(&metrics, "A", [example("metrics")]);
    pipeline.produce(&alerts, "A", [example("alert")]);
    for topic in [&raw, &metrics, &alerts, &dead] {
        pipeline.produce(topic, "x", ["\u{0}not json".to_owned(), "{}".to_owned(), "[1,2".to_owned(), String::new()]);
    }
    let ctx = pipeline.start();
    let quotes = pipeline.until("/v1/quotes?symbols=A", |answer| answer["quotes"][0]["price"] == 49.5).await;
    assert_eq!(quotes["quotes"][0]["side"], "buy");
    let shown: Value = serde_json::from_str(&example("metrics")).unwrap();
    let (symbol, window) = (shown["symbol"].as_str().unwrap(), shown["window"].as_str().unwrap());
    let bars = pipeline.until(&format!("/v1/bars?symbol={symbol}&window={window}"), |_| true).await;
    for field in ["open", "high", "low", "close", "volume", "vwap", "trade_count", "rev", "quality"] {
        assert_eq!(bars["bars"][0][field], shown[field], "{field}");
    }
    pipeline.until("/v1/alerts", |answer| answer["alerts"].as_array().is_some_and(|alerts| alerts.len() == 1)).await;
    let told = |state: &Value| state["dead_letters"]["count"] == 4 && state["dead_letters"]["reasons"][0]["count"] == 4;
    let state = pipeline.until("/v1/health/pipeline", told).await;
    assert_eq!(state["dead_letters"]["reasons"][0]["reason"], "unknown");

    pipeline.produce(&raw, "A", trades("A", 50..60));
    pipeline.until("/v1/quotes?symbols=A", |answer| answer["quotes"][0]["price"] == 59.5).await;
    assert!(ctx.health.is_ready(), "{:?}", ctx.health.report());
    let summary = pipeline.stop().await;
    assert_eq!((summary.events, summary.metrics, summary.alerts, summary.dead_letters), (64, 5, 5, 4));
    assert_eq!(summary.invalid, 12, "every alien of the three topics that are decoded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_has_nothing_yet_says_what_it_waits_for() {
    let mut pipeline = Pipeline::new().await;
    let [raw, metrics, ..] = pipeline.topics().map(str::to_owned);
    let ctx = pipeline.start();
    let waiting = |what: &str| {
        let what = what.to_owned();
        move |state: &Value| state["waiting_for"].as_str().is_some_and(|text| text.contains(&what))
    };
    let state = pipeline.until("/v1/health/pipeline", waiting(&raw)).await;
    assert_eq!(state["state"], "waiting");
    block(|| {
        eventually(SOON, "not ready, and says which topic is missing", || {
            let report = ctx.health.report();
            let reason = report.checks["reading"].reason.clone()?;
            (!report.ready && reason.contains(&metrics)).then_some(())
        });
    });
    pipeline.make(&pipeline.topics());
    pipeline.until("/v1/health/pipeline", waiting("first record")).await;
    pipeline.produce(&raw, "A", trades("A", 0..5));
    let state = pipeline.until("/v1/health/pipeline", |state| state["state"] == "flowing").await;
    assert_eq!((&state["waiting_for"], &state["problem"]), (&Value::Null, &Value::Null));
    block(|| eventually(SOON, "ready", || ctx.health.is_ready().then_some(())));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_of_a_stage_is_shown_in_records_and_seconds() {
    let mut pipeline = Pipeline::new().await;
    pipeline.make(&pipeline.topics());
    let raw = pipeline.config.input.clone();
    pipeline.start();
    let group = |state: &Value| state["groups"][0].clone();
    pipeline.until("/v1/health/pipeline", |state| group(state)["problem"] == "no position yet").await;
    pipeline.produce(&raw, "A", trades("A", 0..20));
    block(|| read_and_commit(&pipeline, &raw, 20));
    pipeline.until("/v1/health/pipeline", |state| group(state)["lag"] == 0).await;
    pipeline.produce(&raw, "A", trades("A", 20..33));
    let behind = |state: &Value| group(state)["lag"] == 13 && group(state)["lag_seconds"].as_f64() >= Some(1.0);
    let state = pipeline.until("/v1/health/pipeline", behind).await;
    assert_eq!(group(&state)["lag_at_least"], false, "it was there when the gateway looked");
    pipeline.until("/v1/health/pipeline", |state| group(state)["behind"] == true && state["state"] == "behind").await;
    block(|| read_and_commit(&pipeline, &raw, 13));
    let caught_up = |state: &Value| group(state)["lag"] == 0 && group(state)["lag_seconds"] == 0.0;
    pipeline.until("/v1/health/pipeline", caught_up).await;
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_and_lag_are_pushed_to_a_page_that_only_listens() {
    let mut pipeline = Pipeline::new().await;
    pipeline.make(&pipeline.topics());
    let [raw, _, alerts, _] = pipeline.topics().map(str::to_owned);
    pipeline.produce(&raw, "A", trades("A", 0..20));
    block(|| read_and_commit(&pipeline, &raw, 20));
    pipeline.start();
    pipeline.until("/v1/health/pipeline", |state| state["groups"][0]["lag"] == 0).await;
    let alert: Value = serde_json::from_str(&example("alert")).unwrap();
    let of_symbol = format!("?symbols={}", alert["symbol"].as_str().unwrap());
    let mut streams = Vec::new();
    for query in ["", &of_symbol, "?symbols=A"] {
        let mut stream = Stream::open(pipeline.address, query, "", None).await;
        stream.head().await;
        let snapshot = stream.next().await.expect("a snapshot");
        assert_eq!((snapshot.event.as_str(), &snapshot.data["alerts"]), ("snapshot", &serde_json::json!([])));
        streams.push(stream);
    }
    pipeline.produce(&alerts, "A", [example("alert")]);
    for stream in &mut streams[..2] {
        let pushed = heard(stream, |said| said.event == "alert").await.pop().unwrap().data;
        for field in ["alert_id", "rule", "state", "symbol", "value", "threshold"] {
            assert_eq!(pushed[field], alert[field], "{field}");
        }
    }
    let lag = |said: &Said| (said.event == "pipeline").then(|| said.data["groups"][0]["lag"].clone());
    pipeline.produce(&raw, "A", trades("A", 20..33));
    let mut last = Vec::new();
    for stream in &mut streams {
        last = heard(stream, |said| lag(said) == Some(13.into())).await;
    }
    assert!(last.iter().all(|said| said.event != "alert"), "the alert is not for who asked for another symbol");
    block(|| read_and_commit(&pipeline, &raw, 13));
    for stream in &mut streams {
        heard(stream, |said| lag(said) == Some(0.into())).await;
    }
    pipeline.stop().await;
}

/// A stream never ends by itself: what does not come is missed in time.
async fn heard(stream: &mut Stream, fits: impl Fn(&Said) -> bool) -> Vec<Said> {
    tokio::time::timeout(SOON, stream.until(fits)).await.expect("it is pushed in time")
}

/// As the stage would.
fn read_and_commit(pipeline: &Pipeline, topic: &str, records: usize) {
    let options = ConsumerOptions::new(pipeline.config.groups[0].group.clone(), [topic]);
    let mut consumer = Consumer::new(&pipeline.env(), &pipeline.config.kafka, options).expect("a consumer");
    let mut positions = std::collections::BTreeMap::new();
    let mut read = 0;
    while read < records {
        match consumer.poll(Duration::from_millis(100)).expect("records") {
            Polled::Record(record) => {
                positions.insert(TopicPartition::new(topic, record.partition), record.offset + 1);
                read += 1;
            }
            Polled::Assigned(_) => consumer.assign().expect("partitions"),
            Polled::Revoked(_) | Polled::Lost(_) => consumer.release().expect("released"),
            _ => {}
        }
    }
    consumer.commit(&positions.into_iter().collect::<Vec<_>>()).expect("committed");
    consumer.close().expect("left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn until_end_reads_what_is_there_and_returns() {
    let pipeline = Pipeline::new().await;
    pipeline.make(&pipeline.topics());
    let [raw, .., dead] = pipeline.topics().map(str::to_owned);
    pipeline.produce(&raw, "A", trades("A", 0..1000));
    block(|| {
        let producer = Producer::new(&pipeline.env(), &pipeline.config.kafka).expect("a producer");
        let letters = DeadLetters::new(&pipeline.env(), &producer, &["precision"]).to_topic(dead);
        letters.send_raw(Some(b"A"), b"1e400", &[], "precision", "too long").expect("sent");
        producer.flush(SOON).expect("written");
    });
    let ctx = pipeline.context().with_drain(harness::Drain::already());
    let server = Server::bind(ctx.config.http).unwrap();
    let summary = tokio::time::timeout(SOON, gateway::run_on(server, ctx)).await.expect("it returns").unwrap();
    assert_eq!((summary.events, summary.dead_letters, summary.invalid), (1000, 1, 0));
}

/// A gateway over these brokers, its address, its end.
fn over(brokers: &str) -> (SocketAddr, Shutdown, JoinHandle<anyhow::Result<Summary>>) {
    let mut config = config();
    config.kafka.brokers = brokers.to_owned();
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("gateway", config, &shutdown);
    let server = Server::bind(ctx.config.http).unwrap();
    (server.address(), shutdown, tokio::spawn(gateway::run_on(server, ctx)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_kafka_the_page_is_there_and_says_so() {
    let (address, shutdown, task) = over("127.0.0.1:1");
    assert_eq!(get(address, "/").await.status, 200);
    let asked = async {
        while get(address, "/v1/health/pipeline").await.json()["state"] != "down" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(SOON, asked).await.expect("it finds out");
    let state = get(address, "/v1/health/pipeline").await.json();
    assert!(state["problem"].as_str().unwrap().contains("Kafka has not answered since"));
    assert!(state["waiting_for"].as_str().unwrap().contains("Waiting for Kafka"));
    shutdown.trigger("test");
    task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_kafka_that_says_nothing() {
    // It takes the connection, so that the first question waits for its whole timeout of ten seconds.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, shutdown, task) = over(&silent.local_addr().unwrap().to_string());
    let (_connection, _) = block(|| silent.accept()).expect("the gateway asks");
    assert_eq!(get(address, "/v1/health/pipeline").await.body, "null");
    let began = std::time::Instant::now();
    shutdown.trigger("test");
    task.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_with_what_to_do() {
    let running: Running = crate::support::start(config()).await;
    let error = format!("{:#}", Server::bind(running.address).err().expect("it is taken"));
    assert!(error.contains(&running.address.to_string()) && error.contains("--http"), "{error}");
    running.stop().await;
}
