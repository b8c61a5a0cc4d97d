//! Kraken spot, WebSocket v2: trades, with the last fifty after each subscription.
//!
//! Trade ids of a book are consecutive, so what is missing is known exactly.

pub mod decode;
mod history;
pub mod messages;
pub mod rest;
mod subscribe;

use std::time::Duration;

use super::history::History;
use super::limits::SECOND;
use super::{Acknowledgement, Continuity, Heard, Limits, Ping, PingBy, Rate, Venue};
use crate::sources::Bad;

const LIMITS: Limits = Limits {
    name: "kraken",
    venue: rest::VENUE,
    address: "wss://ws.kraken.com/v2",
    symbols: &["KRAKEN:BTC/USD", "KRAKEN:ETH/USD"],
    needs_key: false,
    needs_secret: false,
    sends: Rate::new(20, SECOND),
    connects: Rate::new(100, Duration::from_secs(600)),
    most_symbols: 500,
    batch: 50,
    life: None,
    // A heartbeat a second when nothing else comes.
    silence: Duration::from_secs(10),
    acknowledgement: Acknowledgement::Symbols,
    continuity: Continuity::Ids,
    overlap: true,
    greets: true,
    ping: Some(Ping { by: PingBy::Text(r#"{"method":"ping"}"#), after: Duration::from_secs(4) }),
};

#[derive(Default)]
pub struct Kraken {
    quotes: bool,
}

impl Venue for Kraken {
    fn limits(&self) -> &'static Limits {
        &LIMITS
    }

    fn own_name(&self, symbol: &str) -> Option<String> {
        let raw = symbol.strip_prefix(rest::VENUE)?.strip_prefix(':')?;
        let plain = raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/.".contains(&byte));
        (plain && raw.contains('/')).then(|| raw.to_ascii_uppercase())
    }

    fn symbol(&self, own_name: &str) -> String {
        format!("{}:{own_name}", rest::VENUE)
    }

    fn subscribe(&self, own_names: &[String], id: u64) -> String {
        subscribe::message("subscribe", own_names, id)
    }

    fn unsubscribe(&self, own_names: &[String], id: u64) -> String {
        subscribe::message("unsubscribe", own_names, id)
    }

    fn read_quotes(&mut self) -> bool {
        self.quotes = true;
        true
    }

    fn ask_for_quotes(&self, subscribe: bool, own_names: &[String], id: u64) -> Option<String> {
        let method = if subscribe { "subscribe" } else { "unsubscribe" };
        self.quotes.then(|| subscribe::quotes(method, own_names, id))
    }

    fn history(&self) -> Option<&'static dyn History> {
        Some(&history::Spot)
    }

    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        decode::hear(frame, received, self.quotes, heard)
    }
}
