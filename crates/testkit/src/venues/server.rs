//! The sockets of a fake venue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};

use super::{Answer, Connection, FakeVenue, Kind, Made, Order, State, words};

/// The most messages of a client in a second that each venue forgives.
fn forgiven(kind: Kind) -> usize {
    match kind {
        Kind::Binance => 5,
        Kind::UsdM => 10,
        Kind::Advanced => 8,
        Kind::Coinbase => 100,
        Kind::Kraken | Kind::Finnhub | Kind::Massive | Kind::Alpaca => 50,
    }
}

pub async fn serve(venue: FakeVenue, listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        let venue = venue.clone();
        tokio::spawn(async move { connection(venue, socket).await });
    }
}

async fn connection(venue: FakeVenue, socket: TcpStream) {
    // An abort must look like one: what is unsent is thrown away, and the other side gets a reset.
    socket.set_nodelay(true).ok();
    let refusal = {
        let mut state = venue.lock();
        if state.closed { Some(503) } else { state.refusals.pop_front() }
    };
    #[allow(clippy::result_large_err)] // The library wants it so.
    let answer = |_: &Request, response: Response| match refusal {
        None => Ok(response),
        Some(status) => {
            let mut refused = ErrorResponse::new(None);
            *refused.status_mut() = StatusCode::from_u16(status).expect("a status");
            Err(refused)
        }
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(socket, answer).await else { return };
    let (id, orders) = open(&venue);
    let peace = speak(&venue, id, &mut socket, orders).await;
    let mut state = venue.lock();
    let Some(connection) = state.connections.remove(&id) else { return };
    let waited = connection.waiting.keys().next().map(Instant::elapsed);
    state.slowness.in_vain.extend(waited);
    if peace {
        connection.sent.iter().for_each(|index| state.made[*index].sure += 1);
    }
}

fn open(venue: &FakeVenue) -> (u64, UnboundedReceiver<Order>) {
    let mut state = venue.lock();
    let id = state.next_connection;
    state.next_connection += 1;
    state.opened += 1;
    let (orders, receiver) = unbounded_channel();
    let taken = state.connections.values().any(|other| !other.stalled && !other.leaving);
    if venue.kind.one_per_key() && taken {
        match venue.kind {
            Kind::Alpaca => {
                orders.send(Order::Text(words::evicted(venue.kind).unwrap_or_default().to_owned())).ok();
                orders.send(Order::Close(1008)).ok();
            }
            kind => {
                for other in state.connections.values_mut().filter(|other| !other.stalled) {
                    if let Some(text) = words::evicted(kind) {
                        other.orders.send(Order::Text(text.to_owned())).ok();
                    }
                    other.close(1008);
                }
                if kind == Kind::Finnhub {
                    orders.send(Order::Abort).ok();
                }
            }
        }
    }
    if let Some(text) = words::greeting(venue.kind) {
        orders.send(Order::Text(text.to_owned())).ok();
    }
    let connection = Connection {
        orders,
        subscribed: BTreeSet::new(),
        authenticated: words::authenticated(venue.kind).is_none(),
        stalled: false,
        leaving: false,
        sequence: 0,
        sent: Vec::new(),
        heard: VecDeque::new(),
        waiting: BTreeMap::new(),
    };
    state.connections.insert(id, connection);
    (id, receiver)
}

/// Until the connection is over. `true`: it ended in peace, and the client has read all of it.
async fn speak(
    venue: &FakeVenue,
    id: u64,
    socket: &mut WebSocketStream<TcpStream>,
    mut orders: UnboundedReceiver<Order>,
) -> bool {
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => {
                let sent = match order {
                    Some(Order::Text(text)) => socket.send(Message::text(text)).await,
                    Some(Order::Ping) => socket.send(Message::Ping(Vec::new().into())).await,
                    Some(Order::Close(code)) => return goodbye(socket, code).await,
                    Some(Order::Abort) | None => {
                        #[allow(deprecated)] // Nothing waits here: the time is zero.
                        socket.get_ref().set_linger(Some(Duration::ZERO)).ok();
                        return false;
                    }
                };
                if sent.is_err() {
                    return false;
                }
            }
            message = next(venue, id, socket) => match message {
                Some(Message::Text(text)) => heard(venue, id, text.as_str()),
                Some(_) => {}
                None => return false,
            }
        }
    }
}

/// The client's next message; never while the connection is stalled.
async fn next(venue: &FakeVenue, id: u64, socket: &mut WebSocketStream<TcpStream>) -> Option<Message> {
    let message = socket.next().await?.ok()?;
    let stalled = venue.lock().connections.get(&id).is_none_or(|connection| connection.stalled);
    if stalled && !message.is_close() {
        // Heard by nobody.
        return Some(Message::Pong(Vec::new().into()));
    }
    Some(message)
}

async fn goodbye(socket: &mut WebSocketStream<TcpStream>, code: u16) -> bool {
    let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
    if socket.send(Message::Close(Some(frame))).await.is_err() {
        return false;
    }
    let answer = tokio::time::timeout(Duration::from_secs(5), async {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Close(frame) = message {
                // An answer repeats the code. Another goodbye is the client's own, said before it had read all.
                return frame.is_some_and(|frame| u16::from(frame.code) == code);
            }
        }
        false
    });
    answer.await.unwrap_or(false)
}

fn heard(venue: &FakeVenue, id: u64, text: &str) {
    let mut state = venue.lock();
    let state = &mut *state;
    // What comes after the goodbye is heard by nobody.
    let Some(connection) = state.connections.get_mut(&id).filter(|connection| connection.is_live()) else { return };
    let now = Instant::now();
    connection.heard.retain(|at| now.duration_since(*at) < Duration::from_millis(950));
    connection.heard.push_back(now);
    if connection.heard.len() > forgiven(venue.kind) {
        state.violations.push(format!("{} messages in a second", connection.heard.len()));
    }
    state.requests.push(text.to_owned());
    let Some(request) = words::request(venue.kind, text) else {
        state.violations.push(format!("unheard of: {text}"));
        return;
    };
    if request.pings {
        connection.orders.send(Order::Text(r#"{"method":"pong","req_id":1}"#.to_owned())).ok();
        return;
    }
    let answer = state.answers.pop_front().unwrap_or(Answer::Promptly);
    if matches!(answer, Answer::Never) {
        state.slowness.never += 1;
        connection.waiting.insert(now, 1);
        return;
    }
    if !request.authenticates {
        if !connection.authenticated {
            state.violations.push(format!("asked before the key was taken: {text}"));
            let text = words::not_authenticated(venue.kind).unwrap_or_default();
            connection.orders.send(Order::Text(text.to_owned())).ok();
            return;
        }
        if state.too_fast > 0 {
            state.too_fast -= 1;
            if let Some(text) = words::too_fast(venue.kind) {
                connection.orders.send(Order::Text(text.to_owned())).ok();
                return;
            }
        }
        if let Some(name) = request.adds.iter().find(|name| state.unknown.contains(*name)) {
            if let Some(text) = words::unknown(venue.kind, name, request.id) {
                connection.orders.send(Order::Text(text)).ok();
            }
            return;
        }
    }
    match answer {
        Answer::Late { after, serves } => {
            state.slowness.late.push(after);
            if serves {
                serve_names(connection, &request);
            }
            // Where names are acknowledged one by one, their answers come one by one: the last after this time.
            let parts = if venue.kind.acknowledges_each() { request.by_name() } else { vec![request] };
            connection.waiting.insert(now, parts.len());
            answer_late(venue, id, now, parts, after);
        }
        Answer::Promptly | Answer::Never => drop(grant(venue.kind, state, id, &request)),
    }
}

fn serve_names(connection: &mut Connection, request: &words::Request) {
    connection.subscribed.extend(request.adds.iter().cloned());
    connection.subscribed.retain(|name| !request.removes.contains(name));
}

fn answer_late(venue: &FakeVenue, id: u64, heard: Instant, parts: Vec<words::Request>, after: Duration) {
    let count = u32::try_from(parts.len()).expect("a few names");
    for (n, part) in (1..).zip(parts) {
        let venue = venue.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after * n / count).await;
            let mut state = venue.lock();
            if grant(venue.kind, &mut state, id, &part)
                && let Some(connection) = state.connections.get_mut(&id)
            {
                connection.waiting.entry(heard).and_modify(|lacking| *lacking -= 1);
                connection.waiting.retain(|_, lacking| *lacking > 0);
            }
        });
    }
}

/// Does what is asked and says so, on a connection that is still there.
fn grant(kind: Kind, state: &mut State, id: u64, request: &words::Request) -> bool {
    let Some(connection) = state.connections.get_mut(&id).filter(|connection| connection.is_live()) else {
        return false;
    };
    if request.authenticates {
        let answer = if state.bad_key { words::wrong_key(kind) } else { words::authenticated(kind) };
        connection.authenticated |= !state.bad_key;
        connection.orders.send(Order::Text(answer.unwrap_or_default().to_owned())).ok();
        return true;
    }
    serve_names(connection, request);
    let mut recent: BTreeMap<String, Vec<Made>> = BTreeMap::new();
    for made in &state.made {
        recent.entry(made.own_name.clone()).or_default().push(made.clone());
    }
    for text in words::answers(kind, request, &connection.subscribed, &recent, &mut connection.sequence) {
        connection.orders.send(Order::Text(text)).ok();
    }
    true
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt as _, StreamExt as _};
    use tokio_tungstenite::connect_async;

    use super::*;

    async fn subscribed() -> (FakeVenue, WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>) {
        let venue = FakeVenue::start(Kind::Binance).await;
        let (mut client, _) = connect_async(venue.url()).await.unwrap();
        let request = r#"{"method":"SUBSCRIBE","params":["ausdt@trade"],"id":1}"#;
        client.send(Message::text(request)).await.unwrap();
        client.next().await.unwrap().unwrap();
        venue.trade("AUSDT");
        venue.close(1001);
        (venue, client)
    }

    async fn sure(venue: &FakeVenue) -> bool {
        while venue.live_connections() > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        venue.made()[0].sure > 0
    }

    #[tokio::test]
    async fn who_answers_the_goodbye_has_read_all_before_it() {
        let (venue, mut client) = subscribed().await;
        while client.next().await.is_some_and(|message| message.is_ok()) {}
        assert!(sure(&venue).await);
    }

    #[tokio::test]
    async fn a_late_answer_comes_name_by_name_behind_what_is_served_before_it() {
        let venue = FakeVenue::start(Kind::Kraken).await;
        venue.answer_late(Duration::from_millis(600), true);
        let (mut client, _) = connect_async(venue.url()).await.unwrap();
        let request = r#"{"method":"subscribe","params":{"channel":"trade","symbol":["A/USD","B/USD"]},"req_id":2}"#;
        client.send(Message::text(request)).await.unwrap();
        while venue.subscribed().len() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        venue.trade("B/USD");
        let mut read = Vec::new();
        while read.len() < 5 {
            let json: serde_json::Value =
                serde_json::from_str(client.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
            let name = json["result"]["symbol"].as_str().or(json["data"][0]["symbol"].as_str());
            read.push((json["method"].is_string(), name.unwrap_or_default().to_owned()));
        }
        let word = |answer, name: &str| (answer, name.to_owned());
        let served =
            [word(false, ""), word(false, "B/USD"), word(true, "A/USD"), word(true, "B/USD"), word(false, "B/USD")];
        assert_eq!(read, served, "the greeting, a trade, and each name's answer, with what is known of it");
        assert_eq!(venue.slowness().late, [Duration::from_millis(600)]);
        drop(client);
        while venue.live_connections() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(venue.slowness().in_vain.is_empty(), "nothing is owed any more");
    }

    #[tokio::test]
    async fn who_says_goodbye_meanwhile_has_perhaps_not() {
        let (venue, mut client) = subscribed().await;
        client.close(None).await.unwrap();
        assert!(!sure(&venue).await);
    }
}
