//! The loop of a transactional stage.
//!
//! Records are folded in memory and what they cause is kept in [`Pending`]; [`Engine::commit`] then writes all of it in
//! one transaction. Between two commits no transaction is open, so a rebalance needs no abort: on a revocation the
//! batch is committed under the membership of that moment, on a loss it is dropped. A transaction that was surely
//! aborted is tried again with the same batch, since the state in memory already stands for it; only where the outcome
//! is unknown everything is dropped and read back from the changelog.
//!
//! **Invariant:** the state in memory is the committed state plus exactly what is pending.

mod commit;
mod ownership;
mod pace;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::Latch;

use pace::Pace;

use super::ledger::{Counts, Ledger};
use super::meta::{Expected, Past};
use super::observe::Metrics;
use super::outbox::{Outbox, Pending};
use super::world::{Committed, Input, World};
use super::{Settings, Stage, Tick, surroundings};
use crate::consumer::{Polled, TopicPartition};
use crate::env::Env;
use crate::error::StreamError;

/// Bytes kept for one transaction before it is committed, however few records they come from.
const PENDING_MAX: usize = 8 << 20;

/// Records folded before the clock is looked at: a look costs as much as folding a record does.
const LOOK_EVERY: usize = 64;

/// How long the group is listened to before the state is read back once more.
const BROKEN_TURN: Duration = Duration::from_millis(200);

/// How often the end of a drained partition is asked for.
const ASK_IDLE: Duration = Duration::from_millis(500);

pub(super) struct Engine<'a, S: Stage, W: World> {
    env: &'a Env,
    settings: &'a Settings,
    stage: &'a mut S,
    world: W,
    expected: Expected,
    parts: BTreeMap<i32, Part<S::Part>>,
    pending: Pending,
    /// Records folded since the last commit, and when the first of them was.
    folded: usize,
    since: Instant,
    pace: Pace,
    ticked: Instant,
    idle_asked: Instant,
    /// The membership that the group has refused; nothing is committed until there is another.
    refused: Option<Arc<W::Membership>>,
    /// Reading is paused until the group has spoken again.
    held: bool,
    /// Why the state in memory may not be used any more, until all of it was read back: a stop in the middle of that
    /// must not commit it.
    broken: Option<String>,
    /// The producer is of no use any more, either.
    reconnect: bool,
    /// Partitions whose state was thrown away as asked; once is enough.
    rebuilt: BTreeSet<i32>,
    /// Partitions of each topic that is emitted to.
    outputs: BTreeMap<String, i32>,
    /// Ends to drain to, once the drain is set.
    ends: BTreeMap<i32, i64>,
    assigned: Latch,
    fenced: Vec<Instant>,
    ledger: Ledger,
    metrics: Metrics,
}

struct Part<P> {
    state: P,
    partition: TopicPartition,
    next_offset: i64,
    committed: Option<Committed>,
    /// The run stops at its end, and all was said up to `next_offset`.
    ended: bool,
    /// Since the state began, up to the last commit; and since then.
    counts: Counts,
    uncommitted: Counts,
    past: Past,
    touched: bool,
    /// The end of what is decided that was reached, while nothing came after it.
    reached: Option<i64>,
    /// Since when records behind that end are known that are not decided.
    undecided: Option<Instant>,
}

impl<P> Part<P> {
    /// Whether `end`, the true end of the partition where it is known, is what was reached: then nothing came since and no
    /// transaction is open that could still put something before it.
    fn is_caught_up(&mut self, end: Option<i64>, now: Instant) -> bool {
        let (Some(reached), Some(end)) = (self.reached, end) else {
            // What is not known changes nothing, but that something came does.
            self.undecided = self.undecided.filter(|_| self.reached.is_some());
            return false;
        };
        self.undecided = (end > reached).then(|| self.undecided.unwrap_or(now));
        end == reached
    }

    /// Reading has gone past markers of transactions since the last commit.
    fn moved(&self) -> bool {
        self.committed.is_some_and(|committed| committed.offset < self.next_offset)
    }

    fn position(&self) -> Committed {
        Committed { offset: self.next_offset, ended: self.ended }
    }

    /// All has been said up to here, which others who stop at the end wait for: who dies before is followed by somebody who says it.
    fn end(&mut self) {
        self.ended = true;
        let nothing = self.committed.is_none() && self.next_offset == 0;
        self.touched |= !nothing && self.committed != Some(self.position());
    }
}

enum Turn {
    Folded,
    Nothing,
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
    Lost(Vec<TopicPartition>),
}

impl<'a, S: Stage, W: World> Engine<'a, S, W> {
    pub(super) fn new(
        env: &'a Env,
        settings: &'a Settings,
        stage: &'a mut S,
        connect: impl FnOnce() -> anyhow::Result<(W, Input)>,
    ) -> anyhow::Result<Self> {
        let assigned = env.health.latch("assigned");
        let metrics = Metrics::new(env, settings);
        let (world, input) = connect()?;
        let there = world.topics()?;
        let outputs = settings.outputs.iter().chain([&settings.dead_letters]);
        let outputs =
            outputs.filter_map(|topic| there.get(topic).map(|partitions| (topic.clone(), *partitions))).collect();
        let now = world.now();
        Ok(Engine {
            env,
            settings,
            expected: Expected::new(env.service, settings, stage.layout(), input),
            stage,
            world,
            parts: BTreeMap::new(),
            pending: Pending::default(),
            folded: 0,
            since: now,
            pace: Pace::new(settings.commit_interval),
            ticked: now,
            idle_asked: now,
            refused: None,
            held: false,
            broken: None,
            reconnect: false,
            rebuilt: BTreeSet::new(),
            outputs,
            ends: BTreeMap::new(),
            assigned,
            fenced: Vec::new(),
            ledger: Ledger::default(),
            metrics,
        })
    }

    pub(super) fn run(mut self) -> anyhow::Result<Ledger> {
        match self.work() {
            // A stop that came in the middle of a wait.
            Err(error) if error.downcast_ref::<StreamError>().is_some_and(StreamError::is_stopped) => {
                tracing::info!("{error:#}");
            }
            done => done?,
        }
        self.finish()
    }

    fn work(&mut self) -> anyhow::Result<()> {
        while !self.env.shutdown.is_set() {
            self.env.beat();
            if self.broken.is_some() {
                self.recover()?;
            }
            if self.drained()? {
                if self.settings.only.is_none() {
                    self.tick(true)?;
                }
                self.parts.values_mut().for_each(Part::end);
                if self.commit()? && self.broken.is_none() && self.others_drained()? {
                    return Ok(());
                }
            }
            self.turn()?;
        }
        Ok(())
    }

    /// The last commit, and leaving.
    fn finish(mut self) -> anyhow::Result<Ledger> {
        if self.broken.is_none() {
            for part in self.parts.values_mut() {
                part.touched |= part.moved();
            }
            if !self.commit()? {
                let records = self.folded;
                tracing::warn!(records, "left without a last commit, the next owner folds these records again");
            }
        }
        self.world.close()?;
        Ok(self.ledger)
    }

    /// Folds what is there, up to a batch, and commits it when there is no more, or enough.
    fn turn(&mut self) -> anyhow::Result<()> {
        let waiting = match (self.held, self.anything_pending()) {
            (true, _) => Duration::from_millis(20),
            (false, true) => Duration::ZERO,
            (false, false) => self.settings.tick_interval.saturating_sub(self.world.since(self.ticked)),
        };
        let turn = self.step(waiting)?;
        self.pace.ended(matches!(turn, Turn::Folded));
        match turn {
            Turn::Folded | Turn::Nothing => {
                // What the clock says about these records goes into their transaction.
                if self.world.since(self.ticked) >= self.settings.tick_interval && self.broken.is_none() {
                    self.tick(false)?;
                }
                self.commit()?;
                self.go_on()?;
            }
            Turn::Assigned(partitions) => self.take_over(&partitions)?,
            Turn::Revoked(partitions) => self.give_back(&partitions)?,
            Turn::Lost(partitions) => self.lose(&partitions)?,
        }
        Ok(())
    }

    fn step(&mut self, mut waiting: Duration) -> anyhow::Result<Turn> {
        let started = self.world.now();
        // While held the group must be heard, however much is pending.
        while self.held || !self.full() {
            match self.world.poll(waiting)? {
                // They are read again once the state is back.
                Polled::Record(_) if self.broken.is_some() => {
                    if self.world.since(started) > BROKEN_TURN {
                        return Ok(Turn::Nothing);
                    }
                    continue;
                }
                Polled::Record(record) => {
                    let Some(part) = self.parts.get_mut(&record.partition) else { continue };
                    let mut out = Outbox::new(&mut self.pending, self.env.service, &self.settings.dead_letters);
                    let outcome = self.stage.record(&mut part.state, &record, &mut out);
                    part.uncommitted.add(outcome);
                    part.next_offset = record.offset + 1;
                    part.touched = true;
                    part.ended = false;
                    part.reached = None;
                    if self.folded == 0 {
                        self.since = self.world.now();
                    }
                    self.folded += 1;
                }
                Polled::CaughtUp(..) if self.broken.is_some() => {}
                Polled::CaughtUp(partition, offset) => {
                    if let Some(part) = self.parts.get_mut(&partition.partition) {
                        part.reached = Some(offset);
                        // Markers of transactions lie between the last record and the end.
                        part.next_offset = part.next_offset.max(offset);
                    }
                }
                Polled::Assigned(partitions) => return Ok(Turn::Assigned(partitions)),
                Polled::Revoked(partitions) => return Ok(Turn::Revoked(partitions)),
                Polled::Lost(partitions) => return Ok(Turn::Lost(partitions)),
                Polled::Idle => return Ok(Turn::Nothing),
            }
            waiting = Duration::ZERO;
        }
        Ok(Turn::Folded)
    }

    fn full(&self) -> bool {
        self.folded >= self.settings.commit_records
            || self.pending.bytes() >= PENDING_MAX
            || (self.folded % LOOK_EVERY == LOOK_EVERY - 1 && self.world.since(self.since) >= self.pace.limit())
    }

    fn anything_pending(&self) -> bool {
        self.parts.values().any(|part| part.touched)
    }

    /// Gives the stage the time.
    fn tick(&mut self, ending: bool) -> anyhow::Result<()> {
        self.ticked = self.world.now();
        let ask = ending || self.world.since(self.idle_asked) >= ASK_IDLE;
        if ask {
            self.idle_asked = self.ticked;
            self.check_input()?;
        }
        for (partition, part) in &mut self.parts {
            let end = match part.reached {
                Some(_) if ask && self.settings.only.is_none() => {
                    self.world.true_end_within(&self.settings.input, *partition, ASK_IDLE).ok()
                }
                _ => None,
            };
            let caught_up = part.is_caught_up(end, self.ticked);
            part.touched |= caught_up && part.moved();
            let tick = Tick { now_ns: self.env.clock.now_ns(), caught_up, ending };
            let mut out = Outbox::new(&mut self.pending, self.env.service, &self.settings.dead_letters);
            self.stage.tick(&mut part.state, tick, &mut out);
            part.touched |= out.touched;
        }
        let undecided = self.parts.values().filter_map(|part| part.undecided).min();
        self.metrics.undecided.set(undecided.map_or(0.0, |since| (self.ticked - since).as_secs_f64()));
        Ok(())
    }

    /// Nothing may be closed by the clock while records lie where they are not read: in partitions that are new, before
    /// the group has heard of them, or in a topic that was made again, of which the client itself may not hear.
    fn check_input(&self) -> anyhow::Result<()> {
        if self.settings.only.is_some() || self.parts.values().all(|part| part.reached.is_none()) {
            return Ok(());
        }
        match self.world.input_within(&self.settings.input, ASK_IDLE) {
            Ok(Some(found)) => surroundings::check_input(self.env.service, self.settings, &found, &self.expected),
            // Asked again before long.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Whether everything that was there when the drain was set has been folded, as far as it is ours.
    fn drained(&mut self) -> anyhow::Result<bool> {
        if !self.env.drain.is_set() || !self.world.is_settled() || self.broken.is_some() {
            return Ok(false);
        }
        if self.ends.is_empty() {
            for partition in 0..self.expected.partitions {
                self.ends.insert(partition, self.world.true_end(&self.settings.input, partition)?);
            }
        }
        Ok(self.parts.iter().all(|(partition, part)| part.next_offset >= self.ends[partition]))
    }

    /// Whether others have done so with what is theirs, and said all there is to say. A member that has nothing yet must not leave,
    /// nor one that has just given up a part, or that will inherit one from a process that died: nobody would own what is left.
    fn others_drained(&self) -> anyhow::Result<bool> {
        let others = (0..self.expected.partitions).filter(|partition| !self.parts.contains_key(partition));
        let others: Vec<TopicPartition> =
            others.map(|partition| TopicPartition::new(self.settings.input.as_str(), partition)).collect();
        if others.is_empty() {
            return Ok(true);
        }
        let committed = match self.world.committed(&others, ASK_IDLE) {
            Ok(committed) => committed,
            Err(error) if error.is_retry() => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for (partition, committed) in others.iter().zip(committed) {
            let end = self.ends[&partition.partition];
            let is_done = match committed {
                Some(Committed { offset, ended }) => ended && offset >= end,
                None => self.world.start_of(partition)? >= end,
            };
            if !is_done {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
