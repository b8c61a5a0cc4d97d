//! What a run leaves behind, the next one takes up: windows, revisions, trade ids, watermarks.

use super::*;

#[test]
fn a_window_spans_two_runs() {
    let bench = Bench::new(3);
    let clock = || harness::FakeClock::at(0);
    bench.send_trades(&[trade("A", 1, 10.0, "100", "2"), trade("A", 2, 20.0, "90", "1")]);
    bench.run_to_end(bench.config(), clock());
    let key = ("A".to_owned(), "1m".to_owned(), 0);
    let first = last_revisions(&bench.metrics())[&key].clone();
    assert_eq!((first.rev, first.trade_count, first.is_final), (0, 2, true));

    // The end of the first run closed the window by the clock. It goes on: a copy is known, a new trade makes a revision.
    bench.send_trades(&[trade("A", 2, 20.0, "90", "1"), trade("A", 3, 30.0, "110", "1")]);
    let summary = bench.run_to_end(bench.config(), clock());
    assert_eq!((summary.outcomes.folded, summary.outcomes.duplicate), (1, 1));
    let second = last_revisions(&bench.metrics())[&key].clone();
    assert_eq!((second.rev, second.trade_count, second.close.unwrap().get()), (1, 3, decimal("110")));
    assert_eq!((second.input.first_offset, second.input.last_offset, second.duplicate), (0, 3, 1));

    // The watermark too: after a trade ten minutes on, the next run still knows what is late.
    bench.send_trades(&[trade("A", 4, 700.0, "100", "1")]);
    bench.run_to_end(bench.config(), clock());
    bench.send_trades(&[trade("A", 5, 31.0, "100", "1")]);
    assert_eq!(bench.run_to_end(bench.config(), clock()).outcomes.late, 1);
}

#[test]
fn many_short_runs_equal_one() {
    let bench = Bench::new(3);
    let trades: Vec<Trade> = recording().into_iter().step_by(20).collect();
    for chunk in trades.chunks(150) {
        bench.send_trades(chunk);
        bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    }
    assert_equals_batch(&bench, &Options::default());
}

/// Sessions, windows without a trade and averages go on over restarts as in one run.
#[test]
fn what_else_is_asked_for_goes_on_too() {
    let bench = Bench::new(3);
    let config = aggregate::Config {
        windows: ["10s", "5m@xnys"].map(|window| window.parse().unwrap()).to_vec(),
        empty: aggregate::Empty::Carry,
        averages: ["sma:5", "ema:8"].map(|average| average.parse().unwrap()).to_vec(),
        ..bench.config()
    };
    // Holes of up to a minute between the trades.
    let trades: Vec<Trade> = recording().into_iter().step_by(400).collect();
    for chunk in trades.chunks(10) {
        bench.send_trades(chunk);
        bench.run_to_end(config.clone(), harness::FakeClock::at(0));
    }
    let Config { windows, empty, averages, .. } = config;
    assert_equals_batch(&bench, &Options { windows, empty, averages, ..Options::default() });
    let last = last_revisions(&bench.metrics());
    assert!(last.values().any(|record| record.trade_count == 0 && record.averages[1].1.is_some()));
}

#[test]
fn a_rebuild_folds_the_input_again() {
    let bench = Bench::new(1);
    bench.send_trades(&[trade("A", 1, 10.0, "100", "2")]);
    bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    let before = bench.metrics();
    let again = bench.run_to_end(Config { rebuild: true, ..bench.config() }, harness::FakeClock::at(0));
    assert_eq!(again.outcomes.folded, 1);
    let after = bench.metrics();
    assert_eq!(after[before.len()..], before, "told again from rev 0");
}
