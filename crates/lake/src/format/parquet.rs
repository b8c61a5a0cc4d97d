//! Parquet: rows sorted by symbol and time, zstd, statistics of every page.
//!
//! A range is held by columns until it is sealed, sorted then, and written in row groups. The same rows always give the
//! same bytes, whoever writes them with this version of the program.

use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::metadata::{KeyValue, SortingColumn};
use ::parquet::file::properties::{WriterProperties, WriterVersion};
use ::parquet::schema::types::ColumnPath;
use bytes::Bytes;

use super::{Body, Coordinates, Rows};
use crate::row::Row;
use crate::table::Table;
use crate::table::cells::Cells;
use crate::table::columns::{Column, Type};
use crate::table::leaf::Values;

mod read;
pub(crate) mod schema;
mod write;

pub(crate) use read::read;

/// Rows of a group. A reader that wants one symbol or a stretch of time skips groups by their statistics, and pages
/// inside them; far more would cost a reader memory, far fewer would cost compression.
const GROUP_ROWS: usize = 262_144;

pub(super) struct Columnar(Cells);

impl Columnar {
    pub(super) fn new(table: Table) -> Self {
        Self(Cells::new(table))
    }
}

impl Rows for Columnar {
    fn push(&mut self, row: &Row, at: Coordinates<'_>) {
        self.0.push(row, at);
    }

    fn size_bytes(&self) -> usize {
        self.0.size_bytes
    }

    fn held_bytes(&self) -> usize {
        // Some columns have just grown, some are about to.
        self.0.size_bytes * 2
    }

    fn finish(self: Box<Self>) -> Vec<Body> {
        let rows = self.0.rows as u64;
        let bytes = write::file(self.0, GROUP_ROWS).expect("writing to memory fails only by a bug");
        vec![Body { offset: None, bytes: Bytes::from(bytes), rows }]
    }
}

/// The order in which the rows are written: by symbol where there is one, then time, then offset.
fn order(cells: &Cells) -> Vec<u32> {
    let rows = u32::try_from(cells.rows).expect("a range is sealed long before 2^32 rows");
    let ranks = match cells.leaf("symbol").map(|leaf| &leaf.values) {
        Some(Values::Word(words)) => words.ranks(),
        _ => vec![0; cells.rows],
    };
    let Some(Values::Long(times)) = cells.leaf(cells.table.time_column()).map(|leaf| &leaf.values) else {
        unreachable!("every table has a time")
    };
    // Rows were pushed in the order of their offsets.
    let key = |row: u32| (ranks[row as usize], times[row as usize], row);
    let mut order: Vec<u32> = (0..rows).collect();
    order.sort_unstable_by_key(|row| key(*row));
    order
}

fn properties(table: Table) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(format!("finflow {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("zstd has this level")))
        .set_sorting_columns(Some(sorting(table)))
        .set_key_value_metadata(Some(vec![KeyValue::new("finflow.table".to_owned(), table.name().to_owned())]));
    for column in table.columns() {
        // A dictionary of ids that never repeat costs time and saves nothing.
        if column.kind == Type::Text || column.name == "_offset" {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column.name), false);
        }
    }
    properties.build()
}

fn sorting(table: Table) -> Vec<SortingColumn> {
    let leaf = |name: &str| {
        let before = table.columns().take_while(|column| column.name != name).map(Column::leaves).sum::<usize>();
        let known = table.columns().any(|column| column.name == name);
        known.then(|| i32::try_from(before).expect("a table has a few dozen columns"))
    };
    let columns = ["symbol", table.time_column()].into_iter().filter_map(leaf);
    columns.map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false }).collect()
}

#[cfg(test)]
mod tests;
