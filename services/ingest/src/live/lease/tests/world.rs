//! A log and its members in simulated time, in steps of ten milliseconds.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::super::{Do, Said, Scope, Terms};

pub const LEASE_MS: u64 = 8_000;
const STEP: Duration = Duration::from_millis(10);

type Record = (String, Option<Said>);

struct Member {
    name: String,
    scope: Scope,
    /// How much of the log it has read.
    read: usize,
    /// Its records that have not reached the log, and when they will.
    sent: VecDeque<(Duration, Record)>,
    frozen_until: Duration,
    held: BTreeMap<usize, bool>,
    /// Shares that it is about to release, and when.
    ending: Vec<(Duration, usize)>,
    retired: bool,
    /// Ended; what it has sent may still arrive.
    dead: bool,
}

pub struct World {
    rng: fastrand::Rng,
    terms: Terms,
    now: Duration,
    log: Vec<Record>,
    members: Vec<Member>,
    away_until: Duration,
    born: usize,
    /// How often a share got another holder.
    pub changes: usize,
}

impl World {
    pub fn new(seed: u64, members: usize, terms: Terms) -> World {
        let mut world = World {
            rng: fastrand::Rng::with_seed(seed),
            terms,
            now: Duration::ZERO,
            log: Vec::new(),
            members: Vec::new(),
            away_until: Duration::ZERO,
            born: 0,
            changes: 0,
        };
        (0..members).for_each(|_| world.join());
        world
    }

    fn join(&mut self) {
        self.born += 1;
        let name = format!("m{}", self.born);
        self.members.push(Member {
            scope: Scope::new(name.clone(), String::new(), self.terms),
            name,
            read: 0,
            sent: VecDeque::new(),
            frozen_until: Duration::ZERO,
            held: BTreeMap::new(),
            ending: Vec::new(),
            retired: false,
            dead: false,
        });
    }

    fn ms(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }

    /// All kinds of it, for so long.
    pub fn trouble(&mut self, span: Duration) -> Result<(), String> {
        let end = self.now + span;
        while self.now < end {
            match self.rng.u32(0..4_000) {
                0 => self.away_until = self.now + self.ms(0..30_000),
                1..=4 => {
                    let (member, until) = (self.rng.usize(0..self.members.len()), self.now + self.ms(0..25_000));
                    self.members[member].frozen_until = until;
                }
                5 => {
                    let member = self.rng.usize(0..self.members.len());
                    self.members[member].dead = true;
                    self.join();
                }
                6 => {
                    let member = self.rng.usize(0..self.members.len());
                    self.members[member].scope.retire();
                    self.members[member].retired = true;
                    self.join();
                }
                _ => {}
            }
            self.step(true)?;
        }
        for member in &mut self.members {
            member.frozen_until = self.now;
        }
        self.away_until = self.now;
        Ok(())
    }

    pub fn calm(&mut self, span: Duration) -> Result<(), String> {
        let end = self.now + span;
        while self.now < end {
            self.step(false)?;
        }
        Ok(())
    }

    pub fn outage(&mut self, span: Duration) -> Result<(), String> {
        self.away_until = self.now + span;
        self.calm(span)
    }

    pub fn kill(&mut self, name: &str) {
        self.members.iter_mut().filter(|member| member.name == name).for_each(|member| member.dead = true);
    }

    pub fn freeze(&mut self, name: &str, span: Duration) {
        let until = self.now + span;
        self.members.iter_mut().filter(|member| member.name == name).for_each(|member| member.frozen_until = until);
    }

    pub fn retire(&mut self, name: &str) {
        for member in self.members.iter_mut().filter(|member| member.name == name) {
            member.scope.retire();
            member.retired = true;
        }
    }

    fn step(&mut self, slow: bool) -> Result<(), String> {
        self.now += STEP;
        let (now, is_away) = (self.now, self.now < self.away_until);
        for at in 0..self.members.len() {
            // What was sent arrives, also of the dead and the frozen.
            while !is_away && self.members[at].sent.front().is_some_and(|(due, _)| *due <= now) {
                let (_, record) = self.members[at].sent.pop_front().expect("there is one");
                self.log.push(record);
            }
            if self.members[at].dead || now < self.members[at].frozen_until {
                continue;
            }
            let reads = !is_away && (!slow || self.rng.u32(0..20) == 0);
            self.turn(at, reads, slow);
        }
        match self.doubly_held() {
            Some(share) => Err(format!("two may write of share {share} at {now:?}")),
            None => Ok(()),
        }
    }

    fn turn(&mut self, at: usize, reads: bool, slow: bool) {
        let now = self.now;
        let delay = if slow { self.ms(0..1_500) } else { self.ms(1..20) };
        let finish = self.ms(0..500);
        let member = &mut self.members[at];
        while reads && member.read < self.log.len() {
            let (name, said) = self.log[member.read].clone();
            member.scope.hear(&name, said, now);
            member.read += 1;
        }
        member.ending.retain(|(due, share)| {
            if *due <= now {
                member.held.remove(share);
                member.scope.released(*share);
            }
            *due > now
        });
        for what in member.scope.next(now) {
            match what {
                Do::Say(said) => member.sent.push_back((now + delay, (member.name.clone(), Some(said)))),
                Do::Bury(name) => member.sent.push_back((now + delay, (name, None))),
                Do::Won(share) => {
                    self.changes += 1;
                    member.held.insert(share, true);
                }
                Do::Lost(share) => {
                    member.held.remove(&share);
                    member.ending.retain(|(_, ending)| *ending != share);
                }
                Do::Leave(share) => member.ending.push((now + finish, share)),
            }
        }
        if member.retired {
            for share in std::mem::take(&mut member.held).into_keys() {
                member.scope.released(share);
            }
            if member.scope.is_over() {
                member.sent.push_back((now + delay, (member.name.clone(), None)));
                member.dead = true;
            }
        }
    }

    /// Those that may write of each share now. What a frozen member holds counts: it may wake at any time.
    fn may_write(&self) -> impl Iterator<Item = (&String, usize)> {
        let living = self.members.iter().filter(|member| !member.dead);
        let fresh = living.filter(|member| member.scope.held_until().is_some_and(|until| self.now < until));
        fresh.flat_map(|member| member.held.keys().map(|share| (&member.name, *share)))
    }

    fn doubly_held(&self) -> Option<usize> {
        let mut seen = BTreeMap::new();
        self.may_write().find_map(|(member, share)| seen.insert(share, member).map(|_| share))
    }

    pub fn writers(&self) -> usize {
        self.may_write().count()
    }

    pub fn holders(&self) -> BTreeMap<usize, String> {
        self.may_write().map(|(member, share)| (share, member.clone())).collect()
    }

    pub fn living(&self) -> usize {
        self.members.iter().filter(|member| !member.dead).count()
    }
}
