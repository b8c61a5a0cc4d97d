//! Fetch: batches out of partitions, waiting for them where there are none yet.
//!
//! No fetch sessions are kept (the answer's session is always 0), so every request names all its partitions.

use crate::{
    errors::Code,
    node::Node,
    partition::{Partition, Slice},
    request::Request,
    wire::{Malformed, Reader, Writer},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::futures::OwnedNotified;
use uuid::Uuid;

/// An answer is never larger than this and one batch, however much the client would take.
const MAX_ANSWER: usize = 8 << 20;
/// A client cannot hold its connection for longer.
const MAX_WAIT: Duration = Duration::from_secs(60);

struct Fetch {
    max_wait: Duration,
    min_bytes: usize,
    max_bytes: usize,
    committed: bool,
    topics: Vec<Wanted>,
}

struct Wanted {
    /// By name, or from version 13 on by UUID.
    name: String,
    id: Uuid,
    partitions: Vec<WantedPartition>,
}

struct WantedPartition {
    index: i32,
    offset: i64,
    max_bytes: usize,
    found: Result<Arc<Partition>, Code>,
}

pub async fn answer(node: &Node, request: &mut Request, w: &mut Writer) -> Result<(), Malformed> {
    let version = request.version;
    let mut fetch = read(&mut request.body, version)?;
    fetch.find(node, version);
    let deadline = request.received + fetch.max_wait;
    loop {
        // Listened for before looking, so that what comes in between is not missed.
        let mut news = fetch.listen();
        let slices = fetch.slices();
        let bytes: usize =
            slices.iter().flatten().map(|slice| slice.as_ref().map_or(0, |slice| slice.records.len())).sum();
        let failed = slices.iter().flatten().any(Result::is_err);
        if bytes >= fetch.min_bytes || failed || Instant::now() >= deadline {
            fetch.write(w, version, slices);
            return Ok(());
        }
        drop(slices);
        let _ = tokio::time::timeout_at(deadline.into(), any(&mut news)).await;
    }
}

fn read(r: &mut Reader, version: i16) -> Result<Fetch, Malformed> {
    let _replica = r.i32()?;
    let max_wait = Duration::from_millis(r.i32()?.max(0) as u64).min(MAX_WAIT);
    let min_bytes = r.i32()?.max(0) as usize;
    let max_bytes = (r.i32()?.max(0) as usize).min(MAX_ANSWER);
    let committed = r.i8()? == 1;
    if version >= 7 {
        let (_session, _epoch) = (r.i32()?, r.i32()?);
    }
    let topics = r.array(|r| {
        let (name, id) = if version >= 13 { (String::new(), r.uuid()?) } else { (r.string()?, Uuid::nil()) };
        let partitions = r.array(|r| read_partition(r, version))?;
        r.tags()?;
        Ok(Wanted { name, id, partitions })
    })?;
    if version >= 7 {
        r.array(|r| {
            let _topic = if version >= 13 { r.uuid()?.to_string() } else { r.string()? };
            let _partitions = r.array(Reader::i32)?;
            r.tags()
        })?;
    }
    if version >= 11 {
        let _rack = r.string()?;
    }
    r.tags()?;
    Ok(Fetch { max_wait, min_bytes, max_bytes, committed, topics })
}

fn read_partition(r: &mut Reader, version: i16) -> Result<WantedPartition, Malformed> {
    let index = r.i32()?;
    if version >= 9 {
        let _leader_epoch = r.i32()?;
    }
    let offset = r.i64()?;
    if version >= 12 {
        let _last_fetched_epoch = r.i32()?;
    }
    if version >= 5 {
        let _log_start = r.i64()?;
    }
    let max_bytes = r.i32()?.max(0) as usize;
    r.tags()?;
    Ok(WantedPartition { index, offset, max_bytes, found: Err(Code::UnknownTopicOrPartition) })
}

impl Fetch {
    fn find(&mut self, node: &Node, version: i16) {
        for topic in &mut self.topics {
            let found = if version >= 13 { node.topics.by_id(topic.id) } else { node.topics.get(&topic.name) };
            let unknown = if version >= 13 { Code::UnknownTopicId } else { Code::UnknownTopicOrPartition };
            for wanted in &mut topic.partitions {
                wanted.found = match &found {
                    Some(topic) => topic.partition(wanted.index).ok_or(Code::UnknownTopicOrPartition),
                    None => Err(unknown),
                };
            }
        }
    }

    fn listen(&self) -> Vec<std::pin::Pin<Box<OwnedNotified>>> {
        let all = self.topics.iter().flat_map(|topic| &topic.partitions);
        let all = all.filter_map(|wanted| wanted.found.as_ref().ok());
        all.map(|partition| {
            let mut news = Box::pin(partition.news.clone().notified_owned());
            news.as_mut().enable();
            news
        })
        .collect()
    }

    /// What there is now, by topic and partition.
    fn slices(&self) -> Vec<Vec<Result<Slice, Code>>> {
        let mut left = self.max_bytes;
        let mut none_yet = true;
        let mut slice = |wanted: &WantedPartition| {
            let partition = wanted.found.as_ref().map_err(|code| *code)?;
            // The first batch is sent whatever its size, or a reader could never pass it.
            let slice = partition.read(wanted.offset, wanted.max_bytes.min(left), self.committed, none_yet)?;
            left -= slice.records.len().min(left);
            none_yet &= slice.records.is_empty();
            Ok(slice)
        };
        self.topics.iter().map(|topic| topic.partitions.iter().map(&mut slice).collect()).collect()
    }

    fn write(&self, w: &mut Writer, version: i16, slices: Vec<Vec<Result<Slice, Code>>>) {
        w.i32(0);
        if version >= 7 {
            w.i16(0);
            w.i32(0);
        }
        w.array(self.topics.iter().zip(slices), |w, (topic, slices)| {
            if version >= 13 {
                w.uuid(topic.id)
            } else {
                w.string(&topic.name)
            }
            w.array(topic.partitions.iter().zip(slices), |w, (wanted, slice)| {
                w.i32(wanted.index);
                write_slice(w, version, slice, self.committed);
                w.tags();
            });
            w.tags();
        });
        w.tags();
    }
}

fn write_slice(w: &mut Writer, version: i16, slice: Result<Slice, Code>, committed: bool) {
    w.i16(crate::errors::number(&slice));
    let slice = slice.ok();
    let offsets = slice.as_ref().map(|slice| slice.offsets);
    w.i64(offsets.map_or(-1, |offsets| offsets.end));
    w.i64(offsets.map_or(-1, |offsets| offsets.stable));
    if version >= 5 {
        w.i64(offsets.map_or(-1, |offsets| offsets.start));
    }
    let aborted = slice.as_ref().map(|slice| &slice.aborted).filter(|_| committed);
    w.count(aborted.map(Vec::len));
    for aborted in aborted.into_iter().flatten() {
        w.i64(aborted.producer_id);
        w.i64(aborted.first_offset);
        w.tags();
    }
    if version >= 11 {
        w.i32(-1);
    }
    w.bytes(slice.as_ref().map_or(&[], |slice| &slice.records));
}

/// Until one of them is told.
async fn any(news: &mut [std::pin::Pin<Box<OwnedNotified>>]) {
    std::future::poll_fn(|cx| {
        let told = news.iter_mut().any(|one| one.as_mut().poll(cx).is_ready());
        if told { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}
