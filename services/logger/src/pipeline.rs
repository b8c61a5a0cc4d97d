//! The only loop: poll → decode → check → print → count, and commit now and then.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use harness::Latch;
use streams::{Consumer, Env, Polled, Record, TopicPartition};

use crate::config::Config;
use crate::decode::{self, Decoded, Schema};
use crate::error::LoggerError;
use crate::observe::{self, Metrics};
use crate::order::Order;
use crate::printer::Printer;
use crate::tally::{Outcomes, Summary};

/// How long a poll waits: also the longest time until a shutdown is noticed.
const POLL: Duration = Duration::from_millis(200);

pub struct Pipeline {
    config: Config,
    env: Env,
    consumer: Consumer,
    printer: Printer,
    reader: Reader,
    metrics: Metrics,
    assigned: Latch,
    /// Where each partition ended when the drain was first seen.
    ends: Option<Vec<(TopicPartition, i64)>>,
}

/// Everything that looks at records, apart from what polls them.
struct Reader {
    topics: HashMap<String, (Schema, Order)>,
    /// A handful: looked through one by one.
    partitions: Vec<Part>,
    summary: Summary,
    last_event_time: Option<i64>,
    max_symbols: usize,
}

struct Part {
    partition: TopicPartition,
    /// The offset to read next, if it is not committed yet.
    next: Option<i64>,
    outcomes: Outcomes,
}

impl Pipeline {
    pub fn new(config: Config, env: Env, consumer: Consumer, printer: Printer, assigned: Latch) -> Self {
        let reader = Reader {
            topics: HashMap::new(),
            partitions: Vec::new(),
            summary: Summary::default(),
            last_event_time: None,
            max_symbols: config.max_symbols,
        };
        let metrics = Metrics::new(&env.metrics);
        Pipeline { config, env, consumer, printer, reader, metrics, assigned, ends: None }
    }

    /// Until the shutdown, or with a drain until what was there has been read.
    pub fn run(mut self) -> Result<Summary, LoggerError> {
        let started = Instant::now();
        let result = self.work(started);
        let finished = self.finish(started);
        match result {
            Err(error) if !error.is_reader_gone() && !error.is_stopped() => Err(error),
            _ => finished,
        }
    }

    fn work(&mut self, started: Instant) -> Result<(), LoggerError> {
        let (mut reported, mut committed) = (started, started);
        let mut before = Summary::default();
        while !self.env.shutdown.is_set() && !self.is_done()? {
            self.env.beat();
            self.turn()?;
            let now = Instant::now();
            if now.duration_since(committed) >= *self.config.commit_interval {
                self.commit()?;
                committed = now;
            }
            if now.duration_since(reported) >= *self.config.report_interval {
                self.publish(started);
                let lag = self.consumer.lag().iter().map(|(_, lag)| lag.messages).sum();
                observe::report(&self.reader.summary, &before, now.duration_since(reported), lag);
                before = self.reader.summary.clone();
                reported = now;
            }
        }
        Ok(())
    }

    fn turn(&mut self) -> Result<(), LoggerError> {
        match self.consumer.poll(POLL)? {
            Polled::Record(record) => self.reader.read(&record, &mut self.metrics, &mut self.printer)?,
            Polled::Assigned(_) => {
                self.consumer.assign()?;
                self.ends = None;
                self.assigned.release();
            }
            Polled::Revoked(partitions) => {
                self.commit()?;
                self.give_up(&partitions)?;
            }
            Polled::Lost(partitions) => {
                // Whoever has them now commits for them.
                self.reader.uncommitted();
                self.give_up(&partitions)?;
            }
            Polled::CaughtUp(..) | Polled::Idle => self.printer.flush(Instant::now())?,
        }
        Ok(())
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<(), LoggerError> {
        self.assigned.hold("the group is sharing out its partitions");
        self.ends = None;
        for partition in partitions {
            self.reader.forget(partition);
        }
        Ok(self.consumer.release()?)
    }

    fn commit(&mut self) -> Result<(), LoggerError> {
        let positions = self.reader.uncommitted();
        match self.consumer.commit(&positions) {
            Err(error) if error.is_retry() => {
                tracing::warn!(%error, "positions not committed, will try again");
                self.reader.not_committed(positions);
                Ok(())
            }
            // Refused or not: a new owner reads these again, which costs a logger nothing but repeated lines.
            result => Ok(result.map(drop)?),
        }
    }

    /// With a drain: every partition has been read up to where it ended when the drain was first seen.
    fn is_done(&mut self) -> Result<bool, LoggerError> {
        if !self.env.drain.is_set() || !self.consumer.is_settled() {
            return Ok(false);
        }
        let ends = match self.ends.take() {
            Some(ends) => ends,
            None => {
                let assigned: Vec<TopicPartition> = self.consumer.assigned().cloned().collect();
                let end = |tp: TopicPartition| self.consumer.watermarks(&tp).map(|(_, end)| (tp, end));
                assigned.into_iter().map(end).collect::<Result<_, _>>()?
            }
        };
        let is_read = |(tp, end): &(TopicPartition, i64)| self.consumer.position(tp).is_none_or(|at| at >= *end);
        let done = ends.iter().all(is_read);
        self.ends = Some(ends);
        Ok(done)
    }

    fn publish(&mut self, started: Instant) {
        let summary = &mut self.reader.summary;
        summary.seconds = started.elapsed().as_secs_f64();
        (summary.printed, summary.not_printed) = (self.printer.printed, self.printer.suppressed);
        let outcomes = |part: &Part| (part.partition.to_string(), part.outcomes);
        summary.partitions = self.reader.partitions.iter().map(outcomes).collect();
        summary.symbols = self.reader.topics.values().map(|(_, order)| order.symbols()).sum();
        self.metrics.publish(self.env.clock.now_ns(), self.reader.last_event_time, summary);
    }

    /// Also after an error: what was printed is committed and counted.
    fn finish(mut self, started: Instant) -> Result<Summary, LoggerError> {
        let flushed = self.printer.flush(Instant::now()).map_err(LoggerError::from);
        let committed = self.commit();
        self.publish(started);
        self.consumer.close()?;
        match flushed.and(committed) {
            Err(error) if !error.is_reader_gone() => Err(error),
            _ => Ok(self.reader.summary),
        }
    }
}

impl Reader {
    fn read(&mut self, record: &Record<'_>, metrics: &mut Metrics, printer: &mut Printer) -> std::io::Result<()> {
        let now = Instant::now();
        if !self.topics.contains_key(record.topic) {
            let of_topic = (Schema::of(record.topic), Order::new(self.max_symbols));
            self.topics.insert(record.topic.to_owned(), of_topic);
        }
        let (schema, order) = self.topics.get_mut(record.topic).expect("it was inserted above if it was not there");
        let part = Part::of(&mut self.partitions, record);
        part.next = Some(record.offset + 1);
        self.summary.records += 1;
        self.summary.bytes += record.value.map_or(0, |value| value.len() as u64);
        let decoded = match schema.decode(record) {
            Ok(decoded) => decoded,
            Err(error) => {
                part.outcomes.invalid += 1;
                self.summary.invalid(error.reason.as_str());
                metrics.invalid(record, &error);
                return printer.print(now, || decode::undecodable(record, &error));
            }
        };
        part.outcomes.seen += 1;
        self.summary.seen(decoded.kind());
        self.last_event_time = decoded.event_time().or(self.last_event_time);
        if decoded.symbol().is_some_and(|symbol| record.key != Some(symbol.as_bytes())) {
            self.summary.checks.wrong_key += 1;
        }
        if let Decoded::Event(event) = &decoded {
            let findings = order.look(record.partition, event);
            self.summary.checks.add(findings);
            if let (Some(from), Some(symbol)) = (findings.moved_from, event.symbol()) {
                metrics.moved(symbol, from, record);
            }
        }
        printer.print(now, || decoded.line())
    }

    /// What is to be committed, which from now on counts as committed.
    fn uncommitted(&mut self) -> Vec<(TopicPartition, i64)> {
        self.partitions.iter_mut().filter_map(|part| Some((part.partition.clone(), part.next.take()?))).collect()
    }

    fn not_committed(&mut self, positions: Vec<(TopicPartition, i64)>) {
        for (partition, next) in positions {
            if let Some(part) = self.partitions.iter_mut().find(|part| part.partition == partition) {
                part.next = part.next.or(Some(next));
            }
        }
    }

    fn forget(&mut self, partition: &TopicPartition) {
        if let Some((_, order)) = self.topics.get_mut(&*partition.topic) {
            order.forget(partition.partition);
        }
    }
}

impl Part {
    fn of<'a>(parts: &'a mut Vec<Part>, record: &Record<'_>) -> &'a mut Part {
        let is_it =
            |part: &Part| part.partition.partition == record.partition && *part.partition.topic == *record.topic;
        let index = parts.iter().position(is_it).unwrap_or_else(|| {
            let partition = TopicPartition::new(record.topic, record.partition);
            parts.push(Part { partition, next: None, outcomes: Outcomes::default() });
            parts.len() - 1
        });
        &mut parts[index]
    }
}
