//! The REST side of a fake venue: pages of the trades that were made, and the ways in which it does not give them.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::words::rfc3339;
use super::{FakeVenue, Kind, Made};

/// The most trades of a page, as at the real venues, unless a test says less.
const PAGE: usize = 1_000;

/// How often a held request looks whether it still is.
const HELD: Duration = Duration::from_millis(10);

#[derive(Default)]
pub struct State {
    down: bool,
    held: bool,
    /// Statuses of the next answers.
    answers: VecDeque<u16>,
    page: Option<usize>,
    hidden: BTreeSet<u64>,
    /// The same, in the next answer only.
    late: BTreeSet<u64>,
    requests: Vec<(String, Instant)>,
}

impl FakeVenue {
    pub fn rest_url(&self) -> String {
        format!("http://{}", self.rest_addr)
    }

    /// Requests are cut without an answer, or answered again.
    pub fn rest_down(&self, down: bool) {
        self.lock().rest.down = down;
    }

    /// Requests are answered no sooner than this is taken back.
    pub fn rest_holds(&self, held: bool) {
        self.lock().rest.held = held;
    }

    /// The next requests are answered with these; 429 says that one second is to be waited.
    pub fn rest_answers(&self, statuses: &[u16]) {
        self.lock().rest.answers.extend(statuses);
    }

    pub fn rest_page(&self, most: usize) {
        self.lock().rest.page = Some(most);
    }

    /// These are not in the venue's history.
    pub fn rest_hides(&self, ids: &[u64]) {
        self.lock().rest.hidden = ids.iter().copied().collect();
    }

    /// The next answer lacks these, those after it have them.
    pub fn rest_is_late_with(&self, ids: &[u64]) {
        self.lock().rest.late = ids.iter().copied().collect();
    }

    /// Path and time of each request so far.
    pub fn rest_requests(&self) -> Vec<(String, Instant)> {
        self.lock().rest.requests.clone()
    }
}

pub async fn serve(venue: FakeVenue, listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        let venue = venue.clone();
        tokio::spawn(async move { answer(venue, socket).await });
    }
}

/// Line and headers of a request. One per connection.
pub(super) async fn head(socket: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match socket.read_u8().await {
            Ok(byte) if head.len() < 16_384 => head.push(byte),
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// The answer to it; 429 says that one second is to be waited.
pub(super) async fn reply(socket: &mut TcpStream, status: u16, body: &str) {
    let wait = if status == 429 { "retry-after: 1\r\n" } else { "" };
    let text = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{wait}connection: close\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(text.as_bytes()).await.ok();
    socket.shutdown().await.ok();
}

async fn answer(venue: FakeVenue, mut socket: TcpStream) {
    let Some(head) = head(&mut socket).await else { return };
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    while venue.lock().rest.held {
        tokio::time::sleep(HELD).await;
    }
    let Some((status, body)) = respond(&venue, &path) else { return };
    reply(&mut socket, status, &body).await;
}

fn respond(venue: &FakeVenue, path: &str) -> Option<(u16, String)> {
    let mut state = venue.lock();
    state.rest.requests.push((path.to_owned(), Instant::now()));
    if state.rest.down {
        return None;
    }
    if let Some(status) = state.rest.answers.pop_front().filter(|status| *status != 200) {
        return Some((status, r#"{"msg":"as the test wants it"}"#.to_owned()));
    }
    let most = state.rest.page.unwrap_or(PAGE);
    let late = std::mem::take(&mut state.rest.late);
    let is_there = |made: &&Made| !state.rest.hidden.contains(&made.id) && !late.contains(&made.id);
    let made: Vec<&Made> = state.made.iter().filter(is_there).collect();
    Some(page(venue.kind, path, &made, most).map_or_else(|| (404, "{}".to_owned()), |body| (200, body)))
}

/// A number of the query.
fn number(path: &str, name: &str) -> Option<u64> {
    text(path, name)?.parse().ok()
}

pub(super) fn text<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let query = path.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn page(kind: Kind, path: &str, made: &[&Made], most: usize) -> Option<String> {
    match kind {
        Kind::Binance if path.starts_with("/api/v3/historicalTrades?") => {
            let (symbol, from) = (text(path, "symbol")?, number(path, "fromId")?);
            let most = most.min(usize::try_from(number(path, "limit")?).ok()?);
            let rows = made.iter().filter(|made| made.own_name == symbol && made.id >= from).take(most).map(|made| {
                let (id, time) = (made.id, made.time_ms);
                json!({"id": id, "price": format!("{id}.00000000"), "qty": "1.00000000", "quoteQty": format!("{id}.00000000"),
                       "time": time, "isBuyerMaker": true, "isBestMatch": true})
            });
            Some(serde_json::Value::from_iter(rows).to_string())
        }
        Kind::Coinbase => {
            let product = path.strip_prefix("/products/")?.split_once("/trades?")?.0;
            let after = number(path, "after")?;
            let most = most.min(usize::try_from(number(path, "limit")?).ok()?);
            let of_product = made.iter().rev().filter(|made| made.own_name == product && made.id < after);
            let rows = of_product.take(most).map(|made| {
                json!({"time": rfc3339(made.time_ms), "trade_id": made.id, "price": made.id.to_string(), "size": "1", "side": "sell"})
            });
            Some(serde_json::Value::from_iter(rows).to_string())
        }
        Kind::Kraken if path.starts_with("/0/public/Trades?") => {
            let (pair, since) = (text(path, "pair")?, number(path, "since")?);
            // No two have the same time here; of what is nearer together than a page nobody could tell the rest.
            let time = |made: &Made| made.time_ms.unsigned_abs() * 1_000_000 + (made.id % 1_000) * 1_000;
            let of_pair = made.iter().filter(|made| made.own_name.replace('/', "") == pair && time(made) > since);
            let some: Vec<&&Made> = of_pair.take(most).collect();
            let rows: Vec<String> = some
                .iter()
                .map(|made| {
                    let time = time(made);
                    let (seconds, micros) = (time / 1_000_000_000, time % 1_000_000_000 / 1_000);
                    format!(r#"["{0}.00000","1.00000000",{seconds}.{micros:06},"b","l","",{0}]"#, made.id)
                })
                .collect();
            let last = some.last().map_or(since, |made| time(made));
            Some(format!(r#"{{"error":[],"result":{{"{pair}":[{}],"last":"{last}"}}}}"#, rows.join(",")))
        }
        _ => None,
    }
}
