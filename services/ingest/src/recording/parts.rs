//! The files of a recording: `<feed>-<session>-<line>-<part>.frames.zst`, and all that follow one, read as one.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

const ENDING: &str = ".frames.zst";
const DIGITS: usize = 6;

pub fn path(dir: &Path, feed: &str, session: u64, line: usize, part: u32) -> PathBuf {
    // A feed's name is free; a file's is not.
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let feed: String = feed.chars().map(plain).collect();
    dir.join(format!("{feed}-{session}-{line}-{part:0DIGITS$}{ENDING}"))
}

/// The part after this one, if the name is one of a part.
fn next(path: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?;
    let (front, part) = name.rsplit_once('-').filter(|(_, part)| part.len() == DIGITS)?;
    let part: u32 = part.parse().ok()?;
    Some(path.with_file_name(format!("{front}-{:0DIGITS$}{ENDING}", part + 1)))
}

/// A file, and after it the parts that follow, as if they were one.
pub struct Parts {
    path: PathBuf,
    file: File,
}

impl Parts {
    pub fn open(path: &Path) -> io::Result<Parts> {
        Ok(Parts { path: path.to_owned(), file: File::open(path)? })
    }
}

impl Read for Parts {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.file.read(out)?;
            if read > 0 || out.is_empty() {
                return Ok(read);
            }
            let Some(next) = next(&self.path) else { return Ok(0) };
            match File::open(&next) {
                Ok(file) => (self.path, self.file) = (next, file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_one_another_and_other_files_stand_alone() {
        let dir = tempfile::tempdir().unwrap();
        let part = |part| path(dir.path(), "my/feed", 7, 0, part);
        assert!(part(0).ends_with("my_feed-7-0-000000.frames.zst"));
        for (number, text) in [(0, "a"), (1, ""), (2, "b"), (4, "d")] {
            std::fs::write(part(number), text).unwrap();
        }
        let read = |path: &Path| std::io::read_to_string(Parts::open(path).unwrap()).unwrap();
        assert_eq!((read(&part(0)).as_str(), read(&part(2)).as_str()), ("ab", "b"), "4 does not follow");
        let plain = dir.path().join("a-000000.csv");
        std::fs::write(&plain, "x").unwrap();
        std::fs::write(dir.path().join("a-000001.csv"), "y").unwrap();
        assert_eq!(read(&plain), "x");
    }
}
