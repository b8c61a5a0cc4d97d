//! Messages of Finnhub, as its documentation and recordings have them.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::venues::json::Text;

/// `{"data":[…],"type":"trade"}`, `{"type":"ping"}`, `{"msg":"Subscribing to too many symbols","type":"error"}`
#[derive(Deserialize)]
pub struct Message<'a> {
    #[serde(borrow, rename = "type")]
    pub kind: Text<'a>,
    #[serde(borrow)]
    pub data: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub msg: Option<Text<'a>>,
}

/// `{"c":["1","8","24","12"],"p":122.1,"s":"TSLA","t":1672348887195,"v":1}`; `c` may be `null`, empty or absent.
#[derive(Deserialize)]
pub struct Trade<'a> {
    #[serde(borrow)]
    pub s: Text<'a>,
    #[serde(borrow)]
    pub p: &'a RawValue,
    #[serde(borrow)]
    pub v: &'a RawValue,
    #[serde(borrow)]
    pub t: &'a RawValue,
    #[serde(borrow)]
    pub c: Option<Vec<&'a RawValue>>,
}

/// `{"category":"company","datetime":1679920200,"headline":"…","id":119440189,"related":"CVVUF","source":"Yahoo","summary":"…","url":"…"}`
#[derive(Deserialize)]
pub struct News<'a> {
    #[serde(borrow)]
    pub datetime: &'a RawValue,
    #[serde(borrow)]
    pub headline: Text<'a>,
    #[serde(borrow)]
    pub id: &'a RawValue,
    #[serde(borrow, default)]
    pub related: Text<'a>,
    #[serde(borrow)]
    pub source: Option<Text<'a>>,
    #[serde(borrow)]
    pub summary: Option<Text<'a>>,
    #[serde(borrow)]
    pub url: Option<Text<'a>>,
}

/// `{"c":261.74,"d":1.2,"dp":0.46,"h":263.31,"l":260.68,"o":261.07,"pc":259.45,"t":1582641000}`: `c` is the price, `t` in seconds.
#[derive(Deserialize)]
pub struct Quote<'a> {
    #[serde(borrow)]
    pub c: &'a RawValue,
    #[serde(borrow)]
    pub t: &'a RawValue,
}
