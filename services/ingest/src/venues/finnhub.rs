//! Finnhub: trades of stocks, crypto and forex over one connection per key.
//!
//! No trade ids, no sequence, no acknowledgements: every disconnect is a gap, and equal trades are all real. A size of
//! zero is a price update. A second connection with the same key drops both.

pub mod decode;
pub mod messages;
pub mod rest;
mod subscribe;

use std::time::Duration;

use super::limits::{MINUTE, SECOND};
use super::{Acknowledgement, Continuity, Heard, Limits, Rate, Venue};
use crate::sources::Bad;

const LIMITS: Limits = Limits {
    name: "finnhub",
    venue: decode::VENUE,
    address: "wss://ws.finnhub.io",
    symbols: &["AAPL", "GOOGL", "MSFT", "TSLA", "BINANCE:BTCUSDT", "BINANCE:ETHUSDT"],
    needs_key: true,
    needs_secret: false,
    sends: Rate::new(30, SECOND),
    connects: Rate::new(10, MINUTE),
    // Of the free key.
    most_symbols: 50,
    batch: 1,
    life: None,
    // A ping a minute; users report stalls that last for hours.
    silence: Duration::from_secs(150),
    acknowledgement: Acknowledgement::None,
    continuity: Continuity::Nothing,
    overlap: false,
    greets: false,
    ping: None,
};

pub struct Finnhub;

impl Venue for Finnhub {
    fn limits(&self) -> &'static Limits {
        &LIMITS
    }

    /// Its symbols pass as they are.
    fn own_name(&self, symbol: &str) -> Option<String> {
        market::symbol::is_valid(symbol).then(|| symbol.to_owned())
    }

    fn symbol(&self, own_name: &str) -> String {
        own_name.to_owned()
    }

    fn address(&self, base: &str, key: &str) -> String {
        subscribe::address(base, key)
    }

    fn subscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("subscribe", own_names)
    }

    fn unsubscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("unsubscribe", own_names)
    }

    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        decode::hear(frame, received, heard)
    }
}
