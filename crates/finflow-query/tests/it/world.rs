//! A lake in a folder, as a `finflow up` leaves it, and the program asked over it.

use std::path::PathBuf;
use std::process::{Command, Output};

use lake::bucket::{Memory, Object};
use lake::{Chain, Feed, Format, Paths, Pushed, Range, Record, Source, Unasked};
use market::window::{Fold, Input, Moment, Options};
use market::{Event, Metrics};

use crate::rows::{self, BTC, Daily, ETH, GAPS, LETTERS, NEWS};

pub struct World {
    pub dir: tempfile::TempDir,
    bucket: Memory,
}

type Headers = Vec<(&'static str, &'static str)>;

impl World {
    pub fn empty() -> Self {
        let world = Self { dir: tempfile::tempdir().expect("a folder"), bucket: Memory::default() };
        std::fs::create_dir_all(world.folder()).expect("a folder");
        world
    }

    /// The events are stored in as many ranges as there are formats, everything else in the last of these.
    pub fn new(formats: &[Format]) -> Self {
        Self::of(&Daily::shares(), formats)
    }

    pub fn of(daily: &Daily, formats: &[Format]) -> Self {
        let world = Self::empty();
        let (btc, eth) = (rows::trades(BTC), rows::trades(ETH));
        let mut metrics = Vec::new();
        metrics.extend(folded(&btc, 0));
        metrics.extend(folded(&eth, 1));
        let jsons = |trades: Vec<rows::Trade>| trades.into_iter().map(|trade| trade.json());
        let gaps = GAPS.iter().map(rows::Gap::json);
        let news = NEWS.iter().map(rows::News::json);
        let bars = daily.bars.iter().map(rows::Bar::json);
        world.store("raw", 0, Feed::Raw, formats, jsons(btc).chain(gaps).chain(news).collect());
        world.store("raw", 1, Feed::Raw, formats, jsons(eth).chain(bars).collect());
        let last = &formats[formats.len() - 1..];
        world.store("metrics", 0, Feed::Metrics, last, metrics);
        world.store("dead", 0, Feed::DeadLetters, last, LETTERS.map(|_| "alien".to_owned()).into());
        for (key, object) in world.bucket.objects() {
            let path = world.folder().join(key);
            std::fs::create_dir_all(path.parent().expect("below the folder")).expect("a folder");
            std::fs::write(path, object.body).expect("the folder is writable");
        }
        world
    }

    /// By the keys that they have below the folder of the lake.
    pub fn objects(&self) -> impl Iterator<Item = (String, Object)> {
        self.bucket.objects().into_iter()
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("s3/finflow")
    }

    fn store(&self, topic: &str, partition: i32, feed: Feed, formats: &[Format], values: Vec<String>) {
        let source = Source::new(topic, "id", partition);
        let log = Unasked(source.topic_id.clone());
        let chain = Chain::new(self.bucket.clone(), log, Paths::new(""), source.clone(), "test".to_owned());
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let values: Vec<(i64, String)> = (0..).zip(values).collect();
        for (format, values) in formats.iter().zip(values.chunks(values.len().div_ceil(formats.len()))) {
            let mut range = Range::new(source.clone(), feed, *format, values[0].0);
            for (offset, value) in values {
                let (timestamp_ms, headers) = about(feed, *offset);
                let headers: Vec<(&str, &[u8])> = headers.iter().map(|(name, text)| (*name, text.as_bytes())).collect();
                let value = Some(value.as_bytes());
                let record = Record { offset: *offset, timestamp_ms, key: None, value, headers: &headers };
                assert!(matches!(range.push(&record), Pushed::Row(_)), "{topic} offset {offset} is no row");
            }
            runtime.block_on(chain.store(&range.seal("test", "test").encode())).expect("stored");
        }
    }

    pub fn ask(&self, words: &[&str]) -> Output {
        program().arg("--state").arg(self.dir.path()).args(words).output().expect("finflow-query starts")
    }

    /// The rows of a query, without their head.
    pub fn rows(&self, words: &[&str]) -> Vec<Vec<String>> {
        let output = self.ask(&[words, &["--format", "csv"]].concat());
        cells(&output, words)
    }
}

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_finflow-query"))
}

pub fn cells(output: &Output, words: &[&str]) -> Vec<Vec<String>> {
    assert!(output.status.success(), "{words:?}: {}", said(output));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// What went to the terminal beside the rows.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn about(feed: Feed, offset: i64) -> (i64, Headers) {
    match feed {
        Feed::DeadLetters => {
            let (time, stage, reason) = LETTERS[usize::try_from(offset).expect("an offset")];
            (time, vec![("finflow-dlq-stage", stage), ("finflow-dlq-reason", reason)])
        }
        _ => (0, Headers::new()),
    }
}

/// What `aggregate` tells of the trades; the first of them comes twice.
fn folded(trades: &[rows::Trade], partition: i32) -> Vec<String> {
    let mut fold = Fold::new(&Options::default(), partition).expect("the default windows");
    let mut told: Vec<Metrics> = Vec::new();
    for (offset, trade) in (0..).zip(std::iter::once(&trades[0]).chain(trades)) {
        let Ok(Event::Trade(trade)) = Event::decode(trade.json().as_bytes()) else { panic!("a trade") };
        fold.trade(&Input::of_owned(&trade, offset), &mut told);
    }
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut told);
    let encoded = |metrics: Metrics| {
        let mut json = Vec::new();
        metrics.encode(&mut json);
        String::from_utf8(json).expect("JSON is text")
    };
    told.into_iter().map(encoded).collect()
}
