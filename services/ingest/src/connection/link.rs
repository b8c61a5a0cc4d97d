//! One socket, from its handshake to its end: what has been asked on it, and what of that was granted.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::bucket::Bucket;
use super::{Life, LinkId, Output};
use crate::venues::{Acknowledgement, Limits, PingBy, Said, Venue};

/// Where a link is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The handshake is under way.
    Opening,
    /// Open; the venue speaks first.
    Greeting,
    /// The key was sent.
    Authenticating,
    /// Symbols can be asked for.
    Serving,
}

/// What has become of a symbol on this link.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Wanted,
    Sent {
        request: u64,
        at: Duration,
    },
    Granted,
    Refused(String),
    /// Not wanted any more, which has not been said yet; and what it was, should it be wanted again before.
    Leaving(Box<Asked>),
}

impl Asked {
    /// The venue has granted it.
    fn grant(&mut self) {
        match self {
            Asked::Sent { .. } => *self = Asked::Granted,
            Asked::Leaving(before) => before.grant(),
            Asked::Wanted | Asked::Granted | Asked::Refused(_) => {}
        }
    }

    fn is_of(&self, number: u64) -> bool {
        match self {
            Asked::Sent { request, .. } => *request == number,
            Asked::Leaving(before) => before.is_of(number),
            Asked::Wanted | Asked::Granted | Asked::Refused(_) => false,
        }
    }
}

pub struct Link {
    pub id: LinkId,
    pub phase: Phase,
    phase_since: Duration,
    pub opened: Option<Duration>,
    last_frame: Duration,
    pinged: Option<Duration>,
    symbols: BTreeMap<String, Asked>,
    sends: Bucket,
    next_request: u64,
    /// Messages that follow those that were sent, once the limit allows it.
    pending: VecDeque<String>,
    said_besides: bool,
    /// A refusal named nobody: from now on one symbol is asked for at a time, so that the next one names itself.
    single: bool,
    sequence: Option<u64>,
    /// What the venue said against us without saying about what.
    pub complaint: Option<String>,
}

/// Why a link must end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// No use in trying again.
    Stop(String),
    /// Try again, after a while.
    Again(&'static str),
}

impl Link {
    pub fn new(id: LinkId, limits: &Limits, desired: &BTreeSet<String>, now: Duration) -> Self {
        Link {
            id,
            phase: Phase::Opening,
            phase_since: now,
            opened: None,
            last_frame: now,
            pinged: None,
            symbols: desired.iter().map(|name| (name.clone(), Asked::Wanted)).collect(),
            sends: Bucket::new(limits.sends),
            next_request: 1,
            pending: VecDeque::new(),
            said_besides: false,
            single: false,
            sequence: None,
            complaint: None,
        }
    }

    pub fn grants(&self, own_name: &str) -> bool {
        self.symbols.get(own_name) == Some(&Asked::Granted)
    }

    /// How many messages the venue allows on it now.
    pub fn tokens(&self, now: Duration) -> u32 {
        self.sends.left(now)
    }

    /// Granted or refused: nothing more is to be expected.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Serving
            && self.symbols.values().all(|asked| !matches!(asked, Asked::Wanted | Asked::Sent { .. }))
    }

    pub fn refusals(&self) -> impl Iterator<Item = (&str, &str)> {
        self.symbols.iter().filter_map(|(name, asked)| match asked {
            Asked::Refused(reason) => Some((name.as_str(), reason.as_str())),
            _ => None,
        })
    }

    /// What it serves, or may serve already: asked for, and not refused.
    pub fn asked(&self) -> impl Iterator<Item = &str> {
        let asked = self.symbols.iter().filter(|(_, asked)| matches!(asked, Asked::Sent { .. } | Asked::Granted));
        asked.map(|(name, _)| name.as_str())
    }

    fn enter(&mut self, phase: Phase, now: Duration) {
        self.phase = phase;
        self.phase_since = now;
    }

    pub fn opened(&mut self, limits: &Limits, now: Duration) {
        self.opened = Some(now);
        self.last_frame = now;
        self.enter(if limits.greets { Phase::Greeting } else { Phase::Serving }, now);
    }

    /// Any frame, also a ping or pong of the WebSocket itself.
    pub fn alive(&mut self, now: Duration) {
        self.last_frame = now;
        self.pinged = None;
    }

    /// The number of a message among all of the connection. `true` if some before it are missing.
    pub fn number(&mut self, number: u64) -> bool {
        let jumped = self.sequence.is_some_and(|last| number > last + 1);
        self.sequence = Some(self.sequence.unwrap_or(number).max(number));
        jumped
    }

    pub fn hear(
        &mut self,
        said: &Said,
        venue: &dyn Venue,
        keys: (&str, &str),
        now: Duration,
        out: &mut Vec<Output>,
    ) -> Result<(), End> {
        match said {
            Said::Welcome if self.phase == Phase::Greeting => match venue.authenticate(keys.0, keys.1) {
                Some(text) => {
                    self.sends.take(now);
                    out.push(Output::Send(self.id, text));
                    self.enter(Phase::Authenticating, now);
                }
                None => self.enter(Phase::Serving, now),
            },
            Said::Authenticated => self.enter(Phase::Serving, now),
            Said::KeyRefused(reason) => return Err(End::Stop(format!("the venue refused the key: {reason}"))),
            Said::KeyInUse(_) => return Err(End::Again("key_in_use")),
            Said::TooFast(_) => return Err(End::Again("too_fast")),
            Said::Subscribed(name) => {
                if let Some(asked) = self.symbols.get_mut(name) {
                    asked.grant();
                }
            }
            Said::SubscribedAll(names) => self.granted_all(names),
            Said::Granted(request) => {
                self.symbols.values_mut().filter(|asked| asked.is_of(*request)).for_each(Asked::grant);
            }
            Said::Refused { own_name, request, reason } => self.refused(own_name.as_deref(), *request, reason),
            Said::Welcome | Said::Leaving | Said::Used { .. } | Said::LastId { .. } => {}
        }
        Ok(())
    }

    fn granted_all(&mut self, names: &[String]) {
        for (name, asked) in &mut self.symbols {
            let listed = names.contains(name);
            match asked {
                Asked::Sent { .. } | Asked::Leaving(_) if listed => asked.grant(),
                // The venue has dropped it: ask again.
                Asked::Granted if !listed => *asked = Asked::Wanted,
                _ => {}
            }
        }
    }

    fn refused(&mut self, own_name: Option<&str>, request: Option<u64>, reason: &str) {
        if let Some(asked) = own_name.and_then(|name| self.symbols.get_mut(name)) {
            *asked = Asked::Refused(reason.to_owned());
            return;
        }
        // Requests are answered in their order: an answer without a number is for the oldest.
        let oldest = self.symbols.values().filter_map(|asked| match asked {
            Asked::Sent { request, .. } => Some(*request),
            _ => None,
        });
        let Some(request) = request.or(oldest.min()) else {
            self.complaint = Some(reason.to_owned());
            return;
        };
        let of_request = |asked: &&mut Asked| matches!(asked, Asked::Sent { request: of, .. } if *of == request);
        let mut refused: Vec<&mut Asked> = self.symbols.values_mut().filter(of_request).collect();
        match &mut refused[..] {
            [] => self.complaint = Some(reason.to_owned()),
            [one] => **one = Asked::Refused(reason.to_owned()),
            several => {
                several.iter_mut().for_each(|asked| **asked = Asked::Wanted);
                self.single = true;
            }
        }
    }

    /// Perhaps the venue never heard of these.
    pub fn ask_again(&mut self, names: &[String]) {
        for (name, asked) in &mut self.symbols {
            if *asked == Asked::Granted && names.contains(name) {
                *asked = Asked::Wanted;
            }
        }
    }

    /// The set of symbols has changed. What follows from it is sent as the venue's limit allows.
    pub fn desire(&mut self, desired: &BTreeSet<String>) {
        let gone: Vec<String> = self.symbols.keys().filter(|name| !desired.contains(*name)).cloned().collect();
        for name in gone {
            match self.symbols.remove(&name) {
                Some(asked @ (Asked::Sent { .. } | Asked::Granted)) => {
                    self.symbols.insert(name, Asked::Leaving(Box::new(asked)));
                }
                // Not yet said.
                Some(asked @ Asked::Leaving(_)) => drop(self.symbols.insert(name, asked)),
                Some(Asked::Wanted | Asked::Refused(_)) | None => {}
            }
        }
        for name in desired {
            let asked = self.symbols.entry(name.clone()).or_insert(Asked::Wanted);
            if let Asked::Leaving(before) = asked {
                *asked = (**before).clone();
            }
        }
    }

    /// Sends what is to be sent, as far as the venue's limit allows.
    pub fn pump(&mut self, venue: &dyn Venue, limits: &Limits, now: Duration, out: &mut Vec<Output>) {
        if let Some(ping) = limits.ping
            && self.phase == Phase::Serving
            && self.pinged.is_none()
            && now >= self.last_frame + ping.after
        {
            match ping.by {
                PingBy::Frame => out.push(Output::Ping(self.id)),
                PingBy::Text(text) if self.sends.take(now) => out.push(Output::Send(self.id, text.to_owned())),
                PingBy::Text(_) => return,
            }
            self.pinged = Some(now);
        }
        if self.phase != Phase::Serving {
            return;
        }
        if !self.said_besides
            && let Some(text) = venue.besides()
        {
            if !self.sends.take(now) {
                return;
            }
            out.push(Output::Send(self.id, text));
        }
        self.said_besides = true;
        // First, since a venue may have room for so many only.
        if !self.take_leave(venue, limits, now, out) {
            return;
        }
        loop {
            // Behind what it belongs to, and before anything further.
            while let Some(text) = self.pending.pop_front() {
                if !self.sends.take(now) {
                    return self.pending.push_front(text);
                }
                out.push(Output::Send(self.id, text));
            }
            let outstanding = self.symbols.values().any(|asked| matches!(asked, Asked::Sent { .. }));
            if self.single && outstanding {
                return;
            }
            let most = if self.single { 1 } else { limits.batch.max(1) };
            let wanted = self.symbols.iter().filter(|(_, asked)| **asked == Asked::Wanted);
            let batch: Vec<String> = wanted.take(most).map(|(name, _)| name.clone()).collect();
            if batch.is_empty() || !self.sends.take(now) {
                return;
            }
            self.next_request += 1;
            let request = self.next_request;
            out.push(Output::Send(self.id, venue.subscribe(&batch, request)));
            self.pending.extend(venue.ask_for_quotes(true, &batch, request));
            let asked = match limits.acknowledgement {
                Acknowledgement::None => Asked::Granted,
                Acknowledgement::Symbols | Acknowledgement::Requests => Asked::Sent { request, at: now },
            };
            for name in batch {
                self.symbols.insert(name, asked.clone());
            }
        }
    }

    /// Says of what is not wanted any more that it is not. `false` if some of it must wait.
    fn take_leave(&mut self, venue: &dyn Venue, limits: &Limits, now: Duration, out: &mut Vec<Output>) -> bool {
        loop {
            let leaving = self.symbols.iter().filter(|(_, asked)| matches!(asked, Asked::Leaving(_)));
            let batch: Vec<String> = leaving.take(limits.batch.max(1)).map(|(name, _)| name.clone()).collect();
            if batch.is_empty() {
                return true;
            }
            if !self.sends.take(now) {
                return false;
            }
            self.next_request += 1;
            out.push(Output::Send(self.id, venue.unsubscribe(&batch, self.next_request)));
            self.pending.extend(venue.ask_for_quotes(false, &batch, self.next_request));
            batch.iter().for_each(|name| drop(self.symbols.remove(name)));
        }
    }

    /// Which deadline has passed, if one has.
    pub fn overdue(&self, limits: &Limits, life: &Life, now: Duration) -> Option<&'static str> {
        let since = |at: Duration| now.saturating_sub(at);
        match self.phase {
            Phase::Opening | Phase::Greeting if since(self.phase_since) >= life.handshake => return Some("handshake"),
            Phase::Authenticating if since(self.phase_since) >= life.acknowledgement => return Some("unacknowledged"),
            _ => {}
        }
        if self.phase != Phase::Opening && since(self.last_frame) >= limits.silence {
            return Some("silence");
        }
        let late = |asked: &Asked| matches!(asked, Asked::Sent { at, .. } if since(*at) >= life.acknowledgement);
        self.symbols.values().any(late).then_some("unacknowledged")
    }

    /// When something is to be done though nothing comes.
    pub fn wake(&self, limits: &Limits, life: &Life) -> Duration {
        let mut wake = match self.phase {
            Phase::Opening | Phase::Greeting => self.phase_since + life.handshake,
            Phase::Authenticating => self.phase_since + life.acknowledgement,
            Phase::Serving => self.last_frame + limits.silence,
        };
        if self.phase != Phase::Opening {
            wake = wake.min(self.last_frame + limits.silence);
        }
        let outstanding = self.symbols.values().filter_map(|asked| match asked {
            Asked::Sent { at, .. } => Some(*at + life.acknowledgement),
            _ => None,
        });
        if let Some(first) = outstanding.min() {
            wake = wake.min(first);
        }
        if self.phase == Phase::Serving {
            if let Some(ping) = limits.ping
                && self.pinged.is_none()
            {
                wake = wake.min((self.last_frame + ping.after).max(self.sends.free_at()));
            }
            let waits = self.symbols.values().any(|asked| *asked == Asked::Wanted);
            let blocked = self.single && self.symbols.values().any(|asked| matches!(asked, Asked::Sent { .. }));
            let leaves = self.symbols.values().any(|asked| matches!(asked, Asked::Leaving(_)));
            if (waits && !blocked) || leaves || !self.said_besides || !self.pending.is_empty() {
                wake = wake.min(self.sends.free_at());
            }
        }
        wake
    }
}
