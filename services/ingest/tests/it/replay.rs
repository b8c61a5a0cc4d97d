//! Files in, records out.

use std::collections::BTreeMap;

use market::{Event, symbol};

use crate::bed::{Bed, header, positions, testdata, trades_csv};

#[test]
fn a_file_becomes_records_with_key_partition_headers_and_value() {
    let bed = Bed::new();
    let summary = bed.run(bed.config(&[&testdata("index/index_invented.csv")])).unwrap();
    assert_eq!((summary.read, summary.lines, summary.total()), (13, 12, 12));
    assert_eq!((summary.ignored["header"], summary.events["bar"]), (1, 12));
    let records = bed.output();
    assert_eq!(records.len(), 12);
    assert_eq!(positions(&records).len(), 12);
    for record in &records {
        let Event::Bar(bar) = Event::decode(record.value.as_ref().unwrap()).unwrap() else { panic!() };
        assert_eq!(record.key.as_deref(), Some(bar.symbol.as_bytes()));
        assert_eq!(record.partition, symbol::partition(bar.symbol.as_bytes(), 3));
        assert_eq!(header(record, "content-type"), "application/json");
        assert_eq!(header(record, "schema_version"), "1");
        assert_eq!(header(record, "source"), "csv:index_invented.csv");
        assert!(header(record, "event_id").starts_with("csv:index_invented.csv:0:"));
        assert!(bar.receive_time.is_some(), "a time of receipt: ours, where the file has none");
    }
    let produced: u64 = summary.produced.values().sum();
    for (partition, count) in &summary.produced {
        assert_eq!(records.iter().filter(|record| record.partition == *partition).count() as u64, *count);
    }
    assert_eq!(produced, 12);
}

#[test]
fn the_event_id_of_a_trade_is_its_identity() {
    let bed = Bed::new();
    bed.run(bed.config(&[&testdata("binance/spot_btcusdt_20240808.head.gz")])).unwrap();
    let records = bed.output();
    assert_eq!(records.len(), 132);
    assert_eq!(header(&records[0], "event_id"), "BINANCE/BINANCE:BTCUSDT/3735683259");
    assert_eq!(header(&records[0], "source"), "binance:spot_btcusdt_20240808.head.gz");
    let value = String::from_utf8(records[0].value.clone().unwrap()).unwrap();
    assert!(value.contains(r#""price":61837.63,"quantity":0.02,"side":"sell""#), "{value}");
}

/// Two markets with the same symbol in one run: merged by time, never mixed.
#[test]
fn feeds_of_one_run_are_merged_by_recorded_time_and_keep_their_markets_apart() {
    let bed = Bed::new();
    let feeds = [testdata("binance/spot_btcusdt_20240808.head.gz"), testdata("binance/usdm_btcusdt_20240808.head.gz")];
    bed.run(bed.config(&[&feeds[0], &feeds[1]])).unwrap();
    let mut per_symbol: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in bed.events() {
        let Event::Trade(trade) = event else { panic!() };
        per_symbol.entry(trade.symbol).or_default().push(trade.trade_id.unwrap().parse().unwrap());
    }
    let counts: Vec<(&str, usize)> = per_symbol.iter().map(|(symbol, ids)| (symbol.as_str(), ids.len())).collect();
    assert_eq!(counts, [("BINANCE:BTCUSDT", 132), ("BINANCE_USDM:BTCUSDT", 197)]);
    assert!(per_symbol.values().all(|ids| ids.is_sorted()));
}

#[test]
fn halves_of_a_session_given_in_the_wrong_order_come_in_the_right_one() {
    let bed = Bed::new();
    let text = trades_csv(2000);
    let (header_line, body) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = body.lines().collect();
    let first = bed.file("first.csv", format!("{header_line}\n{}\n", lines[..1000].join("\n")));
    let second = bed.file("second.csv", format!("{header_line}\n{}\n", lines[1000..].join("\n")));
    bed.run(bed.config(&[&second, &first])).unwrap();
    let mut last: BTreeMap<String, i64> = BTreeMap::new();
    for event in bed.events() {
        let time = event.event_time().unwrap();
        let before = last.insert(event.symbol().unwrap().to_owned(), time);
        assert!(before.is_none_or(|before| before < time), "{event:?}");
    }
}

#[test]
fn quotes_are_produced_when_asked_for() {
    let bed = Bed::new();
    let mut config = bed.config(&[&testdata("binance/usdm_btcusdt_20240808.head.gz")]);
    config.quotes = true;
    let summary = bed.run(config).unwrap();
    assert_eq!(summary.events["trade"], 197);
    assert!(summary.events["quote"] > 100, "{summary:?}");
    assert!(!summary.ignored.contains_key("book_ticker"));
}

#[test]
fn a_synthetic_market_is_the_same_for_the_same_seed() {
    let values = |bed: &Bed| -> Vec<Vec<u8>> { bed.output().into_iter().map(|record| record.value.unwrap()).collect() };
    let (one, two) = (Bed::new(), Bed::new());
    one.run(one.config(&["synthetic:AAPL+MSFT?count=500&seed=7"])).unwrap();
    two.run(two.config(&["synthetic:AAPL+MSFT?count=500&seed=7"])).unwrap();
    assert_eq!(values(&one).len(), 500);
    assert_eq!(values(&one), values(&two));
}

#[test]
fn a_heartbeat_of_a_connection_has_no_key() {
    let bed = Bed::new();
    let heartbeats = [
        r#"{"kind":"heartbeat","schema_version":1,"venue":"COINBASE","receive_time":1618617600101000000}"#,
        r#"{"kind":"heartbeat","schema_version":1,"venue":"COINBASE","symbol":"COINBASE:BTC-USD","receive_time":1618617600101000000}"#,
    ];
    let path = bed.file("heartbeats.jsonl", heartbeats.join("\n"));
    let summary = bed.run(bed.config(&[&path])).unwrap();
    assert_eq!((summary.total(), summary.dead_lettered), (2, 0), "{summary:?}");
    let mut keys: Vec<_> = bed.output().into_iter().map(|record| record.key).collect();
    keys.sort();
    assert_eq!(keys, [None, Some(b"COINBASE:BTC-USD".to_vec())]);
}
