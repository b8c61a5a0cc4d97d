//! Venues that are asked by REST, against fakes: each thing they have is in Kafka once, over stops, kills and refusals, and the key is
//! nowhere.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use harness::{Clock as _, Secret, SystemClock};
use market::Event;
use testkit::eventually;
use testkit::venues::polled::{FakePolled, KEY, Polled};

use crate::bed::{Bed, header, runtime};
use crate::live::{self, Killed, Running};

const DEADLINE: Duration = Duration::from_secs(20);
const MINUTE: i64 = 60_000_000_000;

fn venue(kind: Polled) -> FakePolled {
    runtime().block_on(FakePolled::start(kind))
}

fn now() -> i64 {
    SystemClock.now_ns()
}

/// So many whole minutes ago.
fn minutes_ago(minutes: i64) -> i64 {
    (now() / MINUTE - minutes) * MINUTE
}

fn feed(venue: &FakePolled, more: &str) -> String {
    let name = if venue.kind == Polled::Finnhub { "finnhub_rest" } else { "alphavantage" };
    format!("p={name}?symbols=AAPL+MSFT&url={}&every=20ms&rate=1000/1s{more}", venue.url())
}

fn start(bed: &Bed, venue: &FakePolled, more: &str) -> Running {
    live::start(bed, &feed(venue, more), |config| {
        config.alphavantage.api_key = Secret::new(KEY);
        config.finnhub.api_key = Secret::new(KEY);
    })
}

/// How often each is there, in words.
fn there(bed: &Bed) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for event in bed.events() {
        let words = match event {
            Event::Bar(bar) => format!("bar {} {}", bar.symbol, bar.close),
            Event::Trade(trade) => format!("{} {} {}", trade.conditions.join(" "), trade.symbol, trade.price),
            Event::News(news) => {
                let score = news.sentiment.map_or("-".to_owned(), |score| score.to_string());
                format!("{} {} {score}", news.headline, news.symbol)
            }
            Event::Gap(gap) => format!("gap {} of {} min", gap.symbol, (gap.to - gap.from) / MINUTE),
            other => panic!("{other:?}"),
        };
        *all.entry(words).or_default() += 1;
    }
    all
}

fn wait_for(bed: &Bed, words: &[&str]) {
    eventually(DEADLINE, &format!("{words:?} in Kafka"), || {
        let there = there(bed);
        words.iter().all(|word| there.contains_key(*word)).then_some(())
    });
}

fn each_once(bed: &Bed, expected: &[&str]) {
    let there = there(bed);
    assert_eq!(there.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(there.values().all(|times| *times == 1), "{there:?}");
}

/// Two more rounds of requests have been made.
fn asked_again(venue: &FakePolled) {
    let before = venue.requests().len();
    eventually(DEADLINE, "two rounds", || (venue.requests().len() >= before + 12).then_some(()));
}

#[test]
fn what_alpha_vantage_has_is_there_once_over_a_restart() {
    let (bed, venue) = (Bed::new(), venue(Polled::AlphaVantage));
    for (symbol, score) in [("AAPL", "0.25"), ("MSFT", "-0.5")] {
        venue.bar(symbol, minutes_ago(3), "1.5");
        venue.bar(symbol, minutes_ago(2), "1.75");
        venue.news(symbol, 1, minutes_ago(30), score);
        venue.quote(symbol, "101.5", minutes_ago(1));
    }
    let first = start(&bed, &venue, "");
    eventually(DEADLINE, "each is answered", || first.health.is_ready().then_some(()));
    wait_for(&bed, &["bar AAPL 1.75", "News 1 MSFT -0.5", "quote MSFT 101.5"]);
    asked_again(&venue);
    first.stop();
    // While nobody asks. One of the news is published late.
    venue.bar("AAPL", minutes_ago(1), "2");
    venue.news("AAPL", 2, minutes_ago(60), "0.1");
    venue.quote("AAPL", "102.5", minutes_ago(0));
    let second = start(&bed, &venue, "");
    wait_for(&bed, &["bar AAPL 2", "News 2 AAPL 0.1", "quote AAPL 102.5"]);
    asked_again(&venue);
    second.stop();
    each_once(
        &bed,
        &[
            "News 1 AAPL 0.25",
            "News 1 MSFT -0.5",
            "News 2 AAPL 0.1",
            "bar AAPL 1.5",
            "bar AAPL 1.75",
            "bar AAPL 2",
            "bar MSFT 1.5",
            "bar MSFT 1.75",
            "quote AAPL 101.5",
            "quote AAPL 102.5",
            "quote MSFT 101.5",
        ],
    );
    assert_eq!(bed.dead_letters().len(), 0);
    assert!(bed.output().iter().all(|record| header(record, "source") == "live:p"));
}

#[test]
fn a_killed_poller_doubles_nothing_and_loses_nothing_and_its_key_is_in_no_log() {
    for kind in [Polled::AlphaVantage, Polled::Finnhub] {
        let (bed, venue) = (Bed::new(), venue(kind));
        let score = if kind == Polled::AlphaVantage { " 0.25" } else { "" };
        let said = |id: u64| format!("News {id} AAPL{score}");
        let mut expected = Vec::new();
        for round in 0..4u64 {
            let log = bed.dir.path().join(format!("log{round}"));
            let mut command = live::command(&bed, &feed(&venue, "&read=news"), &["--set", "log.level=trace"]);
            command.env("FINFLOW_ALPHAVANTAGE__API_KEY", KEY).env("FINFLOW_FINNHUB__API_KEY", KEY);
            command.stderr(Stdio::from(std::fs::File::create(&log).unwrap()));
            let mut child = Killed(command.spawn().unwrap());
            for id in round * 20..(round + 1) * 20 {
                venue.news("AAPL", id, now() - 60_000_000_000, "0.25");
                expected.push(said(id));
                if id % 20 == 10 {
                    venue.instead(500, KEY);
                    venue.instead(
                        200,
                        &format!(r#"{{"Information":"We have detected your API key as {KEY} and more"}}"#),
                    );
                }
            }
            // In the middle of things: some of these are in Kafka, some on their way, some not yet asked for.
            let awaited = said(round * 20);
            eventually(DEADLINE, "the first of the round", || {
                there(&bed).keys().any(|words| words.starts_with(&awaited)).then_some(())
            });
            child.0.kill().unwrap();
            child.0.wait().unwrap();
            let text = std::fs::read_to_string(log).unwrap();
            assert!(text.len() > 100, "it was told to log all");
            for key in [KEY, &KEY.replace('/', "%2F")] {
                assert!(!text.contains(key), "{kind:?}: the key is in the log: {text}");
            }
        }
        let last = start(&bed, &venue, "&read=news");
        let there = eventually(DEADLINE, "all of them", || {
            let there = there(&bed);
            (there.len() >= expected.len()).then_some(there)
        });
        asked_again(&venue);
        last.stop();
        assert_eq!(there.len(), expected.len());
        assert!(self::there(&bed).values().all(|times| *times == 1), "{kind:?}: {there:?}");
        for record in bed.dead_letters() {
            let text = String::from_utf8_lossy(record.value.as_deref().unwrap_or_default()).into_owned();
            assert!(!text.contains(KEY) && !format!("{:?}", record.headers).contains(KEY), "{text}");
        }
    }
}

#[test]
fn what_finnhub_has_is_there_once_and_an_unknown_symbol_is_said() {
    let (bed, venue) = (Bed::new(), venue(Polled::Finnhub));
    venue.quote("AAPL", "101.25", minutes_ago(1));
    venue.news("AAPL", 7, minutes_ago(5), "");
    venue.news("MSFT", 8, minutes_ago(5), "");
    let running = start(&bed, &venue, "");
    let why = eventually(DEADLINE, "what is wrong", || {
        let report = running.health.report();
        report.checks.values().find_map(|check| check.reason.clone()).filter(|why| why.contains("`MSFT`"))
    });
    assert_eq!(why, "quote of MSFT: it has no quote of `MSFT`: is that its name there?");
    venue.quote("MSFT", "5e1", minutes_ago(0));
    eventually(DEADLINE, "ready", || running.health.is_ready().then_some(()));
    wait_for(&bed, &["quote MSFT 50"]);
    asked_again(&venue);
    running.stop();
    let there: Vec<String> = there(&bed).into_keys().collect();
    assert_eq!(there.len(), 4, "{there:?}");
    assert!(bed.output().len() == 4, "each once");
}

#[test]
fn a_bad_item_is_kept_once_and_takes_no_other_with_it() {
    let (bed, venue) = (Bed::new(), venue(Polled::AlphaVantage));
    venue.news("AAPL", 1, minutes_ago(9), "much");
    venue.news("AAPL", 2, minutes_ago(8), "0.5");
    let running = start(&bed, &venue, "&read=news");
    wait_for(&bed, &["News 2 AAPL 0.5"]);
    asked_again(&venue);
    let text = running.metrics.render();
    running.stop();
    assert_eq!(bed.output().len(), 1);
    let dead = bed.dead_letters();
    assert_eq!(dead.len(), 1, "though it was answered many times");
    assert!(String::from_utf8_lossy(dead[0].value.as_ref().unwrap()).contains("https://example.com/1"));
    assert_eq!(header(&dead[0], "finflow-dlq-reason"), "not_a_number");
    assert!(text.contains(r#"invalid_lines_total{reason="not_a_number"} 1"#), "{text}");
    let second = start(&bed, &venue, "&read=news");
    eventually(DEADLINE, "ready", || second.health.is_ready().then_some(()));
    asked_again(&venue);
    second.stop();
    assert_eq!((bed.output().len(), bed.dead_letters().len()), (1, 1), "nor after a restart");
}

#[test]
fn more_news_than_an_answer_holds_is_asked_for_page_by_page() {
    let (bed, venue) = (Bed::new(), venue(Polled::AlphaVantage));
    // The reader knows a page as full by the thousand that it asks for.
    for id in 0..2_500 {
        venue.news("AAPL", id, minutes_ago(600) + i64::try_from(id).unwrap() * 10_000_000_000, "0.5");
    }
    venue.most_news(1_000);
    let running = start(&bed, &venue, "&read=news&every=1h");
    eventually(DEADLINE, "all of them", || (bed.output().len() >= 2_500).then_some(()));
    running.stop();
    assert_eq!(bed.output().len(), 2_500);
    assert!(there(&bed).values().all(|times| *times == 1));
}

#[test]
fn after_a_long_time_away_a_longer_answer_is_asked_for_and_what_even_that_lacks_is_a_gap() {
    for pays in [true, false] {
        let (bed, venue) = (Bed::new(), venue(Polled::AlphaVantage));
        if !pays {
            venue.wants_money();
        }
        venue.bar("AAPL", minutes_ago(300), "300");
        let first = start(&bed, &venue, "&read=intraday&symbols=AAPL");
        wait_for(&bed, &["bar AAPL 300"]);
        first.stop();
        (1..200).for_each(|ago| venue.bar("AAPL", minutes_ago(ago), &ago.to_string()));
        let second = start(&bed, &venue, "&read=intraday&symbols=AAPL");
        wait_for(&bed, &["bar AAPL 1"]);
        second.stop();
        let there = there(&bed);
        let gaps: Vec<&String> = there.keys().filter(|words| words.starts_with("gap")).collect();
        // A minute may have passed meanwhile.
        let (bars, gap) = if pays { (200, "gap AAPL of 0 min") } else { (101, "gap AAPL of 199 min") };
        assert_eq!(there.len() - gaps.len(), bars, "{there:?}");
        assert_eq!(gaps.len(), usize::from(!pays), "{gaps:?}");
        assert!(pays || gaps[0].as_str() == gap, "{gaps:?}");
        assert!(there.values().all(|times| *times == 1), "{there:?}");
    }
}

#[test]
fn a_wrong_key_and_what_will_never_be_answered_stop_the_asking() {
    let (bed, venue) = (Bed::new(), venue(Polled::AlphaVantage));
    let never =
        r#"{"Error Message": "Invalid API call. Please retry or visit the documentation for TIME_SERIES_INTRADAY."}"#;
    venue.instead(200, never);
    venue.quote("AAPL", "1", minutes_ago(1));
    let running = start(&bed, &venue, "&read=intraday+quote&symbols=AAPL");
    wait_for(&bed, &["quote AAPL 1"]);
    eventually(DEADLINE, "more quotes", || (venue.requests().len() > 8).then_some(()));
    let intraday = venue.requests().iter().filter(|(path, _)| path.contains("INTRADAY")).count();
    assert_eq!(intraday, 1, "it is not asked again");
    let report = running.health.report();
    let why = report.checks.values().find_map(|check| check.reason.clone()).unwrap();
    assert!(why.starts_with("intraday of AAPL: Invalid API call."), "{why}");
    // From now on the key is wrong.
    venue.instead(200, r#"{"Error Message": "the parameter apikey is invalid or missing."}"#);
    eventually(DEADLINE, "the key", || {
        let report = running.health.report();
        report
            .checks
            .values()
            .any(|check| check.reason.as_deref().is_some_and(|why| why.contains("apikey")))
            .then_some(())
    });
    let asked = venue.requests().len();
    let rendered = running.metrics.render();
    assert!(rendered.contains(r#"feed_requests_total{feed="p",outcome="key_refused"} 1"#), "{rendered}");
    running.stop();
    assert_eq!(venue.requests().len(), asked, "nobody is asked with a wrong key");
}

#[test]
fn limits_are_kept_and_refusals_are_waited_for() {
    let (bed, venue) = (Bed::new(), venue(Polled::Finnhub));
    venue.quote("AAPL", "1", minutes_ago(1));
    venue.instead(429, "{}");
    let name = feed(&venue, "&read=quote&symbols=AAPL").replace("1000/1s", "1000/1s+3/300ms");
    let running = live::start(&bed, &name, |config| config.finnhub.api_key = Secret::new(KEY));
    eventually(DEADLINE, "ten requests", || (venue.requests().len() >= 10).then_some(()));
    running.stop();
    let times: Vec<Instant> = venue.requests().into_iter().map(|(_, at)| at).collect();
    // The answer said that one second is to be waited.
    assert!(times[1] - times[0] >= Duration::from_millis(950), "{:?}", times[1] - times[0]);
    for four in times[1..].windows(4) {
        // Arrivals are looser than departures.
        assert!(four[3] - four[0] >= Duration::from_millis(270), "four within {:?}", four[3] - four[0]);
    }
}

#[test]
fn a_poller_waits_for_room_and_drops_nothing() {
    let (bed, venue) = (Bed::new(), venue(Polled::AlphaVantage));
    (0..500).for_each(|id| venue.news("AAPL", id, minutes_ago(100), "0.5"));
    let running = live::start(&bed, &feed(&venue, "&read=news"), |config| {
        config.alphavantage.api_key = Secret::new(KEY);
        // Room for some twenty.
        config.live.memory = serde_json::from_value("16KiB".into()).unwrap();
    });
    eventually(DEADLINE, "all of them", || (bed.output().len() >= 500).then_some(()));
    running.stop();
    assert_eq!(bed.output().len(), 500);
    assert!(there(&bed).keys().all(|words| words.starts_with("News")), "no gap");
}
