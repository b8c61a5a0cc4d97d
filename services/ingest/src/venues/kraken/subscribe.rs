//! `{"method":"subscribe","params":{"channel":"trade","symbol":["BTC/USD"],"snapshot":true},"req_id":1}`, answered once
//! per symbol.

use serde_json::json;

use crate::venues::json::write;

pub fn message(method: &str, own_names: &[String], id: u64) -> String {
    let mut params = json!({"channel": "trade", "symbol": own_names});
    if method == "subscribe" {
        params["snapshot"] = json!(true);
    }
    write(&json!({"method": method, "params": params, "req_id": id}))
}

/// `event_trigger` `bbo`: whenever the best bid or offer changes.
pub fn quotes(method: &str, own_names: &[String], id: u64) -> String {
    let params = json!({"channel": "ticker", "symbol": own_names, "event_trigger": "bbo"});
    write(&json!({"method": method, "params": params, "req_id": id}))
}
