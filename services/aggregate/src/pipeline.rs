//! The windows as a transactional stage: the loop itself is `streams::stateful`, the windows are `market::window`.

#[cfg(test)]
mod simulation;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use harness::Registry;
use harness::prom::IntGauge;
use market::codec::TradeRef;
use market::window::{Amendment, Counts, Fold, Hole, Input, Moment, Options, Outcome as Folded, StateError};
use market::{Bar, Event, EventRef, Input as Provenance, Metrics, Reason};
use streams::stateful::{Changelog, Outbox, Outcome, Past, Settings, Stage, Stretch, Tick};
use streams::{Record, header};

use crate::config::Config;
use crate::error::AggregateError;
use crate::observe::{self, Observe};

/// Why a trade is set aside that is a record of ours.
pub const REASONS: [&str; 3] = [LATE, FUTURE, UNKNOWN];
/// No window takes the trade any more.
const LATE: &str = "late";
/// The venue's clock was this far ahead of ours, or the record is wrong: either way it must not move a watermark.
const FUTURE: &str = "future_timestamp";

/// A cancel or a correction of a trade that was never folded here, or was taken back before.
const UNKNOWN: &str = "unknown_trade";

/// Ticks are never closer than this, however short the throttle.
const SHORTEST_TICK: std::time::Duration = std::time::Duration::from_millis(10);

pub fn settings(config: &Config) -> Settings {
    let defaults = Settings::new(config.group.as_str(), config.input.as_str(), config.state.as_str());
    Settings {
        outputs: vec![config.output.clone()],
        dead_letters: config.dead_letters.clone(),
        reasons: Reason::ALL.iter().map(|reason| reason.as_str()).chain(REASONS).collect(),
        transactional_id: config.transactional_id.clone(),
        commit_interval: *config.commit_interval,
        tick_interval: config.update_throttle.0.clamp(SHORTEST_TICK, defaults.tick_interval),
        rebuild: config.rebuild,
        ..defaults
    }
}

pub struct Aggregator {
    config: Config,
    options: Options,
    /// Header `source` of the metrics.
    source: String,
    observe: Observe,
    held: IntGauge,
    /// The partition each symbol was first seen on.
    homes: HashMap<Box<str>, i32>,
    /// The latest event time folded.
    latest: Option<i64>,
    /// When the first record came, and the CPU time of the process then.
    first: Option<(Instant, f64)>,
    records: Vec<Metrics>,
    value: Vec<u8>,
}

/// The windows of one partition.
pub struct Part {
    partition: i32,
    fold: Fold,
    symbols: Held,
    /// Records are put in order by offset: what is added to those of today, and what those of before were.
    past: Past,
    /// What of the fold's counts has been told.
    told: Counts,
}

impl Part {
    /// The place of a record among all of its key.
    fn place(&self, record: &Record<'_>) -> i64 {
        record.offset + self.past.base()
    }

    /// The partitions and offsets that these places stand for.
    fn trace(&self, metrics: &mut Metrics) {
        let Provenance { first_offset, last_offset, .. } = metrics.input;
        let stretches = self.past.stretches(metrics.symbol.as_bytes(), self.partition, first_offset, last_offset);
        let input = |at: &Stretch| Provenance { partition: at.partition, first_offset: at.first, last_offset: at.last };
        if let Some((latest, before)) = stretches.split_last() {
            metrics.input = input(latest);
            metrics.input_before = before.iter().map(input).collect();
        }
    }
}

/// A share in a gauge, given back when it is dropped.
struct Held(IntGauge, i64);

impl Held {
    fn set(&mut self, count: usize) {
        let count = count as i64;
        self.0.add(count - self.1);
        self.1 = count;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.set(0);
    }
}

/// What is left to say when the loop has ended.
pub struct Ended {
    pub wall_seconds: f64,
    pub cpu_seconds: f64,
    pub late_for_window: BTreeMap<String, u64>,
}

impl Aggregator {
    pub fn new(config: &Config, registry: &Registry) -> Result<Self, AggregateError> {
        let options = config.options()?;
        // Each partition makes a fold of its own later, where an error would have no good place.
        Fold::new(&options, 0)?;
        let held = registry.gauge("symbols", "Symbols whose windows are held.");
        Ok(Aggregator {
            config: config.clone(),
            options,
            source: header::source_of(&config.input),
            observe: Observe::new(config, registry),
            held,
            homes: HashMap::new(),
            latest: None,
            first: None,
            records: Vec::new(),
            value: Vec::new(),
        })
    }

    pub fn ended(&self) -> Ended {
        let since = |(began, cpu): (Instant, f64)| (began.elapsed().as_secs_f64(), harness::cpu_seconds() - cpu);
        let (wall_seconds, cpu_seconds) = self.first.map(since).unwrap_or_default();
        Ended { wall_seconds, cpu_seconds, late_for_window: self.observe.late_by_window(&self.config) }
    }

    /// Whether the record is from the future: then it has been set aside.
    fn is_future(
        &self,
        record: &Record<'_>,
        symbol: &str,
        event_time: i64,
        receive_time: Option<i64>,
        out: &mut Outbox<'_>,
    ) -> bool {
        let ahead = ahead_of_receipt(record, event_time, receive_time).unwrap_or(0);
        if ahead <= self.config.future_tolerance.as_ns() {
            return false;
        }
        self.observe.future(record, symbol, ahead);
        out.dead_letter(record, FUTURE, &format!("event time is {} ms after receive time", ahead / 1_000_000));
        true
    }

    fn trade(&mut self, part: &mut Part, trade: &TradeRef<'_>, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        if self.is_future(record, &trade.symbol, trade.event_time, trade.receive_time, out) {
            return Outcome::Invalid;
        }
        let input = Input::of(trade, part.place(record));
        let known = part.fold.symbols();
        let outcome = part.fold.trade(&input, &mut self.records);
        if part.fold.symbols() != known {
            self.settle_home(&trade.symbol, part.partition);
        }
        if outcome == Folded::Folded {
            self.latest = self.latest.max(Some(trade.event_time));
        }
        let watermark = || part.fold.watermark(&trade.symbol);
        self.outcome(outcome, record, &trade.symbol, || watermark().map(|mark| mark - trade.event_time), out)
    }

    /// A bar is from the future if it starts there; one that is not over yet may be the venue's day.
    fn bar(&mut self, part: &mut Part, bar: &Bar, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        if self.is_future(record, &bar.symbol, bar.start, bar.receive_time, out) {
            return Outcome::Invalid;
        }
        let known = part.fold.symbols();
        let outcome = part.fold.bar(bar, part.place(record), &mut self.records);
        if part.fold.symbols() != known {
            self.settle_home(&bar.symbol, part.partition);
        }
        let watermark = || part.fold.watermark_of_bars(&bar.symbol, bar.interval);
        self.outcome(outcome, record, &bar.symbol, || watermark().map(|mark| mark - bar.start), out)
    }

    /// A cancel or a correction. It moves no watermark, so its own time is not looked at.
    fn amend(
        &mut self,
        part: &mut Part,
        amendment: &Amendment<'_>,
        record: &Record<'_>,
        out: &mut Outbox<'_>,
    ) -> Outcome {
        let outcome = part.fold.amend(amendment);
        let symbol = amendment.symbol;
        let time = amendment.trade_time;
        let watermark = || part.fold.watermark(symbol);
        self.outcome(outcome, record, symbol, || Some(watermark()? - time?), out)
    }

    /// What the loop is told, and the dead letters.
    fn outcome(
        &self,
        outcome: Folded,
        record: &Record<'_>,
        symbol: &str,
        behind: impl Fn() -> Option<i64>,
        out: &mut Outbox<'_>,
    ) -> Outcome {
        match outcome {
            Folded::Folded => Outcome::Folded,
            Folded::Duplicate => Outcome::Duplicate,
            Folded::OutOfRange => {
                self.invalid(record, Reason::BadTime, "event_time: no window there ends within 64 bits", out)
            }
            Folded::Late => {
                let behind = behind().unwrap_or(0);
                self.observe.late(record, symbol, behind);
                let detail = format!("event time is {} ms behind the watermark", behind / 1_000_000);
                out.dead_letter(record, LATE, &detail);
                Outcome::Late
            }
            Folded::Doubtful => {
                self.observe.late(record, symbol, behind().unwrap_or(0));
                let detail = "the trade is kept no more, and its time, price and quantity are not repeated or are not \
                              those of the trade: open windows that may hold it say `partial`";
                out.dead_letter(record, LATE, detail);
                Outcome::Late
            }
            Folded::Unknown => {
                self.observe.invalid(record, UNKNOWN, "no such trade was folded, or it was taken back before");
                out.dead_letter(record, UNKNOWN, "no such trade was folded, or it was taken back before");
                Outcome::Invalid
            }
            Folded::NoRollup => {
                self.observe.unfolded_bar(record, symbol, observe::NO_ROLLUP);
                Outcome::OtherKind
            }
            Folded::Across => {
                self.observe.unfolded_bar(record, symbol, observe::ACROSS);
                Outcome::OtherKind
            }
        }
    }

    fn invalid(&self, record: &Record<'_>, reason: Reason, detail: &str, out: &mut Outbox<'_>) -> Outcome {
        self.observe.invalid(record, reason.as_str(), detail);
        out.dead_letter(record, reason.as_str(), detail);
        Outcome::Invalid
    }

    /// A symbol belongs to one partition: on two, each would hold a part of its trades.
    fn settle_home(&mut self, symbol: &str, partition: i32) {
        match self.homes.get(symbol) {
            None => drop(self.homes.insert(symbol.into(), partition)),
            Some(home) if *home != partition => self.observe.moved(symbol, (*home, partition)),
            Some(_) => {}
        }
    }

    fn emit(&mut self, part: &Part, out: &mut Outbox<'_>) {
        for mut metrics in self.records.drain(..) {
            if !part.past.is_empty() {
                part.trace(&mut metrics);
            }
            self.value.clear();
            metrics.encode(&mut self.value);
            let id = format!("{}/{}/{}/{}", metrics.symbol, metrics.window, metrics.window_start, metrics.rev);
            let headers: [(&str, &[u8]); 4] = [
                (header::CONTENT_TYPE, b"application/json"),
                (header::SCHEMA_VERSION, b"1"),
                (header::SOURCE, self.source.as_bytes()),
                (header::EVENT_ID, id.as_bytes()),
            ];
            out.emit(&self.config.output, metrics.symbol.as_bytes(), &self.value, &headers);
        }
    }

    /// Brings the metrics up to what the fold has counted since.
    fn tell_counts(&self, part: &mut Part) {
        let counts = part.fold.counts();
        if *counts != part.told {
            let told = &part.told;
            for (at, window) in part.fold.windows().enumerate() {
                let window = window.to_string();
                self.observe.late_windows(&window, counts.late_for_window[at] - told.late_for_window[at]);
                self.observe.across_windows(&window, counts.across_window[at] - told.across_window[at]);
            }
            self.observe.not_carried(counts.not_carried - part.told.not_carried);
            self.observe.forgotten(counts.forgotten_ids - part.told.forgotten_ids);
            part.told.clone_from(counts);
        }
    }
}

/// By how much the event time is after the record's own receive time, or Kafka's where it has none.
fn ahead_of_receipt(record: &Record<'_>, event_time: i64, receive_time: Option<i64>) -> Option<i64> {
    let by_kafka = (record.timestamp_ms >= 0).then(|| record.timestamp_ms.saturating_mul(1_000_000));
    Some(event_time.saturating_sub(receive_time.or(by_kafka)?))
}

impl Stage for Aggregator {
    type Part = Part;

    fn new_part(&mut self, partition: i32) -> Part {
        let fold = Fold::new(&self.options, partition).expect("the same options have served in `new`");
        Part {
            partition,
            told: fold.counts().clone(),
            fold,
            symbols: Held(self.held.clone(), 0),
            past: Past::default(),
        }
    }

    fn restore(&mut self, part: &mut Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        let partition = part.partition;
        match part.fold.restore(key, value) {
            Err(StateError::Key(key)) => {
                self.observe.alien_state(partition, &key);
                Ok(())
            }
            result => Ok(result.map_err(|source| AggregateError::State { partition, source })?),
        }
    }

    fn owner<'k>(&self, key: &'k [u8]) -> Option<&'k [u8]> {
        market::window::owner(key)
    }

    fn restored(&mut self, part: &mut Part, past: &Past) -> anyhow::Result<()> {
        part.past = past.clone();
        part.fold.restored();
        let names: Vec<Box<str>> = part.fold.names().map(Box::from).collect();
        names.iter().for_each(|name| self.settle_home(name, part.partition));
        part.symbols.set(part.fold.symbols());
        Ok(())
    }

    fn record(&mut self, part: &mut Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        if self.first.is_none() {
            self.first = Some((Instant::now(), harness::cpu_seconds()));
        }
        out.follow(record);
        let outcome = match EventRef::decode(record.value.unwrap_or_default()) {
            Ok(EventRef::Trade(trade)) => self.trade(part, &trade, record, out),
            Ok(EventRef::Other(Event::Bar(bar))) => self.bar(part, &bar, record, out),
            Ok(EventRef::Other(Event::Gap(gap))) => {
                part.fold.gap(&gap.symbol, Hole::of(&gap));
                Outcome::OtherKind
            }
            Ok(EventRef::Other(Event::News(news))) => {
                if self.is_future(record, &news.symbol, news.event_time, news.receive_time, out) {
                    Outcome::Invalid
                } else {
                    part.fold.news(&news, part.place(record));
                    Outcome::OtherKind
                }
            }
            Ok(EventRef::Other(Event::Cancel(cancel))) => {
                self.amend(part, &Amendment::of_cancel(&cancel, part.place(record)), record, out)
            }
            Ok(EventRef::Other(Event::Correction(correction))) => {
                self.amend(part, &Amendment::of_correction(&correction, part.place(record)), record, out)
            }
            Ok(EventRef::Other(_)) => Outcome::OtherKind,
            Err(error) => self.invalid(record, error.reason, &error.detail, out),
        };
        if !self.records.is_empty() {
            self.emit(part, out);
        }
        outcome
    }

    fn tick(&mut self, part: &mut Part, tick: Tick, out: &mut Outbox<'_>) {
        let moment = Moment { now: tick.now_ns, caught_up: tick.caught_up, ending: tick.ending };
        part.fold.tick(moment, &mut self.records);
        self.emit(part, out);
        self.tell_counts(part);
        part.symbols.set(part.fold.symbols());
        self.observe.lag(tick.now_ns, self.latest);
    }

    fn snapshot(&mut self, part: &mut Part, log: &mut Changelog<'_>) {
        part.fold.save(|key, value| match value {
            Some(value) => log.put(key.as_bytes(), value),
            None => log.delete(key.as_bytes()),
        });
    }
}
