//! One query from its text to its rows.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::{SQLOptions, SessionConfig, SessionContext};
use harness::{ByteSize, grouped};
use lake::Paths;
use object_store::path::Path;

use crate::args::{Args, Format};
use crate::objects::Objects;
use crate::place::Place;
use crate::{functions, output, plot, statement, tables};

/// A query whose plan is made, of which nothing has been read.
struct Query {
    context: SessionContext,
    objects: Arc<Objects>,
    plan: Arc<dyn ExecutionPlan>,
}

/// What a query may read at most: whole objects, and the end of a Parquet object twice. Mostly Parquet needs only a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
}

/// What the same query may read at most, wherever it runs.
pub(crate) async fn most(args: &Args, sql: &str) -> anyhow::Result<Scan> {
    Ok(Query::plan(Place::open(args).await?, &args.prefix, sql).await?.scan())
}

pub(crate) async fn main(args: Args, sql: String) -> anyhow::Result<()> {
    let query = Query::plan(Place::open(&args).await?, &args.prefix, &sql).await?;
    let Scan { objects, bytes } = query.scan();
    let most = grouped(bytes);
    eprintln!("reads at most {most} bytes in {} objects", grouped(objects));
    if bytes > args.max_bytes.bytes() {
        bail!(
            "the limit is {}: bound dt, hour or year more narrowly, or allow more with --max-bytes {}",
            args.max_bytes,
            ByteSize(bytes)
        );
    }
    let shown = show(&args, query.rows()?).await?;
    eprintln!("{} rows, {} of {most} bytes read", grouped(shown as u64), grouped(query.objects.read_bytes()));
    Ok(())
}

/// Writes the rows as they are wanted, and says how many there were.
pub(crate) async fn show(args: &Args, rows: SendableRecordBatchStream) -> anyhow::Result<usize> {
    Ok(match (&args.plot, statement::curve(args)) {
        (Some(column), _) => {
            let rows = output::collect(rows).await?;
            println!("{}", plot::of(&rows, column)?);
            rows.count()
        }
        // People look at the curve before the numbers; programs want the numbers.
        (None, Some(column))
            if args.format == Format::Table && args.out.is_none() && std::io::stdout().is_terminal() =>
        {
            let rows = output::collect(rows).await?;
            if rows.count() > 0 {
                println!("{}", plot::of(&rows, column)?);
            }
            output::table(&rows, &mut std::io::stdout())?
        }
        _ => output::write(rows, args.format, args.out.as_deref()).await?,
    })
}

impl Query {
    async fn plan(place: Place, prefix: &str, sql: &str) -> anyhow::Result<Self> {
        // Statistics of objects would be read before the limit is looked at.
        let config = SessionConfig::new().with_collect_statistics(false);
        let context = SessionContext::new_with_config(config);
        let objects = Arc::new(Objects::new(place));
        let root = tables::ROOT.try_into().context("the place of the lake")?;
        context.register_object_store(&root, Arc::clone(&objects) as _);
        functions::all().into_iter().for_each(|function| context.register_udf(function));
        tables::register(&context, &objects, &Paths::new(prefix), sql).await?;
        let only_reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        let frame = context.sql_with_options(sql, only_reads).await.context("plan the query")?;
        let plan = frame.create_physical_plan().await.context("plan the query")?;
        Ok(Self { context, objects, plan })
    }

    fn scan(&self) -> Scan {
        let mut scan = Scan::default();
        add(&self.plan, &mut scan);
        scan
    }

    fn rows(&self) -> anyhow::Result<SendableRecordBatchStream> {
        execute_stream(Arc::clone(&self.plan), self.context.task_ctx()).context("run the query")
    }
}

/// A table that a query names twice is read twice.
fn add(plan: &Arc<dyn ExecutionPlan>, scan: &mut Scan) {
    let source = plan.downcast_ref::<DataSourceExec>().map(DataSourceExec::data_source);
    if let Some(files) = source.and_then(|source| source.downcast_ref::<FileScanConfig>()) {
        // Large files are divided among threads: each part names the whole.
        let mut seen = BTreeSet::<&Path>::new();
        for file in files.file_groups.iter().flat_map(|group| group.files()) {
            if seen.insert(&file.object_meta.location) {
                scan.objects += 1;
                let (size, is_parquet) =
                    (file.object_meta.size, file.object_meta.location.extension() == Some("parquet"));
                scan.bytes += size + if is_parquet { size.min(tables::PARQUET_TAIL_BYTES as u64) } else { 0 };
            }
        }
    }
    plan.children().into_iter().for_each(|child| add(child, scan));
}
