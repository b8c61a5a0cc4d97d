//! `{"type":"subscribe","product_ids":["BTC-USD"],"channels":["matches","heartbeat"]}`, answered by the whole list. The
//! channel `ticker` has the best bid and offer at each match.

use serde_json::json;

use super::decode::VENUE;
use crate::venues::json::write;

/// `BTC-USD` of `COINBASE:BTC-USD`.
pub fn own_name(symbol: &str) -> Option<String> {
    let raw = symbol.strip_prefix(VENUE)?.strip_prefix(':')?;
    let plain = !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then(|| raw.to_ascii_uppercase())
}

pub fn symbol(own_name: &str) -> String {
    format!("{VENUE}:{own_name}")
}

pub fn message(kind: &str, own_names: &[String], quotes: bool) -> String {
    let channels = if quotes { &["matches", "heartbeat", "ticker"][..] } else { &["matches", "heartbeat"] };
    write(&json!({"type": kind, "product_ids": own_names, "channels": channels}))
}
