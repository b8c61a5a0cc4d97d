//! Readiness: a list of named latches and checks, all of which must be good.
//!
//! A service with nothing registered yet is not ready: a process that consumes nothing must not look healthy. While
//! the process drains it is not ready whatever the checks say.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::shutdown::Shutdown;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Clones share the list.
#[derive(Clone, Default)]
pub struct Health {
    checks: Arc<Mutex<BTreeMap<String, Check>>>,
    shutdown: Shutdown,
}

impl Health {
    pub fn new(shutdown: Shutdown) -> Self {
        Health { checks: Arc::default(), shutdown }
    }

    /// Something that must happen once, or again after each interruption, before the service is of use.
    pub fn latch(&self, name: impl Into<String>) -> Latch {
        let latch = Latch(Arc::new(Mutex::new(Some("not yet".to_owned()))));
        let state = latch.clone();
        self.check(name, move || match &*state.0.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(reason) => Err(reason.clone()),
        });
        latch
    }

    /// A question asked at each look at `/ready`. It must answer at once: no I/O. A later check of the same name
    /// replaces the earlier one.
    pub fn check(&self, name: impl Into<String>, check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
        self.checks.lock().unwrap_or_else(PoisonError::into_inner).insert(name.into(), Arc::new(check));
    }

    pub fn is_ready(&self) -> bool {
        self.report().ready
    }

    pub fn report(&self) -> Report {
        let checks = self.checks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let checks: BTreeMap<String, Outcome> =
            checks.into_iter().map(|(name, check)| (name, Outcome::from(check()))).collect();
        let draining = self.shutdown.is_set();
        let ready = !draining && !checks.is_empty() && checks.values().all(|outcome| outcome.ok);
        Report { ready, draining, checks }
    }
}

/// Closed when made; the service opens it with [`Latch::release`].
#[derive(Clone)]
pub struct Latch(Arc<Mutex<Option<String>>>);

impl Latch {
    pub fn release(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Not ready (again), and why: `/ready` shows the reason.
    pub fn hold(&self, reason: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.into());
    }
}

/// What `/ready` answers.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub ready: bool,
    pub draining: bool,
    pub checks: BTreeMap<String, Outcome>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl From<Result<(), String>> for Outcome {
    fn from(result: Result<(), String>) -> Self {
        Outcome { ok: result.is_ok(), reason: result.err() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_something_is_registered_and_all_of_it_is_good() {
        let health = Health::default();
        assert!(!health.is_ready(), "nothing registered yet");
        let (first, second) = (health.latch("first"), health.latch("second"));
        first.release();
        assert!(!health.is_ready());
        second.release();
        assert!(health.is_ready());
        second.hold("rebalancing");
        let report = health.report();
        assert!(!report.ready && report.checks["first"].ok);
        assert_eq!(report.checks["second"].reason.as_deref(), Some("rebalancing"));
        health.check("second", || Ok(()));
        assert!(health.is_ready(), "the later check of a name replaces the earlier");
    }

    #[test]
    fn never_ready_while_draining() {
        let shutdown = Shutdown::new();
        let health = Health::new(shutdown.clone());
        health.latch("only").release();
        assert!(health.is_ready());
        shutdown.trigger("test");
        let report = health.report();
        assert!(!report.ready && report.draining && report.checks["only"].ok);
    }
}
