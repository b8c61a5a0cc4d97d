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
use crate::table::cells::Cells;
use crate::table::leaf::{Leaf, Shape, Values};

pub(super) fn file(mut cells: Cells, group_rows: usize) -> Result<Vec<u8>> {
    let order = order(&cells);
    groups(&mut cells.leaves, &order, group_rows, schema(cells.table), properties(cells.table))
}

fn groups(
    leaves: &mut [Leaf],
    order: &[u32],
    group_rows: usize,
    schema: TypePtr,
    properties: WriterProperties,
) -> Result<Vec<u8>> {
    let texts: Vec<Bytes> = leaves.iter_mut().map(text_bytes).collect();
    let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
    for rows in order.chunks(group_rows) {
        let mut group = file.next_row_group()?;
        for (leaf, text) in leaves.iter().zip(&texts) {
            column(&mut group, leaf, text, rows)?;
        }
        group.close()?;
    }
    file.into_inner()
}

/// As a version wrote it that did not know these columns, none of which is a group or sorts the rows.
#[cfg(test)]
pub(super) fn file_without(mut cells: Cells, group_rows: usize, names: &[&str]) -> Result<Vec<u8>> {
    use parquet::schema::types::Type;
    let keep: Vec<bool> = cells.table.columns().map(|column| !names.contains(&column.name)).collect();
    let full = schema(cells.table);
    let fields = full.get_fields().iter().zip(&keep).filter_map(|(field, keep)| keep.then(|| field.clone()));
    let schema = Type::group_type_builder("trades").with_fields(fields.collect()).build()?;
    let order = order(&cells);
    let mut keep = keep.into_iter();
    cells.leaves.retain(|_| keep.next() == Some(true));
    groups(&mut cells.leaves, &order, group_rows, Arc::new(schema), WriterProperties::default())
}

/// The texts of a leaf in one piece, of which the values written are slices.
fn text_bytes(leaf: &mut Leaf) -> Bytes {
    match &mut leaf.values {
        Values::Text(texts) => texts.take_bytes(),
        _ => Bytes::new(),
    }
}

fn column(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, leaf: &Leaf, text: &Bytes, rows: &[u32]) -> Result<()> {
    let picked = Picked::of(leaf, rows);
    let (at, levels, repeats) = (&picked.values, picked.levels.as_deref(), picked.repeats.as_deref());
    let mut column = group.next_column()?.expect("the schema has a column per leaf");
    let decimals = |values: &[i128]| {
        let bytes: Vec<u8> = at.iter().flat_map(|at| values[*at as usize].to_be_bytes()).collect();
        let bytes = Bytes::from(bytes);
        let one = |at: usize| FixedLenByteArray::from(ByteArray::from(bytes.slice(at * 16..at * 16 + 16)));
        (0..at.len()).map(one).collect::<Vec<_>>()
    };
    match (column.untyped(), &leaf.values) {
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
            out.write_batch(&decimals(values), levels, repeats)
        }
        (ColumnWriter::ByteArrayColumnWriter(out), Values::Text(texts)) => {
            let values = at.iter().map(|at| ByteArray::from(text.slice(texts.range(*at as usize))));
            out.write_batch(&values.collect::<Vec<_>>(), levels, repeats)
        }
        (ColumnWriter::ByteArrayColumnWriter(out), Values::Word(words)) => {
            let values = at.iter().map(|at| ByteArray::from(words.get(*at as usize).clone()));
            out.write_batch(&values.collect::<Vec<_>>(), levels, repeats)
        }
        _ => unreachable!("schema and leaves are made of the same columns"),
    }?;
    column.close()
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
