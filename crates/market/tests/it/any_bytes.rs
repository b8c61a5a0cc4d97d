//! Whatever the bytes, each decoder answers: with a record that is written and read again as the same, or with a short
//! reason. Never a panic.

use std::fmt::Debug;

use market::{Alert, DecodeError, Event, EventRef, Metrics};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::root;

/// Every form that is or was written: `testdata/events/v1`.
fn seeds() -> Vec<Vec<u8>> {
    let folder = root().join("testdata/events/v1");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(seeds.len() >= 60, "only {} in {}", seeds.len(), folder.display());
    seeds
}

/// What numbers, texts and lists break on.
const TOKENS: [&str; 16] = [
    "null",
    "NaN",
    "-Infinity",
    "1e400",
    "-0",
    "1e-19",
    "9223372036854775807",
    "-9223372036854775809",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "{",
    "[[",
    "]",
    "\"",
    "\"kind\":\"metrics\",",
    "\"schema_version\":2,",
];

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = proptest::collection::vec((any::<Index>(), any::<Index>(), any::<u8>(), 0..6u8), 0..6);
    (select(seeds()), edits).prop_map(|(mut bytes, edits)| {
        for (at, other, byte, edit) in edits {
            let (at, to) = (at.index(bytes.len()), other.index(bytes.len()));
            match edit {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte % 128),
                2 => bytes.truncate(at.max(1)),
                3 => {
                    bytes.remove(at);
                    bytes.push(b' ');
                }
                // A token in place of a few bytes.
                4 => drop(bytes.splice(at..(at + usize::from(byte % 12)).min(bytes.len()), other.get(&TOKENS).bytes())),
                // Some of it twice.
                _ => {
                    let piece = bytes[at.min(to)..at.max(to)].to_vec();
                    bytes.splice(at..at, piece);
                }
            }
            if bytes.is_empty() {
                bytes.push(b' ');
            }
        }
        bytes
    })
}

/// What was read, written and read again is the same, twice.
fn settles<T: Debug + PartialEq>(
    bytes: &[u8],
    decode: fn(&[u8]) -> Result<T, DecodeError>,
    encode: fn(&T, &mut Vec<u8>),
) -> Result<(), TestCaseError> {
    match decode(bytes) {
        Ok(record) => {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            encode(&record, &mut once);
            let again = decode(&once).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(&record, &again);
            encode(&again, &mut twice);
            prop_assert_eq!(once, twice);
        }
        Err(error) => prop_assert!(error.detail.len() < 500, "{}", error.detail),
    }
    Ok(())
}

fn all_settle(bytes: &[u8]) -> Result<(), TestCaseError> {
    settles(bytes, Event::decode, Event::encode)?;
    settles(bytes, Metrics::decode, Metrics::encode)?;
    settles(bytes, Alert::decode, Alert::encode)?;
    let (borrowed, owned) = (EventRef::decode(bytes).map(drop), Event::decode(bytes).map(drop));
    prop_assert_eq!(borrowed, owned, "both ways of reading an event refuse the same");
    Ok(())
}

#[test]
fn every_form_is_read_by_one_decoder() {
    for seed in seeds() {
        let read = [Event::decode(&seed).is_ok(), Metrics::decode(&seed).is_ok(), Alert::decode(&seed).is_ok()];
        assert_eq!(read.iter().filter(|read| **read).count(), 1, "{}", String::from_utf8_lossy(&seed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        all_settle(&bytes)?;
    }

    #[test]
    fn mutated_records_are_answered_and_what_is_read_settles(bytes in mutated()) {
        all_settle(&bytes)?;
    }
}
