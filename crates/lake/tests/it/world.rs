//! A world of which a test decides every step: a log, a bucket, and writers that stop before each request.
//!
//! The writers are the real code ([`lake::Chain`], [`lake::Range`], [`lake::Adoption`]). Each request of theirs waits
//! until the test says what becomes of it: done, done with the answer lost, or still on its way long after the writer
//! gave up. A writer is a future, so a crash is dropping it.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use lake::bucket::{Head, Memory, Object, Put};
use lake::{Adoption, Bucket, BucketError, Chain, ChainError, Feed, Format, Log, Next, Paths, Progress, Range, Record};
use lake::{Source, Stored};

pub const TOPIC: &str = "raw";

/// The topic as it is now.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
pub struct LogState {
    pub incarnation: u8,
    pub low: i64,
    pub high: i64,
    /// Offset of a transaction's marker, which no reader is given.
    pub marker: Option<i64>,
    /// What the group has committed, and of which incarnation.
    pub committed: Option<(u8, i64)>,
}

impl LogState {
    pub fn topic_id(&self) -> String {
        format!("uuid{}", self.incarnation)
    }

    /// The record at an offset: its hour alternates, so that every range of two spans two objects. Offset 2 is a
    /// heartbeat, which is a skip.
    fn value(&self, offset: i64) -> String {
        if offset == 2 {
            return r#"{"kind":"heartbeat","schema_version":1,"venue":"X","receive_time":5}"#.to_owned();
        }
        let (time, price) = (offset % 2 * 3_600_000_000_000, i64::from(self.incarnation) * 100 + offset + 1);
        format!(
            r#"{{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":{price},"quantity":1,"event_time":{time}}}"#
        )
    }
}

/// One thing a writer waits for.
struct Cell {
    what: What,
    verdict: Mutex<(Option<Verdict>, Option<Waker>)>,
}

#[derive(Clone, Debug)]
pub enum What {
    /// A write, which may go wrong in every way.
    Put(String, Object),
    /// A look, which has no effect.
    Look(String),
    List(String),
    /// The group's position in this incarnation of the topic: a write of another kind.
    Commit(u8, i64),
    /// A free choice among so many.
    Choose(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    /// Carried out, and the answer is lost.
    Lost,
    /// No answer; the request lands at any later time.
    Late,
    Chosen(usize),
}

/// What the writers and the test share.
#[derive(Clone)]
pub struct Shared {
    pub bucket: Memory,
    pub log: Arc<Mutex<LogState>>,
    /// The log changes in this world. Where it does not, asking about it is no step of its own.
    pub log_changes: bool,
    /// Writers commit, as steps of their own.
    pub commits: bool,
}

impl Shared {
    pub fn log(&self) -> MutexGuard<'_, LogState> {
        self.log.lock().expect("no writer panicked")
    }
}

/// A writer's hand on the shared world.
#[derive(Clone)]
struct Hand {
    shared: Shared,
    waiting: Arc<Mutex<Vec<Arc<Cell>>>>,
}

impl Hand {
    async fn wait(&self, what: What) -> Verdict {
        let cell = Arc::new(Cell { what, verdict: Mutex::default() });
        self.waiting.lock().expect("no panic").push(cell.clone());
        let verdict = poll_fn(|cx| {
            let mut state = cell.verdict.lock().expect("no panic");
            state.1 = Some(cx.waker().clone());
            state.0.map_or(Poll::Pending, Poll::Ready)
        })
        .await;
        self.waiting.lock().expect("no panic").retain(|other| !Arc::ptr_eq(other, &cell));
        verdict
    }

    /// As the store does it: once, whatever becomes of it.
    async fn commit(&self, incarnation: u8, offset: i64) {
        if self.shared.commits && self.wait(What::Commit(incarnation, offset)).await != Verdict::Late {
            self.shared.log().committed = Some((incarnation, offset));
        }
    }

    async fn look(&self, what: String) {
        self.wait(What::Look(what)).await;
    }
}

impl Bucket for Hand {
    async fn put_new(&self, key: &str, object: Object) -> Result<Put, BucketError> {
        // As the store does it: the same request again until there is an answer.
        loop {
            match self.wait(What::Put(key.to_owned(), object.clone())).await {
                Verdict::Late => {}
                Verdict::Lost => drop(self.shared.bucket.put_new(key, object.clone()).await?),
                Verdict::Done | Verdict::Chosen(_) => return self.shared.bucket.put_new(key, object).await,
            }
        }
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>, BucketError> {
        // A claim never changes, and nobody looks at one that he has not seen: no step of its own.
        self.shared.bucket.get(key).await
    }

    async fn head(&self, key: &str) -> Result<Option<Head>, BucketError> {
        self.look(format!("head {key}")).await;
        self.shared.bucket.head(key).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, BucketError> {
        self.wait(What::List(prefix.to_owned())).await;
        self.shared.bucket.list(prefix, after, max).await
    }

    fn name(&self) -> String {
        "model".to_owned()
    }
}

impl Log for Hand {
    async fn topic_id(&self, _topic: &str) -> Result<String, ChainError> {
        if self.shared.log_changes {
            self.look("topic id".to_owned()).await;
        }
        Ok(self.shared.log().topic_id())
    }

    async fn watermarks(&self, source: &Source) -> Result<(i64, i64), ChainError> {
        if self.shared.log_changes {
            self.look("watermarks".to_owned()).await;
        }
        let log = self.shared.log();
        if log.topic_id() != source.topic_id {
            return Err(ChainError::Recreated {
                topic: TOPIC.to_owned(),
                was: source.topic_id.clone(),
                now: log.topic_id(),
            });
        }
        Ok((log.low, log.high))
    }
}

/// A writer as the store is one: locate, then read and store, or adopt; on from the end of what it stored.
async fn write(hand: Hand, name: String, format: Format) -> Result<(), ChainError> {
    'start: loop {
        let topic_id = hand.topic_id(TOPIC).await?;
        let source = Source::new(TOPIC, topic_id, 0);
        let chain = Chain::new(hand.clone(), hand.clone(), Paths::new(""), source.clone(), name.clone());
        loop {
            let mut from = match chain.locate().await {
                Ok(Next::Read { from }) => from,
                Ok(Next::Adopt { claim, missing }) => {
                    let mut adoption = Adoption::new(*claim, Feed::Raw, &missing);
                    let log = hand.shared.log().clone();
                    for offset in records(&log, adoption.start().max(log.low)..log.high) {
                        if with_record(&log, offset, |record| adoption.push(record)) == Progress::Complete {
                            break;
                        }
                    }
                    let (low, _) = match hand.watermarks(&source).await {
                        Err(ChainError::Recreated { .. }) => continue 'start,
                        other => other?,
                    };
                    let sealed = match adoption.finish(low) {
                        // What was read may be of a topic made meanwhile.
                        Err(_) if hand.topic_id(TOPIC).await? != source.topic_id => continue 'start,
                        other => other?,
                    };
                    chain.complete(&sealed.encode()).await?;
                    continue;
                }
                Err(ChainError::Recreated { .. }) => continue 'start,
                Err(error) => return Err(error),
            };
            loop {
                let longest = hand.wait(What::Choose(2)).await;
                let log = hand.shared.log().clone();
                if from >= log.high {
                    return Ok(());
                }
                let mut range = Range::new(source.clone(), Feed::Raw, format, from);
                // Kafka refuses a position below the log's start: the place is to be found again.
                if from < log.low {
                    break;
                }
                let end = if longest == Verdict::Chosen(0) { from + 1 } else { log.high };
                for offset in records(&log, from..end) {
                    with_record(&log, offset, |record| range.push(record));
                }
                range.skip_to(end);
                from = range.next();
                match chain.store(&range.seal(&name, "model").encode()).await {
                    Ok(Stored::Done) => hand.commit(log.incarnation, from).await,
                    Ok(Stored::Beaten) => break,
                    Err(ChainError::Recreated { .. }) => continue 'start,
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// The offsets at which a reader is given a record.
fn records(log: &LogState, offsets: std::ops::Range<i64>) -> impl Iterator<Item = i64> {
    let marker = log.marker;
    offsets.filter(move |offset| Some(*offset) != marker)
}

fn with_record<T>(log: &LogState, offset: i64, then: impl FnOnce(&Record<'_>) -> T) -> T {
    let value = log.value(offset);
    then(&Record { offset, timestamp_ms: 0, key: None, value: Some(value.as_bytes()), headers: &[] })
}

/// A running writer.
pub struct Writer {
    future: Pin<Box<dyn Future<Output = Result<(), ChainError>>>>,
    waiting: Arc<Mutex<Vec<Arc<Cell>>>>,
    pub ended: Option<Result<(), String>>,
    /// Everything that happened to it: with the world's content, all that its future holds.
    pub history: Vec<String>,
}

impl Writer {
    pub fn start(shared: &Shared, name: String, format: Format) -> Self {
        let waiting = Arc::default();
        let hand = Hand { shared: shared.clone(), waiting: Arc::clone(&waiting) };
        let history = vec![format!("{name} {format:?}")];
        let mut writer = Self { future: Box::pin(write(hand, name, format)), waiting, ended: None, history };
        writer.run();
        writer
    }

    /// What it waits for, in a fixed order.
    pub fn waits(&self) -> Vec<What> {
        self.waiting.lock().expect("no panic").iter().map(|cell| cell.what.clone()).collect()
    }

    /// Lets one of those happen and runs on to the next stop. `note` is all that the writer sees of the world by it.
    pub fn decide(&mut self, index: usize, verdict: Verdict, note: String) {
        let cell = self.waiting.lock().expect("no panic")[index].clone();
        let waker = {
            let mut state = cell.verdict.lock().expect("no panic");
            state.0 = Some(verdict);
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.history.push(note);
        self.run();
    }

    fn run(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = self.future.as_mut().poll(&mut context) {
            self.ended = Some(result.map_err(|error| error.to_string()));
        }
    }
}

/// The rows of all objects: what record it is (the incarnation of the topic that it was written to, and its offset),
/// and the objects it is in.
pub fn rows(bucket: &Memory) -> BTreeMap<(String, i64), Vec<String>> {
    let mut rows: BTreeMap<(String, i64), Vec<String>> = BTreeMap::new();
    let paths = Paths::new("");
    for (key, object) in bucket.objects() {
        if paths.parse(&key).is_none() {
            continue;
        }
        let mut lines = Vec::new();
        let take = |line: &[u8]| lines.push(String::from_utf8(line.to_vec()).expect("utf-8"));
        lake::read_object(&paths, &key, object.body, take).expect("the object is whole");
        for line in lines {
            let number = |before: &str| -> i64 {
                let (_, after) = line.rsplit_once(before).expect("every row has it");
                let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
                after[..digits].parse().expect("a number")
            };
            let topic_id = format!("uuid{}", number("\"price\":") / 100);
            rows.entry((topic_id, number("\"_offset\":"))).or_default().push(key.clone());
        }
    }
    rows
}
