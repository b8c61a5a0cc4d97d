//! An S3 server in process over a folder, for development and tests only.
//!
//! In: a folder and an address. Out: an S3 endpoint that the AWS SDK talks to as to any other, with signed requests
//! and the bucket `finflow` made. Objects lie as plain files under `<folder>/<bucket>/<key>`, so a person can look at
//! them; they survive a restart and a kill, not a power cut (nothing is synced).
//!
//! The S3 itself is `s3s-fs`. Its conditional PUT looks first and writes later, so two writers may both win; the lake's
//! claims stand on exactly one winning. [`guard`] closes that gap, and the lock on the folder keeps a second process
//! from opening it again.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod guard;
mod serve;

/// The bucket that is always there.
pub const BUCKET: &str = "finflow";
/// Keys that [`Server::start`] accepts. They protect nothing: the server is for loopback.
pub const ACCESS_KEY: &str = "finflow";
pub const SECRET_KEY: &str = "finflow-secret";

/// What [`Options::start`] needs to know; [`Server::start`] takes the defaults.
#[derive(Clone, Debug)]
pub struct Options {
    /// Holds buckets and s3s-fs's own side files. Made if absent.
    pub dir: PathBuf,
    /// Port 0 takes a free one; [`Server::addr`] tells which.
    pub addr: SocketAddr,
    pub access_key: String,
    pub secret_key: String,
    pub buckets: Vec<String>,
}

impl Options {
    pub fn new(dir: impl AsRef<Path>, addr: SocketAddr) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
            addr,
            access_key: ACCESS_KEY.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            buckets: vec![BUCKET.to_owned()],
        }
    }

    /// Opens the folder, binds the address and serves until [`Server::stop`] or until the server is dropped.
    pub async fn start(self) -> anyhow::Result<Server> {
        let dir = self.dir.display();
        for bucket in &self.buckets {
            let path = self.dir.join(bucket);
            std::fs::create_dir_all(&path)
                .with_context(|| format!("make the folder {} of the embedded S3; is it writable?", path.display()))?;
        }
        let lock = lock(&self.dir)?;
        let files = s3s_fs::FileSystem::new(&self.dir)
            .map_err(|error| anyhow::anyhow!("open the folder {dir} of the embedded S3: {error:?}"))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(self.access_key, self.secret_key));

        let listener = TcpListener::bind(self.addr).await.with_context(|| {
            format!(
                "listen on {} for the embedded S3; if the port is taken, choose another or end its owner",
                self.addr
            )
        })?;
        let addr = listener.local_addr().context("read the address of the embedded S3")?;
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve::accept(listener, guard::Guard::new(builder.build()), stop.clone()));
        Ok(Server { addr, stop, task, _lock: lock })
    }
}

/// A running server. Dropping it cuts its connections; [`Server::stop`] lets requests under way finish.
pub struct Server {
    addr: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
    _lock: File,
}

impl Server {
    /// Serves `dir` on `addr` with the default keys and bucket.
    pub async fn start(dir: impl AsRef<Path>, addr: SocketAddr) -> anyhow::Result<Self> {
        Options::new(dir, addr).start().await
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The URL to give to an S3 client; it must use path style.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops accepting, waits for requests under way, and releases the port and the folder.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // A panic of the accept loop is logged by Tokio, and there is nothing left to stop.
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

/// Two servers on one folder would each guard only their own writes.
fn lock(dir: &Path) -> anyhow::Result<File> {
    let path = dir.join(".lock");
    let file = File::create(&path).with_context(|| format!("open {}; is the folder writable?", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another process serves {} already; end it or use another folder", dir.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("lock {}", path.display())),
    }
}
