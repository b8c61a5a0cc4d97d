//! A stage that is looked over the shoulder: the clock may speak only where nothing is left to come.

use streams::Record;
use streams::stateful::{Changelog, Outbox, Outcome, Past, Stage, Tick};

use super::shared::Shared;

pub(super) struct Watched<'y, S> {
    pub stage: S,
    pub shared: Shared<'y>,
}

impl<S: Stage> Stage for Watched<'_, S> {
    type Part = (i32, S::Part);

    fn layout(&self) -> u32 {
        self.stage.layout()
    }

    fn new_part(&mut self, partition: i32) -> Self::Part {
        (partition, self.stage.new_part(partition))
    }

    fn restore(&mut self, (_, part): &mut Self::Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        self.stage.restore(part, key, value)
    }

    fn owner<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        self.stage.owner(key)
    }

    fn restored(&mut self, (_, part): &mut Self::Part, past: &Past) -> anyhow::Result<()> {
        self.stage.restored(part, past)
    }

    fn record(&mut self, (_, part): &mut Self::Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        self.stage.record(part, record, out)
    }

    fn tick(&mut self, (partition, part): &mut Self::Part, tick: Tick, out: &mut Outbox<'_>) {
        let outstanding = self.shared.outstanding.borrow().get(partition).copied();
        if tick.caught_up && outstanding != Some(false) {
            let process = self.shared.process;
            let what = format!("p{process} is caught up with partition {partition}, where records are still to come");
            self.shared.cluster.borrow_mut().violate(what);
        }
        self.stage.tick(part, tick, out);
    }

    fn snapshot(&mut self, (_, part): &mut Self::Part, log: &mut Changelog<'_>) {
        self.stage.snapshot(part, log);
    }
}
