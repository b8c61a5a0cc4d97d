//! The windows as a transactional stage: the loop itself is `streams::stateful`, the folding is `market::window`.

use std::collections::HashMap;
use std::time::Instant;

use harness::Registry;
use market::codec::EventRef;
use market::window::{Fold, Input, Moment, Options};
use market::{Event, Metrics, Reason, TradeRef, window};
use streams::Record;
use streams::stateful::{Changelog, Outbox, Outcome, Settings, Stage, Tick};

use crate::config::Config;
use crate::cpu;
use crate::error::{FUTURE_TIMESTAMP, LATE};
use crate::observe::Observe;

pub struct Aggregate {
    options: Options,
    future_tolerance_ns: i64,
    output: String,
    observe: Observe,
    /// The partition on which a symbol was seen first.
    homes: HashMap<String, i32>,
    /// CPU seconds and wall clock when the first record came.
    pub first: Option<(f64, Instant)>,
    closed: Vec<Metrics>,
    value: Vec<u8>,
    id: String,
}

/// One partition's windows.
pub struct Part {
    partition: i32,
    fold: Fold,
    late_told: Vec<u64>,
    last: Option<(i64, i64)>,
}

impl Aggregate {
    pub fn new(config: &Config, registry: &Registry) -> Self {
        Aggregate {
            options: config.options(),
            future_tolerance_ns: config.future_tolerance.as_ns(),
            output: config.output.clone(),
            observe: Observe::new(registry, &config.windows),
            homes: HashMap::new(),
            first: None,
            closed: Vec::new(),
            value: Vec::new(),
            id: String::new(),
        }
    }

    pub fn settings(config: &Config) -> Settings {
        let reasons = Reason::ALL.iter().map(|reason| reason.as_str()).chain([LATE, FUTURE_TIMESTAMP]);
        Settings {
            outputs: vec![config.output.clone()],
            dead_letters: config.dead_letters.clone(),
            reasons: reasons.collect(),
            transactional_id: config.transactional_id.clone(),
            commit_interval: *config.commit_interval,
            rebuild: config.rebuild,
            ..Settings::new(config.group.as_str(), config.input.as_str(), config.state.as_str())
        }
    }

    fn trade(&mut self, part: &mut Part, trade: &TradeRef<'_>, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        // What came without a receive time was received, for us, when the broker wrote it.
        let received = trade.receive_time.unwrap_or(record.timestamp_ms.saturating_mul(1_000_000));
        let ahead_ns = trade.event_time.saturating_sub(received);
        if ahead_ns > self.future_tolerance_ns {
            let detail = format!("event time is {:.3} s after it was received", ahead_ns as f64 / 1e9);
            return self.refuse(record, FUTURE_TIMESTAMP, &detail, Outcome::Invalid, out);
        }
        if !part.fold.knows(&trade.symbol) {
            self.home(&trade.symbol, record);
        }
        let input = Input {
            venue: &trade.venue,
            symbol: &trade.symbol,
            trade_id: trade.trade_id.as_deref(),
            price: trade.price,
            quantity: trade.quantity,
            side: trade.side,
            event_time: trade.event_time,
            backfilled: trade.backfilled,
            offset: record.offset,
        };
        let outcome = part.fold.trade(&input, &mut self.closed);
        self.emit(out);
        match outcome {
            window::Outcome::Folded => {
                part.last = part.fold.watermark(&trade.symbol).map(|watermark| (trade.event_time, watermark));
                Outcome::Folded
            }
            window::Outcome::Duplicate => Outcome::Duplicate,
            window::Outcome::Late => {
                self.refuse(record, LATE, "every window that holds it is final", Outcome::Late, out)
            }
        }
    }

    fn refuse(
        &mut self,
        record: &Record<'_>,
        reason: &str,
        detail: &str,
        outcome: Outcome,
        out: &mut Outbox<'_>,
    ) -> Outcome {
        self.observe.refused(record, reason, detail);
        out.dead_letter(record, reason, detail);
        outcome
    }

    /// A symbol belongs to one partition: on two, each would fold half of its trades.
    fn home(&mut self, symbol: &str, record: &Record<'_>) {
        let home = *self.homes.entry(symbol.to_owned()).or_insert(record.partition);
        if home != record.partition {
            self.observe.misplaced(symbol, home, record);
        }
    }

    fn emit(&mut self, out: &mut Outbox<'_>) {
        use std::fmt::Write as _;
        for metrics in self.closed.drain(..) {
            self.value.clear();
            metrics.encode(&mut self.value);
            self.id.clear();
            let (symbol, start, rev) = (&metrics.symbol, metrics.window_start, metrics.rev);
            write!(self.id, "{symbol}/{}/{start}/{rev}", metrics.window).expect("a string takes everything");
            let headers: [(&str, &[u8]); 3] =
                [("content-type", b"application/json"), ("schema_version", b"1"), ("event_id", self.id.as_bytes())];
            out.emit(&self.output, symbol.as_bytes(), &self.value, &headers);
        }
    }
}

impl Stage for Aggregate {
    type Part = Part;

    fn new_part(&mut self, partition: i32) -> Part {
        let fold = Fold::new(&self.options, partition).expect("the windows were checked with the settings");
        Part { partition, fold, late_told: Vec::new(), last: None }
    }

    fn restore(&mut self, part: &mut Part, key: &[u8], value: Option<&[u8]>) -> anyhow::Result<()> {
        Ok(part.fold.restore(key, value)?)
    }

    fn record(&mut self, part: &mut Part, record: &Record<'_>, out: &mut Outbox<'_>) -> Outcome {
        if self.first.is_none() {
            self.first = Some((cpu::seconds(), Instant::now()));
        }
        match EventRef::decode(record.value.unwrap_or_default()) {
            Ok(EventRef::Trade(trade)) => self.trade(part, &trade, record, out),
            Ok(EventRef::Other(Event::Gap(gap))) => {
                part.fold.gap(&gap.symbol, gap.from, gap.to);
                Outcome::OtherKind
            }
            Ok(EventRef::Other(_)) => Outcome::OtherKind,
            Err(error) => {
                self.observe.invalid(record, &error);
                out.dead_letter(record, error.reason.as_str(), &error.detail);
                Outcome::Invalid
            }
        }
    }

    fn tick(&mut self, part: &mut Part, tick: Tick, out: &mut Outbox<'_>) {
        let moment = Moment { now: tick.now_ns, caught_up: tick.caught_up, ending: tick.ending };
        part.fold.tick(moment, &mut self.closed);
        self.emit(out);
        self.observe.tick(part.partition, part.fold.symbols(), tick.now_ns, part.last);
        let late = &part.fold.counts().late_for_window;
        part.late_told.resize(late.len(), 0);
        self.observe.late_for_window(late.iter().zip(&part.late_told).map(|(now, told)| now - told));
        part.late_told.copy_from_slice(late);
    }

    fn snapshot(&mut self, part: &mut Part, log: &mut Changelog<'_>) {
        part.fold.save(|key, value| match value {
            Some(value) => log.put(key.as_bytes(), value),
            None => log.delete(key.as_bytes()),
        });
    }
}
