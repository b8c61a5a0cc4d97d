use super::*;

const SPOT: Frames = Frames { market: Some(Market::Spot), quotes: false };
const USDM: Frames = Frames { market: Some(Market::UsdM), quotes: false };
const EITHER: Frames = Frames { market: None, quotes: true };

/// Recorded 2024-08-08.
const SPOT_TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}"#;
const USDM_TRADE: &str = r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,"p":"61800.30","q":"0.006","X":"MARKET","m":false}}"#;
const SPOT_QUOTE: &str = r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"61837.64000000","A":"1.54698000"}}"#;
const USDM_QUOTE: &str = r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}"#;

fn decode(frames: &Frames, text: &str) -> (Found, Result<(), Bad>) {
    let mut found = Found::default();
    let result = frames.decode(text.as_bytes(), Some(1_723_161_254_087_896_568), &mut found);
    (found, result)
}

fn trade(frames: &Frames, text: &str) -> Trade {
    let (mut found, result) = decode(frames, text);
    result.unwrap();
    match found.events.remove(0) {
        Event::Trade(trade) => trade,
        other => panic!("{other:?}"),
    }
}

#[test]
fn recorded_trades_keep_their_digits_and_their_market() {
    let spot = trade(&SPOT, SPOT_TRADE);
    assert_eq!((spot.venue.as_str(), spot.symbol.as_str()), ("BINANCE", "BINANCE:BTCUSDT"));
    assert_eq!((spot.price.to_string(), spot.quantity.to_string()), ("61837.63".to_owned(), "0.02".to_owned()));
    assert_eq!((spot.trade_id.as_deref(), spot.event_time), (Some("3735683259"), 1_723_161_255_342_000_000));
    assert_eq!(spot.side, Some(Side::Sell), "the buyer is the maker: the taker sold");
    assert_eq!(spot.receive_time, Some(1_723_161_254_087_896_568));
    let futures = trade(&USDM, USDM_TRADE);
    assert_eq!((futures.venue.as_str(), futures.symbol.as_str()), ("BINANCE_USDM", "BINANCE_USDM:BTCUSDT"));
    assert_eq!(futures.side, Some(Side::Buy));
}

#[test]
fn a_frame_of_the_other_market_is_refused() {
    for (frames, text) in [(&SPOT, USDM_TRADE), (&USDM, SPOT_TRADE)] {
        let (found, result) = decode(frames, text);
        assert_eq!((result.unwrap_err().reason, found.events.len()), ("wrong_market", 0), "{text}");
    }
    assert_eq!(trade(&EITHER, SPOT_TRADE).venue, "BINANCE");
    assert_eq!(trade(&EITHER, USDM_TRADE).venue, "BINANCE_USDM");
}

/// The vendor's documentation shows a USD-M trade without its order type, and raw streams have no envelope.
#[test]
fn frames_without_envelope_and_in_any_order_read_the_same() {
    let documented = r#"{
      "e": "trade", "E": 123456789, "s": "BTCUSDT", "t": 5933014, "p": "0.001", "q": "100", "T": 123456785, "m": true
    }"#;
    assert_eq!(trade(&USDM, documented).symbol, "BINANCE_USDM:BTCUSDT");
    let turned = r#"{"data":{"t":1,"e":"trade","s":"A","p":"1","q":"2","T":5,"m":false,"E":6},"stream":"a@trade"}"#;
    assert_eq!(trade(&SPOT, turned).trade_id.as_deref(), Some("1"));
    let micros = SPOT_TRADE.replace("\"T\":1723161255342", "\"T\":1723161255342001");
    assert_eq!(trade(&SPOT, &micros).event_time, 1_723_161_255_342_001_000);
}

#[test]
fn quotes_come_only_when_asked_for() {
    assert_eq!(decode(&SPOT, SPOT_QUOTE).0.ignored, Some("book_ticker"));
    assert_eq!(decode(&USDM, USDM_QUOTE).0.ignored, Some("book_ticker"));
    let (found, _) = decode(&EITHER, SPOT_QUOTE);
    let Event::Quote(quote) = &found.events[0] else { panic!("{found:?}") };
    assert_eq!((quote.venue.as_str(), quote.bid.unwrap().to_string()), ("BINANCE", "61837.63".to_owned()));
    assert_eq!(quote.event_time, 1_723_161_254_087_896_568, "no time of the venue: the time of receipt");
    let (found, _) = decode(&EITHER, USDM_QUOTE);
    let Event::Quote(quote) = &found.events[0] else { panic!("{found:?}") };
    assert_eq!((quote.venue.as_str(), quote.event_time), ("BINANCE_USDM", 1_723_161_256_313_000_000));
}

#[test]
fn other_messages_are_told_apart() {
    for (text, kind) in [
        (
            r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1,"s":"BTCUSDT","b":[],"a":[]}}"#,
            "depth_update",
        ),
        (r#"{"lastUpdateId":50093239189,"bids":[["1","2"]],"asks":[]}"#, "depth_snapshot"),
        (r#"{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":1,"s":"BTCUSDT","a":12345}}"#, "agg_trade"),
        (r#"{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}"#, "server_shutdown"),
        (r#"{"result":null,"id":1}"#, "answer"),
        (r#"{"e":"somethingNew","E":1}"#, "other"),
        (r#"{"unheard":"of"}"#, "other"),
        (&USDM_TRADE.replace("MARKET", "INSURANCE_FUND"), "not_a_market_trade"),
    ] {
        let (found, result) = decode(&USDM, text);
        assert_eq!((result, found.ignored, found.events.len()), (Ok(()), Some(kind), 0), "{text}");
    }
}

#[test]
fn what_cannot_be_read_says_why() {
    for (text, reason) in [
        (r#"{"code":3,"msg":"Invalid JSON: expected value at line 1 column 1"}"#.to_owned(), "venue_error"),
        (r#"{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}"#.to_owned(), "venue_error"),
        ("not json".to_owned(), "not_json"),
        (SPOT_TRADE[..SPOT_TRADE.len() - 20].to_owned(), "not_json"),
        (SPOT_TRADE.replace("61837.63000000", "NaN"), "not_finite"),
        (SPOT_TRADE.replace("61837.63000000", "1e400"), "precision"),
        (SPOT_TRADE.replace("0.02000000", "-0.02"), "negative_size"),
        (SPOT_TRADE.replace("0.02000000", ""), "missing_field"),
        (SPOT_TRADE.replace("\"T\":1723161255342", "\"T\":\"yesterday\""), "bad_time"),
    ] {
        let (found, result) = decode(&SPOT, &text);
        assert_eq!((result.unwrap_err().reason, found.events.len()), (reason, 0), "{text}");
    }
}

#[test]
fn markets_are_known_by_name() {
    for (name, market) in [
        ("usdm_btcusdt_20240808.gz", Some(Market::UsdM)),
        ("spot_ethusdt_20240808.gz", Some(Market::Spot)),
        ("btcusdt.gz", None),
    ] {
        assert_eq!(Market::of_name(name), market, "{name}");
    }
    assert_eq!(Market::of_venue("binance_usdm"), Some(Market::UsdM));
    assert_eq!(Market::of_venue("KRAKEN"), None);
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = EITHER.decode(&bytes, Some(1), &mut Found::default());
    }

    #[test]
    fn damaged_frames_never_panic(at in 0..160usize, byte: u8, cut in 0..160usize) {
        for text in [SPOT_TRADE, USDM_TRADE, SPOT_QUOTE, USDM_QUOTE] {
            let mut bytes = text.as_bytes().to_vec();
            let last = bytes.len() - 1;
            bytes[at.min(last)] = byte;
            let _ = EITHER.decode(&bytes, Some(1), &mut Found::default());
            bytes.truncate(cut);
            let _ = EITHER.decode(&bytes, None, &mut Found::default());
        }
    }
}
