//! The words of the command line. What each does is in the module of its name.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lake_args::{Folder, LakeArgs};
use crate::up::speed::Speed;

#[derive(Debug, Parser)]
#[command(
    name = "finflow",
    version,
    about = "Market data through Kafka to metrics, alerts and S3",
    propagate_version = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run every stage in this process, with a broker and an S3 inside
    Up(Box<UpArgs>),
    /// Send a file to raw-market-data of a Kafka that is already there
    Replay(ReplayArgs),
    /// Print the records of a topic, from now on or from the beginning
    Tail(TailArgs),
    /// Create or list Finflow's topics
    #[command(subcommand)]
    Topics(TopicsCommand),
    /// Raise the number of partitions of a stage's input, and carry its state over
    Repartition(RepartitionArgs),
    /// Ask the parts of a running pipeline whether they are well
    Doctor(DoctorArgs),
    /// Ask the lake in SQL, by the program finflow-query
    #[command(disable_help_flag = true, disable_version_flag = true)]
    Query(QueryArgs),
    /// Check the lake against its claims, and the stored metrics against the stored events
    Verify(VerifyArgs),
    /// List the live venues, or see whether one answers
    Feeds(FeedsArgs),
    /// Make the lake's tables known to Athena, Trino and their like
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Write the lake once more, in fewer and larger objects
    Compact(CompactArgs),
    /// Take old partitions out of the lake
    #[command(subcommand)]
    Lake(LakeCommand),
}

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where the embedded broker and S3, and so the whole run, keep their data
    #[arg(long, value_name = "DIR", default_value = "state")]
    pub state: PathBuf,
    /// Address of the page and the API [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub http: Option<SocketAddr>,
    /// What to read: PATH, NAME=FORMAT:PATH, `demo` (recorded trades inside this program), `synthetic`, or live venues
    /// such as `binance` [default: demo]
    #[arg(long, value_name = "FILE|NAME", num_args = 1..)]
    pub feed: Vec<String>,
    /// How fast: a factor of the recorded speed (`1`, `60`), `N/s` records per second, `sample`, or `max`
    #[arg(long, value_name = "N|max")]
    pub speed: Option<Speed>,
    /// Start over at the end of the feed, with times and ids shifted by its span
    #[arg(long = "loop")]
    pub repeat: bool,
    /// End a loop after this many passes
    #[arg(long, value_name = "N")]
    pub passes: Option<u64>,
    /// Read the feed once even where looping is the default
    #[arg(long, conflicts_with = "repeat")]
    pub no_loop: bool,
    /// Move a recording in time: `now` makes its first event happen now
    #[arg(long, value_name = "WHEN")]
    pub rebase: Option<Rebase>,
    /// Use this Kafka in place of the embedded broker
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Use this S3 in place of the embedded one (keys from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,
    #[command(flatten)]
    pub folder: Folder,
    /// Run the feed to its end, close the windows, flush, print a summary and exit
    #[arg(long)]
    pub once: bool,
    /// The summary as one JSON object
    #[arg(long, requires = "once")]
    pub json: bool,
    /// Address of the first stage's admin port; the other stages take the ports after it
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
    /// Address of the embedded broker [default: 127.0.0.1:9092, any free port with --once]
    #[arg(long, value_name = "ADDR", conflicts_with = "brokers")]
    pub kafka_addr: Option<SocketAddr>,
    /// Address of the embedded S3 [default: 127.0.0.1:9000, any free port with --once]
    #[arg(long, value_name = "ADDR", conflicts_with = "s3_endpoint")]
    pub s3_addr: Option<SocketAddr>,
    /// YAML file with one section per stage, each as in docs/config.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Logs at this level (error, warn, info, debug, trace) [default: warn, and the progress of ingest]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Files to read: PATH or NAME=FORMAT:PATH
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<String>,
    /// The Kafka to send to [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// How fast: a factor of the recorded speed, `N/s`, `sample`, or `max` [default: max]
    #[arg(long, value_name = "N|max")]
    pub speed: Option<Speed>,
    /// Start over at the end, with times and ids shifted by the span of the file
    #[arg(long = "loop")]
    pub repeat: bool,
    /// Move the recording in time: `now` makes its first event happen now
    #[arg(long, value_name = "WHEN")]
    pub rebase: Option<Rebase>,
    /// YAML file with settings of ingest, as in docs/config.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting of ingest, as in docs/config.md
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TailArgs {
    /// The topic
    pub topic: String,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Start at the oldest record in place of the newest
    #[arg(long)]
    pub from_beginning: bool,
    /// Start this many records before the end of each partition
    #[arg(long, value_name = "N", conflicts_with = "from_beginning")]
    pub last: Option<i64>,
    /// Stop after this many records
    #[arg(long, value_name = "N")]
    pub max: Option<u64>,
    /// Stop at the end of what is there now
    #[arg(long)]
    pub until_end: bool,
    /// Only records with this key
    #[arg(long)]
    pub key: Option<String>,
    /// One JSON object per record with its coordinates, headers and value
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What to ask, such as the /ready of a stage's admin port; may be repeated
    #[arg(long, value_name = "URL", required = true)]
    pub url: Vec<String>,
    /// Ask again until all are well, at most this long
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub wait: harness::Duration,
}

#[derive(Debug, Args)]
pub struct QueryArgs {
    /// Words of finflow-query, all of them: its --help tells what it knows
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "NAME|SQL")]
    pub words: Vec<String>,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// A setting of aggregate that the metrics were made with, as in docs/config.md
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Check claims and objects only
    #[arg(long)]
    pub no_metrics: bool,
    /// The report as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct FeedsArgs {
    #[command(subcommand)]
    pub command: Option<FeedsCommand>,
}

#[derive(Debug, Subcommand)]
pub enum FeedsCommand {
    /// Show the live venues and what each needs (also without any word)
    List(FeedsListArgs),
    /// Connect to a venue, subscribe, and wait for a trade
    Check(FeedsCheckArgs),
}

#[derive(Debug, Args)]
pub struct FeedsListArgs {
    /// One JSON object per venue
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct FeedsCheckArgs {
    /// A venue, with options as a feed has them: `binance`, `kraken?url=…`
    #[arg(value_name = "VENUE")]
    pub feed: String,
    /// A symbol, as Finflow or as the venue writes it; may be repeated [default: those of the venue]
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Vec<String>,
    /// How long all of it may take
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub deadline: harness::Duration,
    /// YAML file with settings of ingest, as in docs/config.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting of ingest, as in docs/config.md
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum CatalogCommand {
    /// Create database, tables and view in Glue, or add to them what is missing
    Apply(CatalogApplyArgs),
}

#[derive(Debug, Args)]
pub struct CatalogApplyArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Show what would change, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Name of the database
    #[arg(long, value_name = "NAME", default_value = "finflow")]
    pub database: String,
    /// The Glue to ask [default: that of AWS in the region of the lake]
    #[arg(long, value_name = "URL")]
    pub glue_endpoint: Option<String>,
    /// First day that is queried; objects that are older widen the range by themselves
    #[arg(long, value_name = "DAY", default_value = "2024-01-01")]
    pub from: String,
    /// Name of the catalog in queries, for the view
    #[arg(long, value_name = "NAME", default_value = "awsdatacatalog")]
    pub catalog: String,
    /// Register every partition that has objects, for engines that do not compute them
    #[arg(long)]
    pub register: bool,
    /// Define a crawler with this role, too; the tables do not need one
    #[arg(long, value_name = "ROLE")]
    pub crawler_role: Option<String>,
}

#[derive(Debug, Args)]
pub struct CompactArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Take days that ended at least this long ago
    #[arg(long, value_name = "TIME", default_value = "2h")]
    pub settled: harness::Duration,
    /// Objects of this size, up to half as much again, where a partition has so much
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub object_size: harness::ByteSize,
    /// Memory to work in: half for objects under way, which end earlier where it is full, the rest for rows
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    pub memory: harness::ByteSize,
}

#[derive(Debug, Subcommand)]
pub enum LakeCommand {
    /// Delete the objects of days that ended long ago; their claims stay
    Expire(ExpireArgs),
}

#[derive(Debug, Args)]
pub struct ExpireArgs {
    #[command(flatten)]
    pub lake: LakeArgs,
    /// Days that ended longer ago than this, such as 90d
    #[arg(long, value_name = "AGE")]
    pub older_than: harness::Duration,
    /// Only this table; may be repeated [default: all but bars]
    #[arg(long, value_name = "NAME")]
    pub table: Vec<String>,
    /// Show what is old, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the lifecycle rules by which S3 does the same by itself, and delete nothing
    #[arg(long, conflicts_with = "dry_run")]
    pub lifecycle: bool,
}

#[derive(Debug, Subcommand)]
pub enum TopicsCommand {
    /// Create the topics that are missing and report those that differ
    Apply(ApplyArgs),
    /// Show the topics with partitions, settings and offsets
    List(ListArgs),
}

#[derive(Debug, Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// Copies of each partition [default: 3, or the number of brokers if there are fewer]
    #[arg(long)]
    pub replication: Option<i32>,
    /// Try again while Kafka does not answer, at most this long
    #[arg(long, value_name = "TIME", default_value = "0s")]
    pub wait: harness::Duration,
    /// The report as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RepartitionArgs {
    /// The stage, none of whose processes may run, nor what writes to its input
    #[arg(value_enum)]
    pub stage: Keeper,
    /// So many from now on
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: i32,
    /// The Kafka to ask [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// YAML file with the settings of the stage, as in docs/config.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Any setting of the stage, as in docs/config.md
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The report as one JSON object
    #[arg(long)]
    pub json: bool,
}

/// A stage whose state lies in Kafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Keeper {
    Aggregate,
    Alert,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub kafka: KafkaArgs,
    /// One JSON object per topic
    #[arg(long)]
    pub json: bool,
}

/// The way to Kafka of a command that is no stage.
#[derive(Clone, Debug, Args)]
pub struct KafkaArgs {
    /// The Kafka to ask [default: 127.0.0.1:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// YAML file with a section `kafka`, as in docs/config.md
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Whether a recording is moved in time, in ingest's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Rebase {
    Now,
    #[value(alias = "never")]
    None,
}

impl std::fmt::Display for Rebase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Rebase::Now => "now",
            Rebase::None => "none",
        })
    }
}
