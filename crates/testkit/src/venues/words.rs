//! What the venues say, word for word as their documentation has it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Kind, Made};

pub fn rfc3339(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Howard Hinnant's days to civil.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}000Z", rest % 1000)
}

/// Trades as they happen: one frame for all of them, or one each.
pub fn trades(kind: Kind, made: &[&Made], sequence: &mut u64) -> Vec<String> {
    match kind {
        Kind::Binance => made.iter().map(|made| binance(made, r#""m":true,"M":true"#)).collect(),
        Kind::UsdM => made.iter().map(|made| binance(made, r#""X":"MARKET","m":true"#)).collect(),
        Kind::Coinbase => made.iter().map(|made| coinbase("match", made)).collect(),
        Kind::Advanced => vec![advanced("update", made.iter().copied(), sequence)],
        Kind::Kraken => vec![kraken("update", made)],
        Kind::Finnhub => {
            let list: Vec<_> = made
                .iter()
                .map(|made| json!({"c": null, "p": made.id, "s": made.own_name, "t": made.time_ms, "v": 1}))
                .collect();
            vec![json!({"data": list, "type": "trade"}).to_string()]
        }
        Kind::Massive => {
            let list = made.iter().map(|made| {
                json!({"ev": "T", "sym": made.own_name.trim_start_matches("T."), "x": 4, "i": made.id.to_string(), "z": 3,
                       "p": made.id, "s": 1, "c": [0, 12], "t": made.time_ms, "q": made.id * 7})
            });
            vec![serde_json::Value::from_iter(list).to_string()]
        }
        Kind::Alpaca => {
            let list = made.iter().map(|made| {
                json!({"T": "t", "i": made.id, "S": made.own_name, "x": "D", "p": made.id, "s": 1, "t": rfc3339(made.time_ms),
                       "c": ["@", "I"], "z": "C"})
            });
            vec![serde_json::Value::from_iter(list).to_string()]
        }
    }
}

fn binance(made: &Made, end: &str) -> String {
    let stream = made.own_name.to_lowercase();
    let (symbol, id, time) = (&made.own_name, made.id, made.time_ms);
    format!(
        r#"{{"stream":"{stream}@trade","data":{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"{id}.00000000","q":"1.00000000","T":{time},{end}}}}}"#
    )
}

fn coinbase(kind: &str, made: &Made) -> String {
    let (product, id, time) = (&made.own_name, made.id, rfc3339(made.time_ms));
    format!(
        r#"{{"type":"{kind}","trade_id":{id},"maker_order_id":"a","taker_order_id":"b","side":"sell","size":"1","price":"{id}","product_id":"{product}","sequence":{},"time":"{time}"}}"#,
        id * 3
    )
}

fn advanced<'a>(kind: &str, made: impl Iterator<Item = &'a Made>, sequence: &mut u64) -> String {
    let trades: Vec<_> = made
        .map(|made| {
            json!({"trade_id": made.id.to_string(), "product_id": made.own_name, "price": made.id.to_string(), "size": "1",
                   "side": "BUY", "time": rfc3339(made.time_ms)})
        })
        .collect();
    numbered("market_trades", json!([{"type": kind, "trades": trades}]), sequence)
}

fn numbered(channel: &str, events: serde_json::Value, sequence: &mut u64) -> String {
    let number = *sequence;
    *sequence += 1;
    json!({"channel": channel, "client_id": "", "timestamp": "2026-04-07T14:30:00Z", "sequence_num": number, "events": events})
        .to_string()
}

fn kraken(kind: &str, made: &[&Made]) -> String {
    let data: Vec<_> = made
        .iter()
        .map(|made| {
            json!({"symbol": made.own_name, "side": "buy", "price": made.id, "qty": 1, "ord_type": "limit", "trade_id": made.id,
                   "timestamp": rfc3339(made.time_ms)})
        })
        .collect();
    json!({"channel": "trade", "type": kind, "data": data}).to_string()
}

/// What the venue says when a connection is open.
pub fn greeting(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Kraken => Some(
            r#"{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","api_version":"v2","connection_id":15483510049470446170}]}"#,
        ),
        Kind::Massive => Some(r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#),
        Kind::Alpaca => Some(r#"[{"T":"success","msg":"connected"}]"#),
        _ => None,
    }
}

pub fn authenticated(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Massive => Some(r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#),
        Kind::Alpaca => Some(r#"[{"T":"success","msg":"authenticated"}]"#),
        _ => None,
    }
}

/// To a request before the key was given.
pub fn not_authenticated(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Massive => Some(r#"[{"ev":"status","status":"error","message":"not authorized"}]"#),
        Kind::Alpaca => Some(r#"[{"T":"error","code":401,"msg":"not authenticated"}]"#),
        _ => None,
    }
}

pub fn wrong_key(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Massive => Some(r#"[{"ev":"status","status":"auth_failed","message":"authentication failed"}]"#),
        Kind::Alpaca => Some(r#"[{"T":"error","code":402,"msg":"auth failed"}]"#),
        _ => None,
    }
}

/// To a request for a name that is not traded there, or is one too many.
pub fn unknown(kind: Kind, own_name: &str, id: Option<u64>) -> Option<String> {
    match kind {
        Kind::Binance | Kind::UsdM => {
            Some(json!({"code": 2, "msg": "Invalid request: unknown stream", "id": id}).to_string())
        }
        Kind::Coinbase | Kind::Advanced => {
            let reason = format!("{own_name} is not a valid product");
            Some(json!({"type": "error", "message": "Failed to subscribe", "reason": reason}).to_string())
        }
        Kind::Kraken => {
            let error = format!("Currency pair not supported {own_name}");
            Some(json!({"error": error, "method": "subscribe", "success": false, "symbol": own_name}).to_string())
        }
        Kind::Finnhub => Some(json!({"msg": "Subscribing to too many symbols", "type": "error"}).to_string()),
        Kind::Alpaca => Some(json!([{"T": "error", "code": 405, "msg": "symbol limit exceeded"}]).to_string()),
        Kind::Massive => None,
    }
}

pub fn evicted(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Massive => Some(
            r#"[{"ev":"status","status":"max_connections","message":"Maximum number of websocket connections exceeded."}]"#,
        ),
        Kind::Alpaca => Some(r#"[{"T":"error","code":406,"msg":"connection limit exceeded"}]"#),
        _ => None,
    }
}

pub fn too_fast(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Coinbase | Kind::Advanced => Some(r#"{"type":"error","message":"rate limit exceeded"}"#),
        Kind::Kraken => Some(r#"{"error":"EAPI:Rate limit exceeded","method":"subscribe","success":false}"#),
        _ => None,
    }
}

/// What is asked for: names to serve from now on, or no longer, and the answers.
pub struct Request {
    pub adds: Vec<String>,
    pub removes: Vec<String>,
    pub id: Option<u64>,
    pub authenticates: bool,
    pub pings: bool,
}

impl Request {
    /// The same as a request per name.
    pub fn by_name(self) -> Vec<Request> {
        if self.adds.len() < 2 {
            return vec![self];
        }
        let one = |name: &String| Request {
            adds: vec![name.clone()],
            removes: self.removes.clone(),
            id: self.id,
            authenticates: self.authenticates,
            pings: self.pings,
        };
        self.adds.iter().map(one).collect()
    }
}

pub fn request(kind: Kind, text: &str) -> Option<Request> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let list = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let (names, verb): (Vec<String>, _) = match kind {
        Kind::Binance | Kind::UsdM => {
            let upper = |stream: String| stream.split('@').next().unwrap_or_default().to_uppercase();
            (list(&json["params"]).into_iter().map(upper).collect(), json["method"].as_str())
        }
        Kind::Coinbase => (list(&json["product_ids"]), json["type"].as_str()),
        Kind::Advanced if json["channel"] == "market_trades" => (list(&json["product_ids"]), json["type"].as_str()),
        Kind::Advanced => (Vec::new(), json["type"].as_str()),
        Kind::Kraken if json["params"]["channel"] == "ticker" => (Vec::new(), json["method"].as_str()),
        Kind::Kraken => (list(&json["params"]["symbol"]), json["method"].as_str()),
        Kind::Finnhub => (json["symbol"].as_str().map(str::to_owned).into_iter().collect(), json["type"].as_str()),
        Kind::Massive => {
            let topics = json["params"].as_str().unwrap_or_default().split(',').map(str::to_owned).collect();
            (topics, json["action"].as_str())
        }
        Kind::Alpaca => (list(&json["trades"]), json["action"].as_str()),
    };
    let verb = verb?.to_lowercase();
    let (subscribes, unsubscribes) = (verb == "subscribe", verb == "unsubscribe");
    Some(Request {
        adds: if subscribes { names.clone() } else { Vec::new() },
        removes: if unsubscribes { names } else { Vec::new() },
        id: json["id"].as_u64(),
        authenticates: verb == "auth",
        pings: verb == "ping",
    })
}

/// The answers to a request, the snapshots that follow it among them. `recent` holds the last trades of each name.
pub fn answers(
    kind: Kind,
    request: &Request,
    subscribed: &BTreeSet<String>,
    recent: &BTreeMap<String, Vec<Made>>,
    sequence: &mut u64,
) -> Vec<String> {
    let last = |name: &String, most: usize| -> Vec<&Made> {
        let all = recent.get(name).map_or(&[][..], Vec::as_slice);
        all[all.len().saturating_sub(most)..].iter().collect()
    };
    match kind {
        Kind::Binance | Kind::UsdM => vec![json!({"result": null, "id": request.id}).to_string()],
        Kind::Coinbase => {
            let channels = json!([{"name": "matches", "product_ids": subscribed}, {"name": "heartbeat", "product_ids": subscribed}]);
            let mut out = vec![json!({"type": "subscriptions", "channels": channels}).to_string()];
            out.extend(request.adds.iter().flat_map(|name| last(name, 1)).map(|made| coinbase("last_match", made)));
            out
        }
        Kind::Advanced => {
            let list = json!([{"subscriptions": {"market_trades": subscribed, "heartbeats": ["heartbeats"]}}]);
            let mut out = vec![numbered("subscriptions", list, sequence)];
            for name in &request.adds {
                // Newest first.
                out.push(advanced("snapshot", last(name, 20).into_iter().rev(), sequence));
            }
            out
        }
        Kind::Kraken => {
            let mut out = Vec::new();
            for name in &request.adds {
                let result = json!({"channel": "trade", "symbol": name, "snapshot": true});
                out.push(json!({"method": "subscribe", "result": result, "success": true, "req_id": 1}).to_string());
                let made = last(name, 50);
                if !made.is_empty() {
                    out.push(kraken("snapshot", &made));
                }
            }
            out
        }
        Kind::Finnhub => Vec::new(),
        Kind::Massive => {
            let ack = |topic: &String| {
                json!([{"ev": "status", "status": "success", "message": format!("subscribed to: {topic}")}]).to_string()
            };
            request.adds.iter().map(ack).collect()
        }
        Kind::Alpaca => {
            vec![json!([{"T": "subscription", "trades": subscribed, "quotes": [], "bars": []}]).to_string()]
        }
    }
}

pub fn heartbeat(
    kind: Kind,
    subscribed: &BTreeSet<String>,
    last: &BTreeMap<String, Made>,
    sequence: &mut u64,
) -> Vec<String> {
    match kind {
        Kind::Coinbase => {
            let made = subscribed.iter().filter_map(|name| last.get(name));
            made.map(|made| {
                json!({"type": "heartbeat", "sequence": 90, "last_trade_id": made.id, "product_id": made.own_name,
                       "time": rfc3339(made.time_ms)})
                .to_string()
            })
            .collect()
        }
        Kind::Advanced => vec![numbered("heartbeats", json!([{"heartbeat_counter": 42}]), sequence)],
        Kind::Kraken => vec![r#"{"channel":"heartbeat"}"#.to_owned()],
        Kind::Finnhub => vec![r#"{"type":"ping"}"#.to_owned()],
        // Pings of the WebSocket itself.
        Kind::Binance | Kind::UsdM | Kind::Massive | Kind::Alpaca => Vec::new(),
    }
}

/// Something that no client has heard of.
pub fn unheard_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Binance | Kind::UsdM => r#"{"stream":"!news","data":{"e":"somethingNew","E":1,"x":null}}"#,
        Kind::Coinbase | Kind::Finnhub => r#"{"type":"something_new","x":null,"y":[1,{"z":2}]}"#,
        Kind::Advanced => r#"{"channel":"something_new","x":null,"events":[]}"#,
        Kind::Kraken => r#"{"channel":"something_new","type":"update","data":{"x":null}}"#,
        Kind::Massive => r#"[{"ev":"NEW","x":null}]"#,
        Kind::Alpaca => r#"[{"T":"new","x":null}]"#,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_the_venues_write_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_709_210_096_789, "2024-02-29T12:34:56.789000Z"),
            (1_775_572_202_789, "2026-04-07T14:30:02.789000Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
    }
}
