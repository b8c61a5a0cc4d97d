//! A file to columns in memory, by the names of the columns.
//!
//! A column that an older file lacks has no value in any row; one that this program does not know is left alone.

use bytes::Bytes;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

use super::schema::{DECIMAL_BYTES, schema};
use crate::table::Table;
use crate::table::cells::Cells;
use crate::table::leaf::{Leaf, Shape, Values};

/// The rows of a file, a row group at a time.
pub(crate) fn read(table: Table, bytes: Bytes, mut each: impl FnMut(&Cells)) -> Result<()> {
    let file = SerializedFileReader::new(bytes)?;
    let here = SchemaDescriptor::new(schema(table));
    let there = file.metadata().file_metadata().schema_descr_ptr();
    for group in 0..file.num_row_groups() {
        let group = file.get_row_group(group)?;
        let rows = usize::try_from(group.metadata().num_rows()).map_err(|_| wrong("a negative number of rows"))?;
        let mut cells = Cells::new(table);
        for (leaf, column) in cells.leaves.iter_mut().zip(here.columns()) {
            match there.columns().iter().position(|other| other.path() == column.path()) {
                Some(at) => fill(leaf, column, &there.columns()[at].clone(), &*group, at, rows)?,
                None => fill_empty(leaf, column, rows)?,
            }
        }
        cells.rows = rows;
        each(&cells);
    }
    Ok(())
}

fn wrong(what: &str) -> ParquetError {
    ParquetError::General(what.to_owned())
}

fn fill_empty(leaf: &mut Leaf, column: &ColumnDescriptor, rows: usize) -> Result<()> {
    let may_lack = matches!(leaf.values, Values::Flag(_)) || column.max_def_level() > 0;
    if !may_lack {
        return Err(wrong(&format!("the column {} is missing", column.path().string())));
    }
    for _ in 0..rows {
        if let Shape::Nested(nested) = &mut leaf.shape {
            nested.levels.push((0, 0));
            leaf.end_row();
            continue;
        }
        leaf.values.push_empty();
        if let Shape::Optional(present) = &mut leaf.shape {
            present.push(false);
        }
    }
    Ok(())
}

fn fill(
    leaf: &mut Leaf,
    here: &ColumnDescriptor,
    there: &ColumnDescriptor,
    group: &dyn RowGroupReader,
    at: usize,
    rows: usize,
) -> Result<()> {
    let path = || here.path().string();
    let nested = matches!(leaf.shape, Shape::Nested(_));
    if here.max_rep_level() != there.max_rep_level() || (nested && here.max_def_level() != there.max_def_level()) {
        return Err(wrong(&format!("the column {} is nested in another way", path())));
    }
    let level = there.max_def_level();
    macro_rules! plain {
        ($reader:expr, $variant:ident) => {
            records($reader, leaf, level, rows, |leaf, value| {
                if let Values::$variant(values) = &mut leaf.values {
                    values.push(*value);
                }
                Ok(())
            })
        };
    }
    match (group.get_column_reader(at)?, &leaf.values) {
        (ColumnReader::BoolColumnReader(reader), Values::Flag(_)) => plain!(reader, Flag),
        (ColumnReader::Int32ColumnReader(reader), Values::Int(_)) => plain!(reader, Int),
        (ColumnReader::Int64ColumnReader(reader), Values::Long(_)) => plain!(reader, Long),
        (ColumnReader::DoubleColumnReader(reader), Values::Double(_)) => plain!(reader, Double),
        (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Decimal(_)) => {
            records(reader, leaf, level, rows, |leaf, value| {
                let bytes: [u8; DECIMAL_BYTES] =
                    value.data().try_into().map_err(|_| wrong("a decimal of another length"))?;
                let units = i128::from_be_bytes(bytes);
                market::Decimal::from_units(units).ok_or_else(|| wrong("a decimal of more than 38 digits"))?;
                if let Values::Decimal(values) = &mut leaf.values {
                    values.push(units);
                }
                Ok(())
            })
        }
        (ColumnReader::ByteArrayColumnReader(reader), Values::Text(_) | Values::Word(_)) => {
            records(reader, leaf, level, rows, |leaf, value| {
                std::str::from_utf8(value.data()).map_err(|_| wrong("text that is not UTF-8"))?;
                leaf.values.push_text(value.data());
                Ok(())
            })
        }
        _ => Err(wrong(&format!("the column {} has another type", path()))),
    }
}

/// Reads all records of a column. `level` is the definition level of a value.
fn records<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    leaf: &mut Leaf,
    level: i16,
    rows: usize,
    mut push: impl FnMut(&mut Leaf, &T::T) -> Result<()>,
) -> Result<()> {
    let (mut levels, mut repeats, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let mut read = 0;
    while read < rows {
        let (records, ..) = reader.read_records(rows - read, Some(&mut levels), Some(&mut repeats), &mut values)?;
        if records == 0 {
            return Err(wrong("a column ends before its row group"));
        }
        read += records;
    }
    let mut values = values.iter();
    let mut next = || values.next().ok_or_else(|| wrong("a column has fewer values than it says"));
    match &leaf.shape {
        Shape::Nested(_) => {
            for (i, (defined, repeat)) in levels.iter().zip(&repeats).enumerate() {
                if *repeat == 0 && i > 0 {
                    leaf.end_row();
                }
                let entry = (u8::try_from(*defined), u8::try_from(*repeat));
                let (Ok(defined_as), Ok(repeated)) = entry else { return Err(wrong("a level beyond reason")) };
                leaf.nested().levels.push((defined_as, repeated));
                if *defined == level {
                    push(leaf, next()?)?;
                }
            }
            leaf.end_row();
        }
        Shape::Required | Shape::Optional(_) => {
            for row in 0..rows {
                let present = level == 0 || levels.get(row) == Some(&level);
                match present {
                    true => push(leaf, next()?)?,
                    false if matches!(leaf.shape, Shape::Required) => return Err(wrong("a row without a value")),
                    false => leaf.values.push_empty(),
                }
                leaf.mark(present);
            }
        }
    }
    Ok(())
}
