//! The larger data beside the project, where it is.

use std::collections::BTreeMap;

use harness::{Context, Drain, Shutdown};
use market::{Decimal, Event};

use crate::bed::{Bed, positions, runtime, shared};

#[test]
fn every_row_of_the_index_data_set_is_in_kafka_once() {
    let (Some(path), Some(facts)) = (shared("index/indexProcessed.csv.gz"), shared("index/facts.csv")) else { return };
    let bed = Bed::new();
    let summary = bed.run(bed.config(&[path.to_str().unwrap()])).unwrap();
    assert_eq!((summary.total(), summary.dead_lettered), (104_224, 0));
    let records = bed.output();
    assert_eq!(positions(&records).len(), 104_224);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut total = Decimal::ZERO;
    for record in &records {
        let Event::Bar(bar) = Event::decode(record.value.as_ref().unwrap()).unwrap() else { panic!() };
        total = total.checked_add(bar.volume.get()).unwrap();
        *counts.entry(bar.symbol).or_default() += 1;
    }
    assert_eq!(total.to_string(), "140457056939342");
    let facts = std::fs::read_to_string(facts).unwrap();
    let expected = facts.lines().skip(1).map(|line| {
        let mut fields = line.split(',');
        (fields.next().unwrap().to_owned(), fields.next().unwrap().parse().unwrap())
    });
    assert_eq!(counts, expected.collect());
}

#[test]
fn four_recordings_in_one_run_mix_no_two_markets() {
    let names = ["spot_btcusdt_20240808", "spot_btcusdt_20240809", "spot_ethusdt_20240808", "usdm_btcusdt_20240808"];
    let paths: Vec<_> = names.iter().filter_map(|name| shared(&format!("binance_ws/{name}.gz"))).collect();
    if paths.len() < names.len() {
        return;
    }
    let bed = Bed::new();
    let feeds: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    let ctx = Context::hosted("ingest", bed.config(&feeds), &Shutdown::new()).with_drain(Drain::already());
    let metrics = ctx.metrics.clone();
    let summary = runtime().block_on(ingest::run(ctx)).unwrap();
    for name in names {
        let text = metrics.render();
        let series = format!("finflow_ingest_feed_skew_seconds{{feed=\"{name}");
        let line = text.lines().find(|line| line.starts_with(&series)).unwrap();
        let skew: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        assert!((-1.5..-1.0).contains(&skew), "the recorder's clock was 1.27 s behind: {name} {skew}");
    }
    assert_eq!(summary.read, 41_249 + 58_325 + 33_618 + 93_954);
    let mut per_symbol: BTreeMap<String, Vec<(i64, u64)>> = BTreeMap::new();
    for event in bed.events() {
        let Event::Trade(trade) = event else { panic!() };
        per_symbol.entry(trade.symbol).or_default().push((trade.event_time, trade.trade_id.unwrap().parse().unwrap()));
    }
    let counts: Vec<(&str, usize)> =
        per_symbol.iter().map(|(symbol, trades)| (symbol.as_str(), trades.len())).collect();
    assert_eq!(
        counts,
        [("BINANCE:BTCUSDT", 9_757 + 10_147), ("BINANCE:ETHUSDT", 6_106), ("BINANCE_USDM:BTCUSDT", 21_313)]
    );
    assert!(per_symbol.values().all(|trades| trades.is_sorted()), "also across the two files of one symbol");
}
