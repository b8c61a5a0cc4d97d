//! `{"action":"subscribe","trades":["AAPL"]}`, answered by the whole list; `quotes` likewise.

use serde_json::json;

use crate::venues::json::write;

pub fn authentication(key: &str, secret: &str) -> String {
    write(&json!({"action": "auth", "key": key, "secret": secret}))
}

pub fn message(action: &str, own_names: &[String], quotes: bool) -> String {
    if quotes {
        return write(&json!({"action": action, "trades": own_names, "quotes": own_names}));
    }
    write(&json!({"action": action, "trades": own_names}))
}
