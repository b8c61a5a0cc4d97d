//! `docs/tables.md` and `docs/sql.md` are written from the code: `UPDATE=1 cargo test -p lake --test it docs`.

use std::fmt::Write;
use std::path::Path;

use lake::{Absent, Column, Format, Table, Type};

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
        for name in table.partition_columns() {
            writeln!(page, "| `{name}` | `string` | partition, of `{}` |", table.time_column()).expect("text");
        }
    }
    page
}

fn absent(column: &Column) -> &'static str {
    match (column.absent, column.kind) {
        (Absent::Never, _) => "",
        (Absent::Null, _) => "null",
        (Absent::Omit, Type::Flag) => "false; left out in JSON lines",
        (Absent::Omit, _) => "null; left out in JSON lines",
    }
}

const SQL_HEAD: &str = "# Named queries

Written from `crates/lake/sql`. `finflow query NAME --param symbol=HSI` runs one on this machine over objects of any format
([cli.md](cli.md#finflow-query)); elsewhere they are for the tables and views that `finflow catalog apply` makes ([lake.md](lake.md#catalog)).
`{name}` stands for a value as a string literal, `{name:number}` for a whole number. Every query of a table bounds its partition;
`dt` and `year` are text and compare as such. `make e2e-trino` compares the rows of each on Trino, the engine family of Athena, with
those of a computation without SQL ([record](proof/2026-11-26-trino.md)); nothing has run on Athena. `daily_average` reads the whole
lake: the view has no partition to bound.

The first is the one of the tutorials, word for word. Athena refuses an alias in GROUP BY (`Column 'trading_day' cannot be
resolved`): there it is `GROUP BY 1, 2`, which `--engine athena` sends. `latency` is between times that Athena reads to the millisecond: over Parquet it may round each,
so that a difference is one more or less than on this machine.
";

fn sql_page() -> String {
    let mut page = SQL_HEAD.to_owned();
    let mut all: Vec<_> = lake::queries::all().iter().collect();
    all.sort_by_key(|query| query.name != "daily_average");
    for query in all {
        let text = query.text().lines().filter(|line| !line.starts_with("-- ")).collect::<Vec<_>>().join("\n");
        write!(page, "\n## {}\n\n{}\n\n", query.name, query.about()).expect("text");
        for (name, default) in query.parameters() {
            writeln!(page, "- `{name}`, default `{default}`").expect("text");
        }
        let gap = if query.parameters().is_empty() { "" } else { "\n" };
        write!(page, "{gap}```sql\n{}\n```\n", text.trim()).expect("text");
    }
    page
}

fn golden(name: &str, page: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page).expect("the page is writable");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "docs/{name}: run UPDATE=1 cargo test -p lake --test it docs");
}

#[test]
fn the_page_of_the_queries_is_true() {
    golden("sql.md", &sql_page());
}

#[test]
fn the_page_of_the_tables_is_true() {
    golden("tables.md", &page());
}
