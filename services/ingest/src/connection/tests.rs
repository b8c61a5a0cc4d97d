//! The machine against venues that do what they like.

mod desires;
mod histories;

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Connection, Input, Life, LinkId, Output};
use crate::venues::{Heard, Limits, of};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// A connection, what it asked for, and the time.
pub(super) struct Bench {
    pub machine: Connection,
    pub now: Duration,
    pub out: Vec<Output>,
    /// Of every wait: 1 is the longest that jitter may choose.
    pub luck: f64,
}

impl Bench {
    fn of(venue: &str) -> Bench {
        Bench::with(venue, |_| {})
    }

    pub(super) fn with(venue: &str, change: impl FnOnce(&mut Limits)) -> Bench {
        let venue = of(venue).unwrap();
        let mut limits = *venue.limits();
        change(&mut limits);
        let desired: BTreeSet<String> = limits.symbols.iter().map(|symbol| venue.own_name(symbol).unwrap()).collect();
        let keys = ("key".to_owned(), "secret".to_owned());
        let machine = Connection::new(venue, limits, Life::default(), keys, desired);
        Bench { machine, now: Duration::ZERO, out: Vec::new(), luck: 1.0 }
    }

    fn put(&mut self, input: Input<'_>) -> Vec<Output> {
        self.machine.handle(input, self.now, self.luck, &mut self.out);
        std::mem::take(&mut self.out)
    }

    fn after(&mut self, wait: Duration) -> Vec<Output> {
        self.now += wait;
        self.put(Input::Tick)
    }

    fn frame(&mut self, link: LinkId, text: &str) -> Vec<Output> {
        let mut heard = Heard::default();
        self.machine.venue().decode(text.as_bytes(), 0, &mut heard).unwrap();
        self.put(Input::Frame(link, &heard.said, heard.sequence))
    }
}

fn sent(out: &[Output]) -> Vec<&str> {
    out.iter().filter_map(|out| if let Output::Send(_, text) = out { Some(text.as_str()) } else { None }).collect()
}

const KRAKEN_STATUS: &str = r#"{"channel":"status","type":"update","data":[]}"#;

fn kraken_ack(symbol: &str) -> String {
    format!(r#"{{"method":"subscribe","result":{{"channel":"trade","symbol":"{symbol}"}},"success":true}}"#)
}

/// A Kraken connection with both symbols served on link 1.
fn served() -> Bench {
    let mut bench = Bench::of("kraken");
    assert_eq!(bench.put(Input::Tick), [Output::Open(1)]);
    assert_eq!(bench.put(Input::Opened(1)), [], "the venue speaks first");
    assert_eq!(sent(&bench.frame(1, KRAKEN_STATUS)).len(), 1);
    assert_eq!(bench.frame(1, &kraken_ack("BTC/USD")), [Output::Covered("BTC/USD".to_owned())]);
    assert_eq!(bench.frame(1, &kraken_ack("ETH/USD")), [Output::Covered("ETH/USD".to_owned())]);
    assert_eq!(bench.machine.trouble(), None);
    bench
}

#[test]
fn a_cut_is_told_per_symbol_and_healed_after_the_back_off() {
    let mut bench = served();
    let out = bench.put(Input::Closed(1));
    assert_eq!(
        out,
        [Output::Ended("closed"), Output::Uncovered("BTC/USD".to_owned()), Output::Uncovered("ETH/USD".to_owned())]
    );
    assert!(bench.machine.trouble().unwrap().contains("2 symbols are not served"));
    assert_eq!(bench.machine.wake(), bench.now + SECOND / 2);
    assert_eq!(bench.after(SECOND / 2 - MS), []);
    assert_eq!(bench.after(MS), [Output::Open(2)]);
    bench.put(Input::Opened(2));
    let out = bench.frame(2, KRAKEN_STATUS);
    let both = r#"{"method":"subscribe","params":{"channel":"trade","snapshot":true,"symbol":["BTC/USD","ETH/USD"]},"req_id":2}"#;
    assert_eq!(sent(&out), [both]);
}

#[test]
fn each_deadline_ends_the_link_with_its_name() {
    let ended = |bench: &mut Bench, after: Duration, cause: &'static str| {
        assert_eq!(bench.machine.wake(), bench.now + after, "{cause}");
        assert!(!bench.after(after - MS).contains(&Output::Ended(cause)));
        let out = bench.after(MS);
        assert!(out.contains(&Output::Ended(cause)) && out.contains(&Output::Close(1)), "{cause}: {out:?}");
    };
    let mut opening = Bench::of("kraken");
    opening.put(Input::Tick);
    ended(&mut opening, SECOND * 10, "handshake");
    let mut greeting = Bench::with("kraken", |limits| limits.silence = SECOND * 100);
    greeting.put(Input::Tick);
    greeting.put(Input::Opened(1));
    ended(&mut greeting, SECOND * 10, "handshake");
    let mut asking = Bench::with("coinbase", |limits| limits.silence = SECOND * 100);
    asking.put(Input::Tick);
    assert_eq!(sent(&asking.put(Input::Opened(1))).len(), 1);
    ended(&mut asking, SECOND * 10, "unacknowledged");
    let mut keyed = Bench::with("massive", |limits| limits.ping = None);
    keyed.put(Input::Tick);
    keyed.put(Input::Opened(1));
    let out = keyed.frame(1, r#"[{"ev":"status","status":"connected","message":""}]"#);
    assert_eq!(sent(&out), [r#"{"action":"auth","params":"key"}"#], "nothing is asked before the key is taken");
    ended(&mut keyed, SECOND * 10, "unacknowledged");
    let mut silent = served();
    silent.machine.limits.ping = None;
    // After a frame that says nothing it may want to be asked once before.
    silent.put(Input::Tick);
    ended(&mut silent, SECOND * 10, "silence");
}

#[test]
fn any_frame_puts_the_silence_off_and_a_ping_asks_for_one() {
    let mut bench = served();
    for _ in 0..10 {
        assert_eq!(bench.after(SECOND * 3), []);
        bench.put(Input::Alive(1));
    }
    let out = bench.after(SECOND * 4);
    assert_eq!(sent(&out), [r#"{"method":"ping"}"#]);
    assert_eq!(bench.after(SECOND), [], "one ping is enough");
    bench.frame(1, r#"{"method":"pong"}"#);
    assert_eq!(sent(&bench.after(SECOND * 4)).len(), 1, "the next silence, the next ping");
}

#[test]
fn a_refused_key_stops_for_good_with_its_reason() {
    for (venue, open, answer) in [
        (
            "massive",
            Some(r#"[{"ev":"status","status":"connected"}]"#),
            r#"[{"ev":"status","status":"auth_failed","message":"no such key"}]"#,
        ),
        ("finnhub", None, r#"{"type":"error","msg":"Invalid API key: no such key"}"#),
    ] {
        let mut bench = Bench::of(venue);
        bench.put(Input::Tick);
        bench.put(Input::Opened(1));
        open.map(|text| bench.frame(1, text));
        let out = bench.frame(1, answer);
        assert!(matches!(&out[..], [.., Output::Stopped(reason)] if reason.contains("no such key")), "{out:?}");
        assert!(out.contains(&Output::Close(1)));
        assert!(bench.machine.trouble().unwrap().contains("no such key"));
        assert_eq!((bench.machine.wake(), bench.after(SECOND * 10_000)), (Duration::MAX, Vec::new()));
    }
    for status in [401, 403] {
        let mut bench = Bench::of("finnhub");
        bench.put(Input::Tick);
        let out = bench.put(Input::Refused(1, status, None));
        assert!(
            matches!(&out[..], [Output::Close(1), Output::Stopped(reason)] if reason.contains(&status.to_string())),
            "{out:?}"
        );
    }
}

#[test]
fn a_venue_that_says_when_to_come_back_is_obeyed() {
    let mut bench = Bench::of("binance");
    bench.put(Input::Tick);
    assert_eq!(bench.put(Input::Refused(1, 429, Some(SECOND * 90))), [Output::Ended("too_fast")]);
    assert_eq!(bench.after(SECOND * 90 - MS), []);
    assert_eq!(bench.after(MS), [Output::Open(2)]);
    // A 403 where no key is asked for is no matter of keys.
    assert_eq!(bench.put(Input::Refused(2, 403, None)), [Output::Ended("refused")]);
}

/// Accepted and evicted again and again: waits grow all the same, or two clients would throw each other out for ever.
#[test]
fn eviction_does_not_reset_the_back_off() {
    let mut bench = Bench::of("massive");
    let mut waits = Vec::new();
    for link in 1..6 {
        let due = bench.machine.wake();
        waits.push(due.saturating_sub(bench.now).as_millis());
        bench.now = bench.now.max(due);
        assert_eq!(bench.put(Input::Tick), [Output::Open(link)]);
        bench.put(Input::Opened(link));
        bench.frame(link, r#"[{"ev":"status","status":"connected"}]"#);
        bench.frame(link, r#"[{"ev":"status","status":"auth_success"}]"#);
        for symbol in ["AAPL", "GOOGL", "MSFT", "TSLA"] {
            let ack = format!(r#"[{{"ev":"status","status":"success","message":"subscribed to: T.{symbol}"}}]"#);
            bench.frame(link, &ack);
        }
        assert_eq!(bench.machine.trouble(), None);
        bench.now += SECOND * 5;
        bench.frame(link, r#"[{"ev":"status","status":"max_connections","message":"evicted"}]"#);
    }
    assert_eq!(waits, [0, 500, 1000, 2000, 4000]);
}

#[test]
fn the_next_link_is_made_before_the_old_one_is_broken() {
    let mut bench = Bench::of("binance");
    bench.put(Input::Tick);
    let out = bench.put(Input::Opened(1));
    assert_eq!(sent(&out).len(), 1);
    bench.frame(1, r#"{"result":null,"id":2}"#);
    assert_eq!(bench.machine.trouble(), None);
    let day = SECOND * 24 * 3600;
    let mut opened = None;
    while opened.is_none() && bench.now < day {
        let out = bench.after(SECOND * 50);
        bench.put(Input::Alive(1));
        opened = out.contains(&Output::Open(2)).then_some(bench.now);
    }
    let early = day - opened.expect("a link is opened before the venue cuts the old one");
    assert!(early > SECOND * 600 && early < SECOND * 7200, "{early:?}");
    bench.put(Input::Opened(2));
    assert_eq!(bench.machine.unserved(), 0, "the old one serves on");
    // Those of a request are granted by its number, which counts per link.
    let out = bench.frame(2, r#"{"result":null,"id":2}"#);
    assert_eq!(out, [Output::Close(1)], "no symbol was uncovered");
    assert_eq!(bench.put(Input::Closed(1)), [], "that was our own doing");
    // The venue says that it will leave: the same again.
    let out = bench.frame(2, r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1}}"#);
    assert_eq!(out, [Output::Ended("leaving"), Output::Open(3)]);
    // The new one fails, the old one goes: nothing is lost but time.
    assert_eq!(bench.put(Input::Closed(3)), [Output::Ended("closed")]);
    let out = bench.put(Input::Closed(2));
    assert!(out.contains(&Output::Uncovered("BTCUSDT".to_owned())), "{out:?}");
    assert!(bench.after(SECOND * 60).contains(&Output::Open(4)));
}

#[test]
fn a_refusal_that_names_nobody_is_asked_again_one_by_one() {
    let mut bench = Bench::of("coinbase");
    bench.put(Input::Tick);
    bench.put(Input::Opened(1));
    let refusal = r#"{"type":"error","message":"Failed to subscribe","reason":"ETH-USD is not a valid product"}"#;
    let granted = |names: &str| {
        format!(r#"{{"type":"subscriptions","channels":[{{"name":"matches","product_ids":[{names}]}}]}}"#)
    };
    let out = bench.frame(1, refusal);
    assert_eq!(sent(&out), [r#"{"channels":["matches","heartbeat"],"product_ids":["BTC-USD"],"type":"subscribe"}"#]);
    let out = bench.frame(1, &granted("\"BTC-USD\""));
    assert!(out.contains(&Output::Covered("BTC-USD".to_owned())));
    assert_eq!(sent(&out), [r#"{"channels":["matches","heartbeat"],"product_ids":["ETH-USD"],"type":"subscribe"}"#]);
    assert_eq!(bench.frame(1, refusal), []);
    assert_eq!(
        bench.machine.trouble().unwrap(),
        "refused: ETH-USD: Failed to subscribe: ETH-USD is not a valid product"
    );
    for _ in 0..20 {
        assert_eq!(bench.after(SECOND * 14), [], "it is not asked for again on this link");
        bench.put(Input::Alive(1));
    }
}

#[test]
fn what_the_venue_drops_is_asked_for_again() {
    let mut bench = Bench::of("alpaca");
    bench.put(Input::Tick);
    bench.put(Input::Opened(1));
    bench.frame(1, r#"[{"T":"success","msg":"connected"}]"#);
    bench.frame(1, r#"[{"T":"success","msg":"authenticated"}]"#);
    bench.frame(1, r#"[{"T":"subscription","trades":["AAPL","GOOGL","MSFT","TSLA"]}]"#);
    assert_eq!(bench.machine.trouble(), None);
    let out = bench.frame(1, r#"[{"T":"subscription","trades":["AAPL","GOOGL","MSFT"]}]"#);
    assert_eq!(sent(&out), [r#"{"action":"subscribe","trades":["TSLA"]}"#]);
    assert!(out.contains(&Output::Uncovered("TSLA".to_owned())));
}

#[test]
fn a_silent_symbol_is_asked_for_again_only_where_nothing_was_acknowledged() {
    let mut bench = Bench::of("finnhub");
    bench.put(Input::Tick);
    assert_eq!(sent(&bench.put(Input::Opened(1))).len(), 6);
    let out = bench.put(Input::Silent(&["TSLA".to_owned()]));
    assert_eq!(out, [Output::Send(1, r#"{"symbol":"TSLA","type":"subscribe"}"#.to_owned())], "and it counts as served");
    assert_eq!(served().put(Input::Silent(&["BTC/USD".to_owned()])), []);
}

#[test]
fn symbols_change_without_another_link() {
    let mut bench = served();
    let desired = BTreeSet::from(["BTC/USD".to_owned(), "SOL/USD".to_owned()]);
    let out = bench.put(Input::Desire(&desired));
    assert_eq!(sent(&out).len(), 2, "{out:?}");
    assert!(sent(&out)[0].contains("unsubscribe") && sent(&out)[0].contains("ETH/USD"));
    assert!(sent(&out)[1].contains("SOL/USD"));
    assert!(out.contains(&Output::Uncovered("ETH/USD".to_owned())));
    assert_eq!(bench.frame(1, &kraken_ack("SOL/USD")), [Output::Covered("SOL/USD".to_owned())]);
}

#[test]
fn a_jump_in_the_numbers_of_a_connection_is_told() {
    let mut bench = Bench::of("coinbase_advanced");
    bench.put(Input::Tick);
    bench.put(Input::Opened(1));
    let number = |n: u64| format!(r#"{{"channel":"heartbeats","sequence_num":{n},"events":[]}}"#);
    for n in [4, 5, 6] {
        assert_eq!(bench.frame(1, &number(n)), [], "the first number is where it starts");
    }
    assert_eq!(bench.frame(1, &number(8)), [Output::Missed(1)]);
    assert_eq!(bench.frame(1, &number(7)), [], "late, and missed already");
    assert_eq!(bench.frame(1, &number(9)), []);
}

/// Some venues serve first and answer then, and some answer too late: what came without an answer does not come any more.
#[test]
fn what_was_asked_for_and_never_acknowledged_is_told_to_be_over_with_its_link() {
    let all = ["AAPL", "GOOGL", "MSFT", "TSLA"];
    let over = |names: &[&str]| names.iter().map(|name| Output::Uncovered(format!("T.{name}"))).collect::<Vec<_>>();
    let ack = |name: &str| format!(r#"[{{"ev":"status","status":"success","message":"subscribed to: T.{name}"}}]"#);
    let asking = |bench: &mut Bench, link: LinkId| {
        bench.put(Input::Opened(link));
        bench.frame(link, r#"[{"ev":"status","status":"connected"}]"#);
        assert_eq!(sent(&bench.frame(link, r#"[{"ev":"status","status":"auth_success"}]"#)).len(), 1);
    };
    let mut bench = Bench::of("massive");
    bench.put(Input::Tick);
    asking(&mut bench, 1);
    assert_eq!(bench.frame(1, &ack("MSFT")), [Output::Covered("T.MSFT".to_owned())]);
    assert_eq!(bench.machine.asked_on(1).len(), 4, "something of each may have come");
    let out = bench.after(SECOND * 10);
    assert_eq!(out[..2], [Output::Close(1), Output::Ended("unacknowledged")]);
    assert_eq!(out[2..], over(&["AAPL", "GOOGL", "TSLA", "MSFT"]));
    // The answer comes when the next link is under way: it says nothing of that.
    assert_eq!(bench.after(SECOND), [Output::Open(2)]);
    assert_eq!(bench.frame(1, &ack("AAPL")), []);
    asking(&mut bench, 2);
    assert_eq!(bench.frame(1, &ack("AAPL")), []);
    assert_eq!(bench.machine.unserved(), 4);
    let refused = bench.frame(2, r#"[{"ev":"status","status":"auth_failed","message":"no more"}]"#);
    assert_eq!(refused[1..5], over(&all), "{refused:?}");
}

#[test]
fn deadlines_hold_while_nothing_but_trades_comes() {
    let mut bench = Bench::of("binance");
    let opened = bench.after(Duration::ZERO);
    let Some(Output::Open(link)) = opened.first().cloned() else { panic!("{opened:?}") };
    let asked = bench.put(Input::Opened(link));
    assert_eq!(sent(&asked).len(), 1, "{asked:?}");
    // Never answered. No timer: only frames tell the machine what time it is.
    let began = bench.now;
    let ended = (0..2_000).find_map(|_| {
        bench.now += MS * 10;
        let out = bench.put(Input::Frame(link, &[], None));
        out.contains(&Output::Ended("unacknowledged")).then(|| bench.now - began)
    });
    let late = Life::default().acknowledgement;
    assert!(ended.is_some_and(|after| (late..=late + super::LOOK_EVERY).contains(&after)), "{ended:?}");
}
