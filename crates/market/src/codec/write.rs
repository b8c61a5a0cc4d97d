//! Writes JSON objects, field by field.

use crate::decimal::{Decimal, write_i64};

/// An object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    first: bool,
}

impl<'a> Object<'a> {
    pub(super) fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, first: true }
    }

    pub(super) fn close(self) {
        self.out.push(b'}');
    }

    /// Our own names need no escapes. A field is a few stores where its name is known, and a call for each piece of it where not: so it is
    /// inlined, and what calls it, too.
    #[inline(always)]
    fn name(&mut self, name: &str) {
        self.out.extend_from_slice(if self.first { b"\"" } else { b",\"" });
        self.first = false;
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    #[inline(always)]
    pub(super) fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        string(value, self.out);
    }

    pub(super) fn texts(&mut self, name: &str, values: &[String]) {
        self.name(name);
        self.out.push(b'[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            string(value, self.out);
        }
        self.out.push(b']');
    }

    #[inline(always)]
    pub(super) fn number(&mut self, name: &str, value: impl Into<Decimal>) {
        self.name(name);
        value.into().write(self.out);
    }

    #[inline(always)]
    pub(super) fn integer(&mut self, name: &str, value: i64) {
        self.name(name);
        write_i64(value, self.out);
    }

    pub(super) fn count(&mut self, name: &str, value: u64) {
        self.name(name);
        crate::decimal::write_u64(value, self.out);
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) {
        self.name(name);
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(super) fn null(&mut self, name: &str) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }

    pub(super) fn object(&mut self, name: &str, fill: impl FnOnce(&mut Object)) {
        self.name(name);
        let mut inner = Object::open(self.out);
        fill(&mut inner);
        inner.close();
    }

    pub(super) fn objects<T>(&mut self, name: &str, values: &[T], mut fill: impl FnMut(&mut Object, &T)) {
        self.name(name);
        self.out.push(b'[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                self.out.push(b',');
            }
            let mut inner = Object::open(self.out);
            fill(&mut inner, value);
            inner.close();
        }
        self.out.push(b']');
    }

    /// A number under a name that came from outside.
    pub(super) fn foreign_number(&mut self, name: &str, value: Decimal) {
        if !self.first {
            self.out.push(b',');
        }
        self.first = false;
        string(name, self.out);
        self.out.push(b':');
        value.write(self.out);
    }

    /// The following leave the field out when there is no value.
    pub(super) fn opt_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(super) fn opt_number(&mut self, name: &str, value: Option<impl Into<Decimal>>) {
        if let Some(value) = value {
            self.number(name, value);
        }
    }

    pub(super) fn opt_integer(&mut self, name: &str, value: Option<i64>) {
        if let Some(value) = value {
            self.integer(name, value);
        }
    }

    /// The following write `null` when there is no value: a table of metrics has all its columns in every row.
    pub(super) fn number_or_null(&mut self, name: &str, value: Option<impl Into<Decimal>>) {
        match value {
            Some(value) => self.number(name, value),
            None => self.null(name),
        }
    }

    pub(super) fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.null(name),
        }
    }
}

/// A JSON string with the fewest escapes that are allowed.
fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    // All of them are looked at, without an early end: that is done in large steps.
    if text.bytes().fold(false, |found, byte| found | needs_escape(byte)) {
        escaped(text, out);
    } else {
        out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

#[cold]
fn escaped(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut clean = 0;
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        if !needs_escape(byte) {
            continue;
        }
        out.extend_from_slice(&bytes[clean..at]);
        clean = at + 1;
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[(byte >> 4) as usize], HEX[(byte & 15) as usize]])
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_as_serde_json_writes_them() {
        let text: String = (0u8..=127).map(char::from).chain("é€😀".chars()).collect();
        let mut out = Vec::new();
        string(&text, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
    }
}
