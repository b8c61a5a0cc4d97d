//! Writes a batch, and says what to do where that fails.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::Engine;
use crate::consumer::TopicPartition;
use crate::error::StreamError;
use crate::stateful::Stage;
use crate::stateful::ledger::Counts;
use crate::stateful::outbox::{Changelog, META_KEY};
use crate::stateful::world::{Failure, Position, World};

impl<S: Stage, W: World> Engine<'_, S, W> {
    /// Writes everything pending. `false`: the group does not let us for now; nothing is lost, the batch is kept.
    pub(super) fn commit(&mut self) -> anyhow::Result<bool> {
        if self.broken.is_some() || !self.anything_pending() {
            return Ok(true);
        }
        let Some(mut membership) = self.usable_membership() else {
            self.hold()?;
            return Ok(false);
        };
        self.snapshot();
        let mut pause = Duration::from_millis(50);
        loop {
            let timer = self.metrics.commit_seconds.start_timer();
            let result = self.world.commit(&self.pending, &self.positions(), &membership);
            timer.observe_duration();
            match result {
                Ok(()) => {
                    self.committed();
                    return Ok(true);
                }
                Err(Failure::Stale(cause)) => {
                    self.metrics.transaction("stale");
                    self.refused = Some(membership);
                    let Some(newer) = self.usable_membership() else {
                        tracing::info!(cause, "the group is rebalancing, the batch waits for its word");
                        self.hold()?;
                        return Ok(false);
                    };
                    membership = newer;
                }
                Err(Failure::Aborted(cause)) => {
                    self.metrics.transaction("aborted");
                    tracing::warn!(cause, "transaction aborted, trying the same batch again");
                    if self.world.wait(pause) && pause > Duration::from_secs(1) {
                        bail!(StreamError::Stopped(format!("committing: {cause}")));
                    }
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                Err(Failure::Unknown(cause)) => {
                    self.metrics.transaction("unknown");
                    self.reconnect = true;
                    self.break_off(&cause);
                    return Ok(true);
                }
                Err(Failure::Fatal(error)) => return Err(error.into()),
            }
        }
    }

    /// Every partition touched, also where the position has not moved: without it nothing would fence a process that
    /// has lost the partition.
    fn positions(&self) -> Vec<Position<'_>> {
        let touched = self.parts.values().filter(|part| part.touched);
        touched
            .map(|part| {
                let TopicPartition { topic, partition } = &part.partition;
                Position { topic, partition: *partition, committed: part.position() }
            })
            .collect()
    }

    fn usable_membership(&mut self) -> Option<Arc<W::Membership>> {
        let membership = self.world.membership()?;
        let refused = self.refused.as_ref().is_some_and(|refused| Arc::ptr_eq(refused, &membership));
        (!refused).then_some(membership)
    }

    /// Stops reading until the group has spoken: what is pending must not grow meanwhile.
    fn hold(&mut self) -> anyhow::Result<()> {
        if !self.held {
            self.world.pause()?;
            self.held = true;
        }
        Ok(())
    }

    pub(super) fn go_on(&mut self) -> anyhow::Result<()> {
        if self.held && self.usable_membership().is_some() {
            self.world.resume()?;
            self.held = false;
        }
        Ok(())
    }

    /// The keys that changed, and the mark of each partition touched.
    fn snapshot(&mut self) {
        for (partition, part) in self.parts.iter_mut().filter(|(_, part)| part.touched) {
            let mut log = Changelog::new(&mut self.pending, &self.settings.changelog, *partition);
            self.stage.snapshot(&mut part.state, &mut log);
            let meta = self.expected.meta(part.next_offset, part.counts.plus(&part.uncommitted), &part.past);
            let meta = serde_json::to_vec(&meta).expect("plain numbers and texts always serialise");
            log.write(META_KEY, Some(&meta));
        }
    }

    fn committed(&mut self) {
        for (partition, part) in self.parts.iter_mut().filter(|(_, part)| part.touched) {
            let sum = self.ledger.consumed.entry(*partition).or_default();
            *sum = sum.plus(&part.uncommitted);
            self.metrics.outcomes(&part.uncommitted);
            part.counts = part.counts.plus(&part.uncommitted);
            part.uncommitted = Counts::default();
            part.committed = Some(part.position());
            part.touched = false;
            self.rebuilt.insert(*partition);
        }
        for (topic, count) in self.pending.emitted().filter(|(topic, _)| *topic != self.settings.changelog) {
            *self.ledger.emitted.entry(topic.to_owned()).or_default() += count;
            self.metrics.emitted(topic, count);
        }
        for entry in &self.pending.entries {
            let (topic, key) = (self.pending.topic(entry), self.pending.key(entry).unwrap_or_default());
            if let Some(partitions) = self.outputs.get(topic) {
                let partition = market::symbol::partition(key, *partitions);
                *self.ledger.emitted_to.entry(topic.to_owned()).or_default().entry(partition).or_default() += 1;
            }
        }
        for reason in &self.pending.reasons {
            *self.ledger.dead_letters.entry((*reason).to_owned()).or_default() += 1;
            self.metrics.dead_letter(reason);
        }
        self.ledger.transactions += 1;
        self.metrics.transaction("committed");
        self.pending.clear();
        self.folded = 0;
    }
}
