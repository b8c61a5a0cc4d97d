//! One question of an administrator, asked of librdkafka and waited for.

use std::time::Duration;

use rdkafka_sys as sys;

use super::NativeError;

/// Asks by `request`, which is given the options and the queue of the answer, and waits. The error is that of the whole answer; what it
/// says of each thing asked about is in the event.
///
/// # Safety
/// `client` is a live client of librdkafka, and `request` gives librdkafka nothing that it does not copy.
pub(super) unsafe fn ask(
    client: *mut sys::rd_kafka_t,
    kind: sys::rd_kafka_admin_op_t,
    timeout: Duration,
    request: impl FnOnce(*mut sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
) -> Result<Guard<sys::rd_kafka_event_t>, NativeError> {
    let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: every object made here is destroyed by its guard, after its last use.
    unsafe {
        let options = Guard(sys::rd_kafka_AdminOptions_new(client, kind), sys::rd_kafka_AdminOptions_destroy);
        let mut why = [0; 256];
        NativeError::check(sys::rd_kafka_AdminOptions_set_request_timeout(
            options.0,
            timeout_ms,
            why.as_mut_ptr(),
            why.len(),
        ))?;
        let queue = Guard(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy);
        request(options.0, queue.0);
        let event = sys::rd_kafka_queue_poll(queue.0, timeout_ms.saturating_add(1000));
        if event.is_null() {
            return Err(NativeError::of(sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__TIMED_OUT));
        }
        let event = Guard(event, sys::rd_kafka_event_destroy);
        NativeError::check(sys::rd_kafka_event_error(event.0))?;
        Ok(event)
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
