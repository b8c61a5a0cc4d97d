//! How rows become bytes. A new format is one more variant, one more [`Rows`] and a new id.

use bytes::Bytes;

use crate::row::Row;
use crate::table::Table;

mod json;
pub(crate) mod parquet;

/// Named in every claim, so that who takes a claim over finishes it in the same format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Format {
    /// Columns, sorted by symbol and time, zstd.
    #[default]
    #[serde(rename = "parquet")]
    Parquet,
    /// One JSON object per line, gzip.
    #[serde(rename = "jsonl.gz")]
    JsonlGz,
    /// The same in zstd: smaller, in less time.
    #[serde(rename = "jsonl.zst")]
    JsonlZst,
    /// One object per message, as simple tutorials do. Exactly once too, but a PUT per message, and every query opens
    /// every object.
    #[serde(rename = "json")]
    Json,
}

/// Where a row came from: its last three columns.
#[derive(Clone, Copy, Debug)]
pub struct Coordinates<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
}

/// One thing to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The message it holds, where each message is an object.
    pub offset: Option<i64>,
    pub bytes: Bytes,
    pub rows: u64,
}

/// The rows of one object under way (or of one object per row).
pub trait Rows: Send {
    fn push(&mut self, row: &Row<'_>, at: Coordinates<'_>);

    /// A claimed row that Kafka no longer has. Where each message is an object, an empty one takes its place: the
    /// claim stays finished, and a late writer cannot bring the record back beside it.
    fn lost(&mut self, _offset: i64) {}

    /// Bytes of the rows that are not packed.
    fn size_bytes(&self) -> usize;

    /// Memory that they take: more than they have bytes, since what grows is given twice as much each time.
    fn held_bytes(&self) -> usize;

    /// Makes the bytes of the rows so far, which are a fraction of their size in memory. Rows that come later are sorted
    /// and compressed for themselves: to be used where an object is larger than the memory.
    fn pack(&mut self) {}

    /// Bytes that are made already.
    fn packed_bytes(&self) -> usize {
        0
    }

    /// The bytes to store: the same rows always give the same bytes.
    fn finish(self: Box<Self>) -> Vec<Body>;
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Parquet, Format::JsonlGz, Format::JsonlZst, Format::Json];

    /// As claims name it. The number changes when an older program could no longer finish such a claim.
    pub fn id(self) -> &'static str {
        match self {
            Format::Parquet => "parquet/1",
            Format::JsonlZst => "jsonl.zst/1",
            Format::JsonlGz => "jsonl.gz/1",
            Format::Json => "json/1",
        }
    }

    pub fn from_id(id: &str) -> Option<Self> {
        Format::ALL.into_iter().find(|format| format.id() == id)
    }

    pub fn from_extension(extension: &str) -> Option<Self> {
        Format::ALL.into_iter().find(|format| format.extension() == extension)
    }

    pub fn extension(self) -> &'static str {
        match self {
            Format::Parquet => "parquet",
            Format::JsonlZst => "jsonl.zst",
            Format::JsonlGz => "jsonl.gz",
            Format::Json => "json",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            // No content encoding: clients that unpack by it would then fail on the name's `.gz`.
            Format::JsonlGz => "application/gzip",
            Format::JsonlZst => "application/zstd",
            Format::Parquet => "application/vnd.apache.parquet",
            Format::Json => "application/json",
        }
    }

    pub fn is_per_message(self) -> bool {
        self == Format::Json
    }

    /// For rows of this table.
    pub fn rows(self, table: Table) -> Box<dyn Rows> {
        match self {
            Format::Parquet => Box::new(parquet::Columnar::new(table)),
            Format::JsonlGz => Box::new(json::Lines::new(json::Packing::Gzip)),
            Format::JsonlZst => Box::new(json::Lines::new(json::Packing::Zstd)),
            Format::Json => Box::new(json::Messages::default()),
        }
    }
}
