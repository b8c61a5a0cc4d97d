//! Rows for a person, a spreadsheet or a program.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context as _;
use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use futures::{StreamExt, TryStreamExt};

use crate::args::Format;
use crate::sink::Sink;

/// All rows of an answer, and its columns also where there is no row.
pub(crate) struct Rows {
    pub(crate) schema: SchemaRef,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Rows {
    pub(crate) fn count(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

pub(crate) async fn collect(rows: SendableRecordBatchStream) -> anyhow::Result<Rows> {
    let schema = rows.schema();
    Ok(Rows { schema, batches: rows.try_collect().await.context("run the query")? })
}

/// Writes to a file, else to standard output, and says how many rows there were.
pub(crate) async fn write(
    rows: SendableRecordBatchStream,
    format: Format,
    file: Option<&Path>,
) -> anyhow::Result<usize> {
    // The first row may be long in coming: that the file cannot be written is said before.
    let mut sink = Sink::open(file)?;
    let wrote = match format {
        Format::Table => table(&collect(rows).await?, &mut sink),
        Format::Parquet => parquet(rows, &mut sink).await,
        Format::Csv | Format::Json => lines(rows, format, &mut sink).await,
    };
    match wrote.and_then(|count| sink.finish().map(|()| count)) {
        Err(error) if is_closed(&error) => std::process::exit(0),
        result => result,
    }
}

/// Who closes the pipe has seen enough.
fn is_closed(error: &anyhow::Error) -> bool {
    let io = |cause: &(dyn std::error::Error + 'static)| cause.downcast_ref::<io::Error>().map(io::Error::kind);
    error.chain().any(|cause| io(cause) == Some(io::ErrorKind::BrokenPipe))
}

pub(crate) fn table(rows: &Rows, out: &mut (dyn Write + Send)) -> anyhow::Result<usize> {
    writeln!(out, "{}", pretty_format_batches_with_schema(rows.schema.clone(), &rows.batches)?)?;
    Ok(rows.count())
}

/// One object with the columns in the engine's types, as other programs read it.
async fn parquet(mut rows: SendableRecordBatchStream, out: &mut Sink) -> anyhow::Result<usize> {
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
    let writer = ArrowWriter::try_new(out, rows.schema(), Some(properties));
    let mut writer = writer.context("write the rows as Parquet")?;
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.context("run the query")?;
        count += batch.num_rows();
        writer.write(&batch).context("write the rows as Parquet")?;
    }
    writer.close().context("write the rows as Parquet")?;
    Ok(count)
}

/// Rows go out as they come: an answer may be larger than the memory.
pub(crate) async fn lines(
    mut rows: SendableRecordBatchStream,
    format: Format,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<usize> {
    if format == Format::Csv {
        let schema = rows.schema();
        let names: Vec<String> = schema.fields().iter().map(|field| quoted(field.name())).collect();
        writeln!(out, "{}", names.join(","))?;
    }
    let mut count = 0;
    while let Some(batch) = rows.next().await {
        let batch = batch.context("run the query")?;
        count += batch.num_rows();
        each(&batch, |cells| if format == Format::Csv { csv(cells, out) } else { json(cells, out) })?;
    }
    Ok(count)
}

fn csv(cells: &[Cell<'_>], out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let text = |cell: &Cell<'_>| cell.text.as_deref().map_or_else(String::new, quoted);
    Ok(writeln!(out, "{}", cells.iter().map(text).collect::<Vec<_>>().join(","))?)
}

fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Numbers keep their digits, so decimals stay exact; JSON has no word for infinities, which become text.
fn json(cells: &[Cell<'_>], out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let mut line = String::new();
    for Cell { name, text, kind } in cells {
        let plain = kind.is_numeric() || **kind == DataType::Boolean;
        let value = match text {
            None => "null".to_owned(),
            Some(text) if plain && !text.contains(['N', 'i']) => text.clone(),
            Some(text) => serde_json::to_string(text)?,
        };
        line += if line.is_empty() { "" } else { "," };
        line += &format!("{}:{value}", serde_json::to_string(name)?);
    }
    Ok(writeln!(out, "{{{line}}}")?)
}

struct Cell<'a> {
    name: &'a str,
    /// Nothing where there is no value.
    text: Option<String>,
    kind: &'a DataType,
}

fn each(batch: &RecordBatch, mut row: impl FnMut(&[Cell<'_>]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let (schema, options) = (batch.schema(), FormatOptions::new());
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns.map(|(field, column)| Ok((field, column, ArrayFormatter::try_new(column, &options)?)));
    let columns: Vec<_> = columns.collect::<anyhow::Result<_>>()?;
    for at in 0..batch.num_rows() {
        let cells = columns.iter().map(|(field, column, formatter)| {
            let is_null = *field.data_type() == DataType::Null || column.is_null(at);
            let text = (!is_null).then(|| formatter.value(at).to_string());
            Cell { name: field.name(), text, kind: field.data_type() }
        });
        row(&cells.collect::<Vec<_>>())?;
    }
    Ok(())
}
