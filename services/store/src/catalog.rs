//! Partitions of what was stored, on their way to the catalog: a task of its own, which the loop only tells and never asks.

use std::time::Duration;

use lake::catalog::{CatalogError, GlueService, Options, Registrar, RegistrarWatcher};
use lake::{Bucket, Claim, Dir, Paths};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::config::Config;
use crate::observe::CatalogWatch;

/// At the end of a run, for what is not registered yet. The next run finds what is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The loop's end of it: does nothing where nothing is to be registered.
#[derive(Clone, Default)]
pub(crate) struct Registering(Option<UnboundedSender<Vec<Dir>>>);

impl Registering {
    pub(crate) fn stored(&self, claim: &Claim) {
        let Some(sender) = &self.0 else { return };
        let dirs = claim.objects.iter().filter_map(|object| object.key.rsplit_once('/')?.0.parse().ok());
        // Nobody listens once the task has panicked, which is no reason to store no more.
        let _ = sender.send(dirs.collect());
    }
}

/// Begins to register, if that is wanted.
pub(crate) async fn start<B: Bucket>(
    config: &Config,
    bucket: B,
    paths: Paths,
    watch: CatalogWatch,
) -> (Registering, Option<JoinHandle<()>>) {
    if !config.catalog.register {
        return (Registering(None), None);
    }
    let (sender, receiver) = unbounded_channel();
    let glue = GlueService::connect(&config.s3, &config.catalog.endpoint).await;
    let (s3, database) = (&config.s3, &config.catalog.database);
    let options = Options::to_register(database, config.format, &s3.bucket, s3.prefix.trim_matches('/'));
    let registrar = Registrar::new(bucket, paths, glue, options, watch);
    (Registering(Some(sender)), Some(tokio::spawn(registrar.run(receiver))))
}

/// Lets it finish, once every [`Registering`] is gone.
pub(crate) async fn finish(task: Option<JoinHandle<()>>) {
    let Some(task) = task else { return };
    let abort = task.abort_handle();
    if tokio::time::timeout(LAST_WORDS, task).await.is_err() {
        abort.abort();
    }
}

impl RegistrarWatcher for CatalogWatch {
    fn registered(&self, partitions: usize, waiting: usize) {
        self.count(partitions, waiting);
    }

    fn failed(&self, error: &CatalogError, waiting: usize) {
        self.failure(error, waiting);
    }
}
