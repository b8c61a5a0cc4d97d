//! What the store tells of itself: one function per event worth knowing, which counts it and logs it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness::SECONDS;
use harness::prom::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};
use lake::{BucketError, ChainError, Skip, Table, Trouble, Watcher};
use streams::TopicPartition;
use tracing::{info, warn};

mod catalog;

pub(crate) use catalog::CatalogWatch;

use crate::config::Config;
use crate::work::Receipt;

/// Between two log lines about the same trouble.
const SAY_AGAIN: Duration = Duration::from_secs(30);

const WHY: &[&str] =
    &["size", "rows", "objects", "event_span", "runs", "interval", "memory", "drain", "shutdown", "retention"];

#[derive(Clone)]
pub(crate) struct Observer {
    pub(crate) s3: S3Watch,
    pub(crate) catalog: CatalogWatch,
    pub(crate) flush_seconds: Histogram,
    records: IntCounterVec,
    skipped: IntCounterVec,
    rows: IntCounterVec,
    objects: IntCounter,
    object_bytes: IntCounter,
    claims: IntCounterVec,
    adoptions: IntCounter,
    beaten: IntCounter,
    pub(crate) buffered_bytes: IntGauge,
    pub(crate) paused_partitions: IntGauge,
    pub(crate) oldest_seconds: Gauge,
}

impl Observer {
    pub(crate) fn new(ctx: &harness::Context<Config>) -> Self {
        let m = &ctx.metrics;
        let topics = ctx.config.topics();
        let outcomes: Vec<[&str; 2]> =
            topics.iter().flat_map(|(topic, _)| [[*topic, "row"], [*topic, "skipped"]]).collect();
        let outcomes: Vec<&[&str]> = outcomes.iter().map(<[&str; 2]>::as_slice).collect();
        let skips: Vec<[&str; 2]> =
            topics.iter().flat_map(|(topic, feed)| feed.skips().into_iter().map(|reason| [*topic, reason])).collect();
        let skips: Vec<&[&str]> = skips.iter().map(<[&str; 2]>::as_slice).collect();
        let tables: Vec<[&str; 1]> = Table::ALL.iter().map(|table| [table.name()]).collect();
        let tables: Vec<&[&str]> = tables.iter().map(<[&str; 1]>::as_slice).collect();
        let why: Vec<&[&str]> = WHY.iter().map(std::slice::from_ref).collect();
        Self {
            s3: S3Watch::new(ctx),
            catalog: CatalogWatch::new(ctx),
            flush_seconds: m.histogram(
                "flush_seconds",
                "Time to make, claim and write the objects of a range.",
                SECONDS,
            ),
            records: m.counters(
                "records_total",
                "Records read by outcome; one that was read again after a restart counts again.",
                &["topic", "outcome"],
                &outcomes,
            ),
            skipped: m.counters(
                "skipped_records_total",
                "Records that are no row of any table, by reason; the claims list them too.",
                &["topic", "reason"],
                &skips,
            ),
            rows: m.counters("rows_total", "Rows stored by table.", &["table"], &tables),
            objects: m.counter("objects_total", "Objects stored."),
            object_bytes: m.counter("object_bytes_total", "Bytes of the objects stored."),
            claims: m.counters("claims_total", "Claims made, by why the range ended.", &["why"], &why),
            adoptions: m.counter("adoptions_total", "Claims of an earlier owner that were finished."),
            beaten: m.counter("beaten_total", "Ranges dropped because another writer had claimed them."),
            buffered_bytes: m.gauge("buffered_bytes", "Rows in memory, those being stored included."),
            paused_partitions: m.gauge("paused_partitions", "Partitions not read because the memory is full."),
            oldest_seconds: m.float_gauge("oldest_unstored_seconds", "How long the oldest row in memory has waited."),
        }
    }

    /// Counted in batches: a label look-up per record would cost more than the record.
    pub(crate) fn records(&self, topic: &str, tally: &mut Tally) {
        if tally.rows > 0 {
            self.records.with_label_values(&[topic, "row"]).inc_by(tally.rows);
        }
        for (reason, count) in &tally.skips {
            self.records.with_label_values(&[topic, "skipped"]).inc_by(*count);
            self.skipped.with_label_values(&[topic, reason]).inc_by(*count);
        }
        *tally = Tally::default();
    }

    pub(crate) fn stored(&self, receipt: &Receipt) {
        let claim = &receipt.claim;
        self.objects.inc_by(receipt.objects);
        self.object_bytes.inc_by(receipt.bytes);
        self.claims.with_label_values(&[&claim.why]).inc();
        for object in &claim.objects {
            let table = object.key.split('/').next().unwrap_or_default();
            self.rows.with_label_values(&[table]).inc_by(object.rows);
        }
        let (topic, partition, objects, rows) = (&claim.topic, claim.partition, receipt.objects, receipt.rows);
        info!(topic, partition, start = claim.start, end = claim.end, objects, rows, why = claim.why, "stored a range");
    }

    pub(crate) fn adopted(&self, receipt: &Receipt) {
        let claim = &receipt.claim;
        self.adoptions.inc();
        self.objects.inc_by(receipt.objects);
        self.object_bytes.inc_by(receipt.bytes);
        let (topic, partition, objects, rows) = (&claim.topic, claim.partition, receipt.objects, receipt.rows);
        let writer = &claim.writer;
        info!(
            topic,
            partition,
            start = claim.start,
            end = claim.end,
            objects,
            rows,
            writer,
            "finished a claim that was left behind"
        );
    }

    pub(crate) fn beaten(&self, partition: &TopicPartition) {
        self.beaten.inc();
        info!(%partition, "another writer was faster, following its claim");
    }

    pub(crate) fn recreated(&self, partition: &TopicPartition, error: &ChainError) {
        warn!(%partition, %error, "what was read is dropped, beginning with the new topic");
    }

    pub(crate) fn out_of_range(&self, reason: &str) {
        warn!(reason, "kafka no longer has the records to be read next, looking for the place again");
    }

    pub(crate) fn commit_refused(&self, error: &streams::StreamError) {
        warn!(%error, "could not commit the positions, which are a hint for lag tools only");
    }

    pub(crate) fn waiting(&self, partition: &TopicPartition, error: &ChainError) {
        if self.s3.say_now(&error.to_string()) {
            warn!(%partition, %error, "trying again");
        }
    }

    pub(crate) fn left_unstored(&self, partitions: usize) {
        warn!(partitions, "stopping before everything read was stored, it will be read again");
    }
}

/// What a partition's records came to since the last count.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) rows: u64,
    pub(crate) skips: Vec<(Skip, u64)>,
}

impl Tally {
    pub(crate) fn skip(&mut self, reason: Skip) {
        match self.skips.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.skips.push((reason, 1)),
        }
    }
}

/// How the object store does: the health check `s3`, a counter, and a log line now and then.
#[derive(Clone)]
pub(crate) struct S3Watch {
    state: Arc<Mutex<S3State>>,
    errors: IntCounterVec,
}

#[derive(Default)]
struct S3State {
    /// Why it cannot be used. Before the first answer: that there was none yet.
    trouble: Option<String>,
    said: Option<(String, Instant)>,
}

impl S3Watch {
    fn new(ctx: &harness::Context<Config>) -> Self {
        let kinds: Vec<[&str; 1]> = Trouble::ALL.iter().map(|trouble| [trouble.as_str()]).collect();
        let kinds: Vec<&[&str]> = kinds.iter().map(<[&str; 1]>::as_slice).collect();
        let state = S3State { trouble: Some("not asked yet".to_owned()), said: None };
        let watch = Self {
            state: Arc::new(Mutex::new(state)),
            errors: ctx.metrics.counters(
                "s3_errors_total",
                "Requests to the object store that failed after the client's own retries.",
                &["trouble"],
                &kinds,
            ),
        };
        let asked = watch.clone();
        ctx.health.check("s3", move || asked.trouble().map_or(Ok(()), Err));
        watch
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble.clone()
    }

    /// Whether this is news, or old enough to be said again.
    fn say_now(&self, what: &str) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let old = state.said.as_ref().is_none_or(|(said, at)| said != what || at.elapsed() >= SAY_AGAIN);
        if old {
            state.said = Some((what.to_owned(), Instant::now()));
        }
        old
    }
}

impl Watcher for S3Watch {
    fn failed(&self, error: &BucketError) {
        self.errors.with_label_values(&[error.trouble.as_str()]).inc();
        let text = error.to_string();
        // Keys differ from request to request; the trouble is the same.
        if self.say_now(&format!("{:?} {}", error.trouble, error.why)) {
            warn!(error = text, "the object store does not work, trying again");
        }
        self.state.lock().unwrap_or_else(PoisonError::into_inner).trouble = Some(text);
    }

    fn succeeded(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.trouble.take().is_some() && state.said.take().is_some() {
            info!("the object store works again");
        }
    }
}
