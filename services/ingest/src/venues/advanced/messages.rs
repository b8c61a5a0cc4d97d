//! Messages of Coinbase Advanced Trade, as its documentation has them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::venues::json::Text;

/// `{"channel":"market_trades","client_id":"","timestamp":"…","sequence_num":5,"events":[…]}`, or
/// `{"type":"error","message":"…"}`
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(borrow)]
    pub channel: Option<Text<'a>>,
    pub sequence_num: Option<u64>,
    #[serde(borrow)]
    pub timestamp: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub events: Vec<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub message: Option<Text<'a>>,
}

/// `{"type":"update","trades":[…]}`; the first is a `snapshot` of trades that have already happened.
#[derive(Deserialize)]
pub struct Trades<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub trades: Vec<&'a RawValue>,
}

/// `{"trade_id":"995098700","product_id":"BTC-USD","price":"68900.50","size":"0.00150000","side":"BUY","time":"2026-04-07T14:30:02.789012Z"}`
#[derive(Deserialize)]
pub struct Trade<'a> {
    #[serde(borrow)]
    pub trade_id: &'a RawValue,
    #[serde(borrow)]
    pub product_id: Text<'a>,
    #[serde(borrow)]
    pub price: &'a RawValue,
    #[serde(borrow)]
    pub size: &'a RawValue,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub time: Text<'a>,
}

/// `{"subscriptions":{"market_trades":["BTC-USD","ETH-USD"]}}`
#[derive(Deserialize)]
pub struct Subscriptions {
    pub subscriptions: BTreeMap<String, Vec<String>>,
}

/// `{"type":"snapshot","tickers":[…]}`
#[derive(Deserialize)]
pub struct Tickers<'a> {
    #[serde(borrow, default)]
    pub tickers: Vec<&'a RawValue>,
}

/// `{"type":"ticker","product_id":"BTC-USD","price":"68900.50",…,"best_bid":"68900.00","best_bid_quantity":"1.50000000","best_ask":"68901.00","best_ask_quantity":"0.50000000"}`
#[derive(Deserialize)]
pub struct Ticker<'a> {
    #[serde(borrow)]
    pub product_id: Text<'a>,
    #[serde(borrow)]
    pub best_bid: &'a RawValue,
    #[serde(borrow)]
    pub best_bid_quantity: Option<&'a RawValue>,
    #[serde(borrow)]
    pub best_ask: &'a RawValue,
    #[serde(borrow)]
    pub best_ask_quantity: Option<&'a RawValue>,
}
