//! The fold from outside: scenarios to read, properties, real data.

use std::collections::BTreeMap;

use crate::decimal::Decimal;
use crate::event::Side;
use crate::metrics::{Input as Offsets, Metrics};
use crate::price::{Price, Quantity};

use super::*;

mod amend;
mod batch;
mod news;
mod old_state;
mod properties;
mod real;
mod rollup;
mod scenarios;

pub(crate) const S: i64 = 1_000_000_000;

/// A trade that owns what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Print {
    pub time: i64,
    pub id: Option<String>,
    pub price: Decimal,
    pub quantity: Decimal,
    pub side: Option<Side>,
    pub offset: i64,
}

impl Print {
    pub fn input<'a>(&'a self, symbol: &'a str) -> Input<'a> {
        Input {
            venue: "TEST",
            symbol,
            trade_id: self.id.as_deref(),
            price: Price::new(self.price),
            quantity: Quantity::new(self.quantity).expect("tests trade no negative sizes"),
            side: self.side,
            event_time: self.time,
            backfilled: false,
            offset: self.offset,
        }
    }
}

/// The end of the run: whatever is open is told.
pub(crate) const END: Moment = Moment { now: i64::MAX, caught_up: true, ending: true };

/// What of a last record is promised to be the same for any speed, batches and restarts.
pub(crate) fn said(record: &Metrics) -> Metrics {
    Metrics { rev: 0, is_final: true, closed_by: None, ..record.clone() }
}

/// What of it is promised to be the same for any order of trades in time as well.
pub(crate) fn content(record: &Metrics) -> Metrics {
    let input = Offsets { partition: 0, first_offset: 0, last_offset: 0 };
    Metrics { rev: 0, is_final: true, closed_by: None, input, late: 0, duplicate: 0, ..record.clone() }
}

/// The last revision of every window, in order of symbol, window and start.
pub(crate) fn last_revisions(records: &[Metrics]) -> Vec<Metrics> {
    let mut last = std::collections::BTreeMap::new();
    for record in records {
        let key = (record.symbol.clone(), record.window, record.window_start);
        let before = last.insert(key, record.clone());
        let expected = before.map_or(0, |b: Metrics| b.rev + 1);
        assert_eq!(record.rev, expected, "revisions have no gap: {record:?}");
    }
    last.into_values().collect()
}

/// Saves all there is of one fold and makes another of it.
pub(crate) struct Log {
    values: BTreeMap<String, Vec<u8>>,
    /// What had gone once: a reader that is slower than the broker forgets removals still finds it.
    gone: BTreeMap<String, Vec<u8>>,
}

impl Log {
    pub fn new() -> Self {
        Self { values: BTreeMap::new(), gone: BTreeMap::new() }
    }

    pub fn save(&mut self, fold: &mut Fold) {
        fold.save(|key, value| match value {
            Some(value) => {
                self.gone.remove(key);
                self.values.insert(key.to_owned(), value.to_vec());
            }
            None => {
                let known = self.values.remove(key);
                assert!(known.is_some() || self.gone.contains_key(key), "only what was written is removed: {key}");
                self.gone.extend(known.map(|value| (key.to_owned(), value)));
            }
        });
    }

    pub fn restore(&self, options: &Options) -> Fold {
        Self::read(options, &self.values)
    }

    /// As a reader that was told of no removal.
    pub fn restore_with_what_had_gone(&self, options: &Options) -> Fold {
        Self::read(options, self.gone.iter().chain(&self.values))
    }

    fn read<'a>(options: &Options, values: impl IntoIterator<Item = (&'a String, &'a Vec<u8>)>) -> Fold {
        let mut fold = Fold::new(options, 0).unwrap();
        for (key, value) in values {
            fold.restore(key.as_bytes(), Some(value)).unwrap();
        }
        fold
    }

    pub fn keys(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}
