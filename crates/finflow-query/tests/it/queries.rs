//! Every named query over every format against a computation that knows nothing of SQL.

use std::collections::BTreeMap;

use lake::{Format, queries};

use crate::expected::{self, Answer};
use crate::rows::{BTC, Daily, ETH};
use crate::world::World;

/// The shares are other symbols than the queries name by themselves.
pub fn parameters(name: &str, daily: &Daily) -> BTreeMap<String, String> {
    let named = |pairs: &[(&str, &str)]| pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    match name {
        "correlation" if daily.first != "HSI" => named(&[("first", daily.first), ("second", daily.second)]),
        "moving_average" if daily.first != "HSI" => named(&[("symbol", daily.first)]),
        _ => BTreeMap::new(),
    }
}

fn asked(world: &World, name: &str, daily: &Daily) -> Answer {
    let values: Vec<String> = parameters(name, daily).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let flags = values.iter().flat_map(|value| ["--param", value]);
    world.rows(&[name].into_iter().chain(flags).collect::<Vec<_>>())
}

/// Numbers are equal if they differ by rounding alone: sums of doubles depend on their order.
fn same(found: &str, expected: &str) -> bool {
    let (expected, digits) = expected.split_once('~').map_or((expected, None), |(value, digits)| (value, Some(digits)));
    let half = digits.map_or(0.0, |digits| 0.5 * 0.1_f64.powi(digits.parse().expect("a number of digits")));
    match (found.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(found), Ok(expected)) => (found - expected).abs() <= half + 1e-9 * expected.abs().max(1.0),
        _ => found == expected,
    }
}

/// The first rows that differ, in words.
pub fn difference(found: &Answer, expected: &Answer) -> Option<String> {
    let cells = |(found, expected): (&String, &String)| same(found, expected);
    let equal = |found: &Vec<String>, expected: &Vec<String>| {
        found.len() == expected.len() && found.iter().zip(expected).all(cells)
    };
    let at = (0..found.len().max(expected.len())).find(|at| match (found.get(*at), expected.get(*at)) {
        (Some(found), Some(expected)) => !equal(found, expected),
        _ => true,
    })?;
    let (rows, expected_rows) = (found.len(), expected.len());
    let (found, expected) = (found.get(at), expected.get(at));
    Some(format!("{rows} rows, expected {expected_rows}; row {at}:\n  found    {found:?}\n  expected {expected:?}"))
}

fn every_query_agrees(daily: &Daily, formats: &[Format]) {
    let world = World::of(daily, formats);
    let mut wrong = Vec::new();
    for query in queries::all() {
        let (mut found, expected) = (asked(&world, query.name, daily), expected::of(query.name, daily));
        assert!(!expected.is_empty(), "{}: nothing is expected", query.name);
        if query.name == "daily_average" {
            // The seeds' text orders by day alone.
            assert!(found.windows(2).all(|pair| pair[0][1] >= pair[1][1]), "{found:?}");
            found.sort();
        }
        if let Some(difference) = difference(&found, &expected) {
            wrong.push(format!("{} of {formats:?}: {difference}", query.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_named_query_agrees_over_parquet() {
    every_query_agrees(&Daily::shares(), &[Format::Parquet]);
}

#[test]
fn every_named_query_agrees_over_json_lines_in_gzip() {
    every_query_agrees(&Daily::shares(), &[Format::JsonlGz]);
}

/// Every event is in one format only; everything else is a message per object.
#[test]
fn every_named_query_agrees_over_a_lake_whose_format_changed() {
    every_query_agrees(&Daily::shares(), &[Format::Parquet, Format::JsonlZst, Format::JsonlGz, Format::Json]);
}

#[test]
fn every_named_query_agrees_over_half_a_century_of_indexes() {
    let Some(daily) = Daily::indexes() else { return };
    every_query_agrees(&daily, &[Format::Parquet]);
}

#[test]
fn the_seeds_query_runs_word_for_word() {
    let sql = "SELECT symbol, date(timestamp) AS trading_day, ROUND(AVG(price), 2) AS avg_daily_price FROM stock_data GROUP BY symbol, trading_day ORDER BY trading_day DESC;";
    let mut found = World::new(&[Format::Parquet]).rows(&["--sql", sql]);
    found.sort();
    assert_eq!(difference(&found, &expected::of("daily_average", &Daily::shares())), None);
}

/// `date_diff` of these, which Trino answers in the same way (trino.rs): both times are cut to milliseconds, then whole units of
/// the difference are counted, towards zero.
pub const DIFFERENCES: [(&str, &str, &str, &str); 6] = [
    ("millisecond", "2024-01-01 00:00:00.000900", "2024-01-01 00:00:00.001000", "1"),
    ("millisecond", "2024-01-01 00:00:00.001000", "2024-01-01 00:00:00.001900", "0"),
    ("millisecond", "2024-01-01 00:00:00.001000", "2024-01-01 00:00:00.000900", "-1"),
    ("second", "2024-01-01 00:00:01.500000", "2024-01-01 00:00:00.000000", "-1"),
    ("hour", "1969-12-31 23:00:00.000100", "1970-01-01 00:00:00.000000", "1"),
    ("day", "2024-01-01 23:00:00.000000", "2024-01-02 22:59:59.999000", "0"),
];

#[test]
fn date_diff_cuts_both_times_first() {
    let world = World::empty();
    for (unit, from, to, expected) in DIFFERENCES {
        let sql = format!("SELECT date_diff('{unit}', TIMESTAMP '{from}', TIMESTAMP '{to}')");
        assert_eq!(world.rows(&["--sql", &sql]), [[expected]], "{sql}");
    }
}

#[test]
fn exact_numbers_flags_and_nested_columns_are_the_same_in_every_format() {
    let sql = "SELECT trade_id, price, quantity, side, backfilled, conditions, event_time, receive_time, dt, hour FROM trades \
               WHERE dt = '2024-08-08' AND symbol = 'BINANCE:ETHUSDT' ORDER BY _offset LIMIT 3";
    let metrics = "SELECT window_size, final, gap, input, averages, vwap, gap IS NULL AS lost FROM metrics \
                   WHERE dt = '2024-08-08' AND \"window\" = '1m' ORDER BY symbol, window_start, rev LIMIT 2";
    let letters = "SELECT time, reason, value, headers, source_offset FROM dead_letters ORDER BY time";
    let worlds = [Format::Parquet, Format::JsonlGz].map(|format| World::new(&[format]));
    for sql in [sql, metrics, letters] {
        let [parquet, json] = worlds.each_ref().map(|world| world.ask(&["--sql", sql, "--format", "json"]));
        let [parquet, json] = [parquet, json].map(|output| {
            assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("JSON is text")
        });
        assert!(parquet.lines().count() >= 2, "{sql}: {parquet}");
        assert_eq!(parquet, json, "{sql}");
    }
}

#[test]
fn parameters_choose_the_rows() {
    let world = World::new(&[Format::Parquet]);
    let first = world.rows(&["top_gainers", "--param", "limit=1"]);
    assert_eq!(first.len(), 1);
    let day =
        ["vwap_by_hour", "--param", "from=2024-08-09", "--param", "to=2024-08-09", "--param", &format!("symbol={ETH}")];
    let found = world.rows(&day);
    assert_eq!((found.len(), found[0][1].as_str(), found[0][4].as_str()), (1, "00", "8"), "{found:?}");
    assert_eq!(
        world
            .rows(&[
                "price_history",
                "--param",
                &format!("symbol={BTC}"),
                "--param",
                "from=2030-01-01",
                "--param",
                "to=2030-01-01"
            ])
            .len(),
        0
    );
}

#[test]
fn an_empty_lake_has_every_table_and_no_row() {
    let world = World::empty();
    for query in queries::all() {
        let found = world.rows(&[query.name]);
        // A count of nothing is a row.
        assert!(found.is_empty() || query.name == "correlation", "{}: {found:?}", query.name);
    }
}
