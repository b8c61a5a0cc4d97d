//! What a record says, in short.

use crate::metrics::Metrics;
use crate::window::seen::fnv128;

/// Equal for records that say the same, whichever revision they are and whoever closed their window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(pub u64);

impl Digest {
    /// Of a record of whose content an older version kept nothing: equal to none.
    pub const UNKNOWN: Self = Self(0);

    pub fn of(record: &Metrics) -> Self {
        let mut text = Vec::new();
        Metrics { rev: 0, is_final: true, closed_by: None, ..record.clone() }.encode(&mut text);
        Self((fnv128(&text) as u64).max(1))
    }
}
