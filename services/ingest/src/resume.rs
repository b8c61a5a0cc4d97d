//! Exact resume without transactions: what of a feed is in Kafka already.
//!
//! Each record carries its feed and position in a header. The producer is idempotent and gapless, so in every partition
//! the records of a feed lie in the order of their positions and without holes: the highest position found in a
//! partition says that every earlier row of that partition is there. A checkpoint in `finflow-leases` bounds the search:
//! it names a line up to which everything was acknowledged, and the ends of the partitions at that moment. After a
//! crash the partitions are read from those ends, and each row is skipped if its own partition has it.
//!
//! **Invariant:** a checkpoint is written before the first row, so no row is ever below what a restart looks at.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::position::Position;
use crate::spec::Feed;
use crate::times::TimeFormat;

/// Header of every record this service writes: `<feed id>:<pass>:<line>:<sub>`.
pub const POSITION_HEADER: &str = "finflow-pos";
/// Before the feed's id in the keys of the leases topic.
const KEY_PREFIX: &str = "replay/";
/// The part of a file that is hashed.
const HEAD: u64 = 64 * 1024;

/// Names a feed by its content (name, size and first 64 KiB) and by how it is told to be read. The same file in another
/// folder is the same feed; another file under the same name is not, nor is the same file with its columns named otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FeedId(String);

impl FeedId {
    pub fn of(feed: &Feed, how: How) -> io::Result<FeedId> {
        let mut hash = Sha256::new();
        hash.update(feed.name.as_bytes());
        hash.update([0, u8::from(how.sampled)]);
        if feed.is_synthetic() {
            hash.update(how.seed.to_le_bytes());
            hash.update(feed.path.as_bytes());
            for (key, value) in &feed.options {
                hash.update(format!("\0{key}={value}"));
            }
        } else {
            let file = std::fs::File::open(&feed.path)?;
            hash.update(file.metadata()?.len().to_le_bytes());
            let mut head = Vec::new();
            file.take(HEAD).read_to_end(&mut head)?;
            hash.update(&head);
            for (option, value) in reading(feed) {
                hash.update(format!("\0{option}={value}"));
            }
        }
        Ok(FeedId(hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Of a live feed, which has no content to be told by.
    pub fn live(name: &str) -> FeedId {
        FeedId(format!("live-{}", name.replace(':', "_")))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Key of the feed's checkpoint.
    pub fn key(&self) -> String {
        format!("{KEY_PREFIX}{self}")
    }
}

/// What is said of how a file is read. Nothing said adds nothing, so that the ids of plain feeds stay what they were.
fn reading(feed: &Feed) -> impl Iterator<Item = (String, String)> {
    let time_format = (feed.time_format != TimeFormat::Auto).then(|| feed.time_format.to_string());
    let said = [
        ("format", feed.format.map(|format| format.as_str().to_owned())),
        ("venue", feed.venue.clone()),
        ("symbol", feed.symbol.clone()),
        ("interval", feed.interval.clone()),
        ("time_format", time_format),
    ];
    let said = said.into_iter().filter_map(|(option, value)| Some((option.to_owned(), value?)));
    said.chain(feed.columns.named())
}

impl fmt::Display for FeedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What besides its content makes a replay another replay: drawing rows at random has nothing to do with reading them in
/// order, and a seed makes a synthetic market.
#[derive(Clone, Copy, Debug, Default)]
pub struct How {
    pub sampled: bool,
    pub seed: u64,
}

/// The feed and position in a record's header.
pub fn parse_header(value: &[u8]) -> Option<(&str, Position)> {
    let (feed, position) = std::str::from_utf8(value).ok()?.split_once(':')?;
    Some((feed, position.parse().ok()?))
}

/// The value of a checkpoint. Fields may be added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checkpoint {
    pub version: u32,
    /// The feed's name, for whoever reads the topic.
    pub feed: String,
    /// Everything up to and including this line of this pass is acknowledged. Line 0: nothing yet.
    pub pass: u64,
    pub line: u64,
    /// The feed was replayed to its end.
    pub ended: bool,
    /// The process stopped in peace: nothing of it is on its way any more.
    pub clean: bool,
    /// What is added to the recording's times (`rebase`).
    pub base: i64,
    /// Per topic: its id, and the end of each partition when the line was acknowledged.
    pub topics: BTreeMap<String, Ends>,
    pub written: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ends {
    /// Kafka's own id of the topic: a topic made again under the same name holds nothing of ours.
    pub id: String,
    pub offsets: Vec<i64>,
}

/// What of one feed is in Kafka.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Everything up to this pass and line.
    floor: (u64, u64),
    /// Beyond it, the highest position in each partition of the output.
    output: BTreeMap<i32, Position>,
    /// The same in the dead letters, where a feed has one key and thus one partition.
    dead_letters: Option<Position>,
}

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Output,
    DeadLetters,
}

impl Known {
    pub fn up_to(pass: u64, line: u64) -> Self {
        Known { floor: (pass, line), ..Known::default() }
    }

    /// A record of this feed was found in Kafka.
    pub fn note(&mut self, target: Target, partition: i32, position: Position) {
        let highest = match target {
            Target::Output => self.output.entry(partition).or_insert(position),
            Target::DeadLetters => self.dead_letters.get_or_insert(position),
        };
        *highest = (*highest).max(position);
    }

    /// The whole line was acknowledged before the checkpoint.
    pub fn covers(&self, pass: u64, line: u64) -> bool {
        (pass, line) <= self.floor
    }

    /// This record is in this partition already.
    pub fn has(&self, target: Target, partition: i32, position: Position) -> bool {
        let highest = match target {
            Target::Output => self.output.get(&partition),
            Target::DeadLetters => self.dead_letters.as_ref(),
        };
        highest.is_some_and(|highest| position <= *highest)
    }

    /// The pass in which the replay goes on, and the line after which it does.
    pub fn floor(&self) -> (u64, u64) {
        self.floor
    }

    /// Nothing beyond this position is in Kafka: the search can stop.
    pub fn highest(&self) -> Position {
        let found = self.output.values().chain(&self.dead_letters).max().copied().unwrap_or_default();
        found.max(Position { pass: self.floor.0, line: self.floor.1, sub: u32::MAX })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Of a file that holds `x`, as every version has named it.
    #[test]
    fn the_id_of_a_plain_feed_never_changes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.csv");
        std::fs::write(&path, "x").unwrap();
        let feed: Feed = path.to_str().unwrap().parse().unwrap();
        assert_eq!(FeedId::of(&feed, How::default()).unwrap().key(), "replay/7a6527a0f4c0ab71");
    }

    #[test]
    fn the_documented_key_is_the_code() {
        let page = include_str!("../../../docs/topics.md");
        let row = format!("| `{}` | `{}`", streams::topic::LEASES, FeedId("<feed>".to_owned()).key());
        assert!(page.lines().any(|line| line.starts_with(&row)), "{row}");
    }

    #[test]
    fn each_partition_knows_how_far_it_got() {
        let mut known = Known::up_to(0, 10);
        known.note(Target::Output, 0, "0:14:0".parse().unwrap());
        known.note(Target::Output, 0, "0:12:0".parse().unwrap());
        known.note(Target::Output, 2, "0:20:1".parse().unwrap());
        known.note(Target::DeadLetters, 0, "0:11:0".parse().unwrap());
        assert!(known.covers(0, 10) && !known.covers(0, 11) && !known.covers(1, 1));
        let has = |partition, position: &str| known.has(Target::Output, partition, position.parse().unwrap());
        assert!(has(0, "0:14:0") && has(0, "0:13:7") && !has(0, "0:14:1") && !has(0, "1:1:0"));
        assert!(!has(1, "0:11:0"));
        assert!(has(2, "0:20:0") && !has(2, "0:20:2"));
        assert!(known.has(Target::DeadLetters, 0, "0:11:0".parse().unwrap()));
        assert_eq!(known.highest(), "0:20:1".parse().unwrap());
    }

    #[test]
    fn headers_read_back() {
        assert_eq!(parse_header(b"00ff:1:2:3"), Some(("00ff", Position { pass: 1, line: 2, sub: 3 })));
        for bad in [&b""[..], b"00ff", b"00ff:1:2", b"\xff:1:2:3", b"x:a:2:3"] {
            assert_eq!(parse_header(bad), None);
        }
    }

    #[test]
    fn old_checkpoints_read_for_ever() {
        let old = r#"{"version":1,"feed":"a.csv","pass":0,"line":7,"topics":{"raw-market-data":{"id":"x","offsets":[1,2,3]}}}"#;
        let checkpoint: Checkpoint = serde_json::from_str(old).unwrap();
        assert_eq!((checkpoint.line, checkpoint.ended, checkpoint.topics["raw-market-data"].offsets[2]), (7, false, 3));
        let again: Checkpoint = serde_json::from_str(&serde_json::to_string(&checkpoint).unwrap()).unwrap();
        assert_eq!(again, checkpoint);
    }

    #[test]
    fn a_feed_is_its_name_and_content() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let (a, b) = (write("a.csv", "x"), write("b.csv", "x"));
        let id_as = |spec: &str, how: How| FeedId::of(&spec.parse().unwrap(), how).unwrap();
        let id = |spec: String| id_as(&spec, How::default());
        assert_eq!(id(a.clone()), id(a.clone()));
        assert_eq!(id(format!("n={a}")), id(format!("n={b}")), "the place does not matter");
        assert_ne!(id(a.clone()), id(b));
        let readings = [
            "",
            "?time_format=DD/MM/YYYY",
            "?time_format=MM/DD/YYYY",
            "?price=px",
            "?quantity=px",
            "?venue=X",
            "?symbol=X",
            "?interval=1m",
        ];
        let ids: BTreeSet<FeedId> = readings.iter().map(|reading| id(format!("{a}{reading}"))).collect();
        assert_eq!(ids.len(), readings.len(), "another reading is another replay");
        assert_ne!(id(format!("jsonl:{a}")), id(format!("a.csv={a}")));
        let before = id(a.clone());
        write("a.csv", "y");
        assert_ne!(id(a.clone()), before);
        assert_ne!(id_as(&a, How { sampled: true, seed: 0 }), id(a.clone()));
        assert_eq!(id_as(&a, How { sampled: false, seed: 1 }), id(a));
        assert_ne!(id_as("synthetic:", How { sampled: false, seed: 1 }), id("synthetic:".to_owned()));
        assert_ne!(id("synthetic:?seed=1".to_owned()), id("synthetic:?seed=2".to_owned()));
    }
}
