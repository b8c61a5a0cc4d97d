//! The calls of librdkafka that rdkafka does not offer safely. All `unsafe` of this crate is below this module.
//!
//! - [`group`]: a consumer whose rebalances are handed to its owner instead of being answered in a callback, which
//!   reads in batches and names the topic of an end-of-partition.
//! - [`membership`]: who we were in the group at a given moment, for transactions.
//! - [`describe`]: the id of a topic, which rdkafka 0.39 has no call for.
//! - [`groups`]: whether a group has members, by whichever protocol.
//! - [`tokens`]: tokens of IAM for clients of Amazon MSK.
//! - [`positions`]: what a group has committed, without a consumer made for the question.

mod ask;
pub(crate) mod describe;
pub(crate) mod group;
pub(crate) mod groups;
pub(crate) mod membership;
pub(crate) mod message;
pub(crate) mod positions;
pub(crate) mod tokens;

use std::ffi::CStr;
use std::os::raw::c_char;

use rdkafka_sys as sys;

/// An error that librdkafka gave us to keep, taken apart and freed.
#[derive(Debug, Clone)]
pub(crate) struct NativeError {
    pub code: rdkafka::error::RDKafkaErrorCode,
    pub text: String,
    pub fatal: bool,
    pub retriable: bool,
    pub must_abort: bool,
}

impl NativeError {
    /// # Safety
    /// `error` is null or comes from librdkafka, which gave up ownership of it.
    unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), NativeError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null and ours until the destroy at the end; the text is copied before that.
        unsafe {
            let taken = NativeError {
                code: sys::rd_kafka_error_code(error).into(),
                text: text(sys::rd_kafka_error_string(error)),
                fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                must_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            sys::rd_kafka_error_destroy(error);
            Err(taken)
        }
    }

    fn of(code: sys::rd_kafka_resp_err_t) -> NativeError {
        // SAFETY: returns a pointer to a static text for any code.
        let text = unsafe { text(sys::rd_kafka_err2str(code)) };
        NativeError { code: code.into(), text, fatal: false, retriable: false, must_abort: false }
    }

    fn check(code: sys::rd_kafka_resp_err_t) -> Result<(), NativeError> {
        if code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(Self::of(code)) }
    }
}

impl std::fmt::Display for NativeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({:?})", self.text, self.code)
    }
}

/// Waits until everything sent was acknowledged or has failed. `false`: not yet; the producer must be polled then, since
/// what has failed stays until its report is taken.
///
/// rdkafka's own `flush` waits in polls of 100 ms for reports, which never come for what went well.
///
/// # Safety
/// `producer` is a live producer.
pub(crate) unsafe fn flush(producer: *mut sys::rd_kafka_t, timeout_ms: i32) -> bool {
    // SAFETY: as the caller promises.
    let code = unsafe { sys::rd_kafka_flush(producer, timeout_ms) };
    code == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// # Safety
/// `pointer` is null or a C string that lives during the call.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
