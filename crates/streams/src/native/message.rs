//! Messages read in batches, and what can be looked at in each without copying it.

use std::borrow::Cow;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::{ptr, slice};

use rdkafka_sys as sys;

/// Messages that were taken from the queue and not yet handed out. Owns them.
#[derive(Default)]
pub(crate) struct Batch {
    messages: Vec<*mut sys::rd_kafka_message_t>,
    /// Those before it have been handed out and freed, save for the one just before it, which is being looked at.
    next: usize,
}

// SAFETY: a message may be freed on another thread than the one that took it; nothing else touches it.
unsafe impl Send for Batch {}

/// A message being looked at. It lives until the next is asked for.
#[derive(Clone, Copy)]
pub(crate) struct MessageRef<'a> {
    raw: *const sys::rd_kafka_message_t,
    batch: PhantomData<&'a Batch>,
}

impl Batch {
    /// Takes what the queue holds now, or the first to arrive within `timeout_ms`. Returns how many.
    ///
    /// # Safety
    /// `queue` is a live queue of a consumer that outlives this batch.
    pub(crate) unsafe fn fill(&mut self, queue: *mut sys::rd_kafka_queue_t, most: usize, timeout_ms: i32) -> usize {
        debug_assert!(self.is_drained(), "filling over messages would leak them");
        self.clear();
        self.messages.resize(most, ptr::null_mut());
        // SAFETY: the array holds `most` pointers. A wait is for one message only: librdkafka would otherwise wait
        // out the timeout to fill the whole array.
        let taken = unsafe {
            match sys::rd_kafka_consume_batch_queue(queue, 0, self.messages.as_mut_ptr(), most) {
                0 if timeout_ms > 0 => {
                    sys::rd_kafka_consume_batch_queue(queue, timeout_ms, self.messages.as_mut_ptr(), 1)
                }
                taken => taken,
            }
        };
        let taken = usize::try_from(taken).unwrap_or(0);
        self.messages.truncate(taken);
        taken
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.next >= self.messages.len()
    }

    /// Frees the message handed out before and hands out the next one.
    pub(crate) fn advance(&mut self) -> bool {
        self.free_previous();
        let more = !self.is_drained();
        if more {
            self.next += 1;
        }
        more
    }

    /// The message that the last successful [`Batch::advance`] handed out.
    pub(crate) fn current(&self) -> MessageRef<'_> {
        let raw = self.messages[self.next - 1];
        debug_assert!(!raw.is_null(), "current() only follows an advance() that said true");
        MessageRef { raw, batch: PhantomData }
    }

    pub(crate) fn clear(&mut self) {
        while self.advance() {}
        self.messages.clear();
        self.next = 0;
    }

    fn free_previous(&mut self) {
        if let Some(previous) = self.next.checked_sub(1).and_then(|index| self.messages.get_mut(index)) {
            let message = std::mem::replace(previous, ptr::null_mut());
            if !message.is_null() {
                // SAFETY: it came from `rd_kafka_consume_batch_queue` and is freed once: its place is null from now on.
                unsafe { sys::rd_kafka_message_destroy(message) };
            }
        }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<'a> MessageRef<'a> {
    fn raw(&self) -> &'a sys::rd_kafka_message_t {
        // SAFETY: the batch keeps the message alive for 'a.
        unsafe { &*self.raw }
    }

    pub(crate) fn error(&self) -> Option<sys::rd_kafka_resp_err_t> {
        let code = self.raw().err;
        (code != sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR).then_some(code)
    }

    /// What librdkafka says about the error that this message is.
    pub(crate) fn error_text(&self) -> String {
        // SAFETY: a live message; the text lives as long as it.
        unsafe { super::text(sys::rd_kafka_message_errstr(self.raw)) }
    }

    pub(crate) fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub(crate) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// Two messages of one topic have the same; it stays the same for the life of the client.
    pub(crate) fn topic_identity(&self) -> usize {
        self.raw().rkt as usize
    }

    pub(crate) fn topic(&self) -> &'a str {
        let topic = self.raw().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the message keeps its topic alive, whose name is a C string.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) }.to_str().unwrap_or("")
    }

    pub(crate) fn key(&self) -> Option<&'a [u8]> {
        let raw = self.raw();
        // SAFETY: librdkafka's own bytes, alive as long as the message.
        unsafe { bytes(raw.key.cast(), raw.key_len) }
    }

    pub(crate) fn value(&self) -> Option<&'a [u8]> {
        let raw = self.raw();
        // SAFETY: as for the key.
        unsafe { bytes(raw.payload.cast(), raw.len) }
    }

    pub(crate) fn timestamp_ms(&self) -> i64 {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: a live message.
        unsafe { sys::rd_kafka_message_timestamp(self.raw, &mut kind) }
    }

    /// Header number `index`, from 0. The name may be any bytes: an alien producer's bad UTF-8 must not stop us.
    pub(crate) fn header(&self, index: usize) -> Option<(Cow<'a, str>, Option<&'a [u8]>)> {
        let mut headers = ptr::null_mut();
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        let ok = sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        // SAFETY: a live message owns its headers; name and value live as long as it.
        unsafe {
            if sys::rd_kafka_message_headers(self.raw, &mut headers) != ok {
                return None;
            }
            if sys::rd_kafka_header_get_all(headers, index, &mut name, &mut value, &mut size) != ok {
                return None;
            }
            Some((CStr::from_ptr(name).to_string_lossy(), bytes(value.cast(), size)))
        }
    }
}

/// # Safety
/// `pointer` is null or points to `len` bytes that live for 'a.
unsafe fn bytes<'a>(pointer: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: as the caller promises.
    (!pointer.is_null()).then(|| unsafe { slice::from_raw_parts(pointer, len) })
}
