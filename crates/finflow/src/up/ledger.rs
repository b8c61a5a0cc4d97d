//! The summaries of the stages, put together into one [`Report`].

use std::collections::BTreeMap;

use anyhow::Context as _;
use streams::stateful::Outcome;
use streams::{Admin, topic};

use super::report::{Counts, Report, Stored};

pub struct Ledger {
    pub ingest: ingest::Summary,
    pub aggregate: aggregate::Summary,
    pub alert: alert::Summary,
    pub store: store::Summary,
}

impl Ledger {
    /// Asks Kafka where the topics end now.
    pub fn report(self, admin: &Admin, seconds: f64) -> anyhow::Result<Report> {
        let mut invalid = self.ingest.invalid.clone();
        for (reason, count) in &self.aggregate.ledger.dead_letters {
            *invalid.entry(reason.clone()).or_default() += count;
        }
        let outcomes =
            Outcome::ALL.iter().map(|outcome| (outcome.as_str().to_owned(), self.aggregate.outcomes.get(*outcome)));
        Ok(Report {
            read: self.ingest.read,
            topics: self.topics(admin)?,
            consumed: self.aggregate.msgs,
            outcomes: outcomes.collect(),
            invalid,
            ignored: self.ingest.ignored.clone(),
            metrics: self.aggregate.metrics,
            alerts: self.alert.alerts,
            store: self.stored(),
            seconds,
        })
    }

    fn topics(&self, admin: &Admin) -> anyhow::Result<BTreeMap<String, BTreeMap<i32, Counts>>> {
        let mut topics = BTreeMap::new();
        for name in [topic::RAW, topic::METRICS, topic::ALERTS, topic::DEAD_LETTERS] {
            let watermarks = admin.watermarks(name).with_context(|| format!("read the ends of {name}"))?;
            let partitions = (0..).zip(&watermarks).map(|(partition, (_, end))| {
                (partition, Counts { produced: self.produced(name, partition), end: *end })
            });
            topics.insert(name.to_owned(), partitions.collect());
        }
        Ok(topics)
    }

    fn produced(&self, topic: &str, partition: i32) -> u64 {
        let of = |emitted: &BTreeMap<String, BTreeMap<i32, u64>>| {
            emitted.get(topic).and_then(|partitions| partitions.get(&partition)).copied().unwrap_or(0)
        };
        let own = if topic == topic::RAW { self.ingest.produced.get(&partition).copied().unwrap_or(0) } else { 0 };
        let letters = if topic == topic::DEAD_LETTERS { self.ingest.dead_lettered } else { 0 };
        own + letters + of(&self.aggregate.ledger.emitted_to) + of(&self.alert.ledger.emitted_to)
    }

    fn stored(&self) -> Stored {
        let rows = |partitions: &BTreeMap<i32, store::PartitionSummary>| {
            partitions.iter().map(|(partition, summary)| (*partition, summary.rows)).collect()
        };
        let topics = self.store.topics.iter().map(|(topic, partitions)| (topic.clone(), rows(partitions))).collect();
        Stored { objects: self.store.objects, rows: self.store.rows, bytes: self.store.bytes, topics }
    }
}
