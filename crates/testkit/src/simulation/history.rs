//! One history: whose turn it is, what happens, and what is left in the end.

mod plan;
mod verdict;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use corosensei::{Coroutine, CoroutineResult};
use harness::{Drain, FakeClock, Shutdown};
use streams::Env;
use streams::stateful::world::{self, Input};
use streams::stateful::{Ledger, Settings, Stage};

use super::cluster::{Cluster, Event};
use super::group::{Group, Protocol};

use super::process::{Process, TOPIC_ID};
use super::shared::{Shared, Turn};
use super::watched::Watched;
use super::{Ended, Faults, Lie, Simulation};

/// More than any history takes that comes to an end by itself.
const TURNS_MAX: u64 = 100_000;

const SESSION: Duration = Duration::from_millis(1000);
const TRANSACTION: Duration = Duration::from_millis(1500);

/// The wall clock at the start of a history, in nanoseconds.
pub const START_NS: i64 = 1_700_000_000_000_000_000;

type Ending = anyhow::Result<Ledger>;

/// A place for a process; one after the other lives in it.
struct Slot {
    id: String,
    running: Option<Coroutine<(), Duration, Ending>>,
    life: u32,
    wake: Duration,
    paused: Duration,
    shutdown: Shutdown,
    drain: Drain,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Trouble,
    /// No more of it: everybody finishes what is there.
    Settling,
    /// One process alone, for what nobody owned when the others left.
    Last,
}

pub(super) struct History<S> {
    settings: Settings,
    input_partitions: i32,
    stage: Rc<dyn Fn(&Env) -> S>,
    cluster: Rc<RefCell<Cluster>>,
    slots: Vec<Slot>,
    phase: Phase,
    clock: FakeClock,
    start: Instant,
    ledgers: Vec<Ledger>,
}

impl<S: Stage + 'static> History<S> {
    pub fn new(simulation: &Simulation<S>, seed: u64, lie: Option<Lie>, told: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let processes = rng.usize(1..=3);
        let input_partitions = simulation.topics[&simulation.settings.input];
        let protocol = [Protocol::Eager, Protocol::Cooperative, Protocol::Epochs][rng.usize(0..3)];
        let mut group = Group::new(processes, input_partitions, protocol, SESSION);
        group.joins_unheard = lie == Some(Lie::JoinedUnheard);
        let mut cluster = Cluster::new(rng.u64(..), simulation.topics.clone(), group, TRANSACTION);
        cluster.lie = lie;
        cluster.story = told.then(Vec::new);
        let shared_id = processes > 1 && rng.u8(0..10) == 0;
        let slot = |n: usize| Slot {
            id: format!("id-{}", if shared_id && n == 1 { 0 } else { n }),
            running: None,
            life: 0,
            wake: Duration::ZERO,
            paused: Duration::ZERO,
            shutdown: Shutdown::new(),
            drain: Drain::new(),
        };
        let mut settings = simulation.settings.clone();
        settings.commit_records = [1, 3, 10, 50_000][rng.usize(0..4)];
        settings.commit_interval = Duration::from_millis([0, 20, 200][rng.usize(0..3)]);
        let cluster = Rc::new(RefCell::new(cluster));
        let history = History {
            settings,
            input_partitions,
            stage: simulation.stage.clone(),
            cluster,
            slots: (0..processes).map(slot).collect(),
            phase: Phase::Trouble,
            clock: FakeClock::at(START_NS),
            start: Instant::now(),
            ledgers: Vec::new(),
        };
        history.plan(&mut rng, (simulation.feed)(&mut fastrand::Rng::with_seed(seed)), simulation.upstream);
        history
    }

    /// Plays it to the end.
    pub fn play(mut self) -> (Result<Ended, String>, Vec<String>) {
        let result = self.run().and_then(|()| self.ended());
        // A process that still runs dies here, and looks at the cluster no more.
        self.slots.clear();
        let story = self.cluster.borrow_mut().story.take();
        (result, story.unwrap_or_default())
    }

    fn run(&mut self) -> Result<(), String> {
        for turns in 0..TURNS_MAX {
            self.cluster.borrow_mut().stats.turns = turns;
            if let Some(what) = self.cluster.borrow().violation.clone() {
                return Err(what);
            }
            if self.phase != Phase::Trouble && self.slots.iter().all(|slot| slot.running.is_none()) {
                if self.phase == Phase::Last {
                    let mut cluster = self.cluster.borrow_mut();
                    // What the dead have left open ends.
                    cluster.now += TRANSACTION * 2;
                    cluster.time_out_transactions();
                    cluster.deliver_markers();
                    return Ok(());
                }
                self.phase = Phase::Last;
                self.cluster.borrow_mut().deliver_markers();
                self.cluster.borrow_mut().check_drained(&self.settings.input);
                self.cluster.borrow_mut().group.bury();
                self.start(0);
            }
            self.turn()?;
        }
        Err("nothing comes to an end".to_owned())
    }

    fn turn(&mut self) -> Result<(), String> {
        let mut cluster = self.cluster.borrow_mut();
        let now = cluster.now;
        let is_ready = |slot: &Slot| slot.running.is_some() && slot.wake.max(slot.paused) <= now;
        let ready: Vec<usize> = (0..self.slots.len()).filter(|n| is_ready(&self.slots[*n])).collect();
        let due = cluster.next_event().is_some_and(|at| at <= now);
        let choices = ready.len() + usize::from(due);
        if choices == 0 {
            let waking = self.slots.iter().filter(|slot| slot.running.is_some());
            let next = waking.map(|slot| slot.wake.max(slot.paused)).chain(cluster.next_event()).min();
            cluster.now = next.ok_or("nothing is left to happen")?;
            self.clock.set(START_NS + cluster.now.as_nanos() as i64);
            return Ok(());
        }
        let choice = cluster.rng.usize(0..choices);
        let took = Duration::from_micros(cluster.rng.u64(0..500));
        cluster.now += took;
        self.clock.set(START_NS + cluster.now.as_nanos() as i64);
        drop(cluster);
        match ready.get(choice) {
            Some(process) => self.resume(*process),
            None => {
                let event = self.cluster.borrow_mut().take_event();
                event.map_or(Ok(()), |event| self.happen(event))
            }
        }
    }

    fn resume(&mut self, process: usize) -> Result<(), String> {
        let slot = &mut self.slots[process];
        let Some(running) = &mut slot.running else { return Ok(()) };
        match running.resume(()) {
            CoroutineResult::Yield(wake) => slot.wake = wake,
            CoroutineResult::Return(ending) => {
                slot.running = None;
                self.has_ended(process, ending)?;
            }
        }
        Ok(())
    }

    fn has_ended(&mut self, process: usize, ending: Ending) -> Result<(), String> {
        let mut cluster = self.cluster.borrow_mut();
        match ending {
            Ok(ledger) => self.ledgers.push(ledger),
            Err(error) if format!("{error:#}").contains("use the same transactional id") => {
                cluster.say(|| format!("p{process} gives up: {error:#}"));
                cluster.stats.gave_up += 1;
                cluster.group.forget(process);
            }
            Err(error) => return Err(format!("p{process} failed: {error:#}")),
        }
        let pause = cluster.millis(0..1000);
        cluster.after(pause, Event::Start { process });
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), String> {
        let trouble = self.phase == Phase::Trouble;
        let mut cluster = self.cluster.borrow_mut();
        let now = cluster.now;
        match event {
            Event::Marker { .. }
            | Event::Feed { .. }
            | Event::Upstream { .. }
            | Event::Clockwork
            | Event::Heartbeat { .. } => {}
            ref event => cluster.say(|| format!("{event:?}")),
        }
        match event {
            Event::Marker { producer, txn, commit, at } => cluster.marker(&producer, txn, commit, at),
            Event::Feed { partition, key, value, txn } => {
                let timestamp_ms = (START_NS / 1_000_000) + now.as_millis() as i64;
                let log = cluster.log(&self.settings.input, partition);
                log.append(txn, Some(&key), Some(&value), timestamp_ms);
            }
            Event::Upstream { partition, txn, commit } => {
                cluster.log(&self.settings.input, partition).decide(txn, commit);
            }
            Event::Clockwork => {
                cluster.time_out_transactions();
                let Cluster { group, rng, stats, .. } = &mut *cluster;
                stats.generations += u64::from(group.turn(now, rng));
                cluster.after(Duration::from_millis(50), Event::Clockwork);
            }
            Event::Heartbeat { process, life } => {
                let slot = &self.slots[process];
                if slot.life == life && slot.running.is_some() {
                    let delay = slot.paused.saturating_sub(now) + cluster.millis(30..200);
                    if slot.paused <= now {
                        let quiet = cluster.rng.bool();
                        cluster.group.heartbeat(process, now, quiet);
                    }
                    cluster.after(delay, Event::Heartbeat { process, life });
                }
            }
            Event::Start { process } if trouble && self.slots[process].running.is_none() => {
                drop(cluster);
                self.start(process);
            }
            Event::Crash { process } if trouble && self.slots[process].running.is_some() => {
                cluster.stats.crashes += 1;
                let pause = cluster.millis(0..2000);
                cluster.after(pause, Event::Start { process });
                drop(cluster);
                self.slots[process].running = None;
                self.cluster.borrow_mut().group.forget(process);
            }
            Event::Pause { process, length } if trouble => {
                cluster.stats.pauses += 1;
                self.slots[process].paused = now + length;
            }
            Event::Stop { process } if trouble => {
                cluster.stats.stops += 1;
                self.slots[process].shutdown.trigger("simulation");
            }
            Event::ThrowOut { process } if trouble => cluster.group.throw_out(process, now),
            Event::Rebalance if trouble => cluster.group.rebalance(now),
            Event::Compact => {
                let changelog = self.settings.changelog.clone();
                (0..self.input_partitions).for_each(|n| cluster.log(&changelog, n).compact());
            }
            Event::Calm => cluster.faults = Faults::default(),
            Event::Settle => {
                cluster.after(Duration::from_secs(1), Event::Calm);
                self.phase = Phase::Settling;
                drop(cluster);
                self.settle();
            }
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self) {
        for n in 0..self.slots.len() {
            let twin = self.slots[..n].iter().any(|other| other.id == self.slots[n].id);
            let slot = &mut self.slots[n];
            slot.paused = Duration::ZERO;
            match twin {
                true => slot.shutdown.trigger("simulation"),
                false => slot.drain.set(),
            }
        }
    }

    fn start(&mut self, process_number: usize) {
        let slot = &mut self.slots[process_number];
        (slot.shutdown, slot.drain, slot.life) = (Shutdown::new(), Drain::new(), slot.life + 1);
        slot.paused = Duration::ZERO;
        if self.phase != Phase::Trouble {
            slot.drain.set();
        }
        let mut env = Env::standalone("simulation", &slot.shutdown);
        env.clock = Arc::new(self.clock.clone());
        env.drain = slot.drain.clone();
        let (settings, make, id) = (self.settings.clone(), self.stage.clone(), slot.id.clone());
        let (cluster, start, partitions) = (self.cluster.clone(), self.start, self.input_partitions);
        slot.running = Some(Coroutine::new(move |turn: &Turn, ()| {
            let (outstanding, looks) = Default::default();
            let shutdown = env.shutdown.clone();
            let shared = Shared { cluster, turn, process: process_number, start, outstanding, looks, shutdown };
            let mut stage = Watched { stage: make(&env), shared: shared.clone() };
            world::run(&env, &settings, &mut stage, || {
                let input = Input { topic_id: TOPIC_ID.to_owned(), partitions };
                Ok((Process::connect(shared, &settings, id, env.drain.clone())?, input))
            })
        }));
        let mut cluster = self.cluster.borrow_mut();
        (slot.wake, cluster.stats.starts) = (cluster.now, cluster.stats.starts + 1);
        let beat = Event::Heartbeat { process: process_number, life: slot.life };
        cluster.after(Duration::from_millis(50), beat);
    }
}
