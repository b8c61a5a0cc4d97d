//! The records inside a batch, for the few who need to see them: compaction, lookups by time, keys of compacted topics.
//!
//! Everything else passes batches through untouched. What cannot be decompressed or parsed is an error, never a panic;
//! a batch that would unfold to more than [`MAX_UNFOLDED`] is refused.

use crate::batch::{HEADER, Header};
use std::{borrow::Cow, io::Read};

const MAX_UNFOLDED: u64 = 128 << 20;
const XERIAL: &[u8] = &[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// One record; `raw` is all of it, its length included, as it stands in an uncompressed batch.
pub struct Record<'a> {
    pub raw: &'a [u8],
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<&'a [u8]>,
    pub has_value: bool,
}

/// The records' bytes, decompressed where need be.
pub fn unfold<'a>(batch: &'a [u8], header: &Header) -> Result<Cow<'a, [u8]>, Unreadable> {
    let body = batch.get(HEADER..header.size).ok_or_else(|| Unreadable("cut batch".into()))?;
    let unreadable = |what: &str, error: &dyn std::fmt::Display| Unreadable(format!("{what}: {error}"));
    match header.codec() {
        0 => Ok(Cow::Borrowed(body)),
        1 => read_all(flate2::read::MultiGzDecoder::new(body)).map_err(|e| unreadable("gzip", &e)),
        2 => snappy(body).map_err(|e| unreadable("snappy", &e)),
        3 => read_all(lz4_flex::frame::FrameDecoder::new(body)).map_err(|e| unreadable("lz4", &e)),
        4 => zstd::stream::read::Decoder::with_buffer(body).and_then(read_all).map_err(|e| unreadable("zstd", &e)),
        codec => Err(unreadable("unknown codec", &codec)),
    }
}

fn read_all(from: impl Read) -> std::io::Result<Cow<'static, [u8]>> {
    let mut out = Vec::new();
    let read = from.take(MAX_UNFOLDED + 1).read_to_end(&mut out)?;
    if read as u64 > MAX_UNFOLDED {
        return Err(std::io::Error::other("the batch unfolds to too much"));
    }
    Ok(Cow::Owned(out))
}

/// Plain snappy, or the blocks that the Java clients write.
fn snappy(body: &[u8]) -> Result<Cow<'static, [u8]>, String> {
    let block = |bytes: &[u8], out: &mut Vec<u8>| {
        let length = snap::raw::decompress_len(bytes).map_err(|e| e.to_string())?;
        if (out.len() + length) as u64 > MAX_UNFOLDED {
            return Err("the batch unfolds to too much".to_owned());
        }
        out.extend(snap::raw::Decoder::new().decompress_vec(bytes).map_err(|e| e.to_string())?);
        Ok(())
    };
    let mut out = Vec::new();
    if !body.starts_with(XERIAL) {
        block(body, &mut out)?;
        return Ok(Cow::Owned(out));
    }
    let mut rest = body.get(16..).ok_or("cut header")?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk().ok_or("cut block")?;
        let bytes = after.get(..u32::from_be_bytes(*length) as usize).ok_or("cut block")?;
        block(bytes, &mut out)?;
        rest = &after[bytes.len()..];
    }
    Ok(Cow::Owned(out))
}

/// Walks the records of an unfolded batch.
pub fn walk(mut bytes: &[u8]) -> impl Iterator<Item = Result<Record<'_>, Unreadable>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let record = parse(bytes).ok_or_else(|| Unreadable("a record does not read".into()));
        bytes = record.as_ref().map_or(&[], |record| &bytes[record.raw.len()..]);
        Some(record)
    })
}

fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    let mut rest = bytes;
    let length = usize::try_from(varint(&mut rest)?).ok()?;
    let raw = bytes.get(..bytes.len() - rest.len() + length)?;
    let mut body = rest.get(1..length)?;
    let timestamp_delta = varint(&mut body)?;
    let offset_delta = i32::try_from(varint(&mut body)?).ok()?;
    let key = match varint(&mut body)? {
        -1 => None,
        length => {
            let key = body.get(..usize::try_from(length).ok()?)?;
            body = &body[key.len()..];
            Some(key)
        }
    };
    let has_value = varint(&mut body)? >= 0;
    Some(Record { raw, timestamp_delta, offset_delta, key, has_value })
}

/// A zigzag varint of up to 64 bits.
fn varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    None
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::batch;
    use std::io::Write;

    fn put_varint(out: &mut Vec<u8>, value: i64) {
        let mut zigzag = ((value << 1) ^ (value >> 63)) as u64;
        while zigzag >= 0x80 {
            out.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        out.push(zigzag as u8);
    }

    /// Records as a producer writes them: key, value, milliseconds after the batch's first timestamp.
    pub fn write(records: &[(Option<&str>, Option<&str>, i64)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, (key, value, timestamp_delta)) in records.iter().enumerate() {
            let mut body = vec![0];
            put_varint(&mut body, *timestamp_delta);
            put_varint(&mut body, index as i64);
            for part in [key, value] {
                put_varint(&mut body, part.map_or(-1, |text| text.len() as i64));
                body.extend_from_slice(part.unwrap_or_default().as_bytes());
            }
            put_varint(&mut body, 0);
            put_varint(&mut out, body.len() as i64);
            out.extend(body);
        }
        out
    }

    fn keys(batch: &[u8]) -> Vec<Option<Vec<u8>>> {
        let header = Header::parse(batch).unwrap();
        let bytes = unfold(batch, &header).unwrap();
        walk(&bytes).map(|record| record.unwrap().key.map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn every_codec_unfolds_to_the_same_records() {
        let plain = write(&[(Some("k"), Some("v"), 0), (None, None, 300), (Some("k2"), None, -5)]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        let snappy = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
        let blocks = [XERIAL, &[0; 8], &(snappy.len() as u32).to_be_bytes(), &snappy].concat();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        let want = [Some(b"k".to_vec()), None, Some(b"k2".to_vec())];
        let bodies =
            [(0, plain), (1, gzip.finish().unwrap()), (2, snappy), (2, blocks), (3, lz4.finish().unwrap()), (4, zstd)];
        for (codec, body) in bodies {
            assert_eq!(keys(&batch::tests::sequenced(-1, -1, -1, 3, 0, codec, &body)), want, "codec {codec}");
        }
    }

    #[test]
    fn what_does_not_read_is_an_error() {
        for codec in 0..=4 {
            let batch = batch::tests::sequenced(-1, -1, -1, 1, 0, codec, b"\xff\xff nonsense \xff\xff\xff");
            let header = Header::parse(&batch).unwrap();
            let read = unfold(&batch, &header).and_then(|bytes| walk(&bytes).try_for_each(|r| r.map(|_| ())));
            assert!(read.is_err(), "codec {codec}");
        }
    }

    #[test]
    fn deltas_and_missing_values_are_read() {
        let bytes = write(&[(Some("k"), Some("v"), 0), (Some("k"), None, 300)]);
        let all: Vec<_> =
            walk(&bytes).map(Result::unwrap).map(|r| (r.timestamp_delta, r.offset_delta, r.has_value)).collect();
        assert_eq!(all, [(0, 0, true), (300, 1, false)]);
    }
}
