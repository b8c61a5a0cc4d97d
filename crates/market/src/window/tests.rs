//! The fold from outside: scenarios to read, properties, real data.

use crate::decimal::Decimal;
use crate::event::Side;
use crate::metrics::{Input as Offsets, Metrics};
use crate::price::{Price, Quantity};

use super::*;

mod amend;
mod batch;
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
pub(crate) struct Log(std::collections::BTreeMap<String, Vec<u8>>);

impl Log {
    pub fn new() -> Self {
        Self(Default::default())
    }

    pub fn save(&mut self, fold: &mut Fold) {
        fold.save(|key, value| match value {
            Some(value) => drop(self.0.insert(key.to_owned(), value.to_vec())),
            None => assert!(self.0.remove(key).is_some(), "only what was written is removed: {key}"),
        });
    }

    pub fn restore(&self, options: &Options) -> Fold {
        let mut fold = Fold::new(options, 0).unwrap();
        for (key, value) in &self.0 {
            fold.restore(key.as_bytes(), Some(value)).unwrap();
        }
        fold
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}
