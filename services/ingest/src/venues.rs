//! The venues: what each says, how it is asked, and what it allows. One folder each.
//!
//! A venue is pure: frames in, events and news about the connection out ([`Heard`]); symbols in, messages to send out.
//! It knows no socket and no clock. [`crate::connection`] keeps a connection alive with it, [`crate::coverage`] finds what
//! is missing, [`crate::live`] drives both.
//!
//! A new venue is a folder with `messages` (its words), `decode` (words to events) and `subscribe` (symbols to words), a
//! file with its [`Limits`], and a line in [`of`]. One that is asked by REST again and again is a [`poll::Poll`].
//!
//! **Invariant:** no frame makes a decoder panic, and a bad trade in a frame takes none of the others with it.

pub mod advanced;
pub mod alpaca;
pub mod alphavantage;
pub mod binance;
pub mod coinbase;
pub mod finnhub;
pub mod history;
mod json;
pub mod kraken;
mod limits;
pub mod massive;
pub mod poll;

#[cfg(test)]
mod tests;

use crate::sources::{Bad, Found};

use self::history::History;

pub use limits::{Acknowledgement, Continuity, Limits, Ping, PingBy, Rate};

/// A venue as one connection needs it.
pub trait Venue: Send {
    fn limits(&self) -> &'static Limits;

    /// The venue's own name of a symbol, such as `BTCUSDT` for `BINANCE:BTCUSDT`; `None` if it is not one of its.
    fn own_name(&self, symbol: &str) -> Option<String>;

    /// The symbol of the venue's own name.
    fn symbol(&self, own_name: &str) -> String;

    /// Where to connect: the base address, and what the venue wants in it.
    fn address(&self, base: &str, _key: &str) -> String {
        base.to_owned()
    }

    /// What to say before anything can be subscribed. `None` where no key is asked for in a message.
    fn authenticate(&self, _key: &str, _secret: &str) -> Option<String> {
        None
    }

    /// Asks for these, by their own names. At most [`Limits::batch`] of them; `id` names the request where the venue
    /// repeats it in its answer. The parts of the answer that must come are the names, or the id.
    fn subscribe(&self, own_names: &[String], id: u64) -> String;

    fn unsubscribe(&self, own_names: &[String], id: u64) -> String;

    /// Reads best bids and offers from now on, too. `false`: the venue does not offer them.
    fn read_quotes(&mut self) -> bool {
        false
    }

    /// Asks for the quotes of these, or no more for them, where that needs a message of its own.
    fn ask_for_quotes(&self, _subscribe: bool, _own_names: &[String], _id: u64) -> Option<String> {
        None
    }

    /// Further channels to ask for once, such as a heartbeat for the whole connection.
    fn besides(&self) -> Option<String> {
        None
    }

    /// Trades of the past, where the venue gives them to anybody.
    fn history(&self) -> Option<&'static dyn History> {
        None
    }

    /// Reads a frame that came at `received`. What is good in it is in `heard` also when something else is bad.
    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad>;
}

/// What one frame holds.
#[derive(Debug, Default)]
pub struct Heard {
    /// Trades of before the subscription are marked as `backfilled`.
    pub found: Found,
    pub said: Vec<Said>,
    /// Counts every message of the connection, where the venue does.
    pub sequence: Option<u64>,
}

impl Heard {
    pub fn clear(&mut self) {
        self.found.clear();
        self.said.clear();
        self.sequence = None;
    }

    /// A message about the connection, and no event.
    pub fn say(&mut self, kind: &'static str, said: Said) -> Result<(), Bad> {
        self.said.push(said);
        self.found.ignore(kind)
    }
}

/// What a frame says about the connection or the stream, beside its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The venue is there and waits for us to speak.
    Welcome,
    /// The key was taken.
    Authenticated,
    /// The key was not taken: no use in trying again.
    KeyRefused(String),
    /// This symbol is subscribed, by its own name.
    Subscribed(String),
    /// Exactly these are subscribed.
    SubscribedAll(Vec<String>),
    /// The request of this number was granted.
    Granted(u64),
    /// A symbol, a request or something that the venue does not name was refused.
    Refused { own_name: Option<String>, request: Option<u64>, reason: String },
    /// The venue used this trade id, but not for a trade of the market.
    Used { symbol: String, id: u64, time: i64 },
    /// The last trade id that the venue has given, by its own heartbeat.
    LastId { symbol: String, id: u64, time: i64 },
    /// The venue will close this connection soon.
    Leaving,
    /// Another connection has the key now, or has had it all along.
    KeyInUse(String),
    /// We asked too often.
    TooFast(String),
}

/// A venue by its name on the command line.
pub fn of(name: &str) -> Option<Box<dyn Venue>> {
    Some(match name {
        "binance" => Box::new(binance::Binance::new(binance::decode::Market::Spot)),
        "binance_usdm" => Box::new(binance::Binance::new(binance::decode::Market::UsdM)),
        "coinbase" => Box::<coinbase::Coinbase>::default(),
        "coinbase_advanced" => Box::<advanced::Advanced>::default(),
        "kraken" => Box::<kraken::Kraken>::default(),
        "finnhub" => Box::new(finnhub::Finnhub),
        "massive" => Box::<massive::Massive>::default(),
        "alpaca" => Box::<alpaca::Alpaca>::default(),
        _ => return None,
    })
}

/// Every name that [`of`] knows, in the order of the documentation.
pub const NAMES: [&str; 8] =
    ["finnhub", "binance", "binance_usdm", "coinbase", "coinbase_advanced", "kraken", "massive", "alpaca"];
