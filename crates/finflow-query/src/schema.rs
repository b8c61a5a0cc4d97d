//! The columns of a table in the engine's types, whatever the format of its objects.
//!
//! Every column may be null: older objects lack the newer ones.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use lake::{Column, Table, Type};
use market::decimal::{FRACTION_DIGITS, INTEGER_DIGITS};

/// Without the columns that folders spell out.
pub(crate) fn of(table: Table) -> Schema {
    Schema::new(table.columns().map(field).collect::<Fields>())
}

/// The columns that folders spell out. They are text and compare as such.
pub(crate) fn partitions(table: Table) -> Vec<(String, DataType)> {
    table.partition_columns().iter().map(|name| ((*name).to_owned(), DataType::Utf8)).collect()
}

fn field(column: &Column) -> Field {
    Field::new(column.name, data_type(column.kind), true)
}

fn data_type(kind: Type) -> DataType {
    match kind {
        Type::Word | Type::Text => DataType::Utf8,
        Type::Flag => DataType::Boolean,
        Type::Int => DataType::Int32,
        Type::Long => DataType::Int64,
        Type::Double => DataType::Float64,
        Type::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        Type::Decimal => DECIMAL,
        Type::Texts => list(DataType::Utf8),
        Type::Pairs => list(list(DataType::Utf8)),
        Type::Numbers => {
            let entry = [Field::new("key", DataType::Utf8, false), Field::new("value", DECIMAL, true)];
            let entry = DataType::Struct(entry.into_iter().collect());
            DataType::Map(Arc::new(Field::new("key_value", entry, false)), false)
        }
        Type::Struct(members) => DataType::Struct(members.iter().map(field).collect()),
        Type::Structs(members) => list(DataType::Struct(members.iter().map(field).collect())),
    }
}

const DECIMAL: DataType = DataType::Decimal128((INTEGER_DIGITS + FRACTION_DIGITS) as u8, FRACTION_DIGITS as i8);

fn list(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new("element", element, true)))
}
