//! The summaries of the stages, put together into one [`Report`].

use std::collections::BTreeMap;

use anyhow::Context as _;
use streams::stateful::Outcome;
use streams::{Admin, topic};

use super::report::{Counts, Report, Share, Stored};

pub struct Ledger {
    pub ingest: ingest::Summary,
    pub aggregate: aggregate::Summary,
    pub alert: alert::Summary,
    pub store: store::Summary,
}

impl Ledger {
    /// Asks Kafka where the topics end now.
    pub fn report(self, admin: &Admin, seconds: f64) -> anyhow::Result<Report> {
        let consumed = &self.aggregate.ledger.consumed;
        Ok(Report {
            read: self.ingest.total() + self.ingest.resumed,
            topics: self.topics(admin)?,
            consumed: self.aggregate.msgs,
            outcomes: named(&self.aggregate.outcomes),
            outcomes_by_partition: consumed.iter().map(|(partition, counts)| (*partition, named(counts))).collect(),
            invalid: self.invalid(),
            ignored: self.ingest.ignored.clone(),
            metrics: self.aggregate.metrics,
            alerts: self.alert.alerts,
            store: self.stored(),
            seconds,
        })
    }

    /// What is late is a record like any other, and an outcome of its own.
    fn invalid(&self) -> BTreeMap<String, u64> {
        let mut invalid = self.ingest.invalid.clone();
        let refused = self.aggregate.ledger.dead_letters.iter().chain(&self.alert.ledger.dead_letters);
        for (reason, count) in refused.filter(|(reason, _)| *reason != Outcome::Late.as_str()) {
            *invalid.entry(reason.clone()).or_default() += count;
        }
        invalid
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
        let (mut topics, mut partitions) = (BTreeMap::new(), BTreeMap::new());
        for (topic, stored) in &self.store.topics {
            let rows: BTreeMap<i32, u64> = stored.iter().map(|(partition, of)| (*partition, of.rows)).collect();
            let share = |of: &store::PartitionSummary| Share {
                objects: of.objects,
                rows: of.rows,
                skipped: of.skipped.clone(),
            };
            topics.insert(topic.clone(), rows);
            partitions.insert(topic.clone(), stored.iter().map(|(partition, of)| (*partition, share(of))).collect());
        }
        Stored { objects: self.store.objects, rows: self.store.rows, bytes: self.store.bytes, topics, partitions }
    }
}

fn named(counts: &streams::stateful::Counts) -> BTreeMap<String, u64> {
    Outcome::ALL.iter().map(|outcome| (outcome.as_str().to_owned(), counts.get(*outcome))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_is_what_any_stage_refused_and_not_what_came_late() {
        let counts = |pairs: &[(&str, u64)]| pairs.iter().map(|(reason, n)| ((*reason).to_owned(), *n)).collect();
        let mut ledger = Ledger {
            ingest: ingest::Summary { invalid: counts(&[("bad_time", 1)]), ..Default::default() },
            aggregate: aggregate::Summary::default(),
            alert: alert::Summary::default(),
            store: store::Summary::default(),
        };
        ledger.aggregate.ledger.dead_letters = counts(&[("late", 7), ("not_json", 1), ("bad_time", 2)]);
        ledger.alert.ledger.dead_letters = counts(&[("not_json", 4)]);
        assert_eq!(ledger.invalid(), counts(&[("bad_time", 3), ("not_json", 5)]));
    }
}
