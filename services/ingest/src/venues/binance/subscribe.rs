//! `{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}`, answered by `{"result":null,"id":1}`; `btcusdt@bookTicker` is the best bid
//! and offer.

use serde_json::json;

use crate::venues::json::write;

pub fn message(method: &str, own_names: &[String], id: u64, quotes: bool) -> String {
    let channels = if quotes { &["trade", "bookTicker"][..] } else { &["trade"] };
    let pairs = own_names.iter().flat_map(|name| channels.iter().map(move |channel| (name, channel)));
    let streams: Vec<String> =
        pairs.map(|(name, channel)| format!("{}@{channel}", name.to_ascii_lowercase())).collect();
    write(&json!({"method": method, "params": streams, "id": id}))
}
