//! Pace, loops, moving in time, sampling.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use harness::{Clock, SystemClock};
use harness::{Context, Shutdown};
use ingest::{Rebase, Speed};
use market::Event;
use testkit::eventually;

use crate::bed::{Bed, positions, runtime, testdata, trades_csv};

#[test]
fn a_rate_and_a_speed_are_kept() {
    let bed = Bed::new();
    let path = bed.file("t.csv", trades_csv(200));
    let mut config = bed.config(&[&path]);
    config.rate = 400.0;
    let started = Instant::now();
    bed.run(config).unwrap();
    let took = started.elapsed();
    assert!(took > Duration::from_millis(490), "200 rows at 400/s in {took:?}");
    // 200 ms of recording at a quarter of the speed.
    let mut config = bed.config(&[&format!("again={path}")]);
    config.speed = Speed::Times(0.25);
    let started = Instant::now();
    bed.run(config).unwrap();
    let took = started.elapsed();
    assert!(took > Duration::from_millis(790), "{took:?}");
    assert_eq!(bed.output().len(), 400);
}

#[test]
fn a_loop_continues_strictly_in_time_and_ids() {
    let bed = Bed::new();
    let feeds = [testdata("binance/spot_btcusdt_20240808.head.gz"), testdata("binance/usdm_btcusdt_20240808.head.gz")];
    let mut config = bed.config(&[&feeds[0], &feeds[1]]);
    config.repeat = true;
    config.passes = 4;
    let summary = bed.run(config).unwrap();
    assert_eq!(summary.total(), 4 * (132 + 197));
    let mut last: BTreeMap<String, (i64, u64)> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for event in bed.events() {
        let Event::Trade(trade) = event else { panic!() };
        let id: u64 = trade.trade_id.as_ref().unwrap().parse().unwrap();
        assert!(ids.insert((trade.symbol.clone(), id)), "no duplicate");
        let before = last.insert(trade.symbol.clone(), (trade.event_time, id));
        assert!(
            before.is_none_or(|(time, before)| time <= trade.event_time && before + 1 == id),
            "{before:?} {trade:?}"
        );
        let behind = trade.event_time - trade.receive_time.unwrap();
        assert!((1_200_000_000..1_500_000_000).contains(&behind), "both clocks are moved alike");
    }
}

#[test]
fn rebase_moves_the_first_event_to_now() {
    let bed = Bed::new();
    let mut config = bed.config(&[&testdata("binance/spot_btcusdt_20240808.head.gz")]);
    config.rebase = Rebase::Now;
    let before = SystemClock.now_ns();
    bed.run(config).unwrap();
    let after = SystemClock.now_ns();
    let times: Vec<i64> = bed.events().iter().map(|event| event.event_time().unwrap()).collect();
    assert!(before <= times[0] && times[0] <= after);
    let recorded = Bed::new();
    recorded.run(recorded.config(&[&testdata("binance/spot_btcusdt_20240808.head.gz")])).unwrap();
    let original: Vec<i64> = recorded.events().iter().map(|event| event.event_time().unwrap()).collect();
    let distances: BTreeSet<i64> = times.iter().zip(&original).map(|(moved, original)| moved - original).collect();
    assert_eq!(distances.len(), 1, "all by the same distance");
}

#[test]
fn sampling_draws_rows_of_the_file_and_is_repeatable() {
    let drawn = |seed: u64| {
        let bed = Bed::new();
        let mut config = bed.config(&[&testdata("index/index_invented.csv")]);
        config.sample = true;
        config.sample_every = harness::Duration::from_millis(2);
        config.seed = seed;
        let shutdown = Shutdown::new();
        let ctx = Context::hosted("ingest", config, &shutdown);
        let running = runtime().spawn(ingest::run(ctx));
        eventually(Duration::from_secs(30), "60 draws", || (bed.output().len() >= 60).then_some(()));
        shutdown.trigger("enough");
        runtime().block_on(running).unwrap().unwrap();
        let records = bed.output();
        positions(&records);
        let mut rows: Vec<(u64, String)> = records
            .iter()
            .map(|record| {
                let position = crate::bed::header(record, "finflow-pos");
                let mut parts = position.split(':').skip(1);
                (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().to_owned())
            })
            .collect();
        rows.sort();
        assert!(rows.iter().enumerate().all(|(n, (draw, _))| *draw == n as u64 + 1), "no draw is missing: {rows:?}");
        rows.truncate(60);
        rows
    };
    let one = drawn(1);
    assert_eq!(one, drawn(1));
    assert_ne!(one, drawn(2));
    let lines: BTreeSet<&String> = one.iter().map(|(_, line)| line).collect();
    assert!(lines.len() > 6, "{lines:?}");
}
