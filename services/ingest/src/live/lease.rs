//! Who reads which share of a feed, when several processes could: leases that are agreed upon through the log of a topic.
//!
//! Each member writes a record every quarter of a lease: what it holds, each share with a number that grows from holder to holder, and
//! what it claims. All read the same log, so all agree: of two that claim a share, the earlier record has it; and a claim over one
//! that was taken for dead is void if anything of it came before the claim. No clock is compared with another's, and no record's time is looked at:
//!
//! - A member is taken for dead when, for a whole lease, beats of *ours* have come back through the log and none of its own were among
//!   them. Between two of ours no more counts than a beat is apart: while Kafka is away nothing comes back to anybody, and nobody is
//!   taken for dead.
//! - A holder writes what it has read only until three quarters of a lease after it *sent* the last beat that it has seen in the log
//!   ([`Scope::held_until`]). So it has stopped before anybody may take its place, also if it was frozen meanwhile, or cut off.
//!
//! Of a venue that allows one connection per key there is one share, and whoever has it keeps it ([`Terms::sticky`]). Of others the
//! shares are divided among the living by rendezvous hashing, none with more than its part: who joins takes a few from each.
//!
//! Pure: time is the time since some beginning, given with each call.

pub mod keeper;
mod process;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What all members of a scope have in common.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    pub shares: usize,
    /// Who holds a share keeps it for as long as it lives.
    pub sticky: bool,
    pub lease: Duration,
}

/// The value of a member's record. Fields may be added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Said {
    pub version: u32,
    /// Into how many shares it divides the feed.
    pub shares: usize,
    /// Counts its records.
    pub beat: u64,
    /// Its shares, and the number under which it holds each.
    pub holds: BTreeMap<usize, u64>,
    pub claims: BTreeMap<usize, Claim>,
    /// It is about to end, and wants no more.
    pub leaving: bool,
    /// Where it runs, for those that run there, too.
    pub process: String,
    pub written: i64,
}

/// For a share that is free, or whose holder is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Claim {
    /// One more than that of the holder before.
    pub number: u64,
    /// The last that was heard of that holder.
    pub after: u64,
}

/// What is to be done, or to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do {
    /// Write this as ours. One at a time: the next comes when this one has come back.
    Say(Said),
    /// Remove the record of a member that is dead and holds nothing.
    Bury(String),
    /// The share is ours.
    Won(usize),
    /// It is somebody else's: nothing more of it may be written.
    Lost(usize),
    /// It should be somebody else's: finish, then call [`Scope::released`].
    Leave(usize),
}

/// A share as the log has it.
#[derive(Clone, Debug, Default)]
struct Share {
    number: u64,
    holder: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// After this beat of the holder before.
    Claimed(u64),
    Held,
    Leaving,
}

/// Another member.
#[derive(Clone, Debug)]
struct Seen {
    said: Said,
    /// For how long beats of ours have come back since its last; `None` before the first has.
    quiet: Option<Duration>,
    /// It is known to have ended.
    gone: bool,
    buried: bool,
}

/// The members that share a feed, as one of them sees it.
pub struct Scope {
    me: String,
    process: String,
    terms: Terms,
    others: BTreeMap<String, Seen>,
    shares: Vec<Share>,
    mine: BTreeMap<usize, (u64, State)>,
    /// When the beat that is under way was sent.
    under_way: Option<Duration>,
    /// When the last one that has come back was sent.
    confirmed: Option<Duration>,
    sent: Option<Duration>,
    /// When the last one came back.
    heard: Option<Duration>,
    /// Counts our records, those sent and those that have come back.
    beat: u64,
    heard_beat: u64,
    /// There is something new to say.
    changed: bool,
    leaving: bool,
    farewell: bool,
    /// The members that the shares were divided among last, and which of them are ours.
    division: (Vec<String>, Vec<bool>),
    out: Vec<Do>,
}

impl Scope {
    pub fn new(me: String, process: String, terms: Terms) -> Scope {
        Scope {
            me,
            process,
            terms,
            others: BTreeMap::new(),
            shares: vec![Share::default(); terms.shares],
            mine: BTreeMap::new(),
            under_way: None,
            confirmed: None,
            sent: None,
            heard: None,
            beat: 0,
            heard_beat: 0,
            changed: true,
            leaving: false,
            farewell: false,
            division: Default::default(),
            out: Vec::new(),
        }
    }

    /// A record of the log, in its order; `None`: the member's record was removed.
    pub fn hear(&mut self, member: &str, said: Option<Said>, now: Duration) {
        match (&said, member == self.me) {
            (Some(said), true) => {
                self.heard_beat = said.beat;
                self.confirmed = self.under_way.take().or(self.confirmed);
                let apart = self.heard.replace(now).map_or(Duration::ZERO, |before| now - before);
                let apart = apart.min(self.terms.lease / 4);
                for other in self.others.values_mut() {
                    other.quiet = Some(other.quiet.map_or(Duration::ZERO, |quiet| quiet + apart));
                }
            }
            // Somebody has taken us for dead.
            (None, true) => self.changed = true,
            (Some(said), false) => {
                let seen = Seen { said: said.clone(), quiet: None, gone: false, buried: false };
                self.others.insert(member.to_owned(), seen);
            }
            // Whoever buries it may not have known what it has claimed meanwhile: that stays its own until it says otherwise, or is dead.
            (None, false) if self.shares.iter().any(|share| share.holder.as_deref() == Some(member)) => {}
            (None, false) => drop(self.others.remove(member)),
        }
        let Some(said) = said else { return };
        let said = Some(said).filter(|said| said.shares == self.terms.shares).unwrap_or_default();
        for number in 0..self.shares.len() {
            let after = self.shares[number].holder.as_ref().map(|holder| self.beat_of(holder));
            let share = &mut self.shares[number];
            let holds = said.holds.get(&number).copied();
            let holds = holds.filter(|held| *held > share.number || (*held == share.number && share.holder.is_none()));
            let claim = said.claims.get(&number);
            let claim =
                claim.filter(|claim| claim.number == share.number + 1 && after.is_none_or(|beat| claim.after == beat));
            if let Some(number) = holds.or(claim.map(|claim| claim.number)) {
                *share = Share { number, holder: Some(member.to_owned()) };
            } else if share.holder.as_deref() == Some(member)
                && !said.holds.contains_key(&number)
                && !said.claims.contains_key(&number)
            {
                share.holder = None;
            }
        }
        self.review();
    }

    fn beat_of(&self, member: &str) -> u64 {
        if member == self.me { self.heard_beat } else { self.others.get(member).map_or(0, |other| other.said.beat) }
    }

    /// What the log says of ours.
    fn review(&mut self) {
        let (me, shares, out, changed) = (&self.me, &self.shares, &mut self.out, &mut self.changed);
        let last = |share: &Share| match &share.holder {
            Some(holder) => self.others.get(holder).map_or(0, |other| other.said.beat),
            None => 0,
        };
        self.mine.retain(|share, (number, state)| {
            let known = &shares[*share];
            let is_mine = known.holder.as_deref() == Some(me) && known.number == *number;
            match state {
                State::Claimed(_) if is_mine => {
                    *state = State::Held;
                    out.push(Do::Won(*share));
                    true
                }
                // Not yet in the log.
                State::Claimed(after) if known.number < *number && *after == last(known) => true,
                // Somebody was there before.
                State::Claimed(_) => {
                    *changed = true;
                    false
                }
                State::Held | State::Leaving if is_mine => true,
                State::Held | State::Leaving => {
                    *changed = true;
                    out.push(Do::Lost(*share));
                    false
                }
            }
        });
    }

    /// It has ended for sure.
    pub fn gone(&mut self, member: &str) {
        if let Some(other) = self.others.get_mut(member) {
            other.gone = true;
        }
    }

    /// Nothing of the share is on its way any more.
    pub fn released(&mut self, share: usize) {
        self.changed |= self.mine.remove(&share).is_some();
    }

    /// Nothing of any share is on its way.
    pub fn released_all(&mut self) {
        self.changed |= !self.mine.is_empty();
        self.mine.clear();
    }

    /// Wants no more shares from now on.
    pub fn retire(&mut self) {
        self.changed |= !std::mem::replace(&mut self.leaving, true);
    }

    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.others.iter().map(|(member, seen)| (member.as_str(), seen.said.process.as_str()))
    }

    pub fn holds_any(&self) -> bool {
        !self.mine.is_empty()
    }

    /// It has said that it leaves and holds nothing: its record may be removed.
    pub fn is_over(&self) -> bool {
        self.farewell
    }

    /// Until then what is held may be written.
    pub fn held_until(&self) -> Option<Duration> {
        self.confirmed.map(|sent| sent + self.terms.lease * 3 / 4)
    }

    fn is_alive(&self, other: &Seen) -> bool {
        !other.gone && other.quiet.is_none_or(|quiet| quiet < self.terms.lease)
    }

    fn living(&self) -> impl Iterator<Item = (&String, &Seen)> {
        self.others.iter().filter(|(_, other)| self.is_alive(other))
    }

    /// Who has the share, if it lives.
    fn holder(&self, share: usize) -> Option<&str> {
        let holder = self.shares[share].holder.as_deref()?;
        let lives = holder == self.me || self.others.get(holder).is_some_and(|other| self.is_alive(other));
        lives.then_some(holder)
    }

    /// A living member that divides the feed otherwise: its shares are not comparable with ours.
    pub fn stranger(&self) -> Option<(&str, usize)> {
        let (member, seen) = self.living().find(|(_, other)| other.said.shares != self.terms.shares)?;
        Some((member, seen.said.shares))
    }

    /// Everything is held by others: there is nothing to do but to stand by. The members that hold something.
    pub fn stands_by(&self) -> Option<BTreeSet<&str>> {
        self.confirmed?;
        if self.holds_any() {
            return None;
        }
        if let Some((member, _)) = self.stranger() {
            return Some(BTreeSet::from([member]));
        }
        (0..self.terms.shares).map(|share| self.holder(share).filter(|holder| *holder != self.me)).collect()
    }

    /// What is to be done now.
    pub fn next(&mut self, now: Duration) -> Vec<Do> {
        // Before its first beat has come back it has not read what was there before.
        if self.confirmed.is_some() && !self.leaving {
            self.divide();
        }
        self.bury();
        let due = self.sent.is_none_or(|sent| now >= sent + self.terms.lease / 4);
        if self.under_way.is_none() && (self.changed || due) {
            (self.under_way, self.sent, self.changed) = (Some(now), Some(now), false);
            self.farewell = self.leaving && self.mine.is_empty();
            self.beat += 1;
            let (mut holds, mut claims) = (BTreeMap::new(), BTreeMap::new());
            for (share, (number, state)) in &self.mine {
                match state {
                    State::Claimed(after) => drop(claims.insert(*share, Claim { number: *number, after: *after })),
                    State::Held | State::Leaving => drop(holds.insert(*share, *number)),
                }
            }
            self.out.push(Do::Say(Said {
                version: 1,
                shares: self.terms.shares,
                beat: self.beat,
                holds,
                claims,
                leaving: self.leaving,
                process: self.process.clone(),
                written: 0,
            }));
        }
        std::mem::take(&mut self.out)
    }

    fn divide(&mut self) {
        let free = self.stranger().is_none();
        for share in 0..self.terms.shares {
            let wanted = self.wants(share);
            let held = self.holder(share).is_some();
            match self.mine.get_mut(&share) {
                Some((_, state @ State::Held)) if !wanted => {
                    *state = State::Leaving;
                    self.out.push(Do::Leave(share));
                }
                None if wanted && free && !held => {
                    let after = self.shares[share].holder.as_ref().map_or(0, |holder| self.beat_of(holder));
                    self.mine.insert(share, (self.shares[share].number + 1, State::Claimed(after)));
                    self.changed = true;
                }
                _ => {}
            }
        }
    }

    fn wants(&mut self, share: usize) -> bool {
        if self.terms.sticky {
            return true;
        }
        let mut members: Vec<&str> =
            self.living().filter(|(_, other)| !other.said.leaving).map(|(member, _)| member.as_str()).collect();
        members.push(&self.me);
        if self.division.1.is_empty() || self.division.0 != members {
            let ours = divided(self.terms.shares, &members).into_iter().map(|member| member == self.me).collect();
            self.division = (members.into_iter().map(str::to_owned).collect(), ours);
        }
        self.division.1[share]
    }

    fn bury(&mut self) {
        let holders: BTreeSet<&String> = self.shares.iter().filter_map(|share| share.holder.as_ref()).collect();
        let lease = self.terms.lease;
        for (member, other) in &mut self.others {
            // Long after it was taken for dead: one that was only slow would have to say everything anew.
            let long = other.quiet.is_some_and(|quiet| quiet >= lease * 10);
            if (other.gone || long) && !other.buried && !holders.contains(member) {
                other.buried = true;
                self.out.push(Do::Bury(member.clone()));
            }
        }
    }
}

/// How well two things go together: the highest weight among all wins (rendezvous hashing, Thaler and Ravishankar 1998).
fn weight(share: usize, of: &str) -> u64 {
    let hash = Sha256::digest(format!("{share}/{of}"));
    u64::from_be_bytes(hash[..8].try_into().expect("a hash of 32 bytes"))
}

/// To whom each share goes: to the member of the highest weight that has not its part already.
fn divided<'a>(shares: usize, members: &[&'a str]) -> Vec<&'a str> {
    let most = shares.div_ceil(members.len().max(1));
    let mut loads: BTreeMap<&str, usize> = BTreeMap::new();
    let to = |share: usize| {
        let free = members.iter().filter(|member| loads.get(**member).is_none_or(|load| *load < most));
        let member =
            *free.max_by_key(|member| (weight(share, member), **member)).expect("together they have room for all");
        *loads.entry(member).or_default() += 1;
        member
    };
    (0..shares).map(to).collect()
}

/// The share of a symbol.
pub fn share_of(symbol: &str, shares: usize) -> usize {
    (0..shares).max_by_key(|share| weight(*share, symbol)).unwrap_or(0)
}
