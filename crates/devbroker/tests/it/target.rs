//! The broker under test.

use devbroker::{Broker, Options};
use std::{
    future::Future,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;

/// A real broker, or an embedded one of its own for each test.
pub struct Target {
    pub addr: String,
    broker: Option<(Broker, TempDir)>,
}

pub fn real() -> Option<String> {
    std::env::var("FINFLOW_TEST_BROKERS").ok().filter(|brokers| !brokers.is_empty())
}

impl Target {
    pub fn new() -> Target {
        if let Some(addr) = real() {
            return Target { addr, broker: None };
        }
        let dir = tempfile::tempdir().unwrap();
        let broker = start(dir.path());
        Target { addr: broker.addr().to_string(), broker: Some((broker, dir)) }
    }

    /// Only the embedded broker can be done this to; says so where another is under test.
    pub fn embedded(what: &str) -> Option<Target> {
        if real().is_some() {
            eprintln!("skipped: {what} is for the embedded broker only");
            return None;
        }
        Some(Target::new())
    }

    pub fn is_real(&self) -> bool {
        self.broker.is_none()
    }

    /// How long a condition may take to come true: a real broker looks at some things only every few seconds.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(if self.is_real() { 60 } else { 20 })
    }

    /// A clean stop, and a new start on the same folder and port.
    pub fn restart(self) -> Target {
        let (broker, dir) = self.broker.expect("only the embedded broker is restarted");
        let addr = broker.addr();
        block_on(broker.stop());
        let broker = block_on(Broker::start(Options::new(dir.path(), addr))).unwrap();
        Target { addr: self.addr, broker: Some((broker, dir)) }
    }
}

pub fn start(dir: &Path) -> Broker {
    block_on(Broker::start(options(dir))).unwrap()
}

/// Any free port, and records looked after often.
pub fn options(dir: &Path) -> Options {
    let addr = "127.0.0.1:0".parse().expect("an address");
    Options { tidy_every: Duration::from_millis(100), ..Options::new(dir, addr) }
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Asks until the answer is there.
pub fn eventually<T>(deadline: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = probe() {
            return answer;
        }
        assert!(start.elapsed() < deadline, "not within {deadline:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A name that no other test, process or earlier run uses.
pub fn unique(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("devbroker-{prefix}-{}-{}-{count}", now_ms(), std::process::id())
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}
