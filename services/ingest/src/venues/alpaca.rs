//! Alpaca market data v2: trades of US stocks, with the cancels and corrections that amend them.
//!
//! One connection per key: a second is refused. No sequence: every disconnect is a gap.

pub mod decode;
pub mod messages;
mod subscribe;

use std::time::Duration;

use super::limits::{MINUTE, SECOND};
use super::{Acknowledgement, Continuity, Heard, Limits, Ping, PingBy, Rate, Venue};
use crate::sources::Bad;

const LIMITS: Limits = Limits {
    name: "alpaca",
    venue: decode::VENUE,
    address: "wss://stream.data.alpaca.markets/v2/iex",
    symbols: &["AAPL", "GOOGL", "MSFT", "TSLA"],
    needs_key: true,
    needs_secret: true,
    sends: Rate::new(10, SECOND),
    connects: Rate::new(10, MINUTE),
    // Of the free plan.
    most_symbols: 30,
    batch: 30,
    life: None,
    silence: Duration::from_secs(60),
    acknowledgement: Acknowledgement::Symbols,
    continuity: Continuity::Nothing,
    overlap: false,
    greets: true,
    ping: Some(Ping { by: PingBy::Frame, after: Duration::from_secs(20) }),
};

#[derive(Default)]
pub struct Alpaca {
    quotes: bool,
}

impl Venue for Alpaca {
    fn limits(&self) -> &'static Limits {
        &LIMITS
    }

    fn own_name(&self, symbol: &str) -> Option<String> {
        let plain =
            !symbol.is_empty() && symbol.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"./".contains(&byte));
        plain.then(|| symbol.to_owned())
    }

    fn symbol(&self, own_name: &str) -> String {
        own_name.to_owned()
    }

    fn authenticate(&self, key: &str, secret: &str) -> Option<String> {
        Some(subscribe::authentication(key, secret))
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
