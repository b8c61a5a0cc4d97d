//! News joined to the metrics of its symbol: over restarts, and what is from the future.

use market::{News, Sentiment};

use super::*;

fn news(symbol: &str, id: &str, seconds: i64, score: &str) -> (&'static str, Vec<u8>) {
    let mut value = Vec::new();
    let news = News {
        symbol: symbol.to_owned(),
        news_id: id.to_owned(),
        publisher: None,
        headline: "h".to_owned(),
        summary: None,
        url: None,
        sentiment: Some(decimal(score)),
        scored_by: Some("test".to_owned()),
        relevance: None,
        event_time: seconds * S,
        receive_time: Some(600 * S),
    };
    Event::News(news).encode(&mut value);
    ("A", value)
}

fn said(bench: &Bench) -> Vec<(i64, Option<Sentiment>)> {
    let last = last_revisions(&bench.metrics());
    last.values()
        .filter(|record| record.window.to_string() == "1m")
        .map(|m| (m.window_start / S, m.sentiment))
        .collect()
}

#[test]
fn a_run_goes_on_with_the_news_of_the_one_before() {
    let bench = Bench::new(1);
    let sentiment = |mean: &str, count| Some(Sentiment { mean: Some(decimal(mean)), count });
    bench.send_trades(&[trade("A", 1, 10.0, "100", "1")]);
    bench.send(&[news("A", "1", 5, "0.5"), news("A", "2", 61, "-1")]);
    let first = bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    assert_eq!((first.outcomes.folded, first.outcomes.other_kind, first.outcomes.invalid), (1, 2, 0));
    assert_eq!(said(&bench), [(0, None)], "no news stands before its last trade");

    // The clock had told it. With one more trade it counts what stands before that, and was published before its end.
    bench.send_trades(&[trade("A", 2, 20.0, "100", "1"), trade("A", 3, 70.0, "100", "1")]);
    bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    assert_eq!(said(&bench), [(0, sentiment("0.5", 1)), (60, sentiment("-0.25", 2))]);
    assert!(bench.metrics().iter().any(|m| m.window.to_string() == "5m/1m" && m.sentiment.is_some()));

    // A rebuild comes to the same, from the whole of the topic in one go.
    let before = said(&bench);
    let count = bench.metrics().len();
    bench.run_to_end(Config { rebuild: true, ..bench.config() }, harness::FakeClock::at(0));
    let again = last_revisions(&bench.metrics()[count..]);
    let again: Vec<_> =
        again.values().filter(|m| m.window.to_string() == "1m").map(|m| (m.window_start / S, m.sentiment)).collect();
    assert_eq!(again, before);
}

#[test]
fn news_from_the_future_is_set_aside() {
    let bench = Bench::new(1);
    bench.send(&[news("A", "1", 606, "1"), news("A", "2", 604, "-1")]);
    bench.send_trades(&[trade("A", 1, 610.0, "100", "1")]);
    let summary = bench.run_to_end(bench.config(), harness::FakeClock::at(0));
    assert_eq!((summary.outcomes.invalid, summary.outcomes.other_kind), (1, 1));
    assert_eq!(said(&bench), [(600, Some(Sentiment { mean: Some(decimal("-1")), count: 1 }))]);
    assert_eq!(bench.records(&bench.dead_letters).len(), 1);
}
