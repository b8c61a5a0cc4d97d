//! Parquet: rows sorted by symbol and time, zstd, statistics of every page.
//!
//! A range is held by columns until it is sealed, sorted then, and written in row groups. The same rows always give the
//! same bytes, whoever writes them with this version of the program. Where compaction packs rows before the end of the
//! object, each such stretch of row groups is sorted for itself.

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

pub(super) struct Columnar {
    cells: Cells,
    /// Of the rows that were packed.
    file: Option<write::File>,
    packed_rows: u64,
}

impl Columnar {
    pub(super) fn new(table: Table) -> Self {
        Self { cells: Cells::new(table), file: None, packed_rows: 0 }
    }
}

/// Of everything that writes to memory.
const BUG: &str = "writing to memory fails only by a bug";

impl Rows for Columnar {
    fn push(&mut self, row: &Row<'_>, at: Coordinates<'_>) {
        self.cells.push(row, at);
    }

    fn size_bytes(&self) -> usize {
        self.cells.size_bytes
    }

    fn held_bytes(&self) -> usize {
        // Some columns have just grown, some are about to.
        self.cells.size_bytes * 2
    }

    fn pack(&mut self) {
        let table = self.cells.table;
        let cells = std::mem::replace(&mut self.cells, Cells::new(table));
        self.packed_rows += cells.rows as u64;
        let file = self.file.get_or_insert_with(|| write::File::new(table).expect(BUG));
        file.add(&cells, GROUP_ROWS).expect(BUG);
    }

    fn packed_bytes(&self) -> usize {
        self.file.as_ref().map_or(0, write::File::bytes)
    }

    fn finish(mut self: Box<Self>) -> Vec<Body> {
        self.pack();
        let bytes = self.file.expect("packing made it").finish().expect(BUG);
        vec![Body { offset: None, bytes: Bytes::from(bytes), rows: self.packed_rows }]
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
