//! Whether a group has members, by whichever protocol: the older request that names them knows nothing of groups of KIP-848.

use std::ffi::CStr;
use std::time::Duration;

use rdkafka_sys as sys;
use sys::rd_kafka_consumer_group_state_t as State;

use super::NativeError;
use super::describe::Guard;

/// Anything but known to be empty counts as having members.
///
/// # Safety
/// `client` is a live client of librdkafka.
pub(crate) unsafe fn has_members(
    client: *mut sys::rd_kafka_t,
    group: &str,
    timeout: Duration,
) -> Result<bool, NativeError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every object made here is destroyed by its guard, after its last use.
    unsafe {
        let for_list = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS;
        let options = Guard(sys::rd_kafka_AdminOptions_new(client, for_list), sys::rd_kafka_AdminOptions_destroy);
        let mut why = [0; 256];
        NativeError::check(sys::rd_kafka_AdminOptions_set_request_timeout(
            options.0,
            timeout_ms,
            why.as_mut_ptr(),
            why.len(),
        ))?;
        let queue = Guard(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy);
        sys::rd_kafka_ListConsumerGroups(client, options.0, queue.0);
        let event = sys::rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(1000));
        if event.is_null() {
            return Err(NativeError::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT));
        }
        let event = Guard(event, sys::rd_kafka_event_destroy);
        NativeError::check(sys::rd_kafka_event_error(event.0))?;
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
