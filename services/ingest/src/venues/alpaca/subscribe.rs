//! `{"action":"subscribe","trades":["AAPL"]}`, answered by the whole list.

use serde_json::json;

use crate::venues::json::write;

pub fn authentication(key: &str, secret: &str) -> String {
    write(&json!({"action": "auth", "key": key, "secret": secret}))
}

pub fn message(action: &str, own_names: &[String]) -> String {
    write(&json!({"action": action, "trades": own_names}))
}
