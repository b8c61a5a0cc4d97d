//! Membership of one consumer group: the classic protocol's join, sync, heartbeat and leave.
//!
//! A pure state machine. Who must wait (for the others to join, for the leader's assignment) gets a channel; time
//! comes in as an argument and passes in [`Group::tick`]. Who takes part, not what is read, lives here: after a restart
//! of the broker the members find themselves unknown and join again, as after a session that timed out.

mod join;

use crate::errors::Code;
use bytes::Bytes;
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};
use tokio::sync::oneshot::{Receiver, Sender, channel};

pub use join::{Join, Joined};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Empty,
    /// Waiting for the members to join.
    PreparingRebalance,
    /// Waiting for the leader's assignment.
    CompletingRebalance,
    Stable,
}

pub type Protocols = Vec<(String, Bytes)>;

pub struct Member {
    /// A static member's name: it may come back under it and keep its assignment.
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    session: Duration,
    rebalance: Duration,
    protocols: Protocols,
    pub assignment: Bytes,
    expires: Instant,
    joining: Option<Sender<Result<Joined, Code>>>,
    syncing: Option<Sender<Result<Bytes, Code>>>,
}

pub struct Group {
    pub state: State,
    pub generation: i32,
    pub protocol_type: String,
    /// The assignment strategy all members agreed on.
    pub protocol: String,
    leader: String,
    pub members: BTreeMap<String, Member>,
    /// Ids given to clients who have not joined with them yet.
    promised: HashMap<String, Instant>,
    instances: HashMap<String, String>,
    /// When those who have not joined, or not synced, are left behind.
    deadline: Option<Instant>,
}

/// Who says so: every request of a member carries these.
pub struct Identity<'a> {
    pub member: &'a str,
    pub instance: Option<&'a str>,
    pub generation: i32,
}

impl Default for Group {
    fn default() -> Group {
        Group {
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: String::new(),
            leader: String::new(),
            members: BTreeMap::new(),
            promised: HashMap::new(),
            instances: HashMap::new(),
            deadline: None,
        }
    }
}

impl Member {
    fn is_waiting(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    fn touch(&mut self, now: Instant) {
        self.expires = now + self.session;
    }

    /// What it can do with the agreed protocol.
    pub fn metadata(&self, protocol: &str) -> Bytes {
        let of = self.protocols.iter().find(|(name, _)| name == protocol);
        of.map_or(Bytes::new(), |(_, metadata)| metadata.clone())
    }
}

impl Group {
    /// Nobody is in it or about to be.
    pub fn is_vacant(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    fn check_member(&self, who: &Identity) -> Result<(), Code> {
        if let Some(instance) = who.instance {
            match self.instances.get(instance) {
                None => return Err(Code::UnknownMemberId),
                Some(member) if member != who.member => return Err(Code::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.members.contains_key(who.member) { Ok(()) } else { Err(Code::UnknownMemberId) }
    }

    fn check(&self, who: &Identity) -> Result<(), Code> {
        self.check_member(who)?;
        if who.generation == self.generation { Ok(()) } else { Err(Code::IllegalGeneration) }
    }

    pub fn heartbeat(&mut self, who: &Identity, now: Instant) -> Result<(), Code> {
        self.check(who)?;
        self.touch(who.member, now);
        if self.state == State::PreparingRebalance { Err(Code::RebalanceInProgress) } else { Ok(()) }
    }

    /// May these offsets be committed? Without a generation only while nobody is in the group, or, as Apache Kafka
    /// has it, in a transaction that names no member.
    pub fn check_commit(&mut self, who: &Identity, transactional: bool, now: Instant) -> Result<(), Code> {
        if who.generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if who.generation >= 0 || !who.member.is_empty() || who.instance.is_some() {
            self.check(who)?;
            self.touch(who.member, now);
        } else if !transactional {
            return Err(Code::UnknownMemberId);
        }
        if !transactional && self.state == State::CompletingRebalance {
            return Err(Code::RebalanceInProgress);
        }
        Ok(())
    }

    fn touch(&mut self, member: &str, now: Instant) {
        if let Some(member) = self.members.get_mut(member) {
            member.touch(now);
        }
    }

    /// The leader brings the assignment, the others wait for theirs.
    pub fn sync(
        &mut self,
        who: &Identity,
        assignments: Vec<(String, Bytes)>,
        now: Instant,
    ) -> Receiver<Result<Bytes, Code>> {
        let (sender, receiver) = channel();
        let refused = match (self.check(who), self.state) {
            (Err(code), _) => Some(code),
            (_, State::Empty) => Some(Code::UnknownMemberId),
            (_, State::PreparingRebalance) => Some(Code::RebalanceInProgress),
            _ => None,
        };
        if let Some(code) = refused {
            let _ = sender.send(Err(code));
            return receiver;
        }
        let is_leader = who.member == self.leader;
        let member = self.members.get_mut(who.member).expect("it was checked");
        member.touch(now);
        if self.state == State::Stable {
            let _ = sender.send(Ok(member.assignment.clone()));
            return receiver;
        }
        member.syncing = Some(sender);
        if is_leader {
            self.assign(assignments, now);
        }
        receiver
    }

    fn assign(&mut self, assignments: Vec<(String, Bytes)>, now: Instant) {
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        self.deadline = None;
        for member in self.members.values_mut() {
            if let Some(waiting) = member.syncing.take() {
                member.touch(now);
                let _ = waiting.send(Ok(member.assignment.clone()));
            }
        }
    }

    /// A member goes, by its id or its static name. Only by its name it need not say which id it has.
    pub fn leave(&mut self, member: &str, instance: Option<&str>, now: Instant) -> Result<(), Code> {
        if instance.is_none() && self.promised.remove(member).is_some() {
            self.complete_join(now);
            return Ok(());
        }
        let id = match instance {
            Some(name) if member.is_empty() => self.instances.get(name).cloned().ok_or(Code::UnknownMemberId)?,
            _ => member.to_owned(),
        };
        self.check_member(&Identity { member: &id, instance, generation: self.generation })?;
        self.remove(&id, now);
        Ok(())
    }

    fn remove(&mut self, id: &str, now: Instant) {
        self.drop_member(id);
        match self.state {
            State::Stable | State::CompletingRebalance => self.prepare_rebalance(now),
            State::PreparingRebalance => self.complete_join(now),
            State::Empty => {}
        }
    }

    fn drop_member(&mut self, id: &str) {
        if let Some(name) = self.members.remove(id).and_then(|member| member.instance) {
            self.instances.remove(&name);
        }
    }

    /// Time passes: who was silent for too long is out, who is waited for too long is left behind.
    pub fn tick(&mut self, now: Instant) {
        let promised = self.promised.len();
        self.promised.retain(|_, until| *until > now);
        if self.promised.len() < promised {
            self.complete_join(now);
        }
        let silent = |member: &Member| member.expires <= now && !member.is_waiting();
        let expired: Vec<_> = self.members.iter().filter(|(_, m)| silent(m)).map(|(id, _)| id.clone()).collect();
        for id in expired {
            tracing::info!(member = id, "session timed out");
            self.remove(&id, now);
        }
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            match self.state {
                State::PreparingRebalance => self.leave_behind(now),
                State::CompletingRebalance => self.drop_unsynced(now),
                State::Empty | State::Stable => {}
            }
        }
    }

    /// The leader never brought an assignment, or someone never asked for his.
    fn drop_unsynced(&mut self, now: Instant) {
        let unsynced = self.members.iter().filter(|(_, member)| member.syncing.is_none());
        let ids: Vec<_> = unsynced.map(|(id, _)| id.clone()).collect();
        ids.iter().for_each(|id| self.drop_member(id));
        self.prepare_rebalance(now);
    }
}

#[cfg(test)]
mod tests;
