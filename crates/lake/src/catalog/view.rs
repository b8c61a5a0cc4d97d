//! The view `stock_data(symbol, timestamp, price, volume)`: trades, and bars at their close, in doubles.
//!
//! A bar counts at its start, so that the bar of a day belongs to that day. The engines of Athena and Trino read a view
//! as a comment that holds JSON in base64.

use aws_smithy_types::base64;
use serde_json::{Value, json};

use super::{Options, VIEW};
use crate::format::Format;

/// Name, the engine's type and the catalog's.
const COLUMNS: [(&str, &str, &str); 4] = [
    ("symbol", "varchar", "string"),
    ("timestamp", "timestamp(3)", "timestamp"),
    ("price", "double", "double"),
    ("volume", "double", "double"),
];

pub(super) fn sql(options: &Options) -> String {
    // Cut to milliseconds, the engine's own precision: rounded, the last moment of a day would belong to the next.
    let time = |column: &str| match options.format {
        Format::Parquet => format!("CAST(date_trunc('millisecond', \"{column}\") AS timestamp(3))"),
        _ => format!(
            "CAST(from_unixtime_nanos(\"{column}\" - mod(mod(\"{column}\", 1000000) + 1000000, 1000000)) AS timestamp(3))"
        ),
    };
    let database = &options.database;
    format!(
        "SELECT symbol, {} \"timestamp\", CAST(price AS double) price, CAST(quantity AS double) volume \
         FROM \"{database}\".\"trades\" UNION ALL \
         SELECT symbol, {} \"timestamp\", CAST(close AS double) price, CAST(volume AS double) volume \
         FROM \"{database}\".\"bars\"",
        time("event_time"),
        time("start"),
    )
}

pub(super) fn input(options: &Options) -> Value {
    let columns: Vec<Value> = COLUMNS.iter().map(|(name, kind, _)| json!({"name": name, "type": kind})).collect();
    let definition = json!({
        "originalSql": sql(options),
        "catalog": options.catalog,
        "schema": options.database,
        "columns": columns,
        // Whoever asks reads the tables with their own rights; Trino refuses a view that does not say whose.
        "runAsInvoker": true,
    });
    let text = format!("/* Presto View: {} */", base64::encode(definition.to_string()));
    json!({
        "Name": VIEW,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "PartitionKeys": [],
        "ViewOriginalText": text,
        "ViewExpandedText": "/* Presto View */",
        "StorageDescriptor": {
            "Columns": super::desired::named_types(COLUMNS.iter().map(|(name, _, kind)| (*name, *kind))),
            "Location": "",
            "SerdeInfo": {},
        },
    })
}
