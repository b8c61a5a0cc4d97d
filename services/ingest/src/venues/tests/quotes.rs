//! Best bids and offers of each venue that offers them, written after its documentation; and how they are asked for.

use market::Event;
use proptest::prelude::*;

use super::super::{Heard, NAMES, Venue, of};
use super::RECEIVED;

/// Venue, frame, what it says.
const QUOTES: &[(&str, &str, &str)] = &[
    (
        "binance",
        r#"{"stream":"btcusdt@bookTicker","data":{"u":400900217,"s":"BTCUSDT","b":"61837.62000000","B":"1.30512000","a":"61837.63000000","A":"0.02000000"}}"#,
        "BINANCE:BTCUSDT 61837.62x1.30512 61837.63x0.02 @received",
    ),
    (
        "binance_usdm",
        r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":400900217,"E":1568014460893,"T":1568014460891,"s":"BTCUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}}"#,
        "BINANCE_USDM:BTCUSDT 25.3519x31.21 25.3652x40.66 @1568014460891000",
    ),
    (
        "coinbase",
        r#"{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27","best_ask_size":"1.56637040","side":"buy","time":"2022-10-19T23:28:22.061769Z","trade_id":370843401,"last_size":"11.4396987"}"#,
        "COINBASE:ETH-USD 1285.04x0.46688654 1285.27x1.5663704 @1666222102061769",
    ),
    (
        "coinbase_advanced",
        r#"{"channel":"ticker","client_id":"","timestamp":"2026-04-07T14:30:03.000000Z","sequence_num":12,"events":[{"type":"snapshot","tickers":[{"type":"ticker","product_id":"BTC-USD","price":"68900.50","best_bid":"68900.00","best_bid_quantity":"1.50000000","best_ask":"68901.00","best_ask_quantity":"0.50000000"}]}]}"#,
        "COINBASE:BTC-USD 68900x1.5 68901x0.5 @1775572203000000",
    ),
    (
        "kraken",
        r#"{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.5,"ask":105944.30,"ask_qty":3.2,"last":105899.40,"timestamp":"2022-12-25T09:30:59.123456Z"}]}"#,
        "KRAKEN:BTC/USD 105944.2x2.5 105944.3x3.2 @1671960659123456",
    ),
    (
        "kraken",
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","bid":1.5,"bid_qty":2,"ask":1.6,"ask_qty":3}]}"#,
        "KRAKEN:BTC/USD 1.5x2 1.6x3 @received",
    ),
    (
        "massive",
        r#"[{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],"t":1536036818784,"q":50385480,"z":3}]"#,
        "MSFT 114.125x100 114.128x160 @1536036818784000",
    ),
    (
        "massive",
        r#"[{"ev":"XQ","pair":"BTC-USD","bp":33052.79,"bs":0.48,"ap":33073.19,"as":0.601,"t":1610462411115,"x":1,"r":1610462411128}]"#,
        "MASSIVE:BTC-USD 33052.79x0.48 33073.19x0.601 @1610462411115000",
    ),
    (
        "massive",
        r#"[{"ev":"Q","sym":"MSFT","ax":7,"ap":114.128,"as":160,"t":1536036818784}]"#,
        "MSFT - 114.128x160 @1536036818784000",
    ),
    (
        "alpaca",
        r#"[{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"X","ap":87.68,"as":4,"t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"}]"#,
        "AMD 87.66x1 87.68x4 @1614009105335689",
    ),
    (
        "alpaca",
        r#"[{"T":"q","S":"AMD","bx":"U","bp":0,"bs":0,"ax":"X","ap":87.68,"as":4,"t":"2021-02-22T15:51:45Z","c":["R"],"z":"C"}]"#,
        "AMD - 87.68x4 @1614009105000000",
    ),
];

fn with_quotes(name: &str) -> Option<Box<dyn Venue>> {
    let mut venue = of(name).unwrap();
    venue.read_quotes().then_some(venue)
}

fn told(heard: &Heard) -> String {
    let [Event::Quote(quote)] = &heard.found.events[..] else { return format!("{heard:?}") };
    let side = |price: Option<market::Price>, size: Option<market::Quantity>| {
        price.zip(size).map_or("-".to_owned(), |(price, size)| format!("{price}x{size}"))
    };
    let (bid, ask) = (side(quote.bid, quote.bid_quantity), side(quote.ask, quote.ask_quantity));
    let time =
        if quote.event_time == RECEIVED { "received".to_owned() } else { (quote.event_time / 1_000).to_string() };
    assert_eq!(quote.receive_time, Some(RECEIVED));
    format!("{} {bid} {ask} @{time}", quote.symbol)
}

#[test]
fn each_quote_is_read_where_it_was_asked_for() {
    for (name, frame, wanted) in QUOTES {
        let mut heard = Heard::default();
        with_quotes(name).unwrap().decode(frame.as_bytes(), RECEIVED, &mut heard).unwrap();
        assert_eq!(told(&heard), *wanted, "{name}");
    }
    let offering: Vec<&str> = NAMES.into_iter().filter(|name| with_quotes(name).is_some()).collect();
    let known: Vec<&str> = NAMES.into_iter().filter(|name| QUOTES.iter().any(|(of, ..)| of == name)).collect();
    assert_eq!((offering.len(), &offering), (7, &known), "all but Finnhub");
}

#[test]
fn they_are_asked_for_beside_the_trades() {
    for (name, own_name, with, beside) in [
        ("binance", "BTCUSDT", r#"["btcusdt@trade","btcusdt@bookTicker"]"#, ""),
        ("binance_usdm", "BTCUSDT", r#"["btcusdt@trade","btcusdt@bookTicker"]"#, ""),
        ("coinbase", "BTC-USD", r#"["matches","heartbeat","ticker"]"#, ""),
        ("coinbase_advanced", "BTC-USD", "market_trades", r#""channel":"ticker""#),
        ("kraken", "BTC/USD", r#""channel":"trade""#, r#""event_trigger":"bbo""#),
        ("massive", "T.AAPL", r#""T.AAPL,Q.AAPL""#, ""),
        ("massive", "XT.BTC-USD", r#""XT.BTC-USD,XQ.BTC-USD""#, ""),
        ("alpaca", "AAPL", r#""quotes":["AAPL"]"#, ""),
    ] {
        let (names, venue) = ([own_name.to_owned()], with_quotes(name).unwrap());
        let asked = [
            (venue.subscribe(&names, 1), venue.ask_for_quotes(true, &names, 1)),
            (venue.unsubscribe(&names, 1), venue.ask_for_quotes(false, &names, 1)),
        ];
        for (asked, more) in &asked {
            assert!(asked.contains(with), "{name}: {asked}");
            assert_eq!(more.is_some(), !beside.is_empty(), "{name}");
            assert!(more.as_deref().unwrap_or_default().contains(beside), "{name}: {more:?}");
        }
        let plain = of(name).unwrap();
        assert_eq!(plain.ask_for_quotes(true, &names, 1), None);
        let plain = plain.subscribe(&names, 1);
        assert!(!["bookTicker", "ticker", "Q.", "quotes"].iter().any(|word| plain.contains(word)), "{name}: {plain}");
    }
}

proptest! {
    #[test]
    fn damaged_quotes_are_refused_or_read_and_never_panic(which in 0..QUOTES.len(), at: prop::sample::Index, byte: u8) {
        let (name, frame, _) = QUOTES[which];
        let mut frame = frame.as_bytes().to_vec();
        let at = at.index(frame.len());
        frame[at] = byte;
        let mut heard = Heard::default();
        let _ = with_quotes(name).unwrap().decode(&frame, RECEIVED, &mut heard);
    }
}
