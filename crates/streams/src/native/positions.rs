//! What a group has committed, asked by somebody who is no member of it: one request, on a client that is there already.

use std::ffi::CString;
use std::time::Duration;

use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;

use super::ask::{Guard, ask};
use super::{NativeError, text};

/// (topic, partition, offset) of each that has a position.
pub(crate) type Positions = Vec<(String, i32, i64)>;

/// The positions of `group` in these partitions; those in which it has none are left out.
///
/// # Safety
/// `client` is a live client of librdkafka.
pub(crate) unsafe fn committed(
    client: *mut sys::rd_kafka_t,
    group: &str,
    partitions: &TopicPartitionList,
    timeout: Duration,
) -> Result<Positions, NativeError> {
    let invalid = || NativeError::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG);
    let name = CString::new(group).map_err(|_| invalid())?;
    // SAFETY: every object made here is destroyed by its guard, after its last use; the request copies name and list.
    unsafe {
        let request = Guard(
            sys::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), partitions.ptr()),
            sys::rd_kafka_ListConsumerGroupOffsets_destroy,
        );
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
        let mut requests = [request.0];
        let event = ask(client, kind, timeout, |options, queue| {
            sys::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, options, queue);
        })?;
        read(sys::rd_kafka_event_ListConsumerGroupOffsets_result(event.0))
    }
}

/// # Safety
/// `result` is null or lives during the call.
unsafe fn read(result: *const sys::rd_kafka_ListConsumerGroupOffsets_result_t) -> Result<Positions, NativeError> {
    let mut positions = Positions::new();
    if result.is_null() {
        return Ok(positions);
    }
    let mut count = 0;
    // SAFETY: the array holds `count` groups; they and their lists live as long as the result.
    unsafe {
        let groups = sys::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &mut count);
        for index in 0..count {
            let group = *groups.add(index);
            let error = sys::rd_kafka_group_result_error(group);
            if !error.is_null() {
                NativeError::check(sys::rd_kafka_error_code(error))?;
            }
            let list = sys::rd_kafka_group_result_partitions(group);
            if list.is_null() {
                continue;
            }
            for entry in 0..usize::try_from((*list).cnt).unwrap_or(0) {
                let entry = &*(*list).elems.add(entry);
                NativeError::check(entry.err)?;
                if let Offset::Offset(offset) = Offset::from_raw(entry.offset) {
                    positions.push((text(entry.topic), entry.partition, offset));
                }
            }
        }
    }
    Ok(positions)
}
