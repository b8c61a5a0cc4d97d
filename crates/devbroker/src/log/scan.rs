//! Walking a log file batch by batch, through a window that moves over it.

use crate::batch::{HEADER, Header};
use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc};

const WINDOW: usize = 64 << 10;

pub struct Scan {
    pub file: Arc<File>,
    /// Where the next batch begins.
    pub position: u64,
    /// Where the walk ends; what is written behind it later is not seen.
    end: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Scan {
    pub fn new(file: Arc<File>, position: u64, end: u64) -> Scan {
        Scan { file, position, end, window: Vec::new(), window_at: 0 }
    }

    /// The next batch's header, without moving on. `None` at the end, or where no whole batch stands.
    pub fn peek(&mut self) -> io::Result<Option<Header>> {
        let Some(header) = self.bytes(HEADER)?.and_then(Header::parse) else { return Ok(None) };
        Ok((self.position + header.size as u64 <= self.end).then_some(header))
    }

    /// The whole batch that `peek` announced.
    pub fn batch(&mut self, header: &Header) -> io::Result<&[u8]> {
        self.bytes(header.size)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    pub fn skip(&mut self, header: &Header) {
        self.position += header.size as u64;
    }

    /// What is left to walk.
    pub fn remaining(&self) -> u64 {
        self.end - self.position
    }

    fn bytes(&mut self, wanted: usize) -> io::Result<Option<&[u8]>> {
        if (wanted as u64) > self.remaining() {
            return Ok(None);
        }
        let window_end = self.window_at + self.window.len() as u64;
        if self.position < self.window_at || self.position + wanted as u64 > window_end {
            let size = (WINDOW as u64).min(self.remaining()).max(wanted as u64) as usize;
            self.window.resize(size, 0);
            self.window.shrink_to(WINDOW);
            self.window_at = self.position;
            // A window that was only half filled must not be read from.
            self.file.read_exact_at(&mut self.window, self.position).inspect_err(|_| self.window.clear())?;
        }
        let start = (self.position - self.window_at) as usize;
        Ok(Some(&self.window[start..start + wanted]))
    }
}
