//! The id of a topic and its number of partitions. A topic that is deleted and made again has the same name and other records: only its id tells.

use std::ffi::CString;
use std::time::Duration;

use rdkafka_sys as sys;

use super::NativeError;

/// What one request tells of a topic.
pub(crate) struct Topic {
    /// `(most, least)` significant bits.
    pub id: (i64, i64),
    pub partitions: usize,
}

/// `None` if there is no such topic. Unlike a request for metadata it never makes one.
///
/// # Safety
/// `client` is a live client of librdkafka.
pub(crate) unsafe fn topic(
    client: *mut sys::rd_kafka_t,
    topic: &str,
    timeout: Duration,
) -> Result<Option<Topic>, NativeError> {
    let invalid = || NativeError::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG);
    let name = CString::new(topic).map_err(|_| invalid())?;
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every object made here is destroyed by its guard, after its last use; `name` outlives the collection.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = Guard(
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
            sys::rd_kafka_TopicCollection_destroy,
        );
        let for_describe = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = Guard(sys::rd_kafka_AdminOptions_new(client, for_describe), sys::rd_kafka_AdminOptions_destroy);
        let mut why = [0; 256];
        NativeError::check(sys::rd_kafka_AdminOptions_set_request_timeout(
            options.0,
            timeout_ms,
            why.as_mut_ptr(),
            why.len(),
        ))?;
        let queue = Guard(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy);
        sys::rd_kafka_DescribeTopics(client, topics.0, options.0, queue.0);
        let event = sys::rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(1000));
        if event.is_null() {
            return Err(NativeError::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT));
        }
        let event = Guard(event, sys::rd_kafka_event_destroy);
        NativeError::check(sys::rd_kafka_event_error(event.0))?;
        read(sys::rd_kafka_event_DescribeTopics_result(event.0))
    }
}

/// # Safety
/// `result` is null or lives during the call.
unsafe fn read(result: *const sys::rd_kafka_DescribeTopics_result_t) -> Result<Option<Topic>, NativeError> {
    if result.is_null() {
        return Ok(None);
    }
    let mut count = 0;
    // SAFETY: the array holds `count` descriptions, which live as long as the result.
    unsafe {
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count == 0 {
            return Ok(None);
        }
        let topic = *topics;
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() {
            let unknown = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
            let code = sys::rd_kafka_error_code(error);
            if code == unknown {
                return Ok(None);
            }
            NativeError::check(code)?;
        }
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return Ok(None);
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &mut partitions);
        let id = (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id));
        Ok(Some(Topic { id, partitions }))
    }
}

/// Destroys what it holds.
pub(super) struct Guard<T>(pub(super) *mut T, pub(super) unsafe extern "C" fn(*mut T));

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made for this guard alone, by the matching constructor.
            unsafe { (self.1)(self.0) };
        }
    }
}
