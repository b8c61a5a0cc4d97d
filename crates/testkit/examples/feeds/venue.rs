//! Venues as processes of their own. They write the frames of a WebSocket by hand, so that they are faster than who reads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::frames;

/// Bytes that are handed to the socket at once.
const AT_ONCE: usize = 64 * 1024;
/// How often the trades that are due are sent.
const TICK: Duration = Duration::from_millis(2);

fn listen(port: &str) -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().expect("a port"))).expect("the port is free")
}

/// Serves all frames of the file to the first who asks, then nothing to anybody.
pub fn recorded(venue: &str, file: &str, port: &str) {
    let text = std::fs::read_to_string(file).expect("the frames");
    let wanted = frames::symbols(venue, &text).len();
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    for (n, frame) in frames::read(&text).enumerate() {
        put(&mut bytes, frame.as_bytes());
        if bytes.len() - ends.last().copied().unwrap_or(0) >= AT_ONCE {
            ends.push(bytes.len());
        }
        assert!(n < 100_000_000, "so many frames do not fit into memory");
    }
    ends.push(bytes.len());
    drop(text);
    let listener = listen(port);
    let mut later = Vec::new();
    for (number, stream) in listener.incoming().enumerate() {
        let Some(mut socket) = stream.ok().and_then(|stream| tungstenite::accept(stream).ok()) else { continue };
        if number > 0 {
            // Whoever comes back finds a silent venue.
            later.push(std::thread::spawn(move || while answer(&mut socket).is_some() {}));
            continue;
        }
        let mut subscribed = BTreeSet::new();
        while subscribed.len() < wanted {
            subscribed.extend(answer(&mut socket).expect("the first asks for the symbols"));
        }
        let began = Instant::now();
        let mut from = 0;
        for end in &ends {
            if let Err(error) = socket.get_mut().write_all(&bytes[from..*end]) {
                eprintln!("the reader has gone: {error}");
                break;
            }
            from = *end;
        }
        println!("{{\"sent_bytes\":{from},\"wall_s\":{:.3}}}", began.elapsed().as_secs_f64());
        later.push(std::thread::spawn(move || while answer(&mut socket).is_some() {}));
    }
}

/// Answers one request, and says for what it was. `None`: the connection is over.
fn answer(socket: &mut WebSocket<TcpStream>) -> Option<Vec<String>> {
    let text = match socket.read() {
        Ok(Message::Text(text)) => text,
        Ok(_) => return Some(Vec::new()),
        Err(_) => return None,
    };
    let request: Value = serde_json::from_str(&text).ok()?;
    let texts = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let (answer, names) = if request["method"].is_string() {
        let names =
            texts(&request["params"]).iter().map(|name| name.split('@').next().unwrap_or("").to_uppercase()).collect();
        (json!({"result": null, "id": request["id"]}), names)
    } else {
        let names = texts(&request["product_ids"]);
        (json!({"type": "subscriptions", "channels": [{"name": "matches", "product_ids": names}]}), names)
    };
    socket.send(Message::text(answer.to_string())).ok()?;
    Some(names)
}

/// Appends a frame of a server: not masked, in one piece.
fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    bytes.push(0x81);
    match text.len() {
        length @ 0..126 => bytes.push(u8::try_from(length).expect("below 126")),
        length => {
            bytes.push(126);
            bytes.extend(u16::try_from(length).expect("frames of trades are short").to_be_bytes());
        }
    }
    bytes.extend(text);
}

/// Of each symbol the first and the last id that was traded.
struct Market {
    names: Vec<String>,
    next: Vec<u64>,
    rng: fastrand::Rng,
}

impl Market {
    fn trade(&mut self, now_ms: u128, bytes: &mut Vec<u8>) {
        let symbol = self.rng.usize(0..self.names.len());
        let (name, id) = (&self.names[symbol], self.next[symbol]);
        self.next[symbol] += 1;
        let stream = name.to_lowercase();
        let (cents, lots) = (self.rng.u32(100..100_000_000), self.rng.u32(1..10_000_000));
        let frame = format!(
            "{{\"stream\":\"{stream}@trade\",\"data\":{{\"e\":\"trade\",\"E\":{now_ms},\"s\":\"{name}\",\"t\":{id},\"p\":\"{}.{:08}\",\"q\":\"{}.{:08}\",\"T\":{now_ms},\"m\":{},\"M\":true}}}}",
            cents / 100,
            cents % 100 * 1_000_000,
            lots / 100_000,
            lots % 100_000 * 1_000,
            self.rng.bool(),
        );
        put(bytes, frame.as_bytes());
    }
}

/// Trades at the rate from the first subscription of all symbols on, whether or not somebody is there to hear it: one connection at
/// a time. In the end it says goodbye, waits for the answer, and writes the ids of each symbol.
pub fn load(port: &str, symbols: u64, rate: u64, seconds: u64, out: &str) {
    const FIRST: u64 = 1_000_000;
    let names: Vec<String> = (0..symbols).map(|n| format!("S{n:03}USDT")).collect();
    let mut market = Market { next: vec![FIRST; names.len()], names, rng: fastrand::Rng::with_seed(7) };
    let listener = listen(port);
    let mut connections = 0u32;
    let mut socket = subscribed(&listener, market.names.len(), &mut connections).expect("a reader comes");
    listener.set_nonblocking(true).expect("a listener can be asked without waiting");
    let (began, mut traded, mut worst) = (Instant::now(), 0u64, Duration::ZERO);
    let mut present = true;
    let mut bytes = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(TICK);
        let due = u64::try_from(began.elapsed().as_micros()).expect("fits") * rate / 1_000_000;
        bytes.clear();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
        for _ in traded..due {
            market.trade(now_ms, &mut bytes);
        }
        traded = traded.max(due);
        let before = Instant::now();
        if !present && let Some(new) = subscribed(&listener, market.names.len(), &mut connections) {
            (socket, present) = (new, true);
        } else if present && socket.get_mut().write_all(&bytes).is_err() {
            present = false;
        }
        worst = worst.max(before.elapsed());
    }
    let in_peace = present && goodbye(&mut socket);
    let ids: BTreeMap<&String, (u64, u64)> = market
        .names
        .iter()
        .zip(&market.next)
        .filter(|(_, next)| **next > FIRST)
        .map(|(name, next)| (name, (FIRST, next - 1)))
        .collect();
    std::fs::write(out, serde_json::to_vec(&ids).expect("ids serialise")).expect("the file can be written");
    let (seconds, waited) = (began.elapsed().as_secs_f64(), worst.as_millis());
    println!(
        "{}",
        json!({"traded": traded, "seconds": seconds, "connections": connections, "closed_in_peace": in_peace, "longest_write_ms": waited})
    );
}

/// Waits for a reader that has asked for so many symbols; `None` if nobody is there.
fn subscribed(listener: &TcpListener, symbols: usize, connections: &mut u32) -> Option<WebSocket<TcpStream>> {
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
        Err(error) => panic!("the port is lost: {error}"),
    };
    stream.set_nonblocking(false).expect("a socket may wait");
    let mut socket = tungstenite::accept(stream).ok()?;
    let mut wanted = BTreeSet::new();
    while wanted.len() < symbols {
        wanted.extend(answer(&mut socket)?);
    }
    *connections += 1;
    Some(socket)
}

/// Says goodbye, and waits until the reader has read all that was said before.
fn goodbye(socket: &mut WebSocket<TcpStream>) -> bool {
    let waits = socket.get_mut().set_read_timeout(Some(Duration::from_secs(60))).is_ok();
    waits
        && socket.close(None).is_ok()
        && loop {
            match socket.read() {
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => break true,
                Err(_) => break false,
            }
        }
}
