//! What each table looks like in the catalog.

use serde_json::{Map, Value, json};

use super::Options;
use crate::format::Format;
use crate::table::{Grain, Table};

const PARQUET: [&str; 3] = [
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
];
const JSON: [&str; 3] = [
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "org.openx.data.jsonserde.JsonSerDe",
];

/// Name and type of the partition columns.
pub(super) fn keys(table: Table) -> Vec<(&'static str, &'static str)> {
    table.partition_columns().iter().map(|name| (*name, "string")).collect()
}

/// Name of the table over the objects. Over JSON lines the plain name is that of a view, which has times for numbers.
pub(super) fn name(options: &Options, table: Table) -> String {
    let suffix = if options.format == Format::Parquet { "" } else { "_lines" };
    format!("{}{suffix}", table.name())
}

pub(super) fn columns(table: Table, format: Format) -> Vec<(&'static str, String)> {
    table.columns().map(|column| (column.name, column.hive_type(format))).collect()
}

pub(super) fn location(options: &Options, table: Table) -> String {
    format!("{}/{}/", options.place, table.name())
}

/// Properties of the table. `first`: the first partition.
pub(super) fn parameters(options: &Options, table: Table, first: &str) -> Vec<(String, String)> {
    let location = location(options, table);
    let classification = if options.format == Format::Parquet { "parquet" } else { "json" };
    let mut all = vec![
        ("EXTERNAL", "TRUE".to_owned()),
        ("classification", classification.to_owned()),
        ("projection.enabled", "true".to_owned()),
    ];
    if table.grain() == Grain::Year {
        let last = &options.tomorrow[..4];
        all.extend([
            ("projection.year.type", "integer".to_owned()),
            ("projection.year.range", format!("{first},{last}")),
            ("projection.year.digits", "4".to_owned()),
            ("storage.location.template", format!("{location}year=${{year}}/")),
        ]);
        return owned(all);
    }
    all.extend([
        ("projection.dt.type", "date".to_owned()),
        ("projection.dt.format", "yyyy-MM-dd".to_owned()),
        ("projection.dt.range", format!("{first},NOW+1DAYS")),
        ("projection.dt.interval", "1".to_owned()),
        ("projection.dt.interval.unit", "DAYS".to_owned()),
    ]);
    let template = if table.grain() == Grain::Hour {
        all.extend([
            ("projection.hour.type", "integer".to_owned()),
            ("projection.hour.range", "0,23".to_owned()),
            ("projection.hour.digits", "2".to_owned()),
        ]);
        "dt=${dt}/hour=${hour}/"
    } else {
        "dt=${dt}/"
    };
    all.push(("storage.location.template", format!("{location}{template}")));
    owned(all)
}

fn owned(all: Vec<(&str, String)>) -> Vec<(String, String)> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The property that names the first partition.
pub(super) fn range_name(table: Table) -> &'static str {
    if table.grain() == Grain::Year { "projection.year.range" } else { "projection.dt.range" }
}

pub(super) fn storage(options: &Options, columns: Value, location: &str) -> Value {
    let [input, output, library] = if options.format == Format::Parquet { PARQUET } else { JSON };
    json!({
        "Columns": columns,
        "Location": location,
        "InputFormat": input,
        "OutputFormat": output,
        "SerdeInfo": {"SerializationLibrary": library, "Parameters": {"serialization.format": "1"}},
    })
}

pub(super) fn named_types<'a>(columns: impl Iterator<Item = (&'a str, &'a str)>) -> Value {
    columns.map(|(name, kind)| json!({"Name": name, "Type": kind})).collect()
}

/// `columns` and `parameters`: those of others included.
pub(super) fn table(
    options: &Options,
    table: Table,
    columns: &[(String, String)],
    parameters: Map<String, Value>,
) -> Value {
    let columns = named_types(columns.iter().map(|(name, kind)| (name.as_str(), kind.as_str())));
    json!({
        "Name": name(options, table),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": named_types(keys(table).into_iter()),
        "StorageDescriptor": storage(options, columns, &location(options, table)),
    })
}

/// The crawler of tutorials, over the same folders. It is not needed: it costs time and money per run, and what it
/// guesses from the objects is what the tables say already.
pub(super) fn crawler(options: &Options, name: &str, role: &str) -> Value {
    let targets: Vec<Value> = Table::ALL.into_iter().map(|table| json!({"Path": location(options, table)})).collect();
    json!({
        "Name": name,
        "Role": role,
        "DatabaseName": options.database,
        "TablePrefix": "crawled_",
        "Targets": {"S3Targets": targets},
        "SchemaChangePolicy": {"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"},
        "Configuration": json!({
            "Version": 1.0,
            "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"},
        }).to_string(),
    })
}
