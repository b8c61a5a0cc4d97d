//! The life of a broker: start, serve, stop.

use crate::{Options, node::Node, server::Server, sync::Syncer};
use std::{
    fs::{File, TryLockError},
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    thread::JoinHandle,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {addr}: {source}; choose another address or end the process that holds it")]
    Bind { addr: SocketAddr, source: io::Error },
    #[error("cannot use the folder {}: {source}; the embedded broker needs to write there", dir.display())]
    Folder { dir: PathBuf, source: io::Error },
    #[error("the folder {} is in use by another broker; stop it or choose another folder", dir.display())]
    Locked { dir: PathBuf },
}

/// A running broker. Dropping it stops it without waiting; `stop` waits until everything is on disk.
pub struct Broker {
    addr: SocketAddr,
    stopping: CancellationToken,
    running: Option<Running>,
}

struct Running {
    runtime: Runtime,
    node: Arc<Node>,
    tasks: TaskTracker,
    syncing: JoinHandle<()>,
}

impl Broker {
    pub async fn start(options: Options) -> Result<Broker, StartError> {
        // Opening reads logs, which may take a while: not on a thread that others need.
        let opening = std::thread::Builder::new().name("devbroker-open".into());
        let (done, opened) = tokio::sync::oneshot::channel();
        let dir = options.dir.clone();
        let thread = opening.spawn(move || drop(done.send(open(options))));
        thread.map_err(|source| StartError::Folder { dir, source })?;
        opened.await.expect("opening either succeeds or answers why not")
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends all connections, and returns when everything is on disk.
    pub async fn stop(mut self) {
        let running = self.running.take().expect("only `stop` and `drop` take it");
        self.stopping.cancel();
        running.tasks.close();
        running.tasks.wait().await;
        let (done, stopped) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            running.node.sync();
            // With the node goes the last handle of the thread that flushes sealed segments.
            drop(running.runtime);
            drop(running.node);
            let _ = running.syncing.join();
            let _ = done.send(());
        });
        let _ = stopped.await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stopping.cancel();
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
    }
}

fn open(options: Options) -> Result<Broker, StartError> {
    let folder = |source| StartError::Folder { dir: options.dir.clone(), source };
    let bind = |source| StartError::Bind { addr: options.addr, source };
    std::fs::create_dir_all(&options.dir).map_err(folder)?;
    let lock = File::create(options.dir.join("lock")).map_err(folder)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => StartError::Locked { dir: options.dir.clone() },
        TryLockError::Error(source) => folder(source),
    })?;
    // Before the logs are read: whoever finds the port taken should hear of it at once.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("devbroker")
        .enable_all()
        .build()
        .map_err(folder)?;
    let listener = runtime.block_on(TcpListener::bind(options.addr)).map_err(bind)?;
    let addr = listener.local_addr().map_err(bind)?;
    let (syncer, syncing) = Syncer::start().map_err(folder)?;
    let node = Arc::new(Node::open(&options.dir, syncer, lock).map_err(folder)?);

    let (stopping, tasks) = (CancellationToken::new(), TaskTracker::new());
    tracing::info!(%addr, dir = %options.dir.display(), topics = node.topics.all().len(), "embedded broker started");
    let server = Arc::new(Server { node: node.clone(), options: options.clone(), stopping: stopping.clone() });
    tasks.spawn_on(server.run(listener), runtime.handle());
    tasks.spawn_on(node.clone().keep_time(stopping.clone()), runtime.handle());
    tasks.spawn_on(node.clone().keep_tidy(options.tidy_every, stopping.clone()), runtime.handle());
    let running = Running { runtime, node, tasks, syncing };
    Ok(Broker { addr, stopping, running: Some(running) })
}
