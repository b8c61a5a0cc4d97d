//! The lake once more, in fewer and larger objects, under a root of its own: `<prefix>/compact/`.
//!
//! In: the finished claims of a chain, and their objects. Out: the same rows in the same tables and partitions, by the
//! same protocol: a claim first, for a longer range of the same offsets, then its objects. What reads, checks or catalogs
//! a lake does so with this one, given its prefix. What this program leaves half-way, killed at any moment or run twice
//! at a time, the next run finishes; nothing is ever overwritten.
//!
//! The lake itself is not touched, for no sequence of writes and deletes can merge two objects unseen by a plain reader: he
//! would find a row twice, or not at all. A reader of one root finds each row once at every moment; nobody may mix the two.
//!
//! A claim is taken when another follows it (only then all its objects are surely there) and its day is over. A range
//! ends with a day, so that each partition of a table gets one object per day and partition of the topic; late records
//! make further ones. Earlier it ends where objects would grow too large ([`size`]).

use std::collections::BTreeMap;

use thiserror::Error;
use tracing::info;

use crate::bucket::{Bucket, BucketError, list_all};
use crate::chain::{Chain, ChainError, Stored, Unasked};
use crate::claim::{Checked, Claim, Kind};
use crate::expire;
use crate::format::Format;
use crate::layout::{Paths, Source};
use crate::range::{Encoded, Range, Size};
use crate::row::Feed;
use crate::table::{Dir, Grain};

mod input;
mod size;

use input::Input;

/// What tomorrow's records and broken clocks say of their time decides nothing.
const DAY_NS: i128 = 86_400_000_000_000;

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub format: Format,
    /// Objects are of this size or larger, up to half as much again, where their partition has so much.
    pub object_bytes: usize,
    /// Half of it is for objects under way, a quarter for rows that are not packed yet; the rest for one claim of the lake.
    pub memory_bytes: usize,
    /// Days are over that ended by now; nanoseconds since 1970 UTC.
    pub now: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self { format: Format::Parquet, object_bytes: 256 << 20, memory_bytes: 1 << 30, now: 0 }
    }
}

#[derive(Debug, Error)]
pub enum CompactError {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error("object {key} is not what its claim says: {why}; `finflow verify` tells more")]
    BadObject { key: String, why: String },
    #[error(
        "the compacted part of {source_partition} ends before offset {at}, where no claim of the lake begins: is it of another lake?"
    )]
    Elsewhere { source_partition: Source, at: i64 },
    #[error("the unfinished claim of {source_partition} from {start} cannot be made again from the lake: {why}")]
    Changed { source_partition: Source, start: i64, why: &'static str },
}

impl From<BucketError> for CompactError {
    fn from(error: BucketError) -> Self {
        CompactError::Chain(error.into())
    }
}

/// What one claim made of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub from_claims: u64,
    pub from_objects: u64,
    pub size: Size,
}

pub struct Compactor<B> {
    bucket: B,
    paths: Paths,
    options: Options,
    writer: String,
    /// Partitions of which objects were deleted on purpose.
    expired: std::collections::HashSet<String>,
    /// Starts of the claims of each chain, ascending, without the last: its objects may still be under way.
    chains: BTreeMap<Source, Vec<i64>>,
}

/// What follows in the compacted chain.
enum Next {
    /// Offsets without objects, as the lake declares them.
    Declared(Claim),
    Range(Box<Range>, Made),
}

impl<B: Bucket> Compactor<B> {
    /// `writer` is unique to this run of this process.
    pub async fn open(bucket: B, paths: Paths, options: Options, writer: String) -> Result<Self, CompactError> {
        let expired = expire::expired(&bucket, &paths).await?;
        let mut chains = BTreeMap::<Source, Vec<i64>>::new();
        for (source, start) in
            list_all(&bucket, &paths.all_claims()).await?.iter().filter_map(|key| paths.parse_claim(key))
        {
            chains.entry(source).or_default().push(start);
        }
        for starts in chains.values_mut() {
            starts.sort_unstable();
            starts.pop();
        }
        Ok(Self { bucket, paths, options, writer, expired, chains })
    }

    pub fn sources(&self) -> Vec<Source> {
        self.chains.keys().cloned().collect()
    }

    /// Compacts a chain as far as its days are over. `made` hears of every claim that this run made.
    pub async fn run(&self, source: &Source, mut made: impl FnMut(Made)) -> Result<(), CompactError> {
        let log = Unasked(source.topic_id.clone());
        let chain = Chain::new(self.bucket.clone(), log, self.paths.compact(), source.clone(), self.writer.clone());
        loop {
            let mut from = 0;
            if let Some(tail) = chain.tail().await? {
                from = tail.claim.end + 1;
                let missing = chain.missing(&tail).await?;
                if !missing.is_empty() {
                    info!(%source, start = tail.claim.start, objects = missing.len(), "finishing a claim of another run");
                    chain.complete(&self.again(source, tail, &missing).await?).await?;
                }
            }
            match self.next(source, from).await? {
                None => return Ok(()),
                Some(Next::Declared(claim)) => drop(chain.claim(&claim).await?),
                Some(Next::Range(range, mut unit)) => {
                    let encoded = range.seal(&self.writer, "compaction").encode();
                    unit.size = encoded.size();
                    // Beaten by another compactor: its claim is followed instead.
                    if chain.store(&encoded).await? == Stored::Done {
                        made(unit);
                    }
                }
            }
        }
    }

    async fn next(&self, source: &Source, from: i64) -> Result<Option<Next>, CompactError> {
        let mut range = Range::new(source.clone(), Feed::Raw, self.options.format, from);
        let (mut made, mut day, mut whole) = (Made::default(), None, None);
        for start in self.starts(source, from)? {
            let claim = self.claim(source, *start).await?;
            if claim.claim.kind != Kind::Data {
                if !range.is_empty() {
                    break;
                }
                let Claim { start, end, kind, ref why, .. } = claim.claim;
                return Ok(Some(Next::Declared(Claim::empty(source, start, end, kind, &self.writer, why))));
            }
            // Claims without a day, such as those of daily bars, join those before them.
            let own = self.day(&claim).or(day);
            let is_over = own.is_none_or(|end| end <= i128::from(self.options.now));
            if !is_over || (day.is_some() && own != day) || self.is_full(&range, &claim, &mut whole).await? {
                break;
            }
            day = own;
            made.from_claims += 1;
            made.from_objects += claim.claim.objects.len() as u64;
            self.add(source, claim, &mut range).await?;
        }
        Ok((!range.is_empty()).then(|| Next::Range(Box::new(range), made)))
    }

    /// The objects of a claim of this root that are missing, made of the lake's once more.
    async fn again(&self, source: &Source, tail: Checked, missing: &[usize]) -> Result<Encoded, CompactError> {
        let Claim { start, end, .. } = tail.claim;
        let changed = |why| CompactError::Changed { source_partition: source.clone(), start, why };
        let format = tail.format.ok_or_else(|| changed("it has no objects"))?;
        let mut range = Range::new(source.clone(), Feed::Raw, format, start);
        for start in self.starts(source, start)? {
            if range.next() > end {
                break;
            }
            let claim = self.claim(source, *start).await?;
            self.add(source, claim, &mut range).await?;
        }
        if range.next() != end + 1 {
            return Err(changed("it does not end where a claim of the lake ends"));
        }
        let mut sealed = range.seal(&self.writer, "compaction");
        let agree = sealed.claim.objects == tail.claim.objects && sealed.claim.runs == tail.claim.runs;
        if !agree {
            return Err(changed("its objects have other rows"));
        }
        sealed.claim = tail.claim;
        sealed.slots.retain(|(index, _)| missing.contains(index));
        Ok(sealed.encode())
    }

    /// Starts of finished claims, from this one on.
    fn starts(&self, source: &Source, from: i64) -> Result<&[i64], CompactError> {
        let all = self.chains.get(source).map_or(&[][..], Vec::as_slice);
        match all.binary_search(&from) {
            Ok(at) => Ok(&all[at..]),
            Err(at) if at == all.len() => Ok(&[]),
            Err(_) => Err(CompactError::Elsewhere { source_partition: source.clone(), at: from }),
        }
    }

    async fn claim(&self, source: &Source, start: i64) -> Result<Checked, CompactError> {
        let key = self.paths.claim(source, start);
        let Some(json) = self.bucket.get(&key).await? else { return Err(ChainError::ClaimGone { key }.into()) };
        Ok(Claim::read(&json, source, Some(start)).map_err(|why| ChainError::BadClaim { key, why })?)
    }

    /// Appends what a claim has to a range, within the memory.
    async fn add(&self, source: &Source, claim: Checked, range: &mut Range) -> Result<(), CompactError> {
        let input = Input::read(&self.bucket, &self.paths, &self.expired, source, claim).await?;
        input.push_to(range)?;
        if range.held_bytes() > self.options.memory_bytes / 4 {
            // Not all of them, so that a small object is not cut into small pieces.
            range.pack_down_to(range.size_bytes() / 2);
        }
        Ok(())
    }

    /// The end of the last day that a claim has rows of.
    fn day(&self, claim: &Checked) -> Option<i128> {
        let latest = i128::from(self.options.now) + DAY_NS;
        let dirs = claim.claim.objects.iter().filter_map(|object| object.key.rsplit_once('/')?.0.parse::<Dir>().ok());
        let days = dirs.filter(|dir| dir.table().grain() != Grain::Year).map(Dir::part_ends_at);
        days.filter(|end| *end <= latest).max()
    }
}

#[cfg(test)]
mod tests;
