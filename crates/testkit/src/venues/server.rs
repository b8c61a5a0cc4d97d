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

use super::{Connection, FakeVenue, Kind, Made, Order, words};

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
    if let Some(connection) = state.connections.remove(&id)
        && peace
    {
        connection.sent.iter().for_each(|index| state.made[*index].sure = true);
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
    let Some(connection) = state.connections.get_mut(&id) else { return };
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
    if state.slow_answers > 0 {
        state.slow_answers -= 1;
        return;
    }
    if request.authenticates {
        if state.bad_key {
            connection.orders.send(Order::Text(words::wrong_key(venue.kind).unwrap_or_default().to_owned())).ok();
            return;
        }
        connection.authenticated = true;
        connection.orders.send(Order::Text(words::authenticated(venue.kind).unwrap_or_default().to_owned())).ok();
        return;
    }
    if !connection.authenticated {
        state.violations.push(format!("asked before the key was taken: {text}"));
        connection.orders.send(Order::Text(words::not_authenticated(venue.kind).unwrap_or_default().to_owned())).ok();
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
    connection.subscribed.extend(request.adds.iter().cloned());
    connection.subscribed.retain(|name| !request.removes.contains(name));
    let mut recent: BTreeMap<String, Vec<Made>> = BTreeMap::new();
    for made in &state.made {
        recent.entry(made.own_name.clone()).or_default().push(made.clone());
    }
    for text in words::answers(venue.kind, &request, &connection.subscribed, &recent, &mut connection.sequence) {
        connection.orders.send(Order::Text(text)).ok();
    }
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
        venue.made()[0].sure
    }

    #[tokio::test]
    async fn who_answers_the_goodbye_has_read_all_before_it() {
        let (venue, mut client) = subscribed().await;
        while client.next().await.is_some_and(|message| message.is_ok()) {}
        assert!(sure(&venue).await);
    }

    #[tokio::test]
    async fn who_says_goodbye_meanwhile_has_perhaps_not() {
        let (venue, mut client) = subscribed().await;
        client.close(None).await.unwrap();
        assert!(!sure(&venue).await);
    }
}
