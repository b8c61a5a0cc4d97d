//! Registers partitions in Glue as their first objects are stored, for tables without projection.
//!
//! In: the partitions of what was stored, over a channel. Out: `BatchCreatePartition` for those that the catalog lacks. It
//! begins with everything that the lake has already, so that what an earlier process could not register is not forgotten.
//! Trouble is told to the [`RegistrarWatcher`] and tried again with growing pauses; whoever stores never waits for it.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::{CatalogError, Glue, Options, desired, partitions};
use crate::bucket::{Bucket, BucketError};
use crate::layout::Paths;
use crate::table::{Dir, Table};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Hears how the registration does.
pub trait RegistrarWatcher: Send + 'static {
    /// So many partitions are registered now, and so many still wait.
    fn registered(&self, partitions: usize, waiting: usize);
    /// It is tried again after a pause.
    fn failed(&self, error: &CatalogError, waiting: usize);
}

pub struct Registrar<B, G, W> {
    bucket: B,
    paths: Paths,
    glue: G,
    options: Options,
    watcher: W,
    /// What the catalog has.
    known: HashSet<Dir>,
    waiting: BTreeSet<Dir>,
    /// Tables of which it is known what the lake has and the catalog lacks.
    compared: HashSet<Table>,
}

impl<B: Bucket, G: Glue, W: RegistrarWatcher> Registrar<B, G, W> {
    pub fn new(bucket: B, paths: Paths, glue: G, options: Options, watcher: W) -> Self {
        let (known, waiting, compared) = (HashSet::new(), BTreeSet::new(), HashSet::new());
        Self { bucket, paths, glue, options, watcher, known, waiting, compared }
    }

    /// Works until the other end of the channel is gone, and then once more on what waits.
    pub async fn run(mut self, mut stored: UnboundedReceiver<Vec<Dir>>) {
        let (mut pause, mut next) = (FIRST_PAUSE, Instant::now());
        loop {
            let done = self.waiting.is_empty() && self.compared.len() == Table::ALL.len();
            let open = tokio::select! {
                biased;
                dirs = stored.recv() => dirs.map(|dirs| self.take(dirs)).is_some(),
                () = tokio::time::sleep_until(next), if !done => true,
            };
            if !open {
                self.attempt().await;
                return;
            }
            if Instant::now() < next {
                continue;
            }
            pause = if self.attempt().await { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            next = Instant::now() + pause;
        }
    }

    fn take(&mut self, dirs: Vec<Dir>) {
        self.waiting.extend(dirs.into_iter().filter(|dir| !self.known.contains(dir)));
    }

    /// Whether nothing is left to do. What goes wrong with one table keeps the others from nothing.
    async fn attempt(&mut self) -> bool {
        let (before, mut trouble) = (self.known.len(), None);
        for table in Table::ALL {
            let done = match self.compare(table).await {
                Ok(()) => self.register(table).await,
                error => error,
            };
            trouble = trouble.or(done.err());
        }
        self.watcher.registered(self.known.len() - before, self.waiting.len());
        if let Some(error) = &trouble {
            self.watcher.failed(error, self.waiting.len());
        }
        trouble.is_none()
    }

    /// Finds what the lake has of a table and the catalog lacks. Once.
    async fn compare(&mut self, table: Table) -> Result<(), CatalogError> {
        if self.compared.contains(&table) {
            return Ok(());
        }
        let stored = folders(&self.bucket, &self.paths, table).await?;
        if !stored.is_empty() {
            let name = desired::name(&self.options, table);
            let registered = partitions::registered(&self.glue, &self.options.database, &name).await?;
            self.waiting.extend(stored.into_iter().filter(|dir| !registered.contains(&partitions::values(*dir))));
        }
        self.compared.insert(table);
        Ok(())
    }

    async fn register(&mut self, table: Table) -> Result<(), CatalogError> {
        let dirs: Vec<Dir> = self.waiting.iter().filter(|dir| dir.table() == table).copied().collect();
        for batch in dirs.chunks(partitions::BATCH) {
            let step = partitions::step(&self.options, table, batch);
            partitions::check(&step, &self.glue.call(step.action, step.body.clone()).await?)?;
            for dir in batch {
                self.waiting.remove(dir);
                self.known.insert(*dir);
            }
        }
        Ok(())
    }
}

/// The partitions of a table that have objects: one request for each, since the next listing begins behind all of its objects.
async fn folders<B: Bucket>(bucket: &B, paths: &Paths, table: Table) -> Result<Vec<Dir>, BucketError> {
    let prefix = paths.table(table);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = bucket.list(&prefix, after.as_deref(), 1).await?;
        let Some(key) = page.into_iter().next() else { return Ok(found) };
        after = match paths.parse(&key) {
            Some((dir, _)) => {
                found.push(dir);
                // Names of objects begin with the topic's, which has no such letter.
                Some(paths.below_prefix(&format!("{dir}/~")))
            }
            None => Some(key),
        };
    }
}
