//! Connections: who is let in, and how their bytes become requests.
//!
//! One task per connection, one request at a time, answers in the order of the requests, as the protocol demands. A
//! frame that is too long, comes too slowly or does not read ends its connection; memory is taken as bytes arrive, not
//! as lengths are claimed.

use crate::{
    node::Node,
    options::Options,
    request::{self, Ends},
};
use bytes::{Bytes, BytesMut};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Who was heard once may be silent for longer than who just connected.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// Taken at once for a frame; more only as bytes arrive.
const CHUNK: usize = 64 << 10;

pub struct Server {
    pub node: Arc<Node>,
    pub options: Options,
    pub stopping: CancellationToken,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("closed by the client")]
    Closed,
    #[error("connection lost: {0}")]
    Lost(#[from] io::Error),
    #[error("nothing heard for {0:?}")]
    Idle(Duration),
    #[error("a frame of {0} bytes: {1} are allowed")]
    FrameSize(i32, usize),
    #[error("a frame did not come, or an answer was not taken, within {0:?}")]
    Slow(Duration),
    #[error("{0}")]
    Malformed(#[from] crate::wire::Malformed),
}

impl Server {
    pub async fn run(self: Arc<Server>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(self.options.max_connections));
        let tasks = TaskTracker::new();
        while let Some(accepted) = self.stopping.run_until_cancelled(listener.accept()).await {
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot take a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!(%peer, max = self.options.max_connections, "too many connections, closed a new one");
                continue;
            };
            let server = self.clone();
            tasks.spawn(async move {
                server.serve(stream, peer).await;
                drop(place);
            });
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }

    async fn serve(&self, mut stream: TcpStream, peer: SocketAddr) {
        let work = self.converse(&mut stream, peer);
        match self.stopping.run_until_cancelled(work).await {
            None => {}
            Some(Ended::Closed | Ended::Lost(_) | Ended::Idle(IDLE)) => tracing::debug!(%peer, "connection ended"),
            Some(ended) => tracing::warn!(%peer, reason = %ended, "closed a connection"),
        }
    }

    async fn converse(&self, stream: &mut TcpStream, peer: SocketAddr) -> Ended {
        let _ = stream.set_nodelay(true);
        let Ok(local) = stream.local_addr() else { return Ended::Closed };
        let mut patience = self.options.frame_time;
        loop {
            match self.exchange(stream, Ends { local, peer }, patience).await {
                Ok(()) => patience = IDLE,
                Err(ended) => return ended,
            }
        }
    }

    /// One request and its answer.
    async fn exchange(&self, stream: &mut TcpStream, ends: Ends, patience: Duration) -> Result<(), Ended> {
        let mut first = [0];
        let heard = timeout(patience, stream.read(&mut first)).await.map_err(|_| Ended::Idle(patience))?;
        if heard? == 0 {
            return Err(Ended::Closed);
        }
        let limit = self.options.frame_time;
        let frame = timeout(limit, self.read_frame(stream, first[0])).await.map_err(|_| Ended::Slow(limit))??;
        if let Some(answer) = request::answer(&self.node, frame, ends).await? {
            timeout(limit, stream.write_all(&answer)).await.map_err(|_| Ended::Slow(limit))??;
        }
        Ok(())
    }

    async fn read_frame(&self, stream: &mut TcpStream, first: u8) -> Result<Bytes, Ended> {
        let mut rest = [0; 3];
        stream.read_exact(&mut rest).await?;
        let length = i32::from_be_bytes([first, rest[0], rest[1], rest[2]]);
        let max = self.options.max_frame_bytes;
        let wanted = usize::try_from(length).ok().filter(|length| *length <= max);
        let wanted = wanted.ok_or(Ended::FrameSize(length, max))?;
        let mut frame = BytesMut::with_capacity(wanted.min(CHUNK));
        while frame.len() < wanted {
            let left = wanted - frame.len();
            // What has come doubles at most: a claimed length alone costs nothing.
            frame.reserve(left.min(frame.len().max(CHUNK)));
            if stream.take(left as u64).read_buf(&mut frame).await? == 0 {
                return Err(Ended::Closed);
            }
        }
        Ok(frame.freeze())
    }
}
