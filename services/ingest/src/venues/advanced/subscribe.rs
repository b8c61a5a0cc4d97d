//! One message per channel: `{"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}`.

use serde_json::json;

use crate::venues::json::write;

pub const HEARTBEATS: &str = r#"{"type":"subscribe","channel":"heartbeats"}"#;

pub fn message(kind: &str, own_names: &[String], channel: &str) -> String {
    write(&json!({"type": kind, "product_ids": own_names, "channel": channel}))
}
