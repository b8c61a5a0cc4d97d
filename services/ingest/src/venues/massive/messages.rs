//! Messages of Massive, as its documentation has them. Every frame is a list, possibly of several kinds and symbols.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::venues::json::Text;

#[derive(Deserialize)]
pub struct Kind<'a> {
    #[serde(borrow)]
    pub ev: Text<'a>,
}

/// `{"ev":"status","status":"auth_success","message":"authenticated"}`
#[derive(Deserialize)]
pub struct Status<'a> {
    #[serde(borrow)]
    pub status: Text<'a>,
    #[serde(borrow, default)]
    pub message: Text<'a>,
}

/// `{"ev":"T","sym":"MSFT","x":4,"i":"12345","z":3,"p":114.125,"s":100,"c":[0,12],"t":1536036818784,"q":3681328}`; `ds`
/// is the size where it may be a fraction.
#[derive(Deserialize)]
pub struct Trade<'a> {
    #[serde(borrow)]
    pub sym: Text<'a>,
    #[serde(borrow)]
    pub x: &'a RawValue,
    #[serde(borrow)]
    pub i: &'a RawValue,
    #[serde(borrow)]
    pub p: &'a RawValue,
    #[serde(borrow)]
    pub s: Option<&'a RawValue>,
    #[serde(borrow)]
    pub ds: Option<&'a RawValue>,
    #[serde(borrow)]
    pub c: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub t: &'a RawValue,
    /// Of the facility that reported it, where one did.
    #[serde(borrow)]
    pub trfi: Option<&'a RawValue>,
}

/// `{"ev":"XT","pair":"BTC-USD","p":33021.9,"t":1610462007425,"s":0.01616617,"c":[2],"i":14272084,"x":3,"r":1610462007576}`;
/// `c` says 1 for a sale and 2 for a purchase.
#[derive(Deserialize)]
pub struct CryptoTrade<'a> {
    #[serde(borrow)]
    pub pair: Text<'a>,
    #[serde(borrow)]
    pub x: &'a RawValue,
    #[serde(borrow)]
    pub i: Option<&'a RawValue>,
    #[serde(borrow)]
    pub p: &'a RawValue,
    #[serde(borrow)]
    pub s: &'a RawValue,
    #[serde(borrow)]
    pub c: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub t: &'a RawValue,
}

/// `{"ev":"Q","sym":"MSFT","bx":4,"bp":114.125,"bs":100,"ax":7,"ap":114.128,"as":160,"c":0,"i":[604],"t":1536036818784,"q":50385480,"z":3}`;
/// `XQ` has `pair` in place of `sym`.
#[derive(Deserialize)]
pub struct Quote<'a> {
    #[serde(borrow)]
    pub sym: Option<Text<'a>>,
    #[serde(borrow)]
    pub pair: Option<Text<'a>>,
    #[serde(borrow)]
    pub bp: Option<&'a RawValue>,
    #[serde(borrow)]
    pub bs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub ap: Option<&'a RawValue>,
    #[serde(borrow)]
    pub r#as: Option<&'a RawValue>,
    #[serde(borrow)]
    pub t: &'a RawValue,
}
