//! What waits for Kafka on disk: files of entries in a folder of one process, each written once, read once and removed.
//!
//! What a file held is known in short while it is there: if it cannot be read back, that is said to be lost. Files that an earlier
//! process left are removed: what it had not written to Kafka is in the gaps of the restart.

use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::entry::Entry;
use super::losses::Losses;

const NAME: &str = "spill-";

/// Where, and how much at most.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    most_bytes: u64,
    next: u64,
    /// Held as long as the process lives.
    _lock: File,
}

/// A file of entries.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    pub file_bytes: u64,
    losses: Losses,
}

impl Folder {
    pub fn open(dir: &Path, most_bytes: u64) -> anyhow::Result<Folder> {
        let shown = dir.display();
        std::fs::create_dir_all(dir).with_context(|| format!("make the folder {shown}"))?;
        let lock = File::create(dir.join("lock")).with_context(|| format!("write to the folder {shown}"))?;
        lock.try_lock()
            .with_context(|| format!("another process has the folder {shown}: give each a folder of its own"))?;
        for file in std::fs::read_dir(dir).with_context(|| format!("read the folder {shown}"))? {
            let file = file.with_context(|| format!("read the folder {shown}"))?;
            if file.file_name().to_string_lossy().starts_with(NAME) {
                std::fs::remove_file(file.path()).with_context(|| format!("remove {}", file.path().display()))?;
            }
        }
        Ok(Folder { dir: dir.to_owned(), most_bytes, next: 0, _lock: lock })
    }

    /// Whether there is room for more, with so much there.
    pub fn has_room(&self, file_bytes: u64) -> bool {
        file_bytes < self.most_bytes
    }

    pub fn name_next(&mut self) -> PathBuf {
        self.next += 1;
        self.dir.join(format!("{NAME}{:012}", self.next))
    }
}

/// Writes them, or answers what is lost with them.
pub fn write(path: PathBuf, entries: &VecDeque<Entry>) -> Result<Segment, (anyhow::Error, Losses)> {
    let (mut bytes, mut losses) = (Vec::new(), Losses::default());
    for entry in entries {
        entry.write(&mut bytes);
        losses.note(entry);
    }
    match std::fs::write(&path, &bytes).with_context(|| format!("write {}", path.display())) {
        Ok(()) => Ok(Segment { path, file_bytes: bytes.len() as u64, losses }),
        Err(error) => {
            std::fs::remove_file(&path).ok();
            Err((error, losses))
        }
    }
}

impl Segment {
    /// All that was written, and the file is gone; or what is lost.
    pub fn take(self) -> Result<Vec<Entry>, (anyhow::Error, Losses)> {
        let entries = self.read().with_context(|| format!("read {} back", self.path.display()));
        std::fs::remove_file(&self.path).ok();
        entries.map_err(|error| (error, self.losses))
    }

    fn read(&self) -> anyhow::Result<Vec<Entry>> {
        let bytes = std::fs::read(&self.path)?;
        anyhow::ensure!(
            bytes.len() as u64 == self.file_bytes,
            "it has {} bytes, {} were written",
            bytes.len(),
            self.file_bytes
        );
        let (mut rest, mut entries) = (bytes.as_slice(), Vec::new());
        while !rest.is_empty() {
            let at = bytes.len() - rest.len();
            entries.push(Entry::read(&mut rest).with_context(|| format!("at byte {at} is not what was written"))?);
        }
        Ok(entries)
    }
}
