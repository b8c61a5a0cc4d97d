//! The life of a broker: start, serve, stop.

use crate::Options;
use std::{io, net::SocketAddr, path::PathBuf};
use tokio_util::sync::CancellationToken;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr}: {source}; choose another address or end the process that holds it")]
    Bind { addr: SocketAddr, source: io::Error },
    #[error("cannot use the folder {}: {source}; the embedded broker needs to write there", dir.display())]
    Folder { dir: PathBuf, source: io::Error },
    #[error("the folder {} is in use by another broker; stop it or choose another folder", dir.display())]
    Locked { dir: PathBuf },
}

/// A running broker. Dropping it stops it without waiting; `stop` waits until everything is on disk.
pub struct Broker {
    addr: SocketAddr,
    stopping: CancellationToken,
}

impl Broker {
    pub async fn start(options: Options) -> Result<Broker, StartError> {
        let bind = |source| StartError::Bind { addr: options.addr, source };
        std::fs::create_dir_all(&options.dir)
            .map_err(|source| StartError::Folder { dir: options.dir.clone(), source })?;
        let listener = tokio::net::TcpListener::bind(options.addr).await.map_err(bind)?;
        let addr = listener.local_addr().map_err(bind)?;
        Ok(Broker { addr, stopping: CancellationToken::new() })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub async fn stop(self) {
        self.stopping.cancel();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}
