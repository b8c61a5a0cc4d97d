//! `{"action":"subscribe","params":"T.AAPL,XT.BTC-USD"}`, answered once per topic.

use serde_json::json;

use super::decode::VENUE;
use crate::venues::json::write;

pub fn authentication(key: &str) -> String {
    write(&json!({"action": "auth", "params": key}))
}

/// Topics are the venue's own names: `T.AAPL` for a stock, `XT.BTC-USD` for a pair.
pub fn own_name(symbol: &str) -> Option<String> {
    let plain =
        |raw: &str| !raw.is_empty() && raw.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-/".contains(&byte));
    match symbol.split_once(':') {
        Some((venue, pair)) => (venue == VENUE && plain(pair)).then(|| format!("XT.{pair}")),
        None => plain(symbol).then(|| format!("T.{symbol}")),
    }
}

pub fn symbol(own_name: &str) -> String {
    match own_name.split_once('.') {
        Some(("XT", pair)) => format!("{VENUE}:{pair}"),
        Some((_, ticker)) => ticker.to_owned(),
        None => own_name.to_owned(),
    }
}

/// With quotes their topics, too: `Q.AAPL` beside `T.AAPL`, `XQ.BTC-USD` beside `XT.BTC-USD`.
pub fn message(action: &str, own_names: &[String], quotes: bool) -> String {
    let mut topics = own_names.to_vec();
    if quotes {
        topics.extend(own_names.iter().map(|name| name.replacen("T.", "Q.", 1)));
    }
    write(&json!({"action": action, "params": topics.join(",")}))
}
