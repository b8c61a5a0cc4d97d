//! Where reading stands in each partition: what has been handed out, and whether that is all there is.
//!
//! librdkafka's own end-of-partition messages are switched off. Read in batches, each moves the position that
//! librdkafka keeps one *past* the end, and the next pause (every rebalance is one) goes on from there: the first record
//! after it is lost (2.12.1, `rd_kafka_q_serve_rkmessages`). So the end is found by comparing positions, and a record
//! that a pause makes librdkafka hand out twice is dropped here.

use std::collections::VecDeque;

use crate::consumer::TopicPartition;
use crate::consumer::lag::Tracker;
use crate::native::group::Group;
use crate::native::message::MessageRef;

pub(crate) struct Cursor {
    pub partition: TopicPartition,
    /// Which of librdkafka's topics it is: cheaper to compare than a name. 0 until the first message.
    identity: usize,
    /// The next offset to hand out.
    pub position: i64,
    /// The end that was told last.
    told: Option<i64>,
    pub lag: Tracker,
}

#[derive(Default)]
pub(crate) struct Cursors {
    list: Vec<Cursor>,
    ends: VecDeque<(TopicPartition, i64)>,
}

impl Cursors {
    pub(crate) fn add(&mut self, partition: TopicPartition, position: i64, now_ms: i64) {
        self.list.push(Cursor { partition, identity: 0, position, told: None, lag: Tracker::new(now_ms) });
    }

    pub(crate) fn remove(&mut self, gone: impl Fn(&TopicPartition) -> bool) -> Vec<TopicPartition> {
        self.ends.retain(|(partition, _)| !gone(partition));
        self.list.extract_if(.., |cursor| gone(&cursor.partition)).map(|cursor| cursor.partition).collect()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cursor> {
        self.list.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn position(&self, partition: &TopicPartition) -> Option<i64> {
        self.list.iter().find(|cursor| cursor.partition == *partition).map(|cursor| cursor.position)
    }

    pub(crate) fn seek(&mut self, partition: &TopicPartition, position: i64) {
        self.ends.retain(|(end, _)| end != partition);
        if let Some(cursor) = self.list.iter_mut().find(|cursor| cursor.partition == *partition) {
            cursor.position = position;
            cursor.told = None;
        }
    }

    /// Notes a record. `false`: it is not to be handed out, because it was already, or because its partition was taken
    /// from us.
    pub(crate) fn accept(&mut self, message: MessageRef<'_>) -> bool {
        let Some(cursor) = self.find(message) else { return false };
        let offset = message.offset();
        if offset < cursor.position {
            return false;
        }
        cursor.position = offset + 1;
        cursor.lag.handed_out(message.timestamp_ms());
        true
    }

    fn find(&mut self, message: MessageRef<'_>) -> Option<&mut Cursor> {
        let (identity, partition) = (message.topic_identity(), message.partition());
        let known = |cursor: &Cursor| cursor.identity == identity && cursor.partition.partition == partition;
        let index = match self.list.iter().position(known) {
            Some(index) => index,
            None => {
                let named = |cursor: &Cursor| {
                    cursor.partition.partition == partition && *cursor.partition.topic == *message.topic()
                };
                let index = self.list.iter().position(named)?;
                self.list[index].identity = identity;
                index
            }
        };
        self.list.get_mut(index)
    }

    /// Looks which partitions have been read to their end. Only right while nothing taken from the queue is left to be
    /// handed out.
    pub(crate) fn look_for_ends(&mut self, group: &Group, now_ms: i64) {
        if !self.list.iter().any(|cursor| cursor.told != Some(cursor.position)) {
            let grown = |cursor: &Cursor| high(group, cursor).is_some_and(|high| high > cursor.position);
            if !self.list.iter().any(grown) {
                return;
            }
        }
        let passed = group.positions(self.list.iter().map(|cursor| &cursor.partition));
        for (cursor, passed) in self.list.iter_mut().zip(passed) {
            // Beyond the last record there may be markers of transactions, which nobody hands out.
            cursor.position = passed.map_or(cursor.position, |passed| passed.max(cursor.position));
            let at_end = high(group, cursor).is_some_and(|high| cursor.position >= high);
            if at_end && cursor.told != Some(cursor.position) {
                cursor.told = Some(cursor.position);
                cursor.lag.caught_up(now_ms);
                self.ends.push_back((cursor.partition.clone(), cursor.position));
            }
        }
    }

    /// The oldest end found and not yet told.
    pub(crate) fn next_end(&mut self) -> Option<(TopicPartition, i64)> {
        // A record may have been handed out since it was found: then it is an end no more.
        while let Some((partition, end)) = self.ends.pop_front() {
            if self.position(&partition) == Some(end) {
                return Some((partition, end));
            }
        }
        None
    }
}

fn high(group: &Group, cursor: &Cursor) -> Option<i64> {
    group.known_watermarks(&cursor.partition.topic, cursor.partition.partition).map(|(_, high)| high)
}
