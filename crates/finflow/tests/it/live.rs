//! `finflow up` as `make run` starts it: the demo, looped and moved to the present, until Ctrl-C, and once more.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use testkit::venues::{FakeVenue, Kind};
use testkit::{eventually, signal};

use crate::finflow::State;
use crate::lake;
use crate::stages::{Process, get};
use crate::verify::assert_verified;

const DEADLINE: Duration = Duration::from_secs(60);
const BARS: &str = "/v1/bars?symbol=BINANCE:BTCUSDT&window=1s&limit=1";

struct Live {
    process: Process,
    page: SocketAddr,
}

impl Live {
    fn start(state: &State, more: &[&str]) -> Live {
        let mut command = state.up(&["--kafka-addr", "127.0.0.1:0", "--s3-addr", "127.0.0.1:0"]);
        command.args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("finflow starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
        let page = lines.find_map(|line| Some(line.strip_prefix("page   http://")?.parse().expect("an address")));
        std::thread::spawn(move || lines.for_each(drop));
        Live { process: Process(child), page: page.expect("it says where the page is") }
    }

    /// Waits for a bar that begins after `since`, and returns its start.
    fn bar_after(&self, since: &str) -> String {
        eventually(DEADLINE, "a new bar", || {
            TcpStream::connect(self.page).ok()?;
            let (_, body) = get(self.page, BARS);
            let answer: Value = serde_json::from_str(&body).ok()?;
            let start = answer["bars"].as_array()?.last()?["start"].as_str()?;
            (start > since).then(|| start.to_owned())
        })
    }

    /// Waits for a bar of this quality among the last, with so many trades that were fetched afterwards.
    fn bar_of(&self, quality: &str, fetched: u64) -> Value {
        eventually(DEADLINE, &format!("a bar of quality {quality}"), || {
            let (_, body) = get(self.page, "/v1/bars?symbol=BINANCE:BTCUSDT&window=1s&limit=100");
            let answer: Value = serde_json::from_str(&body).ok()?;
            let is_it = |bar: &&Value| bar["quality"] == quality && bar["backfilled"] == fetched;
            answer["bars"].as_array()?.iter().find(is_it).cloned()
        })
    }

    fn interrupt(mut self) {
        signal(&self.process.0, "INT");
        let status = eventually(DEADLINE, "it ends", || self.process.0.try_wait().expect("a child"));
        assert_eq!(status.code(), Some(0));
    }
}

/// From the first offset on, each once.
fn assert_whole(trades: &[Value]) {
    let mut offsets: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for row in trades {
        let number = |name: &str| row[name].as_i64().expect("a number");
        offsets.entry(number("_partition")).or_default().push(number("_offset"));
    }
    for (partition, mut offsets) in offsets {
        offsets.sort_unstable();
        assert!(offsets.iter().copied().eq(0..offsets.len() as i64), "partition {partition} has holes");
    }
}

#[test]
fn the_demo_runs_until_ctrl_c_and_goes_on_the_next_time() {
    let state = State::new();
    let mut newest = String::new();
    let mut stored = 0;
    for _ in 0..2 {
        let live = Live::start(&state, &[]);
        newest = live.bar_after(&newest);
        eventually(DEADLINE, "new objects", || (lake::objects(state.path(), "trades").len() > stored).then_some(()));
        live.interrupt();
        stored = lake::objects(state.path(), "trades").len();
        let report = assert_verified(state.path());
        assert!(report["metrics"]["compared"].as_u64() > Some(0), "{report}");
        assert_whole(&lake::rows(state.path(), "trades"));
    }
}

/// Trades twenty times a second, for as long as the runtime lives.
fn trading_venue() -> (FakeVenue, tokio::runtime::Runtime) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let venue = runtime.block_on(FakeVenue::start(Kind::Binance));
    runtime.spawn({
        let venue = venue.clone();
        async move {
            loop {
                venue.trade("BTCUSDT");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    });
    (venue, runtime)
}

/// A venue that trades all the time, until the run is stopped: its bars are on the page, its trades in the lake.
#[test]
fn a_live_venue_is_on_the_page_as_it_trades() {
    let (state, (venue, _runtime)) = (State::new(), trading_venue());
    let feed = format!("binance?symbols=BINANCE:BTCUSDT&url={}", venue.url());
    let live = Live::start(&state, &["--feed", &feed]);
    let first = live.bar_after("");
    live.bar_after(&first);
    eventually(DEADLINE, "objects", || (!lake::objects(state.path(), "trades").is_empty()).then_some(()));
    live.interrupt();
    lake::assert_once(&lake::rows(state.path(), "trades"));
    assert_eq!((venue.opened(), venue.violations()), (1, Vec::new()));
}

/// A trade that the venue did not deliver is fetched, and the bar that lacked it is revised while its window is kept.
#[test]
fn a_gap_of_a_live_venue_is_filled_and_its_bar_revised() {
    let (state, (venue, _runtime)) = (State::new(), trading_venue());
    venue.rest_holds(true);
    let feed = format!("binance?symbols=BINANCE:BTCUSDT&url={}&rest={}", venue.url(), venue.rest_url());
    let config = state.path().with_extension("yaml");
    std::fs::write(&config, "aggregate: {lateness: 60s}\n").expect("the file is writable");
    let live = Live::start(&state, &["--feed", &feed, "--config", config.to_str().expect("utf-8")]);
    live.bar_after(&live.bar_after(""));
    venue.make("BTCUSDT");
    live.bar_of("gap", 0);
    venue.rest_holds(false);
    let revised = live.bar_of("backfilled", 1);
    assert!(revised["rev"].as_u64() > Some(0) && revised["gap"].is_null(), "{revised}");
    live.interrupt();
    std::fs::remove_file(config).ok();
    lake::assert_once(&lake::rows(state.path(), "trades"));
}

/// The demo is looped unless that makes no sense.
#[test]
fn a_sample_of_the_demo_is_no_loop() {
    let state = State::new();
    let mut command = state.up(&["--kafka-addr", "127.0.0.1:0", "--s3-addr", "127.0.0.1:0", "--speed", "sample"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("finflow starts");
    let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    let process = Process(child);
    assert!(lines.take(1).any(|line| line.starts_with("page")), "it starts");
    drop(process);
}
