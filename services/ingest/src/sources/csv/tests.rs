use super::*;

fn rows(header: &str, spec: &str) -> Result<Rows, String> {
    let feed = spec.parse().unwrap();
    let known = crate::sources::questdb::known(header.as_bytes(), &feed);
    Layout::of(header.as_bytes(), &known.unwrap_or(feed)).map(Rows::new)
}

fn decode(rows: &mut Rows, line: &str) -> Result<Event, Bad> {
    let mut found = Found::default();
    rows.decode(line.as_bytes(), &mut found)?;
    found.events.pop().ok_or_else(|| Bad { reason: "ignored", detail: found.ignored.unwrap_or_default().into() })
}

/// The first data line after the header.
fn first(header: &str, spec: &str, line: &str) -> Event {
    let mut rows = rows(header, spec).unwrap();
    assert_eq!(decode(&mut rows, header).unwrap_err().detail, "header");
    decode(&mut rows, line).unwrap()
}

fn bar(event: Event) -> Bar {
    match event {
        Event::Bar(bar) => bar,
        other => panic!("{other:?}"),
    }
}

fn trade(event: Event) -> Trade {
    match event {
        Event::Trade(trade) => trade,
        other => panic!("{other:?}"),
    }
}

const INDEX: &str = "Index,Date,Open,High,Low,Close,Adj Close,Volume,CloseUSD";
const DAY: i64 = 86_400_000_000_000;

#[test]
fn the_index_data_set_is_daily_bars() {
    let line = "000001.SS,2021-05-31,2568.300049,2570.5,2560.25,2565.5,2565.5,94403740000.0,335.90698726000005";
    let bar = bar(first(INDEX, "indexProcessed.csv", line));
    assert_eq!((bar.symbol.as_str(), bar.interval.to_string()), ("000001.SS", "1d".to_owned()));
    assert_eq!((bar.start % DAY, bar.end - bar.start), (0, DAY));
    assert_eq!(bar.start, 1_622_419_200_000_000_000);
    assert_eq!((bar.open.to_string(), bar.volume.to_string()), ("2568.300049".to_owned(), "94403740000".to_owned()));
    let extra: Vec<String> = bar.extra.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(extra, ["adj_close=2565.5", "close_usd=335.90698726000005"]);
}

#[test]
fn trade_files_of_the_captures_say_their_market_in_a_column() {
    let header = "venue,symbol,trade_id,price,qty,trade_time_ms,event_time_ms,recv_time_ns,buyer_is_maker";
    let line = "binance_spot,BTCUSDT,3735683259,61837.63000000,0.02000000,1723161255342,1723161255343,1723161254087896568,true";
    let spot = trade(first(header, "spot_btcusdt_20240808.trades.csv.gz", line));
    assert_eq!((spot.venue.as_str(), spot.symbol.as_str()), ("BINANCE", "BINANCE:BTCUSDT"));
    assert_eq!((spot.event_time, spot.receive_time), (1_723_161_255_342_000_000, Some(1_723_161_254_087_896_568)));
    assert_eq!((spot.side, spot.trade_id.as_deref()), (Some(Side::Sell), Some("3735683259")));
    let futures = trade(first(header, "x.csv", &line.replace("binance_spot", "binance_usdm")));
    assert_eq!((futures.venue.as_str(), futures.symbol.as_str()), ("BINANCE_USDM", "BINANCE_USDM:BTCUSDT"));
}

#[test]
fn questdbs_samples_are_known_by_their_header() {
    let header = r#""symbol","side","price","amount","timestamp""#;
    let coinbase =
        trade(first(header, "btc_trades.csv", r#""BTC-USD","buy",25741.03,3.844E-5,"2023-09-05T16:00:02.722748Z""#));
    assert_eq!((coinbase.venue.as_str(), coinbase.symbol.as_str()), ("COINBASE", "COINBASE:BTC-USD"));
    assert_eq!((coinbase.quantity.to_string(), coinbase.trade_id), ("0.00003844".to_owned(), None));
    let header = r#""timestamp","id","exchange","quoteType","price","marketHours","changePercent","dayVolume","change","priceHint""#;
    let line = r#""2023-09-05T16:00:00.000000Z","TSLA","NMS",8,252.785003662109,1,3.173343658447,6.8581834E7,7.775009155273,2"#;
    let update = trade(first(header, "nasdaq_trades.csv", line));
    assert_eq!((update.symbol.as_str(), update.trade_id.as_ref(), update.quantity.is_zero()), ("TSLA", None, true));
    let header = r#""Ticker","Open","High","Low","Close","AdjClose","Volume","Timestamp""#;
    let line = r#""TSLA",23.586666107177,23.699333190917,23.059333801269,23.305999755859,23.3,57526500,"2017-09-05T00:00:00.000000Z""#;
    let bar = bar(first(header, "nasdaq_open_close.csv", line));
    assert_eq!((bar.symbol.as_str(), bar.interval.to_string().as_str()), ("TSLA", "1d"));
    assert_eq!(bar.extra["adj_close"].to_string(), "23.3");
}

#[test]
fn bars_name_their_symbol_and_length_in_the_file_name() {
    let header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore";
    let line = "1723161000000,61756.70,61763.50,61683.60,61700.80,303.793,1723161059999,18749188.02970,3483,80.479,4967657.96660,0";
    let bar = bar(first(header, "BTCUSDT-1m-2024-08.csv?venue=BINANCE_USDM", line));
    assert_eq!((bar.symbol.as_str(), bar.end - bar.start), ("BINANCE_USDM:BTCUSDT", 60_000_000_000));
    assert_eq!(bar.extra["trade_count"].to_string(), "3483");
    let unknown = rows(header, "bars.csv?symbol=X").err().unwrap();
    assert!(unknown.contains("interval=1m"), "{unknown}");
}

#[test]
fn any_columns_can_be_mapped_by_name_or_number() {
    let spec = "x.csv?time=When&price=Px&quantity=Sz&symbols=Sym&id=No&side=Dir&time_format=DD/MM/YYYY&venue=XETRA";
    let mapped = trade(first("No;When;Sym;Dir;Px;Sz", spec, "17;31/12/1986;SAP;B;12.5;3"));
    assert_eq!((mapped.symbol.as_str(), mapped.event_time), ("XETRA:SAP", 536_371_200_000_000_000));
    assert_eq!((mapped.side, mapped.trade_id.as_deref()), (Some(Side::Buy), Some("17")));
    let spec = "x.csv?time=#1&price=#2&quantity=#3&symbol=AAPL";
    let mut rows = rows("1723161255342,1.5,2", spec).unwrap();
    let numbered = trade(decode(&mut rows, "1723161255342,1.5,2").unwrap());
    assert_eq!((numbered.symbol.as_str(), numbered.price.to_string()), ("AAPL", "1.5".to_owned()));
}

#[test]
fn a_missing_column_is_named_with_the_way_out() {
    let cases = [
        ("Index,Date", "x.csv", "for the price", "price=NAME"),
        ("Date,Price,Volume", "x.csv", "for the symbol", "symbol=AAPL"),
        ("Symbol,Price,Volume", "x.csv", "for the time", "`time=NAME`"),
        ("Symbol,Date,Price", "x.csv", "for the quantity", "quantity="),
        ("Symbol,Date,Open,High,Close", "x.csv", "for the low", "`low=NAME`"),
        ("Symbol,Date,Price,Volume", "x.csv?price=Prize", "`Prize`", "Symbol,Date,Price,Volume"),
        ("a,b", "x.csv?time=#3&price=#1&quantity=#2&symbol=A", "`#3`", "#1 to #2"),
    ];
    for (header, spec, problem, way_out) in cases {
        let error = rows(header, spec).err().unwrap();
        assert!(error.contains(problem) && error.contains(way_out), "{header}: {error}");
    }
}

#[test]
fn bad_rows_say_why() {
    let good = "HSI,1986-12-31,2568.3,2568.3,2568.3,2568.3,2568.3,0.0,333.87";
    for (line, reason, word) in [
        (",,,,,,,,", "missing_field", "nothing but separators"),
        ("HSI,1986-12-31,2568.3", "field_count", "3 fields"),
        ("HSI,1986-12-31,1,1,1,1,1,1,1,extra", "field_count", "10 fields"),
        ("trailing garbage", "field_count", "1 fields"),
        (&good.replace("2568.3,2568.3,2568.3,2568.3,2568.3", "NaN,1,1,1,1"), "not_finite", "NaN"),
        (&good.replace("2568.3,2568.3,2568.3,2568.3,2568.3", "1e400,1,1,1,1"), "precision", "1e400"),
        (&good.replace("2568.3,2568.3,2568.3,2568.3,2568.3", "x,1,1,1,1"), "not_a_number", "open"),
        (&good.replace("2568.3,2568.3,2568.3,2568.3,2568.3", ",1,1,1,1"), "missing_field", "open"),
        (&good.replace(",0.0,", ",-5.0,"), "negative_size", "volume"),
        (&good.replace("1986-12-31", "31/12/1986"), "bad_time", "DD/MM/YYYY"),
        (&good.replace("1986-12-31", "1986-13-31"), "bad_time", "YYYY-MM-DD"),
        (&good.replace("1986-12-31", ""), "missing_field", "time is empty"),
        (&good.replace("HSI", ""), "missing_field", "symbol"),
        (&good.replace("HSI", "\"HSI"), "cut_off", "quoted"),
    ] {
        let mut rows = rows(INDEX, "x.csv").unwrap();
        decode(&mut rows, INDEX).unwrap_err();
        let bad = decode(&mut rows, line).unwrap_err();
        assert_eq!(bad.reason, reason, "{line}: {}", bad.detail);
        assert!(bad.detail.contains(word), "{line}: {}", bad.detail);
        assert!(decode(&mut rows, good).is_ok(), "the next row is read");
    }
    let mut rows = rows(INDEX, "x.csv").unwrap();
    decode(&mut rows, INDEX).unwrap_err();
    assert_eq!(rows.decode(b"HS\xff,1986-12-31,1,1,1,1,1,1,1", &mut Found::default()).unwrap_err().reason, "not_utf8");
    assert!(decode(&mut rows, &format!("{good},")).is_ok(), "a trailing separator is harmless");
    assert!(decode(&mut rows, &good.replace("HSI", "\"HSI\"")).is_ok(), "quoted or not is the same");
}

#[test]
fn a_format_that_was_configured_is_named_when_it_does_not_fit() {
    let mut rows = rows(INDEX, "x.csv?time_format=DD/MM/YYYY").unwrap();
    decode(&mut rows, INDEX).unwrap_err();
    let bad = decode(&mut rows, "HSI,1986-12-31,1,1,1,1,1,1,1").unwrap_err();
    assert!(bad.detail.contains("`DD/MM/YYYY`, as configured"), "{}", bad.detail);
    assert!(decode(&mut rows, "HSI,31/12/1986,1,1,1,1,1,1,1").is_ok());
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(header: Vec<u8>, lines: Vec<Vec<u8>>) {
        for spec in ["x.csv", "x.csv?time=#1&price=#2&quantity=#3&symbol=A"] {
            if let Ok(layout) = Layout::of(&header, &spec.parse().unwrap()) {
                let mut rows = Rows::new(layout);
                lines.iter().for_each(|line| drop(rows.decode(line, &mut Found::default())));
            }
        }
    }

    #[test]
    fn arbitrary_fields_never_panic(fields in proptest::collection::vec("[-0-9a-zA-Z.\"é/: ]{0,12}", 7..11)) {
        let mut rows = rows(INDEX, "x.csv").unwrap();
        let _ = decode(&mut rows, INDEX);
        let _ = decode(&mut rows, &fields.join(","));
    }
}
