//! What a test says to processes, and what its own is told.

use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Sends a signal by its name, such as `TERM`.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(sent.expect("kill runs").success(), "SIG{name}");
}

/// A number from the environment, by which a soak asks for more than a normal run does.
pub fn from_env(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: `{text}` is no number")))
}

/// An address of this machine where nothing listens until the test does. Its port is none that a system gives to outgoing
/// connections or to whoever asks for any: such a one may be gone by the time it is used.
pub fn free_addr() -> SocketAddr {
    const PORTS: u16 = 10_000;
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(RandomState::new().hash_one(0) as u16));
    let free = |_: u16| {
        let port = 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        TcpListener::bind(addr).is_ok().then_some(addr)
    };
    (0..PORTS).find_map(free).expect("one of ten thousand ports is free")
}
