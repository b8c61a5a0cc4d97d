//! The partitions of other members, for a run that ends with the input.
//!
//! How far they are is asked of the chains, not of the group's committed positions, which are a hint.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use lake::Bucket;
use streams::{Consumer, StreamError, TopicPartition};

use super::Pipeline;
use crate::error::StoreError;
use crate::work::{Outcome, Report, Task};

/// Between two looks at the chains of others.
const ASK_AGAIN: Duration = Duration::from_millis(300);

#[derive(Default)]
pub(super) struct Others {
    /// Where each partition of the input ended when the drain began, whoever has it. Those that turned out to be stored are
    /// taken out.
    ends: Option<BTreeMap<TopicPartition, i64>>,
    /// What is being asked, and since when.
    asking: Vec<Task>,
    unanswered: usize,
    asked: Option<Instant>,
}

impl Others {
    pub(super) fn reported<B>(&mut self, report: &Report<B>) {
        self.unanswered = self.unanswered.saturating_sub(1);
        let Some(ends) = &mut self.ends else { return };
        if let (Ok(Outcome::Reaches(reached)), Some(end)) = (&report.outcome, ends.get(&report.partition))
            && reached >= end
        {
            ends.remove(&report.partition);
        }
    }
}

impl<B: Bucket> Pipeline<B> {
    /// At the first call: the end of every partition of the input.
    pub(super) fn note_ends(&mut self, consumer: &Consumer) -> Result<(), StoreError> {
        if self.others.ends.is_some() {
            return Ok(());
        }
        match self.ends(consumer) {
            Ok(ends) => self.others.ends = Some(ends),
            // Asked again with the next look.
            Err(error) if error.is_retry() => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn ends(&self, consumer: &Consumer) -> Result<BTreeMap<TopicPartition, i64>, StreamError> {
        let mut ends = BTreeMap::new();
        for (topic, _) in self.ctx.config.topics() {
            for partition in 0..self.workers.tools.broker.partitions(topic)? {
                let partition = TopicPartition::new(topic, partition);
                let (_, end) = consumer.watermarks(&partition)?;
                ends.insert(partition, end);
            }
        }
        Ok(ends)
    }

    /// Whether what others have of the input is in the lake, too.
    pub(super) fn others_drained(&mut self) -> bool {
        let Some(ends) = &self.others.ends else { return false };
        let own = |tp: &TopicPartition| self.partitions.iter().any(|partition| partition.tp == *tp);
        let left: Vec<TopicPartition> = ends.keys().filter(|tp| !own(tp)).cloned().collect();
        let due = self.others.asked.is_none_or(|asked| asked.elapsed() >= ASK_AGAIN);
        if !left.is_empty() && self.others.unanswered == 0 && due {
            self.others.unanswered = left.len();
            self.others.asked = Some(Instant::now());
            self.others.asking = left.iter().map(|partition| self.workers.look(partition)).collect();
        }
        left.is_empty()
    }
}
