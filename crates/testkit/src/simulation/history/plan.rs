//! What happens when, as far as it is settled before a history begins.

use std::collections::BTreeMap;
use std::time::Duration;

use super::History;
use crate::simulation::cluster::{Cluster, Event};
use crate::simulation::{Faults, Fed};

impl<S> History<S> {
    pub(super) fn plan(&self, rng: &mut fastrand::Rng, feed: Vec<Fed>, upstream: bool) {
        let mut cluster = self.cluster.borrow_mut();
        let end = feed.iter().map(|fed| fed.at).max().unwrap_or_default() + Duration::from_secs(1);
        let at = |rng: &mut fastrand::Rng| Duration::from_micros(rng.u64(0..end.as_micros() as u64));
        for process in 0..self.slots.len() {
            let late = if process == 0 { Duration::ZERO } else { at(rng) / 2 };
            cluster.after(late, Event::Start { process });
        }
        for _ in 0..rng.usize(1..8) {
            let (process, length) = (rng.usize(0..self.slots.len()), Duration::from_millis(rng.u64(50..3000)));
            let event = match rng.u8(0..12) {
                0..3 => Event::Crash { process },
                3..6 => Event::Pause { process, length },
                6..8 => Event::Stop { process },
                8 => Event::ThrowOut { process },
                9 | 10 => Event::Rebalance,
                _ => Event::Compact,
            };
            cluster.after(at(rng), event);
        }
        let mut of = |most: f64| if rng.bool() { rng.f64() * most } else { 0.0 };
        cluster.faults = Faults { aborted: of(0.1), lost_request: of(0.1), lost_reply: of(0.15), retry: of(0.2) };
        let upstream = if upstream { of(0.3) } else { 0.0 };
        plan_feed(&mut cluster, rng, feed, upstream);
        cluster.after(Duration::ZERO, Event::Clockwork);
        cluster.after(end, Event::Settle);
    }
}

/// Some stretches of a partition come in a transaction, which ends later, and not always with a commit. One at a time.
fn plan_feed(cluster: &mut Cluster, rng: &mut fastrand::Rng, feed: Vec<Fed>, upstream: f64) {
    let mut open: BTreeMap<i32, (u64, Duration)> = BTreeMap::new();
    for Fed { at, partition, key, value } in feed {
        if open.get(&partition).is_some_and(|(_, end)| *end < at) {
            open.remove(&partition);
        }
        if !open.contains_key(&partition) && rng.f64() < upstream {
            let (txn, end) = (cluster.upstream(), at + Duration::from_millis(rng.u64(1..900)));
            open.insert(partition, (txn, end));
            cluster.after(end, Event::Upstream { partition, txn, commit: rng.u8(0..3) > 0 });
        }
        let txn = open.get(&partition).map(|(txn, _)| *txn);
        cluster.after(at, Event::Feed { partition, key, value, txn });
    }
}
