//! What a restart knows: the checkpoint of a feed, and what was written after it.
//!
//! The checkpoint says what the stream of each symbol had come to when everything was acknowledged, and where the
//! partitions ended then. What the dead process wrote after it is read from there and folded in the same way as it was
//! folded while it was written.

use std::collections::BTreeMap;
use std::time::Duration;

use market::Event;
use serde::{Deserialize, Serialize};
use streams::{Admin, Env, KafkaConfig, StreamError, header};

use super::lease::share_of;
use crate::coverage::{Coverage, Patience, Saved};
use crate::recover::{self, Places};
use crate::resume::{Ends, FeedId};
use crate::taken::Taken;
use crate::venues::Continuity;

/// The partitions must have stood still for so long: the last records of a killed process may still be on their way.
const SETTLE: Duration = Duration::from_millis(500);

/// The value of a checkpoint. Fields may be added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    pub version: u32,
    pub feed: String,
    /// The process stopped in peace: nothing of it is on its way any more.
    pub clean: bool,
    pub symbols: BTreeMap<String, Saved>,
    /// Of a polled venue.
    #[serde(skip_serializing_if = "Taken::is_empty")]
    pub taken: Taken,
    pub topics: BTreeMap<String, Ends>,
    pub written: i64,
}

/// A part of a feed's symbols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: usize,
    pub of: usize,
}

impl Part {
    fn has(self, symbol: &str) -> bool {
        self.of == 1 || share_of(symbol, self.of) == self.number
    }
}

/// A share of a feed as its records are told and remembered.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: String,
    /// Without a key in it.
    pub address: String,
    /// `None`: it is polled.
    pub continuity: Option<Continuity>,
    pub part: Part,
}

impl Named {
    /// Header `source`.
    pub fn label(&self) -> String {
        format!("live:{}", self.name)
    }

    /// Of the checkpoint of this share.
    pub fn key(&self) -> String {
        let key = FeedId::live(&self.name).key();
        if self.part.of == 1 { key } else { format!("{key}#{}", self.part.number) }
    }

    /// It is the checkpoint of some share of this feed, however that was divided then.
    fn may_know(&self, key: &str) -> bool {
        let rest = key.strip_prefix(&FeedId::live(&self.name).key());
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('#').is_some_and(|n| n.parse::<usize>().is_ok()))
    }
}

/// What is in Kafka of a feed, or on its way there.
pub enum Memory {
    Streamed(Coverage),
    Polled(Taken),
}

/// What a feed goes on from.
#[derive(Clone, Debug, Default)]
pub struct Stood {
    pub symbols: BTreeMap<String, Saved>,
    pub taken: Taken,
}

impl Memory {
    /// That only remembers.
    fn of(feed: &Named) -> Memory {
        match feed.continuity {
            Some(continuity) => Memory::Streamed(Coverage::new(continuity, Patience::default())),
            None => Memory::Polled(Taken::default()),
        }
    }

    fn take_saved(&mut self, checkpoint: &Checkpoint) {
        match self {
            Memory::Streamed(coverage) => coverage.take_saved(&checkpoint.symbols),
            Memory::Polled(taken) => *taken = checkpoint.taken.clone(),
        }
    }

    /// Remembers a record that is in Kafka, or will be before the next checkpoint.
    pub fn fold(&mut self, event: &Event) {
        match (self, event) {
            (Memory::Streamed(coverage), Event::Trade(trade)) => coverage.written(trade),
            (Memory::Streamed(coverage), Event::Gap(gap)) => coverage.said(gap),
            (Memory::Streamed(_), _) => {}
            (Memory::Polled(taken), event) => taken.note(event),
        }
    }

    /// The same of a dead letter.
    pub fn fold_bad(&mut self, text: &[u8]) {
        if let Memory::Polled(taken) = self {
            taken.note_bad(text);
        }
    }

    /// An id that is no trade's.
    pub fn used(&mut self, symbol: &str, id: u64, time: i64) {
        if let Memory::Streamed(coverage) = self {
            coverage.used(symbol, id, time, 0);
        }
    }

    pub fn save(&self) -> Stood {
        match self {
            Memory::Streamed(coverage) => Stood { symbols: coverage.save(), taken: Taken::default() },
            Memory::Polled(taken) => Stood { symbols: BTreeMap::new(), taken: taken.clone() },
        }
    }
}

/// What the records of a share come to; empty for one that never ran.
pub fn restore(
    env: &Env,
    kafka: &KafkaConfig,
    admin: &Admin,
    places: &Places,
    feed: &Named,
) -> streams::Result<Memory> {
    let (mut known, used) = begin(feed, &checkpoints(env, kafka, places, feed)?);
    let (label, unclean) = (feed.label(), used.iter().any(|checkpoint| !checkpoint.clean));
    let mut read_to: Option<Ends> = None;
    loop {
        let mut ends = recover::ends(admin, places)?;
        let end = ends.remove(&places.output).unwrap_or_default();
        if read_to.as_ref() == Some(&end) {
            return Ok(known);
        }
        if let Some(from) = start(&end, &used, places, read_to.as_ref()) {
            streams::read_topic(env, kafka, &places.output, &from, |record| {
                if record.header(header::SOURCE) == Some(label.as_bytes())
                    && let Some(Ok(event)) = record.value.map(Event::decode)
                    && event.symbol().is_none_or(|symbol| feed.part.has(symbol))
                {
                    known.fold(&event);
                }
            })?;
        }
        read_to = Some(end);
        if !unclean {
            return Ok(known);
        }
        if env.shutdown.wait_timeout(SETTLE) {
            return Err(StreamError::Stopped("looking for the last records of a live feed".to_owned()));
        }
    }
}

/// What the checkpoints say of a share, and which of them say it: its own, and where the feed was divided otherwise before, those that
/// know its symbols.
fn begin(feed: &Named, checkpoints: &BTreeMap<String, Checkpoint>) -> (Memory, Vec<Checkpoint>) {
    let (mut memory, own) = (Memory::of(feed), checkpoints.get(&feed.key()));
    let mut newest: BTreeMap<&String, (i64, &String)> = BTreeMap::new();
    for (key, checkpoint) in checkpoints {
        for symbol in checkpoint.symbols.keys().filter(|symbol| feed.part.has(symbol)) {
            let known = newest.entry(symbol).or_insert((checkpoint.written, key));
            *known = (*known).max((checkpoint.written, key));
        }
    }
    let used = |key: &String| own.is_none() || *key == feed.key() || newest.values().any(|(_, of)| *of == key);
    let mut all = Vec::new();
    for (key, checkpoint) in checkpoints.iter().filter(|(key, _)| used(key)) {
        let mut part = checkpoint.clone();
        part.symbols.retain(|symbol, _| newest.get(symbol).is_some_and(|(_, of)| *of == key));
        memory.take_saved(&part);
        all.push(part);
    }
    (memory, all)
}

fn checkpoints(
    env: &Env,
    kafka: &KafkaConfig,
    places: &Places,
    feed: &Named,
) -> streams::Result<BTreeMap<String, Checkpoint>> {
    let mut found = BTreeMap::new();
    streams::read_topic(env, kafka, &places.leases, &BTreeMap::new(), |record| {
        let Some(key) = record.key.and_then(|key| std::str::from_utf8(key).ok()) else { return };
        if !feed.may_know(key) {
            return;
        }
        match record.value.map(serde_json::from_slice::<Checkpoint>) {
            Some(Ok(checkpoint)) => drop(found.insert(key.to_owned(), checkpoint)),
            Some(Err(error)) => tracing::warn!(key, %error, "checkpoint cannot be read, the one before it counts"),
            None => drop(found.remove(key)),
        }
    })?;
    Ok(found)
}

/// Where to read from: the earliest of the checkpoints, or where the last look ended. `None` if there is nothing to find.
fn start(
    end: &Ends,
    checkpoints: &[Checkpoint],
    places: &Places,
    read_to: Option<&Ends>,
) -> Option<BTreeMap<i32, i64>> {
    if let Some(read_to) = read_to {
        return Some((0..).zip(read_to.offsets.iter().copied()).collect());
    }
    // A topic made again under the same name holds nothing of an earlier run.
    let of_topic = checkpoints.iter().filter_map(|checkpoint| checkpoint.topics.get(&places.output));
    let known: Vec<&Ends> = of_topic.filter(|before| before.id == end.id).collect();
    let earliest = |partition: usize| known.iter().map(|ends| ends.offsets.get(partition).copied().unwrap_or(0)).min();
    let from = (0..).zip(0..end.offsets.len()).map(|(partition, index)| Some((partition, earliest(index)?)));
    from.collect::<Option<BTreeMap<i32, i64>>>().filter(|from| !from.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_checkpoints_read_for_ever() {
        let old = r#"{"version":1,"feed":"binance","clean":true,"symbols":{"BINANCE:BTCUSDT":{"time":5,"low":1,"high":9,"missing":[[3,4,1,2]],"declared":[[7,7]]}},"topics":{"raw-market-data":{"id":"x","offsets":[1,2,3]}},"written":7}"#;
        let checkpoint: Checkpoint = serde_json::from_str(old).unwrap();
        let saved = &checkpoint.symbols["BINANCE:BTCUSDT"];
        assert_eq!(
            (saved.high, &saved.missing[..], &saved.declared[..]),
            (Some(9), &[(3, 4, 1, 2)][..], &[(7, 7)][..])
        );
        assert_eq!(
            serde_json::from_str::<Checkpoint>(&serde_json::to_string(&checkpoint).unwrap()).unwrap(),
            checkpoint
        );
    }

    #[test]
    fn the_search_begins_at_the_earliest_checkpoint_of_this_very_topic() {
        let places = Places { output: "raw".to_owned(), dead_letters: String::new(), leases: String::new() };
        let ends = |id: &str, offsets: &[i64]| Ends { id: id.to_owned(), offsets: offsets.to_vec() };
        let checkpoint =
            |ends: Ends| Checkpoint { topics: BTreeMap::from([("raw".to_owned(), ends)]), ..Default::default() };
        let two = [checkpoint(ends("x", &[5, 9])), checkpoint(ends("x", &[6, 2]))];
        let now = ends("x", &[10, 10, 10]);
        assert_eq!(start(&now, &two, &places, None), Some(BTreeMap::from([(0, 5), (1, 2), (2, 0)])));
        assert_eq!(start(&ends("y", &[10, 10]), &two, &places, None), None);
        assert_eq!(start(&now, &two, &places, Some(&ends("x", &[7, 7, 7]))).unwrap()[&1], 7);
    }
}
