//! Opening a log: what a clean stop, a kill or a power cut left behind becomes a log that ends with a whole batch.
//!
//! Sealed segments are trusted by their index. Everything after the newest snapshot of the producers' state is read
//! again, each batch against its check sum; the first that is cut or wrong ends the segment, and is cut off.

use super::{Log, Scan, Segment, segment};
use crate::{batch, producers::Producers, sync::Syncer};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    sync::Arc,
};

impl Log {
    pub fn open(dir: &Path, syncer: Syncer, now_ms: i64) -> io::Result<(Log, Producers)> {
        fs::create_dir_all(dir)?;
        crate::compact::finish_swaps(dir)?;
        let mut bases = segment_bases(dir)?;
        if bases.is_empty() {
            File::create(segment::file(dir, 0))?;
            bases.push(0);
        }
        let mut loaded: Vec<_> = bases.iter().map(|base| Segment::load(dir, *base)).collect();
        // The last segment was still being written to: it may have grown since its index, if it has one, was saved.
        *loaded.last_mut().expect("there is at least one") = None;
        let unknown = loaded.iter().position(Option::is_none).expect("the last one is");
        let snapshot = (0..=unknown).rev().find_map(|at| Some((at, load_producers(dir, bases[at])?)));
        let (from, mut producers) = snapshot.unwrap_or_default();

        let mut segments: Vec<Segment> = loaded.into_iter().take(from).flatten().collect();
        for base in &bases[from..] {
            let sealed = base != bases.last().expect("there is at least one");
            let segment = read_segment(dir, *base, &mut producers, now_ms)?;
            if sealed && let Err(error) = segment.save(dir) {
                tracing::debug!(%error, dir = %dir.display(), "index not saved");
            }
            segments.push(segment);
        }
        let active = OpenOptions::new()
            .read(true)
            .write(true)
            .open(segment::file(dir, segments.last().expect("there is at least one").base))?;
        Ok((Log { dir: dir.to_owned(), segments, active: Arc::new(active), torn: false, syncer }, producers))
    }
}

pub fn segment_bases(dir: &Path) -> io::Result<Vec<i64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            bases.extend(path.file_stem().and_then(|stem| stem.to_str()?.parse::<i64>().ok()));
        }
    }
    bases.sort_unstable();
    Ok(bases)
}

fn load_producers(dir: &Path, base: i64) -> Option<Producers> {
    serde_json::from_slice(&fs::read(segment::producers_file(dir, base)).ok()?).ok()
}

/// Reads a segment batch by batch and cuts off what is not one.
fn read_segment(dir: &Path, base: i64, producers: &mut Producers, now_ms: i64) -> io::Result<Segment> {
    let file = OpenOptions::new().read(true).write(true).open(segment::file(dir, base))?;
    let len = file.metadata()?.len();
    let mut segment = Segment::new(base, now_ms);
    let mut scan = Scan::new(Arc::new(file), 0, len);
    while let Some(header) = scan.peek()? {
        let bytes = scan.batch(&header)?;
        if header.base_offset < segment.next || !batch::is_intact(bytes, &header) {
            break;
        }
        let commit = header.is_control().then(|| batch::is_commit(bytes)).flatten();
        segment.note(&header, producers.apply(&header, commit, now_ms));
        scan.skip(&header);
    }
    if segment.len < len {
        let cut_bytes = len - segment.len;
        tracing::warn!(dir = %dir.display(), base, cut_bytes, next_offset = segment.next, "cut off a torn end of the log");
        scan.file.set_len(segment.len)?;
    }
    Ok(segment)
}
