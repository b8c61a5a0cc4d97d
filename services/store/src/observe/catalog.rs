//! How the registration of partitions goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use harness::prom::{IntCounter, IntGauge};
use lake::catalog::CatalogError;
use tracing::warn;

use super::SAY_AGAIN;
use crate::config::Config;

#[derive(Clone)]
pub(crate) struct CatalogWatch {
    registered: IntCounter,
    errors: IntCounter,
    waiting: IntGauge,
    said: Arc<Mutex<Option<Instant>>>,
}

impl CatalogWatch {
    pub(super) fn new(ctx: &harness::Context<Config>) -> Self {
        let m = &ctx.metrics;
        Self {
            registered: m
                .counter("registered_partitions_total", "Partitions registered in the catalog, or found there."),
            errors: m
                .counter("register_errors_total", "Attempts to register partitions that failed; they are made again."),
            waiting: m.gauge("unregistered_partitions", "Partitions with objects that the catalog lacks still."),
            said: Arc::default(),
        }
    }

    pub(crate) fn count(&self, partitions: usize, waiting: usize) {
        self.registered.inc_by(partitions as u64);
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn failure(&self, error: &CatalogError, waiting: usize) {
        self.errors.inc();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if said.is_none_or(|at| at.elapsed() >= SAY_AGAIN) {
            *said = Some(Instant::now());
            warn!(%error, waiting, "could not register partitions, trying again; storing goes on");
        }
    }
}
