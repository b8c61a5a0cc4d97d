//! The Parquet schema of a table.

use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::schema::types::{Type as Node, TypePtr};

use crate::table::Table;
use crate::table::columns::{Column, Type};

/// Bytes of a decimal of 38 digits.
pub(super) const DECIMAL_BYTES: usize = 16;
const DIGITS: i32 = (market::decimal::INTEGER_DIGITS + market::decimal::FRACTION_DIGITS) as i32;
const SCALE: i32 = market::decimal::FRACTION_DIGITS as i32;

pub(crate) fn schema(table: Table) -> TypePtr {
    group(table.name(), Repetition::REQUIRED, None, table.columns().map(node).collect())
}

fn node(column: &Column) -> TypePtr {
    let repetition = if column.is_nullable() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
    match column.kind {
        Type::Struct(members) => group(column.name, repetition, None, members.iter().map(node).collect()),
        Type::Structs(members) => {
            let element = group("element", Repetition::REQUIRED, None, members.iter().map(node).collect());
            list(column.name, repetition, element)
        }
        Type::Texts => list(column.name, repetition, leaf("element", Type::Text, Repetition::REQUIRED)),
        Type::Pairs => {
            let text = leaf("element", Type::Text, Repetition::REQUIRED);
            list(column.name, repetition, list("element", Repetition::REQUIRED, text))
        }
        Type::Numbers => {
            let key = leaf("key", Type::Word, Repetition::REQUIRED);
            let value = leaf("value", Type::Decimal, Repetition::OPTIONAL);
            let entry = group("key_value", Repetition::REPEATED, None, vec![key, value]);
            group(column.name, repetition, Some(LogicalType::Map), vec![entry])
        }
        kind => leaf(column.name, kind, repetition),
    }
}

fn list(name: &str, repetition: Repetition, element: TypePtr) -> TypePtr {
    let entries = group("list", Repetition::REPEATED, None, vec![element]);
    group(name, repetition, Some(LogicalType::List), vec![entries])
}

fn group(name: &str, repetition: Repetition, logical: Option<LogicalType>, fields: Vec<TypePtr>) -> TypePtr {
    let group = Node::group_type_builder(name).with_repetition(repetition).with_logical_type(logical);
    Arc::new(group.with_fields(fields).build().expect("a group of columns is a schema"))
}

fn leaf(name: &str, kind: Type, repetition: Repetition) -> TypePtr {
    let (physical, logical) = match kind {
        Type::Word | Type::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Type::Flag => (Physical::BOOLEAN, None),
        Type::Int => (Physical::INT32, None),
        Type::Long => (Physical::INT64, None),
        Type::Double => (Physical::DOUBLE, None),
        Type::Time => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
        Type::Decimal => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::decimal(SCALE, DIGITS))),
        Type::Texts | Type::Pairs | Type::Numbers | Type::Struct(_) | Type::Structs(_) => {
            unreachable!("groups are made of leaves")
        }
    };
    let mut leaf = Node::primitive_type_builder(name, physical).with_repetition(repetition).with_logical_type(logical);
    if kind == Type::Decimal {
        leaf = leaf.with_length(DECIMAL_BYTES as i32).with_precision(DIGITS).with_scale(SCALE);
        leaf = leaf.with_converted_type(ConvertedType::DECIMAL);
    }
    Arc::new(leaf.build().expect("a column is a schema"))
}
