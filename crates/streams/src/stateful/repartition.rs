//! Carries the state of a stage over to another number of partitions.
//!
//! The partition of a key follows from their number: an input that grows takes keys away from their state. Here the state
//! follows them:
//! 1. nobody works for the group, and nobody may until the end;
//! 2. the changelog and the input grow, if nobody has let them grow before;
//! 3. what lies in the partitions of before is folded into the state of before: records that their producers placed by
//!    the old number;
//! 4. one transaction writes every key to the partition of its owner, deletes it where it was, and sets the mark and the
//!    committed position of every partition.
//!
//! Stopped anywhere it is run again and goes on. Until the transaction is committed all marks tell the old number, and no
//! stage begins with those; from then on all tell the new one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use super::ledger::Counts;
use super::meta::{Expected, Meta, Past};
use super::outbox::{Changelog, META_KEY, Pending};
use super::transaction::{Failure, Transactions};
use super::world::{Committed, Input, Position};
use super::{Settings, Stage, marks, surroundings};
use crate::admin::Admin;
use crate::config::KafkaConfig;
use crate::env::Env;
use crate::native::membership::Membership;
use crate::reader;

/// Longest that the one transaction may take: it holds the whole state.
const TRANSACTION: Duration = Duration::from_secs(300);

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Repartitioned {
    pub from: i32,
    pub to: i32,
    /// Records of the partitions of before that had not been folded yet.
    pub folded: u64,
    /// Keys of the state, and how many of them have moved.
    pub keys: u64,
    pub moved: u64,
}

/// Raises the number of partitions of the stage's input and changelog to `to`, and carries the state over. Done before, it
/// changes nothing. Nothing may write to the input meanwhile: what a producer still places by the old number would be
/// refused by the check before the transaction, or fall behind it.
pub fn repartition<S: Stage>(
    env: &Env,
    kafka: &KafkaConfig,
    settings: &Settings,
    stage: &mut S,
    to: i32,
) -> anyhow::Result<Repartitioned> {
    let admin = Admin::new(env, kafka)?;
    admin.wait_for(&[&settings.input, &settings.changelog])?;
    let count =
        |topic: &str| env.ask("count the partitions", || admin.partitions_within(topic, Duration::from_secs(10)));
    let (input, changelog) = (count(&settings.input)?, count(&settings.changelog)?);
    for (topic, found) in [(&settings.input, input), (&settings.changelog, changelog)] {
        ensure!(
            found <= to,
            "{topic} has {found} partitions already: Kafka takes none away, so ask for {found} or more"
        );
    }
    let from = marks::partitions(env, kafka, settings)?.unwrap_or(input.min(changelog));
    let mut done = Repartitioned { from, to, ..Repartitioned::default() };
    nobody_works(env, &admin, settings)?;
    for (topic, found) in [(&settings.changelog, changelog), (&settings.input, input)] {
        if found < to {
            tracing::info!(topic, from = found, to, "adding partitions");
            admin.grow(topic, to)?;
        }
    }
    if from == to {
        return Ok(done);
    }
    // First, since it ends what an attempt that was killed has left open: the marks behind that could not be read.
    let transactions = Transactions::new(env, kafka, &format!("{}-repartition", settings.group), TRANSACTION)?;
    done.folded = finish_old(env, kafka, settings, stage, from)?;
    let old = Old::read(env, kafka, &admin, settings, stage, from)?;
    old.check_unread(env, kafka, settings, to)?;
    nobody_works(env, &admin, settings)?;
    let topic_id = old.expected.topic_id.clone();
    let new = Expected::new(env.service, settings, stage.layout(), Input { topic_id, partitions: to });
    (done.keys, done.moved) = old.write(&transactions, settings, stage, &new)?;
    Ok(done)
}

fn nobody_works(env: &Env, admin: &Admin, settings: &Settings) -> anyhow::Result<()> {
    let has_members = env.ask("look for members of the group", || admin.has_members(&settings.group))?;
    ensure!(
        !has_members,
        "the group {} has members: stop every process of {} first (one that died is a member until its session \
         ends, less than a minute)",
        settings.group,
        env.service
    );
    Ok(())
}

/// Folds what the producers placed by the old number, with the old number.
fn finish_old<S: Stage>(
    env: &Env,
    kafka: &KafkaConfig,
    settings: &Settings,
    stage: &mut S,
    from: i32,
) -> anyhow::Result<u64> {
    // A rebuild that is still asked for from some other day would throw away what is to be carried over.
    let settings = Settings { only: Some(from), rebuild: false, ..settings.clone() };
    env.drain.set();
    let ledger = super::run(env, kafka, &settings, stage).context("fold what is left in the partitions of before")?;
    Ok(ledger.outcomes().sum())
}

/// The state as it is before.
struct Old {
    expected: Expected,
    /// Key, where it lies, and its value.
    state: BTreeMap<Vec<u8>, (i32, Vec<u8>)>,
    marks: BTreeMap<i32, Meta>,
    /// Where each partition of the input stands.
    next_offsets: Vec<i64>,
}

impl Old {
    fn read<S: Stage>(
        env: &Env,
        kafka: &KafkaConfig,
        admin: &Admin,
        settings: &Settings,
        stage: &S,
        from: i32,
    ) -> anyhow::Result<Old> {
        let only = Settings { only: Some(from), ..settings.clone() };
        let input = surroundings::look_around(env, admin, &only)?;
        let expected = Expected::new(env.service, settings, stage.layout(), input);
        let mut old = Old { expected, state: BTreeMap::new(), marks: BTreeMap::new(), next_offsets: Vec::new() };
        let mut wrong = None;
        // Read again from the start, whatever the order of the partitions: one key lies in one of them.
        reader::read_topic(env, kafka, &settings.changelog, &BTreeMap::new(), |record| {
            if let Err(error) = old.take(record.partition, record.key.unwrap_or_default(), record.value) {
                wrong.get_or_insert(error);
            }
        })?;
        if let Some(error) = wrong {
            return Err(error);
        }
        let committed =
            env.ask("read the committed positions", || admin.committed(&settings.group, &settings.input))?;
        let ends = env.ask("read the ends of the input", || admin.watermarks(&settings.input))?;
        for partition in 0..from {
            let at = usize::try_from(partition)?;
            let agreed = old.expected.agree(partition, old.marks.get(&partition), committed[at]);
            // Of a partition that nothing was ever committed in, all is still to be read.
            old.next_offsets.push(agreed.map_err(anyhow::Error::msg)?.unwrap_or(ends[at].0));
        }
        Ok(old)
    }

    fn take(&mut self, partition: i32, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        if key == META_KEY {
            match value {
                Some(value) => self.marks.insert(partition, serde_json::from_slice(value)?),
                None => self.marks.remove(&partition),
            };
        } else if let Some(value) = value {
            if let Some((other, _)) = self.state.insert(key.to_vec(), (partition, value.to_vec()))
                && other != partition
            {
                let key = String::from_utf8_lossy(key);
                bail!("the key {key} has state in the partitions {other} and {partition}: its records lie in both");
            }
        } else if self.state.get(key).is_some_and(|(at, _)| *at == partition) {
            self.state.remove(key);
        }
        Ok(())
    }

    /// What was not folded must lie where it belongs from now on.
    fn check_unread(&self, env: &Env, kafka: &KafkaConfig, settings: &Settings, to: i32) -> anyhow::Result<()> {
        let from: BTreeMap<i32, i64> = (0..).zip(self.next_offsets.iter().copied()).collect();
        let mut misplaced = BTreeMap::<i32, u64>::new();
        reader::read_topic(env, kafka, &settings.input, &from, |record| {
            let home = record.key.map(|key| market::symbol::partition(key, to));
            if from.contains_key(&record.partition) && home.is_some_and(|home| home != record.partition) {
                *misplaced.entry(record.partition).or_default() += 1;
            }
        })?;
        ensure!(
            misplaced.is_empty(),
            "producers still place records of {} by the old number of partitions ({} since a moment ago, by partition: \
             {misplaced:?}): stop or restart them, then run this again",
            settings.input,
            misplaced.values().sum::<u64>()
        );
        Ok(())
    }

    /// Returns how many keys there are, and how many have moved.
    fn write<S: Stage>(
        mut self,
        transactions: &Transactions,
        settings: &Settings,
        stage: &S,
        new: &Expected,
    ) -> anyhow::Result<(u64, u64)> {
        let past = self.past()?;
        let mut pending = Pending::default();
        let mut moved = 0;
        let keys = self.state.len() as u64;
        for (key, (at, value)) in std::mem::take(&mut self.state) {
            let Some(owner) = stage.owner(&key) else {
                let key = String::from_utf8_lossy(&key);
                bail!("{} holds the key `{key}`, which belongs to no key of {}", settings.changelog, settings.input);
            };
            let was = market::symbol::partition(owner, self.expected.partitions);
            ensure!(
                was == at,
                "the state of `{}` lies in partition {at}, but by its key it belongs to {was}: whoever writes to {} does not place \
                 records by key as Kafka's own producers do, so nobody can tell where they will go",
                String::from_utf8_lossy(owner),
                settings.input
            );
            let home = market::symbol::partition(owner, new.partitions);
            if home != at {
                Changelog::new(&mut pending, &settings.changelog, at).delete(&key);
                Changelog::new(&mut pending, &settings.changelog, home).put(&key, &value);
                moved += 1;
            }
        }
        let mut positions = Vec::new();
        for partition in 0..new.partitions {
            let next = usize::try_from(partition).ok().and_then(|at| self.next_offsets.get(at).copied()).unwrap_or(0);
            let counts = self.marks.get(&partition).map_or_else(Counts::default, |mark| mark.counts);
            let mark = serde_json::to_vec(&new.meta(next, counts, &past))?;
            Changelog::new(&mut pending, &settings.changelog, partition).write(META_KEY, Some(&mark));
            let committed = Committed { offset: next, ended: false };
            positions.push(Position { topic: &settings.input, partition, committed });
        }
        tracing::info!(keys, moved, bytes = pending.bytes(), "writing the state to its new partitions");
        match transactions.commit(&pending, &positions, &Membership::of_nobody(&settings.group)) {
            Ok(()) => Ok((keys, moved)),
            Err(Failure::Fatal(error)) => Err(error.into()),
            Err(Failure::Stale(cause) | Failure::Aborted(cause) | Failure::Unknown(cause)) => {
                bail!("the transaction that moves the state was not committed, run this again: {cause}")
            }
        }
    }

    /// What the offsets of before were, for those who order records by them.
    fn past(&self) -> anyhow::Result<Past> {
        let mut all = self.marks.values().map(|mark| &mark.past);
        let mut past = all.next().cloned().unwrap_or_default();
        ensure!(all.all(|other| *other == past), "the marks of {} tell different pasts", self.expected.changelog);
        past.0.push(self.next_offsets.clone());
        Ok(past)
    }
}
