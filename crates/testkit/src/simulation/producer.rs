//! The transactional producer of a process.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use streams::stateful::world::{Committed, Failure, Pending, Position};
use streams::{Result, StreamError};

use super::Lie;
use super::cluster::Refused;
use super::group::Membership;
use super::shared::{STEP, Shared};

pub(super) struct Producer<'y> {
    shared: Shared<'y>,
    id: String,
    epoch: Cell<u32>,
    fenced: Cell<bool>,
    /// For [`Lie::UnchangedPositionsLeftOut`].
    last_sent: RefCell<BTreeMap<i32, Committed>>,
}

impl<'y> Producer<'y> {
    pub fn new(shared: Shared<'y>, id: String) -> Self {
        Producer { shared, id, epoch: Cell::new(0), fenced: Cell::new(false), last_sent: RefCell::default() }
    }

    pub fn is_fenced(&self) -> bool {
        self.fenced.get()
    }

    /// Fences whoever used the id before.
    pub fn init(&self) -> Result<()> {
        loop {
            self.shared.breathe();
            let answer = self.shared.cluster.borrow_mut().init_producer(&self.id);
            match answer {
                Ok(epoch) => {
                    self.epoch.set(epoch);
                    self.fenced.set(false);
                    return Ok(());
                }
                Err(_) if self.shared.wait(STEP) => return Err(StreamError::Stopped("beginning".to_owned())),
                Err(_) => {}
            }
        }
    }

    pub fn commit(
        &self,
        pending: &Pending,
        positions: &[Position<'_>],
        membership: &Membership,
    ) -> Result<(), Failure> {
        let result = self.transaction(pending, positions, membership);
        self.shared.cluster.borrow_mut().stats.end(&result);
        match &result {
            Ok(()) => self.last_sent.borrow_mut().extend(by_partition(positions)),
            Err(failure) => self.shared.say(|| format!("cannot commit: {failure:?}")),
        }
        result
    }

    fn fenced(&self) -> Failure {
        self.fenced.set(true);
        Failure::Unknown("fenced".to_owned())
    }

    fn abort(&self) -> Result<(), Failure> {
        self.shared.breathe();
        let ended = self.shared.cluster.borrow_mut().end(&self.id, self.epoch.get(), false);
        ended.map_err(|_| self.fenced())
    }

    fn begin(&self) -> Result<(), Failure> {
        loop {
            self.shared.breathe();
            let begun = self.shared.cluster.borrow_mut().begin(&self.id, self.epoch.get());
            match begun {
                Ok(()) => return Ok(()),
                Err(Refused::NotYet) => drop(self.shared.wait(STEP)),
                Err(_) => return Err(self.fenced()),
            }
        }
    }

    fn write(&self, pending: &Pending) -> Result<(), Failure> {
        for write in pending.writes() {
            if self.shared.cluster.borrow_mut().rng.u8(0..4) == 0 {
                self.shared.breathe();
            }
            let mut cluster = self.shared.cluster.borrow_mut();
            let count = cluster.topics[write.topic].len() as i32;
            let partition =
                write.partition.unwrap_or_else(|| market::symbol::partition(write.key.unwrap_or_default(), count));
            let by = (self.id.as_str(), self.epoch.get());
            let written = cluster.write(by, (write.topic, partition), write.key, write.value);
            drop(cluster);
            written.map_err(|_| self.fenced())?;
        }
        Ok(())
    }

    fn send_offsets(&self, positions: &[Position<'_>], membership: &Membership) -> Result<(), Failure> {
        self.shared.breathe();
        let mut cluster = self.shared.cluster.borrow_mut();
        let mut list: BTreeMap<i32, Committed> = by_partition(positions).collect();
        if cluster.lie == Some(Lie::UnchangedPositionsLeftOut) {
            let known = self.last_sent.borrow();
            list.retain(|partition, offset| known.get(partition) != Some(offset));
            if list.is_empty() {
                return Ok(());
            }
        }
        let mut shown = *membership;
        let member = cluster.group.clients[self.shared.process].member.filter(|m| cluster.group.is_member(*m));
        match (cluster.lie, member) {
            (Some(Lie::MembershipOfNow), Some(member)) => {
                shown = Membership { member, generation: cluster.group.generation };
            }
            (Some(Lie::MembershipEmptied), None) => shown.member = 0,
            _ => {}
        }
        let process = self.shared.process;
        let sent = cluster.send_offsets((&self.id, self.epoch.get()), &list, &shown);
        cluster.say(|| format!("p{process} sends positions {list:?} as {shown:?}: {sent:?}"));
        drop(cluster);
        match sent {
            Ok(()) => Ok(()),
            Err(Refused::Stale) => Err(Failure::Stale("the group has moved on".to_owned())),
            Err(_) => Err(self.fenced()),
        }
    }

    fn transaction(
        &self,
        pending: &Pending,
        positions: &[Position<'_>],
        membership: &Membership,
    ) -> Result<(), Failure> {
        if self.fenced.get() {
            return Err(self.fenced());
        }
        self.begin()?;
        self.write(pending)?;
        if self.shared.chance(|faults| faults.aborted) {
            self.abort()?;
            return Err(Failure::Aborted("a record was refused".to_owned()));
        }
        match self.send_offsets(positions, membership) {
            Ok(()) => self.end_transaction(),
            Err(failure @ Failure::Stale(_)) => self.abort().and(Err(failure)),
            Err(failure) => Err(failure),
        }
    }

    fn end_transaction(&self) -> Result<(), Failure> {
        self.shared.breathe();
        if self.shared.chance(|faults| faults.lost_request) {
            self.shared.say(|| "asks for a commit that nobody hears".to_owned());
            return Err(Failure::Unknown("no answer".to_owned()));
        }
        let ended = self.shared.cluster.borrow_mut().end(&self.id, self.epoch.get(), true);
        ended.map_err(|_| self.fenced())?;
        self.shared.breathe();
        if self.shared.chance(|faults| faults.lost_reply) {
            self.shared.say(|| "does not hear that its commit was carried out".to_owned());
            let cause = "no answer".to_owned();
            let lies = self.shared.lies(Lie::UnknownSaidAborted);
            return Err(if lies { Failure::Aborted(cause) } else { Failure::Unknown(cause) });
        }
        Ok(())
    }
}

fn by_partition(positions: &[Position<'_>]) -> impl Iterator<Item = (i32, Committed)> {
    positions.iter().map(|position| (position.partition, position.committed))
}
