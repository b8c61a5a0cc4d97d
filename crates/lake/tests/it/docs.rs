//! `docs/tables.md` is written from the code: `UPDATE=1 cargo test -p lake --test it docs`.

use std::fmt::Write;
use std::path::Path;

use lake::{Absent, Column, Format, Grain, Table, Type};

const HEAD: &str = "# The tables of the lake

Written from `crates/lake/src/table/columns.rs`. What a column means: [topics.md](topics.md), under the record of the same
form; where objects lie and how: [lake.md](lake.md). Parquet and the catalog have the first type; in JSON lines a time is a
`bigint` of nanoseconds, and a column without a value is `null` or left out as said. Partition columns come last. `end`,
`from` and `to` are words of SQL: write them in double quotes.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for table in Table::ALL {
        write!(page, "\n## {}\n\n| Column | Type | Without a value |\n|---|---|---|\n", table.name()).expect("text");
        for column in table.columns() {
            let column_type = column.hive_type(Format::Parquet);
            writeln!(page, "| `{}` | `{column_type}` | {} |", column.name, absent(column)).expect("text");
        }
        for name in partitions(table) {
            let column_type = if *name == "dt" { "string" } else { "int" };
            writeln!(page, "| `{name}` | `{column_type}` | partition, of `{}` |", table.time_column()).expect("text");
        }
    }
    page
}

fn partitions(table: Table) -> &'static [&'static str] {
    match table.grain() {
        Grain::Hour => &["dt", "hour"],
        Grain::Day => &["dt"],
        Grain::Year => &["year"],
    }
}

fn absent(column: &Column) -> &'static str {
    match (column.absent, column.kind) {
        (Absent::Never, _) => "",
        (Absent::Null, _) => "null",
        (Absent::Omit, Type::Flag) => "false; left out in JSON lines",
        (Absent::Omit, _) => "null; left out in JSON lines",
    }
}

#[test]
fn the_page_of_the_tables_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tables.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page()).expect("the page is writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page(), "docs/tables.md: run UPDATE=1 cargo test -p lake --test it docs");
}
