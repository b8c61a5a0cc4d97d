//! Partitions come and go, and the state with them.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;

use super::{Engine, Part};
use crate::consumer::TopicPartition;
use crate::error::StreamError;
use crate::stateful::ledger::Counts;
use crate::stateful::outbox::Changelog;
use crate::stateful::restore::{Refusal, Restored, Restorer};
use crate::stateful::world::World;
use crate::stateful::{Stage, surroundings};

/// Fenced this often within a minute means that another process uses our id.
const FENCED_MAX: usize = 3;

/// Looks at state and position before it is clear that somebody else is changing them.
const RESTORE_TRIES: usize = 10;

impl<S: Stage, W: World> Engine<'_, S, W> {
    pub(super) fn take_over(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        let there = self.world.topics()?;
        surroundings::check_partitions(self.env.service, &there, self.settings, self.expected.partitions)?;
        self.assigned.hold("restoring state");
        let (mine, others): (Vec<_>, Vec<_>) =
            partitions.iter().cloned().partition(|tp| tp.partition < self.expected.partitions);
        match self.restore(&mine)? {
            Some(restored) => {
                let mut positions = self.install_all(restored)?;
                // Only there where `Settings::only` says so: nothing is read of them.
                for partition in others {
                    let end = self.world.true_end(&self.settings.input, partition.partition)?;
                    positions.push((partition, end));
                }
                self.world.assign_at(&positions)?;
            }
            None => {
                // Nothing is folded into these until they could be read back.
                for partition in &mine {
                    let nothing = Restored::nothing(self.stage.new_part(partition.partition));
                    self.install(partition.clone(), nothing)?;
                }
                self.break_off("others were at work on partitions just assigned");
                self.world.assign_at(&[])?;
            }
        }
        self.go_on()?;
        self.assigned.release();
        Ok(())
    }

    /// `None`: somebody else is at work on these partitions, so the group will soon tell us that they are lost.
    fn restore(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<Option<BTreeMap<i32, Restored<S::Part>>>> {
        if partitions.is_empty() {
            return Ok(Some(BTreeMap::new()));
        }
        let all = partitions.iter().map(|tp| tp.partition);
        let rebuild = all.filter(|n| self.settings.rebuild && !self.rebuilt.contains(n)).collect();
        let restorer = Restorer {
            env: self.env,
            expected: &self.expected,
            rebuild: &rebuild,
            restored_records: &self.metrics.restored,
        };
        let mut seen = None;
        for _ in 0..RESTORE_TRIES {
            match restorer.restore(&mut self.world, self.stage, partitions)? {
                Ok(restored) => return Ok(Some(restored)),
                Err(Refusal::Interrupted) => break,
                Err(refusal) if seen.as_ref() == Some(&refusal) => match refusal {
                    Refusal::Disagreement { text, .. } => bail!(text),
                    Refusal::Interrupted => break,
                },
                Err(refusal) => seen = Some(refusal),
            }
            if self.world.wait(Duration::from_millis(200)) {
                bail!(StreamError::Stopped("restoring state".to_owned()));
            }
        }
        Ok(None)
    }

    fn install_all(
        &mut self,
        restored: BTreeMap<i32, Restored<S::Part>>,
    ) -> anyhow::Result<Vec<(TopicPartition, i64)>> {
        let mut positions = Vec::with_capacity(restored.len());
        for (partition, restored) in restored {
            let partition = TopicPartition::new(self.settings.input.as_str(), partition);
            let next_offset = self.install(partition.clone(), restored)?;
            positions.push((partition, next_offset));
        }
        Ok(positions)
    }

    /// Begins with a partition as restored. Returns where to read on.
    fn install(&mut self, partition: TopicPartition, restored: Restored<S::Part>) -> anyhow::Result<i64> {
        let next_offset = match restored.committed {
            Some(committed) => committed.offset,
            None => self.world.start_of(&partition)?,
        };
        let rebuilding = !restored.leftovers.is_empty();
        for key in &restored.leftovers {
            let mut log = Changelog::new(&mut self.pending, &self.settings.changelog, partition.partition);
            log.delete(key);
        }
        let part = Part {
            state: restored.state,
            next_offset,
            committed: restored.committed,
            ended: restored.committed.is_some_and(|committed| committed.ended),
            counts: restored.counts,
            uncommitted: Counts::default(),
            past: restored.past,
            touched: rebuilding,
            reached: None,
            undecided: None,
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
            self.break_off("partitions were revoked before their batch could be committed");
        }
        self.world.release()?;
        self.go_on()
    }

    /// Somebody else may own them already, and has folded the same records or will.
    pub(super) fn lose(&mut self, partitions: &[TopicPartition]) -> anyhow::Result<()> {
        let pending = self.anything_pending();
        self.forget(partitions);
        if pending {
            self.metrics.transaction("lost");
            self.break_off("partitions were lost");
        }
        self.world.release()?;
        self.go_on()
    }

    fn forget(&mut self, partitions: &[TopicPartition]) {
        for tp in partitions {
            self.parts.remove(&tp.partition);
        }
        if self.parts.is_empty() {
            self.assigned.hold("no partition assigned");
        }
    }

    /// The state in memory stands for nothing any more. A batch spans all partitions: what is left of them is read back.
    pub(super) fn break_off(&mut self, cause: &str) {
        self.pending.clear();
        self.folded = 0;
        for part in self.parts.values_mut() {
            part.touched = false;
        }
        if !self.parts.is_empty() {
            self.broken.get_or_insert_with(|| cause.to_owned());
        }
    }

    /// Drops all state in memory and reads it back as it was last committed.
    pub(super) fn recover(&mut self) -> anyhow::Result<()> {
        let cause = self.broken.clone().unwrap_or_default();
        tracing::warn!(cause, partitions = self.parts.len(), "reading the state back from the changelog");
        if std::mem::take(&mut self.reconnect) {
            self.reconnect(&cause)?;
        }
        let partitions: Vec<TopicPartition> = self.parts.values().map(|part| part.partition.clone()).collect();
        match self.restore(&partitions)? {
            Some(restored) => {
                let positions = self.install_all(restored)?;
                self.world.seek(&positions)?;
                self.broken = None;
            }
            None => self.broken = Some("others are at work on our partitions".to_owned()),
        }
        Ok(())
    }

    fn reconnect(&mut self, cause: &str) -> anyhow::Result<()> {
        let now = self.world.now();
        self.fenced.retain(|at| now.saturating_duration_since(*at) < Duration::from_secs(60));
        if self.world.is_fenced() {
            self.fenced.push(now);
        }
        if self.fenced.len() > FENCED_MAX {
            let hint = "does another process use the same transactional id? Each needs its own";
            bail!(StreamError::fatal("write transactions", format!("{cause}; {hint}")));
        }
        Ok(self.world.reconnect()?)
    }
}
