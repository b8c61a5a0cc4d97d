//! A stage as small as can be: counts and adds up numbers by key, and emits both with every record.

use std::collections::{BTreeMap, BTreeSet};

use streams::Record;
use streams::stateful::{Changelog, Outbox, Outcome, Stage, Tick};

pub struct Sum {
    pub output: String,
    /// Folded records that were there when the stage was last told that it is caught up.
    pub caught_up: Option<prometheus::IntGauge>,
    pub layout: u32,
}

#[derive(Default)]
pub struct Part {
    sums: BTreeMap<String, (u64, u64)>,
    dirty: BTreeSet<String>,
    folded: i64,
}

impl Sum {
    pub fn new(output: &str) -> Sum {
        Sum { output: output.to_owned(), caught_up: None, layout: 1 }
    }
}

impl Stage for Sum {
    type Part = Part;

    fn layout(&self) -> u32 {
        self.layout
    }

    fn new_part(&mut self, _: i32) -> Part {
        Part::default()
    }

    fn restore(&mut self, part: &mut Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        let key = String::from_utf8(key.to_vec())?;
        match value {
            Some(value) => part.sums.insert(key, serde_json::from_slice(value)?),
            None => part.sums.remove(&key),
        };
        Ok(())
    }

    fn record(&mut self, part: &mut Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        let key = String::from_utf8(record.key.unwrap_or_default().to_vec()).unwrap();
        let text = std::str::from_utf8(record.value.unwrap_or_default()).unwrap();
        let value = match text.parse::<u64>() {
            Ok(value) => value,
            Err(error) => {
                out.dead_letter(record, "not_a_number", &error.to_string());
                return Outcome::Invalid;
            }
        };
        let (count, sum) = part.sums.entry(key.clone()).or_default();
        (*count, *sum) = (*count + 1, *sum + value);
        out.emit(&self.output, key.as_bytes(), format!("{count} {sum}").as_bytes(), &[]);
        part.dirty.insert(key);
        part.folded += 1;
        Outcome::Folded
    }

    fn tick(&mut self, part: &mut Part, tick: Tick, _: &mut Outbox<'_>) {
        if let (true, Some(gauge)) = (tick.caught_up, &self.caught_up) {
            gauge.set(part.folded);
        }
    }

    fn snapshot(&mut self, part: &mut Part, log: &mut Changelog<'_>) {
        for key in std::mem::take(&mut part.dirty) {
            log.put(key.as_bytes(), &serde_json::to_vec(&part.sums[&key]).unwrap());
        }
    }
}
