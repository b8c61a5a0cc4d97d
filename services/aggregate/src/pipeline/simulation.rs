//! The aggregator through thousands of histories on a simulated cluster: the last revisions are what one pass over the
//! input makes of it, and what a plain computation does that shares no code with the windows.

mod plain;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use market::window::Emit;
use market::{Cancel, Correction, Price, Quantity, Side, Trade};
use streams::OwnedRecord;
use streams::stateful::Outcome;
use testkit::simulation::{Ended, Fed, Lie, START_NS, Simulation, play};

use super::*;

const PARTITIONS: i32 = 3;
const SYMBOLS: [&str; 4] = ["A", "BINANCE:BTCUSDT", "KRAKEN:BTC/USD", "MSFT"];
const MS: i64 = 1_000_000;

/// The last revision of each window: by symbol, window and start.
type Last = BTreeMap<(String, String, i64), Metrics>;

fn config(lateness_ms: u64, emit: Emit) -> Config {
    let ms = |ms| harness::Duration(Duration::from_millis(ms));
    Config {
        windows: ["1s", "3s/1s"].iter().map(|text| text.parse().unwrap()).collect(),
        out_of_orderness: ms(300),
        lateness: ms(lateness_ms),
        idle: ms(400),
        update_throttle: ms(100),
        emit,
        ..Config::default()
    }
}

fn simulation(config: &Config) -> Simulation<Aggregator> {
    let settings = settings(config);
    let topics =
        [(&config.input, PARTITIONS), (&config.state, PARTITIONS), (&config.output, 2), (&config.dead_letters, 1)];
    let (of_stage, of_check) = (config.clone(), config.clone());
    Simulation {
        settings,
        topics: topics.map(|(topic, partitions)| (topic.clone(), partitions)).into(),
        upstream: true,
        stage: Rc::new(move |env| Aggregator::new(&of_stage, &env.metrics).unwrap()),
        feed: Rc::new(feed),
        check: Rc::new(move |ended| check(&of_check, ended)),
    }
}

/// Trades of a few symbols, as a bad day brings them: out of order, late, twice, from the future; and what are no trades.
fn feed(rng: &mut fastrand::Rng) -> Vec<Fed> {
    let (mut at, mut all) = (Duration::ZERO, Vec::<Fed>::new());
    for id in 0..rng.u64(5..60) {
        at += Duration::from_micros(if rng.u8(0..8) == 0 { rng.u64(0..1_500_000) } else { rng.u64(0..60_000) });
        let symbol = SYMBOLS[rng.usize(0..SYMBOLS.len())];
        let value = match rng.u8(0..40) {
            0 => b"not json".to_vec(),
            1 => format!(
                r#"{{"kind":"gap","schema_version":1,"symbol":"{symbol}","from":{},"to":{},"cause":"restart"}}"#,
                START_NS,
                START_NS + rng.i64(1..4000) * MS
            )
            .into_bytes(),
            2 | 3 if !all.is_empty() => {
                let copy = all[rng.usize(0..all.len())].clone();
                all.push(Fed { at, ..copy });
                continue;
            }
            4..8 if !all.is_empty() => {
                let of = &all[rng.usize(all.len().saturating_sub(12)..all.len())];
                let Some(value) = amended(rng, &of.value, id, at) else { continue };
                let again = Fed { at, value, ..of.clone() };
                all.push(again);
                continue;
            }
            _ => encoded(&trade(rng, symbol, id, at)),
        };
        let partition = market::symbol::partition(symbol.as_bytes(), PARTITIONS);
        all.push(Fed { at, partition, key: symbol.as_bytes().to_vec(), value });
    }
    all
}

fn trade(rng: &mut fastrand::Rng, symbol: &str, id: u64, at: Duration) -> Trade {
    let delay_ms = match rng.u8(0..20) {
        0 => rng.i64(0..6000),
        1..3 => rng.i64(0..1300),
        _ => rng.i64(0..300),
    };
    let (receive_time, ahead) = (START_NS + at.as_nanos() as i64, i64::from(rng.u8(0..40) == 0));
    Trade {
        venue: "TEST".to_owned(),
        symbol: symbol.to_owned(),
        trade_id: (rng.u8(0..10) > 0).then(|| id.to_string()),
        price: format!("{}.{:02}", rng.u32(90..110), rng.u32(0..100)).parse::<Price>().unwrap(),
        quantity: rng.u32(0..50).to_string().parse::<Quantity>().unwrap(),
        side: [None, Some(Side::Buy), Some(Side::Sell)][rng.usize(0..3)],
        conditions: Vec::new(),
        event_time: (receive_time - delay_ms * MS) / MS * MS + ahead * 20_000 * MS,
        receive_time: Some(receive_time),
        backfilled: rng.u8(0..30) == 0,
    }
}

/// A cancel or a correction of an earlier record, if that is a trade with an id: of one that may be late, wrong or a copy, at a time when its
/// windows may be open, final or gone. Rarely the venue does not say what the trade was.
fn amended(rng: &mut fastrand::Rng, value: &[u8], id: u64, at: Duration) -> Option<Vec<u8>> {
    let trade = match Event::decode(value).ok()? {
        Event::Trade(trade) => trade,
        // The corrected trade may be amended in its turn.
        Event::Correction(c) => Trade {
            trade_id: c.corrected_id,
            price: c.price,
            quantity: c.quantity,
            event_time: c.trade_time?,
            ..blank(c.venue, c.symbol)
        },
        _ => return None,
    };
    let (event_time, receive_time) = (START_NS + at.as_nanos() as i64, Some(START_NS + at.as_nanos() as i64));
    let (venue, symbol, trade_id) = (trade.venue, trade.symbol, trade.trade_id?);
    let says = rng.u8(0..8) > 0;
    let (price, quantity) = (says.then_some(trade.price), says.then_some(trade.quantity));
    let trade_time = says.then_some(trade.event_time);
    let event = match rng.bool() {
        true => {
            Event::Cancel(Cancel { venue, symbol, trade_id, price, quantity, trade_time, event_time, receive_time })
        }
        false => Event::Correction(Correction {
            venue,
            symbol,
            trade_id,
            corrected_id: rng.bool().then(|| (1_000 + id).to_string()),
            price: format!("{}.{:02}", rng.u32(85..115), rng.u32(0..100)).parse().unwrap(),
            quantity: rng.u32(0..50).to_string().parse().unwrap(),
            conditions: Vec::new(),
            original_price: price,
            original_quantity: quantity,
            trade_time,
            event_time,
            receive_time,
        }),
    };
    let mut value = Vec::new();
    event.encode(&mut value);
    Some(value)
}

fn blank(venue: String, symbol: String) -> Trade {
    let (price, quantity) = ("1".parse().unwrap(), "1".parse().unwrap());
    let none = (None, None, Vec::new(), None);
    let (trade_id, side, conditions, receive_time) = none;
    Trade { venue, symbol, trade_id, price, quantity, side, conditions, event_time: 0, receive_time, backfilled: false }
}

fn encoded(trade: &Trade) -> Vec<u8> {
    let mut value = Vec::new();
    Event::Trade(trade.clone()).encode(&mut value);
    value
}

/// What of a last record is promised to be the same for any speed, batches and restarts, as it is written.
fn said(record: &Metrics) -> String {
    let mut value = Vec::new();
    Metrics { rev: 0, is_final: true, closed_by: None, ..record.clone() }.encode(&mut value);
    String::from_utf8(value).unwrap()
}

/// The last revision of each window; revisions have no gap and no repeat, and the last is final.
fn last_revisions(records: impl Iterator<Item = Metrics>) -> Result<Last, String> {
    let mut last = Last::new();
    for record in records {
        let key = (record.symbol.clone(), record.window.to_string(), record.window_start);
        let rev = record.rev;
        let before = last.insert(key, record).map(|before| before.rev);
        if rev != before.map_or(0, |before| before + 1) {
            return Err(format!("revision {rev} came after {before:?} of {:?}", last.keys().next_back()));
        }
    }
    match last.values().find(|record| !record.is_final) {
        Some(record) => Err(format!("the last word on a window is not final: {record:?}")),
        None => Ok(last),
    }
}

fn found(config: &Config, ended: &Ended) -> Result<Last, String> {
    let records = ended.topics[&config.output].iter().flatten();
    last_revisions(records.map(|record| Metrics::decode(record.value.as_deref().unwrap_or_default()).unwrap()))
}

fn outcome(folded: Folded) -> Outcome {
    match folded {
        Folded::Folded => Outcome::Folded,
        Folded::Duplicate => Outcome::Duplicate,
        Folded::Late | Folded::Doubtful => Outcome::Late,
        Folded::OutOfRange | Folded::Unknown => Outcome::Invalid,
        Folded::NoRollup | Folded::Across => unreachable!("a trade is no bar"),
    }
}

/// One partition in one pass: no clock, no batches, no restarts.
fn one_pass(config: &Config, partition: i32, input: &[OwnedRecord]) -> (Vec<Metrics>, streams::stateful::Counts) {
    let (mut fold, mut out) = (Fold::new(&config.options().unwrap(), partition).unwrap(), Vec::new());
    let mut counts = streams::stateful::Counts::default();
    for record in input {
        counts.add(match Event::decode(record.value.as_deref().unwrap_or_default()) {
            Ok(Event::Trade(t)) if plain::is_from_the_future(&t) => Outcome::Invalid,
            Ok(Event::Trade(t)) => outcome(fold.trade(&Input::of_owned(&t, record.offset), &mut out)),
            Ok(Event::Cancel(c)) => outcome(fold.amend(&Amendment::of_cancel(&c, record.offset))),
            Ok(Event::Correction(c)) => outcome(fold.amend(&Amendment::of_correction(&c, record.offset))),
            Ok(Event::Gap(gap)) => {
                fold.gap(&gap.symbol, Hole::of(&gap));
                Outcome::OtherKind
            }
            Ok(_) => Outcome::OtherKind,
            Err(_) => Outcome::Invalid,
        });
    }
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
    (out, counts)
}

fn check(config: &Config, ended: &Ended) -> Result<(), String> {
    let found = found(config, ended)?;
    let (mut expected, mut plain) = (Vec::new(), BTreeMap::new());
    for (partition, input) in (0..).zip(&ended.topics[&config.input]) {
        let (records, counts) = one_pass(config, partition, input);
        let counted = ended.counts[&partition];
        if counted != counts {
            return Err(format!("partition {partition} counts {counted:?}, one pass makes it {counts:?}"));
        }
        expected.extend(records);
        plain.extend(plain::bars(config, input));
    }
    let expected = last_revisions(expected.into_iter())?;
    let stray = found.keys().find(|key| !expected.contains_key(*key) || !plain.contains_key(*key));
    let missing = expected.keys().chain(plain.keys()).find(|key| !found.contains_key(*key));
    if let Some(key) = stray.or(missing) {
        let there = [found.contains_key(key), expected.contains_key(key), plain.contains_key(key)];
        return Err(format!("{key:?} is found, in one pass, by the plain way: {there:?}"));
    }
    for (key, record) in &found {
        if said(record) != said(&expected[key]) {
            return Err(format!("found    {}\nexpected {}", said(record), said(&expected[key])));
        }
        if !plain[key].agrees(record) {
            return Err(format!("found {record:?}\nplain {:?}", plain[key]));
        }
    }
    let set_aside: u64 = ended.counts.values().map(|counts| counts.invalid + counts.late).sum();
    let letters = ended.topics[&config.dead_letters].iter().flatten().count() as u64;
    if letters != set_aside {
        return Err(format!("{set_aside} records set aside, {letters} dead letters"));
    }
    Ok(())
}

#[test]
fn the_last_revisions_equal_a_batch_whatever_happens() {
    play(&simulation(&config(0, Emit::OnClose)), 1_000);
}

#[test]
fn and_so_they_do_with_lateness_and_updates() {
    play(&simulation(&config(1_000, Emit::Both)), 1_000);
}

#[test]
fn each_rule_that_is_broken_is_noticed() {
    for lie in Lie::ALL {
        match simulation(&config(0, Emit::OnClose)).find(0..2_000, Some(lie)) {
            Err(failed) => println!("{lie:?}: seed {}: {:.300}", failed.seed, failed.what),
            Ok(played) => panic!("{lie:?} went unnoticed in {played:?}"),
        }
    }
}

/// The same input at 1× and 1000×, each in many batchings and through many troubles: the same bytes.
#[test]
fn replays_at_any_speed_and_in_any_batches_say_the_same_bytes() {
    for config in [config(0, Emit::OnClose), config(1_000, Emit::Both)] {
        for input in 0..4 {
            let mut all: Option<Vec<String>> = None;
            for speed in [1, 1_000] {
                let feed = feed(&mut fastrand::Rng::with_seed(input));
                let feed: Vec<Fed> = feed.into_iter().map(|fed| Fed { at: fed.at / speed, ..fed }).collect();
                let simulation =
                    Simulation { upstream: false, feed: Rc::new(move |_| feed.clone()), ..simulation(&config) };
                for seed in 0..25 {
                    let ended = simulation.run(seed, None).unwrap_or_else(|failed| panic!("{failed}"));
                    let bytes: Vec<String> = found(&config, &ended).unwrap().values().map(said).collect();
                    assert_eq!(
                        all.get_or_insert_with(|| bytes.clone()),
                        &bytes,
                        "input {input}, {speed}×, seed {seed}"
                    );
                }
            }
        }
    }
}
