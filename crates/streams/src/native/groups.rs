//! Whether a group has members, by whichever protocol: the older request that names them knows nothing of groups of KIP-848.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_consumer_group_state_t as State;

use super::NativeError;
use super::ask::ask;

/// Anything but known to be empty counts as having members.
///
/// # Safety
/// `client` is a live client of librdkafka.
pub(crate) unsafe fn has_members(
    client: *mut sys::rd_kafka_t,
    group: &str,
    timeout: Duration,
) -> Result<bool, NativeError> {
    let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS;
    // SAFETY: as the caller promises; the result lives as long as its event.
    unsafe {
        let event = ask(client, kind, timeout, |options, queue| {
            sys::rd_kafka_ListConsumerGroups(client, options, queue);
        })?;
        read(sys::rd_kafka_event_ListConsumerGroups_result(event.0), group)
    }
}

/// # Safety
/// `result` lives during the call, or is null.
unsafe fn read(result: *const sys::rd_kafka_ListConsumerGroups_result_t, group: &str) -> Result<bool, NativeError> {
    if result.is_null() {
        return Err(NativeError::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__BAD_MSG));
    }
    // SAFETY: both arrays hold as many entries as is said, which live as long as the result.
    unsafe {
        let mut count = 0;
        let groups = sys::rd_kafka_ListConsumerGroups_result_valid(result, &mut count);
        for at in 0..count {
            let found = *groups.add(at);
            if CStr::from_ptr(sys::rd_kafka_ConsumerGroupListing_group_id(found)).to_bytes() == group.as_bytes() {
                let state = sys::rd_kafka_ConsumerGroupListing_state(found);
                return Ok(!matches!(
                    state,
                    State::RD_KAFKA_CONSUMER_GROUP_STATE_EMPTY | State::RD_KAFKA_CONSUMER_GROUP_STATE_DEAD
                ));
            }
        }
        // A broker that did not answer may be the one that knows the group.
        let errors = sys::rd_kafka_ListConsumerGroups_result_errors(result, &mut count);
        match count {
            0 => Ok(false),
            _ => Err(NativeError::of(sys::rd_kafka_error_code(*errors))),
        }
    }
}
