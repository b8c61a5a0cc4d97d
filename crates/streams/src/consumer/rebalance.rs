//! What the group says, and the loop's answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{BATCH, Consumer, ConsumerOptions, Polled, Start, TopicPartition, names, native, with_offsets};
use crate::config::{GroupProtocol, KafkaConfig, bad_settings};
use crate::error::{Result, StreamError};
use crate::logs::Logs;
use crate::native::group::{Event, EventKind, Group, list};
use crate::native::membership::Membership;

/// How long a member with nothing waits for more: names of topics have to be asked for before it hears of its partitions.
const SPARE_AFTER: Duration = Duration::from_secs(2);

impl Consumer {
    pub(super) fn announce(&mut self, mut event: Event) -> Polled<'static> {
        let membership = event.membership.take().map(Arc::new);
        // A rebalance may have been under way when the group threw us out. librdkafka then goes on with it, rejoins as
        // a new member and claims what we still hold, though others have owned it meanwhile.
        let same = self.membership.as_ref().map(|m| &m.member) == membership.as_ref().map(|m| &m.member);
        self.thrown_out = !self.owned.is_empty() && event.kind != EventKind::Lost && !(same && membership.is_some());
        self.membership = if self.thrown_out { None } else { membership };
        let kind = if self.thrown_out { EventKind::Lost } else { event.kind };
        let partitions: Vec<TopicPartition> = match self.thrown_out {
            true => self.assigned().cloned().collect(),
            false => event.partitions.iter().map(|(t, p)| TopicPartition::new(t.as_str(), *p)).collect(),
        };
        self.unanswered = Some(event);
        self.metrics.rebalance(kind);
        let generation = self.membership.as_ref().map(|membership| membership.generation);
        let group = &self.options.group;
        tracing::info!(%group, event = ?kind, partitions = %names(&partitions), generation, "group rebalances");
        match kind {
            EventKind::Assign => Polled::Assigned(partitions),
            EventKind::Revoke => Polled::Revoked(partitions),
            EventKind::Lost => Polled::Lost(partitions),
        }
    }

    /// Answers [`Polled::Assigned`]: reading begins at the committed positions, and where there is none, at the start
    /// that the options name.
    pub fn assign(&mut self) -> Result<()> {
        self.assign_at(&[])
    }

    /// As [`Consumer::assign`], but beginning at these offsets where given.
    pub fn assign_at(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        let partitions = self.answering(EventKind::Assign)?;
        let unknown: Vec<TopicPartition> =
            partitions.iter().filter(|tp| !positions.iter().any(|(given, _)| given == *tp)).cloned().collect();
        let mut all = self.positions(&unknown)?;
        all.extend(positions.iter().filter(|(tp, _)| partitions.contains(tp)).cloned());
        if self.unanswered.as_ref().is_some_and(|event| event.awaited) {
            self.group.assign(&with_offsets(&all)).map_err(|error| native("take the partitions assigned", error))?;
        }
        self.unanswered = None;
        self.settled = true;
        self.spare_since = None;
        let now_ms = self.env.now_ms();
        for (partition, position) in all {
            self.metrics.open(&partition);
            self.owned.add(partition, position, now_ms);
        }
        self.metrics.assigned.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
        Ok(())
    }

    /// Answers [`Polled::Revoked`] and [`Polled::Lost`].
    pub fn release(&mut self) -> Result<()> {
        self.settled = false;
        if self.thrown_out {
            self.disown(|_| true);
            return self.join_anew();
        }
        let partitions = match &self.unanswered {
            Some(event) if event.kind != EventKind::Assign => event.partitions.clone(),
            _ => return Err(StreamError::fatal("release partitions", "none were revoked")),
        };
        self.disown(|owned| partitions.iter().any(|(t, p)| **t == *owned.topic && *p == owned.partition));
        let list = list(&partitions);
        // A pause outlives the assignment in librdkafka: who gets the partition back would never read it again.
        self.group.resume(&list).map_err(|error| native("resume before giving back", error))?;
        self.group.unassign(&list).map_err(|error| native("give back partitions", error))?;
        self.unanswered = None;
        // Otherwise the group has a word for everybody when all have given back theirs.
        self.settled = self.counts_epochs() && !self.owned.is_empty();
        Ok(())
    }

    fn disown(&mut self, gone: impl Fn(&TopicPartition) -> bool) {
        for partition in self.owned.remove(gone) {
            self.metrics.close(&partition);
        }
        self.metrics.assigned.set(i64::try_from(self.owned.len()).unwrap_or(i64::MAX));
    }

    /// Leaves and joins as a new member that owns and claims nothing.
    fn join_anew(&mut self) -> Result<()> {
        if let Some(event) = self.unanswered.take() {
            self.group.give_back(event);
        }
        self.batch.clear();
        self.group = join(&self.kafka, &self.options, &self.logs)?;
        self.thrown_out = false;
        Ok(())
    }

    fn answering(&self, kind: EventKind) -> Result<Vec<TopicPartition>> {
        match &self.unanswered {
            Some(event) if event.kind == kind => {
                Ok(event.partitions.iter().map(|(t, p)| TopicPartition::new(t.as_str(), *p)).collect())
            }
            _ => Err(StreamError::fatal("take partitions", "none were assigned")),
        }
    }

    /// Tells the group that the loop is alive, during work that takes long before an answer.
    pub fn keep_alive(&mut self) {
        self.env.beat();
        if self.batch.is_drained() {
            self.group.fill(&mut self.batch, BATCH, 0);
        }
    }

    /// Whether the next `poll` will tell of a rebalance.
    pub(crate) fn has_event(&self) -> bool {
        self.group.has_event()
    }

    /// Who we are in the group as of its last word. `None`: no member, commit nothing.
    ///
    /// Under KIP-848 everybody's epoch moves without a word whenever somebody comes or goes, and only the newest is taken. There a
    /// partition is ours until we give it back ourselves, or are thrown out and have answered that.
    pub(crate) fn membership(&mut self) -> Option<Arc<Membership>> {
        let newer = |ours: &Arc<Membership>| {
            let now = self.group.membership()?;
            (now.member == ours.member && now.generation > ours.generation).then(|| Arc::new(now))
        };
        if self.counts_epochs()
            && let Some(newer) = self.membership.as_ref().and_then(newer)
        {
            self.membership = Some(newer);
        }
        self.membership.clone()
    }

    /// KIP-848: members have epochs of their own, and hear of nothing but partitions.
    fn counts_epochs(&self) -> bool {
        self.kafka.group_protocol == GroupProtocol::Consumer
    }

    /// Under KIP-848 the group says nothing to a member for which it has nothing. That it is one for a while is word enough; what it
    /// is given after all comes as ever.
    pub(super) fn word_for_a_spare(&mut self) -> Option<Event> {
        if self.settled || !self.owned.is_empty() || !self.counts_epochs() {
            return None;
        }
        let Some(membership) = self.group.membership() else {
            self.spare_since = None;
            return None;
        };
        let since = *self.spare_since.get_or_insert_with(Instant::now);
        let word =
            || Event { kind: EventKind::Assign, partitions: Vec::new(), membership: Some(membership), awaited: false };
        (since.elapsed() >= SPARE_AFTER).then(word)
    }

    /// The committed positions of these, or the start by the options.
    fn positions(&self, partitions: &[TopicPartition]) -> Result<Vec<(TopicPartition, i64)>> {
        let committed = self.committed(partitions)?;
        let mut all = Vec::with_capacity(partitions.len());
        for (partition, committed) in partitions.iter().zip(committed) {
            let position = match committed {
                Some(offset) if self.options.skip_expired => self.skip_expired(partition, offset)?,
                Some(offset) => offset,
                None => self.start_of(partition)?,
            };
            all.push((partition.clone(), position));
        }
        Ok(all)
    }

    /// Where to begin when nothing is committed.
    pub(crate) fn start_of(&self, partition: &TopicPartition) -> Result<i64> {
        let (low, high) = self.watermarks(partition)?;
        Ok(match self.options.start {
            Start::Earliest => low,
            Start::Latest => high,
        })
    }

    /// Past records that the retention took before they were read; they are counted, never passed over in silence.
    fn skip_expired(&self, partition: &TopicPartition, committed: i64) -> Result<i64> {
        let (low, _) = self.watermarks(partition)?;
        if committed >= low {
            return Ok(committed);
        }
        let records = low - committed;
        tracing::warn!(%partition, records, from = committed, to = low, "records expired before they were read");
        self.metrics.expired.inc_by(u64::try_from(records).unwrap_or(0));
        Ok(low)
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        for cursor in self.owned.iter() {
            self.metrics.close(&cursor.partition);
        }
        if let Some(event) = self.unanswered.take() {
            // Closing waits for an answer to every event: the group answers those that are left to it.
            self.group.give_back(event);
        }
    }
}

pub(super) fn join(kafka: &KafkaConfig, options: &ConsumerOptions, logs: &Logs) -> Result<Group> {
    let config = kafka.group("consumer", &options.group);
    let group = Group::new(kafka, &config, logs.clone()).map_err(|error| bad_settings("consumer", error))?;
    group.subscribe(&options.topics).map_err(|error| native("subscribe", error))?;
    Ok(group)
}
