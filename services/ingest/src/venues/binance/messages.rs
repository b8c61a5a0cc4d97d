//! Messages of Binance, as its documentation and recordings have them.

use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
pub struct Envelope<'a> {
    #[serde(borrow)]
    pub stream: Option<&'a str>,
    #[serde(borrow)]
    pub data: &'a RawValue,
}

#[derive(Deserialize)]
pub struct TradeFrame<'a> {
    pub s: &'a str,
    pub t: u64,
    pub p: &'a str,
    pub q: &'a str,
    #[serde(rename = "T", borrow)]
    pub traded: &'a RawValue,
    pub m: bool,
    /// Only USD-M frames have it.
    #[serde(rename = "X")]
    pub order: Option<&'a str>,
    /// Only spot frames have it.
    #[serde(rename = "M")]
    pub ignore: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
pub struct BookTicker<'a> {
    pub s: &'a str,
    #[serde(rename = "b")]
    pub bid: &'a str,
    #[serde(rename = "B")]
    pub bid_size: &'a str,
    #[serde(rename = "a")]
    pub ask: &'a str,
    #[serde(rename = "A")]
    pub ask_size: &'a str,
    #[serde(rename = "T", borrow)]
    pub traded: Option<&'a RawValue>,
}

/// Just enough to tell what a frame is, whatever the order of its fields.
#[derive(Deserialize)]
pub struct AnyFrame<'a> {
    #[serde(borrow)]
    pub e: Option<&'a str>,
    #[serde(borrow, rename = "lastUpdateId")]
    pub last_update_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub result: Option<&'a RawValue>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub code: Option<&'a RawValue>,
    /// Of the request that is answered.
    #[serde(borrow)]
    pub id: Option<&'a RawValue>,
}

/// Of `{"error":{"code":4,"msg":"Too many subscriptions"},"id":19}` and of `{"code":2,"msg":"Invalid request: …"}`.
#[derive(Deserialize)]
pub struct Refusal<'a> {
    #[serde(borrow)]
    pub msg: std::borrow::Cow<'a, str>,
}
