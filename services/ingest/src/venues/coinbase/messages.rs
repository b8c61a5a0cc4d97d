//! Messages of the Coinbase Exchange feed, as its documentation and recordings have them.

use serde::Deserialize;

#[derive(Deserialize)]
pub struct Kind<'a> {
    #[serde(rename = "type")]
    pub kind: &'a str,
}

#[derive(Deserialize)]
pub struct Match<'a> {
    pub trade_id: u64,
    pub side: &'a str,
    pub size: &'a str,
    pub price: &'a str,
    pub product_id: &'a str,
    pub time: &'a str,
}

/// `{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}`
#[derive(Deserialize)]
pub struct Subscriptions<'a> {
    #[serde(borrow)]
    pub channels: Vec<Channel<'a>>,
}

#[derive(Deserialize)]
pub struct Channel<'a> {
    pub name: &'a str,
    #[serde(borrow, default)]
    pub product_ids: Vec<&'a str>,
}

/// `{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD","time":"2014-11-07T08:19:28.464459Z"}`;
/// the id has been seen to be 0.
#[derive(Deserialize)]
pub struct Heartbeat<'a> {
    #[serde(default)]
    pub last_trade_id: u64,
    pub product_id: &'a str,
    pub time: &'a str,
}

/// `{"type":"error","message":"Failed to subscribe","reason":"XXX-YYY is not a valid product"}`
#[derive(Deserialize)]
pub struct Error<'a> {
    #[serde(borrow)]
    pub message: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    pub reason: Option<std::borrow::Cow<'a, str>>,
}

/// `{"type":"ticker","sequence":37475248783,"product_id":"ETH-USD","price":"1285.22","best_bid":"1285.04","best_bid_size":"0.46688654","best_ask":"1285.27","best_ask_size":"1.56637040","side":"buy","time":"2022-10-19T23:28:22.061769Z","trade_id":370843401,"last_size":"11.4396987"}`
#[derive(Deserialize)]
pub struct Ticker<'a> {
    pub product_id: &'a str,
    pub best_bid: &'a str,
    pub best_bid_size: Option<&'a str>,
    pub best_ask: &'a str,
    pub best_ask_size: Option<&'a str>,
    pub time: &'a str,
}
