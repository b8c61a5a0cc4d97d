//! The coordinator of KIP-848: each member has an epoch of its own, and partitions change hands one by one.
//!
//! Whoever comes or goes moves the epoch of the group and what each member is to have. A member learns of that with its heartbeats: first
//! of what it is to give up; when it has, it is moved to the new epoch, without a word to the loop, and is given what others have given
//! up. One that was thrown out keeps its id, and joins again when the loop has answered its loss.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::{Group, Kind, Member, Membership, Word};

impl Group {
    /// Everybody's share, for the next epoch of the group.
    pub(super) fn next_epoch(&mut self, rng: &mut fastrand::Rng) {
        self.generation += 1;
        let mut order: Vec<u64> = self.members.keys().copied().collect();
        rng.shuffle(&mut order);
        let held: BTreeMap<u64, BTreeSet<i32>> =
            self.members.iter().map(|(id, member)| (*id, member.owned.clone())).collect();
        for (id, target) in self.shares(&order, &held, |kept, _| kept) {
            self.members.get_mut(&id).expect("the order is of members").target = target;
        }
    }

    /// Kafka's check (`ConsumerGroup.validateOffsetCommit`): the member's own epoch.
    pub(super) fn admits_epoch(&self, membership: &Membership) -> bool {
        self.members.get(&membership.member).is_some_and(|member| member.epoch == membership.generation)
    }

    /// Who the member takes itself for. `None`: for nobody, or it knows that what it holds is lost.
    pub fn newest(&self, process: usize) -> Option<Membership> {
        let client = &self.clients[process];
        let lost = client.words.iter().chain(&client.unanswered).any(|word| word.kind == Kind::Lost);
        let member = client.member.filter(|_| self.counts_epochs() && (!lost || self.joins_unheard))?;
        Some(Membership { member, generation: client.generation })
    }

    /// A heartbeat and its answer. `unanswered`: an answer that brings nothing but a new epoch is lost.
    pub(super) fn beat(&mut self, process: usize, now: Duration, unanswered: bool) {
        let client = &mut self.clients[process];
        let (is_busy, Some(id)) = (client.is_busy(), client.member) else { return };
        let taken: BTreeSet<i32> = self
            .members
            .iter()
            .filter(|(other, _)| **other != id)
            .flat_map(|(_, member)| member.owned.iter().chain(&member.revoking).copied())
            .collect();
        let Some(member) = self.members.get_mut(&id) else { return self.is_thrown_out(process, id, now) };
        member.heard = now;
        if !is_busy {
            member.revoking.clear();
        }
        let revoked: Vec<i32> = member.owned.difference(&member.target).copied().collect();
        if !member.revoking.is_empty() || (is_busy && !revoked.is_empty()) {
            return;
        }
        let mut say = |kind, partitions: Vec<i32>, generation| {
            let membership = Some(Arc::new(Membership { member: id, generation }));
            client.words.push_back(Word { kind, partitions, membership });
        };
        if !revoked.is_empty() {
            member.owned.retain(|partition| member.target.contains(partition));
            member.revoking.extend(&revoked);
            return say(Kind::Revoked, revoked, client.generation);
        }
        member.epoch = self.generation;
        let new: Vec<i32> =
            member.target.iter().copied().filter(|n| !member.owned.contains(n) && !taken.contains(n)).collect();
        let is_spare = member.owned.is_empty() && new.is_empty() && !client.told;
        if !is_busy && (!new.is_empty() || is_spare) {
            member.owned.extend(&new);
            say(Kind::Assigned, new, member.epoch);
            client.told = true;
        } else if unanswered {
            return;
        }
        client.generation = member.epoch;
    }

    fn is_thrown_out(&mut self, process: usize, id: u64, now: Duration) {
        let client = &mut self.clients[process];
        let knows = client.words.iter().chain(&client.unanswered).any(|word| word.kind == Kind::Lost);
        if knows || (client.is_busy() && !self.joins_unheard) {
            return;
        }
        let holds = !client.owned.is_empty();
        if holds {
            client.words.push_back(Word { kind: Kind::Lost, partitions: Vec::new(), membership: None });
        }
        if !holds || self.joins_unheard {
            self.come_back(process, id, now);
        }
    }

    /// Joins again under the same id.
    pub(super) fn come_back(&mut self, process: usize, id: u64, now: Duration) {
        let client = &mut self.clients[process];
        client.told = false;
        self.members.insert(id, Member::new(process, now));
        self.rebalance(now);
    }

    /// Whether the coordinator takes this process for the owner of all that it holds.
    pub(super) fn backs(&self, process: usize) -> bool {
        let client = &self.clients[process];
        let member = client.member.and_then(|id| self.members.get(&id));
        member
            .is_some_and(|member| client.owned.iter().all(|n| member.owned.contains(n) || member.revoking.contains(n)))
    }
}
