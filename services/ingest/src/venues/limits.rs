//! What a venue allows and how it behaves, as data.

use std::time::Duration;

/// So many, and then one more each so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub burst: u32,
    /// In which the whole burst is earned again.
    pub per: Duration,
}

impl std::fmt::Display for Rate {
    /// As an option has it: `10/1m`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.burst, harness::Duration(self.per))
    }
}

impl Rate {
    pub const fn new(burst: u32, per: Duration) -> Self {
        Rate { burst, per }
    }
}

/// How the venue says that a symbol is subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledgement {
    /// It does not: what was sent counts.
    None,
    /// By naming symbols, one by one or all of them.
    Symbols,
    /// By the number of the request.
    Requests,
}

/// What shows that trades are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// The trades of a symbol have consecutive numbers: what is missing is known exactly.
    Ids,
    /// The messages of a connection have consecutive numbers.
    Connection,
    /// Nothing: every disconnect is a gap.
    Nothing,
}

/// Who asks whether the other is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingBy {
    /// A WebSocket ping of ours.
    Frame,
    /// A message of ours.
    Text(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    pub by: PingBy,
    /// After this long without a frame.
    pub after: Duration,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Name on the command line.
    pub name: &'static str,
    /// In events.
    pub venue: &'static str,
    pub address: &'static str,
    pub symbols: &'static [&'static str],
    pub needs_key: bool,
    pub needs_secret: bool,
    /// Our messages on one connection.
    pub sends: Rate,
    /// Handshakes.
    pub connects: Rate,
    /// Symbols of one connection.
    pub most_symbols: usize,
    /// Symbols of one message.
    pub batch: usize,
    /// After which the venue cuts the connection.
    pub life: Option<Duration>,
    /// Without any frame for so long the connection is dead.
    pub silence: Duration,
    pub acknowledgement: Acknowledgement,
    pub continuity: Continuity,
    /// A second connection may be open beside the first. Else the old one goes first, and there is a gap.
    pub overlap: bool,
    /// The venue speaks first, and nothing may be sent before.
    pub greets: bool,
    pub ping: Option<Ping>,
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);
