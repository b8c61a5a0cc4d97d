//! The wall clock, read in one place: record timestamps, retention and transaction ages need it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, as record batches carry them.
#[allow(clippy::disallowed_methods, reason = "a broker of its own stands outside the services' clock")]
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}
