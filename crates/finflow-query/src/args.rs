//! The words of the command line, as `docs/cli.md` has them under `finflow query`.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use harness::ByteSize;

use crate::athena::Price;

#[derive(Clone, Debug, Parser)]
#[command(
    name = "finflow-query",
    version,
    bin_name = "finflow query",
    about = "SQL over the lake, on this machine or on Athena"
)]
pub(crate) struct Args {
    /// A named query, see --list; or SQL
    #[arg(value_name = "NAME|SQL", required_unless_present_any = ["list", "sql"], conflicts_with = "sql")]
    pub(crate) query: Option<String>,
    /// SQL to run
    #[arg(long, value_name = "SQL")]
    pub(crate) sql: Option<String>,
    /// Value of a parameter of a named query; may be repeated
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) param: Vec<String>,
    /// List the named queries with their parameters, and run nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Show the SQL, and run nothing
    #[arg(long)]
    pub(crate) show: bool,
    /// Where the query runs
    #[arg(long, value_enum, default_value_t = Engine::Local)]
    pub(crate) engine: Engine,
    /// Athena's database
    #[arg(long, value_name = "NAME", default_value = "finflow", requires = "engine")]
    pub(crate) database: String,
    /// Athena's workgroup; without, its primary one
    #[arg(long, value_name = "NAME", requires = "engine")]
    pub(crate) workgroup: Option<String>,
    /// Where Athena puts its answer, unless the workgroup says so
    #[arg(long, value_name = "s3://BUCKET/FOLDER/", requires = "engine", value_parser = s3_place)]
    pub(crate) results: Option<String>,
    /// The Athena to ask, such as that of a VPC endpoint
    #[arg(long, value_name = "URL", requires = "engine")]
    pub(crate) athena_endpoint: Option<String>,
    /// What Athena takes for a terabyte, in US dollars
    #[arg(long, value_name = "USD", default_value = "5", requires = "engine")]
    pub(crate) price_per_tb: Price,
    /// Send the query without an estimate, and without the limit of --max-bytes
    #[arg(long, requires = "engine")]
    pub(crate) no_estimate: bool,
    /// The state folder of a `finflow up`, running or not
    #[arg(long, value_name = "DIR", default_value = "state", conflicts_with_all = ["s3_endpoint", "region"])]
    pub(crate) state: PathBuf,
    /// The S3 to ask (keys as the AWS tools find them: environment, profile, role)
    #[arg(long, value_name = "URL")]
    pub(crate) s3_endpoint: Option<String>,
    /// Ask AWS itself, in this region
    #[arg(long, value_name = "REGION", conflicts_with = "s3_endpoint")]
    pub(crate) region: Option<String>,
    /// Bucket of the lake
    #[arg(long, value_name = "NAME", default_value = "finflow")]
    pub(crate) bucket: String,
    /// Folder inside the bucket
    #[arg(long, value_name = "PREFIX", default_value = "")]
    pub(crate) prefix: String,
    /// Refuse a query that may read more than this
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub(crate) max_bytes: ByteSize,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Write the rows to this file, which is there only when it is whole
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Draw this column over the rows, in place of the rows
    #[arg(long, value_name = "COLUMN", conflicts_with_all = ["format", "out"])]
    pub(crate) plot: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// This machine
    Local,
    /// Athena of AWS, which bills what it scans
    Athena,
}

fn s3_place(text: &str) -> Result<String, String> {
    let is_place = text.strip_prefix("s3://").is_some_and(|place| !place.is_empty());
    is_place.then(|| text.to_owned()).ok_or_else(|| "it must begin with s3:// and name a bucket".to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}
