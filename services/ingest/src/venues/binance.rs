//! Binance, spot and USD-M futures: combined streams of trades.
//!
//! Trade ids of a symbol are consecutive, so what is missing is known exactly. A connection lives 24 hours; a second may
//! be open beside it.

pub mod decode;
mod history;
pub mod messages;
mod subscribe;

use std::time::Duration;

use self::decode::{Frames, Market};
use super::history::History;
use super::limits::{MINUTE, SECOND};
use super::{Acknowledgement, Continuity, Heard, Limits, Rate, Venue};
use crate::sources::Bad;

const DAY: Duration = Duration::from_secs(24 * 3600);

const SPOT: Limits = Limits {
    name: "binance",
    venue: "BINANCE",
    address: "wss://stream.binance.com:9443/stream",
    symbols: &["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"],
    needs_key: false,
    needs_secret: false,
    // Five a second in all, and our pongs count: four are left for requests.
    sends: Rate::new(4, SECOND),
    connects: Rate::new(300, Duration::from_secs(300)),
    most_symbols: 1024,
    batch: 100,
    life: Some(DAY),
    // The venue pings every 20 s.
    silence: MINUTE,
    acknowledgement: Acknowledgement::Requests,
    continuity: Continuity::Ids,
    overlap: true,
    greets: false,
    ping: None,
};

const USDM: Limits = Limits {
    name: "binance_usdm",
    venue: "BINANCE_USDM",
    address: "wss://fstream.binance.com/stream",
    symbols: &["BINANCE_USDM:BTCUSDT", "BINANCE_USDM:ETHUSDT"],
    sends: Rate::new(8, SECOND),
    // The venue pings every three minutes.
    silence: Duration::from_secs(400),
    ..SPOT
};

pub struct Binance {
    market: Market,
    frames: Frames,
}

impl Binance {
    pub fn new(market: Market) -> Self {
        Binance { market, frames: Frames { market: Some(market), quotes: false } }
    }
}

impl Venue for Binance {
    fn limits(&self) -> &'static Limits {
        match self.market {
            Market::Spot => &SPOT,
            Market::UsdM => &USDM,
        }
    }

    fn own_name(&self, symbol: &str) -> Option<String> {
        let raw = symbol.strip_prefix(self.market.venue())?.strip_prefix(':')?;
        let plain = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        plain.then(|| raw.to_ascii_uppercase())
    }

    fn symbol(&self, own_name: &str) -> String {
        format!("{}:{own_name}", self.market.venue())
    }

    fn subscribe(&self, own_names: &[String], id: u64) -> String {
        subscribe::message("SUBSCRIBE", own_names, id, self.frames.quotes)
    }

    fn unsubscribe(&self, own_names: &[String], id: u64) -> String {
        subscribe::message("UNSUBSCRIBE", own_names, id, self.frames.quotes)
    }

    fn read_quotes(&mut self) -> bool {
        self.frames.quotes = true;
        true
    }

    fn history(&self) -> Option<&'static dyn History> {
        (self.market == Market::Spot).then_some(&history::Spot as &dyn History)
    }

    fn decode(&mut self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        self.frames.hear(frame, received, heard)
    }
}
