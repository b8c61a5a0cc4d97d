//! One assigned partition: where it stands between the chain of claims and Kafka.

use std::time::Duration;

use harness::Clock;
use harness::traces::Parents;
use lake::{Adoption, Bucket, Chain, Feed, Format, Progress, Pushed, Range, Record};
use streams::TopicPartition;
use tracing::Span;

use crate::broker::Broker;
use crate::config::Rotate;
use crate::observe::Tally;
use crate::work::{Resume, Task};

pub(crate) struct Partition<B> {
    pub(crate) tp: TopicPartition,
    pub(crate) feed: Feed,
    /// Of the assignment; see [`crate::work::Report`].
    pub(crate) epoch: u64,
    pub(crate) state: State<B>,
    pub(crate) tally: Tally,
    /// Where the drain ends: the end of the log when the drain began.
    pub(crate) target: Option<i64>,
    /// Kafka lost the records that come next: what is in hand is stored, then the place is sought again.
    pub(crate) lost_place: bool,
    pub(crate) paused: bool,
}

// One per partition: nothing to save.
#[allow(clippy::large_enum_variant)]
pub(crate) enum State<B> {
    /// The chain is asked for the place. Records that still come are not for us.
    Locating {
        _task: Task,
    },
    /// The place is known, and Kafka is to be sent there.
    Placed {
        chain: Chain<B, Broker>,
        resume: Resume,
    },
    Reading(Reading<B>),
    /// The range of an unfinished claim is read again.
    Adopting {
        chain: Chain<B, Broker>,
        adoption: Box<Adoption>,
    },
    /// It was read, and its objects are being stored.
    Finishing {
        _task: Task,
        held_bytes: usize,
    },
}

pub(crate) struct Reading<B> {
    pub(crate) chain: Chain<B, Broker>,
    pub(crate) range: Range,
    /// When the first row of the range was read, by the steady clock: setting the other must neither hold objects back nor
    /// hurry them.
    pub(crate) opened_ns: Option<i64>,
    /// Of the records of the range.
    pub(crate) parents: Parents,
    /// The range before this one, while it is being stored. The next claim waits for it.
    pub(crate) flight: Option<Flight>,
}

pub(crate) struct Flight {
    pub(crate) _task: Task,
    /// From the end of reading to the end of storing.
    pub(crate) _span: Span,
    pub(crate) held_bytes: usize,
}

/// What a record, or the end of the log, asks the loop to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Nothing,
    /// The claim's range has been read.
    FinishAdoption,
}

impl<B: Bucket> Partition<B> {
    /// Takes a record of this partition.
    pub(crate) fn push(&mut self, record: &Record<'_>, clock: &dyn Clock) -> Then {
        match &mut self.state {
            State::Reading(reading) => {
                match reading.range.push(record) {
                    Pushed::Row(_) => self.tally.rows += 1,
                    Pushed::Skip(reason) => self.tally.skip(reason),
                    Pushed::Repeated => return Then::Nothing,
                }
                if reading.opened_ns.is_none() {
                    reading.opened_ns = Some(clock.steady_ns());
                }
                Then::Nothing
            }
            State::Adopting { adoption, .. } => match adoption.push(record) {
                Progress::More => Then::Nothing,
                Progress::Complete => Then::FinishAdoption,
            },
            State::Locating { .. } | State::Placed { .. } | State::Finishing { .. } => Then::Nothing,
        }
    }

    /// Everything below `offset` has been handed out; what was not is no record.
    pub(crate) fn caught_up(&mut self, offset: i64) -> Then {
        match &mut self.state {
            State::Reading(reading) => {
                reading.range.skip_to(offset);
                Then::Nothing
            }
            State::Adopting { adoption, .. } if offset > adoption.end() => Then::FinishAdoption,
            _ => Then::Nothing,
        }
    }

    /// Goes from the place found to reading. Returns the offset to read from.
    pub(crate) fn begin(&mut self, format: Format) -> Option<i64> {
        let State::Placed { chain, resume } = &mut self.state else { return None };
        let chain = chain.clone();
        match std::mem::replace(resume, Resume::Read { from: 0 }) {
            Resume::Read { from } => {
                let range = Range::new(chain.source().clone(), self.feed, format, from);
                self.state = State::Reading(Reading {
                    chain,
                    range,
                    opened_ns: None,
                    parents: Parents::default(),
                    flight: None,
                });
                Some(from)
            }
            Resume::Adopt { from, adoption } => {
                self.state = State::Adopting { chain, adoption };
                Some(from)
            }
        }
    }

    /// Memory that its rows take.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.state {
            State::Reading(reading) => {
                reading.range.held_bytes() + reading.flight.as_ref().map_or(0, |flight| flight.held_bytes)
            }
            State::Adopting { adoption, .. } => adoption.held_bytes(),
            State::Finishing { held_bytes, .. } => *held_bytes,
            State::Locating { .. } | State::Placed { .. } => 0,
        }
    }

    pub(crate) fn reading(&mut self) -> Option<&mut Reading<B>> {
        match &mut self.state {
            State::Reading(reading) => Some(reading),
            _ => None,
        }
    }

    /// Everything up to the target is in the lake.
    pub(crate) fn is_drained(&self) -> bool {
        match (&self.state, self.target) {
            (State::Reading(reading), Some(target)) => reading.flight.is_none() && reading.range.start() >= target,
            _ => false,
        }
    }
}

impl<B> Reading<B> {
    pub(crate) fn age(&self, steady_ns: i64) -> Duration {
        let age_ns = self.opened_ns.map_or(0, |opened_ns| steady_ns.saturating_sub(opened_ns));
        Duration::from_nanos(u64::try_from(age_ns).unwrap_or(0))
    }

    /// One of the limits that can be looked at after every record is reached, and nothing stands in the way of storing.
    pub(crate) fn is_full(&self, rotate: &Rotate) -> bool {
        self.flight.is_none()
            && (self.range.rows() >= rotate.rows || self.range.size_bytes() as u64 >= rotate.size.bytes())
    }

    /// Objects that storing the range now would make.
    pub(crate) fn objects(&self, format: Format) -> usize {
        if format.is_per_message() {
            usize::try_from(self.range.rows()).unwrap_or(usize::MAX)
        } else {
            self.range.objects()
        }
    }
}
