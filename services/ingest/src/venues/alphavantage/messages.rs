//! Answers of Alpha Vantage, as its documentation has them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::venues::json::Text;

/// `{"Meta Data":{…},"Time Series (1min)":{…}}`, `{"Global Quote":{…}}`, `{"items":"50",…,"feed":[…]}`, or a sentence under
/// `Information`, `Note` or `Error Message`.
pub type Top<'a> = BTreeMap<String, &'a RawValue>;

/// `{"1. Information":"Intraday (1min) prices and volumes","2. Symbol":"MSFT",…,"6. Time Zone":"US/Eastern"}`
#[derive(Deserialize)]
pub struct MetaData<'a> {
    #[serde(borrow, rename = "4. Interval")]
    pub interval: Text<'a>,
    #[serde(borrow, rename = "6. Time Zone")]
    pub zone: Text<'a>,
}

/// `"2017-12-18 14:56:00":{"1. open":"86.4900","2. high":"86.5000","3. low":"86.4750","4. close":"86.5000","5. volume":"10494"}`
#[derive(Deserialize)]
pub struct Row<'a> {
    #[serde(borrow, rename = "1. open")]
    pub open: &'a RawValue,
    #[serde(borrow, rename = "2. high")]
    pub high: &'a RawValue,
    #[serde(borrow, rename = "3. low")]
    pub low: &'a RawValue,
    #[serde(borrow, rename = "4. close")]
    pub close: &'a RawValue,
    #[serde(borrow, rename = "5. volume")]
    pub volume: &'a RawValue,
}

/// `{"01. symbol":"MSFT",…,"05. price":"112.1300","06. volume":"29062853","07. latest trading day":"2018-10-05",…}`
#[derive(Deserialize)]
pub struct Quote<'a> {
    #[serde(borrow, rename = "05. price")]
    pub price: &'a RawValue,
    #[serde(borrow, rename = "06. volume")]
    pub volume: &'a RawValue,
    #[serde(borrow, rename = "07. latest trading day")]
    pub day: Text<'a>,
}

/// `{"title":"…","url":"…","time_published":"20230906T185208","summary":"…","source":"Benzinga",…,"ticker_sentiment":[…]}`
#[derive(Deserialize)]
pub struct Article<'a> {
    #[serde(borrow)]
    pub title: Text<'a>,
    #[serde(borrow)]
    pub url: Text<'a>,
    #[serde(borrow)]
    pub time_published: Text<'a>,
    #[serde(borrow, default)]
    pub summary: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub source: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub ticker_sentiment: Vec<Ticker<'a>>,
}

/// `{"ticker":"SILK","relevance_score":"0.644033","ticker_sentiment_score":"0.395895","ticker_sentiment_label":"Bullish"}`
#[derive(Deserialize)]
pub struct Ticker<'a> {
    #[serde(borrow)]
    pub ticker: Text<'a>,
    #[serde(borrow)]
    pub relevance_score: &'a RawValue,
    #[serde(borrow)]
    pub ticker_sentiment_score: &'a RawValue,
}
