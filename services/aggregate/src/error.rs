//! Why a trade that could be read was refused all the same.

/// Reasons of dead letters beside those of decoding.
pub const LATE: &str = "late";
pub const FUTURE_TIMESTAMP: &str = "future_timestamp";
