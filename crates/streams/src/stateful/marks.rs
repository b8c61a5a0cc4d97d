//! Looks for the number of partitions that the state was written for, in whatever partition of the changelog tells it.
//!
//! A partition without state says nothing, and there the loop would begin from nothing: also where the state of its keys
//! lies in a partition of before.

use std::time::Duration;

use super::Settings;
use super::meta::Meta;
use super::outbox::META_KEY;
use crate::config::KafkaConfig;
use crate::consumer::{Polled, TopicPartition};
use crate::env::Env;
use crate::reader::Reader;

/// As the first mark tells that is found; `None`: there is no state.
pub(super) fn partitions(env: &Env, kafka: &KafkaConfig, settings: &Settings) -> anyhow::Result<Option<i32>> {
    let mut reader = Reader::new(env, kafka, &format!("{}-restore", settings.group))?;
    let partitions = env.ask("list the partitions", || reader.partitions(&settings.changelog))?;
    for partition in partitions {
        if let Some(mark) = last(env, &mut reader, &partition)? {
            return Ok(Some(mark.partitions));
        }
    }
    Ok(None)
}

/// The mark ends each transaction, so it is looked for from the end backwards.
fn last(env: &Env, reader: &mut Reader, partition: &TopicPartition) -> anyhow::Result<Option<Meta>> {
    let (low, end) = env.ask("read the ends of the changelog", || reader.watermarks(partition))?;
    let (mut from, mut step) = (end, 64);
    while from > low {
        from = (from - step).max(low);
        step *= 8;
        reader.assign(&[(partition.clone(), from)])?;
        let mut found = None;
        while reader.position(partition).is_some_and(|position| position < end) {
            env.beat();
            if let Polled::Record(record) = reader.poll(Duration::from_millis(100))?
                && record.key == Some(META_KEY)
                && let Some(value) = record.value
            {
                found = serde_json::from_slice(value).ok();
            }
            if env.shutdown.is_set() {
                return Ok(None);
            }
        }
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}
