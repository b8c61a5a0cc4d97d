//! The life of a connection to a venue, as a pure state machine: what happened goes in, what is to be done comes out.
//!
//! It opens a link, subscribes, watches the deadlines, and opens the next link when one ends: after a capped exponential
//! wait with full jitter, which starts over only after a healthy spell. Where a venue limits a connection's life, or says
//! that it will leave, the next link is opened before the old one is closed, if the venue allows two. A refused key stops
//! it for good: trying on would only get the address banned.
//!
//! Time is the time since some beginning, given with every input: no clock is read here.
//!
//! **Invariant:** no more messages and handshakes than the venue's limits allow, whatever happens.

pub(crate) mod backoff;
pub mod bucket;
mod link;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::backoff::Backoff;
use self::bucket::Bucket;
use self::link::{End, Link, Phase};
use crate::venues::{Acknowledgement, Limits, Said, Venue};

/// The longest between two looks at everything while nothing but trades comes.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Deadlines and waits that are ours to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    pub handshake: Duration,
    /// For the key and for each subscription.
    pub acknowledgement: Duration,
    pub backoff_least: Duration,
    pub backoff_most: Duration,
    /// All symbols served for so long: the waits start over.
    pub healthy: Duration,
}

impl Default for Life {
    fn default() -> Self {
        Life {
            handshake: Duration::from_secs(10),
            acknowledgement: Duration::from_secs(10),
            backoff_least: Duration::from_millis(500),
            backoff_most: Duration::from_secs(60),
            healthy: Duration::from_secs(30),
        }
    }
}

/// Names a link among all of its connection.
pub type LinkId = u64;

/// What happened.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// Nothing but time has passed.
    Tick,
    Opened(LinkId),
    /// The handshake was answered with this HTTP status, and perhaps with how long to wait.
    Refused(LinkId, u16, Option<Duration>),
    /// The link has ended, or never came to be.
    Closed(LinkId),
    /// A frame without meaning, such as a ping of the WebSocket.
    Alive(LinkId),
    /// A frame.
    Frame(LinkId, &'a [Said], Option<u64>),
    /// Nothing comes of these, though they are served. Where subscriptions are not acknowledged they are asked for again.
    Silent(&'a [String]),
    /// These symbols are wanted from now on, by the venue's own names.
    Desire(&'a BTreeSet<String>),
}

/// What is to be done, or to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Open(LinkId),
    Send(LinkId, String),
    Ping(LinkId),
    Close(LinkId),
    /// The symbol is served from now on.
    Covered(String),
    /// It is not any more; or it was asked for on a link that has ended, which may have served it before it was acknowledged.
    Uncovered(String),
    /// Messages of this link were lost, whatever they were.
    Missed(LinkId),
    /// A link has ended, and why.
    Ended(&'static str),
    /// It has stopped for good.
    Stopped(String),
}

pub struct Connection {
    venue: Box<dyn Venue>,
    limits: Limits,
    life: Life,
    keys: (String, String),
    desired: BTreeSet<String>,
    /// One; two while the next one is being made ready.
    links: Vec<Link>,
    covered: BTreeSet<String>,
    backoff: Backoff,
    /// Of all connections that the venue counts together.
    connects: Arc<Mutex<Bucket>>,
    /// When the next link is to be opened, if there is none.
    open_at: Option<Duration>,
    next_link: LinkId,
    stopped: Option<String>,
    /// Until then a frame that says nothing of the connection changes nothing but that its link is alive.
    settled_until: Duration,
    wake_at: Duration,
}

impl Connection {
    pub fn new(
        venue: Box<dyn Venue>,
        limits: Limits,
        life: Life,
        keys: (String, String),
        desired: BTreeSet<String>,
    ) -> Self {
        Connection {
            venue,
            limits,
            life,
            keys,
            desired,
            links: Vec::new(),
            covered: BTreeSet::new(),
            backoff: Backoff::new(life.backoff_least, life.backoff_most, life.healthy),
            connects: Arc::new(Mutex::new(Bucket::new(limits.connects))),
            open_at: Some(Duration::ZERO),
            next_link: 1,
            stopped: None,
            settled_until: Duration::ZERO,
            wake_at: Duration::ZERO,
        }
    }

    /// Counts its handshakes together with those of others. All of them are given the time since the same beginning.
    pub fn counted_by(mut self, connects: Arc<Mutex<Bucket>>) -> Self {
        self.connects = connects;
        self
    }

    pub fn venue(&mut self) -> &mut dyn Venue {
        &mut *self.venue
    }

    /// By the venue's own names.
    pub fn desired(&self) -> &BTreeSet<String> {
        &self.desired
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }

    /// Symbols, by the venue's own names, of which something may have come on the link.
    pub fn asked_on(&self, link: LinkId) -> Vec<String> {
        let link = self.links.iter().find(|known| known.id == link);
        link.into_iter().flat_map(Link::asked).map(str::to_owned).collect()
    }

    /// Why not everything is as it should be; `None` if every symbol is served.
    pub fn trouble(&self) -> Option<String> {
        if let Some(reason) = &self.stopped {
            return Some(format!("stopped: {reason}"));
        }
        let refusals: Vec<String> =
            self.links.iter().flat_map(Link::refusals).map(|(name, why)| format!("{name}: {why}")).collect();
        if !refusals.is_empty() {
            return Some(format!("refused: {}", refusals.join(", ")));
        }
        if let Some(complaint) = self.links.iter().find_map(|link| link.complaint.as_ref()) {
            return Some(format!("the venue says: {complaint}"));
        }
        let missing: Vec<&str> = self.desired.difference(&self.covered).map(String::as_str).take(5).collect();
        let count = self.desired.len() - self.desired.intersection(&self.covered).count();
        (count > 0).then(|| format!("{count} symbols are not served, such as {}", missing.join(", ")))
    }

    /// How many handshakes, and how many messages on its links, the venue allows now.
    pub fn tokens(&self, now: Duration) -> (u32, u32) {
        let connects = self.connects.lock().unwrap_or_else(PoisonError::into_inner).left(now);
        (connects, self.links.iter().map(|link| link.tokens(now)).sum())
    }

    pub fn unserved(&self) -> usize {
        self.desired.difference(&self.covered).count()
    }

    /// Takes what happened; adds what is to be done. `luck` from 0 to 1 is the jitter of a wait that may begin now.
    pub fn handle(&mut self, input: Input<'_>, now: Duration, luck: f64, out: &mut Vec<Output>) {
        if self.stopped.is_some() {
            return;
        }
        let is_plain = matches!(input, Input::Frame(_, [], _) | Input::Alive(_));
        match input {
            Input::Tick => {}
            Input::Opened(id) => {
                if let Some(link) = self.link(id) {
                    let limits = self.limits;
                    self.links[link].opened(&limits, now);
                }
            }
            Input::Refused(id, status, wait) => self.refused(id, status, wait, now, luck, out),
            Input::Closed(id) => self.end(id, "closed", None, now, luck, out),
            Input::Alive(id) => {
                if let Some(link) = self.link(id) {
                    self.links[link].alive(now);
                }
            }
            Input::Frame(id, said, sequence) => self.frame(id, said, sequence, now, luck, out),
            Input::Silent(names) if self.limits.acknowledgement == Acknowledgement::None => {
                self.links.iter_mut().for_each(|link| link.ask_again(names));
            }
            Input::Silent(_) => {}
            Input::Desire(desired) => {
                self.desired = desired.clone();
                self.links.iter_mut().for_each(|link| link.desire(desired));
            }
        }
        // To look at each symbol with each trade would cost more than all the rest.
        if self.stopped.is_none() && (now >= self.settled_until || !is_plain) {
            self.turn(now, luck, out);
            self.wake_at = self.next_deadline();
            self.settled_until = self.wake_at.min(now + LOOK_EVERY);
        }
    }

    fn link(&self, id: LinkId) -> Option<usize> {
        self.links.iter().position(|link| link.id == id)
    }

    fn frame(
        &mut self,
        id: LinkId,
        said: &[Said],
        sequence: Option<u64>,
        now: Duration,
        luck: f64,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.link(id) else { return };
        self.links[at].alive(now);
        if sequence.is_some_and(|number| self.links[at].number(number)) {
            out.push(Output::Missed(id));
        }
        for said in said {
            let keys = (self.keys.0.as_str(), self.keys.1.as_str());
            match self.links[at].hear(said, &*self.venue, keys, now, out) {
                Ok(()) if *said == Said::Leaving => return self.replace(id, "leaving", now, luck, out),
                Ok(()) => {}
                Err(End::Stop(reason)) => return self.stop(reason, out),
                Err(End::Again(cause)) => {
                    out.push(Output::Close(id));
                    return self.end(id, cause, None, now, luck, out);
                }
            }
        }
    }

    /// What follows from the state and the time, whatever the input was.
    fn turn(&mut self, now: Duration, luck: f64, out: &mut Vec<Output>) {
        let overdue: Vec<(LinkId, &'static str)> = self
            .links
            .iter()
            .filter_map(|link| Some((link.id, link.overdue(&self.limits, &self.life, now)?)))
            .collect();
        for (id, cause) in overdue {
            out.push(Output::Close(id));
            self.end(id, cause, None, now, luck, out);
        }
        if let Some(old) = self.aged(now) {
            self.replace(old, "planned", now, luck, out);
        }
        if self.links.is_empty() || self.next_is_due(now) {
            self.open(now, out);
        }
        for link in &mut self.links {
            link.pump(&*self.venue, &self.limits, now, out);
        }
        self.settle(now, out);
        self.tell_covered(out);
    }

    fn next_is_due(&self, now: Duration) -> bool {
        self.links.len() == 1 && self.open_at.is_some_and(|at| now >= at)
    }

    /// The only link, if it will be cut before long. A little early, and not to the second: venues cut when they like.
    fn aged(&self, now: Duration) -> Option<LinkId> {
        let [link] = &self.links[..] else { return None };
        let life = self.limits.life?.mul_f64(0.95);
        (self.open_at.is_none() && link.phase == Phase::Serving && now >= link.opened? + life).then_some(link.id)
    }

    /// The link will not last: opens the next one first if two may be open.
    fn replace(&mut self, id: LinkId, cause: &'static str, now: Duration, luck: f64, out: &mut Vec<Output>) {
        if self.limits.overlap {
            if self.links.len() == 1 && self.open_at.is_none() {
                self.open_at = Some(now);
                out.push(Output::Ended(cause));
            }
        } else {
            out.push(Output::Close(id));
            self.end(id, cause, Some(now), now, luck, out);
        }
    }

    fn open(&mut self, now: Duration, out: &mut Vec<Output>) {
        let due = self.open_at.get_or_insert(now);
        if now < *due || self.desired.is_empty() {
            return;
        }
        let mut connects = self.connects.lock().unwrap_or_else(PoisonError::into_inner);
        if !connects.take(now) {
            *due = connects.free_at();
            return;
        }
        self.open_at = None;
        let id = self.next_link;
        self.next_link += 1;
        self.links.push(Link::new(id, &self.limits, &self.desired, now));
        out.push(Output::Open(id));
    }

    /// Closes the old link once the new one serves what it can.
    fn settle(&mut self, now: Duration, out: &mut Vec<Output>) {
        if let [_, new] = &self.links[..]
            && new.is_settled()
        {
            let old = self.links.remove(0);
            out.push(Output::Close(old.id));
            self.tell_unsure(&old, out);
        }
        if let [link] = &self.links[..]
            && link.is_settled()
        {
            self.backoff.well(now);
        }
    }

    /// A link is gone. What it was asked for and never acknowledged may have come all the same, as some venues serve first and
    /// answer then; it does not any more.
    fn tell_unsure(&self, gone: &Link, out: &mut Vec<Output>) {
        let elsewhere = |name: &str| self.links.iter().any(|link| link.grants(name));
        let unsure = gone.asked().filter(|name| !self.covered.contains(*name) && !elsewhere(name));
        out.extend(unsure.map(|name| Output::Uncovered(name.to_owned())));
    }

    fn tell_covered(&mut self, out: &mut Vec<Output>) {
        for name in &self.desired {
            let served = self.links.iter().any(|link| link.grants(name));
            if served && self.covered.insert(name.clone()) {
                out.push(Output::Covered(name.clone()));
            } else if !served && self.covered.remove(name) {
                out.push(Output::Uncovered(name.clone()));
            }
        }
        let gone: Vec<String> = self.covered.difference(&self.desired).cloned().collect();
        for name in gone {
            self.covered.remove(&name);
            out.push(Output::Uncovered(name));
        }
    }

    fn refused(
        &mut self,
        id: LinkId,
        status: u16,
        wait: Option<Duration>,
        now: Duration,
        luck: f64,
        out: &mut Vec<Output>,
    ) {
        if status == 401 || (status == 403 && self.limits.needs_key) {
            return self.stop(format!("the venue refused the handshake with HTTP {status}: is the key right?"), out);
        }
        let cause = if status == 429 || status == 418 { "too_fast" } else { "refused" };
        self.end(id, cause, wait.map(|wait| now + wait), now, luck, out);
    }

    /// A link is over. The next one comes after the back-off, and not before `earliest`.
    fn end(
        &mut self,
        id: LinkId,
        cause: &'static str,
        earliest: Option<Duration>,
        now: Duration,
        luck: f64,
        out: &mut Vec<Output>,
    ) {
        let Some(at) = self.link(id) else { return };
        let link = self.links.remove(at);
        out.push(Output::Ended(cause));
        self.tell_unsure(&link, out);
        // The new link is under way already.
        if self.links.iter().any(|other| other.id > link.id) {
            return;
        }
        let planned = matches!(cause, "planned" | "leaving");
        let wait = if planned { Duration::ZERO } else { self.backoff.wait(now, luck) };
        self.open_at = Some((now + wait).max(earliest.unwrap_or_default()));
        self.tell_covered(out);
    }

    fn stop(&mut self, reason: String, out: &mut Vec<Output>) {
        for link in std::mem::take(&mut self.links) {
            out.push(Output::Close(link.id));
            self.tell_unsure(&link, out);
        }
        self.tell_covered(out);
        out.push(Output::Stopped(reason.clone()));
        self.stopped = Some(reason);
    }

    /// When to call again with [`Input::Tick`], at the latest.
    pub fn wake(&self) -> Duration {
        if self.is_stopped() { Duration::MAX } else { self.wake_at }
    }

    fn next_deadline(&self) -> Duration {
        let links = self.links.iter().map(|link| link.wake(&self.limits, &self.life));
        let aged = self.limits.life.and_then(|life| Some(self.links.first()?.opened? + life.mul_f64(0.95)));
        let aged = aged.filter(|_| self.links.len() == 1 && self.open_at.is_none());
        let open_at = self.open_at.filter(|_| !self.desired.is_empty() && self.links.len() < 2);
        links.chain(aged).chain(open_at).min().unwrap_or(Duration::MAX)
    }
}
