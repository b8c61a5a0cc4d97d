//! Fake venues: real WebSocket servers on loopback that speak as the venues do, and fail as a test tells them to.
//!
//! A [`FakeVenue`] trades when it is told to, and remembers every trade it made and how often the client has surely read
//! it: those of a connection that was closed in peace. It greets, asks for keys, acknowledges, repeats snapshots and
//! heartbeats, and enforces one connection per key, as each venue does; it can refuse handshakes, answer late, never or with
//! a refusal, cut with or without a close frame, go silent with the socket open, lose, double and overtake messages. [`polled`] are those that are asked by REST alone. [`script`] makes seeded histories of all that.

pub mod polled;
mod rest;
pub mod script;
mod server;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::UnboundedSender;

/// Whose words are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Binance,
    /// The futures of Binance.
    UsdM,
    Coinbase,
    Advanced,
    Kraken,
    Finnhub,
    Massive,
    Alpaca,
}

impl Kind {
    pub const ALL: [Kind; 8] = [
        Kind::Binance,
        Kind::UsdM,
        Kind::Coinbase,
        Kind::Advanced,
        Kind::Kraken,
        Kind::Finnhub,
        Kind::Massive,
        Kind::Alpaca,
    ];

    /// Trade ids of a symbol are consecutive.
    pub fn counts_trades(self) -> bool {
        matches!(self, Kind::Binance | Kind::UsdM | Kind::Coinbase | Kind::Kraken)
    }

    /// Trades have ids by which one that comes twice is known.
    pub fn gives_ids(self) -> bool {
        self != Kind::Finnhub
    }

    /// Whether it ever says that a symbol is subscribed.
    pub fn acknowledges(self) -> bool {
        self != Kind::Finnhub
    }

    /// Each name of a request is acknowledged by itself.
    fn acknowledges_each(self) -> bool {
        matches!(self, Kind::Kraken | Kind::Massive)
    }

    /// The messages of a connection have numbers.
    fn counts_messages(self) -> bool {
        self == Kind::Advanced
    }

    /// What a client asks before it subscribes to anything: it gives its key, or wants heartbeats.
    fn requests_before(self) -> u8 {
        u8::from(matches!(self, Kind::Advanced | Kind::Massive | Kind::Alpaca))
    }

    fn one_per_key(self) -> bool {
        matches!(self, Kind::Finnhub | Kind::Massive | Kind::Alpaca)
    }
}

/// A trade that was made. The price is the id: where a venue gives no ids it can be told by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub own_name: String,
    pub id: u64,
    pub time_ms: i64,
    /// How often it was sent to anybody, snapshots aside.
    pub sent: usize,
    /// How often the client has read it, whatever happens from now on.
    pub sure: usize,
}

/// How a request is answered.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Promptly,
    Never,
    /// After so long. `serves`: the names are served at once all the same.
    Late {
        after: Duration,
        serves: bool,
    },
}

/// What a connection is told to do.
enum Order {
    Text(String),
    Ping,
    /// Goodbye with this code; the client's answer is waited for.
    Close(u16),
    /// The socket is gone, with nothing said.
    Abort,
}

struct Connection {
    orders: UnboundedSender<Order>,
    subscribed: BTreeSet<String>,
    authenticated: bool,
    /// Says nothing and hears nothing any more.
    stalled: bool,
    /// Told to close or to go: the key is free.
    leaving: bool,
    sequence: u64,
    /// Trades sent on it, by their place among those made.
    sent: Vec<usize>,
    heard: VecDeque<Instant>,
    /// When requests were heard, and how many answers they still lack.
    waiting: BTreeMap<Instant, usize>,
}

impl Connection {
    /// Hears and says anything.
    fn is_live(&self) -> bool {
        !self.stalled && !self.leaving
    }

    /// Nothing is sent behind the goodbye.
    fn close(&mut self, code: u16) {
        self.subscribed.clear();
        self.leaving = true;
        self.orders.send(Order::Close(code)).ok();
    }
}

/// How slowly requests were answered.
#[derive(Clone, Debug, Default)]
pub struct Slowness {
    /// Requests that were never answered.
    pub never: usize,
    /// How long the others took that were not answered at once.
    pub late: Vec<Duration>,
    /// How long something had been waited for when a connection ended.
    pub in_vain: Vec<Duration>,
}

#[derive(Default)]
struct State {
    made: Vec<Made>,
    next_id: BTreeMap<String, u64>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    refusals: VecDeque<u16>,
    /// Of the next requests; those after them are answered promptly.
    answers: VecDeque<Answer>,
    slowness: Slowness,
    /// When a message was sent before another that has a lower number, or instead of it.
    holes: Vec<i64>,
    too_fast: u32,
    /// Names that are not traded here.
    unknown: BTreeSet<String>,
    bad_key: bool,
    closed: bool,
    rest: rest::State,
    opened: u64,
    violations: Vec<String>,
    requests: Vec<String>,
}

#[derive(Clone)]
pub struct FakeVenue {
    pub kind: Kind,
    pub addr: SocketAddr,
    rest_addr: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeVenue {
    /// Listens on a port of its own.
    pub async fn start(kind: Kind) -> FakeVenue {
        FakeVenue::start_at(kind, (Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Listens there, for clients on other machines.
    pub async fn start_at(kind: Kind, addr: SocketAddr) -> FakeVenue {
        let listener = tokio::net::TcpListener::bind(addr).await.expect("the address is free");
        let addr = listener.local_addr().expect("bound");
        let rest = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let rest_addr = rest.local_addr().expect("bound");
        let venue = FakeVenue { kind, addr, rest_addr, state: Arc::default() };
        tokio::spawn(server::serve(venue.clone(), listener));
        tokio::spawn(rest::serve(venue.clone(), rest));
        venue
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.addr)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the next trade of a symbol and sends it to whoever has subscribed.
    pub fn trade(&self, own_name: &str) {
        let index = self.make(own_name);
        self.send(&[index]);
    }

    /// Makes a trade and tells nobody yet.
    pub fn make(&self, own_name: &str) -> usize {
        self.make_at(own_name, now_ms())
    }

    /// Two trades of the same moment.
    pub fn make_two(&self, own_name: &str) -> (usize, usize) {
        let now = now_ms();
        (self.make_at(own_name, now), self.make_at(own_name, now))
    }

    fn make_at(&self, own_name: &str, now_ms: i64) -> usize {
        let mut state = self.lock();
        let id = state.next_id.entry(own_name.to_owned()).or_insert(1_000);
        *id += 1;
        let id = *id;
        let last = state.made.iter().rev().find(|made| made.own_name == own_name).map_or(0, |made| made.time_ms);
        let time_ms = now_ms.max(last);
        state.made.push(Made { own_name: own_name.to_owned(), id, time_ms, sent: 0, sure: 0 });
        state.made.len() - 1
    }

    /// Sends trades that were made, in this order, in one frame where the venue does that.
    pub fn send(&self, indexes: &[usize]) {
        self.deliver(&[indexes], &[0]);
    }

    /// The same for several frames, which get their numbers in the order of `frames` and come in that of `order`: one that is
    /// named twice comes twice, byte for byte.
    pub fn deliver(&self, frames: &[&[usize]], order: &[usize]) {
        let now = now_ms();
        let mut state = self.lock();
        let State { connections, made, holes, .. } = &mut *state;
        for connection in connections.values_mut().filter(|connection| connection.is_live()) {
            let mut written = Vec::new();
            for frame in frames {
                let wanted = frame.iter().copied().filter(|at| connection.subscribed.contains(&made[*at].own_name));
                let wanted: Vec<usize> = wanted.collect();
                let trades: Vec<&Made> = wanted.iter().map(|at| &made[*at]).collect();
                let texts = match trades[..] {
                    [] => Vec::new(),
                    _ => words::trades(self.kind, &trades, &mut connection.sequence),
                };
                written.push((wanted, texts));
            }
            for at in order {
                let (indexes, texts) = &written[*at];
                for text in texts {
                    connection.orders.send(Order::Text(text.clone())).ok();
                }
                indexes.iter().for_each(|index| made[*index].sent += 1);
                connection.sent.extend(indexes);
            }
        }
        let overtakes = |(n, at): (usize, &usize)| (0..*at).any(|before| !order[..n].contains(&before));
        if order.iter().enumerate().any(overtakes) {
            holes.push(now);
        }
    }

    /// Loses a message to all connections: it had its number, where messages have any.
    pub fn lose_message(&self) {
        let mut state = self.lock();
        state.holes.push(now_ms());
        state.connections.values_mut().for_each(|connection| connection.sequence += 1);
    }

    /// Sends a message to every connection that is not stalled.
    pub fn say(&self, text: &str) {
        for connection in self.lock().connections.values().filter(|connection| !connection.stalled) {
            connection.orders.send(Order::Text(text.to_owned())).ok();
        }
    }

    /// What shows that the connection is alive when nothing happens.
    pub fn heartbeat(&self) {
        let mut state = self.lock();
        let last: BTreeMap<String, Made> =
            state.made.iter().map(|made| (made.own_name.clone(), made.clone())).collect();
        for connection in state.connections.values_mut().filter(|connection| !connection.stalled) {
            let texts = words::heartbeat(self.kind, &connection.subscribed, &last, &mut connection.sequence);
            if texts.is_empty() {
                connection.orders.send(Order::Ping).ok();
            }
            for text in texts {
                connection.orders.send(Order::Text(text)).ok();
            }
        }
    }

    /// Closes every connection with this code.
    pub fn close(&self, code: u16) {
        self.each(|connection| connection.close(code));
    }

    /// Every socket is gone, with nothing said.
    pub fn abort(&self) {
        self.each(|connection| {
            connection.subscribed.clear();
            connection.leaving = true;
            connection.orders.send(Order::Abort).ok();
        });
    }

    /// Every connection stays open, and nothing is said or heard on it any more.
    pub fn stall(&self) {
        self.each(|connection| connection.stalled = true);
    }

    fn each(&self, act: impl FnMut(&mut Connection)) {
        self.lock().connections.values_mut().for_each(act);
    }

    /// Refuses the next handshakes with these.
    pub fn refuse(&self, statuses: &[u16]) {
        self.lock().refusals.extend(statuses);
    }

    /// Refuses every handshake from now on.
    pub fn shut(&self) {
        self.lock().closed = true;
    }

    /// The next requests are not answered at all.
    pub fn leave_unanswered(&self, requests: usize) {
        self.lock().answers.extend(std::iter::repeat_n(Answer::Never, requests));
    }

    /// The next request is answered after so long; `serves` at once all the same what it asks for.
    pub fn answer_late(&self, after: Duration, serves: bool) {
        self.lock().answers.push_back(Answer::Late { after, serves });
    }

    /// So many of the next requests are answered as ever.
    pub fn answer(&self, requests: usize) {
        self.lock().answers.extend(std::iter::repeat_n(Answer::Promptly, requests));
    }

    pub fn slowness(&self) -> Slowness {
        self.lock().slowness.clone()
    }

    /// When the numbers of its messages had a hole, as far as it then knew, where messages have numbers.
    pub fn holes(&self) -> Option<Vec<i64>> {
        self.kind.counts_messages().then(|| self.lock().holes.clone())
    }

    /// The next requests are answered by a refusal for being too many.
    pub fn call_too_fast(&self, requests: u32) {
        self.lock().too_fast = requests;
    }

    /// These are refused from now on, in the venue's own words.
    pub fn refuse_symbols(&self, own_names: &[&str]) {
        self.lock().unknown.extend(own_names.iter().map(|name| (*name).to_owned()));
    }

    /// Every key is wrong from now on, where a message gives it.
    pub fn refuse_keys(&self) {
        self.lock().bad_key = true;
    }

    /// Somebody else connects with the same key.
    pub fn take_the_key_away(&self) {
        match self.kind {
            // A second connection drops both.
            Kind::Finnhub => self.abort(),
            _ => {
                if let Some(text) = words::evicted(self.kind) {
                    self.say(text);
                }
                self.close(1008);
            }
        }
    }

    /// Whether one live connection at least serves each of these.
    pub fn serves(&self, own_names: &[String]) -> bool {
        let state = self.lock();
        let serves = |name: &String| state.connections.values().any(|c| !c.stalled && c.subscribed.contains(name));
        own_names.iter().all(serves)
    }

    /// What all live connections together serve.
    pub fn subscribed(&self) -> BTreeSet<String> {
        let state = self.lock();
        let live = state.connections.values().filter(|connection| !connection.stalled && !connection.leaving);
        live.flat_map(|connection| connection.subscribed.iter().cloned()).collect()
    }

    /// Connections that have not gone silent.
    pub fn live_connections(&self) -> usize {
        self.lock().connections.values().filter(|connection| !connection.stalled).count()
    }

    /// Handshakes that were granted so far.
    pub fn opened(&self) -> u64 {
        self.lock().opened
    }

    pub fn made(&self) -> Vec<Made> {
        self.lock().made.clone()
    }

    /// All that was ever asked.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    /// What the client did that the venue would have punished.
    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
