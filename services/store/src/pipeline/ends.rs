//! The loop's ways to end or to give up a partition, and its budget.

use std::time::{Duration, Instant};

use lake::Bucket;
use streams::{Consumer, TopicPartition};

use super::{HAND_OVER, LAST_FLUSH, POLL, Pipeline};
use crate::error::StoreError;
use crate::partition::{Partition, State};

impl<B: Bucket> Pipeline<B> {
    /// Lets what is being stored of these partitions finish, within limits. What was only read is dropped: the next
    /// owner reads it again, and a rebalance leaves no small objects behind.
    pub(super) fn hand_over(&mut self, consumer: &mut Consumer, gone: &[TopicPartition]) -> Result<(), StoreError> {
        let deadline = Instant::now() + HAND_OVER;
        let busy = |partition: &Partition<B>| gone.contains(&partition.tp) && has_flight(partition);
        while self.partitions.iter().any(busy) && Instant::now() < deadline && self.observer.s3.trouble().is_none() {
            self.wait(consumer)?;
        }
        self.count();
        self.partitions.retain(|partition| !gone.contains(&partition.tp));
        Ok(())
    }

    /// Reads on to where the log ended when the drain began, and stores it. `true` when that is done, also by the others:
    /// what one of them hands on would else stay unread.
    pub(super) fn drain(&mut self, consumer: &mut Consumer) -> Result<bool, StoreError> {
        self.note_ends(consumer)?;
        for index in 0..self.partitions.len() {
            if self.partitions[index].target.is_none() {
                let (_, high) = consumer.watermarks(&self.partitions[index].tp)?;
                self.partitions[index].target = Some(high);
            }
            let target = self.partitions[index].target;
            if let Some(reading) = self.partitions[index].reading()
                && Some(reading.range.next()) >= target
                && Some(reading.range.start()) < target
            {
                self.flush(index, "drain");
            }
        }
        Ok(consumer.is_settled() && self.partitions.iter().all(Partition::is_drained) && self.others_drained())
    }

    /// Stores what was read so far, if the object store works and does it soon.
    pub(super) fn last_flush(&mut self, consumer: &mut Consumer) -> Result<(), StoreError> {
        let deadline = Instant::now() + LAST_FLUSH;
        loop {
            for index in 0..self.partitions.len() {
                self.flush(index, "shutdown");
            }
            let unstored = self.partitions.iter().filter(|partition| partition.held_bytes() > 0).count();
            if unstored == 0 {
                break;
            }
            if Instant::now() >= deadline || self.observer.s3.trouble().is_some() {
                self.observer.left_unstored(unstored);
                break;
            }
            self.env.beat();
            consumer.keep_alive();
            if let Some(report) = self.workers.report(POLL) {
                self.reported(consumer, report)?;
            }
        }
        self.count();
        Ok(())
    }

    /// Records that come next are gone from Kafka, in some partition: those whose place lies outside of the log.
    pub(super) fn out_of_range(&mut self, consumer: &mut Consumer, reason: &str) -> Result<(), StoreError> {
        self.observer.out_of_range(reason);
        for index in 0..self.partitions.len() {
            let (low, high) = consumer.watermarks(&self.partitions[index].tp)?;
            let partition = &mut self.partitions[index];
            match &mut partition.state {
                State::Reading(reading) => {
                    partition.lost_place = !(low..=high).contains(&reading.range.next());
                }
                State::Adopting { adoption, .. } if adoption.start() < low => self.relocate(consumer, index)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What is in hand was read before the log lost what follows: it is stored first.
    pub(super) fn seek_lost_place(&mut self, consumer: &mut Consumer, index: usize) -> Result<(), StoreError> {
        if !self.partitions[index].lost_place {
            return Ok(());
        }
        self.flush(index, "retention");
        if has_flight(&self.partitions[index]) { Ok(()) } else { self.relocate(consumer, index) }
    }

    /// Stops reading while the rows in memory fill the budget, and makes room.
    pub(super) fn balance_memory(&mut self, consumer: &mut Consumer) -> Result<(), StoreError> {
        let used = self.partitions.iter().map(Partition::held_bytes).sum::<usize>() as u64;
        let budget = self.ctx.config.memory.bytes();
        if used >= budget {
            let free = |partition: &Partition<B>| !has_flight(partition);
            let sized = self.partitions.iter().enumerate().filter(|(_, partition)| free(partition));
            if let Some((largest, _)) = sized.max_by_key(|(_, partition)| partition.held_bytes()) {
                self.flush(largest, "memory");
            }
        }
        let (full, roomy) = (used >= budget, used <= budget / 4 * 3);
        for partition in &mut self.partitions {
            let reading = matches!(partition.state, State::Reading(_));
            if reading && full && !partition.paused {
                consumer.pause(std::slice::from_ref(&partition.tp))?;
                partition.paused = true;
            } else if roomy && partition.paused {
                if reading {
                    consumer.resume(std::slice::from_ref(&partition.tp))?;
                }
                partition.paused = false;
            }
        }
        let paused = self.partitions.iter().filter(|partition| partition.paused).count();
        self.observer.paused_partitions.set(i64::try_from(paused).unwrap_or(i64::MAX));
        self.observer.buffered_bytes.set(i64::try_from(used).unwrap_or(i64::MAX));
        Ok(())
    }

    pub(super) fn count(&mut self) {
        let now_ns = self.ctx.clock.now_ns();
        let mut oldest = Duration::ZERO;
        for partition in &mut self.partitions {
            self.observer.records(&partition.tp.topic, &mut partition.tally);
            if let Some(reading) = partition.reading() {
                oldest = oldest.max(reading.age(now_ns));
            }
        }
        self.observer.oldest_seconds.set(oldest.as_secs_f64());
    }
}

fn has_flight<B: Bucket>(partition: &Partition<B>) -> bool {
    match &partition.state {
        State::Reading(reading) => reading.flight.is_some(),
        State::Finishing { .. } => true,
        _ => false,
    }
}
