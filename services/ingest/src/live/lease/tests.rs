//! Members on a log that is slow, goes away, and reaches each of them when it likes; members that freeze, die and come anew.

mod world;

use std::collections::BTreeMap;

use proptest::prelude::*;

use self::world::{LEASE_MS, World};
use super::*;

fn terms(shares: usize, sticky: bool) -> Terms {
    Terms { shares, sticky, lease: Duration::from_millis(LEASE_MS) }
}

fn said(beat: u64, shares: usize, holds: &[(usize, u64)]) -> Said {
    Said { version: 1, beat, shares, holds: holds.iter().copied().collect(), ..Said::default() }
}

fn claiming(beat: u64, claims: &[(usize, u64, u64)]) -> Said {
    let claims = claims.iter().map(|(share, number, after)| (*share, Claim { number: *number, after: *after }));
    Said { claims: claims.collect(), ..said(beat, 1, &[]) }
}

const fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A soak asks for more of them.
fn histories() -> u32 {
    let asked = std::env::var("FINFLOW_SIM_HISTORIES").ok();
    asked.map_or(16, |count| count.parse().expect("a number of histories"))
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 0, ..ProptestConfig::with_cases(histories()) })]

    /// Whatever happens, no two may write of one share at the same time; and when nothing happens any more, the living hold all of it.
    #[test]
    fn never_two_at_once_and_in_the_end_all_of_it(
        seed in any::<u64>(),
        members in 2usize..6,
        shares in prop_oneof![Just(1usize), 2usize..9],
        sticky in any::<bool>(),
    ) {
        let mut world = World::new(seed, members, terms(shares, sticky));
        world.trouble(at(120_000)).map_err(TestCaseError::fail)?;
        world.calm(at(3 * LEASE_MS + 5_000)).map_err(TestCaseError::fail)?;
        let holders = world.holders();
        prop_assert_eq!(holders.len(), shares, "all of it is held: {:?}", holders);
        if !sticky {
            let mut loads: BTreeMap<&String, usize> = BTreeMap::new();
            holders.values().for_each(|member| *loads.entry(member).or_default() += 1);
            let most = shares.div_ceil(world.living());
            prop_assert!(loads.values().all(|load| *load <= most), "{:?} among {}", loads, world.living());
        }
        let before = world.changes;
        world.calm(at(60_000)).map_err(TestCaseError::fail)?;
        prop_assert_eq!(world.changes, before, "and stays with them");
    }
}

#[test]
fn five_with_one_key_are_one_and_four_and_the_next_one_follows_soon() {
    for seed in 0..50 {
        let mut world = World::new(seed, 5, terms(1, true));
        world.calm(at(2_000)).unwrap();
        let first = world.holders()[&0].clone();
        world.calm(at(60_000)).unwrap();
        assert_eq!((world.changes, &world.holders()[&0]), (1, &first), "nobody takes it from the living");
        world.kill(&first);
        world.calm(at(13_000)).unwrap();
        assert_ne!(world.holders().get(&0).expect("somebody has taken it within 13 s"), &first);
        let second = world.holders()[&0].clone();
        world.retire(&second);
        world.calm(at(1_000)).unwrap();
        assert_ne!(world.holders().get(&0).expect("who leaves hands it over at once"), &second);
    }
}

#[test]
fn who_was_there_before_an_outage_has_it_after() {
    for seed in 0..50 {
        let mut world = World::new(seed, 3, terms(1, true));
        world.calm(at(2_000)).unwrap();
        let first = world.holders()[&0].clone();
        world.outage(at(120_000)).unwrap();
        assert_eq!(world.writers(), 0, "nobody may write what others could not hear of");
        world.calm(at(10_000)).unwrap();
        assert_eq!((world.changes, &world.holders()[&0]), (1, &first));
        assert_eq!(world.writers(), 1);
    }
}

/// It is frozen a little longer than the outage: what nobody could say in the meantime does not count against it.
#[test]
fn an_outage_is_no_silence() {
    for seed in 0..50 {
        let mut world = World::new(seed, 3, terms(1, true));
        world.calm(at(3_000)).unwrap();
        let first = world.holders()[&0].clone();
        world.freeze(&first, at(122_000));
        world.outage(at(120_000)).unwrap();
        world.calm(at(20_000)).unwrap();
        assert_eq!((world.changes, &world.holders()[&0]), (1, &first), "seed {seed}");
    }
}

#[test]
fn a_member_more_moves_few_symbols_and_the_parts_are_even() {
    let names = ["a-1", "b-2", "c-3"];
    let (two, three) = (divided(12, &names[..2]), divided(12, &names));
    for parts in [&two, &three] {
        let count = |name: &str| parts.iter().filter(|owner| **owner == name).count();
        assert!(parts.iter().all(|owner| count(owner) <= 12 / if parts == &two { 2 } else { 3 }), "{parts:?}");
    }
    let moved = two.iter().zip(&three).filter(|(before, after)| before != after).count();
    assert!((4..=6).contains(&moved), "{moved} of 12 moved");
    let symbols: Vec<String> = (0..500).map(|n| format!("BINANCE:S{n}USDT")).collect();
    let of = |shares: usize| symbols.iter().map(|symbol| share_of(symbol, shares)).collect::<Vec<_>>();
    let (eight, nine) = (of(8), of(9));
    let least = (0..8).map(|share| eight.iter().filter(|of| **of == share).count()).min().unwrap();
    assert!(least > 40, "{least} of 62 on average");
    assert!(eight.iter().zip(&nine).all(|(before, after)| before == after || *after == 8), "only to the new one");
    assert_eq!(share_of("BINANCE:BTCUSDT", 8), 4, "the same in every version");
}

#[test]
fn a_claim_that_came_second_is_none() {
    let mut scope = Scope::new("b".to_owned(), String::new(), terms(1, true));
    assert_eq!(scope.next(at(0)), [Do::Say(said(1, 1, &[]))], "it listens first");
    scope.hear("b", Some(said(1, 1, &[])), at(10));
    assert_eq!(scope.next(at(20)), [Do::Say(claiming(2, &[(0, 1, 0)]))]);
    scope.hear("a", Some(claiming(7, &[(0, 1, 0)])), at(30));
    scope.hear("b", Some(claiming(2, &[(0, 1, 0)])), at(40));
    assert_eq!(scope.next(at(50)), [Do::Say(said(3, 1, &[]))], "it takes that back");
    assert_eq!(scope.stands_by(), Some(BTreeSet::from(["a"])));
    // The process is known to have ended: its place is free at once, and its record is removed afterwards.
    scope.hear("b", Some(said(3, 1, &[])), at(70));
    scope.gone("a");
    assert_eq!(scope.next(at(80)), [Do::Say(claiming(4, &[(0, 2, 7)]))]);
    scope.hear("b", Some(claiming(4, &[(0, 2, 7)])), at(90));
    assert_eq!(scope.next(at(100)), [Do::Won(0), Do::Bury("a".to_owned())]);
}

#[test]
fn a_claim_over_one_that_has_spoken_meanwhile_is_none() {
    let mut scope = Scope::new("c".to_owned(), String::new(), terms(1, true));
    scope.next(at(0));
    scope.hear("a", Some(said(1, 1, &[(0, 5)])), at(10));
    scope.hear("b", Some(claiming(3, &[(0, 6, 1)])), at(20));
    scope.hear("c", Some(said(1, 1, &[])), at(30));
    assert_eq!(scope.stands_by(), Some(BTreeSet::from(["b"])), "nothing came of a between");
    scope.hear("b", Some(said(4, 1, &[(0, 6)])), at(40));
    scope.hear("a", Some(claiming(2, &[(0, 7, 3)])), at(50));
    assert_eq!(scope.stands_by(), Some(BTreeSet::from(["b"])), "b has spoken since its third beat");
}

#[test]
fn who_divides_otherwise_is_waited_for() {
    let mut scope = Scope::new("b".to_owned(), String::new(), terms(8, false));
    scope.hear("a", Some(said(1, 4, &[(0, 1)])), at(0));
    scope.next(at(0));
    scope.hear("b", Some(said(1, 8, &[])), at(10));
    assert!(scope.next(at(20)).is_empty());
    assert_eq!((scope.stranger(), scope.stands_by()), (Some(("a", 4)), Some(BTreeSet::from(["a"]))));
    scope.hear("a", None, at(30));
    assert!(matches!(&scope.next(at(40))[..], [Do::Say(said)] if said.claims.len() == 8));
}

#[test]
fn records_are_read_for_ever() {
    let old = r#"{"version":1,"shares":8,"beat":2,"holds":{"0":3,"7":1},"claims":{"1":{"number":4,"after":9}},"leaving":false,"process":"p","written":5}"#;
    let read: Said = serde_json::from_str(old).unwrap();
    assert_eq!((read.shares, read.beat, &read.holds, read.written), (8, 2, &BTreeMap::from([(0, 3), (7, 1)]), 5));
    assert_eq!((read.claims[&1], read.claims.len()), (Claim { number: 4, after: 9 }, 1));
}
