//! Answers as the vendor writes them, kept beside the project or made here, and what else it says with HTTP 200.

use market::{Event, time};

use super::*;

const DAY: i64 = 86_400_000_000_000;

fn at(text: &str) -> i64 {
    time::parse_rfc3339(text).unwrap()
}

fn reach(newest: Option<&str>, now: &str) -> Reach {
    Reach { newest: newest.map(at), follows: false, short: false, now: at(now) }
}

fn ask(what: &'static str, symbol: &str) -> Ask {
    Ask { what, symbol: symbol.to_owned(), own_name: symbol.to_owned() }
}

fn read(what: &'static str, symbol: &str, reach: Reach, answer: &str) -> Result<Page, Refusal> {
    AlphaVantage::default().read(&ask(what, symbol), reach, answer.as_bytes())
}

fn shared(name: &str) -> Option<String> {
    let file = testkit::shared(&format!("data/frames/alphavantage/{name}"))?;
    Some(std::fs::read_to_string(file).unwrap())
}

fn row(time: &str, close: &str) -> String {
    format!(r#""{time}":{{"1. open":"1.0","2. high":"2.5000","3. low":"0.5","4. close":"{close}","5. volume":"7"}}"#)
}

fn intraday(rows: &[String]) -> String {
    let meta = r#""Meta Data":{"2. Symbol":"A","4. Interval":"1min","6. Time Zone":"US/Eastern"}"#;
    format!(r#"{{{meta},"Time Series (1min)":{{{}}}}}"#, rows.join(","))
}

#[test]
fn the_recorded_bars_are_bars_in_order_at_new_yorks_times() {
    let Some(text) = shared("time_series_intraday_1min_MSFT.json") else { return };
    let page = read("intraday", "MSFT", reach(None, "2017-12-18T20:00:00Z"), &text).unwrap();
    assert_eq!((page.events.len(), page.bad.len(), page.gap), (100, 0, None));
    let Event::Bar(last) = &page.events[99] else { panic!() };
    assert_eq!((last.start, last.end), (at("2017-12-18T19:56:00Z"), at("2017-12-18T19:57:00Z")));
    assert_eq!(
        [last.open, last.high, last.low, last.close].map(|price| price.to_string()),
        ["86.49", "86.5", "86.475", "86.5"]
    );
    assert_eq!((last.volume.to_string().as_str(), last.symbol.as_str()), ("10494", "MSFT"));
    let starts: Vec<i64> = page.events.iter().map(|event| event.event_time().unwrap()).collect();
    assert!(starts.is_sorted());
}

#[test]
fn a_bar_that_may_still_change_is_not_taken_and_a_bad_one_takes_no_other_with_it() {
    let rows = [row("2024-07-01 09:32:00", "3"), row("2024-07-01 09:31:00", "x"), row("2024-07-01 09:30:00", "1")];
    let page = read("intraday", "A", reach(None, "2024-07-01T13:32:59Z"), &intraday(&rows)).unwrap();
    let starts: Vec<i64> = page.events.iter().map(|e| if let Event::Bar(bar) = e { bar.start } else { 0 }).collect();
    assert_eq!(starts, [at("2024-07-01T13:30:00Z")]);
    assert_eq!(page.bad[0].1.reason, "not_a_number");
    assert!(String::from_utf8_lossy(&page.bad[0].0).starts_with(r#"{"2024-07-01 09:31:00":{"1. open""#));
    let whole = read("intraday", "A", reach(None, "2024-07-01T13:33:00Z"), &intraday(&rows)).unwrap();
    assert_eq!(whole.events.len(), 2, "its minute is over");
}

#[test]
fn an_answer_that_does_not_reach_back_says_where_bars_may_be_missing() {
    let page = |newest: &str| {
        let rows = [row("2024-07-01 09:31:00", "1"), row("2024-07-01 09:30:00", "1")];
        read("intraday", "A", reach(Some(newest), "2024-07-01T14:00:00Z"), &intraday(&rows)).unwrap()
    };
    assert_eq!(page("2024-07-01T13:30:00Z").gap, None);
    assert_eq!(page("2024-07-01T13:29:00Z").gap, None, "the next minute is the next bar");
    assert_eq!(page("2024-07-01T13:10:00Z").gap, Some((at("2024-07-01T13:11:00Z"), at("2024-07-01T13:30:00Z"))));
}

#[test]
fn a_quote_is_a_price_update_no_later_than_the_close_of_its_day() {
    let quote = r#"{"Global Quote":{"01. symbol":"MSFT","05. price":"112.1300","06. volume":"29062853","07. latest trading day":"2018-10-05"}}"#;
    let trade = |now: &str| match read("quote", "MSFT", reach(None, now), quote).unwrap().events.remove(0) {
        Event::Trade(trade) => trade,
        other => panic!("{other:?}"),
    };
    let (during, after) = (trade("2018-10-05T15:00:00Z"), trade("2018-10-06T15:00:00Z"));
    assert_eq!(during.event_time, at("2018-10-05T15:00:00Z"));
    assert_eq!(after.event_time, at("2018-10-05T20:00:00Z"));
    assert_eq!((after.price.to_string().as_str(), after.quantity.to_string().as_str()), ("112.13", "0"));
    assert_eq!(during.trade_id.as_deref(), Some("2018-10-05-29062853-112.13"), "the same whenever it is asked for");
    assert_eq!(during.trade_id, after.trade_id);
    let unknown = read("quote", "NO", reach(None, "2018-10-06T15:00:00Z"), r#"{"Global Quote":{}}"#);
    assert!(matches!(unknown, Err(Refusal::Nothing(why)) if why.contains("`NO`")));
    if let Some(recorded) = shared("global_quote_MSFT.json") {
        let page = read("quote", "MSFT", reach(None, "2018-10-06T15:00:00Z"), &recorded).unwrap();
        assert_eq!(
            page.events,
            [Event::Trade(market::Trade { receive_time: Some(at("2018-10-06T15:00:00Z")), ..after })]
        );
    }
}

#[test]
fn news_has_the_vendors_score_for_the_symbol_that_was_asked_for() {
    let Some(text) = shared("news_sentiment_20230906.json") else { return };
    let page = read("news", "SILK", reach(None, "2023-09-06T19:00:00Z"), &text).unwrap();
    assert_eq!((page.events.len(), page.bad.len(), page.full), (2, 0, false));
    let silk = page.events.iter().find_map(|event| match event {
        Event::News(news) if news.headline.contains("SILK") => Some(news),
        _ => None,
    });
    let silk = silk.unwrap();
    assert_eq!(silk.event_time, at("2023-09-06T18:52:08Z"));
    let score = |score: Option<market::Decimal>| score.unwrap().to_string();
    assert_eq!((score(silk.sentiment), score(silk.relevance)), ("0.395895".to_owned(), "0.644033".to_owned()));
    assert_eq!((silk.symbol.as_str(), silk.publisher.as_deref()), ("SILK", Some("Benzinga")));
}

#[test]
fn scores_out_of_bounds_and_times_that_are_none_are_refused_alone() {
    let item = |score: &str, time: &str| {
        format!(
            r#"{{"title":" t ","url":"u","time_published":"{time}","ticker_sentiment":[{{"ticker":"A","relevance_score":"0.5","ticker_sentiment_score":"{score}"}}]}}"#
        )
    };
    let items = [
        item("0.1", "20240701T000000"),
        item("1.01", "20240701T000000"),
        item("0.1", "yesterday"),
        item("-1", "20240630T235959"),
    ];
    let text = format!(r#"{{"items":"4","feed":[{}]}}"#, items.join(","));
    let page = read("news", "A", reach(None, "2024-07-02T00:00:00Z"), &text).unwrap();
    let times: Vec<i64> = page.events.iter().filter_map(Event::event_time).collect();
    assert_eq!(times, [at("2024-06-30T23:59:59Z"), at("2024-07-01T00:00:00Z")], "oldest first");
    assert_eq!(page.bad.iter().map(|(_, bad)| bad.reason).collect::<Vec<_>>(), ["not_a_number", "bad_time"]);
    let Event::News(news) = &page.events[1] else { panic!() };
    assert_eq!((news.headline.as_str(), news.news_id.len()), ("t", 16));
}

/// What WIRE and the recordings have of sentences with HTTP 200, and what each means.
#[test]
fn each_sentence_is_what_it_says_and_not_an_empty_answer() {
    let refused = |what, newest, text: &str| {
        let answer = format!(
            r#"{{"{}":"{}"}}"#,
            if text.starts_with("Invalid") { "Error Message" } else { "Information" },
            text
        );
        read(what, "A", reach(newest, "2024-07-01T00:00:00Z"), &answer).unwrap_err().outcome()
    };
    let day = "Thank you! Our standard API rate limit is 25 requests per day. Subscribe to any of the premium plans";
    let burst = "Please consider spreading out your free API requests more sparingly (1 request per second). You may subscribe to any of the premium plans to lift the free key rate limit (25 requests per day)";
    assert_eq!(refused("quote", None, day), "tomorrow");
    assert_eq!(refused("quote", None, burst), "later");
    assert_eq!(refused("quote", None, "The **demo** API key is for demo purposes only."), "never");
    assert_eq!(refused("quote", None, "This is a premium endpoint."), "never");
    assert_eq!(refused("intraday", None, "This is a premium endpoint."), "never");
    let long_ago = Some("2024-06-01T00:00:00Z");
    assert_eq!(refused("intraday", long_ago, "outputsize=full is a premium feature"), "too_long");
    assert_eq!(refused("quote", None, "Invalid API call. Please retry or visit the documentation"), "never");
    assert_eq!(refused("quote", None, "the parameter apikey is invalid or missing."), "key_refused");
    let none = r#"{"Information":"No articles found. Please adjust the time range"}"#;
    let page = read("news", "A", reach(None, "2024-07-01T00:00:00Z"), none).unwrap();
    assert!(page.events.is_empty() && page.bad.is_empty() && !page.full, "no news is no trouble");
    assert_eq!(refused("news", None, "something unheard of"), "later");
    for (file, outcome) in [
        ("error_invalid_call.json", "never"),
        ("rate_limit_burst.json", "later"),
        ("rate_limit_daily.json", "tomorrow"),
        ("rate_limit_note_legacy.json", "later"),
    ] {
        let Some(text) = shared(file) else { continue };
        let refusal = read("quote", "A", reach(None, "2024-07-01T00:00:00Z"), &text).unwrap_err();
        assert_eq!(refusal.outcome(), outcome, "{file}: {refusal:?}");
    }
    for odd in ["", "[]", "<html>", r#"{"Global Quote":[]}"#, r#"{"x":1}"#, r#"{"Information":3}"#] {
        let refusal = read("quote", "A", reach(None, "2024-07-01T00:00:00Z"), odd).unwrap_err();
        assert_eq!(refusal.outcome(), "unread", "{odd}");
    }
}

#[test]
fn what_is_asked_reaches_back_as_far_as_it_must() {
    let path = |what, reach| AlphaVantage::default().request(&ask(what, "BRK.A&x"), reach, "k&1").path;
    let now = "2024-07-01T12:00:30Z";
    assert_eq!(
        path("intraday", reach(None, now)),
        "/query?function=TIME_SERIES_INTRADAY&symbol=BRK.A%26x&interval=1min&outputsize=compact&apikey=k%261"
    );
    assert!(path("intraday", reach(Some("2024-07-01T11:00:00Z"), now)).contains("outputsize=compact"));
    let long = reach(Some("2024-07-01T10:00:00Z"), now);
    assert!(path("intraday", long).contains("outputsize=full"));
    assert!(path("intraday", Reach { short: true, ..long }).contains("outputsize=compact"));
    assert!(path("news", reach(None, now)).contains("&time_from=20240630T1200&sort=EARLIEST&limit=1000&"));
    let newest = reach(Some("2024-07-01T06:30:10Z"), now);
    assert!(path("news", newest).contains("&time_from=20240630T0630&"), "late items are looked for");
    assert!(path("news", Reach { follows: true, ..newest }).contains("&time_from=20240701T0630&"), "the next page");
}

#[test]
fn a_day_ends_in_london_or_in_new_york() {
    let ends = |now: &str| time::rfc3339(AlphaVantage::default().day_ends(at(now)));
    assert_eq!(ends("2024-07-01T23:59:59Z"), "2024-07-02T00:00:00Z");
    assert_eq!(ends("2024-07-02T00:00:00Z"), "2024-07-02T04:00:00Z");
    assert_eq!(ends("2024-07-02T04:00:00Z"), "2024-07-03T00:00:00Z");
    assert_eq!(at("2024-07-02T00:00:00Z") % DAY, 0);
}

proptest::proptest! {
    #[test]
    fn no_answer_makes_a_reader_panic(answer: Vec<u8>, edit: proptest::sample::Index, byte: u8) {
        let mut news = br#"{"items":"1","feed":[{"title":"t","url":"u","time_published":"20240701T000000","ticker_sentiment":[{"ticker":"A","relevance_score":"0.5","ticker_sentiment_score":"0.1"}]}]}"#.to_vec();
        let mut bars = intraday(&[row("2024-07-01 09:30:00", "1")]).into_bytes();
        let mut quote = br#"{"Global Quote":{"05. price":"1","06. volume":"2","07. latest trading day":"2018-10-05"}}"#.to_vec();
        for sample in [&mut news, &mut bars, &mut quote] {
            let at = edit.index(sample.len());
            sample[at] = byte;
        }
        for what in ["intraday", "quote", "news"] {
            for text in [&answer, &news, &bars, &quote] {
                let _ = AlphaVantage::default().read(&ask(what, "A"), reach(Some("2024-07-01T00:00:00Z"), "2024-07-01T00:00:00Z"), text);
            }
        }
    }
}
