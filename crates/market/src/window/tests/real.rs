//! Real trades against the numbers of others: exchanges' own bars, and another program's.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::*;

pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the larger data kept beside the project, or nothing, said aloud.
pub(super) fn shared(path: &str) -> Option<PathBuf> {
    let base = std::env::var_os("FINFLOW_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let file = base.join("data").join(path);
    if !file.exists() {
        eprintln!("skipped: {} is not here", file.display());
        return None;
    }
    Some(file)
}

pub(super) fn read(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "gz") {
        flate2::read::MultiGzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8(bytes).unwrap();
    }
    text
}

fn decimal(text: &str) -> Decimal {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The trades of `*.trades.csv.gz`, as Binance sent them.
fn binance(path: &Path) -> Vec<Print> {
    let text = read(path);
    let rows = text.lines().skip(1).zip(0..).map(|(line, offset)| {
        let c: Vec<&str> = line.split(',').collect();
        // The buyer made the price, so the taker sold.
        let side = Some(if c[8] == "true" { Side::Sell } else { Side::Buy });
        let time = c[5].parse::<i64>().unwrap() * 1_000_000;
        Print { time, id: Some(c[2].into()), price: decimal(c[3]), quantity: decimal(c[4]), side, offset }
    });
    rows.collect()
}

/// The final records of trades in the order given; none of them may be late or a duplicate.
fn finals(prints: &[Print], windows: &[&str]) -> Vec<Metrics> {
    let options = Options { windows: windows.iter().map(|w| w.parse().unwrap()).collect(), ..Options::default() };
    let (mut fold, mut out) = (Fold::new(&options, 0).unwrap(), Vec::new());
    for print in prints {
        assert_eq!(fold.trade(&print.input("S"), &mut out), Outcome::Folded, "{print:?}");
    }
    fold.tick(END, &mut out);
    assert!(out.iter().all(|r| r.rev == 0 && r.is_final));
    out
}

fn at(records: &[Metrics], start_ms: i64) -> &Metrics {
    records.iter().find(|r| r.window_start == start_ms * 1_000_000).unwrap_or_else(|| panic!("no window at {start_ms}"))
}

type Kline = (i64, [&'static str; 4], &'static str, &'static str, u64, &'static str, &'static str);

/// Binance's own klines of the five complete minutes: open time, open, high, low, close, volume, quote volume, count, taker's
/// buying volume. Then their VWAP, to twelve digits.
const KLINES: [Kline; 5] = [
    (
        1_723_161_300_000,
        ["61807.70", "61839.90", "61760.30", "61760.30"],
        "136.450",
        "8432904.62160",
        2005,
        "57.185",
        "61802.159190912422",
    ),
    (
        1_723_161_360_000,
        ["61760.40", "61760.40", "61700.00", "61701.20"],
        "203.143",
        "12539687.84930",
        1992,
        "106.193",
        "61728.377789537419",
    ),
    (
        1_723_161_420_000,
        ["61701.30", "61719.00", "61620.00", "61628.10"],
        "607.148",
        "37439808.10180",
        4717,
        "259.421",
        "61665.043946121868",
    ),
    (
        1_723_161_480_000,
        ["61628.20", "61730.40", "61590.30", "61694.40"],
        "890.437",
        "54889635.07080",
        7387,
        "547.167",
        "61643.479629440376",
    ),
    (
        1_723_161_540_000,
        ["61694.50", "61730.60", "61645.00", "61659.80"],
        "466.221",
        "28757328.39070",
        3461,
        "230.736",
        "61681.752625257121",
    ),
];

/// The five complete minutes of the capture, against Binance's own klines: everything they state, to the last digit.
#[test]
fn five_minutes_equal_binances_klines() {
    let prints = binance(&root().join("testdata/binance/usdm_btcusdt_20240808.trades.csv.gz"));
    let records = finals(&prints, &["1m"]);
    for (start, prices, volume, quote, count, bought, vwap) in KLINES {
        let r = at(&records, start);
        assert_eq!([r.open, r.high, r.low, r.close].map(|p| p.unwrap().get()), prices.map(decimal), "{start}");
        assert_eq!((r.min, r.max), (r.low, r.high));
        assert_eq!(r.volume.get(), decimal(volume), "{start}");
        assert_eq!(r.quote_volume, Some(decimal(quote)), "{start}");
        assert_eq!(r.trade_count, count, "{start}");
        assert_eq!(r.buy_volume.unwrap().get(), decimal(bought), "{start}");
        assert_eq!(r.vwap, Some(decimal(vwap)), "{start}");
        assert!(!r.partial);
    }
    // The minute the capture begins in is incomplete, and says so.
    assert!(at(&records, 1_723_161_240_000).partial);
}

/// All four captures, in the order they were received: no trade is late or a duplicate.
#[test]
fn captures_have_no_late_trade() {
    for file in ["spot_btcusdt_20240808", "spot_btcusdt_20240809", "spot_ethusdt_20240808", "usdm_btcusdt_20240808"] {
        let Some(path) = shared(&format!("binance_ws/{file}.trades.csv.gz")) else { return };
        let prints = binance(&path);
        let records = finals(&prints, &["1m", "5m/1m", "1s"]);
        let minutes: u64 = records.iter().filter(|r| r.window.to_string() == "1m").map(|r| r.trade_count).sum();
        assert_eq!(minutes, prints.len() as u64, "{file}");
    }
}

/// Kraken's own bars. Their VWAP is cut off, not rounded, at one decimal.
#[test]
fn minutes_equal_krakens_ohlc() {
    let (Some(trades), Some(bars)) =
        (shared("kraken_rest/XBTUSDT-trades.json.gz"), shared("kraken_rest/XBTUSDT-ohlc-1m.json.gz"))
    else {
        return;
    };
    let rows = |path: &Path| -> Vec<Vec<Box<RawValue>>> {
        #[derive(serde::Deserialize)]
        struct Answer {
            result: std::collections::HashMap<String, Box<RawValue>>,
        }
        let answer: Answer = serde_json::from_str(&read(path)).unwrap();
        serde_json::from_str(answer.result["XBTUSDT"].get()).unwrap()
    };
    let text = |v: &RawValue| v.get().trim_matches('"').to_owned();
    let prints: Vec<Print> = (0..)
        .zip(rows(&trades))
        .map(|(offset, t)| {
            // Seconds with up to seven decimals: exact in nanoseconds by their digits.
            let time = (decimal(t[2].get()).units() / 1_000_000_000) as i64;
            let side = Some(if text(&t[3]) == "b" { Side::Buy } else { Side::Sell });
            let (price, quantity) = (decimal(&text(&t[0])), decimal(&text(&t[1])));
            Print { time, id: Some(text(&t[6])), price, quantity, side, offset }
        })
        .collect();
    let records = finals(&prints, &["1m"]);
    let mut minutes = 0;
    for bar in rows(&bars) {
        let start = text(&bar[0]).parse::<i64>().unwrap() * S;
        if start <= prints[0].time || text(&bar[7]) == "0" {
            continue;
        }
        let r = at(&records, start / 1_000_000);
        let ours = [r.open, r.high, r.low, r.close].map(|p| p.unwrap().get());
        assert_eq!(ours, [1, 2, 3, 4].map(|i| decimal(&text(&bar[i]))), "{bar:?}");
        assert_eq!(r.volume.get(), decimal(&text(&bar[6])), "{bar:?}");
        assert_eq!(r.trade_count.to_string(), text(&bar[7]), "{bar:?}");
        let tenth = 10i128.pow(17);
        let cut = Decimal::from_units(r.vwap.unwrap().units() / tenth * tenth).unwrap();
        assert_eq!(cut, decimal(&text(&bar[5])), "{bar:?}");
        minutes += 1;
    }
    assert_eq!(minutes, 273);
}

/// Bars that freqtrade made of the same trades: every minute and every five minutes, as doubles, and no others.
#[test]
fn bars_equal_freqtrades() {
    let Some(trades) = shared("xrp_eth/XRP_ETH-trades.json.gz") else { return };
    type Row = (i64, String, Option<()>, String, Box<RawValue>, Box<RawValue>, f64);
    let rows: Vec<Row> = serde_json::from_str(&read(&trades)).unwrap();
    let prints: Vec<Print> = (0..)
        .zip(rows)
        .map(|(offset, (ms, id, _, side, price, quantity, _))| Print {
            time: ms * 1_000_000,
            id: Some(id),
            price: decimal(price.get()),
            quantity: decimal(quantity.get()),
            side: Some(if side == "buy" { Side::Buy } else { Side::Sell }),
            offset,
        })
        .collect();
    for (window, count) in [("1m", 2469), ("5m", 706)] {
        let Some(bars) = shared(&format!("xrp_eth/XRP_ETH-{window}.csv")) else { return };
        let (records, bars) = (finals(&prints, &[window]), read(&bars));
        assert_eq!((records.len(), bars.lines().skip(1).count()), (count, count));
        for line in bars.lines().skip(1) {
            let c: Vec<&str> = line.split(',').collect();
            let r = at(&records, c[0].parse().unwrap());
            let price = |p: Option<Price>| p.unwrap().get().to_f64();
            let ours = [price(r.open), price(r.high), price(r.low), price(r.close), r.volume.get().to_f64()];
            assert_eq!(ours, [1, 2, 3, 4, 5].map(|i| c[i].parse::<f64>().unwrap()), "{line}");
        }
    }
}
