//! The consumer group: members, generations, and what each member is told.
//!
//! The coordinator's side is Kafka's classic group: a rebalance waits for every member to join, those that do not are
//! left out, then the generation counts up; or that of KIP-848 ([`epochs`]). The member's side is what [`streams::Consumer`] makes of librdkafka: one
//! word of the group at a time, each waiting for an answer.

mod epochs;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Member id and generation. The id is 0 for one that was thrown out and shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    pub member: u64,
    pub generation: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Assigned,
    Revoked,
    Lost,
}

#[derive(Debug, Clone)]
pub(super) struct Word {
    pub kind: Kind,
    pub partitions: Vec<i32>,
    pub membership: Option<Arc<Membership>>,
}

/// One process as a member.
#[derive(Default)]
pub(super) struct Client {
    pub member: Option<u64>,
    generation: i32,
    pub words: VecDeque<Word>,
    pub unanswered: Option<Word>,
    pub owned: BTreeSet<i32>,
    /// Something was revoked: the group is to hand it on.
    rejoin: bool,
    /// It has joined as somebody new and the loop has not heard of it.
    unheard: bool,
    /// It knows what it has, if only that it is nothing.
    told: bool,
}

impl Client {
    fn is_busy(&self) -> bool {
        self.unanswered.is_some() || !self.words.is_empty()
    }
}

struct Member {
    process: usize,
    joined: bool,
    heard: Duration,
    /// Under KIP-848, and what follows: what is its own, what it is giving up, what it is to have.
    epoch: i32,
    owned: BTreeSet<i32>,
    revoking: BTreeSet<i32>,
    target: BTreeSet<i32>,
}

impl Member {
    fn new(process: usize, heard: Duration) -> Self {
        let [owned, revoking, target] = Default::default();
        Member { process, joined: true, heard, epoch: 0, owned, revoking, target }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Eager,
    Cooperative,
    /// KIP-848.
    Epochs,
}

pub(super) struct Group {
    pub generation: i32,
    pub clients: Vec<Client>,
    members: BTreeMap<u64, Member>,
    last_member: u64,
    /// A rebalance waits for everybody until then.
    deadline: Option<Duration>,
    protocol: Protocol,
    partitions: i32,
    session: Duration,
    rebalance: Duration,
    /// For [`super::Lie::JoinedUnheard`].
    pub joins_unheard: bool,
}

impl Group {
    pub fn new(processes: usize, partitions: i32, protocol: Protocol, session: Duration) -> Self {
        Group {
            generation: 0,
            clients: (0..processes).map(|_| Client::default()).collect(),
            members: BTreeMap::new(),
            last_member: 0,
            deadline: None,
            protocol,
            partitions,
            session,
            rebalance: session * 2,
            joins_unheard: false,
        }
    }

    pub fn is_member(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    pub fn counts_epochs(&self) -> bool {
        self.protocol == Protocol::Epochs
    }

    /// Kafka's check of a transaction's positions (`ClassicGroup.validateOffsetCommit`): member and generation, not who
    /// owns the partition; and nothing at all for one that shows nothing.
    pub fn admits(&self, membership: &Membership) -> bool {
        membership.member == 0
            || match self.counts_epochs() {
                true => self.admits_epoch(membership),
                false => self.is_member(membership.member) && membership.generation == self.generation,
            }
    }

    /// The group knows this process as the owner it believes to be.
    pub fn stands_by(&self, process: usize) -> bool {
        if self.counts_epochs() {
            return self.backs(process);
        }
        let client = &self.clients[process];
        client.member.is_some_and(|member| self.is_member(member))
            && client.generation == self.generation
            && !client.unheard
    }

    /// A process that has just started, or was thrown out, joins as somebody new.
    pub fn join(&mut self, process: usize, now: Duration) {
        self.throw_out(process, now);
        self.clients[process] = Client::default();
        self.become_new(process, now);
    }

    fn become_new(&mut self, process: usize, now: Duration) {
        self.last_member += 1;
        self.clients[process].member = Some(self.last_member);
        self.members.insert(self.last_member, Member::new(process, now));
        self.rebalance(now);
    }

    fn rejoin(&mut self, process: usize, now: Duration) {
        let client = &mut self.clients[process];
        client.rejoin = false;
        let member = client.member.and_then(|member| self.members.get_mut(&member));
        if let Some(member) = member {
            member.joined = true;
            self.rebalance(now);
        }
    }

    pub fn rebalance(&mut self, now: Duration) {
        self.deadline.get_or_insert(now + self.rebalance);
    }

    /// Out of the group, without a word to the member: it hears of it at its next heartbeat.
    pub fn throw_out(&mut self, process: usize, now: Duration) {
        if let Some(member) = self.clients[process].member
            && self.members.remove(&member).is_some()
        {
            self.rebalance(now);
        }
    }

    /// All processes are gone, and their sessions over.
    pub fn bury(&mut self) {
        self.members.clear();
    }

    /// The process is gone.
    pub fn forget(&mut self, process: usize) {
        self.clients[process] = Client::default();
    }

    /// A heartbeat, and what its answer makes the member do. `quietly`: thrown out in the middle of a rebalance,
    /// librdkafka goes on with it as a new member, and the loop only hears of that at the next word.
    pub fn heartbeat(&mut self, process: usize, now: Duration, quietly: bool) {
        if self.counts_epochs() {
            return self.beat(process, now, quietly);
        }
        let cooperative = self.protocol == Protocol::Cooperative;
        let client = &mut self.clients[process];
        let Some(id) = client.member else { return };
        let Some(member) = self.members.get_mut(&id) else {
            client.member = None;
            if client.owned.is_empty() && !client.is_busy() {
                return self.join(process, now);
            }
            if cooperative && quietly && !client.is_busy() {
                client.unheard = true;
                return self.become_new(process, now);
            }
            // Which partitions is known when the words before it are answered.
            client.words.push_back(Word { kind: Kind::Lost, partitions: Vec::new(), membership: None });
            return;
        };
        member.heard = now;
        if self.deadline.is_none() || member.joined || client.is_busy() {
            return;
        }
        if cooperative || client.owned.is_empty() {
            return self.rejoin(process, now);
        }
        let membership = Some(Arc::new(Membership { member: id, generation: client.generation }));
        let partitions = client.owned.iter().copied().collect();
        client.words.push_back(Word { kind: Kind::Revoked, partitions, membership });
    }

    /// What the coordinator does by its clock. Returns whether a new generation began.
    pub fn turn(&mut self, now: Duration, rng: &mut fastrand::Rng) -> bool {
        let silent = |member: &Member| now.saturating_sub(member.heard) > self.session;
        if self.members.values().any(silent) {
            self.members.retain(|_, member| now.saturating_sub(member.heard) <= self.session);
            self.rebalance(now);
        }
        let Some(deadline) = self.deadline else { return false };
        if self.counts_epochs() {
            self.deadline = None;
            self.next_epoch(rng);
            return true;
        }
        if now >= deadline {
            self.members.retain(|_, member| member.joined);
        }
        if self.members.values().any(|member| !member.joined) {
            return false;
        }
        self.deadline = None;
        self.generation += 1;
        self.assign(rng);
        true
    }

    fn assign(&mut self, rng: &mut fastrand::Rng) {
        let mut order: Vec<u64> = self.members.keys().copied().collect();
        rng.shuffle(&mut order);
        // A process that has died and started again is somebody else, and who was thrown out holds nothing.
        let held = |id: u64| {
            Some(&self.clients[self.members[&id].process]).filter(|client| client.member == Some(id) && !client.unheard)
        };
        let held: BTreeMap<u64, BTreeSet<i32>> =
            order.iter().map(|id| (*id, held(*id).map(|client| client.owned.clone()).unwrap_or_default())).collect();
        // What somebody holds goes to nobody else before it was given back.
        let wanted = self.shares(&order, &held, |_, held| held);
        for (id, member) in &mut self.members {
            member.joined = false;
            let (held, wanted) = (&held[id], &wanted[id]);
            let client = &mut self.clients[member.process];
            if client.member != Some(*id) {
                continue;
            }
            client.generation = self.generation;
            let membership = Membership { member: *id, generation: self.generation };
            let mut say = |kind, partitions: Vec<i32>| {
                client.words.push_back(Word { kind, partitions, membership: Some(Arc::new(membership)) });
            };
            let revoked: Vec<i32> = held.difference(wanted).copied().collect();
            if !revoked.is_empty() {
                say(Kind::Revoked, revoked);
            }
            say(Kind::Assigned, wanted.difference(held).copied().collect());
        }
    }

    /// Who is to own what. `spoken_for` says what of it goes to nobody else, by what the member keeps and what it holds.
    fn shares(
        &self,
        order: &[u64],
        held: &BTreeMap<u64, BTreeSet<i32>>,
        spoken_for: impl for<'a> Fn(&'a BTreeSet<i32>, &'a BTreeSet<i32>) -> &'a BTreeSet<i32>,
    ) -> BTreeMap<u64, BTreeSet<i32>> {
        let mut wanted: BTreeMap<u64, BTreeSet<i32>> = order.iter().map(|id| (*id, BTreeSet::new())).collect();
        let mut free: BTreeSet<i32> = (0..self.partitions).collect();
        for (n, id) in order.iter().enumerate() {
            let fair = (self.partitions as usize + order.len() - 1 - n) / order.len();
            let kept = held[id].iter().copied().take(fair).collect();
            free.retain(|partition| !spoken_for(&kept, &held[id]).contains(partition));
            wanted.insert(*id, kept);
        }
        while let Some(partition) = free.pop_first() {
            if let Some(id) = order.iter().min_by_key(|id| wanted[*id].len()) {
                wanted.entry(*id).or_default().insert(partition);
            }
        }
        wanted
    }

    /// The next thing to tell the loop, which must answer it.
    pub fn tell(&mut self, process: usize) -> Option<Word> {
        let client = &mut self.clients[process];
        let mut word = client.words.pop_front()?;
        if client.unheard {
            word = Word { kind: Kind::Lost, partitions: Vec::new(), membership: None };
        }
        if word.kind == Kind::Lost {
            word.partitions = client.owned.iter().copied().collect();
        }
        client.unanswered = Some(word.clone());
        Some(word)
    }

    /// The loop has done what the last word asked for.
    pub fn answered(&mut self, process: usize, now: Duration) {
        let client = &mut self.clients[process];
        let Some(word) = client.unanswered.take() else { return };
        match word.kind {
            Kind::Assigned => client.owned.extend(word.partitions),
            Kind::Revoked => {
                client.owned.retain(|partition| !word.partitions.contains(partition));
                client.told = !client.owned.is_empty();
                client.rejoin = true;
            }
            Kind::Lost if self.protocol == Protocol::Epochs => {
                client.owned.clear();
                client.generation = 0;
                if let Some(id) = client.member.filter(|_| !self.joins_unheard) {
                    self.come_back(process, id, now);
                }
                return;
            }
            Kind::Lost => return self.join(process, now),
        }
        if self.protocol == Protocol::Epochs {
            return;
        }
        if client.rejoin && !client.is_busy() {
            self.rejoin(process, now);
        }
    }
}
