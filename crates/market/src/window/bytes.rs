//! The bytes of saved state: variable-length integers, nothing else.
//!
//! State is written for every touched symbol in every transaction, so it is binary and small; every value starts with a version
//! byte, which the caller writes. Reading never panics and never allocates by a length it has not checked.

use crate::wide::Wide;

/// Why saved state could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    #[error("the key `{0}` is not one this version writes; state of a newer version must be read by that version")]
    Key(String),
    #[error(
        "state of `{key}` is version {found}, this version reads {expected}; restore with the version that wrote it, or rebuild"
    )]
    Version { key: String, found: u8, expected: u8 },
    #[error("state of `{0}` is cut short or damaged; rebuild it from the input")]
    Damaged(String),
}

/// Reading past the end, or a number that does not fit. Carries nothing: the caller names the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

#[derive(Default)]
pub(crate) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub fn unsigned(&mut self, mut value: u128) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub fn signed(&mut self, value: i128) {
        self.unsigned(((value << 1) ^ (value >> 127)) as u128);
    }

    /// 256 bits: a length, then the low bytes that are not mere sign.
    pub fn wide(&mut self, value: Wide) {
        let bytes = value.to_le_bytes();
        let fill = if bytes[31] & 0x80 == 0 { 0 } else { 0xff };
        let mut length = bytes.iter().rposition(|b| *b != fill).map_or(0, |i| i + 1);
        // The top bit of what is kept must still tell the sign.
        if length < 32 && (length == 0 && fill != 0 || length > 0 && (bytes[length - 1] ^ fill) & 0x80 != 0) {
            length += 1;
        }
        self.byte(length as u8);
        self.bytes.extend_from_slice(&bytes[..length]);
    }

    pub fn text(&mut self, text: &str) {
        self.unsigned(text.len() as u128);
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn byte(&mut self) -> Result<u8, Short> {
        let (first, rest) = self.rest.split_first().ok_or(Short)?;
        self.rest = rest;
        Ok(*first)
    }

    pub fn unsigned(&mut self) -> Result<u128, Short> {
        let mut value = 0u128;
        for shift in (0..).step_by(7) {
            let byte = self.byte()?;
            let bits = u128::from(byte & 0x7f);
            if shift > 126 || (shift == 126 && bits > 3) {
                return Err(Short);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Ok(value)
    }

    pub fn signed(&mut self) -> Result<i128, Short> {
        let value = self.unsigned()?;
        Ok((value >> 1) as i128 ^ -((value & 1) as i128))
    }

    /// An unsigned number in the type the field has.
    pub fn small<T: TryFrom<u128>>(&mut self) -> Result<T, Short> {
        T::try_from(self.unsigned()?).map_err(|_| Short)
    }

    /// A signed number in the type the field has.
    pub fn int<T: TryFrom<i128>>(&mut self) -> Result<T, Short> {
        T::try_from(self.signed()?).map_err(|_| Short)
    }

    pub fn wide(&mut self) -> Result<Wide, Short> {
        let length = usize::from(self.byte()?);
        if length > 32 || length > self.rest.len() {
            return Err(Short);
        }
        let (low, rest) = self.rest.split_at(length);
        self.rest = rest;
        let fill = if low.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
        let mut bytes = [fill; 32];
        bytes[..length].copy_from_slice(low);
        Ok(Wide::from_le_bytes(bytes))
    }

    /// How many entries follow, each of at least one byte: never more than the bytes that are left.
    pub fn count(&mut self) -> Result<usize, Short> {
        let count: usize = self.small()?;
        if count > self.rest.len() { Err(Short) } else { Ok(count) }
    }

    pub fn text(&mut self) -> Result<&'a str, Short> {
        let length = self.count()?;
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| Short)
    }

    /// Nothing may follow: trailing bytes mean that the value is not what it was taken for.
    pub fn end(&self) -> Result<(), Short> {
        if self.rest.is_empty() { Ok(()) } else { Err(Short) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_and_text_go_round(a: u128, b: i128, c: i64, text: String) {
            let mut w = Writer::default();
            w.unsigned(a);
            w.signed(b);
            w.signed(c.into());
            w.text(&text);
            let mut r = Reader::new(&w.bytes);
            prop_assert_eq!(r.unsigned(), Ok(a));
            prop_assert_eq!(r.signed(), Ok(b));
            prop_assert_eq!(r.int::<i64>(), Ok(c));
            prop_assert_eq!(r.text(), Ok(text.as_str()));
            prop_assert_eq!(r.end(), Ok(()));
        }

        #[test]
        fn sums_of_256_bits_go_round(bytes: [u8; 32], keep in 0usize..33, negative: bool) {
            let mut cut = [if negative { 0xff } else { 0 }; 32];
            cut[..keep].copy_from_slice(&bytes[..keep]);
            let value = Wide::from_le_bytes(cut);
            let mut w = Writer::default();
            w.wide(value);
            let mut r = Reader::new(&w.bytes);
            prop_assert_eq!(r.wide(), Ok(value));
            prop_assert_eq!(r.end(), Ok(()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let mut r = Reader::new(&bytes);
            let _ = r.unsigned();
            let _ = r.text();
            let _ = r.wide();
            let _ = r.signed();
            let _ = r.count();
        }
    }

    #[test]
    fn a_number_beyond_its_type_is_refused() {
        let mut w = Writer::default();
        w.unsigned(256);
        assert_eq!(Reader::new(&w.bytes).small::<u8>(), Err(Short));
        assert_eq!(Reader::new(&[0xff; 19]).unsigned(), Err(Short));
        assert_eq!(Reader::new(&[]).unsigned(), Err(Short));
    }
}
