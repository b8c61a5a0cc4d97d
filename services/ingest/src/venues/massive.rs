//! Massive (formerly Polygon): trades of US stocks, and of crypto where the address is that of the crypto cluster.
//!
//! One connection per key and cluster: a new one evicts the old. Sequence numbers of a ticker increase and are not
//! consecutive, so every disconnect is a gap.

pub mod decode;
pub mod messages;
mod subscribe;

use std::time::Duration;

use super::limits::{MINUTE, SECOND};
use super::{Acknowledgement, Continuity, Heard, Limits, Ping, PingBy, Rate, Venue};
use crate::sources::Bad;

const LIMITS: Limits = Limits {
    name: "massive",
    venue: decode::VENUE,
    address: "wss://socket.massive.com/stocks",
    symbols: &["AAPL", "GOOGL", "MSFT", "TSLA"],
    needs_key: true,
    needs_secret: false,
    sends: Rate::new(10, SECOND),
    connects: Rate::new(10, MINUTE),
    most_symbols: 1000,
    batch: 100,
    life: None,
    silence: Duration::from_secs(60),
    acknowledgement: Acknowledgement::Symbols,
    continuity: Continuity::Nothing,
    overlap: false,
    greets: true,
    ping: Some(Ping { by: PingBy::Frame, after: Duration::from_secs(20) }),
};

#[derive(Default)]
pub struct Massive {
    quotes: bool,
}

impl Venue for Massive {
    fn limits(&self) -> &'static Limits {
        &LIMITS
    }

    /// `AAPL`, and `MASSIVE:BTC-USD` of the crypto cluster.
    fn own_name(&self, symbol: &str) -> Option<String> {
        subscribe::own_name(symbol)
    }

    fn symbol(&self, own_name: &str) -> String {
        subscribe::symbol(own_name)
    }

    fn authenticate(&self, key: &str, _: &str) -> Option<String> {
        Some(subscribe::authentication(key))
    }

    fn subscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("subscribe", own_names, self.quotes)
    }

    fn unsubscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("unsubscribe", own_names, self.quotes)
    }

    fn read_quotes(&mut self) -> bool {
        self.quotes = true;
        true
    }

    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        decode::hear(frame, received, heard)
    }
}
