use std::collections::BTreeMap;
use std::io::Write as _;

use market::{Decimal, Event};

use super::*;

const CHOICES: Choices = Choices { quotes: false, seed: 1 };

/// Everything a feed holds.
#[derive(Debug, Default)]
struct Held {
    events: Vec<Event>,
    ignored: BTreeMap<&'static str, u64>,
    bad: Vec<(u64, &'static str, String)>,
    error: Option<String>,
    lines: u64,
}

fn read(spec: &str) -> Held {
    let mut opened = open(&spec.parse().unwrap(), CHOICES).unwrap();
    let (mut held, mut piece) = (Held::default(), Piece::default());
    loop {
        match opened.source.next(&mut piece) {
            Ok(Step::Piece) => {}
            Ok(_) => return held,
            Err(error) => {
                held.error = Some(error.to_string());
                return held;
            }
        }
        held.lines += 1;
        held.events.append(&mut piece.found.events);
        piece.found.ignored.into_iter().for_each(|kind| *held.ignored.entry(kind).or_default() += 1);
        held.bad.extend(piece.bad.take().map(|bad| (piece.line, bad.reason, bad.detail.into_owned())));
    }
}

fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    (dir, path.to_str().unwrap().to_owned())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn testdata(path: &str) -> String {
    testkit::testdata(path).to_str().unwrap().to_owned()
}

fn trades(held: &Held) -> usize {
    held.events.iter().filter(|event| matches!(event, Event::Trade(_))).count()
}

#[test]
fn every_committed_recording_is_recognised_and_read_whole() {
    for (path, format, events, ignored) in [
        ("binance/spot_btcusdt_20240808.head.gz", Format::Binance, 132, 768),
        ("binance/usdm_btcusdt_20240808.head.gz", Format::Binance, 197, 1003),
        ("binance/usdm_btcusdt_20240808.trades.csv.gz", Format::Csv, 21_313, 1),
        ("coinbase/exchange_20210417.head.gz", Format::Coinbase, 1, 59),
        ("questdb/btc_trades.head.csv.gz", Format::Csv, 200, 1),
        ("questdb/nasdaq_trades.head.csv.gz", Format::Csv, 200, 1),
        ("questdb/nasdaq_open_close.head.csv.gz", Format::Csv, 200, 1),
        ("index/index_invented.csv", Format::Csv, 12, 1),
    ] {
        let path = testdata(path);
        assert_eq!(open(&path.parse().unwrap(), CHOICES).unwrap().format, format, "{path}");
        let held = read(&path);
        let got = (held.events.len(), held.ignored.values().sum::<u64>(), held.bad.len(), held.error.clone());
        assert_eq!(got, (events, ignored, 0, None), "{path}: {:?}", held.ignored);
    }
}

#[test]
fn a_capture_and_the_trades_taken_from_it_agree() {
    let capture = read(&testdata("binance/spot_btcusdt_20240808.head.gz"));
    let csv = read(&testdata("binance/spot_btcusdt_20240808.trades.csv.gz"));
    assert_eq!(capture.events[..], csv.events[..132]);
}

#[test]
fn json_lists_are_recognised() {
    let kraken = br#"{"error":[],"result":{"XBTUSDT":[["105433.60000","0.00027625",1762795433.9717445,"b","l","",10218208]],"last":"1"}}"#;
    let (_dir, path) = write("trades.json", kraken);
    assert_eq!((trades(&read(&path)), read(&path).bad.len()), (1, 0));
    let (_dir, path) =
        write("XRP_ETH-trades.json.gz", &gzip(br#"[[1570752011620,"13519807",null,"sell",0.00141342,23.0,0.03]]"#));
    let held = read(&path);
    assert_eq!(held.events[0].symbol(), Some("FREQTRADE:XRP/ETH"));
    assert_eq!(read(&format!("freqtrade:{path}?venue=binance")).events[0].symbol(), Some("BINANCE:XRP/ETH"));
    let (_dir, path) = write("trades.json", b"[[1570752011620,\"1\",null,\"sell\",1,2,3]]");
    let error = open(&path.parse().unwrap(), CHOICES).err().unwrap();
    assert!(error.contains("symbol=XRP/ETH"), "{error}");
    assert_eq!(read(&format!("{path}?symbol=XRP/ETH&venue=binance")).events[0].symbol(), Some("BINANCE:XRP/ETH"));
    let (_dir, path) = write("events.jsonl", br#"{"symbol":"AAPL","price":1.5,"volume":2,"timestamp":1723161255342}"#);
    assert_eq!(read(&path).events[0].symbol(), Some("AAPL"));
}

/// Text in, what is held out: events, reasons, error.
#[test]
fn bad_files_are_survived() {
    let header = "Symbol,Date,Price,Quantity\n";
    let row = "A,2021-01-01,1.5,2\n";
    type Case<'a> = (&'a str, Vec<u8>, usize, &'a [&'a str], Option<&'a str>);
    let cases: [Case; 11] = [
        ("empty", Vec::new(), 0, &[], None),
        ("empty gzip", gzip(b""), 0, &[], None),
        ("header only", header.into(), 0, &[], None),
        ("cut last line", format!("{header}{row}A,2021-01").into(), 1, &["field_count"], None),
        ("no last newline", format!("{header}{row}A,2021-01-02,1.5,2").into(), 2, &[], None),
        ("crlf and mark", format!("\u{feff}{header}{row}").replace('\n', "\r\n").into(), 1, &[], None),
        ("commas", format!("{header},,,\n{row}").into(), 1, &["missing_field"], None),
        (
            "huge line",
            [header.as_bytes(), &vec![b'x'; 10 << 20], b"\n", row.as_bytes()].concat(),
            1,
            &["too_long"],
            None,
        ),
        ("trailing garbage", format!("{header}{row}\u{1}\u{2}garbage\n").into(), 1, &["field_count"], None),
        (
            "garbage after gzip",
            [gzip(format!("{header}{row}").as_bytes()), b"garbage".to_vec()].concat(),
            1,
            &[],
            Some("not gzip"),
        ),
        ("quoted", format!("{header}\"A\",\"2021-01-01\",\"1.5\",\"2\"\n").into(), 1, &[], None),
    ];
    for (what, bytes, events, reasons, error) in cases {
        let (_dir, path) = write("x.csv", &bytes);
        let held = read(&path);
        let found: Vec<&str> = held.bad.iter().map(|(_, reason, _)| *reason).collect();
        assert_eq!((held.events.len(), found.as_slice()), (events, reasons), "{what}: {:?}", held.bad);
        assert_eq!(held.error.is_some(), error.is_some(), "{what}: {:?}", held.error);
        assert!(error.is_none_or(|word| held.error.as_ref().unwrap().contains(word)), "{what}: {:?}", held.error);
    }
}

#[test]
fn a_gzip_cut_in_the_middle_gives_the_rows_before_and_never_half_a_row() {
    let mut text = "Symbol,Date,Price,Quantity\n".to_owned();
    for n in 0..20_000u32 {
        text.push_str(&format!("S{},2021-01-01,{}.5,{}\n", n % 7, n.wrapping_mul(2_654_435_761), n));
    }
    let (_dir, path) = write("x.csv", text.as_bytes());
    let whole = read(&path).events;
    let packed = gzip(text.as_bytes());
    for cut in [packed.len() / 3, packed.len() / 2, packed.len() - 100] {
        let (_dir, path) = write("x.csv.gz", &packed[..cut]);
        let held = read(&path);
        assert!(held.events.len() > 1000 && held.events.len() < 20_000, "{}", held.events.len());
        assert!(held.events == whole[..held.events.len()]);
        assert!(held.bad.len() <= 1 && held.bad.iter().all(|(_, reason, _)| *reason == "cut_off"), "{:?}", held.bad);
        assert!(held.error.as_ref().unwrap().contains("end early"), "{:?}", held.error);
    }
}

#[test]
fn files_that_are_something_else_are_named() {
    for (bytes, word) in [
        (&b"PK\x03\x04rest"[..], "zip"),
        (b"PAR1rest", "Parquet"),
        (b"\xff\xfeS\0y\0", "UTF-16"),
        (b"\x7fELF\0\0\0", "not text"),
        (b"Index,Date\nHSI,1986-12-31\n", "price"),
    ] {
        let (_dir, path) = write("file", bytes);
        let error = open(&path.parse().unwrap(), CHOICES).err().unwrap();
        assert!(error.contains(word), "{error}");
    }
    assert!(open(&"/no/such/file.csv".parse().unwrap(), CHOICES).err().unwrap().contains("/no/such/file.csv"));
    let error =
        open(&format!("binance:{}?venue=KRAKEN", testdata("index/index_invented.csv")).parse().unwrap(), CHOICES);
    assert!(error.err().unwrap().contains("BINANCE_USDM"));
}

#[test]
fn the_whole_index_data_set_reads_to_its_known_sums() {
    let Some(path) = testkit::shared("data/index/indexProcessed.csv.gz") else { return };
    let facts = std::fs::read_to_string(testkit::shared("data/index/facts.csv").unwrap()).unwrap();
    let held = read(path.to_str().unwrap());
    assert_eq!((held.events.len(), held.lines, held.bad.len(), held.error), (104_224, 104_225, 0, None));
    let mut counts: BTreeMap<String, (u64, Decimal)> = BTreeMap::new();
    for event in &held.events {
        let Event::Bar(bar) = event else { panic!("{event:?}") };
        let (count, volume) = counts.entry(bar.symbol.clone()).or_default();
        *count += 1;
        *volume = volume.checked_add(bar.volume.get()).unwrap();
    }
    let total = counts.values().fold(Decimal::ZERO, |total, (_, volume)| total.checked_add(*volume).unwrap());
    assert_eq!(total.to_string(), "140457056939342");
    for line in facts.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let (count, volume) = counts.remove(fields[0]).unwrap();
        assert_eq!((count.to_string(), volume.to_string()), (fields[1].to_owned(), fields[5].to_owned()), "{line}");
    }
    assert!(counts.is_empty());
}

#[test]
fn the_recordings_hold_the_trades_that_are_known_to_be_in_them() {
    for (path, lines, expected) in [
        ("binance_ws/spot_btcusdt_20240808.gz", 41_249, 9_757),
        ("binance_ws/spot_btcusdt_20240809.gz", 58_325, 10_147),
        ("binance_ws/spot_ethusdt_20240808.gz", 33_618, 6_106),
        ("binance_ws/usdm_btcusdt_20240808.gz", 93_954, 21_313),
        ("coinbase_ws/COINBASE.exchange.2021-04-17.capture.gz", 0, 97),
        ("kraken_rest/XBTUSDT-trades.json.gz", 1_000, 1_000),
        ("xrp_eth/XRP_ETH-trades.json.gz", 12_477, 12_477),
        ("questdb/btc_trades.csv.gz", 5_883, 5_882),
        ("questdb/nasdaq_trades.csv.gz", 14_843, 14_842),
        ("questdb/nasdaq_open_close.csv.gz", 13_591, 13_590),
    ] {
        let Some(path) = testkit::shared(&format!("data/{path}")) else { return };
        let held = read(path.to_str().unwrap());
        assert_eq!(
            (held.events.len(), held.bad.len(), held.error.clone()),
            (expected, 0, None),
            "{path:?} {:?}",
            held.bad.first()
        );
        assert!(lines == 0 || held.lines == lines, "{path:?}: {} lines", held.lines);
        if path.to_str().unwrap().contains("binance_ws") {
            let ids: Vec<u64> = held
                .events
                .iter()
                .map(|event| match event {
                    Event::Trade(trade) => trade.trade_id.as_ref().unwrap().parse().unwrap(),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(ids.windows(2).all(|pair| pair[1] == pair[0] + 1), "{path:?}: ids are contiguous");
        }
    }
}

#[test]
fn the_captures_agree_with_the_trades_extracted_by_somebody_else() {
    for name in ["spot_btcusdt_20240808", "spot_btcusdt_20240809", "spot_ethusdt_20240808", "usdm_btcusdt_20240808"] {
        let Some(capture) = testkit::shared(&format!("data/binance_ws/{name}.gz")) else { return };
        let Some(csv) = testkit::shared(&format!("data/binance_ws/{name}.trades.csv.gz")) else { return };
        let (capture, csv) = (read(capture.to_str().unwrap()), read(csv.to_str().unwrap()));
        assert!(capture.events == csv.events, "{name}");
    }
}
