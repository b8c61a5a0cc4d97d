//! `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`, answered by `{"result":null,"id":1}`.

use serde_json::json;

use crate::venues::json::write;

pub fn message(method: &str, own_names: &[String], id: u64) -> String {
    let streams: Vec<String> = own_names.iter().map(|name| format!("{}@trade", name.to_ascii_lowercase())).collect();
    write(&json!({"method": method, "params": streams, "id": id}))
}
