//! The accept loop: HTTP/1.1 connections over the guarded service, with a graceful end.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::guard::Guard;

/// Out of file handles, most likely: trying again at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub(crate) async fn accept(listener: TcpListener, guard: Guard, stop: CancellationToken) {
    let guard = Arc::new(guard);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_ended) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((socket, _peer)) => {
                connections.spawn(connection(socket, guard.clone(), stop.clone()));
            }
            Err(error) => {
                warn!(%error, "could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(socket: TcpStream, guard: Arc<Guard>, stop: CancellationToken) {
    // Small answers wait 40 ms for a delayed acknowledgement otherwise.
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let guard = guard.clone();
        async move { guard.call(request).await }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection ended early");
    }
}
