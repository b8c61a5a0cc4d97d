//! Where rows go: standard output, or a file that is there only when it is whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, ensure};

pub(crate) enum Sink {
    Stdout(BufWriter<Stdout>),
    File(Partial),
}

/// A file under a name of its own until everything is in it: readers never see a half, and what was there before stays until then.
pub(crate) struct Partial {
    file: BufWriter<File>,
    name: PathBuf,
    wanted: PathBuf,
    done: bool,
}

impl Sink {
    pub(crate) fn open(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(wanted) = file else { return Ok(Sink::Stdout(BufWriter::new(io::stdout()))) };
        let base = wanted.file_name().with_context(|| format!("write {}: it names no file", wanted.display()))?;
        let name = wanted.with_file_name(format!(".{}.{}.part", base.to_string_lossy(), std::process::id()));
        let mut under_way = under_way();
        ensure!(!under_way.over, "interrupted");
        let file = File::create(&name).with_context(|| format!("write {}", name.display()))?;
        under_way.name = Some(name.clone());
        Ok(Sink::File(Partial { file: BufWriter::new(file), name, wanted: wanted.to_owned(), done: false }))
    }

    pub(crate) fn finish(self) -> anyhow::Result<()> {
        match self {
            Sink::Stdout(mut out) => Ok(out.flush()?),
            Sink::File(mut partial) => {
                let wrote = partial.file.flush().and_then(|()| partial.file.get_ref().sync_all());
                wrote.with_context(|| format!("write {}", partial.name.display()))?;
                fs::rename(&partial.name, &partial.wanted)
                    .with_context(|| format!("rename {} to {}", partial.name.display(), partial.wanted.display()))?;
                partial.done = true;
                Ok(())
            }
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let name = under_way().name.take();
        if let Some(name) = name.filter(|_| !self.done) {
            _ = fs::remove_file(name);
        }
    }
}

/// The one file that is being written.
struct UnderWay {
    name: Option<PathBuf>,
    over: bool,
}

static UNDER_WAY: Mutex<UnderWay> = Mutex::new(UnderWay { name: None, over: false });

fn under_way() -> MutexGuard<'static, UnderWay> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes what is not whole, and lets nothing begin. A program that Ctrl-C ends does not wait for the query, which has the file.
pub(crate) fn abandon() {
    let mut under_way = under_way();
    under_way.over = true;
    if let Some(name) = under_way.name.take() {
        _ = fs::remove_file(name);
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sink::Stdout(out) => out.write(bytes),
            Sink::File(partial) => partial.file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stdout(out) => out.flush(),
            Sink::File(partial) => partial.file.flush(),
        }
    }
}
