//! Three partitions become six in the middle of everything: the bars are those of a run in which nothing happened.

use aggregate::repartition;

use super::*;

/// The recording, dealt out to twelve symbols; one in three of them has no ids, so that offsets decide between trades of
/// one moment.
fn dealt() -> Vec<Trade> {
    let deal = |(n, trade): (usize, Trade)| {
        let symbol = n % 12;
        let trade_id = trade.trade_id.filter(|_| symbol % 3 > 0);
        Trade { symbol: format!("T{symbol}"), trade_id, ..trade }
    };
    recording().into_iter().step_by(5).enumerate().map(deal).collect()
}

#[test]
fn three_partitions_become_six() {
    let bench = Bench::new(3);
    let trades = dealt();
    let chunks: Vec<&[Trade]> = trades.chunks(trades.len().div_ceil(4)).collect();
    bench.send_trades(chunks[0]);
    bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    // Of these nothing is folded yet.
    bench.send_trades(chunks[1]);
    let ctx = Context::hosted("aggregate", bench.config(), &Shutdown::new());
    let ctx = ctx.with_clock(harness::FakeClock::at(0));
    let done = tokio::runtime::Runtime::new().unwrap().block_on(repartition(ctx, 6)).unwrap();
    assert_eq!((done.from, done.to, done.folded), (3, 6, chunks[1].len() as u64));
    assert!(done.moved > 0 && done.moved < done.keys, "{done:?}");
    for chunk in &chunks[2..] {
        bench.send_trades(chunk);
        bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    }

    let ours = last_revisions(&bench.metrics());
    let places: Vec<(i64, Trade)> = (0..).zip(trades.iter().cloned()).collect();
    let expected = last_revisions(&batch(&places, 0, &Options::default()));
    assert_eq!(ours.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let nowhere = market::Input { partition: 0, first_offset: 0, last_offset: 0 };
    let untraced = |record: &Metrics| Metrics { input: nowhere, input_before: Vec::new(), ..content(record) };
    for (key, record) in &ours {
        assert_eq!(untraced(record), untraced(&expected[key]), "{key:?}");
    }
    assert_traced(&bench, ours.values());
}

/// Each record's trades lie where it says.
fn assert_traced<'a>(bench: &Bench, records: impl Iterator<Item = &'a Metrics>) {
    let input = bench.records(&bench.input);
    let symbol_at = |partition: i32, offset: i64| {
        let found = input.iter().find(|r| (r.partition, r.offset) == (partition, offset));
        found.map(|r| String::from_utf8(r.key.clone().unwrap()).unwrap())
    };
    let (mut whole, mut split) = (0, 0);
    for record in records {
        let stretches: Vec<market::Input> = record.input_before.iter().copied().chain([record.input]).collect();
        let (first, last) = (stretches[0], stretches[stretches.len() - 1]);
        assert_eq!(symbol_at(first.partition, first.first_offset).as_ref(), Some(&record.symbol), "{record:?}");
        assert_eq!(symbol_at(last.partition, last.last_offset).as_ref(), Some(&record.symbol), "{record:?}");
        let inside = |r: &&OwnedRecord| {
            let holds = |at: &market::Input| {
                r.partition == at.partition && (at.first_offset..=at.last_offset).contains(&r.offset)
            };
            r.key.as_deref() == Some(record.symbol.as_bytes()) && stretches.iter().any(holds)
        };
        assert!(input.iter().filter(inside).count() as i64 >= record.trade_count as i64, "{record:?}");
        *(if stretches.len() > 1 { &mut split } else { &mut whole }) += 1;
    }
    assert!(whole > 0 && split > 0, "{whole} {split}");
}
