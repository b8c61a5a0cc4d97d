//! A member of a consumer group whose rebalances are handed to its owner.
//!
//! librdkafka asks for an answer to each rebalance: until (incremental_)assign or -unassign is called it pauses the
//! partitions, keeps up the heartbeat and rejoins nothing (`rdkafka_cgrp.c`: the join states `wait-assign-call` and
//! `wait-unassign-call`; `rd_kafka_cgrp_join_state_serve` sends heartbeats in both). So the callback may just note the
//! event, and the owner answers when its work is done. Whoever drops it has nothing more to do: then each is answered at
//! once, before the consumer is closed, and what comes even later by the callback, which `rd_kafka_consumer_close` waits for.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::membership::Membership;
use super::message::Batch;
use super::tokens::Kept;
use super::{NativeError, text};
use crate::config::KafkaConfig;
use crate::consumer::TopicPartition;
use crate::logs::Logs;

/// What the group says to its member.
#[derive(Debug)]
pub(crate) struct Event {
    pub kind: EventKind,
    pub partitions: Vec<(String, i32)>,
    pub membership: Option<Membership>,
    /// librdkafka waits for the answer.
    pub awaited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Assign,
    Revoke,
    /// Others may own them already.
    Lost,
}

/// Shared with the callbacks.
pub(crate) struct Notes {
    logs: Logs,
    events: Mutex<VecDeque<Event>>,
    closing: AtomicBool,
    /// An answer has been given since.
    answered: AtomicBool,
}

impl ClientContext for Notes {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.logs.line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logs.error(error.rdkafka_error_code().map_or(0, |code| code as i32), reason);
    }
}

/// The consumer. Only one thread at a time may use it; it may be moved to another.
pub(crate) struct Group {
    queue: *mut sys::rd_kafka_queue_t,
    client: Kept<Client<Notes>>,
}

// SAFETY: librdkafka's objects may be used from any thread; the callbacks share only `Notes`, which is Sync.
unsafe impl Send for Group {}

impl Group {
    pub(crate) fn new(kafka: &KafkaConfig, config: &ClientConfig, logs: Logs) -> Result<Group, KafkaError> {
        let native = config.create_native_config()?;
        // SAFETY: a fresh config. The callbacks get the opaque that `Client::new` sets: a pointer to its `Notes`, alive
        // as long as the client.
        unsafe {
            sys::rd_kafka_conf_set_rebalance_cb(native.ptr(), Some(on_rebalance));
            sys::rd_kafka_conf_set_log_cb(native.ptr(), Some(on_log));
            sys::rd_kafka_conf_set_error_cb(native.ptr(), Some(on_error));
        }
        let notes =
            Notes { logs, events: Mutex::default(), closing: AtomicBool::new(false), answered: AtomicBool::new(false) };
        let client = Client::new(config, native, sys::types::RDKafkaType::RD_KAFKA_CONSUMER, notes)?;
        // SAFETY: a live consumer with a group.id. The main queue (logs, errors) is read with the messages from now on.
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client.native_ptr());
            sys::rd_kafka_queue_get_consumer(client.native_ptr())
        };
        if queue.is_null() {
            return Err(KafkaError::ClientCreation("the consumer has no queue: is group.id set?".to_owned()));
        }
        let client = Kept::new(kafka, client, Client::native_ptr);
        Ok(Group { queue, client })
    }

    pub(crate) fn client(&self) -> &Client<Notes> {
        &self.client
    }

    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), NativeError> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            list.add_topic_unassigned(topic);
        }
        // SAFETY: both live during the call.
        NativeError::check(unsafe { sys::rd_kafka_subscribe(self.client.native_ptr(), list.ptr()) })
    }

    /// Takes messages into `batch`, serving callbacks meanwhile. Returns how many.
    pub(crate) fn fill(&self, batch: &mut Batch, most: usize, timeout_ms: i32) -> usize {
        // SAFETY: the queue is this consumer's, which closes its queue only in Drop.
        unsafe { batch.fill(self.queue, most, timeout_ms) }
    }

    /// The oldest rebalance not yet taken.
    pub(crate) fn take_event(&self) -> Option<Event> {
        self.client.context().events.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(crate) fn has_event(&self) -> bool {
        !self.client.context().events.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// An event whose taker cannot answer it any more: closing will.
    pub(crate) fn give_back(&self, event: Event) {
        if event.awaited {
            self.client.context().events.lock().unwrap_or_else(PoisonError::into_inner).push_front(event);
        }
    }

    /// Who the group takes us for now, under the protocol of KIP-848. `None`: nobody yet, or what we hold is lost.
    ///
    /// Thrown out, librdkafka does not join again before the loss was answered (`rd_kafka_cgrp_consumer_serve`: no heartbeat while
    /// `WAIT_REJOIN_TO_COMPLETE`), so an epoch that is newer than a known one stands for the same membership. The flag is looked at
    /// last, should that ever change.
    pub(crate) fn membership(&self) -> Option<Membership> {
        let client = self.client.native_ptr();
        // SAFETY: a live consumer.
        unsafe {
            let membership = Membership::capture(client);
            membership.filter(|_| sys::rd_kafka_assignment_lost(client) == 0)
        }
    }

    fn cooperative(&self) -> bool {
        // SAFETY: returns a static text.
        let protocol = unsafe { CStr::from_ptr(sys::rd_kafka_rebalance_protocol(self.client.native_ptr())) };
        protocol == c"COOPERATIVE"
    }

    /// Answers an assignment: reading starts at the offsets in `list`.
    pub(crate) fn assign(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        let client = self.client.native_ptr();
        // SAFETY: both live during the call, which copies the list.
        unsafe {
            if self.cooperative() {
                NativeError::take(sys::rd_kafka_incremental_assign(client, list.ptr()))
            } else {
                NativeError::check(sys::rd_kafka_assign(client, list.ptr()))
            }
        }
    }

    /// Answers a revocation.
    pub(crate) fn unassign(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        let client = self.client.native_ptr();
        // SAFETY: as above.
        unsafe {
            if self.cooperative() {
                NativeError::take(sys::rd_kafka_incremental_unassign(client, list.ptr()))
            } else {
                NativeError::check(sys::rd_kafka_assign(client, ptr::null()))
            }
        }
    }

    /// Takes partitions that are ours away from the client and gives them back, so that it reads them from these offsets on,
    /// whatever state it had them in. The group is not told.
    pub(crate) fn restart(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        if self.cooperative() {
            self.unassign(list)?;
        }
        self.assign(list)
    }

    /// Reads without a group: the whole assignment is `list`.
    pub(crate) fn assign_manually(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both live during the call, which copies the list.
        NativeError::check(unsafe { sys::rd_kafka_assign(self.client.native_ptr(), list.ptr()) })
    }

    pub(crate) fn commit(&self, list: &TopicPartitionList, wait: bool) -> Result<(), NativeError> {
        // SAFETY: both live during the call, which copies the list.
        NativeError::check(unsafe { sys::rd_kafka_commit(self.client.native_ptr(), list.ptr(), c_int::from(!wait)) })
    }

    /// Committed offsets, stable ones only: while a transaction that commits one is open the call waits for it, and a
    /// timeout says "not yet", never "none".
    pub(crate) fn committed(&self, list: &mut TopicPartitionList, timeout_ms: i32) -> Result<(), NativeError> {
        // SAFETY: the list is ours and written in place.
        NativeError::check(unsafe { sys::rd_kafka_committed(self.client.native_ptr(), list.ptr(), timeout_ms) })
    }

    /// Turns the timestamps (ms) in `list` into offsets.
    pub(crate) fn offsets_at(&self, list: &mut TopicPartitionList, timeout: Duration) -> Result<(), NativeError> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the list is ours and written in place.
        NativeError::check(unsafe { sys::rd_kafka_offsets_for_times(self.client.native_ptr(), list.ptr(), timeout_ms) })
    }

    /// Moves the reading position of assigned partitions: of all of them, or it is an error.
    pub(crate) fn seek(&self, list: &TopicPartitionList, timeout_ms: i32) -> Result<(), NativeError> {
        // SAFETY: both live during the call; the list is ours and written in place.
        unsafe { NativeError::take(sys::rd_kafka_seek_partitions(self.client.native_ptr(), list.ptr(), timeout_ms))? };
        // What went wrong with one partition is told there only. Passed over, reading would go on beyond the position
        // asked for, and what lies between would be lost.
        first_error(list)
    }

    pub(crate) fn pause(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both live during the call.
        NativeError::check(unsafe { sys::rd_kafka_pause_partitions(self.client.native_ptr(), list.ptr()) })
    }

    pub(crate) fn resume(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: both live during the call.
        NativeError::check(unsafe { sys::rd_kafka_resume_partitions(self.client.native_ptr(), list.ptr()) })
    }

    /// Behind the last message taken from the queue, markers of transactions included, in the order asked; `None` where
    /// none was taken since the assignment or the last seek. Asks nobody.
    pub(crate) fn positions<'a>(
        &self,
        partitions: impl Iterator<Item = &'a TopicPartition> + Clone,
    ) -> Vec<Option<i64>> {
        let mut list = TopicPartitionList::new();
        for tp in partitions.clone() {
            list.add_partition(&tp.topic, tp.partition);
        }
        // SAFETY: the list is ours and written in place.
        let code = unsafe { sys::rd_kafka_position(self.client.native_ptr(), list.ptr()) };
        if NativeError::check(code).is_err() {
            return partitions.map(|_| None).collect();
        }
        let of = |tp: &TopicPartition| match list.find_partition(&tp.topic, tp.partition)?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        partitions.map(of).collect()
    }

    /// `(low, high)` as the last fetch told them: asks nobody. `None` before the first.
    pub(crate) fn known_watermarks(&self, topic: &str, partition: i32) -> Option<(i64, i64)> {
        let topic = CString::new(topic).ok()?;
        let (mut low, mut high) = (-1, -1);
        // SAFETY: a live consumer and a C string.
        let code = unsafe {
            let client = self.client.native_ptr();
            sys::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &mut low, &mut high)
        };
        (NativeError::check(code).is_ok() && high >= 0).then_some((low, high))
    }
}

impl Drop for Group {
    /// Leaves the group. The owner must have answered every event it has taken.
    fn drop(&mut self) {
        let client = self.client.native_ptr();
        // No longer than what waits now: while records come in, the queue may never be empty.
        // SAFETY: a live consumer and its queue; the messages are ours to free.
        for _ in 0..=unsafe { sys::rd_kafka_queue_length(self.queue) } {
            self.answer_untaken();
            let message = unsafe { sys::rd_kafka_consumer_poll(client, 0) };
            if !message.is_null() {
                unsafe { sys::rd_kafka_message_destroy(message) };
            } else if !self.has_event() {
                break;
            }
        }
        self.answer_untaken();
        self.client.context().closing.store(true, Ordering::SeqCst);
        // SAFETY: nobody uses the queue from here on; the client itself is freed after this.
        unsafe {
            sys::rd_kafka_consumer_close(client);
            sys::rd_kafka_queue_destroy(self.queue);
        }
    }
}

impl Group {
    fn answer_untaken(&self) {
        while let Some(event) = self.take_event() {
            let list = list(&event.partitions);
            let answered = match event.kind {
                EventKind::Assign => self.assign(&list),
                EventKind::Revoke | EventKind::Lost => self.unassign(&list),
            };
            if let Err(error) = answered {
                tracing::warn!(%error, "cannot answer a rebalance while closing");
            }
        }
    }
}

pub(crate) fn list(partitions: &[(String, i32)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}

unsafe extern "C" fn on_rebalance(
    client: *mut sys::rd_kafka_t,
    code: sys::rd_kafka_resp_err_t,
    partitions: *mut sys::rd_kafka_topic_partition_list_t,
    opaque: *mut c_void,
) {
    // SAFETY: the opaque is the client's `Notes`; the list and the client live during the callback.
    unsafe {
        let notes = &*(opaque as *const Notes);
        if notes.closing.load(Ordering::SeqCst) {
            answer_while_closing(client, notes);
            return;
        }
        let kind = match code {
            sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => EventKind::Assign,
            _ if sys::rd_kafka_assignment_lost(client) != 0 => EventKind::Lost,
            _ => EventKind::Revoke,
        };
        let partitions = (0..usize::try_from((*partitions).cnt).unwrap_or(0))
            .map(|index| {
                let entry = &*(*partitions).elems.add(index);
                (text(entry.topic), entry.partition)
            })
            .collect();
        let membership = if kind == EventKind::Lost { None } else { Membership::capture(client) };
        let event = Event { kind, partitions, membership, awaited: true };
        notes.events.lock().unwrap_or_else(PoisonError::into_inner).push_back(event);
        // Ends the wait for messages in `fill`, so that the owner hears of this now.
        let queue = sys::rd_kafka_queue_get_consumer(client);
        if !queue.is_null() {
            sys::rd_kafka_queue_yield(queue);
            sys::rd_kafka_queue_destroy(queue);
        }
    }
}

/// Closing revokes everything, even where something else waits for its answer already (`rd_kafka_cgrp_revoke_all_rejoin`), and one
/// answer does for both. A second one may reach a group that is closed: then it is never heard, and librdkafka waits for ever
/// for its receipt. So it is given only if the group is still open a moment later.
unsafe fn answer_while_closing(client: *mut sys::rd_kafka_t, notes: &Notes) {
    const MOMENT: Duration = Duration::from_millis(5);
    const MOMENTS: usize = 100;
    // SAFETY: the client lives during its callback.
    unsafe {
        if notes.answered.swap(true, Ordering::SeqCst) {
            for _ in 0..MOMENTS {
                if sys::rd_kafka_consumer_closed(client) != 0 {
                    return;
                }
                std::thread::sleep(MOMENT);
            }
        }
        sys::rd_kafka_assign(client, ptr::null());
    }
}

/// What went wrong with one of the partitions in an answer.
fn first_error(answered: &TopicPartitionList) -> Result<(), NativeError> {
    let code = |entry: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| match entry.error() {
        Ok(()) => None,
        Err(error) => Some(NativeError {
            code: error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown),
            text: format!("{}[{}]: {error}", entry.topic(), entry.partition()),
            fatal: false,
            retriable: true,
            must_abort: false,
        }),
    };
    answered.elements().iter().find_map(code).map_or(Ok(()), Err)
}

unsafe extern "C" fn on_log(
    client: *const sys::rd_kafka_t,
    level: c_int,
    facility: *const c_char,
    message: *const c_char,
) {
    // SAFETY: the opaque is the client's `Notes`, set before the client exists; the texts live during the call.
    unsafe {
        let notes = sys::rd_kafka_opaque(client) as *const Notes;
        if let Some(notes) = notes.as_ref() {
            notes.logs.line(level_of(level), &text(facility), &text(message));
        }
    }
}

unsafe extern "C" fn on_error(_: *mut sys::rd_kafka_t, code: c_int, reason: *const c_char, opaque: *mut c_void) {
    // SAFETY: as in `on_log`.
    unsafe {
        let notes = &*(opaque as *const Notes);
        notes.logs.error(code, &text(reason));
    }
}

fn level_of(level: c_int) -> RDKafkaLogLevel {
    match level {
        ..=3 => RDKafkaLogLevel::Error,
        4 => RDKafkaLogLevel::Warning,
        5 | 6 => RDKafkaLogLevel::Info,
        _ => RDKafkaLogLevel::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_one_partition_is_an_error_of_the_whole() {
        let mut answered = TopicPartitionList::new();
        answered.add_partition_offset("t", 0, Offset::Offset(3)).unwrap();
        answered.add_partition_offset("t", 1, Offset::Offset(3)).unwrap();
        first_error(&answered).unwrap();
        // SAFETY: the list is alive and has two entries.
        unsafe { (*(*answered.ptr()).elems.add(1)).err = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__STATE };
        let error = first_error(&answered).unwrap_err();
        assert_eq!(error.code, RDKafkaErrorCode::State);
        assert!(error.text.starts_with("t[1]: "), "{}", error.text);
    }
}
