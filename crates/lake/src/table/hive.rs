//! Column types as the Glue catalog, Athena and Trino name them.

use super::columns::{Column, Type};
use crate::format::Format;

impl Column {
    /// As a view names it, which has times for what JSON lines hold as whole nanoseconds.
    pub(crate) fn view_type(&self) -> String {
        match self.kind {
            Type::Word | Type::Text => "varchar".to_owned(),
            Type::Flag => "boolean".to_owned(),
            Type::Int => "integer".to_owned(),
            Type::Long => "bigint".to_owned(),
            Type::Double => "double".to_owned(),
            Type::Time => "timestamp(3)".to_owned(),
            Type::Decimal => "decimal(38,18)".to_owned(),
            Type::Texts => "array(varchar)".to_owned(),
            Type::Numbers => "map(varchar, decimal(38,18))".to_owned(),
            Type::Pairs => "array(array(varchar))".to_owned(),
            Type::Struct(members) => {
                let members: Vec<String> =
                    members.iter().map(|member| format!("{} {}", member.name, member.view_type())).collect();
                format!("row({})", members.join(", "))
            }
            Type::Structs(members) => {
                format!("array({})", Column { kind: Type::Struct(members), ..*self }.view_type())
            }
        }
    }

    /// JSON lines hold times as whole nanoseconds, which those engines cannot read as a `timestamp`.
    pub fn hive_type(&self, format: Format) -> String {
        let times = if format == Format::Parquet { "timestamp" } else { "bigint" };
        match self.kind {
            Type::Word | Type::Text => "string".to_owned(),
            Type::Flag => "boolean".to_owned(),
            Type::Int => "int".to_owned(),
            Type::Long => "bigint".to_owned(),
            Type::Double => "double".to_owned(),
            Type::Time => times.to_owned(),
            Type::Decimal => "decimal(38,18)".to_owned(),
            Type::Texts => "array<string>".to_owned(),
            Type::Numbers => "map<string,decimal(38,18)>".to_owned(),
            Type::Pairs => "array<array<string>>".to_owned(),
            Type::Struct(members) => {
                let members: Vec<String> =
                    members.iter().map(|member| format!("{}:{}", member.name, member.hive_type(format))).collect();
                format!("struct<{}>", members.join(","))
            }
            Type::Structs(members) => {
                format!("array<{}>", Column { kind: Type::Struct(members), ..*self }.hive_type(format))
            }
        }
    }
}
