//! The id of a topic and its number of partitions. A topic that is deleted and made again has the same name and other records: only its id tells.

use std::ffi::CString;
use std::time::Duration;

use rdkafka_sys as sys;

use super::NativeError;
use super::ask::{Guard, ask};

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
    // SAFETY: every object made here is destroyed by its guard, after its last use; `name` outlives the collection.
    unsafe {
        let mut names = [name.as_ptr()];
        let topics = Guard(
            sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), 1),
            sys::rd_kafka_TopicCollection_destroy,
        );
        let kind = sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let event = ask(client, kind, timeout, |options, queue| {
            sys::rd_kafka_DescribeTopics(client, topics.0, options, queue);
        })?;
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
