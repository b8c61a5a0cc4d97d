//! JSON lines in gzip, and one JSON object per message.
//!
//! A row is the event in the form of `docs/topics.md` with `_topic`, `_partition` and `_offset` added.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};

use super::{Body, Coordinates, Rows};
use crate::row::Row;

#[derive(Default)]
pub(super) struct Lines {
    text: Vec<u8>,
    rows: u64,
}

impl Rows for Lines {
    fn push(&mut self, row: &Row, at: Coordinates<'_>) {
        write_row(&mut self.text, row, at);
        self.text.push(b'\n');
        self.rows += 1;
    }

    fn size_bytes(&self) -> usize {
        self.text.len()
    }

    fn finish(self: Box<Self>) -> Vec<Body> {
        // No time and no file name in the header: the bytes depend on the rows alone.
        let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        gzip.write_all(&self.text).expect("writing to memory cannot fail");
        let bytes = Bytes::from(gzip.finish().expect("writing to memory cannot fail"));
        vec![Body { offset: None, bytes, rows: self.rows }]
    }
}

#[derive(Default)]
pub(super) struct Messages {
    messages: Vec<(i64, Bytes)>,
    size_bytes: usize,
}

impl Rows for Messages {
    fn push(&mut self, row: &Row, at: Coordinates<'_>) {
        let mut text = Vec::new();
        write_row(&mut text, row, at);
        self.size_bytes += text.len() + size_of::<(i64, Bytes)>();
        self.messages.push((at.offset, Bytes::from(text)));
    }

    fn lost(&mut self, offset: i64) {
        self.messages.push((offset, Bytes::new()));
    }

    fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    fn finish(self: Box<Self>) -> Vec<Body> {
        let body = |(offset, bytes): (i64, Bytes)| {
            let rows = u64::from(!bytes.is_empty());
            Body { offset: Some(offset), bytes, rows }
        };
        self.messages.into_iter().map(body).collect()
    }
}

fn write_row(out: &mut Vec<u8>, row: &Row, at: Coordinates<'_>) {
    row.encode(out);
    let closing = out.pop();
    debug_assert_eq!(closing, Some(b'}'), "rows are JSON objects");
    let Coordinates { topic, partition, offset } = at;
    // Topic names are letters, digits, dots, dashes and underscores: nothing to escape.
    write!(out, r#","_topic":"{topic}","_partition":{partition},"_offset":{offset}}}"#)
        .expect("writing to memory cannot fail");
}
