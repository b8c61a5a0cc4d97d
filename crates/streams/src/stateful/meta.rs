//! The mark that each partition of a changelog carries: what its state stands for.

use serde::{Deserialize, Serialize};

use super::Settings;
use super::ledger::Counts;
use super::world::Input;

/// Written in every transaction, beside the state it describes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Form of this mark.
    pub v: u32,
    /// [`super::Stage::layout`] of the stage that wrote the state.
    pub layout: u32,
    pub group: String,
    pub input: String,
    /// An input that was deleted and made again has the same name and other records.
    pub topic_id: String,
    /// A key moves to another partition when their number changes: the state would no longer belong to its records.
    pub partitions: i32,
    /// The state holds exactly the records before it.
    pub next_offset: i64,
    /// Every record since the state began, by outcome.
    pub counts: Counts,
    #[serde(default, skip_serializing_if = "Past::is_empty")]
    pub past: Past,
}

/// The partitions of before, oldest first: the offset at which each ended when their number was raised.
///
/// The records of a key lie in one partition and, before that, in another whose offsets have nothing to do with it. In
/// the *order of the key* they are numbered through: those of today come after the end of every partition of before.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Past(pub(super) Vec<Vec<i64>>);

impl Past {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is added to an offset of today.
    pub fn base(&self) -> i64 {
        self.0.iter().map(|ends| Past::length(ends)).sum()
    }

    fn length(ends: &[i64]) -> i64 {
        ends.iter().copied().max().unwrap_or(0)
    }

    /// The stretches of partitions that hold the records of `key` from `first` to `last` in the order of the key, oldest
    /// first; `today` is the key's partition now.
    pub fn stretches(&self, key: &[u8], today: i32, first: i64, last: i64) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut base = 0;
        for ends in &self.0 {
            let partition = market::symbol::partition(key, i32::try_from(ends.len()).unwrap_or(i32::MAX));
            let end = usize::try_from(partition).ok().and_then(|at| ends.get(at).copied()).unwrap_or(0);
            let stretch = Stretch { partition, first: (first - base).max(0), last: (last - base).min(end - 1) };
            stretches.extend((stretch.first <= stretch.last).then_some(stretch));
            base += Past::length(ends);
        }
        let stretch = Stretch { partition: today, first: (first - base).max(0), last: last - base };
        stretches.extend((stretch.first <= stretch.last).then_some(stretch));
        stretches
    }
}

/// Offsets of one partition, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    pub partition: i32,
    pub first: i64,
    pub last: i64,
}

pub(super) const VERSION: u32 = 1;

/// What the state must stand for to be used here.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// As [`crate::Env::service`].
    pub service: &'static str,
    pub layout: u32,
    pub group: String,
    pub input: String,
    pub topic_id: String,
    pub partitions: i32,
    pub changelog: String,
}

impl Expected {
    pub(super) fn new(service: &'static str, settings: &Settings, layout: u32, input: Input) -> Self {
        Expected {
            service,
            layout,
            group: settings.group.clone(),
            input: settings.input.clone(),
            topic_id: input.topic_id,
            partitions: input.partitions,
            changelog: settings.changelog.clone(),
        }
    }

    pub(super) fn meta(&self, next_offset: i64, counts: Counts, past: &Past) -> Meta {
        Meta {
            v: VERSION,
            layout: self.layout,
            group: self.group.clone(),
            input: self.input.clone(),
            topic_id: self.topic_id.clone(),
            partitions: self.partitions,
            next_offset,
            counts,
            past: past.clone(),
        }
    }

    /// Where to go on from this mark and this committed position; `None`: nothing was done here yet.
    ///
    /// # Errors
    /// When the two disagree. Going on would count records twice or skip them, so a human has to choose.
    pub(super) fn agree(
        &self,
        partition: i32,
        meta: Option<&Meta>,
        committed: Option<i64>,
    ) -> Result<Option<i64>, String> {
        let Expected { group, input, changelog, .. } = self;
        let at = format!("{input}[{partition}] of the group {group}");
        let Some(meta) = meta else {
            return match committed {
                None => Ok(None),
                Some(offset) => Err(format!(
                    "{at} is committed up to {offset}, but {changelog} holds no state for it: the state was lost or \
                     belongs to another topic. {REBUILD}"
                )),
            };
        };
        if meta.v != VERSION || meta.layout != self.layout {
            return Err(format!(
                "the state of {at} in {changelog} has the form {}.{}, this program reads {VERSION}.{}. Run the program \
                 that wrote it, or start over. {REBUILD}",
                meta.v, meta.layout, self.layout
            ));
        }
        if meta.input != *input || meta.group != *group {
            return Err(format!(
                "the state in {changelog} belongs to {} of the group {}, not to {at}: give each its own changelog topic",
                meta.input, meta.group
            ));
        }
        if meta.topic_id != self.topic_id {
            return Err(format!(
                "{input} was deleted and made again since the state in {changelog} was written (its id was {}, it is \
                 {}): the state stands for records that are gone. {REBUILD}",
                meta.topic_id, self.topic_id
            ));
        }
        if meta.partitions != self.partitions {
            return Err(format!(
                "{input} had {} partitions when the state in {changelog} was written and has {} now: keys have moved \
                 between partitions, and with them their records, but not their state. {}",
                meta.partitions,
                self.partitions,
                steps(self.service, self.partitions)
            ));
        }
        match committed {
            Some(offset) if offset == meta.next_offset => Ok(Some(offset)),
            Some(offset) => Err(format!(
                "{at} is committed up to {offset}, but its state in {changelog} stands at {}: somebody moved the \
                 group's position. Move it back to {}, or start over. {REBUILD}",
                meta.next_offset, meta.next_offset
            )),
            None => Err(format!(
                "the state of {at} in {changelog} stands at {}, but the group has no committed position: it expired or \
                 was deleted. Set it to {}, or start over. {REBUILD}",
                meta.next_offset, meta.next_offset
            )),
        }
    }
}

pub(super) const REBUILD: &str = "`--set rebuild=true` throws the state away and folds the input again from its start, emitting again what \
                       comes of it";

/// What to do about a number of partitions that has changed.
pub(super) fn steps(service: &str, partitions: i32) -> String {
    format!(
        "Stop whatever writes to the input, and every process of this stage; run `finflow repartition {service} \
         --partitions {partitions}`, which carries the state over; then start them again"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        Expected {
            service: "aggregate",
            layout: 3,
            group: "aggregate".to_owned(),
            input: "raw-market-data".to_owned(),
            topic_id: "AAAAAAAAAAAAAAAAAAAAAQ".to_owned(),
            partitions: 3,
            changelog: "finflow-aggregate-state".to_owned(),
        }
    }

    /// The example of `docs/topics.md` is a mark, and this code writes it as it stands there.
    #[test]
    fn the_documented_mark_is_written_back_to_the_same_bytes() {
        let page = include_str!("../../../../docs/topics.md");
        let example = page.split_once("```json meta\n").and_then(|(_, rest)| rest.split_once("\n```"));
        let (example, _) = example.expect("the page has an example");
        let meta: Meta = serde_json::from_str(example).expect("the example is a mark");
        assert_eq!(serde_json::to_string(&meta).expect("a mark is plain data"), example);
        assert_eq!(meta.v, VERSION);
        assert_eq!(
            meta.counts.sum(),
            meta.next_offset.unsigned_abs(),
            "every record before the position has an outcome"
        );
        assert!(page.contains("the key\n`meta` (with a zero byte before it)"));
        assert_eq!(crate::stateful::outbox::META_KEY, b"\0meta");
    }

    #[test]
    fn goes_on_only_where_mark_and_position_agree() {
        let expected = expected();
        let meta = expected.meta(42, Counts::default(), &Past::default());
        assert_eq!(expected.agree(0, None, None), Ok(None));
        assert_eq!(expected.agree(0, Some(&meta), Some(42)), Ok(Some(42)));
        let refused = |meta: Option<&Meta>, committed, part: &str| {
            let error = expected.agree(1, meta, committed).expect_err(part);
            assert!(error.contains(part), "{error}");
        };
        refused(Some(&meta), Some(41), "somebody moved the group's position");
        refused(Some(&meta), None, "expired or was deleted");
        refused(None, Some(42), "holds no state for it");
        refused(Some(&Meta { layout: 2, ..meta.clone() }), Some(42), "has the form 1.2");
        refused(Some(&Meta { v: 9, ..meta.clone() }), Some(42), "has the form 9.3");
        refused(Some(&Meta { topic_id: "x".to_owned(), ..meta.clone() }), Some(42), "deleted and made again");
        refused(Some(&Meta { partitions: 6, ..meta.clone() }), Some(42), "had 6 partitions");
        refused(
            Some(&Meta { partitions: 2, ..meta.clone() }),
            Some(42),
            "`finflow repartition aggregate --partitions 3`",
        );
        refused(Some(&Meta { group: "other".to_owned(), ..meta.clone() }), Some(42), "its own changelog topic");
    }

    /// From 3 partitions to 6, and to 12 later.
    #[test]
    fn offsets_of_before_are_found_again() {
        let past = Past(vec![vec![100, 70, 80], vec![10, 200, 150, 5, 5, 5]]);
        assert_eq!(past.base(), 300);
        let key = b"BINANCE:BTCUSDT";
        let [old, middle, today] = [3, 6, 12].map(|partitions| market::symbol::partition(key, partitions));
        let of = |first, last| {
            let stretches = past.stretches(key, today, first, last);
            stretches.iter().map(|at| (at.partition, at.first, at.last)).collect::<Vec<_>>()
        };
        let end = |ends: &[i64], partition: i32| ends[partition as usize] - 1;
        let (old_last, middle_last) = (end(&past.0[0], old), end(&past.0[1], middle));
        assert_eq!(of(300, 310), [(today, 0, 10)]);
        assert_eq!(of(7, 9), [(old, 7, 9)]);
        assert_eq!(of(101, 102), [(middle, 1, 2)]);
        assert_eq!(of(7, 301), [(old, 7, old_last), (middle, 0, middle_last), (today, 0, 1)]);
        assert_eq!(Past::default().stretches(key, today, 4, 9), [Stretch { partition: today, first: 4, last: 9 }]);
    }
}
