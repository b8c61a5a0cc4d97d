//! What a caller may choose when starting a broker.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

#[derive(Clone, Debug)]
pub struct Options {
    /// Everything durable lives below this folder; it is made when absent and held by one broker at a time.
    pub dir: PathBuf,
    /// Where to listen. Port 0 takes any free port, `Broker::addr` tells which.
    pub addr: SocketAddr,
    /// Connections beyond this number are closed at once.
    pub max_connections: usize,
    /// A request longer than this closes its connection.
    pub max_frame_bytes: usize,
    /// A request that has begun must be whole by then, and its answer taken, or its connection is closed. Whoever says
    /// nothing at all after connecting is given as long.
    pub frame_time: Duration,
    /// How often old records are looked for, to be deleted or compacted.
    pub tidy_every: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dir: PathBuf::from("devbroker"),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            max_connections: 1000,
            max_frame_bytes: 16 << 20,
            frame_time: Duration::from_secs(30),
            tidy_every: Duration::from_secs(1),
        }
    }
}

impl Options {
    pub fn new(dir: impl Into<PathBuf>, addr: SocketAddr) -> Options {
        Options { dir: dir.into(), addr, ..Options::default() }
    }
}
