//! A one-node broker that speaks the Kafka protocol, for development and tests only.
//!
//! In: Kafka requests on one TCP port. Out: the answers Apache Kafka would give, from record batches kept on disk as
//! they were received. It runs on threads of its own, so a caller that blocks inside a Kafka client does not stop the
//! broker it talks to.
//!
//! # The path of a request
//! `server` takes connections and cuts frames out of them; `request` reads the header and picks the handler in `api`;
//! handlers read and write the wire format (`wire`) and act on the [`node`]: `topics` → `partition` → `log` for
//! records, `coordinator` → `groups`, `offsets`, `transactions` for everything groups and transactional producers agree
//! on. `retention` and `compact` run between requests.
//!
//! # Invariants
//! **No acknowledgement before the bytes are with the operating system**: a killed process loses nothing it confirmed.
//!
//! **Nothing from outside is trusted**: a malformed request ends its connection, with a log line, and nothing else.
//!
//! **Locks are taken in one order**: coordinator, then the list of topics, then one partition; none is held across
//! an `await`.

mod api;
mod apis;
mod batch;
mod clock;
mod compact;
mod config;
mod coordinator;
mod errors;
mod files;
mod groups;
mod journal;
mod log;
mod node;
mod offsets;
mod options;
mod partition;
mod producers;
mod records;
mod request;
mod retention;
mod server;
mod start;
mod sync;
mod topics;
mod transactions;
mod wire;

pub use options::Options;
pub use start::{Broker, StartError};

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

// A handler that panicked has lost its own request; what it guarded is changed in single steps, so the others go on.

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
