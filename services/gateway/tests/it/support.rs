//! A running gateway, and a client that sees every byte.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::{Config, Hub, Server};
use harness::{Context, Shutdown};
use market::{Event, Trade};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

pub const NOW: i64 = 1_723_161_255_000_000_000;
/// For what takes milliseconds, on a machine that does much else.
pub const SOON: Duration = Duration::from_secs(20);

pub struct Running {
    pub hub: Hub,
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub metrics: harness::Registry,
    task: JoinHandle<()>,
}

/// On any free port, with quick rounds.
pub fn config() -> Config {
    let mut config = Config { http: SocketAddr::from(([127, 0, 0, 1], 0)), ..Config::default() };
    config.view.tick = harness::Duration::from_millis(50);
    config.limits.burst = 100_000;
    config
}

pub async fn start(config: Config) -> Running {
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("gateway", config, &shutdown);
    let hub = Hub::new(&ctx.config.view, "test".to_owned());
    let server = Server::bind(ctx.config.http).expect("a free port");
    let (address, metrics) = (server.address(), ctx.metrics.clone());
    let serving = hub.clone();
    let task = tokio::spawn(async move { gateway::serve_view(&ctx, server, serving).await });
    Running { hub, address, shutdown, metrics, task }
}

impl Running {
    pub fn price(&self, symbol: &str, price: &str) {
        let trade = Trade {
            venue: String::new(),
            symbol: symbol.to_owned(),
            trade_id: None,
            price: price.parse().expect("a price"),
            quantity: "1".parse().expect("a quantity"),
            side: None,
            conditions: Vec::new(),
            event_time: NOW,
            receive_time: None,
            backfilled: false,
        };
        self.hub.view().event(&Event::Trade(trade), NOW);
    }

    pub async fn get(&self, path: &str) -> Answer {
        get(self.address, path).await
    }

    pub async fn ask(&self, request: &str) -> Answer {
        ask(self.address, request).await
    }

    pub async fn stream(&self, query: &str) -> Stream {
        self.stream_with(query, "").await
    }

    pub async fn stream_with(&self, query: &str, headers: &str) -> Stream {
        let mut stream = Stream::open(self.address, query, headers, None).await;
        stream.head().await;
        stream
    }

    /// Stops it; how long that took.
    pub async fn stop(self) -> Duration {
        let began = std::time::Instant::now();
        self.shutdown.trigger("test");
        tokio::time::timeout(SOON, self.task).await.expect("it stops").expect("without a panic");
        began.elapsed()
    }

    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()).and_then(|value| value.parse().ok()).expect("the metric is there")
    }
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")).await
}

async fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut socket = TcpStream::connect(address).await.expect("the server listens");
    // A server that refuses may close while there is still something unread.
    socket.write_all(request.as_bytes()).await.ok();
    let mut bytes = Vec::new();
    tokio::time::timeout(SOON, socket.read_to_end(&mut bytes)).await.expect("an answer in time").ok();
    Answer::of(&bytes)
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn of(bytes: &[u8]) -> Answer {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// `error` and `hint` are both there; the error.
    pub fn error(&self) -> String {
        let body = self.json();
        assert!(body["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{}", self.body);
        body["error"].as_str().expect("an error").to_owned()
    }
}

/// One event of a stream.
#[derive(Debug, Clone)]
pub struct Said {
    pub event: String,
    pub data: Value,
}

/// A client of `/v1/stream`.
pub struct Stream {
    socket: TcpStream,
    /// Read and not yet used.
    raw: Vec<u8>,
    text: String,
    pub last_id: String,
    pub head: String,
}

impl Stream {
    /// `buffer`: bytes that its kernel takes while it does not read.
    pub async fn open(address: SocketAddr, query: &str, headers: &str, buffer: Option<u32>) -> Stream {
        let socket = TcpSocket::new_v4().expect("a socket");
        if let Some(buffer) = buffer {
            socket.set_recv_buffer_size(buffer).expect("a buffer size");
        }
        let mut socket = socket.connect(address).await.expect("the server listens");
        let request = format!("GET /v1/stream{query} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.expect("the server reads");
        Stream { socket, raw: Vec::new(), text: String::new(), last_id: String::new(), head: String::new() }
    }

    pub async fn head(&mut self) {
        loop {
            if let Some(end) = self.raw.windows(4).position(|four| four == b"\r\n\r\n") {
                self.head = String::from_utf8_lossy(&self.raw[..end]).to_ascii_lowercase();
                self.raw.drain(..end + 4);
                return;
            }
            assert!(self.more().await, "closed before the end of the head");
        }
    }

    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(SOON, self.socket.read_buf(&mut self.raw)).await.expect("something in time");
        read.unwrap_or(0) > 0
    }

    /// The next event; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<Said> {
        loop {
            self.dechunk();
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(id) = block.strip_prefix("id: ") {
                    self.last_id = id.to_owned();
                }
                if let Some((event, data)) = block.strip_prefix("event: ").and_then(|b| b.split_once("\ndata: ")) {
                    let data = serde_json::from_str(data).expect("JSON");
                    return Some(Said { event: event.to_owned(), data });
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// Events up to and with the first that fits.
    pub async fn until(&mut self, fits: impl Fn(&Said) -> bool) -> Vec<Said> {
        let mut events = Vec::new();
        loop {
            let said = self.next().await.expect("the stream goes on");
            events.push(said);
            if events.last().is_some_and(&fits) {
                return events;
            }
        }
    }

    fn dechunk(&mut self) {
        loop {
            let Some(line) = self.raw.windows(2).position(|two| two == b"\r\n") else { return };
            let size = std::str::from_utf8(&self.raw[..line]).expect("ASCII");
            let size = usize::from_str_radix(size, 16).expect("the size of a chunk");
            let end = line + 2 + size + 2;
            if self.raw.len() < end {
                return;
            }
            self.text.push_str(std::str::from_utf8(&self.raw[line + 2..end - 2]).expect("UTF-8 at chunk borders"));
            self.raw.drain(..end);
            if size == 0 {
                return;
            }
        }
    }
}
