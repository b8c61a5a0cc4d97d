//! Columns in memory to a file.

use std::sync::Arc;

use bytes::Bytes;
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::TypePtr;

use super::schema::schema;
use super::{order, properties};
use crate::table::Table;
use crate::table::cells::Cells;
use crate::table::leaf::{Leaf, Shape, Values};

/// A file under way.
pub(super) struct File(SerializedFileWriter<Vec<u8>>);

impl File {
    pub(super) fn new(table: Table) -> Result<Self> {
        Self::with(schema(table), properties(table))
    }

    fn with(schema: TypePtr, properties: WriterProperties) -> Result<Self> {
        Ok(Self(SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?))
    }

    /// Appends rows, sorted among themselves.
    pub(super) fn add(&mut self, cells: &Cells, group_rows: usize) -> Result<()> {
        self.groups(&cells.leaves, &order(cells), group_rows)
    }

    fn groups(&mut self, leaves: &[Leaf], order: &[u32], group_rows: usize) -> Result<()> {
        for rows in order.chunks(group_rows) {
            let mut group = self.0.next_row_group()?;
            for leaf in leaves {
                column(&mut group, leaf, rows)?;
            }
            group.close()?;
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.bytes_written()
    }

    pub(super) fn finish(self) -> Result<Vec<u8>> {
        self.0.into_inner()
    }
}

/// As a version wrote it that did not know these columns, none of which sorts the rows.
#[cfg(test)]
pub(super) fn file_without(mut cells: Cells, group_rows: usize, names: &[&str]) -> Result<Vec<u8>> {
    use parquet::schema::types::Type;
    let keep: Vec<bool> = cells.table.columns().map(|column| !names.contains(&column.name)).collect();
    let full = schema(cells.table);
    let fields = full.get_fields().iter().zip(&keep).filter(|(_, keep)| **keep).map(|(field, _)| field.clone());
    let schema = Type::group_type_builder(cells.table.name()).with_fields(fields.collect()).build()?;
    let order = order(&cells);
    let leaves = cells.table.columns().zip(keep).flat_map(|(column, keep)| std::iter::repeat_n(keep, column.leaves()));
    let mut keep = leaves.collect::<Vec<_>>().into_iter();
    cells.leaves.retain(|_| keep.next() == Some(true));
    let mut file = File::with(Arc::new(schema), WriterProperties::default())?;
    file.groups(&cells.leaves, &order, group_rows)?;
    file.finish()
}

/// Rows written at once: a multiple of the batches in which the writer cuts pages. The statistics of a group keep a least and
/// a greatest value, and with them the memory that the value lies in, as long as the file is under way: that of so many rows.
const BATCH_ROWS: usize = 8192;

fn column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, leaf: &Leaf, rows: &[u32]) -> Result<()> {
    let mut column = group.next_column()?.expect("the schema has a column per leaf");
    // The writer asks for whole lists.
    let batch_rows = if matches!(leaf.shape, Shape::Nested(_)) { rows.len() } else { BATCH_ROWS };
    for rows in rows.chunks(batch_rows) {
        batch(column.untyped(), leaf, rows)?;
    }
    column.close()
}

fn batch(column: &mut ColumnWriter<'_>, leaf: &Leaf, rows: &[u32]) -> Result<usize> {
    let picked = Picked::of(leaf, rows);
    let (at, levels, repeats) = (&picked.values, picked.levels.as_deref(), picked.repeats.as_deref());
    match (column, &leaf.values) {
        (ColumnWriter::BoolColumnWriter(out), Values::Flag(values)) => {
            out.write_batch(&pick(values, at), levels, repeats)
        }
        (ColumnWriter::Int32ColumnWriter(out), Values::Int(values)) => {
            out.write_batch(&pick(values, at), levels, repeats)
        }
        (ColumnWriter::Int64ColumnWriter(out), Values::Long(values)) => {
            out.write_batch(&pick(values, at), levels, repeats)
        }
        (ColumnWriter::DoubleColumnWriter(out), Values::Double(values)) => {
            out.write_batch(&pick(values, at), levels, repeats)
        }
        (ColumnWriter::FixedLenByteArrayColumnWriter(out), Values::Decimal(values)) => {
            let decimals = slices(at, |at, bytes| bytes.extend_from_slice(&values[at].to_be_bytes()));
            let decimals: Vec<_> = decimals.into_iter().map(FixedLenByteArray::from).collect();
            out.write_batch(&decimals, levels, repeats)
        }
        (ColumnWriter::ByteArrayColumnWriter(out), Values::Text(_)) => {
            let texts = slices(at, |at, bytes| bytes.extend_from_slice(leaf.values.text(at)));
            out.write_batch(&texts, levels, repeats)
        }
        (ColumnWriter::ByteArrayColumnWriter(out), Values::Word(words)) => {
            let values = at.iter().map(|at| ByteArray::from(words.get(*at as usize).clone()));
            out.write_batch(&values.collect::<Vec<_>>(), levels, repeats)
        }
        _ => unreachable!("schema and leaves are made of the same columns"),
    }
}

/// Values side by side in one piece of memory, which slices of it share.
fn slices(at: &[u32], write: impl Fn(usize, &mut Vec<u8>)) -> Vec<ByteArray> {
    let (mut bytes, mut ends) = (Vec::new(), vec![0]);
    for at in at {
        write(*at as usize, &mut bytes);
        ends.push(bytes.len());
    }
    let bytes = Bytes::from(bytes);
    ends.windows(2).map(|span| ByteArray::from(bytes.slice(span[0]..span[1]))).collect()
}

fn pick<T: Copy>(values: &[T], at: &[u32]) -> Vec<T> {
    at.iter().map(|at| values[*at as usize]).collect()
}

/// What a row group takes of a leaf: which values, and the levels of all entries.
struct Picked {
    values: Vec<u32>,
    levels: Option<Vec<i16>>,
    repeats: Option<Vec<i16>>,
}

impl Picked {
    fn of(leaf: &Leaf, rows: &[u32]) -> Self {
        match &leaf.shape {
            Shape::Required => Self { values: rows.to_vec(), levels: None, repeats: None },
            Shape::Optional(present) => {
                let is_there = |row: &u32| present[*row as usize];
                Self {
                    values: rows.iter().copied().filter(is_there).collect(),
                    levels: Some(rows.iter().map(|row| i16::from(is_there(row))).collect()),
                    repeats: None,
                }
            }
            Shape::Nested(nested) => {
                let (mut values, mut levels, mut repeats) = (Vec::new(), Vec::new(), Vec::new());
                for row in rows {
                    let (entries, own) = nested.row(*row as usize);
                    values.extend(own.map(|at| u32::try_from(at).expect("a range is sealed long before 2^32 values")));
                    for (level, repeat) in &nested.levels[entries] {
                        levels.push(i16::from(*level));
                        repeats.push(i16::from(*repeat));
                    }
                }
                Self { values, levels: Some(levels), repeats: Some(repeats) }
            }
        }
    }
}
