//! One connection of a feed, driven: sockets and timers go into the state machine, what it says is done, and what the
//! frames hold is judged and put into the queue.

mod change;
mod mend;
mod record;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use harness::{Clock, Context, Drain, Shutdown};
use market::{Event, Gap, GapCause};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::watch;
use tokio::time::Instant;

use self::change::changed;
use super::backfill::{Fetched, Wanted};
use super::feed::LiveFeed;
use super::judge::{self, Judged};
use super::queue::{Entry, Item, Queue};
use super::silence::Silence;
use super::socket::{self, Order, Told};
use crate::config::Config;
use crate::connection::bucket::Bucket;
use crate::connection::{Connection, Input, Life, LinkId, Output};
use crate::coverage::{Coverage, Patience, Saved};
use crate::observe::live::FeedMetrics;
use crate::position::Position;
use crate::recording::recorder::Recorder;
use crate::skew::Skew;
use crate::sources::Bad;
use crate::venues::{Acknowledgement, Continuity, Heard, Limits};

/// What may wait for the line, frames by the batch: it waits for nobody, so it is little.
const TELLS: usize = 4_096 / socket::AT_ONCE;
/// Of these so many are taken at once: what is looked at after each turn is looked at less often where much comes.
const AT_ONCE: usize = 8;
/// The longest between two looks for symbols from which nothing comes.
const LOOK_EVERY_NS: i64 = 100_000_000;
/// Pages of the past that wait for the line. Whoever fetches them waits for it.
const PAGES: usize = 1;

/// What all lines of a feed have in common: the venue counts their handshakes together.
pub struct Handshakes {
    began: Instant,
    connects: Arc<Mutex<Bucket>>,
}

impl Handshakes {
    pub fn new(limits: &Limits) -> Handshakes {
        Handshakes { began: Instant::now(), connects: Arc::new(Mutex::new(Bucket::new(limits.connects))) }
    }
}

/// Where a line belongs.
pub struct Place<'a> {
    pub feed: &'a LiveFeed,
    /// The number of its share among those of the process.
    pub share: usize,
    /// Its own among the lines of the feed.
    pub number: usize,
    pub handshakes: &'a Handshakes,
    pub queue: Arc<Queue>,
    pub metrics: FeedMetrics,
}

pub struct Line {
    /// The number of its share among those of the process.
    feed: usize,
    name: String,
    quotes: bool,
    machine: Connection,
    coverage: Coverage,
    patience: Patience,
    recorder: Option<Recorder>,
    /// What it is to serve, if that may change.
    wants: Option<watch::Receiver<BTreeSet<String>>>,
    /// What is known of symbols that are not wanted now.
    others: BTreeMap<String, Saved>,
    continuity: Continuity,
    address: String,
    orders: HashMap<LinkId, Sender<Order>>,
    tells: Sender<(LinkId, Told)>,
    told: Receiver<(LinkId, Told)>,
    /// Who fills gaps, if anybody does.
    wanted: Option<Sender<Wanted>>,
    /// The most trades of a gap that are asked for.
    most_wanted: u64,
    fetches: Sender<Fetched>,
    fetched: Receiver<Fetched>,
    queue: Arc<Queue>,
    metrics: FeedMetrics,
    clock: Arc<dyn Clock>,
    began: Instant,
    position: Position,
    heard: Heard,
    trouble: Arc<Mutex<Option<String>>>,
    unserved: i64,
    silence: Silence,
    silent: i64,
    look_at: i64,
    sends: u32,
    skew: Skew,
    out: Vec<Output>,
    judged: Vec<Judged>,
    /// What the queue is given next.
    found: Vec<Entry>,
}

impl Line {
    /// `saved`: where each symbol of its share stood.
    pub fn new(
        ctx: &Context<Config>,
        place: Place<'_>,
        symbols: BTreeSet<String>,
        saved: &BTreeMap<String, Saved>,
    ) -> Line {
        let Place { feed, share, number, handshakes, queue, metrics } = place;
        let config = &ctx.config.live;
        let life = Life {
            handshake: *config.handshake,
            acknowledgement: *config.acknowledgement,
            backoff_least: *config.backoff_least,
            backoff_most: *config.backoff_most,
            healthy: *config.healthy,
        };
        let unsure = feed.limits.acknowledgement == Acknowledgement::None;
        let quiet_ns = config.quiet.as_ns();
        let unsure_ns = if unsure { quiet_ns } else { 0 };
        let patience = Patience { reorder_ns: config.reorder.as_ns(), quiet_ns, unsure_ns };
        let venue = feed.venue();
        let mine: BTreeSet<String> = symbols.iter().map(|name| venue.symbol(name)).collect();
        let mut coverage = Coverage::new(feed.limits.continuity, patience);
        let known = saved.iter().filter(|(symbol, _)| mine.contains(*symbol));
        coverage.take_saved(&known.map(|(symbol, saved)| (symbol.clone(), saved.clone())).collect());
        let trouble = (!symbols.is_empty()).then(|| "not yet connected".to_owned());
        let trouble = Arc::new(Mutex::new(trouble));
        let first = symbols.first().cloned().unwrap_or_default();
        ctx.health.check(format!("feed {} line {number}", feed.name), {
            let trouble = trouble.clone();
            move || trouble.lock().unwrap_or_else(PoisonError::into_inner).clone().map_or(Ok(()), Err)
        });
        // Told apart from those of any other line and process.
        let session = ctx.clock.now_ns().unsigned_abs() + u64::from(first.bytes().fold(0u8, u8::wrapping_add));
        let (tells, told) = mpsc::channel(TELLS);
        let (fetches, fetched) = mpsc::channel(PAGES);
        Line {
            feed: share,
            name: feed.name.clone(),
            quotes: feed.quotes,
            address: venue.address(&feed.address, &feed.key),
            machine: Connection::new(venue, feed.limits, life, (feed.key.clone(), feed.secret.clone()), symbols)
                .counted_by(handshakes.connects.clone()),
            coverage,
            patience,
            recorder: None,
            wants: None,
            others: saved
                .iter()
                .filter(|(symbol, _)| !mine.contains(*symbol))
                .map(|(s, k)| (s.clone(), k.clone()))
                .collect(),
            continuity: feed.limits.continuity,
            orders: HashMap::new(),
            tells,
            told,
            wanted: None,
            most_wanted: config.backfill,
            fetches,
            fetched,
            queue,
            metrics,
            clock: ctx.clock.clone(),
            began: handshakes.began,
            position: Position { pass: session, line: 0, sub: 0 },
            heard: Heard::default(),
            trouble,
            unserved: 0,
            silence: Silence::new(config.symbol_silence.as_ns()),
            silent: 0,
            look_at: i64::MIN,
            sends: 0,
            skew: Skew::default(),
            out: Vec::new(),
            judged: Vec::new(),
            found: Vec::new(),
        }
    }

    /// Until the shutdown. What is missing by then is said.
    pub async fn run(mut self, shutdown: Shutdown, drain: Drain) {
        self.input(Input::Tick);
        let mut told = Vec::with_capacity(AT_ONCE);
        loop {
            let wake = self.wake();
            tokio::select! {
                // In this order: no link is silent while something of it waits to be read.
                biased;
                () = shutdown.wait() => break,
                () = drain.wait() => break,
                Some(desired) = changed(&mut self.wants) => self.desire(&desired),
                _ = self.told.recv_many(&mut told, AT_ONCE) => {
                    told.drain(..).for_each(|(link, told)| self.told(link, told));
                }
                Some(fetched) = self.fetched.recv(), if self.queue.is_calm() => self.fill(fetched),
                () = tokio::time::sleep_until(wake) => self.input(Input::Tick),
            }
            self.tick();
        }
        // What has been read is not lost to the stop.
        while let Ok((link, told)) = self.told.try_recv() {
            if let Told::Frames(frames) = told {
                self.frames(link, &frames);
            }
        }
        // Nobody will answer any more.
        self.wanted = None;
        let (now, mut gaps) = (self.clock.now_ns(), Vec::new());
        self.record(now, 0, "end", b"");
        self.coverage.close(now, &mut gaps);
        self.say(gaps);
        self.hand_over();
        if let Some(mut recorder) = self.recorder.take() {
            tokio::task::spawn_blocking(move || recorder.finish()).await.ok();
        }
        // Nothing of it is to be served by this process any more.
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.metrics.unserved.sub(self.unserved);
        self.metrics.silent.sub(self.silent);
    }

    fn wake(&self) -> Instant {
        // Never for ever: the clock of the gaps and the one of the timers may drift apart.
        const LONGEST: Duration = Duration::from_secs(1);
        let machine = self.machine.wake().saturating_sub(self.began.elapsed());
        let gap = self.coverage.due().saturating_sub(self.clock.now_ns()).max(0);
        Instant::now() + machine.min(Duration::from_nanos(gap.unsigned_abs())).min(LONGEST)
    }

    fn tick(&mut self) {
        let mut gaps = Vec::new();
        let now = self.clock.now_ns();
        self.coverage.tick(now, &mut gaps);
        if !gaps.is_empty() {
            self.record(now, 0, "tick", b"");
        }
        self.say(gaps);
        self.hand_over();
        if let Some(recorder) = &mut self.recorder {
            recorder.look();
            if recorder.is_full() && recorder.next_part() {
                recorder.begin(now, self.coverage.save());
            }
        }
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_EVERY_NS;
        let quiet = self.silence.look(now);
        if !quiet.is_empty() {
            tracing::warn!(feed = self.name, symbols = ?quiet, "nothing comes of these, though they are subscribed");
            let own: Vec<String> = quiet.iter().filter_map(|symbol| self.machine.venue().own_name(symbol)).collect();
            self.input(Input::Silent(&own));
        }
        let silent = i64::try_from(self.silence.silent()).unwrap_or(i64::MAX);
        self.metrics.silent.add(silent - self.silent);
        self.silent = silent;
        self.metrics.waiting(self.queue.bytes());
        self.metrics.skew.set(self.skew.seconds());
        let (connects, sends) = self.machine.tokens(self.began.elapsed());
        // Handshakes are counted together for all connections, messages for each.
        self.metrics.connects_left.set(connects.into());
        self.metrics.sends_left.add(i64::from(sends) - i64::from(self.sends));
        self.sends = sends;
    }

    fn told(&mut self, link: LinkId, told: Told) {
        match told {
            Told::Opened => self.input(Input::Opened(link)),
            Told::Refused(status, wait) => {
                tracing::warn!(feed = self.name, status, "the venue refused the handshake");
                self.input(Input::Refused(link, status, wait));
            }
            Told::Closed(why) => {
                if self.orders.remove(&link).is_some() {
                    tracing::info!(feed = self.name, why, "a connection has ended");
                }
                self.input(Input::Closed(link));
            }
            Told::Alive => self.input(Input::Alive(link)),
            Told::Frames(frames) => self.frames(link, &frames),
        }
    }

    /// What came together was received together: the clocks are looked at once, and the queue is locked once.
    fn frames(&mut self, link: LinkId, frames: &[Bytes]) {
        let (now, elapsed) = (self.clock.now_ns(), self.began.elapsed());
        for frame in frames {
            self.frame(link, frame, now, elapsed);
        }
        self.hand_over();
    }

    fn frame(&mut self, link: LinkId, frame: &[u8], now: i64, elapsed: Duration) {
        // Of a link that was given up. Where there are ids they tell what is new; elsewhere what it held is in the gap.
        if self.continuity != Continuity::Ids && !self.orders.contains_key(&link) {
            return;
        }
        self.metrics.frames.inc();
        let mut heard = std::mem::take(&mut self.heard);
        heard.clear();
        let read = self.machine.venue().decode(frame, now, &mut heard);
        let luck = fastrand::f64();
        self.machine.handle(Input::Frame(link, &heard.said, heard.sequence), elapsed, luck, &mut self.out);
        // What was lost was lost before what this frame holds.
        if self.out.contains(&Output::Missed(link)) {
            for name in self.machine.asked_on(link) {
                let symbol = self.machine.venue().symbol(&name);
                self.record(now, link, "missed", symbol.as_bytes());
                self.coverage.missed(&symbol, now);
            }
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.frame(now, link, frame);
        }
        for event in &heard.found.events {
            if let Event::Trade(trade) = event {
                self.silence.heard(&trade.symbol, now);
                if !trade.backfilled {
                    self.skew.note(now, trade.event_time);
                }
            }
        }
        judge::frame(&mut self.coverage, &mut heard, now, &mut self.judged);
        self.pass_on();
        if let Err(bad) = read {
            self.bad(frame, bad);
        } else if let Some(kind) = heard.found.ignored {
            self.metrics.ignored.with_label_values(&[kind]).inc();
        }
        self.heard = heard;
        self.act();
    }

    /// Puts in what was judged. Answers how many events there were.
    fn pass_on(&mut self) -> u64 {
        let (mut all, mut events) = (std::mem::take(&mut self.judged), 0);
        for judged in all.drain(..) {
            match judged {
                Judged::Event(event) => {
                    events += 1;
                    self.put(Item::Event(event));
                }
                Judged::Gap(gap) => self.say(vec![gap]),
                Judged::Duplicate => self.metrics.duplicates.inc(),
                Judged::Before => self.metrics.before.inc(),
                Judged::Used { symbol, id, time } => self.put(Item::Used { symbol, id, time }),
            }
        }
        // Its memory is used again.
        self.judged = all;
        events
    }

    fn bad(&mut self, frame: &[u8], bad: Bad) {
        if self.metrics.invalid(bad.reason) == 1 {
            tracing::warn!(
                feed = self.name,
                reason = bad.reason,
                detail = %bad.detail,
                "a frame cannot be read, sent to the dead letters (said once per reason)"
            );
        }
        self.put(Item::Bad(frame.to_vec(), bad));
    }

    fn say(&mut self, gaps: Vec<Gap>) {
        for gap in gaps {
            tracing::warn!(
                feed = self.name,
                symbol = gap.symbol,
                cause = gap.cause.as_str(),
                first_missing = gap.first_missing,
                last_missing = gap.last_missing,
                "gap"
            );
            self.metrics.gap(gap.cause);
            let wanted = self.wanted_of(&gap);
            self.put(Item::Event(Event::Gap(gap)));
            self.want(wanted);
        }
    }

    fn put(&mut self, item: Item) {
        self.position.line += 1;
        self.found.push(Entry { feed: self.feed, position: self.position, item });
    }

    /// Puts what was found into the queue. Whoever puts something in calls it before anything is waited for.
    fn hand_over(&mut self) {
        if !self.found.is_empty() {
            let dropped = self.queue.put(self.found.drain(..));
            self.metrics.dropped.inc_by(dropped);
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle(input, self.began.elapsed(), fastrand::f64(), &mut self.out);
        self.act();
    }

    /// Does what the machine has said.
    fn act(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let now = self.clock.now_ns();
        for out in std::mem::take(&mut self.out) {
            match out {
                Output::Open(link) => {
                    let (sender, orders) = mpsc::channel(64);
                    self.orders.insert(link, sender);
                    tokio::spawn(socket::run(link, self.address.clone(), self.tells.clone(), orders));
                }
                Output::Send(link, text) => self.order(link, Order::Send(text)),
                Output::Ping(link) => self.order(link, Order::Ping),
                Output::Close(link) => drop(self.orders.remove(&link)),
                Output::Covered(name) => {
                    let symbol = self.machine.venue().symbol(&name);
                    self.record(now, 0, "served", symbol.as_bytes());
                    self.silence.served(&symbol, now);
                    self.coverage.covered(&symbol, now);
                }
                Output::Uncovered(name) => {
                    let symbol = self.machine.venue().symbol(&name);
                    self.record(now, 0, "unserved", symbol.as_bytes());
                    self.silence.gone(&symbol);
                    self.coverage.uncovered(&symbol, GapCause::Disconnect);
                }
                Output::Missed(_) => {}
                Output::Ended(reason) => self.metrics.ended(reason),
                Output::Stopped(reason) => tracing::error!(feed = self.name, reason, "the feed has stopped"),
            }
        }
        let unserved = i64::try_from(self.machine.unserved()).unwrap_or(i64::MAX);
        // A feed may have several lines.
        self.metrics.unserved.add(unserved - self.unserved);
        self.unserved = unserved;
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = self.machine.trouble();
    }

    fn order(&mut self, link: LinkId, order: Order) {
        // A socket that does not take its orders is as good as dead; the deadlines will tell.
        if let Some(orders) = self.orders.get(&link) {
            orders.try_send(order).ok();
        }
    }
}
