//! What a stage lends to its Kafka clients: metrics, health, clock, the wish to stop.

use std::sync::Arc;
use std::time::Duration;

use harness::{Clock, Config, Context, Drain, Health, Heartbeat, Registry, Shutdown};

use crate::error::{Result, StreamError};
use crate::logs::{Link, Logs};

/// Made once per stage from its context. Clones share everything.
#[derive(Clone)]
pub struct Env {
    pub service: &'static str,
    pub metrics: Registry,
    pub health: Health,
    pub shutdown: Shutdown,
    pub drain: Drain,
    pub clock: Arc<dyn Clock>,
    heartbeat: Option<Arc<Heartbeat>>,
    link: Link,
}

impl Env {
    /// Adds the health check `kafka`, which fails while a broker does not answer.
    pub fn of<C: Config>(ctx: &Context<C>) -> Self {
        let link = Link::default();
        link.register(&ctx.health);
        Env {
            service: ctx.service,
            metrics: ctx.metrics.clone(),
            health: ctx.health.clone(),
            shutdown: ctx.shutdown.clone(),
            drain: ctx.drain.clone(),
            clock: ctx.clock.clone(),
            heartbeat: None,
            link,
        }
    }

    /// For tools and tests that are no service: own metrics and health, the machine's clock.
    pub fn standalone(service: &'static str, shutdown: &Shutdown) -> Self {
        let (link, health) = (Link::default(), Health::new(shutdown.clone()));
        link.register(&health);
        Env {
            service,
            metrics: Registry::new(service),
            health,
            shutdown: shutdown.clone(),
            drain: Drain::new(),
            clock: Arc::new(harness::SystemClock),
            heartbeat: None,
            link,
        }
    }

    /// The loop's heartbeat, which the waits inside this crate keep alive.
    pub fn with_heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.heartbeat = Some(Arc::new(heartbeat));
        self
    }

    pub fn beat(&self) {
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat.beat();
        }
    }

    pub(crate) fn logs(&self, client: &'static str) -> Logs {
        Logs::new(client, &self.link)
    }

    /// Asks until a broker answers, the stop is asked for, or the error is not one that passes.
    pub(crate) fn ask<T>(&self, action: &str, mut question: impl FnMut() -> Result<T>) -> Result<T> {
        loop {
            match question() {
                Err(error) if error.is_retry() => {
                    tracing::debug!(action, %error, "asking again");
                    self.beat();
                    if self.shutdown.wait_timeout(Duration::from_millis(200)) {
                        return Err(StreamError::Stopped(format!("waiting for Kafka to {action}")));
                    }
                }
                answer => return answer,
            }
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ns() / 1_000_000
    }
}
