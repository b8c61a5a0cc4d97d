//! The rows that the lakes of these tests hold: recorded trades of two symbols, daily bars of shares or of indexes, and a few
//! gaps and dead letters, of which no recording has any.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = 1_440 * MINUTE_NS;

pub struct Trade {
    pub symbol: &'static str,
    pub id: u64,
    pub price: f64,
    pub quantity: f64,
    pub event_time: i64,
    pub receive_time: i64,
    json: String,
}

pub struct Bar {
    pub symbol: String,
    pub start: i64,
    pub close: f64,
    json: String,
}

pub struct Gap {
    pub symbol: &'static str,
    pub cause: &'static str,
    pub from: i64,
    pub to: i64,
}

/// Time in milliseconds, stage, reason.
pub const LETTERS: [(i64, &str, &str); 4] = [
    (1_723_161_255_400, "ingest", "not_json"),
    (1_723_161_255_500, "aggregate", "precision"),
    (1_723_161_255_600, "ingest", "not_json"),
    (1_723_161_600_000, "ingest", "not_json"),
];

pub const GAPS: [Gap; 3] = [
    Gap { symbol: ETH, cause: "disconnect", from: 1_723_161_300_000_000_000, to: 1_723_161_305_000_000_000 },
    Gap { symbol: ETH, cause: "disconnect", from: 1_723_161_400_000_000_000, to: 1_723_161_401_000_000_000 },
    Gap { symbol: BTC, cause: "sequence", from: 1_723_161_300_000_000_000, to: 1_723_161_300_000_000_001 },
];

/// With and without score and relevance; the last is of the next day. No trade has these symbols.
pub const NEWS: [News; 6] = [
    News { symbol: "AAPL", score: Some(0.281204), relevance: Some(0.644033), event_time: 1_723_161_255_000_000_000 },
    News { symbol: "AAPL", score: Some(-0.5), relevance: None, event_time: 1_723_161_355_000_000_000 },
    News { symbol: "AAPL", score: None, relevance: Some(0.9), event_time: 1_723_161_455_000_000_000 },
    News { symbol: "MSFT", score: None, relevance: None, event_time: 1_723_161_455_000_000_000 },
    News { symbol: "MSFT", score: Some(0.125), relevance: Some(0.0), event_time: 1_723_161_456_000_000_000 },
    News { symbol: "AAPL", score: Some(0.75), relevance: Some(0.25), event_time: 1_723_171_456_000_000_000 },
];

pub struct News {
    pub symbol: &'static str,
    pub score: Option<f64>,
    pub relevance: Option<f64>,
    pub event_time: i64,
}

impl News {
    pub fn json(&self) -> String {
        let Self { symbol, event_time, .. } = self;
        let number =
            |name: &str, value: Option<f64>| value.map_or(String::new(), |value| format!(r#""{name}":{value},"#));
        let (score, relevance) = (number("sentiment", self.score), number("relevance", self.relevance));
        format!(
            r#"{{"kind":"news","schema_version":1,"symbol":"{symbol}","news_id":"{event_time}","headline":"A headline",{score}{relevance}"event_time":{event_time}}}"#
        )
    }
}

pub const BTC: &str = "BINANCE:BTCUSDT";
pub const ETH: &str = "BINANCE:ETHUSDT";

fn testdata(file: &str) -> String {
    unpacked(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata").join(file))
}

fn unpacked(path: &Path) -> String {
    let packed = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    GzDecoder::new(&*packed).read_to_string(&mut text).expect("the file is text in gzip");
    text
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// In the order of the recording, which is that of the ids.
pub fn trades(symbol: &'static str) -> Vec<Trade> {
    let name = if symbol == BTC { "btcusdt" } else { "ethusdt" };
    let text = testdata(&format!("binance/spot_{name}_20240808.trades.csv.gz"));
    let trade = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let (id, price, quantity) = (cells[2], cells[3], cells[4]);
        let (event_time, receive_time) = (number::<i64>(cells[5]) * 1_000_000, number(cells[7]));
        let json = format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"BINANCE","symbol":"{symbol}","trade_id":"{id}","price":{price},"quantity":{quantity},"conditions":[],"event_time":{event_time},"receive_time":{receive_time}}}"#
        );
        Trade {
            symbol,
            id: number(id),
            price: number(price),
            quantity: number(quantity),
            event_time,
            receive_time,
            json,
        }
    };
    text.lines().skip(1).map(trade).collect()
}

/// Daily bars, and the two symbols of them that the queries are asked about.
pub struct Daily {
    pub bars: Vec<Bar>,
    pub first: &'static str,
    pub second: &'static str,
}

impl Daily {
    /// Days of several shares, a row per share and day.
    pub fn shares() -> Self {
        let bar = |line: &str| {
            let cells: Vec<&str> = line.split(',').map(|cell| cell.trim_matches('"')).collect();
            let start = i64::try_from(number::<jiff::Timestamp>(cells[7]).as_nanosecond()).expect("64 bits");
            Bar::new(cells[0], start, [1, 2, 3, 4, 6].map(|at| cells[at]))
        };
        let text = testdata("questdb/nasdaq_open_close.head.csv.gz");
        Self { bars: text.lines().skip(1).map(bar).collect(), first: "TSLA", second: "NVDA" }
    }

    /// The index data set of the tutorials, where it is kept beside the project (`FINFLOW_SHARED`, else `../shared`): half a
    /// century of thirteen indexes, among them those that the queries ask about where nothing is said.
    pub fn indexes() -> Option<Self> {
        let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
        let shared = std::env::var_os("FINFLOW_SHARED").map_or_else(beside, Into::into);
        let path = shared.join("data/index/indexProcessed.csv.gz");
        if !path.exists() {
            println!("skipped: {} is not here", path.display());
            return None;
        }
        let bar = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            let day = number::<jiff::civil::Date>(cells[1]).to_zoned(jiff::tz::TimeZone::UTC).expect("a day");
            let start = i64::try_from(day.timestamp().as_nanosecond()).expect("64 bits");
            Bar::new(cells[0], start, [2, 3, 4, 5, 7].map(|at| cells[at]))
        };
        Some(Self { bars: unpacked(&path).lines().skip(1).map(bar).collect(), first: "HSI", second: "NYA" })
    }
}

impl Bar {
    fn new(symbol: &str, start: i64, [open, high, low, close, volume]: [&str; 5]) -> Self {
        let end = start + DAY_NS;
        let json = format!(
            r#"{{"kind":"bar","schema_version":1,"symbol":"{symbol}","interval":"1d","start":{start},"end":{end},"open":{open},"high":{high},"low":{low},"close":{close},"volume":{volume}}}"#
        );
        Self { symbol: symbol.to_owned(), start, close: number(close), json }
    }

    pub fn json(&self) -> String {
        self.json.clone()
    }
}

impl Trade {
    pub fn json(&self) -> String {
        self.json.clone()
    }

    pub fn minute(&self) -> i64 {
        self.event_time.div_euclid(MINUTE_NS) * MINUTE_NS
    }
}

impl Gap {
    pub fn json(&self) -> String {
        let Gap { symbol, cause, from, to } = self;
        format!(r#"{{"kind":"gap","schema_version":1,"symbol":"{symbol}","from":{from},"to":{to},"cause":"{cause}"}}"#)
    }
}

/// As the engine writes a time.
pub fn rfc3339(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(ns)).expect("a time").to_string()
}

pub fn day(ns: i64) -> String {
    rfc3339(ns)[..10].to_owned()
}

pub fn hour(ns: i64) -> String {
    rfc3339(ns)[11..13].to_owned()
}
