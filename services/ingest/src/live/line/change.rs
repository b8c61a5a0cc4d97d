//! Other symbols while the line runs.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::watch;

use super::Line;
use crate::connection::Input;

impl Line {
    /// Serves what is sent there, from now on.
    pub fn told_by(mut self, wants: watch::Receiver<BTreeSet<String>>) -> Line {
        // It may have changed since this line was made.
        self.wants.insert(wants).mark_changed();
        self
    }

    /// Other symbols are wanted from now on.
    pub(super) fn desire(&mut self, desired: &BTreeSet<String>) {
        let now = self.clock.now_ns();
        let before = self.machine.desired().clone();
        for name in desired.difference(&before) {
            let symbol = self.machine.venue().symbol(name);
            if let Some(saved) = self.others.remove(&symbol) {
                let known = BTreeMap::from([(symbol, saved)]);
                self.record(now, 0, "known", &serde_json::to_vec(&known).expect("it is plain data"));
                self.coverage.take_saved(&known);
            }
        }
        self.input(Input::Desire(desired));
        for name in before.difference(desired) {
            let symbol = self.machine.venue().symbol(name);
            self.record(now, 0, "left", symbol.as_bytes());
            self.coverage.left(&symbol);
        }
    }
}

/// The next change, if there will be any.
pub(super) async fn changed(wants: &mut Option<watch::Receiver<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    let wants = wants.as_mut()?;
    wants.changed().await.ok()?;
    Some(wants.borrow_and_update().clone())
}
