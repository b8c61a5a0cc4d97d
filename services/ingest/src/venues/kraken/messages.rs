//! Messages of Kraken's WebSocket v2, as its documentation has them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::venues::json::Text;

/// `{"channel":"trade","type":"update","data":[…]}`, `{"channel":"heartbeat"}`, or the answer to a request:
/// `{"method":"subscribe","result":{"channel":"trade","symbol":"BTC/USD"},"success":true,"req_id":1,…}`,
/// `{"error":"Currency pair not supported XBT/USD","method":"subscribe","success":false,"symbol":"XBT/USD",…}`
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(borrow)]
    pub channel: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    pub kind: Option<Text<'a>>,
    /// A list of trades, on that channel.
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(borrow)]
    pub method: Option<Text<'a>>,
    pub success: Option<bool>,
    #[serde(borrow)]
    pub error: Option<Text<'a>>,
    #[serde(borrow)]
    pub symbol: Option<Text<'a>>,
    #[serde(borrow)]
    pub result: Option<Subscribed<'a>>,
}

#[derive(Deserialize)]
pub struct Subscribed<'a> {
    #[serde(borrow)]
    pub channel: Option<Text<'a>>,
    #[serde(borrow)]
    pub symbol: Option<Text<'a>>,
}

/// `{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,"ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}`
#[derive(Deserialize)]
pub struct Trade<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub side: Text<'a>,
    #[serde(borrow)]
    pub price: &'a RawValue,
    #[serde(borrow)]
    pub qty: &'a RawValue,
    #[serde(borrow)]
    pub trade_id: &'a RawValue,
    #[serde(borrow)]
    pub timestamp: Text<'a>,
}

/// `{"symbol":"BTC/USD","bid":105944.20,"bid_qty":2.5,"ask":105944.30,"ask_qty":3.2,"last":105899.40,…,"timestamp":"2022-12-25T09:30:59.123456Z"}`
#[derive(Deserialize)]
pub struct Ticker<'a> {
    #[serde(borrow)]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub bid: &'a RawValue,
    #[serde(borrow)]
    pub bid_qty: &'a RawValue,
    #[serde(borrow)]
    pub ask: &'a RawValue,
    #[serde(borrow)]
    pub ask_qty: &'a RawValue,
    #[serde(borrow)]
    pub timestamp: Option<Text<'a>>,
}
