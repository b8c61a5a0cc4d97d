//! The rows that Athena has, page by page, in the engine's own types: every form of output takes them as it takes those of
//! this machine.

use std::sync::Arc;

use anyhow::Context as _;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::error::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};
use lake::aws::Aws;
use serde_json::{Value, json};

/// The most that one request gives.
const PAGE: u32 = 1000;

struct Page {
    rows: Vec<Value>,
    next: Option<String>,
}

/// What comes next: a page that is here, or one to ask for.
enum Next {
    Page(Page),
    Token(String),
}

/// Opens the answer: its columns are known before its first row is taken.
pub(super) async fn rows(athena: Arc<Aws>, id: &str) -> anyhow::Result<SendableRecordBatchStream> {
    let id = id.to_owned();
    let answer = get(&athena, &id, None).await?;
    let schema = schema(&answer["ResultSet"]["ResultSetMetadata"]["ColumnInfo"])?;
    let mut first = page(answer);
    // The names of the columns come as the first row of all.
    if first.rows.first().is_some_and(|row| is_head(row, &schema)) {
        first.rows.remove(0);
    }
    let pages = stream::try_unfold(Some(Next::Page(first)), {
        let schema = Arc::clone(&schema);
        move |next| {
            let (athena, id, schema) = (Arc::clone(&athena), id.clone(), Arc::clone(&schema));
            async move {
                let page = match next {
                    Some(Next::Page(page)) => page,
                    Some(Next::Token(token)) => page(get(&athena, &id, Some(&token)).await?),
                    None => return Ok(None),
                };
                anyhow::Ok(Some((batch(&schema, &page.rows)?, page.next.map(Next::Token))))
            }
        }
    });
    let pages = pages.map(|page| page.map_err(|error: anyhow::Error| DataFusionError::External(error.into())));
    Ok(Box::pin(RecordBatchStreamAdapter::new(schema, pages)))
}

async fn get(athena: &Aws, id: &str, token: Option<&str>) -> anyhow::Result<Value> {
    let mut body = json!({"QueryExecutionId": id, "MaxResults": PAGE});
    if let Some(token) = token {
        body["NextToken"] = json!(token);
    }
    athena.call("GetQueryResults", body).await.with_context(|| format!("read the rows of query {id}, which is done"))
}

fn page(mut answer: Value) -> Page {
    let next = answer["NextToken"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
    let rows = match answer["ResultSet"]["Rows"].take() {
        Value::Array(rows) => rows,
        _ => Vec::new(),
    };
    Page { rows, next }
}

fn cell(row: &Value, at: usize) -> Option<&str> {
    row["Data"][at]["VarCharValue"].as_str()
}

fn is_head(row: &Value, schema: &Schema) -> bool {
    schema.fields().iter().enumerate().all(|(at, field)| cell(row, at) == Some(field.name()))
}

fn schema(columns: &Value) -> anyhow::Result<SchemaRef> {
    let columns = columns.as_array().context("read the rows: Athena named no columns")?;
    let field = |column: &Value| {
        let name = column["Name"].as_str().unwrap_or_default();
        Field::new(name, data_type(column), true)
    };
    Ok(Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())))
}

/// What has no type here, such as arrays and times with zones, stays the text that Athena makes of it.
fn data_type(column: &Value) -> DataType {
    match column["Type"].as_str().unwrap_or_default() {
        "boolean" => DataType::Boolean,
        "tinyint" => DataType::Int8,
        "smallint" => DataType::Int16,
        "integer" | "int" => DataType::Int32,
        "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Millisecond, None),
        "decimal" => {
            let part = |name: &str| column[name].as_u64();
            let precision = part("Precision").and_then(|precision| u8::try_from(precision).ok()).unwrap_or(38);
            let scale = part("Scale").and_then(|scale| i8::try_from(scale).ok()).unwrap_or(0);
            DataType::Decimal128(precision, scale)
        }
        _ => DataType::Utf8,
    }
}

fn batch(schema: &SchemaRef, rows: &[Value]) -> anyhow::Result<RecordBatch> {
    // What cannot be read is an error, not a null.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = schema.fields().iter().enumerate().map(|(at, field)| {
        let text: StringArray = rows.iter().map(|row| cell(row, at)).collect();
        cast_with_options(&text, field.data_type(), &strict)
            .with_context(|| format!("read the column {} as {}", field.name(), field.data_type()))
    });
    let columns: Vec<ArrayRef> = columns.collect::<anyhow::Result<_>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
