//! `{"type":"subscribe","symbol":"AAPL"}`, one symbol per message and no answer. The key is part of the address.

use serde_json::json;

use crate::venues::json::write;

pub fn address(base: &str, key: &str) -> String {
    let separator = if base.contains('?') { '&' } else { '?' };
    format!("{base}{separator}token={key}")
}

pub fn message(kind: &str, own_names: &[String]) -> String {
    // The batch of this venue is one.
    write(&json!({"type": kind, "symbol": own_names.first()}))
}
