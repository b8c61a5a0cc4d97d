//! The web server: the page, the API and the event streams.
//!
//! Strangers may come, so everything they can take has a limit: connections (in all and per address), the size and the
//! time of a request, the rate of requests, event streams, and how long an answer may lie unread. It answers GET and
//! HEAD, takes no bodies, and keeps no state of a client but its cursor.
//!
//! | Route | Answer |
//! |---|---|
//! | `/`, `/assets/…` | the page |
//! | `/v1/symbols` | what there is |
//! | `/v1/quotes?symbols=` | latest prices |
//! | `/v1/bars?symbol=&window=&limit=` | bars, oldest first |
//! | `/v1/alerts?symbol=&limit=` | alerts, newest first |
//! | `/v1/health/pipeline` | rates, lag, dead letters |
//! | `/v1/stream?symbols=&bars=&last_event_id=` | all of it as it changes, as server-sent events |
//! | `/v1/openapi.json` | the API, described |

mod api;
mod assets;
mod guard;
mod query;
mod stall;
mod stream;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use axum::routing::get;
use harness::{Clock, Shutdown};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::error;
use crate::hub::Hub;
use crate::limits::{Buckets, Client, Slot, Slots};
use crate::observe::Metrics;

/// The longest head of a request, and what is buffered of an answer before the client takes it.
const BUFFER_BYTES: usize = 32 << 10;
/// What the kernel keeps for a client that does not read. Beyond it a stream is told the latest state only, so a larger
/// buffer would just hold older prices.
const SEND_BUFFER_BYTES: u32 = 128 << 10;
const BACKLOG: u32 = 1024;
/// How long clients may take to read the end of their answers at a shutdown.
const GRACE: Duration = Duration::from_secs(1);

/// What every request can reach.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) streams: Slots,
    buckets: Mutex<Buckets>,
    config: Config,
    /// Where we listen, with the real port.
    address: SocketAddr,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    pub fn bind(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
        let listen = || {
            let socket = socket?;
            socket.set_reuseaddr(true)?;
            socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let listener = listen().with_context(|| {
            format!("cannot open {address} for the page: choose another address with --http HOST:PORT (setting `http`)")
        })?;
        let address = listener.local_addr().context("read the address of the page")?;
        Ok(Server { listener, address })
    }

    /// Where it listens, with the real port where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the shutdown; then ends the streams, lets the answers in hand be read, and returns.
    pub(crate) async fn run(
        self,
        config: &Config,
        hub: Hub,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        shutdown: Shutdown,
    ) {
        let limits = &config.limits;
        let app = App(Arc::new(Shared {
            hub,
            clock,
            metrics,
            shutdown: shutdown.clone(),
            streams: Slots::new(limits.streams, limits.streams_per_client),
            buckets: Mutex::new(Buckets::new(limits.requests_per_second, limits.burst, Instant::now())),
            config: config.clone(),
            address: self.address,
        }));
        let slots = Slots::new(limits.connections, limits.connections_per_client);
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.wait() => break,
                Some(_) = connections.join_next() => app.metrics.connections_now(slots.held()),
                accepted = self.listener.accept() => match accepted {
                    Ok((socket, peer)) => {
                        match slots.take(Client::from(peer.ip())) {
                            Ok(slot) => connections.spawn(connection(app.clone(), socket, peer, slot)),
                            Err(_) => {
                                app.metrics.connection_refused();
                                // Bounded too: a turned-away client is given a second to read why.
                                connections.spawn(turn_away(socket))
                            }
                        };
                        app.metrics.connections_now(slots.held());
                    }
                    // Out of file descriptors, or the client was gone before it was taken.
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
            }
        }
        drop(self.listener);
        let all_ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            tracing::debug!(open = connections.len(), "closing connections whose clients do not read");
            connections.shutdown().await;
        }
    }
}

async fn connection(app: App, socket: TcpStream, peer: SocketAddr, slot: Slot) {
    // Small events should not wait for each other.
    socket.set_nodelay(true).ok();
    let limits = &app.config.limits;
    let metrics = app.metrics.clone();
    let io = stall::Guard::new(socket, *limits.stall_timeout, move || metrics.client_stalled());
    let service = TowerToHyperService::new(router(app.clone()).layer(axum::Extension(guard::Peer(peer.ip()))));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(*limits.request_timeout)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(io), service);
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = app.shutdown.wait() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended early");
    }
    drop(slot);
}

/// Says why before it closes: a silent close looks like a fault of the network.
async fn turn_away(mut socket: TcpStream) {
    let body = error::body(&"too many open connections", "close some, or try again later");
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 10\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let say = async {
        socket.write_all(head.as_bytes()).await.ok();
        socket.write_all(&body).await.ok();
        socket.shutdown().await.ok();
    };
    tokio::time::timeout(Duration::from_secs(1), say).await.ok();
}

pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(api::page))
        .route("/assets/{*path}", get(api::asset))
        .route("/favicon.ico", get(api::icon))
        .route("/v1/symbols", get(api::symbols))
        .route("/v1/quotes", get(api::quotes))
        .route("/v1/bars", get(api::bars))
        .route("/v1/alerts", get(api::alerts))
        .route("/v1/health/pipeline", get(api::pipeline))
        .route("/v1/stream", get(stream::stream))
        .route("/v1/openapi.json", get(api::openapi))
        .fallback(api::nothing)
        .method_not_allowed_fallback(api::wrong_method)
        .layer(axum::middleware::from_fn_with_state(app.clone(), guard::guard))
        .with_state(app)
}
