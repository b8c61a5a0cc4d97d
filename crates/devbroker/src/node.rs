//! Everything one broker holds, and the work it does between requests.

use crate::{clock::now_ms, compact, coordinator::Coordinator, retention, sync::Syncer, topics::Topics};
use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The only node there is.
pub const NODE_ID: i32 = 1;

const TICK: Duration = Duration::from_millis(50);

pub struct Node {
    pub topics: Topics,
    coordinator: Mutex<Coordinator>,
    pub cluster_id: String,
    /// While any task still works on the folder, no second broker may use it.
    _lock: File,
}

impl Node {
    pub fn open(dir: &Path, syncer: Syncer, lock: File) -> io::Result<Node> {
        let topics = Topics::open(dir.join("topics"), syncer)?;
        let coordinator = Mutex::new(Coordinator::open(&dir.join("coordinator.journal"), &topics)?);
        Ok(Node { topics, coordinator, cluster_id: cluster_id(&dir.join("cluster_id"))?, _lock: lock })
    }

    pub fn coordinator(&self) -> MutexGuard<'_, Coordinator> {
        crate::lock(&self.coordinator)
    }

    /// Lets sessions, rebalances and transactions time out.
    pub async fn keep_time(self: Arc<Node>, stopping: CancellationToken) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            self.coordinator().tick(&self.topics, Instant::now(), now_ms());
        }
    }

    /// Deletes and compacts what the topics' configurations say.
    pub async fn keep_tidy(self: Arc<Node>, every: Duration, stopping: CancellationToken) {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stopping.run_until_cancelled(ticks.tick()).await.is_some() {
            let (node, stopping) = (self.clone(), stopping.clone());
            let _ = tokio::task::spawn_blocking(move || node.tidy(&stopping)).await;
        }
    }

    fn tidy(&self, stopping: &CancellationToken) {
        for topic in self.topics.all() {
            let settings = topic.settings();
            for partition in topic.partitions() {
                if stopping.is_cancelled() {
                    return;
                }
                let now = now_ms();
                partition.lock().producers.forget_silent(now);
                let done = retention::expire(&partition, &settings, now).and_then(|_| {
                    if settings.compact { compact::compact(&partition, &settings, now) } else { Ok(false) }
                });
                if let Err(error) = done
                    && !partition.lock().gone
                {
                    tracing::warn!(%error, dir = %partition.dir.display(), "cannot tidy the log up, will try again");
                }
            }
        }
    }

    /// Flushes everything to the disk.
    pub fn sync(&self) {
        for topic in self.topics.all() {
            for partition in topic.partitions() {
                if let Err(error) = partition.lock().log.sync() {
                    tracing::error!(%error, dir = %partition.dir.display(), "cannot flush the log to the disk");
                }
            }
        }
        if let Err(error) = self.coordinator().sync() {
            tracing::error!(%error, "cannot flush the coordinator's journal to the disk");
        }
    }
}

fn cluster_id(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(id) if !id.trim().is_empty() => Ok(id.trim().to_owned()),
        _ => {
            let id = Uuid::new_v4().simple().to_string();
            crate::files::write_whole(path, id.as_bytes())?;
            Ok(id)
        }
    }
}
