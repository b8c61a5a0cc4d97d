//! Joining a group, and the rebalance this starts.

use super::{Group, Identity, Member, Protocols, State};
use crate::errors::Code;
use bytes::Bytes;
use std::time::{Duration, Instant};
use tokio::sync::oneshot::{Receiver, Sender, channel};
use uuid::Uuid;

/// Someone who wants to join, or to join again.
pub struct Join {
    pub member: String,
    pub instance: Option<String>,
    pub client_id: String,
    pub client_host: String,
    pub session: Duration,
    pub rebalance: Duration,
    pub protocol_type: String,
    pub protocols: Protocols,
    /// The client can be given an id first and join with it then, so that a retry does not join twice.
    pub takes_id_first: bool,
}

/// A generation has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    pub generation: i32,
    pub protocol: String,
    pub leader: String,
    pub member: String,
    /// For the leader: everyone, with name and metadata.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// Refused, with the id to use the next time.
pub type Refused = (Code, String);

impl Group {
    /// Answers at once or when the group has gathered. The id in an error is the one to come back with.
    pub fn join(&mut self, join: Join, now: Instant) -> Result<Receiver<Result<Joined, Code>>, Refused> {
        self.check_join(&join).map_err(|code| (code, join.member.clone()))?;
        let (sender, receiver) = channel();
        if !join.member.is_empty() {
            self.join_again(join, sender, now)?;
            return Ok(receiver);
        }
        let known = join.instance.as_ref().and_then(|name| self.instances.get(name)).cloned();
        if let Some(old) = known {
            self.come_back(&old, join, sender, now);
        } else {
            let prefix = join.instance.as_ref().unwrap_or(&join.client_id);
            let id = format!("{prefix}-{}", Uuid::new_v4());
            if join.takes_id_first && join.instance.is_none() {
                self.promised.insert(id.clone(), now + join.session);
                return Err((Code::MemberIdRequired, id));
            }
            self.add(id, join, sender, now);
        }
        Ok(receiver)
    }

    fn check_join(&self, join: &Join) -> Result<(), Code> {
        if join.protocol_type.is_empty() || join.protocols.is_empty() {
            return Err(Code::InconsistentGroupProtocol);
        }
        // As Apache Kafka, what the member itself offered before counts too: strategies are changed in two steps.
        let shared =
            |name: &String| self.members.values().all(|member| member.protocols.iter().any(|(other, _)| other == name));
        let same_type = self.members.is_empty() || self.protocol_type == join.protocol_type;
        if same_type && join.protocols.iter().any(|(name, _)| shared(name)) {
            Ok(())
        } else {
            Err(Code::InconsistentGroupProtocol)
        }
    }

    fn join_again(&mut self, join: Join, sender: Sender<Result<Joined, Code>>, now: Instant) -> Result<(), Refused> {
        let id = join.member.clone();
        if self.promised.remove(&id).is_some() {
            self.add(id, join, sender, now);
            return Ok(());
        }
        let who = Identity { member: &id, instance: join.instance.as_deref(), generation: self.generation };
        self.check_member(&who).map_err(|code| (code, id.clone()))?;
        let is_leader = self.leader == id;
        let member = self.members.get_mut(&id).expect("it was checked");
        member.touch(now);
        let same = member.protocols == join.protocols;
        (member.session, member.rebalance) = (join.session, join.rebalance);
        match self.state {
            State::Empty => return Err((Code::UnknownMemberId, id)),
            // It lost our answer: the generation it joined stands.
            State::CompletingRebalance | State::Stable if same && !(is_leader && self.state == State::Stable) => {
                let _ = sender.send(Ok(self.joined(&id)));
                return Ok(());
            }
            _ => {}
        }
        member.protocols = join.protocols;
        member.joining = Some(sender);
        if self.state != State::PreparingRebalance {
            self.prepare_rebalance(now);
        }
        self.complete_join(now);
        Ok(())
    }

    /// A static member comes back without knowing its id: it takes the place of its former self, who is shut out. In a
    /// stable group that changes nothing for the others.
    fn come_back(&mut self, old: &str, join: Join, sender: Sender<Result<Joined, Code>>, now: Instant) {
        let mut former = self.members.remove(old).expect("every static name has its member");
        if let Some(waiting) = former.joining.take() {
            let _ = waiting.send(Err(Code::FencedInstanceId));
        }
        if let Some(waiting) = former.syncing.take() {
            let _ = waiting.send(Err(Code::FencedInstanceId));
        }
        let same = former.protocols == join.protocols;
        let assignment = former.assignment;
        let was_leader = self.leader == old;
        let prefix = join.instance.clone().unwrap_or_default();
        let id = format!("{prefix}-{}", Uuid::new_v4());
        self.instances.insert(prefix, id.clone());
        if was_leader {
            self.leader.clone_from(&id);
        }
        self.members.insert(id.clone(), Member { assignment, ..member(join, now) });
        if same && self.state == State::Stable {
            let mut joined = self.joined(&id);
            if was_leader {
                // It need not assign anything: it is told of a leader that is not it, and is given what it had.
                (joined.leader, joined.members) = (old.to_owned(), Vec::new());
            }
            let _ = sender.send(Ok(joined));
            return;
        }
        self.members.get_mut(&id).expect("just inserted").joining = Some(sender);
        if self.state != State::PreparingRebalance {
            self.prepare_rebalance(now);
        }
        self.complete_join(now);
    }

    fn add(&mut self, id: String, join: Join, sender: Sender<Result<Joined, Code>>, now: Instant) {
        if self.members.is_empty() {
            self.protocol_type.clone_from(&join.protocol_type);
        }
        if let Some(name) = &join.instance {
            self.instances.insert(name.clone(), id.clone());
        }
        self.members.insert(id, Member { joining: Some(sender), ..member(join, now) });
        if self.state != State::PreparingRebalance {
            self.prepare_rebalance(now);
        }
        self.complete_join(now);
    }

    /// Everyone is asked, by heartbeat, to join again.
    pub(super) fn prepare_rebalance(&mut self, now: Instant) {
        for member in self.members.values_mut() {
            if let Some(waiting) = member.syncing.take() {
                member.touch(now);
                let _ = waiting.send(Err(Code::RebalanceInProgress));
            }
        }
        self.state = State::PreparingRebalance;
        self.deadline = Some(now + self.patience());
        self.complete_join(now);
    }

    fn patience(&self) -> Duration {
        self.members.values().map(|member| member.rebalance).max().unwrap_or_default()
    }

    /// Starts the next generation if everyone is there.
    pub(super) fn complete_join(&mut self, now: Instant) {
        let gathered = self.promised.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if self.state == State::PreparingRebalance && gathered {
            self.begin_generation(now);
        }
    }

    /// The rebalance took too long: who has not joined is out. Static members stay, as they will come back.
    pub(super) fn leave_behind(&mut self, now: Instant) {
        let absent = self.members.iter().filter(|(_, m)| m.joining.is_none() && m.instance.is_none());
        let ids: Vec<_> = absent.map(|(id, _)| id.clone()).collect();
        for id in ids {
            tracing::info!(member = id, "did not join again in time");
            self.drop_member(&id);
        }
        self.promised.clear();
        if self.members.values().any(|member| member.joining.is_some()) || self.members.is_empty() {
            self.begin_generation(now);
        } else {
            self.deadline = Some(now + self.patience());
        }
    }

    fn begin_generation(&mut self, now: Instant) {
        self.generation += 1;
        self.deadline = None;
        let there = |id: &str| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !there(&self.leader) {
            let next = self.members.iter().find(|(_, member)| member.joining.is_some());
            self.leader = next.map_or(String::new(), |(id, _)| id.clone());
        }
        if self.leader.is_empty() {
            self.state = State::Empty;
            self.protocol.clear();
            return;
        }
        self.protocol = self.vote();
        self.state = State::CompletingRebalance;
        self.deadline = Some(now + self.patience());
        let ids: Vec<_> = self.members.keys().cloned().collect();
        for id in ids {
            let joined = self.joined(&id);
            let member = self.members.get_mut(&id).expect("ids are of members");
            member.assignment = Bytes::new();
            if let Some(waiting) = member.joining.take() {
                member.touch(now);
                let _ = waiting.send(Ok(joined));
            }
        }
    }

    /// Each member votes for the first it offers of the protocols all of them know.
    fn vote(&self) -> String {
        let known = |name: &str| self.members.values().all(|m| m.protocols.iter().any(|(other, _)| other == name));
        let mut votes = std::collections::BTreeMap::<&str, usize>::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| known(name)) {
                *votes.entry(name).or_default() += 1;
            }
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map_or(String::new(), |(name, _)| name.to_owned())
    }

    fn joined(&self, id: &str) -> Joined {
        let all = || {
            let of = |(id, member): (&String, &Member)| {
                (id.clone(), member.instance.clone(), member.metadata(&self.protocol))
            };
            self.members.iter().map(of).collect()
        };
        Joined {
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member: id.to_owned(),
            members: if id == self.leader { all() } else { Vec::new() },
        }
    }
}

fn member(join: Join, now: Instant) -> Member {
    Member {
        instance: join.instance,
        client_id: join.client_id,
        client_host: join.client_host,
        session: join.session,
        rebalance: join.rebalance,
        protocols: join.protocols,
        assignment: Bytes::new(),
        expires: now + join.session,
        joining: None,
        syncing: None,
    }
}
