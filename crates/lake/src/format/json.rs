//! JSON lines in gzip or zstd, and one JSON object per message.
//!
//! A row is the event in the form of `docs/topics.md` with `_topic`, `_partition` and `_offset` added.

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};
use market::decimal::write_i64;

use super::{Body, Coordinates, Rows};
use crate::row::Row;

#[derive(Clone, Copy)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

pub(super) struct Lines {
    packing: Packing,
    text: Vec<u8>,
    /// One after the other, which both packings take for one.
    packed: Vec<u8>,
    rows: u64,
}

impl Lines {
    pub(super) fn new(packing: Packing) -> Self {
        Self { packing, text: Vec::new(), packed: Vec::new(), rows: 0 }
    }
}

/// zstd's own default.
const ZSTD_LEVEL: i32 = 3;

/// gzip's own default.
const GZIP_LEVEL: i32 = 6;

impl Packing {
    fn pack(self, text: &[u8]) -> Vec<u8> {
        match self {
            // In half the time of zlib, and no time and no file name in the header: the bytes depend on the rows alone.
            Packing::Gzip => {
                let level = CompressionLvl::new(GZIP_LEVEL).expect("gzip has this level");
                let mut gzip = Compressor::new(level);
                let mut packed = vec![0; gzip.gzip_compress_bound(text.len())];
                let length = gzip.gzip_compress(text, &mut packed).expect("its own bound is enough");
                packed.truncate(length);
                packed.shrink_to_fit();
                packed
            }
            Packing::Zstd => zstd::bulk::compress(text, ZSTD_LEVEL).expect("writing to memory cannot fail"),
        }
    }
}

impl Rows for Lines {
    fn push(&mut self, row: &Row<'_>, at: Coordinates<'_>) {
        write_row(&mut self.text, row, at);
        self.text.push(b'\n');
        self.rows += 1;
    }

    fn size_bytes(&self) -> usize {
        self.text.len()
    }

    fn held_bytes(&self) -> usize {
        self.text.capacity()
    }

    fn pack(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.packed.extend_from_slice(&self.packing.pack(&text));
    }

    fn packed_bytes(&self) -> usize {
        self.packed.len()
    }

    fn finish(mut self: Box<Self>) -> Vec<Body> {
        if self.packed.is_empty() {
            self.packed = self.packing.pack(&self.text);
        } else if !self.text.is_empty() {
            self.pack();
        }
        vec![Body { offset: None, bytes: Bytes::from(self.packed), rows: self.rows }]
    }
}

#[derive(Default)]
pub(super) struct Messages {
    messages: Vec<(i64, Bytes)>,
    size_bytes: usize,
}

impl Rows for Messages {
    fn push(&mut self, row: &Row<'_>, at: Coordinates<'_>) {
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

    fn held_bytes(&self) -> usize {
        // Each text has a piece of memory of its own, of its own size; only the list has room to spare.
        self.size_bytes + (self.messages.capacity() - self.messages.len()) * size_of::<(i64, Bytes)>()
    }

    fn finish(self: Box<Self>) -> Vec<Body> {
        let body = |(offset, bytes): (i64, Bytes)| {
            let rows = u64::from(!bytes.is_empty());
            Body { offset: Some(offset), bytes, rows }
        };
        self.messages.into_iter().map(body).collect()
    }
}

fn write_row(out: &mut Vec<u8>, row: &Row<'_>, at: Coordinates<'_>) {
    row.encode(out);
    let closing = out.pop();
    debug_assert_eq!(closing, Some(b'}'), "rows are JSON objects");
    let Coordinates { topic, partition, offset } = at;
    // Topic names are letters, digits, dots, dashes and underscores: nothing to escape.
    out.extend_from_slice(br#","_topic":""#);
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(br#"","_partition":"#);
    write_i64(partition.into(), out);
    out.extend_from_slice(br#","_offset":"#);
    write_i64(offset, out);
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::row::{self, Feed, Record};

    const TRADE: &[u8] = br#"{"kind":"trade","schema_version":1,"venue":"X","symbol":"X:A","price":"61837.630","quantity":2e-2,"event_time":7}"#;

    fn push(rows: &mut dyn Rows, offset: i64) {
        let record = Record { offset, timestamp_ms: 0, key: None, value: Some(TRADE), headers: &[] };
        let Ok(placed) = row::read(Feed::Raw, &record) else { panic!("a trade") };
        rows.push(&placed.row, Coordinates { topic: "raw", partition: 3, offset });
    }

    #[test]
    fn a_line_is_the_event_in_its_one_form_with_its_coordinates() {
        let mut rows = Box::new(Lines::new(Packing::Gzip));
        push(&mut *rows, 41);
        push(&mut *rows, 42);
        let bodies = rows.finish();
        assert_eq!((bodies.len(), bodies[0].rows, bodies[0].offset), (1, 2, None));
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*bodies[0].bytes).read_to_string(&mut text).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        // Exact numbers in their shortest form, whatever the producer wrote.
        assert!(lines[0].contains(r#""price":61837.63,"quantity":0.02,"#), "{}", lines[0]);
        assert!(lines[1].ends_with(r#","_topic":"raw","_partition":3,"_offset":42}"#), "{}", lines[1]);
    }

    #[test]
    fn the_same_rows_are_the_same_bytes() {
        let bytes = || {
            let mut rows = Box::new(Lines::new(Packing::Gzip));
            (0..100).for_each(|offset| push(&mut *rows, offset));
            rows.finish().remove(0).bytes
        };
        let bytes = [bytes(), bytes()];
        assert_eq!(bytes[0], bytes[1]);
        assert_eq!(bytes[0][4..8], [0; 4], "the time in the header of gzip");
    }

    #[test]
    fn a_message_that_is_lost_leaves_an_empty_object() {
        let mut rows = Box::new(Messages::default());
        push(&mut *rows, 5);
        rows.lost(6);
        let bodies = rows.finish();
        assert_eq!(
            bodies.iter().map(|body| (body.offset, body.rows)).collect::<Vec<_>>(),
            [(Some(5), 1), (Some(6), 0)]
        );
    }
}
