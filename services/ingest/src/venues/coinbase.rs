//! Coinbase Exchange: matches, and a heartbeat per product that tells the last trade id.
//!
//! Trade ids of a product are consecutive. After a subscription each product's last match comes once more: it is old, and
//! tells what was missed.

pub mod decode;
mod history;
pub mod messages;
mod subscribe;

use super::history::History;
use super::limits::SECOND;
use super::{Acknowledgement, Continuity, Heard, Limits, Rate, Venue};
use crate::sources::Bad;

const LIMITS: Limits = Limits {
    name: "coinbase",
    venue: decode::VENUE,
    address: "wss://ws-feed.exchange.coinbase.com",
    symbols: &["COINBASE:BTC-USD", "COINBASE:ETH-USD"],
    needs_key: false,
    needs_secret: false,
    sends: Rate::new(50, SECOND),
    connects: Rate::new(4, SECOND),
    most_symbols: 500,
    batch: 100,
    life: None,
    // A heartbeat per product and second.
    silence: std::time::Duration::from_secs(15),
    acknowledgement: Acknowledgement::Symbols,
    continuity: Continuity::Ids,
    overlap: true,
    greets: false,
    ping: None,
};

#[derive(Default)]
pub struct Coinbase {
    frames: decode::Frames,
}

impl Venue for Coinbase {
    fn limits(&self) -> &'static Limits {
        &LIMITS
    }

    fn own_name(&self, symbol: &str) -> Option<String> {
        subscribe::own_name(symbol)
    }

    fn symbol(&self, own_name: &str) -> String {
        subscribe::symbol(own_name)
    }

    fn subscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("subscribe", own_names, self.frames.quotes)
    }

    fn unsubscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("unsubscribe", own_names, self.frames.quotes)
    }

    fn read_quotes(&mut self) -> bool {
        self.frames.quotes = true;
        true
    }

    fn history(&self) -> Option<&'static dyn History> {
        Some(&history::Exchange)
    }

    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        self.frames.hear(frame, received, heard)
    }
}
