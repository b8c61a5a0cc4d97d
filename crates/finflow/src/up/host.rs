//! Runs a stage inside this process, with the config its own binary would have had.

use std::future::Future;
use std::net::SocketAddr;

use anyhow::{Context as _, anyhow};
use harness::{Config, Context, Drain, Shutdown};
use tokio::task::JoinHandle;

/// A running stage and the way to tell it that nothing more will come.
pub struct Stage<S> {
    name: &'static str,
    /// Its admin port, with the real port where any was asked for.
    pub admin: Option<SocketAddr>,
    drain: Drain,
    task: JoinHandle<anyhow::Result<S>>,
}

impl<S: Send + 'static> Stage<S> {
    /// Starts `run`. When it fails, the whole process drains: a pipeline with a hole in it must not look alive.
    pub async fn start<C, F, Fut>(
        name: &'static str,
        config: C,
        shutdown: &Shutdown,
        run: F,
    ) -> anyhow::Result<Stage<S>>
    where
        C: Config,
        F: FnOnce(Context<C>) -> Fut,
        Fut: Future<Output = anyhow::Result<S>> + Send + 'static,
    {
        let ctx = Context::hosted(name, config, shutdown);
        let admin = ctx.serve_admin().await.with_context(|| format!("start {name}"))?;
        let drain = ctx.drain.clone();
        let running = run(ctx);
        let shutdown = shutdown.clone();
        let task = tokio::spawn(async move {
            let result = running.await.with_context(|| format!("{name} failed"));
            if let Err(error) = &result {
                shutdown.trigger(format!("{error:#}"));
            }
            result
        });
        Ok(Stage { name, admin, drain, task })
    }

    /// Nothing more will come: the stage reads what is there, finishes it and returns.
    pub async fn drain(self) -> anyhow::Result<S> {
        self.drain.set();
        self.join().await
    }

    /// Waits until the stage returns by itself, or because of the shutdown.
    pub async fn join(self) -> anyhow::Result<S> {
        let name = self.name;
        self.task.await.map_err(|error| anyhow!("{name} panicked: {error}"))?
    }
}
