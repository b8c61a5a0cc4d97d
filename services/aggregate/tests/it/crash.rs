//! `kill -9` at any moment, again and again, while trades come in: a reader of committed records sees what one undisturbed
//! run would have told.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::*;

/// Settings of the test: sessions as short as the broker allows, so that the group soon forgets who was killed; revisions and
/// updates, so that there is more to tell twice.
pub fn settings(bench: &Bench) -> String {
    let mut kafka = bench.brokers.config();
    set_session(&mut kafka, bench.session().as_millis() as u64);
    let (protocol, librdkafka) = (kafka.group_protocol, serde_json::to_string(&kafka.librdkafka).unwrap());
    format!(
        "lateness: 1s\nemit: both\nupdate_throttle: 20ms\nadmin: off\n\
         kafka: {{group_protocol: {}, librdkafka: {librdkafka}}}\n",
        serde_json::to_string(&protocol).unwrap()
    )
}

fn start(bench: &Bench, settings: &Path, until_end: bool) -> Child {
    start_as(bench, &bench.group, settings, Stdio::piped(), until_end)
}

/// The real binary, as a container would start it, with a transactional id of its own.
pub fn start_as(bench: &Bench, id: &str, settings: &Path, log: Stdio, until_end: bool) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aggregate"));
    command.args([
        "--brokers",
        &bench.brokers.addr,
        "--group",
        &bench.group,
        "--in",
        &bench.input,
        "--out",
        &bench.output,
    ]);
    for (key, value) in [("state", &*bench.state), ("dead_letters", &*bench.dead_letters), ("transactional_id", id)] {
        command.args(["--set", &format!("{key}={value}")]);
    }
    command.arg("--config").arg(settings).args(until_end.then_some("--until-end"));
    command.stdout(Stdio::piped()).stderr(log).spawn().unwrap()
}

/// The same trades as three symbols, on different partitions.
fn spread(trades: &[Trade]) -> Vec<Trade> {
    let named = |t: &Trade, symbol: &str| Trade { symbol: symbol.to_owned(), ..t.clone() };
    trades.iter().flat_map(|t| SYMBOLS.map(|symbol| named(t, symbol))).collect()
}

const SYMBOLS: [&str; 3] = ["BINANCE_USDM:BTCUSDT", "ETH", "SOL"];

#[test]
fn killed_again_and_again_it_tells_each_window_once() {
    let bench = Bench::new(3);
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(settings.path(), self::settings(&bench)).unwrap();
    let recording = recording();
    let mut left = recording.chunks(500);
    for round in 0..6u64 {
        let (before, mut child) = (bench.records(&bench.output).len(), start(&bench, settings.path(), false));
        // In some rounds it is killed at once, wherever it is then; in others in the middle of its work.
        let mut working = round % 3 == 0;
        while !working {
            bench.send_trades(&spread(left.next().unwrap_or_default()));
            assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
            working = bench.records(&bench.output).len() > before;
        }
        std::thread::sleep(Duration::from_millis(37 * round * round));
        bench.send_trades(&spread(left.next().unwrap_or_default()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    left.for_each(|chunk| bench.send_trades(&spread(chunk)));
    let output = start(&bench, settings.path(), true).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(summary["outcomes"]["folded"].is_u64() && summary["msgs"].is_u64(), "{summary}");

    assert_equals_batch(&bench, &Options { lateness_ns: S, ..Options::default() });
    // Each trade was folded once: the counts of the windows say so without the help of the fold.
    let last = last_revisions(&bench.metrics());
    for symbol in SYMBOLS {
        let minutes = last.iter().filter(|((s, window, _), _)| s == symbol && window == "1m");
        assert_eq!(minutes.map(|(_, m)| m.trade_count).sum::<u64>(), 21_313, "{symbol}");
    }
}
