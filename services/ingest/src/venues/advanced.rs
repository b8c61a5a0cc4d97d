//! Coinbase Advanced Trade: the channel `market_trades`, and `heartbeats` so that quiet products stay open.
//!
//! The messages of a connection are numbered; a jump means that something was lost, for any product of it. The market is
//! that of [`super::coinbase`], with the same symbols.

pub mod decode;
pub mod messages;
mod subscribe;

use super::limits::SECOND;
use super::{Acknowledgement, Continuity, Heard, Limits, Rate, Venue, coinbase};
use crate::sources::Bad;

const LIMITS: Limits = Limits {
    name: "coinbase_advanced",
    venue: coinbase::decode::VENUE,
    address: "wss://advanced-trade-ws.coinbase.com",
    symbols: &["COINBASE:BTC-USD", "COINBASE:ETH-USD"],
    needs_key: false,
    needs_secret: false,
    sends: Rate::new(8, SECOND),
    connects: Rate::new(4, SECOND),
    most_symbols: 500,
    batch: 100,
    life: None,
    // A heartbeat per second.
    silence: std::time::Duration::from_secs(15),
    acknowledgement: Acknowledgement::Symbols,
    continuity: Continuity::Connection,
    overlap: false,
    greets: false,
    ping: None,
};

#[derive(Default)]
pub struct Advanced {
    quotes: bool,
}

impl Venue for Advanced {
    fn limits(&self) -> &'static Limits {
        &LIMITS
    }

    fn own_name(&self, symbol: &str) -> Option<String> {
        coinbase::Coinbase::default().own_name(symbol)
    }

    fn symbol(&self, own_name: &str) -> String {
        coinbase::Coinbase::default().symbol(own_name)
    }

    fn subscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("subscribe", own_names, "market_trades")
    }

    fn unsubscribe(&self, own_names: &[String], _: u64) -> String {
        subscribe::message("unsubscribe", own_names, "market_trades")
    }

    fn read_quotes(&mut self) -> bool {
        self.quotes = true;
        true
    }

    fn ask_for_quotes(&self, subscribe: bool, own_names: &[String], _: u64) -> Option<String> {
        let kind = if subscribe { "subscribe" } else { "unsubscribe" };
        self.quotes.then(|| subscribe::message(kind, own_names, "ticker"))
    }

    fn besides(&self) -> Option<String> {
        Some(subscribe::HEARTBEATS.to_owned())
    }

    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        decode::hear(frame, received, self.quotes, heard)
    }
}
