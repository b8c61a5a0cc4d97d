//! One outcome per record, dead letters with their reasons, and the numbers of an exchange.

use std::collections::BTreeSet;

use streams::{dead_letter, header};

use super::*;

/// A clock far behind every trade: it closes nothing, only the end of the run does.
fn still() -> harness::FakeClock {
    harness::FakeClock::at(0)
}

/// The venue takes a trade of `A` back.
fn cancel(trade_id: &str, seconds: i64) -> String {
    let time = seconds * S;
    format!(
        r#"{{"kind":"cancel","schema_version":1,"venue":"TEST","symbol":"A","trade_id":"{trade_id}","price":120,"quantity":1,"trade_time":{time},"event_time":{}}}"#,
        time + S
    )
}

#[test]
fn every_record_has_one_outcome() {
    let bench = Bench::new(3);
    let mut late = trade("A", 4, 10.0, "1", "1");
    late.event_time = 0;
    let mut future = trade("A", 5, 100.0, "1", "1");
    future.event_time += 5 * S + 1;
    let quote =
        br#"{"kind":"quote","schema_version":1,"venue":"T","symbol":"A","bid":1,"bid_quantity":1,"event_time":5}"#;
    bench.send(&[
        ("A", encoded(&trade("A", 1, 10.0, "100", "2"))),
        // What other people's producers write.
        ("A", br#"{"symbol":"A","price":110.5,"volume":1e0,"timestamp":20000,"trade_id":2}"#.to_vec()),
        ("A", encoded(&trade("A", 1, 10.0, "100", "2"))),
        ("A", encoded(&trade("A", 3, 400.0, "120", "1"))),
        ("A", encoded(&late)),
        ("A", encoded(&future)),
        ("A", quote.to_vec()),
        ("A", br#"{"kind":"gap","schema_version":1,"symbol":"A","from":1,"to":2,"cause":"restart"}"#.to_vec()),
        ("A", b"not json".to_vec()),
        ("A", Vec::new()),
        (
            "A",
            br#"{"kind":"trade","schema_version":1,"venue":"T","symbol":"A","price":1e400,"quantity":1,"event_time":1}"#.to_vec(),
        ),
        ("B", encoded(&trade("B", 1, 10.0, "7", "0"))),
        ("A", cancel("3", 400).into_bytes()),
        ("A", cancel("77", 400).into_bytes()),
    ]);
    let summary = bench.run_to_end(bench.config(), still());

    let o = summary.outcomes;
    assert_eq!((o.folded, o.duplicate, o.late, o.invalid, o.other_kind), (5, 1, 1, 5, 2), "{summary:?}");
    assert_eq!((summary.msgs, o.sum()), (14, 14));
    let consumed: u64 = summary.ledger.consumed.values().map(|counts| counts.sum()).sum();
    assert_eq!(consumed, 14);
    assert_eq!(summary.late_for_window["1m"], 1);
    assert!(summary.late_for_window["5m/1m"] >= 1);

    let letters = bench.records(&bench.dead_letters);
    let header = |r: &OwnedRecord, name: &str| {
        let value = r.as_record().header(name).map(|v| String::from_utf8(v.to_vec()).unwrap());
        value.unwrap_or_else(|| panic!("{name} is missing"))
    };
    let mut reasons: Vec<String> = letters.iter().map(|r| header(r, dead_letter::REASON)).collect();
    reasons.sort();
    assert_eq!(reasons, ["empty", "future_timestamp", "late", "not_json", "precision", "unknown_trade"]);
    let letter = letters.iter().find(|r| header(r, dead_letter::REASON) == "late").unwrap();
    assert_eq!(letter.value.as_deref(), Some(encoded(&late).as_slice()), "the original bytes");
    assert_eq!(header(letter, dead_letter::STAGE), "aggregate");
    assert_eq!(header(letter, dead_letter::TOPIC), bench.input);
    assert_eq!(header(letter, dead_letter::DETAIL), "event time is 398000 ms behind the watermark");

    let last = last_revisions(&bench.metrics());
    let first = &last[&("A".to_owned(), "1m".to_owned(), 0)];
    assert_eq!((first.open.unwrap().get(), first.close.unwrap().get()), (decimal("100"), decimal("110.5")));
    assert_eq!((first.volume.get(), first.vwap), (decimal("3"), Some(decimal("103.5"))));
    assert_eq!((first.trade_count, first.duplicate, first.is_final), (2, 1, true));
    assert_eq!(last[&("B".to_owned(), "1m".to_owned(), 0)].vwap, None);
    let taken_back = &last[&("A".to_owned(), "1m".to_owned(), 360 * S)];
    assert_eq!((taken_back.trade_count, taken_back.close), (0, None));

    // Nothing is left: a second run finds the position committed and nothing new to say.
    let before = bench.metrics().len();
    let again = bench.run_to_end(bench.config(), still());
    assert_eq!((again.msgs, again.metrics, bench.metrics().len()), (0, 0, before));
}

/// Bars of days are rolled up into weeks and months; what no roll-up can take is counted, not lost.
#[test]
fn bars_are_rolled_up_and_have_one_outcome_each() {
    let bench = Bench::new(3);
    let row = |date: &str, close: f64| {
        format!(r#"{{"Index":"HSI","Date":"{date}","Open":10,"High":99,"Low":1,"Close":{close},"Volume":5}}"#)
            .into_bytes()
    };
    let other = |start: i64, interval: &str, length: i64| {
        let end = start + length;
        format!(
            r#"{{"kind":"bar","schema_version":1,"symbol":"HSI","interval":"{interval}","start":{start},"end":{end},"open":1,"high":1,"low":1,"close":1,"volume":1}}"#
        )
        .into_bytes()
    };
    let far = 4_000_000_000 * S;
    bench.send(&[
        // A Monday and the Friday of its week, the last of a month; then another week.
        ("HSI", row("2021-05-24", 20.5)),
        ("HSI", row("2021-05-28", 21.5)),
        ("HSI", row("2021-05-28", 22.5)),
        ("HSI", row("2021-05-31", 23.5)),
        ("HSI", row("2021-05-25", 24.5)),
        ("HSI", row("2021-06-01", 25.5)),
        ("HSI", row("2021-05-26", 26.5)),
        ("HSI", other(0, "1m", 60 * S)),
        ("HSI", other(-3 * 86_400 * S - 1, "1d", 40 * 86_400 * S)),
        ("HSI", other(far, "1d", 86_400 * S)),
    ]);
    let summary = bench.run_to_end(bench.config(), still());
    let o = summary.outcomes;
    assert_eq!((o.folded, o.duplicate, o.late, o.invalid, o.other_kind), (5, 1, 1, 1, 2), "{summary:?}");
    assert_eq!((summary.late_for_window["1w"], summary.late_for_window["1mo"]), (2, 1));

    let last = last_revisions(&bench.metrics());
    assert_eq!(last.len(), 4);
    let week = &last[&("HSI".to_owned(), "1w".to_owned(), 1_621_814_400 * S)];
    assert_eq!((week.open.unwrap().get(), week.close.unwrap().get()), (decimal("10"), decimal("21.5")));
    assert_eq!((week.volume.get(), week.bars.unwrap().count, week.duplicate), (decimal("10"), 2, 1));
    assert_eq!((week.trade_count, week.vwap, week.is_final), (0, None, true));
    let month = &last[&("HSI".to_owned(), "1mo".to_owned(), 1_619_827_200 * S)];
    assert_eq!((month.close.unwrap().get(), month.bars.unwrap().count), (decimal("23.5"), 4));
}

#[test]
fn a_recording_gives_the_exchanges_minutes() {
    let bench = Bench::new(1);
    let trades = recording();
    bench.send_trades(&trades);
    let summary = bench.run_to_end(bench.config(), still());
    assert_eq!((summary.outcomes.folded, summary.msgs), (21_313, 21_313));
    let last = last_revisions(&bench.metrics());
    let minute = |ms: i64| &last[&("BINANCE_USDM:BTCUSDT".to_owned(), "1m".to_owned(), ms * 1_000_000)];
    for (start, volume, count, vwap) in [
        (1_723_161_300_000, "136.450", 2005, "61802.159190912422"),
        (1_723_161_360_000, "203.143", 1992, "61728.377789537419"),
        (1_723_161_420_000, "607.148", 4717, "61665.043946121868"),
        (1_723_161_480_000, "890.437", 7387, "61643.479629440376"),
        (1_723_161_540_000, "466.221", 3461, "61681.752625257121"),
    ] {
        let m = minute(start);
        assert_eq!((m.volume.get(), m.trade_count, m.vwap), (decimal(volume), count, Some(decimal(vwap))), "{start}");
    }
    assert_equals_batch(&bench, &Options::default());
    assert!(summary.cpu_s_after_first >= 0.0 && summary.wall_s > 0.0);
}

#[test]
fn a_symbol_on_two_partitions_is_counted() {
    let bench = Bench::new(3);
    let producer = bench.producer();
    for (partition, symbol) in [(0, "A"), (1, "A"), (1, "B"), (1, "A")] {
        let value = encoded(&trade(symbol, 1, 10.0, "100", "2"));
        let (key, value) = (Some(symbol.as_bytes()), Some(value.as_slice()));
        producer.send(&Outgoing { topic: &bench.input, partition: Some(partition), key, value, headers: &[] }).unwrap();
    }
    producer.flush(PATIENCE).unwrap();
    let ctx = Context::hosted("aggregate", bench.config(), &Shutdown::new());
    let ctx = ctx.with_drain(Drain::already()).with_clock(still());
    let metrics = ctx.metrics.clone();
    let summary = tokio::runtime::Runtime::new().unwrap().block_on(aggregate::run(ctx)).unwrap();
    assert_eq!(summary.outcomes.folded + summary.outcomes.duplicate, 4, "{summary:?}");
    let text = metrics.render();
    assert!(text.contains("finflow_aggregate_moved_symbols_total 1\n"), "{text}");
}

#[test]
fn keys_headers_and_partitions_are_the_contracts() {
    let bench = Bench::new(3);
    bench.send_trades(&[trade("BINANCE:BTCUSDT", 1, 10.0, "100", "2")]);
    bench.run_to_end(bench.config(), still());
    let records = bench.records(&bench.output);
    assert_eq!(records.len(), 6, "one minute, and five times five minutes");
    for record in records {
        assert_eq!(record.key.as_deref(), Some(&b"BINANCE:BTCUSDT"[..]));
        assert_eq!(record.partition, market::symbol::partition(b"BINANCE:BTCUSDT", 3));
        let metrics = Metrics::decode(record.value.as_deref().unwrap()).unwrap();
        let id = format!("BINANCE:BTCUSDT/{}/{}/0", metrics.window, metrics.window_start);
        let view = record.as_record();
        let source = format!("kafka:{}", bench.input);
        assert_eq!(view.header(header::EVENT_ID), Some(id.as_bytes()));
        assert_eq!(view.header(header::CONTENT_TYPE), Some(&b"application/json"[..]));
        assert_eq!(view.header(header::SCHEMA_VERSION), Some(&b"1"[..]));
        assert_eq!(view.header(header::SOURCE), Some(source.as_bytes()));
    }
    let keys: BTreeSet<String> =
        bench.records(&bench.state).iter().map(|r| String::from_utf8_lossy(r.key.as_deref().unwrap()).into()).collect();
    assert!(keys.contains("BINANCE:BTCUSDT#head") && keys.contains("\0meta"), "{keys:?}");
    assert!(keys.iter().all(|key| key == "\0meta" || key.starts_with("BINANCE:BTCUSDT#")), "{keys:?}");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/topics.md")).unwrap();
    let row = "| `finflow-aggregate-state` | `<symbol>#<part>`, such as `BINANCE:BTCUSDT#head` |";
    assert!(page.lines().any(|line| line.starts_with(row)), "{row}");
}
