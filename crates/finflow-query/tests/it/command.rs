//! The words of the command line: what is shown, refused and drawn, and how it ends.

use std::process::Stdio;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use lake::{Format, queries};

use crate::world::{World, cells, program, said};

fn text(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn code(world: &World, words: &[&str]) -> (Option<i32>, String) {
    let output = world.ask(words);
    (output.status.code(), said(&output))
}

#[test]
fn the_library_is_listed_and_shown() {
    let world = World::empty();
    let listed = text(&world.ask(&["--list"]));
    for query in queries::all() {
        assert!(listed.lines().any(|line| line == query.name), "{listed}");
        assert!(query.parameters().iter().all(|(name, value)| listed.contains(&format!("    {name}={value}\n"))));
    }
    let shown = text(&world.ask(&["top_gainers", "--param", "limit=3", "--show"]));
    assert!(shown.starts_with("WITH ranked AS (") && shown.trim_end().ends_with("LIMIT 3"), "{shown}");
}

#[test]
fn wrong_words_are_refused_with_a_reason() {
    let world = World::empty();
    let refused = |words: &[&str], exit: i32, reason: &str| {
        let (code, said) = code(&world, words);
        assert_eq!(code, Some(exit), "{words:?}: {said}");
        assert!(said.contains(reason), "{words:?}: {said}");
    };
    refused(&["top_gainer"], 2, "no named query");
    refused(&["top_gainers", "--param", "symbol=A"], 2, "it has: from, to, limit");
    refused(&["top_gainers", "--param", "limit"], 2, "no NAME=VALUE");
    refused(&["--sql", "SELECT 1", "--param", "a=b"], 2, "only named queries have parameters");
    refused(&[], 2, "<NAME|SQL>");
    refused(&["--sql", "SELECT * FROM tradse"], 1, "there is no table tradse; there are trades, quotes");
    refused(&["--sql", "SELEC 1"], 1, "read the SQL");
    // Nothing here writes.
    refused(&["--sql", "DROP TABLE trades"], 1, "DDL not supported");
    refused(&["--sql", "CREATE TABLE gaps AS SELECT 1"], 1, "DDL not supported");
    refused(&["--sql", "INSERT INTO gaps SELECT * FROM gaps"], 1, "DML not supported");
    refused(&["--sql", "COPY (SELECT 1) TO 'x.csv'"], 1, "DML not supported");
    let elsewhere = program().args(["--state", "/nonexistent", "--sql", "SELECT 1"]).output().expect("it starts");
    assert!(said(&elsewhere).contains("/nonexistent/s3/finflow is no lake"), "{}", said(&elsewhere));
}

#[test]
fn rows_come_as_a_table_as_csv_and_as_json() {
    let world = World::empty();
    let sql = "SELECT 'a,\"b' AS \"te,xt\", CAST(0.1 AS decimal(38, 18)) AS exact, NULL AS nothing, 1.5e300 AS big, true AS yes";
    let rows = |format| text(&world.ask(&["--sql", sql, "--format", format]));
    assert_eq!(rows("csv"), "\"te,xt\",exact,nothing,big,yes\n\"a,\"\"b\",0.100000000000000000,,1.5e300,true\n");
    assert_eq!(
        rows("json"),
        "{\"te,xt\":\"a,\\\"b\",\"exact\":0.100000000000000000,\"nothing\":null,\"big\":1.5e300,\"yes\":true}\n"
    );
    assert!(rows("table").contains("| te,xt | exact"), "{}", rows("table"));
    assert!(text(&world.ask(&["gaps"])).contains("| symbol | cause |"), "columns are shown without a row, too");
}

/// What a query writes is what another reads: types, exact numbers and nested columns.
#[test]
fn rows_as_parquet_read_back_the_same() {
    let world = World::new(&[Format::Parquet]);
    let sql = "SELECT trade_id, price, backfilled, conditions, event_time, dt, NULL AS nothing, 1.5e300 AS big FROM trades \
               WHERE dt = '2024-08-08' AND symbol = 'BINANCE:ETHUSDT' ORDER BY _offset";
    let file = world.dir.path().join("rows.parquet");
    let written = world.ask(&["--sql", sql, "--format", "parquet", "--out", file.to_str().expect("text")]);
    assert!(written.status.success() && written.stdout.is_empty(), "{}", said(&written));
    let piped = world.ask(&["--sql", sql, "--format", "parquet"]).stdout;
    assert_eq!(&piped[piped.len() - 4..], b"PAR1");
    let table = text(&world.ask(&["--sql", sql]));
    assert!(table.lines().count() > 1_000, "{table}");
    for bytes in [std::fs::read(&file).expect("the file is there"), piped] {
        let (schema, read) = of_parquet(bytes);
        assert_eq!(read, table.trim_end());
        let types: Vec<String> = [1, 2, 4].map(|at| schema.field(at).data_type().to_string()).into();
        assert_eq!(types, ["Decimal128(38, 18)", "Boolean", "Timestamp(ns, \"UTC\")"]);
    }
    let (schema, _) = of_parquet(world.ask(&["--sql", "SELECT symbol FROM news", "--format", "parquet"]).stdout);
    assert_eq!(schema.field(0).name(), "symbol", "columns are there without a row, too");
}

/// The columns, and the rows as the program shows them to a person.
pub fn of_parquet(bytes: Vec<u8>) -> (SchemaRef, String) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).expect("it is Parquet");
    let schema = Arc::clone(reader.schema());
    let batches: Result<Vec<_>, _> = reader.build().expect("it is Parquet").collect();
    let shown = pretty_format_batches_with_schema(Arc::clone(&schema), &batches.expect("whole"));
    (schema, shown.expect("text").to_string())
}

fn files(world: &World) -> Vec<String> {
    let all = std::fs::read_dir(world.dir.path()).expect("a folder").flatten();
    let mut names: Vec<String> = all.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_file_is_there_only_when_it_is_whole() {
    let world = World::new(&[Format::Parquet]);
    let file = world.dir.path().join("rows.csv");
    let out = file.to_str().expect("text");
    std::fs::write(&file, "before").expect("the folder is writable");
    // The division fails at the thousandth row, after many were written.
    let failing = "SELECT 1 / (value - 100000) AS x FROM generate_series(1, 200000)";
    let failed = world.ask(&["--sql", failing, "--format", "csv", "--out", out]);
    assert_eq!(failed.status.code(), Some(1), "{}", said(&failed));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "before");
    assert!(world.ask(&["gaps", "--format", "csv", "--out", out]).status.success());
    assert_eq!(std::fs::read_to_string(&file).expect("it is there").lines().count(), 3);
    assert_eq!(files(&world), ["rows.csv", "s3"]);
    let nowhere = world.ask(&["gaps", "--out", "/nonexistent/rows.csv"]);
    assert!(said(&nowhere).contains("write /nonexistent/.rows.csv."), "{}", said(&nowhere));
}

#[test]
fn a_series_is_drawn() {
    let world = World::new(&[Format::Parquet]);
    let drawn = text(&world.ask(&["price_history", "--plot", "close"]));
    assert!(drawn.starts_with("close, ") && drawn.contains('█') && !drawn.contains("| window_start"), "{drawn}");
    assert!(drawn.contains("2024-08-08T23:54:00Z"), "{drawn}");
    let (code, said) = code(&world, &["price_history", "--plot", "clsoe"]);
    assert!(code == Some(1) && said.contains("they have: open, high, low, close"), "{said}");
}

#[test]
fn control_c_ends_a_query_that_would_go_on() {
    let world = World::empty();
    // Ten to the eighteenth rows: years.
    let endless =
        "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000000) a, generate_series(1, 1000000000) b";
    let mut query = program();
    query.arg("--state").arg(world.dir.path()).args(["--sql", endless]).stdout(Stdio::null()).stderr(Stdio::piped());
    query.args(["--format", "csv", "--out"]).arg(world.dir.path().join("rows.csv"));
    let mut query = query.spawn().expect("it starts");
    let mut stderr = std::io::BufReader::new(query.stderr.take().expect("piped"));
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stderr, &mut line).expect("text");
    assert!(line.starts_with("reads at most"), "{line}");
    // The query is under way, and so is the file of its rows.
    while !files(&world).iter().any(|name| name.ends_with(".part")) {
        assert_eq!(query.try_wait().expect("it is a process"), None);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let sent = std::process::Command::new("kill").args(["-INT", &query.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    assert_eq!(query.wait().expect("it ends").code(), Some(130));
    assert_eq!(files(&world), ["s3"]);
}

#[test]
fn the_lake_is_read_over_s3_as_well() {
    let world = World::new(&[Format::Parquet, Format::JsonlGz]);
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let any_port = ([127, 0, 0, 1], 0).into();
    let server = runtime.block_on(devs3::Server::start(world.dir.path().join("s3"), any_port)).expect("a server");
    let ask = |words: &[&str]| {
        let mut query = program();
        query.env("AWS_ACCESS_KEY_ID", devs3::ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", devs3::SECRET_KEY);
        query.args(["--s3-endpoint", &server.endpoint(), "--format", "csv"]).args(words).output().expect("it starts")
    };
    for words in [&["vwap_by_hour"][..], &["daily_average"], &["--sql", "SELECT count(*) FROM trades"]] {
        let (mut over_s3, mut in_folder) = (cells(&ask(words), words), world.rows(words));
        over_s3.sort();
        in_folder.sort();
        assert_eq!(over_s3, in_folder, "{words:?}");
    }
    let missing = ask(&["vwap_by_hour", "--bucket", "elsewhere"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(said(&missing).contains("create the bucket, or correct its name"), "{}", said(&missing));
}
