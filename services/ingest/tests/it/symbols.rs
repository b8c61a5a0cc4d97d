//! Symbols changed while a feed runs: by a file, and by a call of the admin port. No socket is dropped for it.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{Context, Secret, Shutdown};
use testkit::eventually;
use testkit::venues::{FakeVenue, Kind};

use crate::bed::{Bed, runtime};
use crate::histories::{farewell, fast, judge, names};
use crate::live::{Killed, Running, one, start, venue, wait_for};

const DEADLINE: Duration = Duration::from_secs(20);

/// Written whole, and with another length or time than before.
fn write(path: &str, text: &str) {
    let new = format!("{path}.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn follow(bed: &Bed, venue: &FakeVenue, file: &str) -> Running {
    let of = names(venue.kind).0;
    let feed = format!("f={of}?symbols_file={file}&url={}&silence=8s&connects=100000/1s&shares=1", venue.url());
    start(bed, &feed, |config| config.live.symbols_poll = harness::Duration::from_millis(20))
}

/// Exactly these are subscribed, in the end.
fn wait_for_served(venue: &FakeVenue, own_names: &[&str]) {
    let wanted: BTreeSet<String> = own_names.iter().map(|name| (*name).to_owned()).collect();
    eventually(DEADLINE, &format!("{:?} serves {own_names:?}", venue.kind), || {
        venue.heartbeat();
        (venue.subscribed() == wanted).then_some(())
    });
}

#[test]
fn a_file_changes_the_symbols_of_every_venue_on_the_same_socket() {
    for kind in Kind::ALL {
        let (bed, venue, (_, ours, own)) = (Bed::new(), venue(kind), names(kind));
        let file = bed.file("symbols", format!("# two of three\n{}, {}\n", ours[0], ours[1]));
        let running = follow(&bed, &venue, &file);
        wait_for_served(&venue, &own[..2]);
        own[..2].iter().for_each(|name| venue.trade(name));
        wait_for(&bed, "f", 2, &venue);
        write(&file, &format!("{}\n{}\n", ours[1], ours[2]));
        wait_for_served(&venue, &own[1..]);
        // Of the first nothing comes any more, and nobody misses it.
        own.iter().for_each(|name| venue.trade(name));
        wait_for(&bed, "f", 4, &venue);
        eventually(DEADLINE, "it is ready", || {
            venue.heartbeat();
            running.health.is_ready().then_some(())
        });
        assert_eq!((venue.opened(), venue.violations()), (1, Vec::new()), "{kind:?}");
        let changes = r#"finflow_ingest_feed_symbol_changes_total{feed="f"} 1"#;
        assert!(running.metrics.render().contains(changes), "{kind:?}");
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        running.stop();
        let written = one(&bed, "f");
        let trades: BTreeSet<(&str, String)> =
            written.trades.iter().map(|trade| (trade.symbol.as_str(), trade.price.to_string())).collect();
        let of = |ours: &'static str, id: &str| (ours, id.to_owned());
        let wanted =
            BTreeSet::from([of(ours[0], "1001"), of(ours[1], "1001"), of(ours[1], "1002"), of(ours[2], "1001")]);
        assert_eq!(trades, wanted, "{kind:?}");
        let gaps: Vec<&str> = written.gaps.iter().map(|gap| gap.symbol.as_str()).collect();
        assert!(!gaps.contains(&ours[0]), "{kind:?}: {gaps:?}");
    }
}

/// What came while nobody wanted it is missing in the stream, and said to be.
#[test]
fn a_symbol_that_comes_back_has_a_gap_where_it_was_away() {
    for kind in [Kind::Binance, Kind::Finnhub] {
        let (bed, venue, (_, ours, own)) = (Bed::new(), venue(kind), names(kind));
        let file = bed.file("symbols", ours.join("\n"));
        let running = follow(&bed, &venue, &file);
        wait_for_served(&venue, &own);
        own.iter().for_each(|name| venue.trade(name));
        wait_for(&bed, "f", 3, &venue);
        write(&file, &ours[1..].join("+"));
        wait_for_served(&venue, &own[1..]);
        venue.trade(own[0]);
        write(&file, &ours.join(" "));
        wait_for_served(&venue, &own);
        own.iter().for_each(|name| venue.trade(name));
        wait_for(&bed, "f", 6, &venue);
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        running.stop();
        let totals =
            judge(kind, &venue.made(), &one(&bed, "f")).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
        assert_eq!((totals.trades, totals.missing), (6, 1), "{kind:?}");
    }
}

#[test]
fn a_file_that_makes_no_sense_changes_nothing() {
    let (bed, venue, (_, ours, own)) = (Bed::new(), venue(Kind::Binance), names(Kind::Binance));
    let file = bed.file("symbols", ours[0]);
    let running = follow(&bed, &venue, &file);
    wait_for_served(&venue, &own[..1]);
    let refused = |count: u64| {
        let series = format!("finflow_ingest_feed_symbol_changes_refused_total{{feed=\"f\"}} {count}\n");
        eventually(DEADLINE, "it was looked at", || running.metrics.render().contains(&series).then_some(()));
        assert_eq!(venue.subscribed().len(), 1);
    };
    for (text, count) in [("", 1), ("BINANCE:A AAPL", 2), ("# nothing yet\n", 3)] {
        write(&file, text);
        refused(count);
    }
    std::fs::remove_file(&file).unwrap();
    refused(4);
    write(&file, &ours.join("\n"));
    wait_for_served(&venue, &own);
    assert_eq!(venue.opened(), 1);
    running.stop();
}

/// Binance takes five messages a second: hundreds of changes are a few messages.
#[test]
fn many_changes_at_once_stay_below_the_venues_limit() {
    let (bed, venue) = (Bed::new(), venue(Kind::Binance));
    let list = |range: std::ops::Range<u32>| range.map(|n| format!("BINANCE:S{n}USDT")).collect::<Vec<_>>().join("\n");
    let file = bed.file("symbols", list(0..300));
    let running = follow(&bed, &venue, &file);
    for range in [0..300, 150..450, 300..600] {
        write(&file, &list(range.clone()));
        let own: Vec<String> = range.map(|n| format!("S{n}USDT")).collect();
        wait_for_served(&venue, &own.iter().map(String::as_str).collect::<Vec<_>>());
    }
    assert_eq!((venue.opened(), venue.violations()), (1, Vec::new()));
    running.stop();
}

/// Status and body.
fn call(addr: SocketAddr, request: &str, token: &str, body: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(addr).unwrap();
    let authorization = if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nhost: x\r\n{authorization}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    socket.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn who_knows_the_token_changes_the_symbols_by_a_call() {
    let (bed, venue, (of, ours, own)) = (Bed::new(), venue(Kind::Kraken), names(Kind::Kraken));
    let mut config = bed.config(&[&format!("f={of}?symbols={}&url={}&silence=8s&shares=1", ours[0], venue.url())]);
    fast(&mut config);
    config.live.admin_token = Secret::new("t0ken");
    config.common.admin = Some("127.0.0.1:0".parse().unwrap());
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("ingest", config, &shutdown);
    let addr = runtime().block_on(ctx.serve_admin()).unwrap().unwrap();
    let running = runtime().spawn(ingest::run(ctx));
    wait_for_served(&venue, &own[..1]);
    let put = "PUT /feeds/f/symbols";
    assert_eq!(call(addr, put, "", ours[1]).0, 401);
    assert_eq!(call(addr, put, "token", ours[1]).0, 401);
    assert_eq!(call(addr, "GET /feeds/f/symbols", "t0ken", ""), (200, format!("{}\n", ours[0])));
    let (status, text) = call(addr, put, "t0ken", "AAPL");
    assert!(status == 400 && text.contains("`AAPL` is no symbol of kraken"), "{status} {text}");
    assert_eq!(call(addr, put, "t0ken", "").0, 400, "nothing is not a wish");
    assert_eq!(call(addr, "PUT /feeds/g/symbols", "t0ken", ours[1]).0, 404);
    assert_eq!(call(addr, "DELETE /feeds/f/symbols", "t0ken", "").0, 405);
    assert_eq!(venue.subscribed().len(), 1, "none of these changed anything");
    assert_eq!(call(addr, put, "t0ken", &ours[1..].join("\n")), (200, "2 added, 1 removed\n".to_owned()));
    wait_for_served(&venue, &own[1..]);
    assert_eq!(venue.opened(), 1);
    shutdown.trigger("the test is over");
    runtime().block_on(running).unwrap().unwrap();
}

#[test]
fn without_a_token_nobody_is_let_in_and_a_file_is_not_overruled() {
    let (bed, venue, (of, ours, _)) = (Bed::new(), venue(Kind::Kraken), names(Kind::Kraken));
    let file = bed.file("symbols", ours[0]);
    for (token, status, needle) in [("", 403, "set `live.admin_token`"), ("t", 409, "change that")] {
        let mut config = bed.config(&[&format!("f={of}?symbols_file={file}&url={}", venue.url())]);
        fast(&mut config);
        config.live.admin_token = Secret::new(token);
        config.common.admin = Some("127.0.0.1:0".parse().unwrap());
        let shutdown = Shutdown::new();
        let ctx = Context::hosted("ingest", config, &shutdown);
        let addr = runtime().block_on(ctx.serve_admin()).unwrap().unwrap();
        let running = runtime().spawn(ingest::run(ctx));
        let answer = eventually(DEADLINE, "it answers", || {
            let answer = call(addr, "PUT /feeds/f/symbols", "t", ours[1]);
            (answer.0 != 404).then_some(answer)
        });
        assert!(answer.0 == status && answer.1.contains(needle), "{answer:?}");
        shutdown.trigger("the test is over");
        runtime().block_on(running).unwrap().unwrap();
    }
}

/// Who, from where, what: also of those who are refused.
#[test]
fn every_change_and_every_try_is_in_the_log() {
    let (bed, venue, (of, ours, own)) = (Bed::new(), venue(Kind::Kraken), names(Kind::Kraken));
    let port = testkit::free_addr();
    let log = bed.dir.path().join("log");
    let feed = format!("f={of}?symbols={}&url={}&silence=8s", ours[0], venue.url());
    let settings = [
        format!("kafka.brokers={}", bed.kafka.brokers),
        format!("output={}", bed.output),
        format!("dead_letters={}", bed.dead_letters),
        format!("leases={}", bed.leases),
        "log.format=json".to_owned(),
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest"));
    command.args(["--feed", &feed, "--admin", &port.to_string()]);
    command.args(settings.iter().flat_map(|pair| ["--set", pair]));
    command.env("FINFLOW_LIVE__ADMIN_TOKEN", "t0ken").current_dir(bed.dir.path());
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let child = Killed(command.spawn().unwrap());
    wait_for_served(&venue, &own[..1]);
    assert_eq!(call(port, "PUT /feeds/f/symbols", "guess", ours[1]).0, 401);
    assert_eq!(call(port, "PUT /feeds/f/symbols", "t0ken", ours[1]).0, 200);
    wait_for_served(&venue, &own[1..2]);
    drop(child);
    let text = std::fs::read_to_string(&log).unwrap();
    let audit: Vec<&str> = text.lines().filter(|line| line.contains(r#""target":"audit""#)).collect();
    assert_eq!(audit.len(), 3, "{text}");
    assert!(
        audit[0].contains("refused") && audit[0].contains("127.0.0.1:") && audit[0].contains("401"),
        "{}",
        audit[0]
    );
    assert!(
        audit[1].contains("symbols changed") && audit[1].contains(own[0]) && audit[1].contains(own[1]),
        "{}",
        audit[1]
    );
    assert!(audit[2].contains("admin call") && audit[2].contains("1 added, 1 removed"), "{}", audit[2]);
    assert!(!text.contains("t0ken") && !text.contains("guess"), "no token is in it");
}
