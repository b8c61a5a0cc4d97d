//! Nanoseconds per record: `cargo run --release -p market --example decode [PART OF A NAME]`.
//!
//! The floor is what any reader of JSON must do, a look at every byte for UTF-8; serde_json's own structs, which put
//! numbers through doubles, stand beside it.

use std::hint::black_box;
use std::time::Instant;

use market::{Decimal, Event, EventRef, Price, Wide};

const OWN: &str = r#"{"kind":"trade","schema_version":1,"venue":"BINANCE","symbol":"BINANCE:BTCUSDT","trade_id":"3735683259","price":61837.63,"quantity":0.02,"side":"sell","conditions":[],"event_time":1723161255342000000,"receive_time":1723161254070000000}"#;
const PLAIN: &str =
    r#"{"symbol":"BINANCE:BTCUSDT","price":61837.63,"volume":0.02,"timestamp":1723161255342,"trade_id":3735683259}"#;
const ROW: &str = r#"{"Index":"HSI","Date":"1986-12-31","Open":2568.300049,"High":2568.300049,"Low":2568.300049,"Close":2568.300049,"Adj Close":2568.300049,"Volume":0.0,"CloseUSD":333.87900637}"#;

/// What a reader without exact numbers would use.
#[derive(serde::Deserialize)]
#[allow(dead_code)]
struct Doubles<'a> {
    #[serde(borrow)]
    symbol: &'a str,
    price: f64,
    volume: f64,
    timestamp: i64,
    trade_id: u64,
}

/// The best of many short rounds: the others had company on the machine.
fn time<T>(name: &str, mut run: impl FnMut() -> T) {
    const RUNS: u32 = 2_000;
    if std::env::args().nth(1).is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let best = (0..500).map(|_| {
        let start = Instant::now();
        for _ in 0..RUNS {
            black_box(run());
        }
        start.elapsed()
    });
    let ns = best.min().expect("there are rounds").as_nanos() as f64 / f64::from(RUNS);
    println!("{name:<40} {ns:>8.1} ns");
}

fn main() {
    let (own, plain, row) = (black_box(OWN.as_bytes()), black_box(PLAIN.as_bytes()), black_box(ROW.as_bytes()));
    time("own trade, borrowed", || EventRef::decode(own));
    time("own trade, owned", || Event::decode(own));
    time("plain trade, borrowed", || EventRef::decode(plain));
    time("plain trade, owned", || Event::decode(plain));
    time("index row", || Event::decode(row));
    time("plain trade, serde_json with doubles", || serde_json::from_slice::<Doubles>(plain).map(|d| d.price));
    time("plain trade, serde_json skipping all", || serde_json::from_slice::<serde::de::IgnoredAny>(plain).is_ok());
    time("plain trade, UTF-8 alone", || std::str::from_utf8(plain).is_ok());

    let event = Event::decode(own).expect("the example is a trade");
    let mut out = Vec::with_capacity(512);
    time("own trade, encoded", || {
        out.clear();
        event.encode(&mut out);
        out.len()
    });
    time("decimal, parsed", || Decimal::parse(black_box(b"61837.63")));
    time("decimal, parsed from an exponent", || Decimal::parse(black_box(b"3.844E-5")));
    let (price, quantity): (Price, Decimal) = ("61837.63".parse().unwrap(), "0.02".parse().unwrap());
    time("price × quantity, exact, added", || {
        Wide::product(black_box(price), black_box(quantity)).checked_add(Wide::ZERO)
    });
}
