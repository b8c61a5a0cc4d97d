//! A trace goes from the line of a file to the alert and to S3, through every stage and the records between them.
//!
//! `FINFLOW_TEST_OTLP` names a real collector, and `FINFLOW_TEST_OTLP_OUT` the file of JSON lines that it writes.

use std::collections::BTreeSet;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use harness::Shutdown;
use serde_json::{Value, json};
use streams::{Env, KafkaConfig, OwnedRecord, topic};
use testkit::S3;

use crate::finflow::finflow;

struct Collector {
    endpoint: String,
    received: Received,
}

enum Received {
    /// By one that takes what is sent and never answers. The protobuf inside is not compressed, so texts and ids can be seen in it.
    Bytes(Arc<Mutex<Vec<Vec<u8>>>>),
    /// By a real one.
    File(String),
}

impl Collector {
    fn start() -> Collector {
        if let Ok(endpoint) = std::env::var("FINFLOW_TEST_OTLP") {
            let file =
                std::env::var("FINFLOW_TEST_OTLP_OUT").expect("FINFLOW_TEST_OTLP_OUT goes with FINFLOW_TEST_OTLP");
            return Collector { endpoint, received: Received::File(file) };
        }
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let connections = Arc::new(Mutex::new(Vec::new()));
        let all = connections.clone();
        std::thread::spawn(move || {
            for (number, mut stream) in listener.incoming().map_while(Result::ok).enumerate() {
                let all = all.clone();
                all.lock().expect("no panic").push(Vec::new());
                std::thread::spawn(move || {
                    let mut chunk = [0; 4096];
                    while let Ok(read @ 1..) = stream.read(&mut chunk) {
                        all.lock().expect("no panic")[number].extend_from_slice(&chunk[..read]);
                    }
                });
            }
        });
        Collector { endpoint, received: Received::Bytes(connections) }
    }

    /// The stage has sent a span of this name with this id in it: its own, its trace's, or that of a parent or a link.
    fn has(&self, stage: &str, span: &str, id: &str) -> bool {
        let service = format!("finflow-{stage}");
        match &self.received {
            Received::Bytes(connections) => {
                let holds = |all: &Vec<u8>, part: &[u8]| all.windows(part.len()).any(|found| found == part);
                let parts = [service.into_bytes(), span.into(), bytes(id)];
                let connections = connections.lock().expect("no panic");
                connections.iter().any(|all| parts.iter().all(|part| holds(all, part)))
            }
            // It writes a moment later.
            Received::File(file) => testkit::eventually(Duration::from_secs(30), "the collector has it", || {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
                lines
                    .flat_map(|line| spans(&line, &service, span))
                    .any(|span| span.to_string().contains(id))
                    .then_some(true)
            }),
        }
    }
}

/// The spans of a service and a name in a line of a collector's file.
fn spans(line: &Value, service: &str, name: &str) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_service = |resource: &Value| {
        let attributes = list(&resource["resource"]["attributes"]);
        attributes.iter().any(|at| at["key"] == "service.name" && at["value"]["stringValue"] == service)
    };
    let resources = list(&line["resourceSpans"]).into_iter().filter(of_service);
    let scopes = resources.flat_map(|resource| list(&resource["scopeSpans"]));
    scopes.flat_map(|scope| list(&scope["spans"])).filter(|span| span["name"] == name).collect()
}

/// Three trades in three windows of a minute.
fn write_trades(path: &Path) {
    let trade = |n: i64| {
        let time = 1_723_161_255_342_000_000 + n * 60_000_000_000;
        let mut trade = json!({"kind": "trade", "schema_version": 1, "venue": "V", "symbol": "V:A", "conditions": []});
        trade["trade_id"] = n.to_string().into();
        (trade["price"], trade["quantity"]) = (100.into(), 1.into());
        (trade["event_time"], trade["receive_time"]) = (time.into(), time.into());
        format!("{trade}\n")
    };
    std::fs::write(path, (0..3).map(trade).collect::<String>()).expect("written");
}

/// Runs the stages one after the other; the records of the trades, metrics and alerts.
fn run(otlp: Option<&str>) -> [Vec<OwnedRecord>; 3] {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime starts");
    let options = devbroker::Options::new(dir.path().join("kafka"), ([127, 0, 0, 1], 0).into());
    let broker = runtime.block_on(devbroker::Broker::start(options)).expect("the broker starts");
    let kafka = KafkaConfig { brokers: broker.addr().to_string(), ..KafkaConfig::default() };
    let env = Env::standalone("test", &Shutdown::new());
    let admin = streams::Admin::new(&env, &kafka).expect("an admin client");
    admin.apply(&topic::all(), 1).expect("topics are made");
    let feed = dir.path().join("trades.jsonl");
    write_trades(&feed);
    let s3 = S3::start();
    let rules = r#"rules=[{"name": "any", "symbols": "*", "window": "1m", "above": 1}]"#;
    let stages = [
        ("ingest", vec!["--feed", feed.to_str().expect("utf-8"), "--speed", "max"]),
        ("aggregate", vec![]),
        ("alert", vec!["--set", rules]),
        ("store", vec!["--s3-endpoint", &s3.endpoint, "--bucket", &s3.bucket]),
    ];
    for (stage, args) in stages {
        let mut command = finflow();
        command.env("AWS_ACCESS_KEY_ID", &s3.access_key).env("AWS_SECRET_ACCESS_KEY", &s3.secret_key);
        command.current_dir(dir.path()).args([stage, "--brokers", &kafka.brokers, "--admin", "off", "--until-end"]);
        if let Some(otlp) = otlp {
            command.args(["--set", &format!("otlp.endpoint={otlp}"), "--set", "otlp.timeout=500ms"]);
        }
        let output = command.args(args).output().expect("finflow starts");
        assert!(output.status.success(), "{stage}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let found = [topic::RAW, topic::METRICS, topic::ALERTS].map(|name| {
        let mut all = Vec::new();
        let read = |record: &streams::Record<'_>| all.push(record.to_owned());
        streams::read_topic(&env, &kafka, name, &Default::default(), read).expect("it is read");
        assert!(!all.is_empty(), "nothing in {name}");
        all
    });
    runtime.block_on(broker.stop());
    found
}

/// `00-<trace>-<span>-01` of each record.
fn traces(records: &[OwnedRecord]) -> (BTreeSet<String>, BTreeSet<String>) {
    let parts = records.iter().map(|record| {
        let header = record.as_record().header("traceparent").expect("every record has one");
        let parts: Vec<&str> = std::str::from_utf8(header).expect("ASCII").split('-').collect();
        assert_eq!((parts.len(), parts[0], parts[3]), (4, "00", "01"), "{parts:?}");
        (parts[1].to_owned(), parts[2].to_owned())
    });
    parts.unzip()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

#[test]
fn a_trace_goes_from_the_file_to_the_alert() {
    let collector = Collector::start();
    let [trades, metrics, alerts] = run(Some(&collector.endpoint)).map(|records| traces(&records));
    assert_eq!(trades.0.len(), 1, "the three trades are one batch");
    // The last windows are closed by the end of the input, which is of no trace yet.
    assert!(metrics.0.is_superset(&trades.0) && metrics.0.len() == 2, "{:?} {:?}", trades.0, metrics.0);
    assert!(alerts.0.is_superset(&trades.0) && alerts.0.is_subset(&metrics.0), "{:?} {:?}", metrics.0, alerts.0);
    assert!(trades.1.is_disjoint(&metrics.1) && metrics.1.is_disjoint(&alerts.1), "each stage adds its span");
    for (stage, span, (_, ids)) in
        [("ingest", "produce", &trades), ("aggregate", "transaction", &metrics), ("alert", "transaction", &alerts)]
    {
        assert!(ids.iter().all(|id| collector.has(stage, span, id)), "{stage}: {ids:?}");
    }
    // The alerts and what is stored come of both, the one a parent and the other a link.
    for trace in &metrics.0 {
        assert!(collector.has("alert", "transaction", trace), "{trace}");
        assert!(collector.has("store", "store", trace), "{trace}");
    }
}

#[test]
fn without_an_endpoint_nothing_is_traced() {
    for record in run(None).iter().flatten() {
        assert_eq!(record.as_record().header("traceparent"), None);
    }
}
