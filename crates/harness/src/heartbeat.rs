//! A long-lived task says that it is alive; when it stops saying so, the process drains and fails.
//!
//! The watchdog runs on a thread of its own: a stall may well be a blocked async runtime. Failing the liveness probe
//! instead would get the process killed without committing what it had finished.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::shutdown::{Reason, Shutdown};

/// Held by the task it speaks for. Dropping it says that the task has ended well.
pub struct Heartbeat(Arc<Pulse>);

struct Pulse {
    task: String,
    /// None: listed while it runs, never late.
    limit: Option<Duration>,
    born: Instant,
    /// Milliseconds after `born`.
    last: AtomicU64,
}

impl Heartbeat {
    /// Call at least once per turn of the loop; it costs a clock read.
    pub fn beat(&self) {
        self.0.last.store(millis(self.0.born.elapsed()), Ordering::Relaxed);
    }
}

impl Pulse {
    fn silent_for(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.last.load(Ordering::Relaxed)))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The heartbeats of everything that shares one [`Shutdown`].
#[derive(Default)]
pub(crate) struct Watchdog {
    pulses: Mutex<Vec<Weak<Pulse>>>,
    started: OnceLock<()>,
}

impl Watchdog {
    pub(crate) fn register(shutdown: &Shutdown, task: String, limit: Option<Duration>) -> Heartbeat {
        let pulse = Arc::new(Pulse { task, limit, born: Instant::now(), last: AtomicU64::new(0) });
        let watchdog = shutdown.watchdog();
        watchdog.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&pulse));
        watchdog.started.get_or_init(|| watch(shutdown));
        Heartbeat(pulse)
    }

    /// Names of the tasks that have not ended, for the message when the hard limit strikes.
    pub(crate) fn running(&self) -> Vec<String> {
        self.alive().iter().map(|pulse| pulse.task.clone()).collect()
    }

    fn alive(&self) -> Vec<Arc<Pulse>> {
        let mut pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        pulses.retain(|pulse| pulse.strong_count() > 0);
        pulses.iter().filter_map(Weak::upgrade).collect()
    }
}

fn watch(shutdown: &Shutdown) {
    let weak = shutdown.downgrade();
    let body = move || {
        let mut pause = Duration::from_millis(50);
        while let Some(shutdown) = weak.upgrade() {
            let pulses = shutdown.watchdog().alive();
            for pulse in &pulses {
                let silent_for = pulse.silent_for();
                if pulse.limit.is_some_and(|limit| silent_for >= limit) && !shutdown.is_set() {
                    tracing::error!(task = %pulse.task, ?silent_for, "task stalled, shutting down");
                    shutdown.trigger(Reason::Stalled(pulse.task.clone()));
                }
            }
            let tightest = pulses.iter().filter_map(|pulse| pulse.limit).map(|limit| limit / 10).min().unwrap_or(pause);
            pause = tightest.clamp(Duration::from_millis(10), Duration::from_secs(1));
            drop((pulses, shutdown));
            std::thread::sleep(pause);
        }
    };
    let started = std::thread::Builder::new().name("watchdog".to_owned()).spawn(body);
    if let Err(error) = started {
        tracing::error!(%error, "cannot start the watchdog thread, stalls will go unseen");
    }
}
