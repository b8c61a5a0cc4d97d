//! Views: `stock_data(symbol, timestamp, price, volume)`, and over tables of JSON lines one per table, with its name and
//! the columns that it has over Parquet.
//!
//! The engines of Athena and Trino read a view as a comment that holds JSON in base64.

use aws_smithy_types::base64;
use serde_json::{Value, json};

use super::{Options, VIEW, desired};
use crate::format::Format;
use crate::table::Table;
use crate::table::columns::{Absent, Column, Type};

pub(super) struct View {
    pub(super) name: &'static str,
    pub(super) sql: String,
    columns: Vec<ViewColumn>,
}

struct ViewColumn {
    name: &'static str,
    engine_type: String,
    catalog_type: String,
}

impl ViewColumn {
    fn new(name: &'static str, engine_type: &str, catalog_type: &str) -> Self {
        Self { name, engine_type: engine_type.to_owned(), catalog_type: catalog_type.to_owned() }
    }
}

/// All views that are wanted. One may stand on those before it.
pub(super) fn all(options: &Options) -> Vec<View> {
    let typed = Table::ALL.into_iter().filter(|_| options.format != Format::Parquet);
    typed.map(|table| over_lines(options, table)).chain([stock_data(options)]).collect()
}

/// Trades, and bars at their close, in doubles. A bar counts at its start, so that the bar of a day belongs to that day.
fn stock_data(options: &Options) -> View {
    // Cut to milliseconds, the engine's own precision: rounded, the last moment of a day would belong to the next.
    let time = |column: &str| format!("CAST(date_trunc('millisecond', \"{column}\") AS timestamp(3)) \"timestamp\"");
    let database = &options.database;
    let (traded, begun) = (time("event_time"), time("start"));
    let sql = format!(
        "SELECT symbol, {traded}, CAST(price AS double) price, CAST(quantity AS double) volume \
         FROM \"{database}\".\"trades\" UNION ALL \
         SELECT symbol, {begun}, CAST(close AS double) price, CAST(volume AS double) volume FROM \"{database}\".\"bars\""
    );
    let columns = vec![
        ViewColumn::new("symbol", "varchar", "string"),
        ViewColumn::new("timestamp", "timestamp(3)", "timestamp"),
        ViewColumn::new("price", "double", "double"),
        ViewColumn::new("volume", "double", "double"),
    ];
    View { name: VIEW, sql, columns }
}

/// JSON lines hold times as whole nanoseconds and leave out flags that are false.
fn over_lines(options: &Options, table: Table) -> View {
    let read = |column: &Column| {
        let name = format!("\"{}\"", column.name);
        match column.kind {
            Type::Time => {
                let cut = format!("{name} - mod(mod({name}, 1000000) + 1000000, 1000000)");
                format!("CAST(from_unixtime_nanos({cut}) AS timestamp(3)) {name}")
            }
            Type::Flag if column.absent == Absent::Omit => format!("COALESCE({name}, false) {name}"),
            _ => name,
        }
    };
    let mut columns: Vec<ViewColumn> = table
        .columns()
        .map(|column| ViewColumn::new(column.name, &column.view_type(), &column.hive_type(Format::Parquet)))
        .collect();
    columns.extend(table.partition_columns().iter().map(|name| ViewColumn::new(name, "varchar", "string")));
    let mut read: Vec<String> = table.columns().map(read).collect();
    read.extend(table.partition_columns().iter().map(|name| format!("\"{name}\"")));
    let (database, lines) = (&options.database, desired::name(options, table));
    let sql = format!("SELECT {} FROM \"{database}\".\"{lines}\"", read.join(", "));
    View { name: table.name(), sql, columns }
}

impl View {
    pub(super) fn input(&self, options: &Options) -> Value {
        let columns: Vec<Value> =
            self.columns.iter().map(|column| json!({"name": column.name, "type": column.engine_type})).collect();
        let definition = json!({
            "originalSql": self.sql,
            "catalog": options.catalog,
            "schema": options.database,
            "columns": columns,
            // Whoever asks reads the tables with their own rights; Trino refuses a view that does not say whose.
            "runAsInvoker": true,
        });
        let text = format!("/* Presto View: {} */", base64::encode(definition.to_string()));
        let types = self.columns.iter().map(|column| (column.name, column.catalog_type.as_str()));
        json!({
            "Name": self.name,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "PartitionKeys": [],
            "ViewOriginalText": text,
            "ViewExpandedText": "/* Presto View */",
            "StorageDescriptor": {
                "Columns": desired::named_types(types),
                "Location": "",
                "SerdeInfo": {},
            },
        })
    }
}
