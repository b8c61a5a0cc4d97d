//! The thread that keeps the leases of a process: reads the log, says what its scopes have to say, and tells who reads the feeds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::{Clock, Context};
use streams::{Env, KafkaConfig, Outgoing, Polled, Producer, Reader, StreamError, header};
use tokio::sync::mpsc::UnboundedSender;

use super::{Do, Said, Scope, Terms, process};
use crate::config::Config;
use crate::start::{gapless, until_answered};

/// Before the scope and the member in the keys of the leases topic.
const KEY_PREFIX: &str = "lease/";
const TURN: Duration = Duration::from_millis(20);
/// How long the last words of a process may take.
const FAREWELL: Duration = Duration::from_secs(3);
/// How often processes of this machine are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A feed that several processes may share.
pub struct Shared {
    /// Names it among all in the topic.
    pub scope: String,
    pub feed: String,
    pub terms: Terms,
    /// The number of its first share among all shares of the process.
    pub first: usize,
}

/// What the feeds are told. Shares by their number among all of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is ours, under this number of the gate.
    Won(usize, u64),
    Lost(usize),
    Leave(usize),
    /// Nothing of this feed (by its number) is ours: others have it.
    StandsBy(usize),
}

pub enum Order {
    /// All of the share that was won under this number is in Kafka.
    Released(usize, u64),
    /// Nothing is read any more: release what is left and end.
    Retire,
}

/// What may be written now. Asked by the thread that writes, for each record.
pub struct Gate {
    began: Instant,
    /// In ns since then.
    until: AtomicU64,
    /// Per share: odd while it is held; never the same again.
    turns: Vec<AtomicU64>,
}

impl Gate {
    pub fn new(shares: usize) -> Gate {
        Gate {
            began: Instant::now(),
            until: AtomicU64::new(0),
            turns: std::iter::repeat_with(AtomicU64::default).take(shares).collect(),
        }
    }

    /// The share has been ours all the time since it was won under this number.
    pub fn is_ours(&self, share: usize, turn: u64) -> bool {
        self.turns[share].load(Ordering::Acquire) == turn
    }

    /// What is ours is so for certain. Else it is not yet known.
    pub fn is_open(&self) -> bool {
        self.now() < self.until.load(Ordering::Acquire)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn turn(&self, share: usize) -> u64 {
        self.turns[share].fetch_add(1, Ordering::AcqRel) + 1
    }
}

pub struct Keeper {
    env: Env,
    kafka: KafkaConfig,
    topic: String,
    me: String,
    clock: Arc<dyn Clock>,
    shared: Vec<Shared>,
    scopes: Vec<Scope>,
    gate: Arc<Gate>,
    told: UnboundedSender<Told>,
    /// Per feed: it was said that others have it.
    stands_by: Vec<bool>,
    looked: Instant,
}

impl Keeper {
    pub fn new(ctx: &Context<Config>, shared: Vec<Shared>, gate: Arc<Gate>, told: UnboundedSender<Told>) -> Keeper {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let me =
            format!("{}-{:06x}", if host.trim().is_empty() { "ingest" } else { host.trim() }, fastrand::u32(..1 << 24));
        let own = process::own();
        Keeper {
            env: Env::of(ctx).with_heartbeat(ctx.heartbeat("leases")),
            kafka: ctx.config.kafka.clone(),
            topic: ctx.config.leases.clone(),
            clock: ctx.clock.clone(),
            scopes: shared.iter().map(|feed| Scope::new(me.clone(), own.clone(), feed.terms)).collect(),
            stands_by: vec![false; shared.len()],
            me,
            shared,
            gate,
            told,
            looked: Instant::now(),
        }
    }

    /// Until it is told to retire.
    pub fn run(mut self, orders: &mpsc::Receiver<Order>) -> anyhow::Result<()> {
        match self.turns(orders) {
            Ok(()) | Err(StreamError::Stopped(_)) => Ok(()),
            Err(error) => Err(error).context("keep the leases of the live feeds"),
        }
    }

    fn turns(&mut self, orders: &mpsc::Receiver<Order>) -> streams::Result<()> {
        // The topic is there: whoever started this has waited for it.
        let mut reader = Reader::new(&self.env, &self.kafka, "finflow-ingest-leases")?;
        let start = until_answered(&self.env, || {
            let partitions = reader.partitions(&self.topic)?;
            partitions.into_iter().map(|partition| Ok((partition.clone(), reader.watermarks(&partition)?.0))).collect()
        });
        let start: Vec<_> = start?;
        reader.assign(&start)?;
        let producer = Producer::new(&self.env, &gapless(&self.kafka))?;
        let mut retiring: Option<Instant> = None;
        loop {
            self.env.beat();
            // All that is there, and only then what follows from it.
            let mut wait = TURN;
            while let Polled::Record(record) = reader.poll(wait)? {
                wait = Duration::ZERO;
                let Some(key) = record.key.and_then(|key| std::str::from_utf8(key).ok()) else { continue };
                let Some((scope, member)) = key.strip_prefix(KEY_PREFIX).and_then(|rest| rest.rsplit_once('/')) else {
                    continue;
                };
                let said = match record.value.map(serde_json::from_slice::<Said>) {
                    Some(Err(error)) => {
                        tracing::warn!(key, %error, "a lease cannot be read, it counts for nothing");
                        continue;
                    }
                    said => said.and_then(Result::ok),
                };
                self.hear(scope, member, said);
            }
            while let Ok(order) = orders.try_recv() {
                match order {
                    Order::Released(share, turn) => self.released(share, turn),
                    Order::Retire => {
                        self.scopes.iter_mut().for_each(|scope| {
                            scope.released_all();
                            scope.retire();
                        });
                        retiring = Some(Instant::now());
                    }
                }
            }
            self.look();
            self.act(&producer)?;
            producer.poll()?;
            if let Some(since) = retiring
                && (self.scopes.iter().all(Scope::is_over) || since.elapsed() > FAREWELL)
            {
                return self.farewell(&producer);
            }
        }
    }

    fn hear(&mut self, scope: &str, member: &str, said: Option<Said>) {
        let now = self.gate.began.elapsed();
        for (feed, scopes) in self.shared.iter().zip(&mut self.scopes) {
            if feed.scope == scope {
                scopes.hear(member, said.clone(), now);
            }
        }
    }

    /// The feed that has the share, and the share's number in it.
    fn place(&self, share: usize) -> (usize, usize) {
        let feed = self.shared.iter().rposition(|feed| feed.first <= share).unwrap_or(0);
        (feed, share - self.shared[feed].first)
    }

    fn released(&mut self, share: usize, turn: u64) {
        // It was lost meanwhile, and perhaps won again.
        if !self.gate.is_ours(share, turn) {
            return;
        }
        let (feed, number) = self.place(share);
        self.gate.turn(share);
        self.scopes[feed].released(number);
    }

    /// For processes of this machine that have ended without a word.
    fn look(&mut self) {
        if self.looked.elapsed() < LOOK_EVERY {
            return;
        }
        self.looked = Instant::now();
        for scope in &mut self.scopes {
            let ended: Vec<String> = scope
                .members()
                .filter(|(_, process)| process::has_ended(process))
                .map(|(member, _)| member.to_owned())
                .collect();
            ended.iter().for_each(|member| scope.gone(member));
        }
    }

    fn act(&mut self, producer: &Producer) -> streams::Result<()> {
        let now = self.gate.began.elapsed();
        for feed in 0..self.scopes.len() {
            let todo = self.scopes[feed].next(now);
            let (name, scope, first) =
                (self.shared[feed].feed.clone(), self.shared[feed].scope.clone(), self.shared[feed].first);
            for what in todo {
                let told = match what {
                    Do::Say(mut said) => {
                        said.written = self.clock.now_ns();
                        let value = serde_json::to_vec(&said).expect("it is plain data");
                        self.say(producer, &format!("{KEY_PREFIX}{scope}/{}", self.me), Some(&value))?;
                        continue;
                    }
                    Do::Bury(member) => {
                        self.say(producer, &format!("{KEY_PREFIX}{scope}/{member}"), None)?;
                        continue;
                    }
                    Do::Won(share) => {
                        tracing::info!(feed = name, share, "this process reads it from now on");
                        Told::Won(first + share, self.gate.turn(first + share))
                    }
                    Do::Lost(share) => {
                        tracing::warn!(
                            feed = name,
                            share,
                            "another process has taken it over, this one was not heard of in time"
                        );
                        self.gate.turn(first + share);
                        Told::Lost(first + share)
                    }
                    Do::Leave(share) => {
                        tracing::info!(feed = name, share, "another process is to read it, handing it over");
                        Told::Leave(first + share)
                    }
                };
                self.stands_by[feed] = false;
                self.told.send(told).ok();
            }
            self.stand_by(feed);
        }
        // Only now: what was lost is shut before anything is open (again).
        let until = self.scopes.iter().filter(|scope| scope.holds_any()).filter_map(Scope::held_until).min();
        let until = until.map_or(0, |until| u64::try_from(until.as_nanos()).unwrap_or(u64::MAX));
        self.gate.until.store(until, Ordering::Release);
        Ok(())
    }

    /// Says so once, each time.
    fn stand_by(&mut self, feed: usize) {
        let scope = &self.scopes[feed];
        let Some(holders) = scope.stands_by() else { return };
        if std::mem::replace(&mut self.stands_by[feed], true) {
            return;
        }
        let name = &self.shared[feed].feed;
        if let Some((member, shares)) = scope.stranger() {
            let ours = self.shared[feed].terms.shares;
            tracing::warn!(
                feed = name,
                member,
                shares,
                ours,
                "it divides this feed otherwise: standing by until it has ended; give all processes the same `shares`"
            );
        } else {
            tracing::info!(feed = name, read_by = ?holders, "other processes read it, standing by");
        }
        self.told.send(Told::StandsBy(feed)).ok();
    }

    fn say(&self, producer: &Producer, key: &str, value: Option<&[u8]>) -> streams::Result<()> {
        producer.send(&Outgoing {
            topic: &self.topic,
            key: Some(key.as_bytes()),
            value,
            headers: &[(header::CONTENT_TYPE, b"application/json"), (header::SCHEMA_VERSION, b"1")],
            ..Outgoing::default()
        })
    }

    /// Whoever waits for our place need not wait until we are taken for dead.
    fn farewell(&self, producer: &Producer) -> streams::Result<()> {
        for (feed, scope) in self.shared.iter().zip(&self.scopes) {
            if scope.is_over() {
                self.say(producer, &format!("{KEY_PREFIX}{}/{}", feed.scope, self.me), None)?;
            }
        }
        match producer.flush(FAREWELL) {
            Err(error) if error.is_retry() => {
                tracing::warn!(%error, "kafka does not answer: other processes will wait until this one is taken for dead");
                Ok(())
            }
            other => other,
        }
    }
}
