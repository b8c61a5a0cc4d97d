//! The folders of the lake as tables of the engine: those that a query names, each with all formats that it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::prelude::{DataFrame, SessionContext, ident, lit};
use lake::{Format, Paths, Table, Type};

use crate::objects::Objects;
use crate::schema;

/// How the engine calls the place of the lake; it is the same for a folder and for an S3.
pub(crate) const ROOT: &str = "lake://lake/";

/// What is read first of a Parquet object: its end, where it mostly says all of itself. Read a second time where columns reach into
/// it, so the engine's own half a megabyte would read most of our objects twice.
pub(crate) const PARQUET_TAIL_BYTES: usize = 16 << 10;

const STOCK_DATA: &str = "stock_data";

/// Trades, and bars at their close, as the catalog's view has them: times cut to milliseconds, since a time rounded up in
/// the last moment of a day would belong to the next.
const STOCK_DATA_VIEW: &str = "CREATE VIEW stock_data AS
  SELECT symbol, arrow_cast(date_trunc('millisecond', event_time), 'Timestamp(Millisecond, None)') AS timestamp,
    CAST(price AS double) AS price, CAST(quantity AS double) AS volume FROM trades
  UNION ALL
  SELECT symbol, arrow_cast(date_trunc('millisecond', start), 'Timestamp(Millisecond, None)') AS timestamp,
    CAST(close AS double) AS price, CAST(volume AS double) AS volume FROM bars";

/// Makes the tables known that `sql` names, and lists their objects.
pub(crate) async fn register(
    context: &SessionContext,
    objects: &Objects,
    paths: &Paths,
    sql: &str,
) -> anyhow::Result<()> {
    let state = context.state();
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect).context("read the SQL")?;
    let named = state.resolve_table_references(&statement).context("read the SQL")?;
    let mut wanted = BTreeSet::new();
    let mut view = false;
    for name in named {
        match (name.table(), Table::named(name.table())) {
            (_, Some(table)) => _ = wanted.insert(table),
            (STOCK_DATA, None) => {
                view = true;
                wanted.extend([Table::Trades, Table::Bars]);
            }
            (function, None) if context.table_function(function).is_ok() => {}
            (unknown, None) => {
                let known: Vec<&str> = Table::ALL.iter().map(|table| table.name()).collect();
                bail!("there is no table {unknown}; there are {} and the view {STOCK_DATA}", known.join(", "));
            }
        }
    }
    for table in wanted {
        let provider = provider(context, objects, paths, table).await;
        let provider = provider.with_context(|| format!("open the table {}", table.name()))?;
        context.register_table(table.name(), provider)?;
    }
    if view {
        context.sql(STOCK_DATA_VIEW).await.context("make the view stock_data")?;
    }
    Ok(())
}

async fn provider(
    context: &SessionContext,
    objects: &Objects,
    paths: &Paths,
    table: Table,
) -> anyhow::Result<Arc<dyn TableProvider>> {
    let folder = paths.table(table);
    let found = objects.list_folder(&folder).await?;
    let has = |format: &Format| {
        let ending = format!(".{}", format.extension());
        found.iter().any(|object| object.location.as_ref().ends_with(&ending))
    };
    let mut whole: Option<DataFrame> = None;
    for format in Format::ALL.into_iter().filter(has) {
        let part = context.read_table(Arc::new(listing(&folder, table, format)?))?;
        let part = if format == Format::Parquet { part } else { with_flags(part, table)? };
        whole = Some(match whole {
            Some(whole) => whole.union(part)?,
            None => part,
        });
    }
    Ok(match whole {
        Some(whole) => whole.into_view(),
        None => Arc::new(EmptyTable::new(Arc::new(whole_schema(table)))),
    })
}

fn listing(folder: &str, table: Table, format: Format) -> anyhow::Result<ListingTable> {
    let json = |packing| JsonFormat::default().with_file_compression_type(packing);
    let reader: Arc<dyn FileFormat> = match format {
        Format::Parquet => Arc::new(ParquetFormat::default().with_metadata_size_hint(Some(PARQUET_TAIL_BYTES))),
        Format::JsonlGz => Arc::new(json(FileCompressionType::GZIP)),
        Format::JsonlZst => Arc::new(json(FileCompressionType::ZSTD)),
        Format::Json => Arc::new(json(FileCompressionType::UNCOMPRESSED)),
    };
    let options = ListingOptions::new(reader)
        .with_file_extension(format!(".{}", format.extension()))
        .with_table_partition_cols(schema::partitions(table));
    let config = ListingTableConfig::new(ListingTableUrl::parse(format!("{ROOT}{folder}"))?)
        .with_listing_options(options)
        .with_schema(Arc::new(schema::of(table)));
    Ok(ListingTable::try_new(config)?)
}

/// In JSON a flag that is not set is left out.
fn with_flags(mut frame: DataFrame, table: Table) -> anyhow::Result<DataFrame> {
    for column in table.columns().filter(|column| column.kind == Type::Flag) {
        frame = frame.with_column(column.name, coalesce(vec![ident(column.name), lit(false)]))?;
    }
    Ok(frame)
}

fn whole_schema(table: Table) -> Schema {
    let own = schema::of(table);
    let partitions = schema::partitions(table).into_iter().map(|(name, kind)| Field::new(name, kind, false).into());
    Schema::new(own.fields().iter().cloned().chain(partitions).collect::<Vec<_>>())
}
