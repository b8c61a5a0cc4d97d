//! A file of entries, appended to before anything they say becomes true, and read again at the start.
//!
//! Each entry is its length, its check sum and its JSON. A torn end is cut off. When most of the file is history, it is
//! written anew from the present state.

use crate::files::write_whole;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// A journal shorter than this is never written anew.
const SMALL: u64 = 1 << 20;

pub struct Journal {
    path: PathBuf,
    file: File,
    len: u64,
    /// Its length when it was last written anew.
    whole: u64,
    torn: bool,
}

impl Journal {
    /// Opens the journal and gives every entry to `replay`.
    pub fn open<E: DeserializeOwned>(path: &Path, mut replay: impl FnMut(E)) -> io::Result<Journal> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            bytes => bytes?,
        };
        let mut rest = &bytes[..];
        while let Some((payload, after)) = split(rest) {
            let entry = serde_json::from_slice(payload)
                .map_err(|error| io::Error::other(format!("{}: an entry does not read: {error}", path.display())))?;
            replay(entry);
            rest = after;
        }
        let len = (bytes.len() - rest.len()) as u64;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        if !rest.is_empty() {
            tracing::warn!(path = %path.display(), cut_bytes = rest.len(), "cut off a torn end of the journal");
            file.set_len(len)?;
        }
        Ok(Journal { path: path.to_owned(), file, len, whole: len, torn: false })
    }

    pub fn append(&mut self, entry: &impl Serialize) -> io::Result<()> {
        let mut bytes = Vec::new();
        put(&mut bytes, entry)?;
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        let written = self.file.write_all_at(&bytes, self.len);
        written.inspect_err(|_| self.torn = self.file.set_len(self.len).is_err())?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub fn is_mostly_history(&self) -> bool {
        self.len > SMALL && self.len > 4 * self.whole
    }

    /// Replaces all entries by these, which say the same.
    pub fn rewrite<E: Serialize>(&mut self, entries: impl IntoIterator<Item = E>) -> io::Result<()> {
        let mut bytes = Vec::new();
        for entry in entries {
            put(&mut bytes, &entry)?;
        }
        // Not before the next attempt is worth it, whatever happens to this one.
        self.whole = self.len;
        write_whole(&self.path, &bytes)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        (self.len, self.whole, self.torn) = (bytes.len() as u64, bytes.len() as u64, false);
        Ok(())
    }

    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

fn put(bytes: &mut Vec<u8>, entry: &impl Serialize) -> io::Result<()> {
    let payload = serde_json::to_vec(entry)?;
    bytes.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&payload).to_be_bytes());
    bytes.extend(payload);
    Ok(())
}

fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let (payload, after) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    (crc32c::crc32c(payload) == u32::from_be_bytes(*crc)).then_some((payload, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> (Vec<String>, Journal) {
        let mut all = Vec::new();
        let journal = Journal::open(path, |entry| all.push(entry)).unwrap();
        (all, journal)
    }

    #[test]
    fn entries_come_back_in_order_and_a_torn_one_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (none, mut journal) = read(&path);
        assert!(none.is_empty());
        for entry in ["a", "b", "c"] {
            journal.append(&entry).unwrap();
        }
        let len = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(len - 1).unwrap();
        let (two, mut journal) = read(&path);
        assert_eq!(two, ["a", "b"]);
        journal.append(&"d").unwrap();
        assert_eq!(read(&path).0, ["a", "b", "d"]);
    }

    #[test]
    fn a_rewritten_journal_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (_, mut journal) = read(&path);
        journal.append(&"x".repeat(2 << 20)).unwrap();
        assert!(journal.is_mostly_history());
        journal.rewrite(["now"]).unwrap();
        assert!(!journal.is_mostly_history());
        journal.append(&"later").unwrap();
        assert_eq!(read(&path).0, ["now", "later"]);
    }
}
