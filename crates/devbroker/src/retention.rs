//! Deleting old records: by age, by size, and those below the log's start. Whole segments only.

use crate::{config::Settings, partition::Partition};
use std::io;

/// Deletes what the topic's configuration no longer keeps, and answers how many segments went.
pub fn expire(partition: &Partition, settings: &Settings, now_ms: i64) -> io::Result<usize> {
    let mut state = partition.lock();
    if state.gone {
        return Ok(0);
    }
    let segments: Vec<_> = state.log.sealed().iter().chain([state.log.last()]).filter(|s| s.len > 0).collect();
    let total = state.log.bytes();
    let mut kept = total;
    let count = segments.iter().take_while(|segment| {
        let old = |ms: i64| segment.max_timestamp >= 0 && now_ms - segment.max_timestamp > ms;
        let aged = settings.delete && settings.retention_ms.is_some_and(old);
        // A segment goes by size only if what is left is still as much as was asked for.
        let rest = kept - segment.len;
        let outgrown = settings.delete && settings.retention_bytes.is_some_and(|bytes| rest >= bytes);
        let deleted = segment.next <= state.start;
        kept = rest;
        aged || outgrown || deleted
    });
    let count = count.count();
    let start = count.checked_sub(1).map(|last| segments[last].next);
    let with_last = count > 0 && segments[count - 1].base == state.log.last().base;
    let Some(start) = start else { return Ok(0) };
    if with_last {
        let state = &mut *state;
        state.log.roll(&state.producers, now_ms)?;
    }
    // An open transaction that began here loses its records like any other; its end is still marked.
    state.move_start(start)?;
    let before = state.log.sealed().iter().take_while(|segment| segment.next <= start).count();
    state.log.drop_oldest(before)?;
    tracing::info!(dir = %partition.dir.display(), segments = count, start, "deleted old records");
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{batch::tests::plain, clock::now_ms, config::Overrides, sync::Syncer};

    fn settings(overrides: &[(&str, &str)]) -> Settings {
        let all = [&[("segment.bytes", "1024")], overrides].concat();
        Settings::new(&all.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect::<Overrides>())
    }

    fn filled(dir: &std::path::Path, settings: &Settings, ages_ms: &[i64]) -> Partition {
        let partition = Partition::open(dir.to_owned(), Syncer::start().unwrap().0).unwrap();
        for age in ages_ms {
            partition.append(plain(1, now_ms() - age, &[0; 900]), settings).unwrap();
        }
        partition
    }

    #[test]
    fn old_segments_go_and_the_last_one_too() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&[("retention.ms", "60000")]);
        let partition = filled(dir.path(), &settings, &[90_000, 80_000, 10_000]);
        assert_eq!(expire(&partition, &settings, now_ms()).unwrap(), 2);
        assert_eq!((partition.offsets().start, partition.offsets().end), (2, 3));
        assert_eq!(expire(&partition, &settings, now_ms() + 60_000).unwrap(), 1);
        assert_eq!((partition.offsets().start, partition.offsets().end), (3, 3));
        drop(partition);
        // The log's end is not forgotten though no record is left.
        let again = Partition::open(dir.path().to_owned(), Syncer::start().unwrap().0).unwrap();
        assert_eq!((again.offsets().start, again.offsets().end), (3, 3));
    }

    #[test]
    fn a_log_keeps_at_least_the_size_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&[("retention.bytes", "2000")]);
        let partition = filled(dir.path(), &settings, &[0; 5]);
        expire(&partition, &settings, now_ms()).unwrap();
        assert_eq!(partition.offsets().start, 2);
        assert!(partition.lock().log.bytes() >= 2000);
    }

    #[test]
    fn compacted_topics_lose_only_what_was_deleted() {
        let dir = tempfile::tempdir().unwrap();
        let plain_settings = settings(&[]);
        let partition = filled(dir.path(), &plain_settings, &[90_000, 0, 0]);
        partition.delete_records(1).unwrap();
        let compact = settings(&[("cleanup.policy", "compact"), ("retention.ms", "1")]);
        assert_eq!(expire(&partition, &compact, now_ms() + 1000).unwrap(), 1);
        assert_eq!((partition.offsets().start, crate::log::segment_bases(dir.path()).unwrap()[0]), (1, 1));
    }
}
