//! Writes a recording while its feed lives. A line hands over what it was told and never waits for the disk.
//!
//! Bounded: what the disk does not take waits in memory up to a limit; beyond it, or at an error, the recording ends, is said to
//! have ended, and the feed goes on. A recording has no hole: it is whole up to its end.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use harness::prom::IntCounter;

use super::{Begin, parts, write, write_frame};
use crate::coverage::Saved;

/// Handed over at once.
const PIECE_BYTES: usize = 64 * 1024;
/// Pieces that wait for the disk.
const MOST_PIECES: usize = 64;
/// What waits at the line when the disk takes nothing: then the recording ends.
const MOST_WAITING_BYTES: usize = 16 * 1024 * 1024;
/// After this long what is known is on its way to the disk.
const LONGEST: Duration = Duration::from_secs(1);
/// 3 is zstd's own choice: a few hundred megabytes a second on one core.
const LEVEL: i32 = 3;

/// How recordings are kept.
#[derive(Clone, Debug)]
pub struct Keep {
    pub dir: PathBuf,
    /// A part has about so much text.
    pub part_bytes: u64,
    /// Of a line, so many parts; older ones are removed. 0 keeps all.
    pub parts: usize,
}

enum Piece {
    Text(Vec<u8>),
    NextPart(u32),
}

pub struct Recorder {
    begin: Begin,
    part_bytes: u64,
    /// Of this part, so far.
    bytes: u64,
    text: Vec<u8>,
    handed_over: Instant,
    pieces: Option<SyncSender<Piece>>,
    writer: Option<JoinHandle<()>>,
    failed: IntCounter,
}

impl Recorder {
    /// Makes the first file: a folder that cannot be written to is found now.
    pub fn start(keep: &Keep, begin: Begin, written: IntCounter, failed: IntCounter) -> anyhow::Result<Recorder> {
        std::fs::create_dir_all(&keep.dir).with_context(|| format!("make the folder {}", keep.dir.display()))?;
        let (pieces, taken) = mpsc::sync_channel(MOST_PIECES);
        let files = Files::open(keep.clone(), &begin, written)?;
        let (feed, count) = (begin.feed.clone(), failed.clone());
        let writer = std::thread::Builder::new().name("record".to_owned()).spawn(move || {
            if let Err(error) = files.write(&taken) {
                count.inc();
                tracing::error!(feed, error = format!("{error:#}"), "the recording ends here, the feed goes on");
            }
        });
        let writer = writer.context("start the thread that records")?;
        Ok(Recorder {
            begin,
            part_bytes: keep.part_bytes,
            bytes: 0,
            text: Vec::new(),
            handed_over: Instant::now(),
            pieces: Some(pieces),
            writer: Some(writer),
            failed,
        })
    }

    /// The first entry of a part: what is known of each symbol.
    pub fn begin(&mut self, now: i64, symbols: std::collections::BTreeMap<String, Saved>) {
        let begin = Begin { symbols, ..self.begin.clone() };
        self.add(now, 0, "begin", &serde_json::to_vec(&begin).expect("it is plain data"));
    }

    pub fn add(&mut self, now: i64, link: u64, word: &str, rest: &[u8]) {
        let before = self.text.len();
        write(&mut self.text, now, link, word, rest);
        self.added(before);
    }

    pub fn frame(&mut self, now: i64, link: u64, frame: &[u8]) {
        let before = self.text.len();
        write_frame(&mut self.text, now, link, frame);
        self.added(before);
    }

    fn added(&mut self, before: usize) {
        self.bytes += (self.text.len() - before) as u64;
        if self.text.len() >= PIECE_BYTES {
            self.hand_over();
        }
    }

    /// Whether the next entry is to be the first of a new part.
    pub fn is_full(&self) -> bool {
        self.bytes >= self.part_bytes
    }

    /// What follows goes to the next part. It is not begun while the disk is behind.
    pub fn next_part(&mut self) -> bool {
        self.hand_over();
        let Some(pieces) = self.pieces.as_ref().filter(|_| self.text.is_empty()) else { return false };
        if pieces.try_send(Piece::NextPart(self.begin.part + 1)).is_err() {
            return false;
        }
        self.begin.part += 1;
        self.bytes = 0;
        true
    }

    /// Nothing waits for longer than a second, however little it is.
    pub fn look(&mut self) {
        if self.handed_over.elapsed() >= LONGEST {
            self.hand_over();
        }
    }

    /// Gives the disk what there is, if it takes anything.
    fn hand_over(&mut self) {
        self.handed_over = Instant::now();
        let Some(pieces) = &self.pieces else {
            self.text.clear();
            return;
        };
        if self.text.is_empty() {
            return;
        }
        match pieces.try_send(Piece::Text(std::mem::take(&mut self.text))) {
            Ok(()) => {}
            Err(TrySendError::Full(Piece::Text(text))) if text.len() < MOST_WAITING_BYTES => self.text = text,
            Err(TrySendError::Full(_)) => {
                self.failed.inc();
                tracing::error!(
                    feed = self.begin.feed,
                    "the disk is too slow: the recording ends here, the feed goes on"
                );
                self.pieces = None;
            }
            // The writer has said why.
            Err(TrySendError::Disconnected(_)) => self.pieces = None,
        }
    }

    /// The last of it, for which the disk is waited for.
    pub fn finish(&mut self) {
        if let Some(pieces) = self.pieces.take()
            && !self.text.is_empty()
        {
            pieces.send(Piece::Text(std::mem::take(&mut self.text))).ok();
        }
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
    }
}

/// The files, on a thread of their own.
struct Files {
    keep: Keep,
    begin: Begin,
    part: zstd::Encoder<'static, File>,
    path: PathBuf,
    older: VecDeque<PathBuf>,
    written: IntCounter,
}

impl Files {
    fn open(keep: Keep, begin: &Begin, written: IntCounter) -> anyhow::Result<Files> {
        let path = parts::path(&keep.dir, &begin.feed, begin.session, begin.line, begin.part);
        let part = create(&path)?;
        Ok(Files { keep, begin: begin.clone(), part, path, older: VecDeque::new(), written })
    }

    /// Until the line is gone.
    fn write(mut self, pieces: &Receiver<Piece>) -> anyhow::Result<()> {
        let place = |path: &Path| format!("write {}", path.display());
        loop {
            match pieces.recv_timeout(Duration::from_secs(1)) {
                Ok(Piece::Text(text)) => {
                    self.part.write_all(&text).with_context(|| place(&self.path))?;
                    self.written.inc_by(text.len() as u64);
                    // A killed process leaves what was handed over, up to here.
                    self.part.flush().with_context(|| place(&self.path))?;
                }
                Ok(Piece::NextPart(part)) => {
                    let path = parts::path(&self.keep.dir, &self.begin.feed, self.begin.session, self.begin.line, part);
                    let ended = std::mem::replace(&mut self.part, create(&path)?);
                    ended.finish().with_context(|| place(&self.path))?;
                    self.older.push_back(std::mem::replace(&mut self.path, path));
                    self.remove_oldest()?;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    self.part.finish().with_context(|| place(&self.path))?;
                    return Ok(());
                }
            }
        }
    }

    fn remove_oldest(&mut self) -> anyhow::Result<()> {
        while self.keep.parts > 0 && self.older.len() >= self.keep.parts {
            if let Some(oldest) = self.older.pop_front() {
                std::fs::remove_file(&oldest).with_context(|| format!("remove {}", oldest.display()))?;
            }
        }
        Ok(())
    }
}

fn create(path: &Path) -> anyhow::Result<zstd::Encoder<'static, File>> {
    // Never over another recording.
    let file = File::options().write(true).create_new(true).open(path);
    let file = file.with_context(|| format!("make the file {}", path.display()))?;
    zstd::Encoder::new(file, LEVEL).with_context(|| format!("compress {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> (IntCounter, IntCounter) {
        (IntCounter::new("written", "x").unwrap(), IntCounter::new("failed", "x").unwrap())
    }

    #[test]
    fn where_a_part_cannot_be_made_the_recording_ends_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep { dir: dir.path().join("new"), part_bytes: 100, parts: 0 };
        let (written, failed) = counters();
        let begin = Begin { feed: "f".to_owned(), ..Begin::default() };
        let mut recorder = Recorder::start(&keep, begin, written.clone(), failed.clone()).unwrap();
        recorder.begin(1, Default::default());
        recorder.frame(2, 1, &[b'x'; 200]);
        std::fs::remove_dir_all(&keep.dir).unwrap();
        assert!(recorder.is_full() && recorder.next_part());
        recorder.add(3, 0, "tick", b"");
        recorder.finish();
        assert_eq!(failed.get(), 1);
        assert!(written.get() > 200, "what came before was written");
    }

    /// A disk that takes nothing.
    #[test]
    fn what_waits_for_the_disk_is_bounded() {
        let (_, failed) = counters();
        let (pieces, _stuck) = mpsc::sync_channel(1);
        let mut recorder = Recorder {
            begin: Begin::default(),
            part_bytes: u64::MAX,
            bytes: 0,
            text: Vec::new(),
            handed_over: Instant::now(),
            pieces: Some(pieces),
            writer: None,
            failed: failed.clone(),
        };
        let frame = vec![b'x'; 100_000];
        let mut largest = 0;
        for _ in 0..1_000 {
            recorder.frame(1, 1, &frame);
            largest = largest.max(recorder.text.len());
        }
        assert_eq!((failed.get(), recorder.text.len()), (1, 0));
        assert!(largest.abs_diff(MOST_WAITING_BYTES) < 2 * frame.len(), "{largest}");
    }
}
