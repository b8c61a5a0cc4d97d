use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

fn id(n: u64) -> Id {
    Id::new(&n.to_string())
}

#[test]
fn ids_are_numbers_only_in_their_plain_form() {
    assert_eq!(Id::new("3735683259").number(), Some(3_735_683_259));
    assert_eq!(Id::new("0").number(), Some(0));
    for text in ["007", "", "-1", "1e3", "9999999999999999999", "d1b0c5a0-0000", " 7"] {
        assert_eq!(Id::new(text).number(), None, "{text}");
    }
    assert_ne!(Id::new("a"), Id::new("b"));
    assert_ne!(Id::new("007"), Id::new("7"));
}

#[test]
fn contiguous_ids_cost_one_range() {
    let mut seen = Seen::default();
    for n in 0..100_000 {
        assert_eq!(seen.insert(0, 0, id(n)), 0);
    }
    assert_eq!(seen.ranges, 1);
    assert!(seen.contains(0, id(99_999)) && !seen.contains(0, id(100_000)) && !seen.contains(1, id(5)));
}

#[test]
fn a_bucket_that_is_over_is_forgotten_and_its_chunks_are_removed() {
    let mut seen = Seen::default();
    seen.insert(0, 0, id(1));
    seen.insert(60, 0, id(2));
    seen.save(1, |_, _, _, _| ());
    seen.drop_while(|start| start < 60);
    assert!(!seen.contains(0, id(1)) && seen.contains(0, id(2)));
    let mut removed = Vec::new();
    seen.save(1, |start, venue, number, bytes| removed.push((start, venue, number, bytes.is_some())));
    assert_eq!(removed, [(0, 0, 0, false)]);
}

#[test]
fn sparse_ids_are_capped_and_the_loss_is_told() {
    let mut seen = Seen::default();
    let mut forgotten = 0;
    for n in 0..(MAX_RANGES as u64 + 10) {
        forgotten += seen.insert(if n < 100 { 0 } else { 60 }, 0, id(n * 2));
    }
    assert_eq!(forgotten, 100);
    assert!(seen.ranges <= MAX_RANGES as isize);
}

/// Ids in any order, sparse and dense, text and number.
fn ids() -> impl Strategy<Value = Vec<(u8, u64)>> {
    let dense = (0u8..2, 0u64..600);
    let sparse = (0u8..2, any::<u32>().prop_map(u64::from));
    prop::collection::vec(prop_oneof![dense, sparse], 0..1500)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn behaves_as_a_set_and_survives_being_saved(ids in ids(), every in 1usize..300) {
        let mut seen = Seen::default();
        let mut model = BTreeSet::new();
        let mut log: BTreeMap<(i64, u8, u32), Vec<u8>> = BTreeMap::new();
        for (i, (venue, n)) in ids.iter().enumerate() {
            let bucket = (n % 3) as i64 * 60;
            prop_assert_eq!(seen.contains(*venue, id(*n)), model.contains(&(*venue, *n)));
            if model.insert((*venue, *n)) {
                seen.insert(bucket, *venue, id(*n));
            }
            if i % every == 0 {
                seen.save(1, |start, venue, number, bytes| match bytes {
                    Some(b) => drop(log.insert((start, venue, number), b[1..].to_vec())),
                    None => drop(log.remove(&(start, venue, number))),
                });
                let mut restored = Seen::default();
                for ((start, venue, number), bytes) in log.iter().rev() {
                    restored.restore(*start, *venue, *number, &mut Reader::new(bytes)).unwrap();
                }
                restored.restored();
                for (venue, n) in &ids {
                    prop_assert_eq!(restored.contains(*venue, id(*n)), seen.contains(*venue, id(*n)));
                }
                seen = restored;
            }
        }
    }
}
