//! Every frame that is kept beside the project decodes to the right event or the right refusal.

use std::collections::BTreeSet;

use super::told;

/// File, whose frame it is taken for, what it must say.
const FRAMES: &[(&str, &str, &str)] = &[
    ("alpaca/ws_authenticated.json", "alpaca", "Authenticated"),
    ("alpaca/ws_bar.json", "alpaca", "ignored bar"),
    ("alpaca/ws_connected.json", "alpaca", "Welcome"),
    ("alpaca/ws_error_406.json", "alpaca", "KeyInUse(\"connection limit exceeded\")"),
    ("alpaca/ws_subscription.json", "alpaca", "SubscribedAll([\"AAPL\"])"),
    ("alpaca/ws_trade.json", "alpaca", "AAPL D-96921 126.55x1 - @1614009104208000 [@ I]"),
    ("binance/spot_combined_aggTrade.json", "binance", "ignored agg_trade"),
    (
        "binance/spot_combined_trade_recorded.json",
        "binance",
        "BINANCE:BTCUSDT 3735683259 61837.63x0.02 sell @1723161255342000",
    ),
    (
        "binance/spot_error_invalid_json.json",
        "binance",
        "Refused { own_name: None, request: None, reason: \"Invalid JSON: expected value at line 1 column 1\" }",
    ),
    ("binance/spot_http_klines_response.json", "binance", "bad not_json"),
    ("binance/spot_http_ping_response.json", "binance", "ignored other"),
    ("binance/spot_http_server_time_response.json", "binance", "ignored other"),
    ("binance/spot_http_trades_response.json", "binance", "bad not_json"),
    ("binance/spot_serverShutdown.json", "binance", "Leaving"),
    ("binance/spot_subscribe_ack.json", "binance", "Granted(1)"),
    ("binance/usdm_agg_trade_stream.json", "binance_usdm", "ignored agg_trade"),
    (
        "binance/usdm_combined_trade_recorded.json",
        "binance_usdm",
        "BINANCE_USDM:BTCUSDT 5266583935 61800.3x0.006 buy @1723161256322000",
    ),
    ("binance/usdm_kline_stream_closed.json", "binance_usdm", "ignored kline"),
    ("binance/usdm_kline_stream_open.json", "binance_usdm", "ignored kline"),
    ("binance/usdm_trade_stream.json", "binance_usdm", "BINANCE_USDM:BTCUSDT 5933014 0.001x100 sell @123456785000"),
    ("coinbase/http_candles.json", "coinbase_advanced", "ignored other"),
    ("coinbase/http_ticker.json", "coinbase_advanced", "ignored other"),
    ("coinbase/ws_candles.json", "coinbase_advanced", "#3; ignored bar"),
    ("coinbase/ws_heartbeats.json", "coinbase_advanced", "#0; ignored heartbeat"),
    (
        "coinbase/ws_market_trades.json",
        "coinbase_advanced",
        "#5; COINBASE:BTC-USD 995098700 68900.5x0.0015 sell @1775572202789012; COINBASE:BTC-USD 995098701 68900x0.05 buy @1775572202800000",
    ),
    ("coinbase/ws_subscriptions.json", "coinbase_advanced", "#0; SubscribedAll([\"BTC-USD\", \"ETH-USD\"])"),
    ("coinbase/ws_ticker.json", "coinbase_advanced", "#12; ignored ticker"),
    (
        "coinbase_exchange/ws_error.json",
        "coinbase",
        "Refused { own_name: None, request: None, reason: \"error message\" }",
    ),
    (
        "coinbase_exchange/ws_heartbeat.json",
        "coinbase",
        "LastId { symbol: \"COINBASE:BTC-USD\", id: 20, time: 1415348368464459000 }",
    ),
    (
        "coinbase_exchange/ws_last_match_recorded.json",
        "coinbase",
        "COINBASE:BAND-GBP 881613 14.7775x0.04 buy @1618677810244075 old",
    ),
    (
        "coinbase_exchange/ws_match_recorded.json",
        "coinbase",
        "COINBASE:SKL-BTC 280232 0.00001305x985 buy @1618677817089723",
    ),
    (
        "coinbase_exchange/ws_subscriptions_recorded.json",
        "coinbase",
        "SubscribedAll([\"SKL-BTC\", \"DASH-BTC\", \"NMR-EUR\", \"NU-GBP\", \"BAND-BTC\", \"CRV-EUR\", \"BAND-GBP\", \"YFI-BTC\", \"SKL-GBP\", \"SKL-USD\"])",
    ),
    (
        "finnhub/ws_error_too_many_symbols.json",
        "finnhub",
        "Refused { own_name: None, request: None, reason: \"Subscribing to too many symbols\" }",
    ),
    ("finnhub/ws_news.json", "finnhub", "news CVVUF 119440189 @1679920200000000"),
    ("finnhub/ws_ping.json", "finnhub", "ignored ping"),
    ("finnhub/ws_trade_crypto.json", "finnhub", "BINANCE:BTCUSDT - 7296.89x0.011467 - @1575526691134000"),
    (
        "finnhub/ws_trade_us_stocks_20221229.json",
        "finnhub",
        "TSLA - 122.1x1 - @1672348887195000 [1 8 24 12]; TSLA - 122.09x4 - @1672348887196000 [1 8 24 12]; TSLA - 122.09x10 - @1672348887196000 [1 8 24 12]; TSLA - 122.1x1 - @1672348887196000 [1 8 24 12]; TSLA - 122.1x2 - @1672348887196000 [1 8 24 12]; TSLA - 122.1x10 - @1672348887196000 [1 8 24 12]; TSLA - 122.1x79 - @1672348887198000 [1 8 24 12]; AAPL - 129.58x1 - @1672348887666000 [1 24 12]; AAPL - 129.575x1 - @1672348887785000 [1 24 12]",
    ),
    ("kraken/http_server_time.json", "kraken", "bad not_json"),
    ("kraken/http_system_status.json", "kraken", "bad not_json"),
    (
        "kraken/ws_add_order_response_failure.json",
        "kraken",
        "Refused { own_name: None, request: None, reason: \"EOrder:Insufficient funds\" }",
    ),
    ("kraken/ws_heartbeat.json", "kraken", "ignored heartbeat"),
    ("kraken/ws_ohlc_update.json", "kraken", "ignored bar"),
    ("kraken/ws_pong.json", "kraken", "ignored ping"),
    ("kraken/ws_status.json", "kraken", "Welcome"),
    (
        "kraken/ws_subscribe_rejected.json",
        "kraken",
        "Refused { own_name: Some(\"XBT/USD\"), request: None, reason: \"Currency pair not supported XBT/USD\" }",
    ),
    ("kraken/ws_subscribe_response.json", "kraken", "ignored answer"),
    ("kraken/ws_ticker_snapshot.json", "kraken", "ignored ticker"),
    (
        "kraken/ws_trade_snapshot.json",
        "kraken",
        "KRAKEN:MATIC/USD 4665846 0.5147x6423.46326 buy @1695628116925533 old; KRAKEN:MATIC/USD 4665847 0.5147x1136.19677815 buy @1695628176925603 old",
    ),
    (
        "kraken/ws_trade_update.json",
        "kraken",
        "KRAKEN:BTC/USD 10218208 105944.2x0.00027625 buy @1696613755440295; KRAKEN:BTC/USD 10218209 105910.5x0.0001246 sell @1696613756123456",
    ),
    ("massive/rest_v2_aggs_AAPL_day.json", "massive", "bad not_json"),
    ("massive/rest_v2_last_trade_AAPL.json", "massive", "bad not_json"),
    ("massive/rest_v2_reference_news_NFLX.json", "massive", "bad not_json"),
    ("massive/rest_v3_conditions_stocks.json", "massive", "bad not_json"),
    ("massive/rest_v3_trades_AAPL.json", "massive", "bad not_json"),
    ("massive/ws_auth_failed.json", "massive", "KeyRefused(\"authentication failed\")"),
    ("massive/ws_auth_success.json", "massive", "Authenticated"),
    ("massive/ws_auth_timeout.json", "massive", "TooFast(\"No authentication request received.\")"),
    ("massive/ws_connected.json", "massive", "Welcome"),
    (
        "massive/ws_crypto_trade.json",
        "massive",
        "MASSIVE:BTC-USD 3-14272084 33021.9x0.01616617 buy @1610462007425000 [2]",
    ),
    (
        "massive/ws_max_connections.json",
        "massive",
        "KeyInUse(\"Maximum number of websocket connections exceeded. You have reached the connection limit for your account. Please contact support at https://polygon.io/contact to increase your limit.\")",
    ),
    ("massive/ws_subscribed.json", "massive", "Subscribed(\"T.AAPL\")"),
    (
        "massive/ws_trades.json",
        "massive",
        "AMZN 12-72815 161.87x1 - @1651684192536000 [14 37 41]; AMZN 4-799 161.87x100 - @1651684192717000",
    ),
];

#[test]
fn every_frame_kept_beside_the_project_says_what_it_means() {
    let Some(folder) = testkit::shared("data/frames") else { return };
    let mut wrong = Vec::new();
    for (file, venue, expected) in FRAMES {
        let text = std::fs::read(folder.join(file)).unwrap();
        let found = told(venue, &text);
        if found != *expected {
            wrong.push(format!("    ({file:?}, {venue:?}, {found:?}),"));
        }
    }
    assert!(wrong.is_empty(), "these say something else:\n{}", wrong.join("\n"));
}

/// A frame that is added there must be added here.
#[test]
fn no_frame_kept_beside_the_project_is_left_out() {
    let Some(folder) = testkit::shared("data/frames") else { return };
    let listed: BTreeSet<String> = FRAMES.iter().map(|(file, ..)| (*file).to_owned()).collect();
    let mut there = BTreeSet::new();
    for venue in ["alpaca", "binance", "coinbase", "coinbase_exchange", "finnhub", "kraken", "massive"] {
        for entry in std::fs::read_dir(folder.join(venue)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            there.insert(format!("{venue}/{name}"));
        }
    }
    assert_eq!(there, listed);
}
