//! Credentials that are renewed on disk while the process runs, as Kubernetes does it with the Secrets it mounts.
//!
//! In: the files that secrets were read from, and those that a config names ([`crate::Config::credentials`]). A client of Kafka
//! reads its certificates once, so there is one way for all of them: the service drains as it does on SIGTERM, and the
//! process begins anew by `exec`, with the same command line: the pod is not restarted and keeps its place. What cannot be
//! used, such as a file that is half written, changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::shutdown::{Reason, Shutdown};

/// Whether the settings can be used as they are on disk now.
pub(crate) type Check = Box<dyn Fn() -> Result<(), String> + Send>;

/// The files to watch, and as they were when the process began.
pub(crate) struct Renewal {
    files: BTreeMap<PathBuf, Option<u64>>,
    every: Duration,
    check: Check,
}

impl Renewal {
    /// Looks at the files every so often; nothing is watched where there are none, or `every` is zero.
    pub(crate) fn new(files: BTreeSet<PathBuf>, every: Duration, check: Check) -> Option<Self> {
        let files: BTreeMap<_, _> = files.into_iter().map(|file| (file.clone(), digest(&file))).collect();
        (!files.is_empty() && !every.is_zero()).then_some(Self { files, every, check })
    }

    /// Watches from a thread of its own until the shutdown, which it may set itself.
    pub(crate) fn watch(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let thread = std::thread::Builder::new().name("renewal".to_owned());
        thread.spawn(move || self.run(&shutdown)).map(drop).context("start the thread that watches credentials")
    }

    fn run(&self, shutdown: &Shutdown) {
        let mut last = self.files.clone();
        let mut refused = None;
        while !shutdown.wait_timeout(self.every) {
            let now: BTreeMap<_, _> = self.files.keys().map(|file| (file.clone(), digest(file))).collect();
            // Twice the same: else somebody may still be writing.
            let is_settled = std::mem::replace(&mut last, now.clone()) == now;
            if !is_settled || now == self.files || refused.as_ref() == Some(&now) {
                continue;
            }
            let changed =
                now.iter().filter(|(file, digest)| self.files[*file] != **digest).map(|(file, _)| file.display());
            let changed = changed.map(|file| file.to_string()).collect::<Vec<_>>().join(", ");
            match (self.check)() {
                Ok(()) => return shutdown.trigger(Reason::Renewed(changed)),
                Err(problem) => {
                    tracing::error!(
                        changed,
                        problem,
                        "credentials were changed to what cannot be used: the old ones stay"
                    );
                    refused = Some(now);
                }
            }
        }
    }
}

/// Of the content; `None` where it cannot be read.
fn digest(file: &Path) -> Option<u64> {
    let content = std::fs::read(file).ok()?;
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    Some(hasher.finish())
}

/// Becomes this program with this command line once more. Returns only what went wrong.
pub(crate) fn begin_anew() -> anyhow::Error {
    let mut args = std::env::args_os();
    let begin = || -> anyhow::Result<std::io::Error> {
        let program = std::env::current_exe().context("find this program")?;
        let name = args.next().unwrap_or_else(|| program.clone().into());
        Ok(Command::new(program).arg0(name).args(args).exec())
    };
    match begin() {
        Ok(error) => anyhow::Error::new(error).context("begin anew with the renewed credentials"),
        Err(error) => error,
    }
}
