//! What each venue says in the course of a connection, written after its documentation, and what it is asked.

use super::super::{NAMES, Said, of};
use super::{heard, told};

/// Venue, frame, what it must say.
pub const WORDS: &[(&str, &str, &str)] = &[
    (
        "finnhub",
        r#"{"data":[{"c":["1","24"],"p":122.09,"s":"TSLA","t":1672348887196,"v":4},{"c":null,"p":7296.89,"s":"BINANCE:BTCUSDT","t":1575526691134,"v":0.011467}],"type":"trade"}"#,
        "TSLA - 122.09x4 - @1672348887196000 [1 24]; BINANCE:BTCUSDT - 7296.89x0.011467 - @1575526691134000",
    ),
    ("finnhub", r#"{"type":"ping"}"#, "ignored ping"),
    (
        "finnhub",
        r#"{"msg":"Subscribing to too many symbols","type":"error"}"#,
        "Refused { own_name: None, request: None, reason: \"Subscribing to too many symbols\" }",
    ),
    ("finnhub", r#"{"msg":"Invalid API key","type":"error"}"#, "KeyRefused(\"Invalid API key\")"),
    (
        "finnhub",
        r#"{"data":[{"category":"company","datetime":1679920200,"headline":"x","id":7,"related":"A,B","source":"s"}],"type":"news"}"#,
        "news A 7 @1679920200000000; news B 7 @1679920200000000",
    ),
    (
        "binance",
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#,
        "BINANCE:BTCUSDT 3735683259 61837.63x0.02 sell @1723161255342000",
    ),
    ("binance", r#"{"result":null,"id":312}"#, "Granted(312)"),
    (
        "binance",
        r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}"#,
        "Refused { own_name: None, request: Some(19), reason: \"Too many subscriptions\" }",
    ),
    (
        "binance",
        r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#,
        "Refused { own_name: None, request: None, reason: \"Invalid JSON: expected value at line 1 column 1\" }",
    ),
    ("binance", r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#, "Leaving"),
    (
        "binance_usdm",
        r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":5,"T":4,"s":"BTCUSDT","t":7,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}"#,
        "BINANCE_USDM:BTCUSDT 7 61800.3x0.006 buy @4000",
    ),
    (
        "coinbase",
        r#"{"type":"match","trade_id":280232,"side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}"#,
        "COINBASE:SKL-BTC 280232 0.00001305x985 buy @1618677817089723",
    ),
    (
        "coinbase",
        r#"{"type":"last_match","trade_id":881613,"side":"buy","size":"0.04","price":"14.7775","product_id":"BAND-GBP","time":"2021-04-17T16:43:30.244075Z"}"#,
        "COINBASE:BAND-GBP 881613 14.7775x0.04 sell @1618677810244075 old",
    ),
    (
        "coinbase",
        r#"{"type":"subscriptions","channels":[{"name":"heartbeat","product_ids":["X-Y"]},{"name":"matches","product_ids":["BTC-USD"]}]}"#,
        "SubscribedAll([\"BTC-USD\"])",
    ),
    (
        "coinbase",
        r#"{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28Z"}"#,
        "LastId { symbol: \"COINBASE:BTC-USD\", id: 20, time: 1415348368000000000 }",
    ),
    (
        "coinbase",
        r#"{"type":"heartbeat","sequence":90,"last_trade_id":0,"product_id":"BTC-USD","time":"2014-11-07T08:19:28Z"}"#,
        "ignored heartbeat",
    ),
    (
        "coinbase",
        r#"{"type":"error","message":"Failed to subscribe","reason":"X-Y is not a valid product"}"#,
        "Refused { own_name: None, request: None, reason: \"Failed to subscribe: X-Y is not a valid product\" }",
    ),
    (
        "coinbase_advanced",
        r#"{"channel":"market_trades","client_id":"","timestamp":"","sequence_num":5,"events":[{"type":"snapshot","trades":[{"trade_id":"2","product_id":"BTC-USD","price":"2","size":"1","side":"BUY","time":"1970-01-01T00:00:02Z"},{"trade_id":"1","product_id":"BTC-USD","price":"1","size":"1","side":"SELL","time":"1970-01-01T00:00:01Z"}]},{"type":"update","trades":[{"trade_id":"3","product_id":"BTC-USD","price":"3","size":"1","side":"SELL","time":"1970-01-01T00:00:03Z"}]}]}"#,
        "#5; COINBASE:BTC-USD 1 1x1 buy @1000000 old; COINBASE:BTC-USD 2 2x1 sell @2000000 old; COINBASE:BTC-USD 3 3x1 buy @3000000",
    ),
    (
        "coinbase_advanced",
        r#"{"channel":"subscriptions","sequence_num":0,"events":[{"subscriptions":{"heartbeats":["heartbeats"],"market_trades":["BTC-USD"]}}]}"#,
        "#0; SubscribedAll([\"BTC-USD\"])",
    ),
    (
        "coinbase_advanced",
        r#"{"channel":"heartbeats","sequence_num":7,"events":[{"heartbeat_counter":42}]}"#,
        "#7; ignored heartbeat",
    ),
    ("coinbase_advanced", r#"{"type":"error","message":"rate limit exceeded"}"#, "TooFast(\"rate limit exceeded\")"),
    (
        "kraken",
        r#"{"channel":"status","type":"update","data":[{"version":"2.0.10","system":"online","connection_id":15483510049470446170}]}"#,
        "Welcome",
    ),
    (
        "kraken",
        r#"{"method":"subscribe","result":{"channel":"trade","symbol":"BTC\/USD","snapshot":true},"success":true,"req_id":1}"#,
        "Subscribed(\"BTC/USD\")",
    ),
    (
        "kraken",
        r#"{"error":"Currency pair not supported XBT/USD","method":"subscribe","success":false,"symbol":"XBT/USD"}"#,
        "Refused { own_name: Some(\"XBT/USD\"), request: None, reason: \"Currency pair not supported XBT/USD\" }",
    ),
    (
        "kraken",
        r#"{"error":"EAPI:Rate limit exceeded","method":"subscribe","success":false}"#,
        "TooFast(\"EAPI:Rate limit exceeded\")",
    ),
    (
        "kraken",
        r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}"#,
        "KRAKEN:BTC/USD 10218208 105944.2x0.00027625 buy @1696613755440295",
    ),
    ("kraken", r#"{"method":"pong","req_id":42}"#, "ignored ping"),
    ("massive", r#"[{"ev":"status","status":"connected","message":"Connected Successfully"}]"#, "Welcome"),
    ("massive", r#"[{"ev":"status","status":"auth_success","message":"authenticated"}]"#, "Authenticated"),
    (
        "massive",
        r#"[{"ev":"status","status":"success","message":"subscribed to: T.AAPL"},{"ev":"T","sym":"AAPL","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,"q":3681328}]"#,
        "AAPL 4-12345 114.125x100 - @1536036818784000 [0 12]; Subscribed(\"T.AAPL\")",
    ),
    ("massive", r#"[{"ev":"status","status":"max_connections","message":"exceeded"}]"#, "KeyInUse(\"exceeded\")"),
    (
        "massive",
        r#"[{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.01616617,"c":[2],"i":14272084,"x":3}]"#,
        "MASSIVE:BTC-USD 3-14272084 33021.9x0.01616617 buy @1610462007425000 [2]",
    ),
    ("alpaca", r#"[{"T":"success","msg":"connected"}]"#, "Welcome"),
    ("alpaca", r#"[{"T":"success","msg":"authenticated"}]"#, "Authenticated"),
    ("alpaca", r#"[{"T":"subscription","trades":["AAPL"],"quotes":[],"bars":["*"]}]"#, "SubscribedAll([\"AAPL\"])"),
    ("alpaca", r#"[{"T":"error","code":402,"msg":"auth failed"}]"#, "KeyRefused(\"auth failed\")"),
    (
        "alpaca",
        r#"[{"T":"error","code":406,"msg":"connection limit exceeded"}]"#,
        "KeyInUse(\"connection limit exceeded\")",
    ),
    (
        "alpaca",
        r#"[{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208123456Z","c":["@","I"],"z":"C"}]"#,
        "AAPL D-96921 126.55x1 - @1614009104208123 [@ I]",
    ),
];

#[test]
fn each_venue_is_understood() {
    for (venue, frame, expected) in WORDS {
        assert_eq!(told(venue, frame.as_bytes()), *expected, "{venue} {frame}");
    }
}

#[test]
fn each_venue_is_asked_in_its_own_words() {
    let ask = |venue: &str, symbols: &[&str]| {
        let venue = of(venue).unwrap();
        let names: Vec<String> = symbols.iter().map(|symbol| venue.own_name(symbol).unwrap()).collect();
        (venue.subscribe(&names, 7), venue.unsubscribe(&names, 8))
    };
    for (venue, symbols, asked, taken_back) in [
        (
            "finnhub",
            &["AAPL"][..],
            r#"{"symbol":"AAPL","type":"subscribe"}"#,
            r#"{"symbol":"AAPL","type":"unsubscribe"}"#,
        ),
        (
            "binance",
            &["BINANCE:BTCUSDT", "BINANCE:ETHUSDT"],
            r#"{"id":7,"method":"SUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"]}"#,
            r#"{"id":8,"method":"UNSUBSCRIBE","params":["btcusdt@trade","ethusdt@trade"]}"#,
        ),
        (
            "coinbase",
            &["COINBASE:BTC-USD"],
            r#"{"channels":["matches","heartbeat"],"product_ids":["BTC-USD"],"type":"subscribe"}"#,
            r#"{"channels":["matches","heartbeat"],"product_ids":["BTC-USD"],"type":"unsubscribe"}"#,
        ),
        (
            "coinbase_advanced",
            &["COINBASE:BTC-USD"],
            r#"{"channel":"market_trades","product_ids":["BTC-USD"],"type":"subscribe"}"#,
            r#"{"channel":"market_trades","product_ids":["BTC-USD"],"type":"unsubscribe"}"#,
        ),
        (
            "kraken",
            &["KRAKEN:BTC/USD"],
            r#"{"method":"subscribe","params":{"channel":"trade","snapshot":true,"symbol":["BTC/USD"]},"req_id":7}"#,
            r#"{"method":"unsubscribe","params":{"channel":"trade","symbol":["BTC/USD"]},"req_id":8}"#,
        ),
        (
            "massive",
            &["AAPL", "MASSIVE:BTC-USD"],
            r#"{"action":"subscribe","params":"T.AAPL,XT.BTC-USD"}"#,
            r#"{"action":"unsubscribe","params":"T.AAPL,XT.BTC-USD"}"#,
        ),
        (
            "alpaca",
            &["AAPL"],
            r#"{"action":"subscribe","trades":["AAPL"]}"#,
            r#"{"action":"unsubscribe","trades":["AAPL"]}"#,
        ),
    ] {
        assert_eq!(ask(venue, symbols), (asked.to_owned(), taken_back.to_owned()), "{venue}");
    }
    let finnhub = of("finnhub").unwrap();
    assert_eq!(finnhub.address("wss://x", "k"), "wss://x?token=k");
    assert_eq!(of("massive").unwrap().authenticate("k", "").unwrap(), r#"{"action":"auth","params":"k"}"#);
    assert_eq!(of("alpaca").unwrap().authenticate("k", "s").unwrap(), r#"{"action":"auth","key":"k","secret":"s"}"#);
}

#[test]
fn symbols_are_named_both_ways_and_those_of_others_refused() {
    for name in NAMES {
        let venue = of(name).unwrap();
        assert_eq!(venue.limits().name, name);
        for symbol in venue.limits().symbols {
            let own = venue.own_name(symbol).unwrap_or_else(|| panic!("{name} does not know its own {symbol}"));
            assert_eq!(venue.symbol(&own), *symbol, "{name}");
            assert!(market::symbol::is_valid(symbol));
        }
    }
    for (venue, symbol) in [
        ("binance", "AAPL"),
        ("binance", "BINANCE_USDM:BTCUSDT"),
        ("binance_usdm", "BINANCE:BTCUSDT"),
        ("binance", "BINANCE:BTC/USDT"),
        ("coinbase", "KRAKEN:BTC/USD"),
        ("kraken", "KRAKEN:XBTUSD"),
        ("massive", "BINANCE:BTCUSDT"),
        ("alpaca", "BINANCE:BTCUSDT"),
        ("alpaca", ""),
    ] {
        assert_eq!(of(venue).unwrap().own_name(symbol), None, "{venue} {symbol}");
    }
    assert!(of("nasdaq").is_none());
}

/// The symbols of acknowledgements are those that were asked for.
#[test]
fn an_acknowledged_name_is_the_name_that_was_asked_for() {
    let (heard, _) = heard("massive", br#"[{"ev":"status","status":"success","message":"subscribed to: XT.BTC-USD"}]"#);
    let Said::Subscribed(own) = &heard.said[0] else { panic!("{heard:?}") };
    assert_eq!(of("massive").unwrap().symbol(own), "MASSIVE:BTC-USD");
}
