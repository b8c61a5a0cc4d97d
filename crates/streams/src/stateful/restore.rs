//! Takes partitions over: finds where they stand and reads their state back.
//!
//! The order is what makes it exact (a commit reaches the changelog and the group's positions separately):
//! 1. the *stable* committed position, which waits for a transaction that is committing one;
//! 2. the true end of the changelog, open transactions included;
//! 3. wait until everything before that end is decided, then read it all.
//!
//! Read the state first and a transaction of the old owner that commits in between is counted, but its state is missed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, bail};

use super::Stage;
use super::ledger::Counts;
use super::meta::{Expected, Meta, Past};
use super::outbox::META_KEY;
use super::world::{Committed, Replay, World};
use crate::consumer::{Polled, TopicPartition};
use crate::env::Env;
use crate::error::StreamError;

/// A transaction open for longer than this is worth a word.
const PATIENCE: Duration = Duration::from_secs(10);

/// A partition as its last committed transaction left it.
pub(super) struct Restored<P> {
    pub state: P,
    /// `None`: nothing was ever committed here.
    pub committed: Option<Committed>,
    pub counts: Counts,
    pub past: Past,
    /// With [`super::Settings::rebuild`]: keys of the old state, to be deleted.
    pub leftovers: Vec<Vec<u8>>,
}

impl<P> Restored<P> {
    pub(super) fn nothing(state: P) -> Self {
        Restored { state, committed: None, counts: Counts::default(), past: Past::default(), leftovers: Vec::new() }
    }
}

pub(super) struct Restorer<'a> {
    pub env: &'a Env,
    pub expected: &'a Expected,
    /// Partitions whose state is to be thrown away.
    pub rebuild: &'a BTreeSet<i32>,
    pub restored_records: &'a prometheus::IntCounter,
}

/// Why a partition could not be taken over.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The group has something to say first.
    Interrupted,
    /// State and position do not belong together. Seen once it may be an illusion: we may have lost the partition
    /// without knowing it yet, and its new owner commits between one look and the next. Seen twice the same it is a fact.
    Disagreement { text: String, committed: Option<i64>, state: Option<i64> },
}

struct Found<P> {
    state: P,
    meta: Option<Meta>,
    keys: BTreeSet<Vec<u8>>,
    read: u64,
}

/// By partition.
type AllRestored<S> = BTreeMap<i32, Restored<<S as Stage>::Part>>;

impl Restorer<'_> {
    pub(super) fn restore<S: Stage, W: World>(
        &self,
        world: &mut W,
        stage: &mut S,
        partitions: &[TopicPartition],
    ) -> anyhow::Result<Result<AllRestored<S>, Refusal>> {
        let started = world.now();
        let Some(committed) = self.committed(world, partitions)? else { return Ok(Err(Refusal::Interrupted)) };
        let committed: BTreeMap<i32, Option<Committed>> =
            partitions.iter().map(|tp| tp.partition).zip(committed).collect();
        let mut targets = BTreeMap::new();
        for partition in partitions {
            let end = world.true_end(&self.expected.changelog, partition.partition)?;
            targets.insert(partition.partition, end);
        }
        let found = self.read(world, stage, &targets)?;
        let records: u64 = found.values().map(|found| found.read).sum();
        let mut all = BTreeMap::new();
        for (partition, found) in found {
            match self.judge(stage, partition, found, committed[&partition])? {
                Ok(restored) => all.insert(partition, restored),
                Err(refusal) => return Ok(Err(refusal)),
            };
        }
        let took = world.since(started);
        tracing::info!(partitions = all.len(), records, ?took, "state restored");
        Ok(Ok(all))
    }

    /// `None`: a rebalance came in between.
    fn committed<W: World>(
        &self,
        world: &mut W,
        partitions: &[TopicPartition],
    ) -> anyhow::Result<Option<Vec<Option<Committed>>>> {
        loop {
            world.keep_alive();
            if world.has_event() {
                return Ok(None);
            }
            match world.committed(partitions, Duration::from_secs(1)) {
                Ok(committed) => return Ok(Some(committed)),
                Err(error) if error.is_retry() => tracing::debug!(%error, "asking for the positions again"),
                Err(error) => return Err(error).context("read the committed positions"),
            }
            if self.env.shutdown.is_set() {
                bail!(StreamError::Stopped("reading the committed positions".to_owned()));
            }
        }
    }

    fn judge<S: Stage>(
        &self,
        stage: &mut S,
        partition: i32,
        found: Found<S::Part>,
        committed: Option<Committed>,
    ) -> anyhow::Result<Result<Restored<S::Part>, Refusal>> {
        if self.rebuild.contains(&partition) {
            if found.meta.is_some_and(|meta| !meta.past.is_empty()) {
                bail!(
                    "{} had fewer partitions before: records of one key lie in two of them, and a rebuild would fold them in two \
                     places. Write them to a new topic, and fold that one",
                    self.expected.input
                );
            }
            tracing::warn!(partition, keys = found.keys.len(), "throwing the state away, folding again from the start");
            let leftovers = found.keys.into_iter().collect();
            let state = stage.new_part(partition);
            return Ok(Ok(Restored { leftovers, ..Restored::nothing(state) }));
        }
        let offset = committed.map(|committed| committed.offset);
        if let Err(text) = self.expected.agree(partition, found.meta.as_ref(), offset) {
            let state = found.meta.map(|meta| meta.next_offset);
            return Ok(Err(Refusal::Disagreement { text, committed: offset, state }));
        }
        let mut state = found.state;
        let (counts, past) = found.meta.map(|meta| (meta.counts, meta.past)).unwrap_or_default();
        stage.restored(&mut state, &past).with_context(|| format!("restore partition {partition}"))?;
        Ok(Ok(Restored { state, committed, counts, past, leftovers: Vec::new() }))
    }

    fn read<S: Stage, W: World>(
        &self,
        world: &mut W,
        stage: &mut S,
        targets: &BTreeMap<i32, i64>,
    ) -> anyhow::Result<BTreeMap<i32, Found<S::Part>>> {
        let new = |state| Found { state, meta: None, keys: BTreeSet::default(), read: 0 };
        let mut found: BTreeMap<i32, Found<S::Part>> =
            targets.keys().map(|partition| (*partition, new(stage.new_part(*partition)))).collect();
        let mut reader = world.reader(&format!("{}-restore", self.expected.group))?;
        let mut open = BTreeMap::new();
        let mut positions = Vec::new();
        // Offsets, of which compaction has removed some: never fewer than there are records.
        let mut all = 0;
        for (partition, target) in targets {
            let changelog = TopicPartition::new(self.expected.changelog.as_str(), *partition);
            let low = self.wait_until_decided(world, &reader, &changelog, *target)?;
            if low < *target {
                open.insert(*partition, *target);
                all += *target - low;
                positions.push((changelog, low));
            }
        }
        if !positions.is_empty() {
            reader.assign(&positions)?;
        }
        let mut said = world.now();
        while !open.is_empty() {
            world.keep_alive();
            if world.since(said) > Duration::from_secs(2) {
                said = world.now();
                let read: u64 = found.values().map(|found| found.read).sum();
                tracing::info!(read, of_at_most = all, partitions = open.len(), "restoring state");
            }
            self.read_some(&mut reader, stage, &mut found, &mut open)?;
        }
        Ok(found)
    }

    /// Takes up to a few thousand records, so that the group hears of us in between.
    fn read_some<S: Stage>(
        &self,
        reader: &mut impl Replay,
        stage: &mut S,
        found: &mut BTreeMap<i32, Found<S::Part>>,
        open: &mut BTreeMap<i32, i64>,
    ) -> anyhow::Result<()> {
        for _ in 0..4096 {
            let Polled::Record(record) = reader.poll(Duration::from_millis(100))? else { break };
            let (Some(part), Some(key)) = (found.get_mut(&record.partition), record.key) else { continue };
            part.read += 1;
            self.restored_records.inc();
            self.apply(stage, part, record.partition, key, record.value)
                .with_context(|| format!("restore from {record:?}"))?;
        }
        if self.env.shutdown.is_set() {
            bail!(StreamError::Stopped("restoring state".to_owned()));
        }
        let changelog = |partition: i32| TopicPartition::new(self.expected.changelog.as_str(), partition);
        open.retain(|n, target| reader.position(&changelog(*n)).is_some_and(|position| position < *target));
        Ok(())
    }

    fn apply<S: Stage>(
        &self,
        stage: &mut S,
        part: &mut Found<S::Part>,
        partition: i32,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        if key == META_KEY {
            part.meta = match value {
                // Of a form that cannot be read it is of no use, and may be thrown away.
                Some(value) if self.rebuild.contains(&partition) => serde_json::from_slice(value).ok(),
                Some(value) => {
                    Some(serde_json::from_slice(value).with_context(|| format!("the mark of partition {partition}"))?)
                }
                None => None,
            };
            return Ok(());
        }
        if self.rebuild.contains(&partition) {
            match value {
                Some(_) => part.keys.insert(key.to_vec()),
                None => part.keys.remove(key),
            };
            return Ok(());
        }
        stage.restore(&mut part.state, key, value)
    }

    /// Waits until no transaction is open before `target`. Returns the first offset there is.
    fn wait_until_decided<W: World>(
        &self,
        world: &mut W,
        reader: &W::Reader,
        changelog: &TopicPartition,
        target: i64,
    ) -> anyhow::Result<i64> {
        let started = world.now();
        let mut said = false;
        loop {
            let (low, decided) = reader.watermarks(changelog)?;
            if decided >= target {
                return Ok(low);
            }
            if !said && world.since(started) > PATIENCE {
                said = true;
                tracing::warn!(%changelog, decided, end = target, "a transaction has been open for long, waiting for it to end");
            }
            world.keep_alive();
            if world.wait(Duration::from_millis(20)) {
                bail!(StreamError::Stopped(format!("waiting for a transaction on {changelog} to end")));
            }
        }
    }
}
