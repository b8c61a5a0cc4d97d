//! The metrics once more, from the stored events, and how they compare with the stored metrics.
//!
//! In: rows of the lake, in the order of their offsets. The windows are those of `market`, as in `aggregate`, without its
//! state, its transactions and its broker. Of each window the last revision is compared, in every field but `rev` and
//! `closed_by`, which speed decides.

use std::collections::{BTreeMap, BTreeSet};

use lake::Source;
use market::window::{Amendment, Fold, Hole, Input, LayoutError, Moment, Options};
use market::{Event, Metrics};
use serde::Serialize;
use serde_json::Value;

/// Symbol, window, start.
type Key = (String, String, i64);

#[derive(Default)]
pub struct Stored {
    last: BTreeMap<Key, Metrics>,
}

/// How the windows of both sides met.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub rebuilt: u64,
    pub compared: u64,
    /// No stored event is late enough to close them: told by the clock later, or not yet.
    pub open: u64,
    /// Of events that are not in the lake yet.
    pub ahead: u64,
    /// Closed by the stored events, and neither they nor any later window of the symbol is stored as final: the end of the metrics
    /// was not stored yet.
    pub behind: u64,
    /// Made with other settings than these: not compared.
    pub other_settings: u64,
    /// Of symbols whose events lie in two partitions, since their number was raised in between: not compared, for the lake does not
    /// tell in which order they were folded.
    pub split: u64,
}

pub struct Rebuild {
    options: Options,
    folds: BTreeMap<Source, Fold>,
    /// The partition that each symbol was first found in, and the symbols that were found in another as well.
    homes: BTreeMap<String, i32>,
    split: BTreeSet<String>,
    /// The last word on each window, and whether only the end of the lake closed it.
    last: BTreeMap<Key, (Metrics, bool)>,
    /// Of the partitions of the events: the offset after the last stored one.
    ends: BTreeMap<i32, i64>,
}

fn key(metrics: &Metrics) -> Key {
    (metrics.symbol.clone(), metrics.window.to_string(), metrics.window_start)
}

impl Stored {
    /// Takes a row of `metrics`.
    pub fn push(&mut self, json: &[u8]) -> Result<(), String> {
        let metrics = Metrics::decode(json).map_err(|error| error.to_string())?;
        match self.last.get(&key(&metrics)) {
            Some(known) if known.rev > metrics.rev => {}
            _ => drop(self.last.insert(key(&metrics), metrics)),
        }
        Ok(())
    }

    /// Hashes of the settings that made them.
    pub fn configs(&self) -> BTreeSet<&str> {
        self.last.values().map(|metrics| metrics.config.as_str()).collect()
    }

    /// The start of the last final window of each symbol and window.
    fn finals(&self) -> BTreeMap<(String, String), i64> {
        let mut finals = BTreeMap::new();
        for ((symbol, window, start), _) in self.last.iter().filter(|(_, metrics)| metrics.is_final) {
            finals.insert((symbol.clone(), window.clone()), *start);
        }
        finals
    }
}

/// The hash that windows of trades carry with these settings.
pub fn config_of(options: &Options) -> Result<String, LayoutError> {
    Ok(Fold::new(options, 0)?.config().to_owned())
}

impl Rebuild {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            folds: BTreeMap::new(),
            homes: BTreeMap::new(),
            split: BTreeSet::new(),
            last: BTreeMap::new(),
            ends: BTreeMap::new(),
        }
    }

    /// Takes a row of the events.
    pub fn push(&mut self, source: &Source, offset: i64, json: &[u8]) -> Result<(), String> {
        let event = Event::decode(json).map_err(|error| error.to_string())?;
        let is_future = match &event {
            Event::Trade(trade) => self.is_future(trade.event_time, trade.receive_time),
            Event::Bar(bar) => self.is_future(bar.start, bar.receive_time),
            Event::News(news) => self.is_future(news.event_time, news.receive_time),
            _ => false,
        };
        if is_future {
            return Ok(());
        }
        let fold = match self.folds.entry(source.clone()) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(new) => {
                new.insert(Fold::new(&self.options, source.partition).map_err(|error| error.to_string())?)
            }
        };
        if let Some(symbol) = event.symbol()
            && *self.homes.entry(symbol.to_owned()).or_insert(source.partition) != source.partition
        {
            self.split.insert(symbol.to_owned());
        }
        let mut out = Vec::new();
        match &event {
            Event::Trade(trade) => drop(fold.trade(&Input::of_owned(trade, offset), &mut out)),
            Event::Bar(bar) => drop(fold.bar(bar, offset, &mut out)),
            Event::Gap(gap) => fold.gap(&gap.symbol, Hole::of(gap)),
            Event::Cancel(cancel) => amend(fold, &Amendment::of_cancel(cancel, offset), &mut out),
            Event::Correction(correction) => amend(fold, &Amendment::of_correction(correction, offset), &mut out),
            Event::News(news) => fold.news(news, offset),
            Event::Quote(_) | Event::Heartbeat(_) => {}
        }
        out.into_iter().for_each(|metrics| drop(self.last.insert(key(&metrics), (metrics, false))));
        Ok(())
    }

    /// The chain of the events' partition is stored below this offset.
    pub fn ends_at(&mut self, source: &Source, end: i64) {
        let known = self.ends.entry(source.partition).or_default();
        *known = end.max(*known);
    }

    /// A record without a receive time is measured against Kafka's, which the lake does not have: it passes here.
    fn is_future(&self, event_time: i64, receive_time: Option<i64>) -> bool {
        receive_time.is_some_and(|received| event_time.saturating_sub(received) > self.options.future_tolerance_ns)
    }

    /// Names each difference.
    pub fn compare(mut self, stored: Stored, mut differs: impl FnMut(String)) -> Counts {
        for fold in self.folds.values_mut() {
            let mut out = Vec::new();
            fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
            out.into_iter().for_each(|metrics| drop(self.last.insert(key(&metrics), (metrics, true))));
        }
        let mut counts = Counts { rebuilt: self.last.len() as u64, ..Counts::default() };
        let told_until = stored.finals();
        let mut stored = stored.last;
        for (key, (built, is_open)) in &self.last {
            if self.split.contains(&key.0) {
                stored.remove(key);
                counts.split += 1;
                continue;
            }
            let is_behind = told_until.get(&(key.0.clone(), key.1.clone())).is_none_or(|start| key.2 > *start);
            match stored.remove(key) {
                Some(found) if self.is_ahead(&found) => counts.ahead += 1,
                Some(found) if found.config != built.config => counts.other_settings += 1,
                Some(found) if found.is_final => {
                    counts.compared += 1;
                    if let Some(fields) = differing(&found, built) {
                        differs(format!("{}: {fields}", named(key)));
                    }
                }
                _ if *is_open => counts.open += 1,
                _ if is_behind => counts.behind += 1,
                Some(_) => {
                    differs(format!("{}: the stored events close it, and no final record of it is stored", named(key)))
                }
                None => differs(format!("{}: the stored events make it, and it is not stored", named(key))),
            }
        }
        let configs: BTreeSet<&str> = self.last.values().map(|(built, _)| built.config.as_str()).collect();
        for (key, found) in &stored {
            if self.split.contains(&key.0) {
                counts.split += 1;
            } else if self.is_ahead(found) {
                counts.ahead += 1;
            } else if !configs.contains(found.config.as_str()) {
                counts.other_settings += 1;
            } else {
                differs(format!("{}: it is stored, and no stored event makes it", named(key)));
            }
        }
        counts
    }

    fn is_ahead(&self, stored: &Metrics) -> bool {
        self.ends.get(&stored.input.partition).is_none_or(|end| stored.input.last_offset >= *end)
    }
}

/// Windows that it revises are told at the next tick, which no clock needs.
fn amend(fold: &mut Fold, amendment: &Amendment<'_>, out: &mut Vec<Metrics>) {
    fold.amend(amendment);
    fold.tick(Moment { now: 0, caught_up: false, ending: false }, out);
}

fn named((symbol, window, start): &Key) -> String {
    format!("metrics of {symbol}, window {window} from {start}")
}

/// The fields that differ, with both values.
fn differing(stored: &Metrics, built: &Metrics) -> Option<String> {
    let fields = |metrics: &Metrics| -> serde_json::Map<String, Value> {
        let mut json = Vec::new();
        Metrics { rev: 0, is_final: true, closed_by: None, ..metrics.clone() }.encode(&mut json);
        // Numbers keep their digits as text: a double would hide a difference behind its own rounding.
        let raw: BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_slice(&json).unwrap_or_default();
        raw.into_iter().map(|(name, value)| (name, Value::String(value.get().to_owned()))).collect()
    };
    let (stored, built) = (fields(stored), fields(built));
    let names: BTreeSet<&String> = stored.keys().chain(built.keys()).collect();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("nothing").to_owned();
    let differs = names.into_iter().filter(|name| stored.get(*name) != built.get(*name));
    let parts: Vec<String> = differs
        .map(|name| format!("{name} is {} and should be {}", text(stored.get(name)), text(built.get(name))))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000_000;

    fn source() -> Source {
        Source::new("raw", "id", 0)
    }

    fn rebuild() -> Rebuild {
        Rebuild::new(Options { rollups: Vec::new(), ..Options::default() })
    }

    /// A trade per half minute from 0 on.
    fn feed(rebuild: &mut Rebuild, trades: i64) {
        for n in 0..trades {
            let (price, time) = (100 + n, n * MINUTE / 2);
            let json = format!(
                r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"A","trade_id":"{n}","price":{price},"quantity":1,"event_time":{time}}}"#
            );
            rebuild.push(&source(), n, json.as_bytes()).unwrap();
        }
        rebuild.ends_at(&source(), trades);
    }

    /// What `aggregate` would have stored of the same trades.
    fn stored(trades: i64, change: impl Fn(&mut Metrics)) -> Stored {
        let mut other = rebuild();
        feed(&mut other, trades);
        let mut stored = Stored::default();
        for (mut metrics, _) in other.last.into_values() {
            change(&mut metrics);
            let mut json = Vec::new();
            metrics.encode(&mut json);
            stored.push(&json).unwrap();
        }
        stored
    }

    fn compare(trades: i64, stored: Stored) -> (Counts, Vec<String>) {
        let (mut rebuild, mut differences) = (rebuild(), Vec::new());
        feed(&mut rebuild, trades);
        (rebuild.compare(stored, |difference| differences.push(difference)), differences)
    }

    #[test]
    fn equal_metrics_have_no_difference_and_the_open_window_is_no_loss() {
        let (counts, differences) = compare(20, stored(20, |_| ()));
        assert_eq!(differences, [""; 0]);
        assert!(counts.compared > 10 && counts.open > 0, "{counts:?}");
    }

    #[test]
    fn a_number_that_is_off_by_its_last_digit_is_named() {
        let change = |metrics: &mut Metrics| {
            if metrics.window_start == 2 * MINUTE && metrics.window.to_string() == "1m" {
                metrics.vwap = "104.500000000000000001".parse().ok();
            }
        };
        let (_, differences) = compare(20, stored(20, change));
        let said = "metrics of A, window 1m from 120000000000: vwap is 104.500000000000000001 and should be 104.5";
        assert_eq!(differences, [said]);
    }

    #[test]
    fn a_cancelled_trade_is_not_in_the_window_that_held_it() {
        let cancel = r#"{"kind":"cancel","schema_version":1,"venue":"X","symbol":"A","trade_id":"18","price":118,"quantity":1,"trade_time":540000000000,"event_time":600000000000}"#;
        let count = |with: bool| {
            let (mut rebuild, mut out) = (rebuild(), Vec::new());
            feed(&mut rebuild, 20);
            if with {
                rebuild.push(&source(), 20, cancel.as_bytes()).unwrap();
            }
            let end = Moment { now: i64::MAX, caught_up: true, ending: true };
            rebuild.folds.get_mut(&source()).unwrap().tick(end, &mut out);
            let is = |metrics: &&Metrics| metrics.window.to_string() == "1m" && metrics.window_start == 9 * MINUTE;
            out.iter().rfind(is).unwrap().trade_count
        };
        assert_eq!((count(false), count(true)), (2, 1));
    }

    #[test]
    fn a_window_too_few_and_one_too_many_are_named() {
        let mut fewer = stored(20, |_| ());
        fewer.last.retain(|(_, window, start), _| window != "1m" || *start != 3 * MINUTE);
        let (_, differences) = compare(20, fewer);
        assert_eq!(differences.len(), 1);
        assert!(differences[0].contains("from 180000000000: the stored events make it"), "{differences:?}");

        let (_, differences) = compare(
            20,
            stored(20, |metrics| {
                if metrics.window_start == 3 * MINUTE && metrics.window.to_string() == "1m" {
                    metrics.symbol = "B".to_owned();
                }
            }),
        );
        assert_eq!(differences.len(), 2, "{differences:?}");
        assert!(differences[1].contains("of B, window 1m from 180000000000: it is stored"), "{differences:?}");
    }

    #[test]
    fn a_symbol_that_has_moved_to_another_partition_is_not_compared() {
        let (mut rebuild, mut differences) = (rebuild(), Vec::new());
        feed(&mut rebuild, 20);
        let json = r#"{"kind":"trade","schema_version":1,"venue":"X","symbol":"A","trade_id":"99","price":1,"quantity":1,"event_time":1}"#;
        rebuild.push(&Source::new("raw", "id", 3), 0, json.as_bytes()).unwrap();
        let counts = rebuild.compare(stored(20, |_| ()), |difference| differences.push(difference));
        assert_eq!((differences.len(), counts.compared), (0, 0));
        assert!(counts.split > 0);
    }

    #[test]
    fn what_is_ahead_of_the_stored_events_or_made_otherwise_is_counted() {
        let (counts, differences) = compare(20, stored(40, |_| ()));
        assert_eq!(differences, [""; 0]);
        assert!(counts.ahead > 0);
        let (counts, differences) = compare(20, stored(20, |metrics| metrics.config = "other".to_owned()));
        assert_eq!(differences, [""; 0]);
        assert_eq!((counts.compared, counts.other_settings > 0), (0, true));
    }
}
