//! The two ways to be told to end: [`Shutdown`] (stop now, tidily) and [`Drain`] (finish what is there, then return).
//!
//! Both are flags that are set once and never cleared. Clones share the flag. A loop on its own thread asks
//! `is_set()` or sleeps in `wait_timeout`; async code awaits `wait()`.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::heartbeat::Watchdog;

/// Why the process is ending. Decides the exit code: a stall is a failure even if the drain succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// `SIGTERM` or `SIGINT`.
    Signal(&'static str),
    /// The named heartbeat was not heard for the stall timeout.
    Stalled(String),
    /// These files with credentials have changed: the process begins anew.
    Renewed(String),
    /// The program itself asked, and says why.
    Requested(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Signal(name) => write!(f, "signal {name}"),
            Reason::Stalled(task) => write!(f, "the task `{task}` stalled"),
            Reason::Renewed(files) => write!(f, "renewed credentials: {files}"),
            Reason::Requested(why) => f.write_str(why),
        }
    }
}

impl From<&str> for Reason {
    fn from(why: &str) -> Self {
        Reason::Requested(why.to_owned())
    }
}

impl From<String> for Reason {
    fn from(why: String) -> Self {
        Reason::Requested(why)
    }
}

/// Stop taking in work, finish the batch in hand, flush, commit, leave, return.
#[derive(Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Default)]
struct Inner {
    token: CancellationToken,
    reason: Mutex<Option<Reason>>,
    changed: Condvar,
    watchdog: Watchdog,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_set(&self) -> bool {
        self.0.token.is_cancelled()
    }

    /// Returns once the shutdown is set; at once if it already is.
    pub async fn wait(&self) {
        self.0.token.cancelled().await;
    }

    /// Sleeps on the current thread for `timeout`, or shorter if the shutdown is set meanwhile. Returns `is_set()`.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let mut reason = self.lock();
        while reason.is_none() {
            let Some(left) = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else {
                return false;
            };
            reason = self.0.changed.wait_timeout(reason, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Sets the shutdown. The first reason stays: what comes later is a consequence of it. But what would begin anew ends
    /// where it is told to.
    pub fn trigger(&self, reason: impl Into<Reason>) {
        let (mut first, reason) = (self.lock(), reason.into());
        if first.is_none()
            || matches!((&*first, &reason), (Some(Reason::Renewed(_)), Reason::Signal(_) | Reason::Stalled(_)))
        {
            *first = Some(reason);
        }
        drop(first);
        self.0.token.cancel();
        self.0.changed.notify_all();
    }

    pub fn reason(&self) -> Option<Reason> {
        self.lock().clone()
    }

    /// For libraries that take a token. Cancelling it does not set the shutdown: use [`Shutdown::trigger`].
    pub fn token(&self) -> CancellationToken {
        self.0.token.child_token()
    }

    pub(crate) fn watchdog(&self) -> &Watchdog {
        &self.0.watchdog
    }

    pub(crate) fn downgrade(&self) -> WeakShutdown {
        WeakShutdown(Arc::downgrade(&self.0))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Reason>> {
        self.0.reason.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.reason()).finish()
    }
}

/// Lets the watchdog thread end with the process it watches instead of keeping it alive.
pub(crate) struct WeakShutdown(std::sync::Weak<Inner>);

impl WeakShutdown {
    pub(crate) fn upgrade(&self) -> Option<Shutdown> {
        self.0.upgrade().map(Shutdown)
    }
}

/// Read what is there now, finish it, then return. Set from the start by `--until-end`, or by the host of several
/// services when what feeds this one has finished.
#[derive(Clone, Debug, Default)]
pub struct Drain(CancellationToken);

impl Drain {
    pub fn new() -> Self {
        Self::default()
    }

    /// A drain that is set already, as with `--until-end`.
    pub fn already() -> Self {
        let drain = Self::default();
        drain.set();
        drain
    }

    pub fn set(&self) {
        self.0.cancel();
    }

    pub fn is_set(&self) -> bool {
        self.0.is_cancelled()
    }

    pub async fn wait(&self) {
        self.0.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_stays() {
        let shutdown = Shutdown::new();
        assert_eq!((shutdown.is_set(), shutdown.reason()), (false, None));
        let other = shutdown.clone();
        other.trigger(Reason::Signal("SIGTERM"));
        shutdown.trigger("later");
        assert!(shutdown.is_set());
        assert_eq!(shutdown.reason(), Some(Reason::Signal("SIGTERM")));
    }

    #[test]
    fn a_sleeping_thread_is_woken() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.wait_timeout(Duration::from_millis(1)));
        let sleeper = std::thread::spawn({
            let shutdown = shutdown.clone();
            move || shutdown.wait_timeout(Duration::from_secs(600))
        });
        shutdown.trigger("enough");
        assert!(sleeper.join().unwrap(), "not the end of the 600 s woke it");
    }

    #[tokio::test]
    async fn waiting_returns_once_it_is_set() {
        let shutdown = Shutdown::new();
        let waiter = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.wait().await }
        });
        shutdown.trigger("enough");
        waiter.await.unwrap();
        // Cancelling a token that was handed out is not a shutdown of everybody.
        let other = Shutdown::new();
        other.token().cancel();
        assert!(!other.is_set());
    }

    #[test]
    fn a_drain_is_set_once_for_all_its_clones() {
        let drain = Drain::new();
        assert!(!drain.is_set());
        drain.clone().set();
        assert!(drain.is_set() && Drain::already().is_set());
    }
}
