//! Which object each offset of a claim went to, in few bytes.
//!
//! The claim itself says it, rather than the code that reads the claim: a later version may decode a record in another
//! way than the version that claimed it, and must all the same put every offset where it was promised to be.

use std::io::{Read, Write};

use aws_smithy_types::base64;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

/// What became of an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Kafka gave no record: a transaction marker, an aborted record, or one that log compaction took.
    Marker,
    /// A record that is no row of any table; the claim counts it by reason.
    Skip,
    /// A row of the claim's object of this index.
    Object(u32),
}

/// Runs of consecutive offsets with the same target, from the claim's start to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs(Vec<(Target, u64)>);

/// A claim of this many runs would be some 20 MB: nobody writes one, so nobody needs to read one.
pub(crate) const MAX_RUNS: usize = 1 << 22;

/// Below this a claim is about as small without.
const WORTH_PACKING_BYTES: usize = 256;

impl Runs {
    pub fn push(&mut self, target: Target, offsets: u64) {
        match self.0.last_mut() {
            _ if offsets == 0 => {}
            Some((last, length)) if *last == target => *length += offsets,
            _ => self.0.push((target, offsets)),
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (Target, u64)> + '_ {
        self.0.iter().copied()
    }

    /// How many runs there are: a measure of the size of the claim.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every offset in order, the first of them being `start`.
    pub fn offsets(&self, start: i64) -> impl Iterator<Item = (i64, Target)> + '_ {
        let targets = self.iter().flat_map(|(target, length)| (0..length).map(move |_| target));
        targets.zip(start..).map(|(target, offset)| (offset, target))
    }

    /// Number pairs in base64, packed where that pays: `z` says so.
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(self.0.len() * 2);
        for (target, length) in self.iter() {
            let code = match target {
                Target::Marker => 0,
                Target::Skip => 1,
                Target::Object(index) => u64::from(index) + 2,
            };
            put_varint(&mut bytes, code);
            put_varint(&mut bytes, length);
        }
        if bytes.len() < WORTH_PACKING_BYTES {
            return base64::encode(bytes);
        }
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&bytes).expect("writing to memory cannot fail");
        format!("z:{}", base64::encode(packed.finish().expect("writing to memory cannot fail")))
    }

    pub fn decode(text: &str) -> Result<Self, String> {
        let packed = text.strip_prefix("z:");
        let mut bytes =
            base64::decode(packed.unwrap_or(text)).map_err(|error| format!("runs are not base64: {error}"))?;
        if packed.is_some() {
            let mut unpacked = Vec::new();
            // A run is at most 5 + 10 bytes.
            let mut inflating = DeflateDecoder::new(bytes.as_slice()).take(MAX_RUNS as u64 * 15);
            inflating.read_to_end(&mut unpacked).map_err(|error| format!("runs do not inflate: {error}"))?;
            bytes = unpacked;
        }
        let mut rest = bytes.as_slice();
        let mut runs = Self::default();
        while !rest.is_empty() {
            let code = take_varint(&mut rest).ok_or("runs end in the middle of a number")?;
            let length = take_varint(&mut rest).ok_or("runs end in the middle of a number")?;
            let target = match code {
                0 => Target::Marker,
                1 => Target::Skip,
                _ => Target::Object(u32::try_from(code - 2).map_err(|_| "runs name an object beyond reason")?),
            };
            if length == 0 || length > i64::MAX as u64 || runs.0.len() == MAX_RUNS {
                return Err("runs have a length that no claim has".to_owned());
            }
            runs.push(target, length);
        }
        Ok(runs)
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_read_back_and_name_every_offset() {
        let mut runs = Runs::default();
        for (target, length) in [
            (Target::Object(0), 3),
            (Target::Object(0), 2),
            (Target::Marker, 1),
            (Target::Skip, 0),
            (Target::Skip, 300),
        ] {
            runs.push(target, length);
        }
        assert_eq!(runs.len(), 3);
        assert_eq!(Runs::decode(&runs.encode()), Ok(runs.clone()));
        let offsets: Vec<_> = runs.offsets(10).take(7).collect();
        assert_eq!(offsets[4], (14, Target::Object(0)));
        assert_eq!(offsets[5], (15, Target::Marker));
        assert_eq!(offsets[6], (16, Target::Skip));
        assert_eq!(runs.offsets(10).count(), 306);
    }

    #[test]
    fn alternating_rows_cost_less_than_a_byte_each() {
        let mut runs = Runs::default();
        for i in 0..100_000u32 {
            runs.push(Target::Object(u32::from(i % 7 == 0) + 2 * u32::from(i % 11 == 0)), 1);
        }
        let bytes = runs.encode().len();
        assert!(bytes < 20_000, "{bytes} bytes for 100000 rows");
    }

    #[test]
    fn nonsense_is_refused_without_a_panic() {
        for bytes in [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\x02", b"\x02\x00", b"\x80"] {
            assert!(Runs::decode(&base64::encode(bytes)).is_err(), "{bytes:?}");
        }
        assert!(Runs::decode("z:AAAA").is_err());
        assert!(Runs::decode("%%").is_err());
    }
}
