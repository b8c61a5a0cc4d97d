//! Reading requests and writing answers, byte by byte as the Kafka protocol lays them out.
//!
//! The layouts themselves stand in the handlers, read top to bottom as the protocol's own tables do. A reader trusts
//! no length it is given: a count is refused when it is larger than what could follow or than [`MAX_ELEMENTS`], and
//! memory grows only as elements are really there. So a hostile frame costs no more than its own size, times a small
//! factor. What follows a request's last field is ignored, as Apache Kafka does: librdkafka 2.12 leaves three bytes
//! there when it asks for all topics. `flexible` switches between the old layout and the one with compact lengths and tagged fields.

use bytes::{Buf, Bytes};
use uuid::Uuid;

/// No client asks about more things than this in one array.
const MAX_ELEMENTS: usize = 100_000;

/// A request that does not read as one: its connection is closed.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    #[error("the request ends before its {0}")]
    Short(&'static str),
    #[error("{0} cannot be {1}")]
    Length(&'static str, i64),
    #[error("a string is not UTF-8")]
    Text,
    #[error("unknown request {key} version {version}")]
    Unknown { key: i16, version: i16 },
}

type Read<T> = Result<T, Malformed>;

pub struct Reader {
    buf: Bytes,
    flexible: bool,
}

impl Reader {
    pub fn new(buf: Bytes) -> Reader {
        Reader { buf, flexible: false }
    }

    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub fn i8(&mut self) -> Read<i8> {
        self.buf.try_get_i8().map_err(|_| Malformed::Short("byte"))
    }

    pub fn bool(&mut self) -> Read<bool> {
        Ok(self.i8()? != 0)
    }

    pub fn i16(&mut self) -> Read<i16> {
        self.buf.try_get_i16().map_err(|_| Malformed::Short("int16"))
    }

    pub fn i32(&mut self) -> Read<i32> {
        self.buf.try_get_i32().map_err(|_| Malformed::Short("int32"))
    }

    pub fn i64(&mut self) -> Read<i64> {
        self.buf.try_get_i64().map_err(|_| Malformed::Short("int64"))
    }

    pub fn uuid(&mut self) -> Read<Uuid> {
        Ok(Uuid::from_u128(self.buf.try_get_u128().map_err(|_| Malformed::Short("uuid"))?))
    }

    pub fn string(&mut self) -> Read<String> {
        self.nullable_string()?.ok_or(Malformed::Length("a string's length", -1))
    }

    pub fn nullable_string(&mut self) -> Read<Option<String>> {
        let length = if self.flexible { self.compact_length()? } else { self.i16()?.into() };
        let Some(bytes) = self.take("string", length)? else { return Ok(None) };
        String::from_utf8(bytes.into()).map(Some).map_err(|_| Malformed::Text)
    }

    pub fn bytes(&mut self) -> Read<Bytes> {
        self.nullable_bytes()?.ok_or(Malformed::Length("a field's length", -1))
    }

    pub fn nullable_bytes(&mut self) -> Read<Option<Bytes>> {
        let length = if self.flexible { self.compact_length()? } else { self.i32()?.into() };
        self.take("bytes", length)
    }

    pub fn array<T>(&mut self, element: impl FnMut(&mut Reader) -> Read<T>) -> Read<Vec<T>> {
        self.nullable_array(element)?.ok_or(Malformed::Length("an array's length", -1))
    }

    pub fn nullable_array<T>(&mut self, mut element: impl FnMut(&mut Reader) -> Read<T>) -> Read<Option<Vec<T>>> {
        let count = if self.flexible { self.compact_length()? } else { self.i32()?.into() };
        if count == -1 {
            return Ok(None);
        }
        let fits = usize::try_from(count).is_ok_and(|n| n <= self.buf.remaining() && n <= MAX_ELEMENTS);
        if !fits {
            return Err(Malformed::Length("an array's length", count));
        }
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(element(self)?);
        }
        Ok(Some(all))
    }

    /// Skips the tagged fields that close every structure of a flexible request.
    pub fn tags(&mut self) -> Read<()> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()?.into();
            self.take("tagged field", length)?;
        }
        Ok(())
    }

    fn unsigned_varint(&mut self) -> Read<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.i8()? as u8;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Malformed::Length("a varint", value.into()))
    }

    fn compact_length(&mut self) -> Read<i64> {
        Ok(i64::from(self.unsigned_varint()?) - 1)
    }

    fn take(&mut self, what: &'static str, length: i64) -> Read<Option<Bytes>> {
        if length == -1 {
            return Ok(None);
        }
        let length = usize::try_from(length).map_err(|_| Malformed::Length(what, length))?;
        if length > self.buf.remaining() {
            return Err(Malformed::Short(what));
        }
        Ok(Some(self.buf.split_to(length)))
    }
}

pub struct Writer {
    out: Vec<u8>,
    flexible: bool,
}

impl Writer {
    /// Leaves room for the frame's length, which [`Writer::frame`] fills in.
    pub fn new() -> Writer {
        Writer { out: vec![0; 4], flexible: false }
    }

    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub fn frame(mut self) -> Vec<u8> {
        let length = u32::try_from(self.out.len() - 4).expect("answers are bounded by the fetch limit");
        self.out[..4].copy_from_slice(&length.to_be_bytes());
        self.out
    }

    pub fn i8(&mut self, value: i8) {
        self.out.push(value as u8);
    }

    pub fn bool(&mut self, value: bool) {
        self.out.push(value.into());
    }

    pub fn i16(&mut self, value: i16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    pub fn uuid(&mut self, value: Uuid) {
        self.out.extend_from_slice(value.as_bytes());
    }

    pub fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub fn nullable_string(&mut self, value: Option<&str>) {
        // A longer text cannot be sent; only error messages could grow so long, and a cut one still tells.
        let value = value.map(|text| &text[..text.floor_char_boundary(i16::MAX as usize)]);
        match (self.flexible, value) {
            (true, _) => self.compact_length(value.map(str::len)),
            (false, Some(text)) => self.i16(text.len() as i16),
            (false, None) => self.i16(-1),
        }
        self.out.extend_from_slice(value.unwrap_or_default().as_bytes());
    }

    pub fn bytes(&mut self, value: &[u8]) {
        match self.flexible {
            true => self.compact_length(Some(value.len())),
            false => self.i32(value.len() as i32),
        }
        self.out.extend_from_slice(value);
    }

    pub fn array<T>(
        &mut self,
        items: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut each: impl FnMut(&mut Writer, T),
    ) {
        let items = items.into_iter();
        self.count(Some(items.len()));
        for item in items {
            each(self, item);
        }
    }

    /// An array's length alone, for the few whose elements are written one by one.
    pub fn count(&mut self, count: Option<usize>) {
        match (self.flexible, count) {
            (true, _) => self.compact_length(count),
            (false, Some(n)) => self.i32(n as i32),
            (false, None) => self.i32(-1),
        }
    }

    /// No tagged fields: none of the optional ones is needed by a broker of one node.
    pub fn tags(&mut self) {
        if self.flexible {
            self.out.push(0);
        }
    }

    fn compact_length(&mut self, length: Option<usize>) {
        let mut value = length.map_or(0, |n| n as u32 + 1);
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &[u8], flexible: bool) -> Reader {
        Reader { buf: Bytes::copy_from_slice(bytes), flexible }
    }

    #[test]
    fn strings_and_arrays_round_trip_in_both_layouts() {
        for flexible in [false, true] {
            let mut writer = Writer::new();
            writer.set_flexible(flexible);
            let long = "é".repeat(200);
            writer.array(["", "a", &long], |w, text| w.string(text));
            writer.nullable_string(None);
            writer.bytes(b"xyz");
            writer.tags();
            let mut reader = reader(&writer.frame()[4..], flexible);
            assert_eq!(reader.array(Reader::string).unwrap(), ["", "a", &long]);
            assert_eq!(reader.nullable_string().unwrap(), None);
            assert_eq!(reader.bytes().unwrap(), &b"xyz"[..]);
            reader.tags().unwrap();
            assert!(reader.buf.is_empty());
        }
    }

    #[test]
    fn a_length_that_cannot_be_true_is_refused_before_memory_is_taken() {
        assert!(reader(&[0x7f, 0xff, 0xff, 0xff], false).array(Reader::i32).is_err());
        assert!(reader(&[0xff, 0xff, 0xff, 0xff, 0x0f], true).array(Reader::i32).is_err());
        assert!(reader(&[0xff, 0xff, 0xff, 0xfe], false).nullable_array(Reader::i32).is_err());
        assert!(reader(&[0x7f, 0xff, b'a'], false).string().is_err());
        assert!(reader(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01], true).tags().is_err());
    }
}
