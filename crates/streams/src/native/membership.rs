//! Who we are in a consumer group at one moment: member id and generation, as a transaction must show them.

use std::ffi::CString;

use rdkafka::TopicPartitionList;
use rdkafka_sys as sys;

use super::{NativeError, text};

/// Captured when the group speaks to us, and shown unchanged by every transaction until it speaks again.
///
/// The broker checks member and generation, not who owns a partition. Read at the time of sending it would be newer
/// than our knowledge of what we own, and a member that has lost a partition could commit for it. Worse, librdkafka
/// empties it when it is thrown out, and Kafka accepts an *empty* membership unfenced: so an empty one is none.
///
/// Under KIP-848 it is otherwise: see [`super::group::Group::membership`].
#[derive(Debug)]
pub(crate) struct Membership {
    raw: *mut sys::rd_kafka_consumer_group_metadata_t,
    pub member: String,
    pub generation: i32,
}

// SAFETY: a plain value of librdkafka's, never written after it was made.
unsafe impl Send for Membership {}
// SAFETY: as above.
unsafe impl Sync for Membership {}

impl Membership {
    /// `None` if we are no member just now.
    ///
    /// # Safety
    /// `client` is a live consumer.
    pub(crate) unsafe fn capture(client: *mut sys::rd_kafka_t) -> Option<Membership> {
        // SAFETY: the result is ours and freed by Drop; the member id is copied.
        unsafe {
            let raw = sys::rd_kafka_consumer_group_metadata(client);
            if raw.is_null() {
                return None;
            }
            let member = text(sys::rd_kafka_consumer_group_metadata_member_id(raw));
            let generation = sys::rd_kafka_consumer_group_metadata_generation_id(raw);
            let membership = Membership { raw, member, generation };
            // Both protocols count from 1: 0 is a member that has left and not joined again.
            (!membership.member.is_empty() && generation > 0).then_some(membership)
        }
    }

    /// Of nobody: with it positions can be set in a transaction while the group has no members. Kafka does not look whether
    /// it has any, so who uses it must.
    pub(crate) fn of_nobody(group: &str) -> Membership {
        let group = CString::new(group).unwrap_or_default();
        // SAFETY: the name is copied; the result is ours and freed by Drop.
        let raw = unsafe { sys::rd_kafka_consumer_group_metadata_new(group.as_ptr()) };
        Membership { raw, member: String::new(), generation: -1 }
    }

    /// Adds `offsets` to the open transaction of `producer`, under this membership.
    ///
    /// # Safety
    /// `producer` is a live transactional producer.
    pub(crate) unsafe fn send_offsets(
        &self,
        producer: *mut sys::rd_kafka_t,
        offsets: &TopicPartitionList,
        timeout_ms: i32,
    ) -> Result<(), NativeError> {
        // SAFETY: all three live during the call.
        unsafe {
            let error = sys::rd_kafka_send_offsets_to_transaction(producer, offsets.ptr(), self.raw, timeout_ms);
            NativeError::take(error)
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // SAFETY: ours, and freed once.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.raw) };
    }
}
