//! Partitions that are registered while a store works.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::table::Dir;

/// A catalog that is away now and then, and what the registrar says.
#[derive(Clone, Default)]
struct Flaky {
    fake: Arc<Fake>,
    away: Arc<AtomicBool>,
    said: Arc<Mutex<(usize, Vec<String>)>>,
}

impl Glue for Flaky {
    async fn call(&self, action: &'static str, body: Value) -> Result<Value, AwsError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(error(action, ""));
        }
        self.fake.call(action, body).await
    }
}

impl RegistrarWatcher for Flaky {
    fn registered(&self, partitions: usize, _: usize) {
        self.said.lock().unwrap().0 += partitions;
    }

    fn failed(&self, error: &CatalogError, _: usize) {
        self.said.lock().unwrap().1.push(error.to_string());
    }
}

impl Flaky {
    fn registrar(&self, bucket: &Memory) -> Registrar<Memory, Flaky, Flaky> {
        let options = Options::to_register("finflow", Format::Parquet, "bucket", "lake");
        Registrar::new(bucket.clone(), Paths::new("lake"), self.clone(), options, self.clone())
    }

    fn partitions(&self, table: &str) -> Vec<Value> {
        self.fake.0.lock().unwrap().partitions.get(table).cloned().unwrap_or_default()
    }

    fn batches(&self) -> usize {
        self.fake.0.lock().unwrap().calls.iter().filter(|call| **call == "BatchCreatePartition").count()
    }
}

fn hours(count: i64) -> Vec<Dir> {
    (0..count).map(|hour| Dir::of(Table::Trades, hour * 3_600_000_000_000)).collect()
}

#[tokio::test]
async fn what_the_lake_has_and_what_is_stored_meanwhile_is_registered_once() {
    let dirs: Vec<String> = hours(250).iter().map(Dir::to_string).chain(["bars/year=1986".to_owned()]).collect();
    let bucket = bucket(&dirs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for round in 0..2 {
        let glue = Flaky::default();
        if round == 1 {
            // Somebody registered most of it.
            let steps = hours(200).chunks(100).map(|dirs| partitions::step(&options(), Table::Trades, dirs)).collect();
            apply(&*glue.fake, &Plan { steps, ..Plan::default() }, |_| ()).await.unwrap();
        }
        let before = glue.batches();
        let (sender, receiver) = unbounded_channel();
        // One that is there already, and one that is new.
        sender.send(vec![Dir::of(Table::Trades, 0), Dir::of(Table::Metrics, 0)]).unwrap();
        drop(sender);
        glue.registrar(&bucket).run(receiver).await;
        assert!(glue.said.lock().unwrap().1.is_empty(), "{:?}", glue.said);
        let values: BTreeSet<String> = glue.partitions("trades").iter().map(|one| one["Values"].to_string()).collect();
        assert_eq!((values.len(), glue.partitions("trades").len()), (250, 250));
        let place = &glue.partitions("metrics")[0]["StorageDescriptor"]["Location"];
        assert_eq!(place, "s3://bucket/lake/metrics/dt=1970-01-01/");
        assert_eq!(glue.partitions("bars")[0]["Values"], json!(["1986"]));
        // 100 at a time: 250 hours, or the 51 that are left; and one of each other table.
        assert_eq!(glue.batches() - before, if round == 0 { 5 } else { 3 });
    }
}

#[tokio::test]
async fn a_catalog_that_is_away_is_asked_again_and_nothing_is_forgotten() {
    let bucket = bucket(&["bars/year=1986"]).await;
    let glue = Flaky::default();
    glue.away.store(true, Ordering::Relaxed);
    let (sender, receiver) = unbounded_channel();
    let task = tokio::spawn(glue.registrar(&bucket).run(receiver));
    // The sender never waits, however much of it there is.
    hours(300).into_iter().for_each(|dir| sender.send(vec![dir]).unwrap());
    let until = async |done: &dyn Fn() -> bool| {
        let waiting = async {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("done in time");
    };
    let failures = || glue.said.lock().unwrap().1.len();
    until(&|| failures() > 0).await;
    assert!(glue.said.lock().unwrap().1[0].contains("BatchCreatePartition"), "{:?}", glue.said);
    glue.away.store(false, Ordering::Relaxed);
    until(&|| glue.partitions("trades").len() == 300 && glue.partitions("bars").len() == 1).await;
    assert!(failures() < 4, "asked without a pause: {failures} times", failures = failures());
    drop(sender);
    task.await.unwrap();
    assert_eq!(glue.said.lock().unwrap().0, 301);
}
