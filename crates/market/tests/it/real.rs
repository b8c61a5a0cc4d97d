//! Every number of the real data keeps its value. Skipped, and said so, where `../shared` (or `FINFLOW_SHARED`) is
//! absent.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use market::{Decimal, Event, Wide};

use crate::root;

fn read(path: &str) -> Option<String> {
    let shared = std::env::var_os("FINFLOW_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from);
    let path = shared.join("data").join(path);
    let Ok(file) = std::fs::File::open(&path) else {
        eprintln!("skipped: {} is absent", path.display());
        return None;
    };
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    Some(text)
}

/// The shortest form of plain digits, found by cutting text and not by computing.
fn shortest(text: &str) -> String {
    let cut = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if cut == "-0" { "0".to_owned() } else { cut.to_owned() }
}

#[test]
fn every_number_of_the_trades_keeps_its_digits() {
    let (mut plain, mut exponents) = (0, 0);
    // The columns of prices and sizes. (A change in percent of `nasdaq_trades` has 20 digits after the point: no
    // price does.)
    for (path, columns) in [
        ("binance_ws/spot_btcusdt_20240808.trades.csv.gz", [3, 4]),
        ("binance_ws/spot_btcusdt_20240809.trades.csv.gz", [3, 4]),
        ("binance_ws/spot_ethusdt_20240808.trades.csv.gz", [3, 4]),
        ("binance_ws/usdm_btcusdt_20240808.trades.csv.gz", [3, 4]),
        ("questdb/btc_trades.csv.gz", [2, 3]),
        ("questdb/nasdaq_trades.csv.gz", [4, 7]),
    ] {
        let Some(text) = read(path) else { return };
        for field in text.lines().skip(1).flat_map(|line| columns.map(|column| line.split(',').nth(column).unwrap())) {
            let value: Decimal = field.parse().unwrap_or_else(|error| panic!("{path}: {field}: {error}"));
            match field.split_once('E') {
                None => {
                    assert_eq!(value.to_string(), shortest(field), "{path}");
                    plain += 1;
                }
                Some((mantissa, exponent)) => {
                    // Moving the point back by the exponent gives the mantissa again.
                    let exponent: i32 = exponent.parse().unwrap();
                    let mantissa: Decimal = mantissa.parse().unwrap();
                    let back = format!("{value}e{}", -exponent).parse::<Decimal>().unwrap();
                    assert_eq!(back, mantissa, "{path}: {field}");
                    exponents += 1;
                }
            }
        }
    }
    assert!(plain > 100_000 && exponents > 1_000, "{plain} {exponents}");
}

#[test]
fn every_row_of_the_index_data_is_a_bar_and_its_volumes_add_up() {
    let Some(text) = read("index/indexProcessed.csv.gz") else { return };
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let (mut rows, mut volume) = (BTreeMap::<String, u32>::new(), Wide::ZERO);
    for line in lines {
        let fields =
            names.iter().zip(line.split(',')).enumerate().map(|(i, (name, value))| {
                if i < 2 { format!("{name:?}:{value:?}") } else { format!("{name:?}:{value}") }
            });
        let object = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        let event = Event::decode(object.as_bytes()).unwrap_or_else(|error| panic!("{line}: {error}"));
        let Event::Bar(bar) = &event else { panic!("{line}: {event:?}") };
        volume = volume.checked_add(Wide::of(bar.volume)).unwrap();
        *rows.entry(bar.symbol.clone()).or_default() += 1;

        let mut written = Vec::new();
        event.encode(&mut written);
        let again = Event::decode(&written).unwrap();
        assert_eq!(again, event);
        let Event::Bar(bar) = again else { unreachable!("it is equal to a bar") };
        let values = [bar.open.get(), bar.high.get(), bar.low.get(), bar.close.get(), bar.extra["adj_close"]];
        let values = values.into_iter().chain([bar.volume.get(), bar.extra["close_usd"]]);
        let written: Vec<String> = values.map(|value| value.to_string()).collect();
        let given: Vec<String> = line.split(',').skip(2).map(shortest).collect();
        assert_eq!(written, given, "{line}");
        assert_eq!(market::time::Civil::of(bar.start).date(), line.split(',').nth(1).unwrap());
    }
    assert_eq!(volume.sum().unwrap().to_string(), "140457056939342");
    assert_eq!(rows.values().sum::<u32>(), 104_224);
    assert_eq!((rows.len(), rows["HSI"], rows["000001.SS"], rows["J203.JO"]), (13, 8_492, 5_791, 2_346));
}
