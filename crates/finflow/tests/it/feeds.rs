//! `finflow feeds`: the venues listed, and one looked at. Each thing that can be wrong is said in its own words.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use testkit::venues::polled::{FakePolled, KEY, Polled};
use testkit::venues::{FakeVenue, Kind};
use tokio::runtime::Runtime;

use crate::finflow::finflow;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// In a folder without a `.env`, and with keys that the fakes do not look at.
fn command(words: &[&str]) -> Command {
    let mut command = finflow();
    command.current_dir(std::env::temp_dir()).args(words);
    for key in ["FINNHUB__API_KEY", "MASSIVE__API_KEY", "ALPACA__API_KEY", "ALPACA__API_SECRET"] {
        command.env(format!("FINFLOW_{key}"), "k");
    }
    command
}

/// Looks at a fake with deadlines of a fake's size, while the fake trades and lives.
fn check(runtime: &Runtime, venue: &FakeVenue, name: &str, own_name: &str) -> Output {
    let (feed, own_name) = (format!("{name}?url={}", venue.url()), own_name.to_owned());
    // Massive's own names are topics, which a ticker might be called like.
    let symbol = own_name.trim_start_matches("T.").to_owned();
    let trading = runtime.spawn({
        let venue = venue.clone();
        async move {
            loop {
                venue.heartbeat();
                if venue.serves(std::slice::from_ref(&own_name)) {
                    venue.trade(&own_name);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    });
    let settings = ["--set", "live.handshake=500ms", "--set", "live.acknowledgement=500ms"];
    let words = ["feeds", "check", &feed, "--symbol", &symbol];
    let output = command(&words).args(settings).output().expect("finflow starts");
    trading.abort();
    output
}

#[test]
fn every_venue_is_listed_with_what_it_needs() {
    let output = command(&["feeds", "list", "--json"]).output().expect("finflow starts");
    let rows: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let names: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, [&ingest::venues::NAMES[..], &ingest::venues::poll::NAMES[..]].concat());
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).expect("it is listed");
    assert_eq!(row("alpaca")["keys"], serde_json::json!(["alpaca.api_key", "alpaca.api_secret"]));
    assert_eq!((&row("finnhub")["connections_per_key"], &row("finnhub")["most_symbols"]), (&1.into(), &50.into()));
    assert_eq!(row("finnhub_rest")["keys"], serde_json::json!(["finnhub.api_key"]));
    assert_eq!((&row("binance")["sends"], &row("binance")["keys"]), (&"4/1s".into(), &serde_json::json!([])));
    let plain = text(&command(&["feeds"]).output().expect("finflow starts").stdout);
    for needle in ["massive\n  key      massive.api_key\n", "such as KRAKEN:BTC/USD", "one connection per key"] {
        assert!(plain.contains(needle), "{needle:?} in {plain}");
    }
}

#[test]
fn a_venue_that_answers_is_followed_up_to_a_trade() {
    let runtime = runtime();
    for (kind, name, symbol, ours) in [
        (Kind::Binance, "binance", "BTCUSDT", "BINANCE:BTCUSDT"),
        (Kind::UsdM, "binance_usdm", "BTCUSDT", "BINANCE_USDM:BTCUSDT"),
        (Kind::Coinbase, "coinbase", "BTC-USD", "COINBASE:BTC-USD"),
        (Kind::Advanced, "coinbase_advanced", "BTC-USD", "COINBASE:BTC-USD"),
        (Kind::Kraken, "kraken", "BTC/USD", "KRAKEN:BTC/USD"),
        (Kind::Finnhub, "finnhub", "AAPL", "AAPL"),
        (Kind::Massive, "massive", "T.AAPL", "AAPL"),
        (Kind::Alpaca, "alpaca", "AAPL", "AAPL"),
    ] {
        let venue = runtime.block_on(FakeVenue::start(kind));
        // Of before the subscription: Kraken, Coinbase repeat it, and it is not what is waited for.
        venue.make(symbol);
        let output = check(&runtime, &venue, name, symbol);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{name}: {said}{}", text(&output.stderr));
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 3, "{name}: {said}");
        assert!(lines[0].starts_with("ok      connected"), "{name}: {said}");
        let second =
            if kind == Kind::Finnhub { "ok      asked for AAPL;" } else { &format!("ok      subscribed {ours},") };
        assert!(lines[1].starts_with(second), "{name}: {said}");
        let trade = lines[2].strip_prefix("ok      trade").unwrap_or_default();
        assert!(trade.contains(&format!(" of {ours}: 1 at 1002")), "{name}: the first after the subscription: {said}");
        assert_eq!((venue.opened(), venue.violations()), (1, Vec::new()), "{name}");
    }
}

/// What goes wrong, and what is said of it.
#[test]
fn each_failure_is_said_in_its_own_words() {
    type Break = fn(&FakeVenue);
    let cases: [(Kind, &str, &str, Break, &str); 12] = [
        (Kind::Binance, "binance", "BTCUSDT", |v| v.refuse(&[429]), "HTTP 429: too many attempts from this address"),
        (Kind::Binance, "binance", "BTCUSDT", |v| v.refuse(&[503]), "the venue answered the handshake with HTTP 503"),
        (Kind::Finnhub, "finnhub", "AAPL", |v| v.refuse(&[401]), "HTTP 401: is the key right?"),
        (
            Kind::Massive,
            "massive",
            "T.AAPL",
            FakeVenue::refuse_keys,
            "the venue refused the key: authentication failed",
        ),
        (Kind::Alpaca, "alpaca", "AAPL", FakeVenue::refuse_keys, "the venue refused the key: auth failed"),
        (
            Kind::Kraken,
            "kraken",
            "X/USD",
            |v| v.refuse_symbols(&["X/USD"]),
            "the subscription was refused: X/USD: Currency pair not supported X/USD",
        ),
        (
            Kind::Coinbase,
            "coinbase",
            "X-USD",
            |v| v.refuse_symbols(&["X-USD"]),
            "refused: X-USD: Failed to subscribe: X-USD is not a valid product",
        ),
        (Kind::Binance, "binance", "XUSDT", |v| v.refuse_symbols(&["XUSDT"]), "refused: XUSDT: Invalid request"),
        (Kind::Alpaca, "alpaca", "AAPL", |v| v.refuse_symbols(&["AAPL"]), "refused: AAPL: symbol limit exceeded"),
        (
            Kind::Binance,
            "binance",
            "BTCUSDT",
            |v| v.leave_unanswered(1),
            "no acknowledgement of the subscription within 0.5 s",
        ),
        (Kind::Kraken, "kraken", "BTC/USD", |v| v.call_too_fast(1), "asked too often"),
        (Kind::Massive, "massive", "T.AAPL", |v| v.leave_unanswered(1), "no acknowledgement"),
    ];
    let runtime = runtime();
    for (kind, name, symbol, ruin, needle) in cases {
        let venue = runtime.block_on(FakeVenue::start(kind));
        ruin(&venue);
        let output = check(&runtime, &venue, name, symbol);
        let said = text(&output.stdout);
        assert_eq!(output.status.code(), Some(1), "{name}: {said}{}", text(&output.stderr));
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("failed  ") && last.contains(needle), "{name}, {needle:?}: {said}");
        assert!(!said.contains("trade "), "{name}: {said}");
        assert!(venue.opened() <= 1, "{name}: nothing is tried twice");
    }
}

#[test]
fn nobody_there_nothing_said_and_no_trade_are_three_things() {
    let runtime = runtime();
    let closed = runtime.block_on(async { tokio::net::TcpListener::bind("127.0.0.1:0").await?.local_addr() });
    let feed = format!("binance?url=ws://{}/", closed.expect("a port that is free again"));
    let output = command(&["feeds", "check", &feed, "--symbol", "BTCUSDT"]).output().expect("finflow starts");
    let said = text(&output.stdout);
    assert!(said.contains("cannot be reached") && said.contains("refused"), "{said}");
    assert_eq!(output.status.code(), Some(1));

    // Takes the connection, and never a word.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let feed = format!("binance?url=ws://{}/", deaf.local_addr().expect("bound"));
    let words = ["feeds", "check", &feed, "--symbol", "BTCUSDT", "--deadline", "300ms"];
    let said = text(&command(&words).output().expect("finflow starts").stdout);
    assert!(said.contains("did not answer the handshake within 0.3 s"), "{said}");

    // Serves, and nobody trades.
    let venue = runtime.block_on(FakeVenue::start(Kind::Kraken));
    venue.make("BTC/USD");
    let feed = format!("kraken?url={}", venue.url());
    let words = ["feeds", "check", &feed, "--symbol", "BTC/USD", "--deadline", "1s"];
    let output = command(&words).output().expect("finflow starts");
    let said = text(&output.stdout);
    assert!(said.contains("ok      subscribed KRAKEN:BTC/USD"), "{said}");
    assert!(said.contains("no trade came within 1.0 s") && said.contains("1 old trades among them"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn what_cannot_be_tried_is_wrong_usage() {
    for (words, needle) in [
        (&["nasdaq"][..], "`nasdaq` is no live venue: use one of finnhub, binance"),
        (&["binance", "--symbol", "BTC/USD"], "`BTC/USD` is no symbol of binance"),
        (&["binance?colour=red"], "option `colour` is not known"),
    ] {
        let output = command(&["feeds", "check"]).args(words).output().expect("finflow starts");
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output.stdout));
        assert!(text(&output.stderr).contains(needle), "{words:?}: {}", text(&output.stderr));
    }
    let output = command(&["feeds", "check", "finnhub"]).env("FINFLOW_FINNHUB__API_KEY", "").output();
    let output = output.expect("finflow starts");
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("set `finnhub.api_key`"), "{said}");
}

#[test]
fn a_polled_venue_is_asked_once_for_each_thing_and_the_key_is_not_shown() {
    let runtime = runtime();
    let venue = runtime.block_on(FakePolled::start(Polled::AlphaVantage));
    venue.quote("MSFT", "101.5", 1_700_000_000_000_000_000);
    venue.instead(200, &format!(r#"{{"Information":"Your key {KEY} may ask 25 requests per day."}}"#));
    let feed = format!("alphavantage?url={}&rate=100/1s", venue.url());
    let mut command = command(&["feeds", "check", &feed, "--symbol", "MSFT"]);
    let output = command.env("FINFLOW_ALPHAVANTAGE__API_KEY", KEY).output().expect("finflow starts");
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "failed  intraday of MSFT: Your key *** may ask 25 requests per day.");
    assert!(lines[1].starts_with("ok      quote of MSFT: 1 items, the newest of 2023-11-14T21:00:00Z"), "{said}");
    assert!(lines[2].starts_with("ok      news of MSFT: 0 items, after"), "{said}");
    assert_eq!(lines[3], "failed  1 of 3 requests were not answered");
    assert_eq!(venue.requests().len(), 3);
}
