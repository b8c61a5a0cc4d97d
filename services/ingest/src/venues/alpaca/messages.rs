//! Messages of Alpaca's market data v2, as its documentation has them. Every frame is a list.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::venues::json::Text;

/// `{"T":"success","msg":"connected"}`, `{"T":"error","code":406,"msg":"connection limit exceeded"}`,
/// `{"T":"subscription","trades":["AAPL"],…}`
#[derive(Deserialize)]
pub struct Control<'a> {
    #[serde(borrow, rename = "T")]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub msg: Text<'a>,
    pub code: Option<u32>,
    #[serde(default)]
    pub trades: Vec<String>,
}

/// `{"T":"t","i":96921,"S":"AAPL","x":"D","p":126.55,"s":1,"t":"2021-02-22T15:51:44.208Z","c":["@","I"],"z":"C"}`
#[derive(Deserialize)]
pub struct Trade<'a> {
    #[serde(borrow)]
    pub i: &'a RawValue,
    #[serde(borrow, rename = "S")]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub x: Option<&'a RawValue>,
    #[serde(borrow)]
    pub p: &'a RawValue,
    #[serde(borrow)]
    pub s: &'a RawValue,
    #[serde(borrow)]
    pub t: Text<'a>,
    #[serde(borrow)]
    pub c: Option<Vec<&'a RawValue>>,
    /// Of the taker, on crypto.
    #[serde(borrow)]
    pub tks: Option<Text<'a>>,
}

/// `{"T":"x","S":"AAPL","i":1,"x":"D","p":1.5,"s":1,"a":"C","z":"C","t":"…"}`
#[derive(Deserialize)]
pub struct Cancel<'a> {
    #[serde(borrow, rename = "S")]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub i: &'a RawValue,
    #[serde(borrow)]
    pub x: Option<&'a RawValue>,
    #[serde(borrow)]
    pub p: Option<&'a RawValue>,
    #[serde(borrow)]
    pub s: Option<&'a RawValue>,
    #[serde(borrow)]
    pub t: Text<'a>,
}

/// `{"T":"c","S":"AAPL","x":"D","oi":1,"op":1.5,"os":1,"oc":[],"ci":2,"cp":1.6,"cs":1,"cc":[],"z":"C","t":"…"}`
#[derive(Deserialize)]
pub struct Correction<'a> {
    #[serde(borrow, rename = "S")]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub x: Option<&'a RawValue>,
    #[serde(borrow)]
    pub oi: &'a RawValue,
    #[serde(borrow)]
    pub op: Option<&'a RawValue>,
    #[serde(borrow)]
    pub os: Option<&'a RawValue>,
    #[serde(borrow)]
    pub ci: Option<&'a RawValue>,
    #[serde(borrow)]
    pub cp: &'a RawValue,
    #[serde(borrow)]
    pub cs: &'a RawValue,
    #[serde(borrow)]
    pub cc: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub t: Text<'a>,
}

/// `{"T":"q","S":"AMD","bx":"U","bp":87.66,"bs":1,"ax":"X","ap":87.68,"as":4,"t":"2021-02-22T15:51:45.335689322Z","c":["R"],"z":"C"}`
#[derive(Deserialize)]
pub struct Quote<'a> {
    #[serde(borrow, rename = "S")]
    pub symbol: Text<'a>,
    #[serde(borrow)]
    pub bp: &'a RawValue,
    #[serde(borrow)]
    pub bs: &'a RawValue,
    #[serde(borrow)]
    pub ap: &'a RawValue,
    #[serde(borrow)]
    pub r#as: &'a RawValue,
    #[serde(borrow)]
    pub t: Text<'a>,
}
