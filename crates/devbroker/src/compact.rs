//! Compaction: of all records with one key the last stays.
//!
//! Sealed segments are read, written anew without what is superseded, rolled back or an expired tombstone, and put in
//! the place of the old ones. Surviving records keep their offsets and, where a batch loses some, are written
//! uncompressed. Only decided records (below the last stable offset) are touched.
//!
//! A crash at any point leaves a whole log: `*.cleaned` is unfinished and thrown away, `*.swap` is finished and
//! takes its place at the next start, its name saying which segments it replaces.

use crate::{
    batch::{self, Header},
    config::Settings,
    log::{
        scan::Scan,
        segment::{self, Segment},
    },
    partition::Partition,
    producers::Aborted,
    records,
};
use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Memory for the keys of one pass; what does not fit is left for the next.
const MAX_KEYS_BYTES: usize = 32 << 20;

/// Which offset holds each key's last value, up to `end`.
struct Latest {
    offsets: HashMap<Vec<u8>, i64>,
    end: i64,
}

/// Compacts a partition if enough of it is new, and answers whether it did.
pub fn compact(partition: &Partition, settings: &Settings, now_ms: i64) -> io::Result<bool> {
    let (segments, cleaned, aborted, total) = {
        let state = partition.lock();
        let stable = state.offsets().stable;
        let due = |s: &&Segment| s.next <= stable && now_ms - s.written_ms >= settings.min_compaction_lag_ms;
        let due = || state.log.sealed().iter().take_while(due);
        let total: u64 = due().map(|segment| segment.len).sum();
        let dirty: u64 = due().filter(|segment| segment.next > state.cleaned).map(|segment| segment.len).sum();
        if dirty == 0 || (dirty as f64) < settings.min_dirty_ratio * total as f64 {
            return Ok(false);
        }
        (due().cloned().collect::<Vec<_>>(), state.cleaned, state.log.aborted(0, i64::MAX), total)
    };
    let latest = map_keys(&partition.dir, segments.iter().filter(|s| s.next > cleaned), &aborted)?;
    let within: Vec<Segment> = segments.into_iter().filter(|segment| segment.next <= latest.end).collect();
    let cleaner = Cleaner { dir: &partition.dir, latest: &latest, aborted: &aborted, settings, now_ms };
    let mut kept = 0;
    for group in groups(&within, settings.roll().bytes) {
        let Some(done) = cleaner.replace(partition, group)? else { return Ok(false) };
        kept += done;
    }
    partition.lock().cleaned = latest.end;
    tracing::info!(dir = %partition.dir.display(), before_bytes = total, after_bytes = kept, "compacted");
    Ok(true)
}

fn map_keys<'a>(dir: &Path, segments: impl Iterator<Item = &'a Segment>, aborted: &[Aborted]) -> io::Result<Latest> {
    let mut latest = Latest { offsets: HashMap::new(), end: 0 };
    let mut bytes = 0;
    for segment in segments {
        if bytes > MAX_KEYS_BYTES {
            break;
        }
        let mut scan = Scan::new(Arc::new(segment.open(dir)?), 0, segment.len);
        while let Some(header) = scan.peek()? {
            if !header.is_control() && !is_aborted(&header, aborted) {
                let batch = scan.batch(&header)?;
                let unfolded = records::unfold(batch, &header).unwrap_or_default();
                for record in records::walk(&unfolded).map_while(Result::ok) {
                    let Some(key) = record.key else { continue };
                    let offset = header.base_offset + i64::from(record.offset_delta);
                    if latest.offsets.insert(key.to_vec(), offset).is_none() {
                        bytes += key.len() + 64;
                    }
                }
            }
            scan.skip(&header);
        }
        latest.end = segment.next;
    }
    Ok(latest)
}

fn is_aborted(header: &Header, aborted: &[Aborted]) -> bool {
    let of = |a: &Aborted| {
        a.producer_id == header.producer_id && (a.first_offset..a.last_offset).contains(&header.base_offset)
    };
    header.is_transactional() && aborted.iter().any(of)
}

/// Neighbours that fit one segment together become one.
fn groups(segments: &[Segment], max_bytes: u64) -> Vec<&[Segment]> {
    let mut all = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (at, segment) in segments.iter().enumerate() {
        if at > from && bytes + segment.len > max_bytes {
            all.push(&segments[from..at]);
            (from, bytes) = (at, 0);
        }
        bytes += segment.len;
    }
    if from < segments.len() {
        all.push(&segments[from..]);
    }
    all
}

struct Cleaner<'a> {
    dir: &'a Path,
    latest: &'a Latest,
    aborted: &'a [Aborted],
    settings: &'a Settings,
    now_ms: i64,
}

impl Cleaner<'_> {
    /// Writes a group of segments anew and swaps it in. `None` where the topic was deleted meanwhile.
    fn replace(&self, partition: &Partition, group: &[Segment]) -> io::Result<Option<u64>> {
        let base = group[0].base;
        let end = group.last().map_or(base, |segment| segment.next).max(base + 1);
        let unfinished = self.dir.join(format!("{base:020}.cleaned"));
        let cleaned = self.write(group, &unfinished)?;
        let len = cleaned.len;
        let mut state = partition.lock();
        if state.gone {
            return Ok(None);
        }
        let swap = self.dir.join(format!("{base:020}-{end:020}.swap"));
        fs::rename(&unfinished, &swap)?;
        finish_swap(self.dir, &swap, base, end)?;
        let _ = cleaned.save(self.dir);
        state.log.replace(base..end, Some(cleaned));
        Ok(Some(len))
    }

    fn write(&self, group: &[Segment], to: &Path) -> io::Result<Segment> {
        let mut out = BufWriter::new(File::create(to)?);
        let mut cleaned = Segment::new(group[0].base, self.now_ms);
        cleaned.started_ms = group[0].started_ms;
        cleaned.written_ms = group.iter().map(|segment| segment.written_ms).max().unwrap_or(self.now_ms);
        for segment in group {
            let expired = self.now_ms - segment.written_ms >= self.settings.delete_retention_ms;
            let mut scan = Scan::new(Arc::new(segment.open(self.dir)?), 0, segment.len);
            while let Some(header) = scan.peek()? {
                if let Some(batch) = self.survivors(scan.batch(&header)?, &header, expired) {
                    out.write_all(&batch)?;
                    let header = Header::parse(&batch).expect("it was read or built here");
                    let ended =
                        self.aborted.iter().find(|a| header.is_control() && a.last_offset == header.base_offset);
                    cleaned.note(&header, ended.copied());
                }
                scan.skip(&header);
            }
        }
        out.into_inner()?.sync_data()?;
        Ok(cleaned)
    }

    /// What stays of a batch; `None` where nothing does.
    fn survivors(&self, batch: &[u8], header: &Header, expired: bool) -> Option<Vec<u8>> {
        if header.is_control() {
            return (!expired).then(|| batch.to_vec());
        }
        if is_aborted(header, self.aborted) {
            return None;
        }
        // What we cannot read we leave as it is.
        let Ok(unfolded) = records::unfold(batch, header) else { return Some(batch.to_vec()) };
        let (mut kept, mut count, mut all) = (Vec::new(), 0, 0);
        for record in records::walk(&unfolded) {
            let Ok(record) = record else { return Some(batch.to_vec()) };
            all += 1;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let latest = record.key.and_then(|key| self.latest.offsets.get(key));
            let superseded = latest.is_some_and(|latest| *latest > offset);
            if !superseded && (record.has_value || !expired) {
                kept.extend_from_slice(record.raw);
                count += 1;
            }
        }
        if count == all {
            return Some(batch.to_vec());
        }
        let header = Header { attributes: header.attributes & !7, count, ..*header };
        (count > 0).then(|| batch::build(&header, &kept))
    }
}

/// Removes the segments that `swap` replaces and gives it its name.
fn finish_swap(dir: &Path, swap: &Path, base: i64, end: i64) -> io::Result<()> {
    for old in crate::log::segment_bases(dir)? {
        if (base + 1..end).contains(&old) {
            Segment::new(old, 0).remove(dir)?;
        }
    }
    // The old index must never be taken for the new segment's.
    let _ = fs::remove_file(segment::index_file(dir, base));
    fs::rename(swap, segment::file(dir, base))
}

/// Ends what a crash interrupted.
pub fn finish_swaps(dir: &Path) -> io::Result<()> {
    let paths: Vec<PathBuf> = fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    for path in paths {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("cleaned") => fs::remove_file(&path)?,
            Some("swap") => {
                let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
                let range = stem.split_once('-').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let Some((base, end)) = range else { continue };
                finish_swap(dir, &path, base, end)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
