//! What a service's `run` is given.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};

use crate::admin;
use crate::clock::{Clock, SystemClock};
use crate::commands::Commands;
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
    pub commands: Commands,
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
            commands: Commands::default(),
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
        let bound = listener.local_addr().context("read the address of the admin port")?;
        let listener = tokio::net::TcpListener::from_std(listener).context("serve the admin port")?;
        let router = admin::router(self.health.clone(), self.metrics.clone(), self.commands.clone());
        tokio::spawn(admin::serve(listener, router));
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
        let spawned = std::thread::Builder::new().name(task.clone()).spawn(move || {
            let _entered = runtime.enter();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
            drop(running);
            sender.send(result).ok();
        });
        spawned.with_context(|| format!("start the thread `{task}`"))?;
        match receiver.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => Err(anyhow!("the thread `{task}` panicked: {}", panic_text(&*panic))),
            Err(_) => Err(anyhow!("the thread `{task}` ended without a result")),
        }
    }

    fn task_name(&self, task: &str) -> String {
        format!("{}/{task}", self.service)
    }
}

pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::config::Common;
    use crate::flags::Flag;
    use crate::shutdown::Reason;

    #[derive(Clone, Default, Serialize, Deserialize)]
    struct Settings {
        #[serde(flatten)]
        common: Common,
    }

    impl Config for Settings {
        const ABOUT: &'static str = "For tests.";
        const FLAGS: &'static [Flag] = &[];

        fn common(&self) -> &Common {
            &self.common
        }
    }

    fn with_stall_timeout(millis: u64) -> Settings {
        Settings { common: Common { stall_timeout: crate::Duration::from_millis(millis), ..Common::default() } }
    }

    #[tokio::test]
    async fn services_of_one_process_share_the_shutdown_only() {
        let shutdown = Shutdown::new();
        let store = Context::hosted("store", Settings::default(), &shutdown);
        let alert = Context::hosted("alert", Settings::default(), &shutdown);
        store.health.latch("assigned").release();
        store.drain.set();
        assert!(store.health.is_ready() && !alert.health.is_ready() && !alert.drain.is_set());
        alert.shutdown.trigger("test");
        assert!(store.shutdown.is_set() && !store.health.is_ready());
    }

    #[tokio::test]
    async fn a_hosted_service_may_have_an_admin_port_of_its_own() {
        let mut config = Settings::default();
        let without = Context::hosted("store", config.clone(), &Shutdown::new());
        assert_eq!(without.serve_admin().await.unwrap(), None);
        config.common.admin = Some("127.0.0.1:0".parse().unwrap());
        let with = Context::hosted("store", config, &Shutdown::new());
        let addr = with.serve_admin().await.unwrap().unwrap();
        assert_ne!(addr.port(), 0);
        tokio::net::TcpStream::connect(addr).await.unwrap();
    }

    #[tokio::test]
    async fn a_thread_gives_back_its_result_its_error_or_its_panic() {
        let ctx = Context::hosted("store", Settings::default(), &Shutdown::new());
        assert_eq!(ctx.thread("loop", || Ok(7)).await.unwrap(), 7);
        let inside = ctx.thread("loop", || Ok(tokio::runtime::Handle::current().block_on(async { 8 })));
        assert_eq!(inside.await.unwrap(), 8);
        let failed = ctx.thread("loop", || -> anyhow::Result<()> { Err(anyhow!("no")) }).await;
        assert_eq!(failed.unwrap_err().to_string(), "no");
        let panicked = ctx.thread("loop", || -> anyhow::Result<()> { panic!("{}", "ouch") }).await;
        assert_eq!(panicked.unwrap_err().to_string(), "the thread `store/loop` panicked: ouch");
    }

    #[test]
    fn a_silent_heartbeat_sets_the_shutdown_and_a_dropped_one_does_not() {
        let shutdown = Shutdown::new();
        let ctx = Context::hosted("store", with_stall_timeout(500), &shutdown);
        drop(ctx.heartbeat("ended well"));
        let beating = ctx.heartbeat("beating");
        let until = Instant::now() + Duration::from_millis(1200);
        while Instant::now() < until {
            beating.beat();
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(shutdown.reason(), None);
        let _silent = ctx.heartbeat("silent");
        while !shutdown.wait_timeout(Duration::from_millis(5)) {
            beating.beat();
        }
        assert_eq!(shutdown.reason(), Some(Reason::Stalled("store/silent".to_owned())));
    }
}
