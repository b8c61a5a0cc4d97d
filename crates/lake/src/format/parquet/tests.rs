use std::path::{Path, PathBuf};

use fastrand::Rng;
use market::{
    Alert, AlertState, Average, AverageKind, Bar, Bars, Cancel, ClosedBy, Correction, Decimal, Direction, Event,
    EventRef, Gap, GapCause, Input, Interval, Metrics, News, Price, Quality, Quantity, Quote, Reasons, RuleKind,
    Sentiment, Side, Span, Trade, Undefined, VwapReason,
};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::format::Format;
use crate::row::DeadLetter;

fn text(rng: &mut Rng) -> String {
    ["", "A", "B:C", "\"quoted\" \\ \n\t\u{1}\u{7f}", "Ünïcode €😀", "1234567890123456789012"][rng.usize(..6)]
        .to_owned()
}

fn maybe<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    let is_there = rng.bool();
    is_there.then(|| value(rng))
}

fn number(rng: &mut Rng) -> Decimal {
    let units = match rng.u8(..6) {
        0 => 0,
        1 => Decimal::MAX.units(),
        2 => Decimal::MIN.units(),
        3 => 1,
        4 => i128::from(rng.i64(..)),
        _ => rng.i128(Decimal::MIN.units()..=Decimal::MAX.units()),
    };
    Decimal::from_units(units).unwrap()
}

fn price(rng: &mut Rng) -> Price {
    Price::new(number(rng))
}

fn quantity(rng: &mut Rng) -> Quantity {
    Quantity::new(number(rng).abs()).unwrap()
}

fn time(rng: &mut Rng) -> i64 {
    match rng.u8(..4) {
        0 => [i64::MIN, i64::MAX, 0, -1][rng.usize(..4)],
        1 => -157_420_800_000_000_000,
        _ => 1_723_161_255_342_000_000 + rng.i64(-1000..1000),
    }
}

fn texts(rng: &mut Rng) -> Vec<String> {
    (0..rng.usize(..4)).map(|_| text(rng)).collect()
}

fn event(table: Table, rng: &mut Rng) -> Event {
    let (venue, symbol, event_time, receive_time) = (text(rng), text(rng), time(rng), maybe(rng, time));
    match table {
        Table::Trades => Event::Trade(Trade {
            venue,
            symbol,
            trade_id: maybe(rng, text),
            price: price(rng),
            quantity: quantity(rng),
            side: maybe(rng, |rng| if rng.bool() { Side::Buy } else { Side::Sell }),
            conditions: texts(rng),
            event_time,
            receive_time,
            backfilled: rng.bool(),
        }),
        Table::Quotes => Event::Quote(Quote {
            venue,
            symbol,
            bid: maybe(rng, price),
            bid_quantity: maybe(rng, quantity),
            ask: maybe(rng, price),
            ask_quantity: maybe(rng, quantity),
            event_time,
            receive_time,
        }),
        Table::Bars => Event::Bar(Bar {
            symbol,
            interval: Interval::DAY,
            start: event_time,
            end: time(rng),
            open: price(rng),
            high: price(rng),
            low: price(rng),
            close: price(rng),
            volume: quantity(rng),
            extra: (0..rng.usize(..3)).map(|i| (format!("{}{i}", text(rng)), number(rng))).collect(),
            receive_time,
        }),
        Table::Gaps => Event::Gap(Gap {
            symbol,
            from: event_time,
            to: time(rng),
            cause: GapCause::Dropped,
            first_missing: maybe(rng, text),
            last_missing: maybe(rng, text),
            receive_time,
        }),
        Table::Amendments if rng.bool() => Event::Cancel(Cancel {
            venue,
            symbol,
            trade_id: text(rng),
            price: maybe(rng, price),
            quantity: maybe(rng, quantity),
            trade_time: maybe(rng, time),
            event_time,
            receive_time,
        }),
        Table::Amendments => Event::Correction(Correction {
            venue,
            symbol,
            trade_id: text(rng),
            corrected_id: maybe(rng, text),
            price: price(rng),
            quantity: quantity(rng),
            conditions: texts(rng),
            original_price: maybe(rng, price),
            original_quantity: maybe(rng, quantity),
            trade_time: maybe(rng, time),
            event_time,
            receive_time,
        }),
        _ => Event::News(News {
            symbol,
            news_id: text(rng),
            publisher: maybe(rng, text),
            headline: text(rng),
            summary: maybe(rng, text),
            url: maybe(rng, text),
            sentiment: maybe(rng, number),
            scored_by: maybe(rng, text),
            relevance: maybe(rng, number),
            event_time,
            receive_time,
        }),
    }
}

fn input(rng: &mut Rng) -> Input {
    Input { partition: rng.i32(..), first_offset: rng.i64(..), last_offset: rng.i64(..) }
}

fn metrics(rng: &mut Rng) -> Metrics {
    let reason = |rng: &mut Rng| maybe(rng, |_| Undefined::FewTrades);
    Metrics {
        symbol: text(rng),
        window: Span::tumbling(Interval::MINUTE),
        window_start: time(rng),
        window_end: time(rng),
        rev: rng.u32(..),
        is_final: rng.bool(),
        closed_by: maybe(rng, |_| ClosedBy::Clock),
        open: maybe(rng, price),
        high: maybe(rng, price),
        low: maybe(rng, price),
        close: maybe(rng, price),
        volume: quantity(rng),
        quote_volume: maybe(rng, number),
        vwap: maybe(rng, number),
        vwap_reason: maybe(rng, |_| VwapReason::ZeroVolume),
        twap: maybe(rng, number),
        average: maybe(rng, number),
        min: maybe(rng, price),
        max: maybe(rng, price),
        change_pct: maybe(rng, number),
        trade_count: rng.u64(..i64::MAX as u64),
        volatility: maybe(rng, number),
        buy_volume: maybe(rng, quantity),
        partial: rng.bool(),
        quality: Quality::Backfilled,
        input: input(rng),
        input_before: (0..rng.usize(..3)).map(|_| input(rng)).collect(),
        late: rng.u64(..9),
        duplicate: rng.u64(..9),
        backfilled: rng.u64(..9),
        config: text(rng),
        bars: maybe(rng, |rng| Bars { interval: Interval::HOUR, count: rng.u64(..99) }),
        averages: (1..rng.u16(1..4))
            .map(|bars| (Average::new(AverageKind::Simple, bars).unwrap(), maybe(rng, number)))
            .collect(),
        gap: rng.bool(),
        reasons: Reasons {
            quote_volume: reason(rng),
            twap: reason(rng),
            average: reason(rng),
            change_pct: reason(rng),
            volatility: reason(rng),
            buy_volume: reason(rng),
        },
        sentiment: maybe(rng, |rng| Sentiment { mean: maybe(rng, number), count: rng.u64(1..99) }),
    }
}

fn alert(rng: &mut Rng) -> Alert {
    Alert {
        alert_id: text(rng),
        rule: text(rng),
        rule_kind: RuleKind::Move,
        state: AlertState::Fired,
        symbol: text(rng),
        metric: text(rng),
        window: Span::tumbling(Interval::MINUTE),
        window_start: time(rng),
        window_end: time(rng),
        direction: Direction::Up,
        value: number(rng),
        threshold: number(rng),
        event_time: time(rng),
        input: market::Coordinates { partition: rng.i32(..), offset: rng.i64(..), rev: rng.u32(..) },
        config: text(rng),
    }
}

fn dead_letter(rng: &mut Rng) -> DeadLetter {
    DeadLetter {
        time: time(rng),
        reason: maybe(rng, text),
        detail: maybe(rng, text),
        stage: maybe(rng, text),
        source_topic: maybe(rng, text),
        source_partition: maybe(rng, |rng| rng.i32(..)),
        source_offset: maybe(rng, |rng| rng.i64(..)),
        key: maybe(rng, text),
        value: maybe(rng, text),
        headers: (0..rng.usize(..4)).map(|_| (text(rng), text(rng))).collect(),
    }
}

fn row(table: Table, rng: &mut Rng) -> Row<'static> {
    match table {
        Table::Metrics => Row::Metrics(metrics(rng)),
        Table::Alerts => Row::Alert(alert(rng)),
        Table::DeadLetters => Row::DeadLetter(dead_letter(rng)),
        _ => Row::Event(EventRef::Other(event(table, rng))),
    }
}

/// The rows of a table as lines, in the order in which Parquet has them.
fn lines(table: Table, rows: &[Row]) -> Vec<String> {
    let mut lines: Vec<_> = (0..).zip(rows).map(|(offset, row)| line(table, row, offset)).collect();
    lines.sort();
    lines.into_iter().map(|(.., line)| line).collect()
}

fn line(table: Table, row: &Row, offset: i64) -> (String, i64, i64, String) {
    let mut rows = Format::Json.rows(table);
    rows.push(row, at(offset));
    let line = String::from_utf8(rows.finish().remove(0).bytes.to_vec()).unwrap();
    let json: Value = serde_json::from_str(&line).unwrap();
    let symbol = json["symbol"].as_str().unwrap_or_default().to_owned();
    (symbol, json[table.time_column()].as_i64().unwrap(), offset, line)
}

fn at(offset: i64) -> Coordinates<'static> {
    Coordinates { topic: "raw-market-data", partition: 2, offset }
}

fn file(table: Table, rows: &[Row], group_rows: usize) -> Bytes {
    let mut cells = Cells::new(table);
    (0..).zip(rows).for_each(|(offset, row)| cells.push(row, at(offset)));
    let mut file = write::File::new(table).unwrap();
    file.add(&cells, group_rows).unwrap();
    Bytes::from(file.finish().unwrap())
}

fn read_back(table: Table, bytes: Bytes) -> Vec<String> {
    let mut lines = Vec::new();
    read(table, bytes, |cells| {
        for row in 0..cells.rows {
            let mut line = Vec::new();
            cells.write_json(row, &mut line);
            lines.push(String::from_utf8(line).unwrap());
        }
    })
    .unwrap();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_row_comes_back_as_its_json_line(seed: u64, table in 0..Table::ALL.len(), rows in 0..40usize) {
        let (table, mut rng) = (Table::ALL[table], Rng::with_seed(seed));
        let rows: Vec<Row> = (0..rows).map(|_| row(table, &mut rng)).collect();
        let bytes = file(table, &rows, 7);
        prop_assert_eq!(&bytes, &file(table, &rows, 7), "the same rows, other bytes");
        prop_assert_eq!(read_back(table, bytes), lines(table, &rows));
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/parquet-1").join(name)
}

/// The objects were written by the first version of the format. They are never written again: a change that reads them
/// in another way would read everyone's lake in another way.
#[test]
fn objects_of_the_first_version_are_read_for_ever() {
    for table in Table::ALL {
        let (old, expected) =
            (fixture(&format!("{}.parquet", table.name())), fixture(&format!("{}.jsonl", table.name())));
        if !old.exists() && std::env::var_os("UPDATE").is_some() {
            let mut rng = Rng::with_seed(1);
            let rows: Vec<Row> = (0..12).map(|_| row(table, &mut rng)).collect();
            std::fs::create_dir_all(old.parent().unwrap()).unwrap();
            std::fs::write(&old, file(table, &rows, 5)).unwrap();
            std::fs::write(&expected, lines(table, &rows).join("\n") + "\n").unwrap();
        }
        let bytes = Bytes::from(std::fs::read(&old).unwrap());
        let expected = std::fs::read_to_string(&expected).unwrap();
        assert_eq!(read_back(table, bytes).join("\n") + "\n", expected, "{}", table.name());
    }
}

#[test]
fn columns_that_an_older_object_lacks_have_no_value() {
    // The form of a time before side, receive time and the flag of back-filled trades, and of one before partitions could be added.
    for (table, lacking) in [
        (Table::Trades, &["trade_id", "side", "receive_time", "backfilled"][..]),
        (Table::Metrics, &["averages", "input_before"]),
    ] {
        let mut rng = Rng::with_seed(7);
        let rows: Vec<Row> = (0..20).map(|_| row(table, &mut rng)).collect();
        let mut cells = Cells::new(table);
        (0..).zip(&rows).for_each(|(offset, row)| cells.push(row, at(offset)));
        let bytes = write::file_without(cells, 7, lacking).unwrap();
        let strip = |line: String| {
            let mut json: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
            let gone = lacking.iter().filter(|name| json.remove(**name).is_some()).count();
            (gone, Value::Object(json))
        };
        let (gone, expected): (Vec<usize>, Vec<Value>) = lines(table, &rows).into_iter().map(strip).unzip();
        assert!(gone.contains(&lacking.len()), "some row has all of them");
        let found = read_back(table, Bytes::from(bytes));
        let found: Vec<Value> = found.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn what_is_no_object_of_the_table_is_said_not_guessed() {
    let mut rng = Rng::with_seed(3);
    let quotes = file(Table::Quotes, &[row(Table::Quotes, &mut rng)], 7);
    let error = read(Table::Trades, quotes.clone(), |_| ()).unwrap_err().to_string();
    assert!(error.contains("the column price is missing"), "{error}");
    assert!(read(Table::Quotes, quotes.slice(..quotes.len() - 9), |_| ()).is_err(), "a file cut short");
}

#[test]
fn rows_are_sorted_and_groups_say_their_range() {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    let mut rng = Rng::with_seed(5);
    let rows: Vec<Row> = (0..50).map(|_| row(Table::Trades, &mut rng)).collect();
    let file = SerializedFileReader::new(file(Table::Trades, &rows, 20)).unwrap();
    assert_eq!(file.num_row_groups(), 3);
    let mut last = Vec::new();
    for group in file.metadata().row_groups() {
        let column = group.columns().iter().find(|column| column.column_path().string() == "symbol").unwrap();
        let statistics = column.statistics().unwrap();
        let (min, max) = (statistics.min_bytes_opt().unwrap(), statistics.max_bytes_opt().unwrap());
        assert!(last.as_slice() <= min && min <= max);
        last = max.to_vec();
        assert!(matches!(column.compression(), ::parquet::basic::Compression::ZSTD(_)));
        let sorted = group.sorting_columns().unwrap();
        let names: Vec<_> =
            sorted.iter().map(|by| group.column(by.column_idx as usize).column_path().string()).collect();
        assert_eq!(names, ["symbol", "event_time"]);
    }
}
