//! Committed offsets of the groups, and those that wait for their transaction.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Committed {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub leader_epoch: i32,
    pub metadata: Option<String>,
}

type ByPartition = BTreeMap<(String, i32), Committed>;

#[derive(Default)]
pub struct Offsets {
    committed: BTreeMap<String, ByPartition>,
    /// By producer, then group: an offset sent to a transaction counts when it commits.
    pending: HashMap<i64, BTreeMap<String, ByPartition>>,
}

impl Offsets {
    pub fn commit(&mut self, group: &str, offsets: impl IntoIterator<Item = Committed>) {
        insert(self.committed.entry(group.to_owned()).or_default(), offsets);
    }

    pub fn hold(&mut self, producer_id: i64, group: &str, offsets: impl IntoIterator<Item = Committed>) {
        let of_producer = self.pending.entry(producer_id).or_default();
        insert(of_producer.entry(group.to_owned()).or_default(), offsets);
    }

    /// The producer's transaction ended: its offsets count now, or never.
    pub fn end(&mut self, producer_id: i64, commit: bool) {
        for (group, offsets) in self.pending.remove(&producer_id).unwrap_or_default() {
            if commit {
                self.commit(&group, offsets.into_values());
            }
        }
    }

    pub fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.committed.get(group)?.get(&(topic.to_owned(), partition))
    }

    /// Everything the group has committed.
    pub fn of(&self, group: &str) -> impl Iterator<Item = &Committed> {
        self.committed.get(group).into_iter().flat_map(ByPartition::values)
    }

    /// Does an open transaction hold an offset of this partition, so that the committed one may change any moment?
    pub fn is_unstable(&self, group: &str, topic: &str, partition: i32) -> bool {
        let key = (topic.to_owned(), partition);
        self.pending.values().filter_map(|groups| groups.get(group)).any(|offsets| offsets.contains_key(&key))
    }

    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.committed.keys()
    }

    pub fn has(&self, group: &str) -> bool {
        self.committed.contains_key(group) || self.pending.values().any(|groups| groups.contains_key(group))
    }

    pub fn forget_group(&mut self, group: &str) {
        self.committed.remove(group);
        self.pending.values_mut().for_each(|groups| drop(groups.remove(group)));
    }

    pub fn forget(&mut self, group: &str, topic: &str, partition: i32) {
        if let Some(offsets) = self.committed.get_mut(group) {
            offsets.remove(&(topic.to_owned(), partition));
            if offsets.is_empty() {
                self.committed.remove(group);
            }
        }
    }

    /// The topic is deleted: what was read of it means nothing for one made again under its name.
    pub fn forget_topic(&mut self, topic: &str) {
        let held = self.pending.values_mut().flat_map(BTreeMap::values_mut);
        for offsets in self.committed.values_mut().chain(held) {
            offsets.retain(|(name, _), _| name != topic);
        }
        self.committed.retain(|_, offsets| !offsets.is_empty());
    }

    /// Everything there is, for a journal written anew: committed by group, held by producer and group.
    pub fn dump(&self) -> impl Iterator<Item = (Option<i64>, &String, Vec<Committed>)> {
        let all = |offsets: &ByPartition| offsets.values().cloned().collect();
        let committed = self.committed.iter().map(move |(group, offsets)| (None, group, all(offsets)));
        let held = self
            .pending
            .iter()
            .flat_map(move |(id, groups)| groups.iter().map(move |(group, offsets)| (Some(*id), group, all(offsets))));
        committed.chain(held)
    }
}

fn insert(into: &mut ByPartition, offsets: impl IntoIterator<Item = Committed>) {
    into.extend(offsets.into_iter().map(|offset| ((offset.topic.clone(), offset.partition), offset)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, offset: i64) -> Committed {
        Committed { topic: topic.into(), partition: 0, offset, leader_epoch: -1, metadata: None }
    }

    fn committed(offsets: &Offsets) -> Option<i64> {
        offsets.get("g", "t", 0).map(|committed| committed.offset)
    }

    #[test]
    fn offsets_of_a_transaction_count_when_it_commits() {
        let mut offsets = Offsets::default();
        offsets.commit("g", [at("t", 1)]);
        offsets.hold(7, "g", [at("t", 2)]);
        assert_eq!((committed(&offsets), offsets.is_unstable("g", "t", 0)), (Some(1), true));
        assert!(!offsets.is_unstable("g", "t", 1) && !offsets.is_unstable("h", "t", 0));
        offsets.end(7, false);
        assert_eq!((committed(&offsets), offsets.is_unstable("g", "t", 0)), (Some(1), false));
        offsets.hold(7, "g", [at("t", 3)]);
        offsets.end(7, true);
        assert_eq!(committed(&offsets), Some(3));
    }

    #[test]
    fn a_deleted_topic_leaves_nothing() {
        let mut offsets = Offsets::default();
        offsets.commit("g", [at("t", 1), at("u", 1)]);
        offsets.hold(7, "g", [at("t", 2)]);
        offsets.forget_topic("t");
        offsets.end(7, true);
        assert_eq!(committed(&offsets), None);
        assert_eq!(offsets.of("g").count(), 1);
    }
}
