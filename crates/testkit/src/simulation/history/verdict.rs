//! What is left at the end, and what holds of it for every stage.

use std::collections::BTreeMap;

use streams::stateful::Counts;
use streams::stateful::world::META_KEY;

use super::History;
use crate::simulation::log::Log;
use crate::simulation::{Ended, Stats, mark, seeds};

impl<S> History<S> {
    /// Positions, marks and counts agree, and with the input.
    pub(super) fn ended(&self) -> Result<Ended, String> {
        let cluster = self.cluster.borrow();
        let mut ended = Ended { ledgers: self.ledgers.clone(), stats: cluster.stats, ..Ended::default() };
        for (topic, logs) in &cluster.topics {
            let records = |(n, log): (usize, &Log)| seeds::records(topic, n as i32, log);
            ended.topics.insert(topic.clone(), logs.iter().enumerate().map(records).collect());
        }
        for (partition, input) in ended.topics[&self.settings.input].iter().enumerate() {
            let n = partition as i32;
            let changelog = &ended.topics[&self.settings.changelog][partition];
            let last = changelog.iter().rev().find(|record| record.key.as_deref() == Some(META_KEY));
            let mark = last.map(|record| mark(record.value.as_deref().unwrap_or_default()));
            let committed = cluster.offsets.get(&n).map(|committed| committed.offset);
            if committed != mark.map(|(offset, _)| offset) {
                return Err(format!("partition {n} is committed up to {committed:?}, its state says {mark:?}"));
            }
            let counts = mark.map(|(_, counts)| counts).unwrap_or_default();
            let end = input.last().map_or(0, |record| record.offset + 1);
            if counts.sum() != input.len() as u64 || committed.unwrap_or(0) < end {
                let all = input.len();
                return Err(format!("partition {n} holds {all} records up to {end}, {committed:?} {counts:?}"));
            }
            ended.stats.records += counts.sum();
            ended.counts.insert(n, counts);
        }
        ledgers_balance(&ended)?;
        Ok(ended)
    }
}

/// Where nobody died and every outcome was known, the ledgers hold each record once; elsewhere never more.
fn ledgers_balance(ended: &Ended) -> Result<(), String> {
    let mut told: BTreeMap<i32, Counts> = BTreeMap::new();
    for (partition, counts) in ended.ledgers.iter().flat_map(|ledger| &ledger.consumed) {
        let sum = told.entry(*partition).or_default();
        *sum = sum.plus(counts);
    }
    let Stats { crashes, unknown, gave_up, .. } = ended.stats;
    let exact = crashes + unknown + gave_up == 0;
    for (partition, counts) in &ended.counts {
        let told = told.get(partition).copied().unwrap_or_default();
        if told.sum() > counts.sum() || (exact && told != *counts) {
            return Err(format!("partition {partition} counts {counts:?}, the ledgers say {told:?}"));
        }
    }
    Ok(())
}
