//! Reading state back, and whether what was read belongs to the position that was found.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use streams::stateful::world::{Committed, META_KEY, Replay};
use streams::{OwnedRecord, Polled, Result, TopicPartition};

use super::Lie;
use super::shared::Shared;

/// What a process has found of the partitions that it is taking over.
#[derive(Default)]
pub(super) struct Takeover {
    committed: BTreeMap<i32, Option<i64>>,
    /// How far the changelog is to be read.
    pub ends: BTreeMap<i32, i64>,
    /// The group stood by us when the positions were read, in this generation.
    generation: Option<i32>,
    /// With [`Lie::RestoreFirst`]: where the changelog was decided to before the positions were read.
    bounds: BTreeMap<i32, i64>,
}

impl Takeover {
    pub fn begin(&mut self, shared: &Shared<'_>, changelog: &str, partitions: &[i32]) {
        let mut cluster = shared.cluster.borrow_mut();
        self.bounds.clear();
        self.ends.clear();
        if cluster.lie == Some(Lie::RestoreFirst) {
            self.bounds.extend(partitions.iter().map(|n| (*n, cluster.log(changelog, *n).stable())));
        }
    }

    pub fn found(&mut self, shared: &Shared<'_>, partitions: &[i32], offsets: &[Option<Committed>]) {
        let cluster = shared.cluster.borrow();
        self.committed =
            partitions.iter().copied().zip(offsets.iter().map(|found| found.map(|found| found.offset))).collect();
        self.generation = cluster.group.stands_by(shared.process).then_some(cluster.group.generation);
    }

    pub fn bound(&self, partition: i32) -> Option<i64> {
        self.bounds.get(&partition).copied()
    }
}

pub(super) struct Reader<'y> {
    shared: Shared<'y>,
    changelog: String,
    positions: BTreeMap<i32, i64>,
    known: BTreeMap<i32, i64>,
    /// Where the last mark read says that the state stands.
    marks: BTreeMap<i32, i64>,
    takeover: Rc<RefCell<Takeover>>,
    record: OwnedRecord,
}

impl<'y> Reader<'y> {
    pub fn new(shared: Shared<'y>, changelog: &str, takeover: Rc<RefCell<Takeover>>) -> Self {
        let (positions, known, marks) = Default::default();
        let record = OwnedRecord { topic: changelog.to_owned(), ..OwnedRecord::default() };
        Reader { shared, changelog: changelog.to_owned(), positions, known, marks, takeover, record }
    }

    fn stable(&mut self, partition: i32) -> i64 {
        let stable = self.shared.known_stable(&self.changelog, partition, &mut self.known);
        self.takeover.borrow().bound(partition).map_or(stable, |bound| bound.min(stable))
    }
}

impl Replay for Reader<'_> {
    fn watermarks(&self, partition: &TopicPartition) -> Result<(i64, i64)> {
        self.shared.breathe();
        let mut cluster = self.shared.cluster.borrow_mut();
        Ok((0, cluster.log(&self.changelog, partition.partition).stable()))
    }

    fn assign(&mut self, positions: &[(TopicPartition, i64)]) -> Result<()> {
        self.positions = positions.iter().map(|(tp, position)| (tp.partition, *position)).collect();
        Ok(())
    }

    fn poll(&mut self, timeout: Duration) -> Result<Polled<'_>> {
        if self.shared.cluster.borrow_mut().rng.u8(0..8) == 0 {
            self.shared.breathe();
        }
        for partition in self.positions.keys().copied().collect::<Vec<_>>() {
            let stable = self.stable(partition);
            let mut cluster = self.shared.cluster.borrow_mut();
            let position = self.positions[&partition];
            let Some((offset, entry)) = cluster.log(&self.changelog, partition).committed_in(position, stable) else {
                self.positions.insert(partition, stable.max(position));
                continue;
            };
            self.record = OwnedRecord { partition, offset, ..std::mem::take(&mut self.record) };
            (self.record.key, self.record.value) = (entry.key.clone(), entry.value.clone());
            self.positions.insert(partition, offset + 1);
            if self.record.key.as_deref() == Some(META_KEY) {
                let value = self.record.value.as_deref().unwrap_or_default();
                self.marks.insert(partition, super::mark(value).0);
            }
            drop(cluster);
            return Ok(Polled::Record(self.record.as_record()));
        }
        self.shared.give_way(timeout.min(Duration::from_millis(20)));
        Ok(Polled::Idle)
    }

    fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.positions.get(&partition.partition).copied()
    }
}

impl Drop for Reader<'_> {
    /// If all of the state was read, and the group stood by us all the time, it must stand where the positions do.
    fn drop(&mut self) {
        // A crash.
        if std::thread::panicking() {
            return;
        }
        let mut cluster = self.shared.cluster.borrow_mut();
        let takeover = self.takeover.borrow();
        let stood =
            takeover.generation == Some(cluster.group.generation) && cluster.group.stands_by(self.shared.process);
        for (partition, committed) in takeover.committed.iter().filter(|_| stood) {
            let mark = self.marks.get(partition).copied();
            let read = self.positions.get(partition).copied().unwrap_or(0);
            let done = takeover.ends.get(partition).is_some_and(|end| read >= *end);
            if done && mark != *committed {
                let process = self.shared.process;
                cluster.violate(format!(
                    "p{process} takes over partition {partition}: committed {committed:?}, state {mark:?}"
                ));
            }
        }
    }
}
