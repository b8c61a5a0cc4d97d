//! What a process, its reader and its stage share: the cluster, and the way to the scheduler.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use corosensei::Yielder;
use harness::Shutdown;

use super::cluster::Cluster;
use super::{Faults, Lie};

pub(super) const STEP: Duration = Duration::from_millis(10);

/// Far more looks at the clock than a loop takes before it does something.
const LOOKS_MAX: u64 = 1_000;

/// The loop's side of the scheduler: it gives way, and says when it wants to go on at the earliest.
pub(super) type Turn = Yielder<(), Duration>;

/// What the process shares with its readers and with the checks of its stage.
#[derive(Clone)]
pub(super) struct Shared<'y> {
    pub cluster: Rc<RefCell<Cluster>>,
    pub turn: &'y Turn,
    pub process: usize,
    pub start: Instant,
    /// Whether records were still to come when the end of a partition was last asked for.
    pub outstanding: Rc<RefCell<BTreeMap<i32, bool>>>,
    pub looks: Rc<Cell<u64>>,
    pub shutdown: Shutdown,
}

impl Shared<'_> {
    pub fn give_way(&self, sleep: Duration) {
        let at = self.cluster.borrow().now + sleep;
        self.turn.suspend(at);
    }

    /// Somebody else's turn may come before this call does anything.
    pub fn breathe(&self) {
        self.give_way(Duration::ZERO);
    }

    pub fn chance(&self, of: impl Fn(&Faults) -> f64) -> bool {
        let mut cluster = self.cluster.borrow_mut();
        let of = of(&cluster.faults);
        cluster.chance(of)
    }

    pub fn lies(&self, lie: Lie) -> bool {
        self.cluster.borrow().lie == Some(lie)
    }

    pub fn say(&self, line: impl FnOnce() -> String) {
        let process = self.process;
        self.cluster.borrow_mut().say(|| format!("p{process} {}", line()));
    }

    /// A loop that does nothing but look at the clock gives way, too.
    pub fn now(&self) -> Instant {
        let looks = self.looks.get() + 1;
        self.looks.set(looks);
        if looks.is_multiple_of(LOOKS_MAX) {
            self.breathe();
        }
        self.start + self.cluster.borrow().now
    }

    /// Sleeps, and returns whether the process is to stop: in steps, so that it is heard in the middle.
    pub fn wait(&self, timeout: Duration) -> bool {
        let until = self.now() + timeout;
        while !self.shutdown.is_set() && self.now() < until {
            self.give_way((until - self.now()).min(STEP * 5));
        }
        self.shutdown.is_set()
    }

    /// The end of what is decided, as of the last fetch: now and then an old one.
    pub fn known_stable(&self, topic: &str, partition: i32, known: &mut BTreeMap<i32, i64>) -> i64 {
        let mut cluster = self.cluster.borrow_mut();
        let fetched = !known.contains_key(&partition) || cluster.rng.u8(0..4) > 0;
        if fetched {
            let stable = cluster.log(topic, partition).stable();
            known.insert(partition, stable);
        }
        known[&partition]
    }
}
