//! The same on a Kafka and an S3 that are no part of Finflow (`FINFLOW_TEST_BROKERS`, `FINFLOW_TEST_S3`).
//!
//! `up` uses the topics by their names, so these tests want a Kafka on which nobody else does, and its topics empty:
//! `.ci/real` sees to it.

use std::process::Command;

use lake::{Bucket, S3, S3Config};
use serde_json::Value;

use crate::finflow::{State, assert_balanced, assert_balanced_since, ends, finflow, outcome, produced, summary};
use crate::{binance, index, lake as rows};

struct Real {
    brokers: String,
    s3: testkit::S3,
}

fn real() -> Option<Real> {
    let Ok(brokers) = std::env::var("FINFLOW_TEST_BROKERS") else {
        eprintln!("skipped: FINFLOW_TEST_BROKERS names no Kafka");
        return None;
    };
    std::env::var("FINFLOW_TEST_S3").map_or_else(
        |_| {
            eprintln!("skipped: FINFLOW_TEST_S3 names no S3");
            None
        },
        |_| Some(Real { brokers, s3: testkit::S3::start() }),
    )
}

impl Real {
    fn up(&self, state: &State, prefix: &str, feeds: &[&str]) -> Value {
        let mut command: Command = state.up(&["--once", "--json", "--speed", "max", "--brokers", &self.brokers]);
        command.args(["--s3-endpoint", &self.s3.endpoint, "--bucket", &self.s3.bucket, "--prefix", prefix]);
        command.arg("--feed").args(feeds);
        command.env("AWS_ACCESS_KEY_ID", &self.s3.access_key).env("AWS_SECRET_ACCESS_KEY", &self.s3.secret_key);
        summary(&command.output().expect("finflow starts"))
    }

    /// Every line of a table's objects.
    fn lines(&self, prefix: &str, table: &str) -> Vec<String> {
        let config = S3Config {
            endpoint: self.s3.endpoint.clone(),
            bucket: self.s3.bucket.clone(),
            access_key: self.s3.access_key.clone(),
            secret_key: harness::Secret::new(self.s3.secret_key.clone()),
            ..S3Config::default()
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        runtime.block_on(async {
            let s3 = S3::connect(&config).await;
            let keys = lake::bucket::list_all(&s3, &format!("{prefix}/{table}/")).await.expect("a listing");
            let mut lines = Vec::new();
            for key in keys {
                let bytes = s3.get(&key).await.expect("an answer").expect("the object is there");
                lines.extend(rows::unpack(&key, &bytes).lines().map(str::to_owned));
            }
            lines
        })
    }
}

/// One test, because both parts use the topics by their names.
#[test]
fn the_pipeline_on_a_real_kafka_and_s3() {
    let Some(real) = real() else { return };
    let prefix = testkit::unique("e2e");
    let usdm = binance::testdata("usdm_btcusdt_20240808");
    let captures = real.up(&State::new(), &prefix, &[&usdm]);
    assert_eq!(produced(&captures, "raw-market-data"), 21_313, "{captures}");
    assert_eq!(outcome(&captures, "folded"), 21_313);
    assert_balanced(&captures);
    binance::check_minutes(&binance::finals_of(&real.lines(&prefix, "metrics"), "1m"));

    let Some(file) = testkit::shared("data/index/indexProcessed.csv.gz") else { return };
    let bars = real.up(&State::new(), &prefix, &[file.to_str().expect("utf-8")]);
    assert_eq!(produced(&bars, "raw-market-data"), 104_224, "{bars}");
    assert_eq!(outcome(&bars, "late"), 0);
    assert_balanced_since(&bars, &ends(&captures));
    let lines = real.lines(&prefix, "bars");
    let parsed: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    index::check_facts(&parsed, &file.with_file_name("facts.csv"));
    let again = real.up(&State::new(), &prefix, &[file.to_str().expect("utf-8")]);
    assert_eq!(produced(&again, "raw-market-data"), 0, "Kafka itself remembers how far the file was replayed");
}

/// What another program would ask for.
#[test]
fn topics_are_applied_once_and_listed() {
    let Some(real) = real() else { return };
    let topics = |args: &[&str]| {
        finflow().arg("topics").args(args).args(["--brokers", &real.brokers]).output().expect("finflow starts")
    };
    assert!(topics(&["apply"]).status.success());
    let again = topics(&["apply"]);
    assert!(again.status.success() && !String::from_utf8_lossy(&again.stdout).contains("created"));
    let list = topics(&["list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("raw-market-data"));
}
