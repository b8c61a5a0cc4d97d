//! The answers, one file per kind of request. Each reads its request and writes its answer field by field, in the
//! order of the protocol's tables, with `version` deciding which fields there are.

pub mod configs;
pub mod fetch;
pub mod group_admin;
pub mod groups;
pub mod list_offsets;
pub mod metadata;
pub mod offsets;
pub mod produce;
pub mod topics;
pub mod transactions;
pub mod versions;

use crate::wire::{Malformed, Reader};

/// Partitions as most requests name them: by topic, each with something of its own.
pub struct OfTopic<T> {
    pub name: String,
    pub partitions: Vec<T>,
}

/// Reads `[name, [partition]]`.
pub fn by_topic<T>(
    reader: &mut Reader,
    mut partition: impl FnMut(&mut Reader) -> Result<T, Malformed>,
) -> Result<Vec<OfTopic<T>>, Malformed> {
    reader.array(|r| topic(r, &mut partition))
}

pub fn topic<T>(
    r: &mut Reader,
    partition: &mut impl FnMut(&mut Reader) -> Result<T, Malformed>,
) -> Result<OfTopic<T>, Malformed> {
    let name = r.string()?;
    let partitions = r.array(|r| {
        let one = partition(r)?;
        r.tags()?;
        Ok(one)
    })?;
    r.tags()?;
    Ok(OfTopic { name, partitions })
}

#[cfg(test)]
mod tests;
