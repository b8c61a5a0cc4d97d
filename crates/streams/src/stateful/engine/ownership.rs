//! Partitions come and go, and the state with them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::{Engine, Part, surroundings};
use crate::consumer::TopicPartition;
use crate::error::StreamError;
use crate::stateful::Stage;
use crate::stateful::ledger::Counts;
use crate::stateful::outbox::Changelog;
use crate::stateful::restore::{Restored, Restorer};

/// Fenced this often within a minute means that another process uses our id.
const FENCED_MAX: usize = 3;

impl<S: Stage> Engine<'_, S> {
    pub(super) fn take_over(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        surroundings::check_partitions(self.env, &self.admin, self.settings, self.expected.partitions)?;
        self.assigned.hold("restoring state");
        let restored = self.restore(partitions)?;
        let mut positions = Vec::with_capacity(restored.len());
        for (partition, restored) in restored {
            let partition = TopicPartition::new(self.settings.input.as_str(), partition);
            let next_offset = self.install(partition.clone(), restored)?;
            positions.push((partition, next_offset));
        }
        self.consumer.assign_at(&positions)?;
        self.go_on()?;
        self.assigned.release();
        self.ever_assigned = true;
        Ok(())
    }

    fn restore(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<BTreeMap<i32, Restored<S::Part>>> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let rebuild = self.settings.rebuild && partitions.iter().any(|tp| self.rebuilt.insert(tp.partition));
        let restorer = Restorer {
            env: self.env,
            kafka: self.kafka,
            admin: &self.admin,
            expected: &self.expected,
            rebuild,
            restored_records: &self.metrics.restored,
        };
        restorer.restore(&mut self.consumer, self.stage, partitions)
    }

    /// Begins with a partition as restored. Returns where to read on.
    fn install(&mut self, partition: TopicPartition, restored: Restored<S::Part>) -> anyhow::Result<i64> {
        let next_offset = match restored.next_offset {
            Some(offset) => offset,
            None => self.consumer.start_of(&partition)?,
        };
        let rebuilding = !restored.leftovers.is_empty();
        for key in &restored.leftovers {
            let mut log = Changelog::new(&mut self.pending, &self.settings.changelog, partition.partition);
            log.delete(key);
        }
        let part = Part {
            state: restored.state,
            next_offset,
            committed_offset: restored.next_offset,
            counts: restored.counts,
            uncommitted: Counts::default(),
            touched: rebuilding,
            reached: None,
            partition,
        };
        self.parts.insert(part.partition.partition, part);
        Ok(next_offset)
    }

    /// Finishes what was read of these partitions, while they are still ours.
    pub(super) fn give_back(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        let committed = self.commit()?;
        self.forget(partitions);
        if !committed {
            self.drop_batch("partitions were revoked before their batch could be committed");
        }
        self.consumer.release()?;
        self.go_on()
    }

    /// Somebody else may own them already, and has folded the same records or will.
    pub(super) fn lose(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        if self.anything_pending() {
            self.metrics.transaction("lost");
        }
        self.forget(partitions);
        self.drop_batch("partitions were lost");
        self.consumer.release()?;
        self.go_on()
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for tp in partitions {
            self.parts.remove(&tp.partition);
            self.ends.remove(&tp.partition);
        }
        if self.parts.is_empty() {
            self.assigned.hold("no partition assigned");
        }
    }

    /// The batch spans all partitions: without a part of it the rest cannot be kept either.
    fn drop_batch(&mut self, cause: &str) {
        if self.anything_pending() {
            self.broken.get_or_insert_with(|| cause.to_owned());
        }
        self.pending.clear();
        self.folded = 0;
    }

    /// Drops all state in memory and reads it back as it was last committed.
    pub(super) fn recover(&mut self, cause: &str) -> anyhow::Result<()> {
        tracing::warn!(cause, partitions = self.parts.len(), "reading the state back from the changelog");
        self.pending.clear();
        self.folded = 0;
        if std::mem::take(&mut self.reconnect) {
            self.fenced.retain(|at| at.elapsed() < Duration::from_secs(60));
            self.fenced.push(Instant::now());
            if self.fenced.len() > FENCED_MAX {
                bail!(StreamError::fatal(
                    "write transactions",
                    format!("{cause}; does another process use the same transactional id? Each needs its own")
                ));
            }
            self.transactions.reconnect()?;
        }
        let partitions: Vec<TopicPartition> = self.parts.values().map(|part| part.partition.clone()).collect();
        self.parts.clear();
        let mut positions = Vec::with_capacity(partitions.len());
        for (partition, restored) in self.restore(&partitions)? {
            let partition = TopicPartition::new(self.settings.input.as_str(), partition);
            let next_offset = self.install(partition.clone(), restored)?;
            positions.push((partition, next_offset));
        }
        self.consumer.seek(&positions)?;
        Ok(())
    }
}
