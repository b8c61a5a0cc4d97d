//! What a service's `run` is given.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use crate::admin;
use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::health::Health;
use crate::heartbeat::{Heartbeat, Watchdog};
use crate::metrics::Registry;
use crate::shutdown::{Drain, Shutdown};

/// Clones share everything but the config, which is plain data.
#[derive(Clone)]
pub struct Context<C> {
    pub service: &'static str,
    pub config: C,
    pub shutdown: Shutdown,
    pub drain: Drain,
    pub clock: Arc<dyn Clock>,
    pub metrics: Registry,
    pub health: Health,
}

impl<C: Config> Context<C> {
    /// A service among others in one process: own metrics, health and drain, the host's shutdown, the machine's clock.
    pub fn hosted(service: &'static str, config: C, shutdown: &Shutdown) -> Self {
        Context {
            service,
            config,
            shutdown: shutdown.clone(),
            drain: Drain::new(),
            clock: Arc::new(SystemClock),
            metrics: Registry::new(service),
            health: Health::new(shutdown.clone()),
        }
    }

    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    pub fn with_drain(mut self, drain: Drain) -> Self {
        self.drain = drain;
        self
    }

    /// Opens the admin port of the config, if it has one, and serves it on the current runtime for as long as that
    /// lives. Returns the address, with the real port where the config says 0. A process that was started by
    /// [`crate::main`] has it open already.
    pub async fn serve_admin(&self) -> anyhow::Result<Option<SocketAddr>> {
        let Some(addr) = self.config.common().admin else {
            return Ok(None);
        };
        let listener = admin::bind(addr)?;
        let bound = listener
            .local_addr()
            .context("read the address of the admin port")?;
        let listener =
            tokio::net::TcpListener::from_std(listener).context("serve the admin port")?;
        let router = admin::router(self.health.clone(), self.metrics.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Ok(Some(bound))
    }

    /// Registers a long-lived task; it must beat more often than `stall_timeout`, or the process drains and fails.
    pub fn heartbeat(&self, task: &str) -> Heartbeat {
        let limit = self.config.common().stall_timeout;
        Watchdog::register(&self.shutdown, self.task_name(task), Some(*limit))
    }

    /// Runs a blocking loop on a thread of its own and waits for its result. A panic in it becomes an error. Inside,
    /// `tokio::runtime::Handle::current()` works.
    pub async fn thread<T, F>(&self, name: &str, body: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> anyhow::Result<T> + Send + 'static,
    {
        let task = self.task_name(name);
        let running = Watchdog::register(&self.shutdown, task.clone(), None);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let spawned = std::thread::Builder::new()
            .name(task.clone())
            .spawn(move || {
                let _entered = runtime.enter();
                let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
                drop(running);
                sender.send(result).ok();
            });
        spawned.with_context(|| format!("start the thread `{task}`"))?;
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(anyhow!(
                "the thread `{task}` panicked: {}",
                panic_text(&*panic)
            )),
            Err(_) => Err(anyhow!("the thread `{task}` ended without a result")),
        }
    }

    fn task_name(&self, task: &str) -> String {
        format!("{}/{task}", self.service)
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
