//! A strict JSON reader that hands out slices of its input.
//!
//! In: text. Out: the fields of an object, each value still as it was written, so a number keeps its digits and
//! nothing is allocated that nobody asks for. It accepts what RFC 8259 allows and no more; nesting is limited, so
//! hostile input cannot exhaust the stack. (serde_json's `RawValue` gives the digits too, but cannot tell a repeated
//! field or a bare `NaN`, and takes twice the time on the record every stage reads most.)

use std::borrow::Cow;

/// Deeper values than this are refused; ours are three deep.
const DEEPEST: u32 = 32;

/// Why a text is not JSON, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Syntax(usize),
    /// A bare `NaN` or `Infinity`, as some languages print.
    NotFinite(usize),
    TooDeep(usize),
}

/// A value as it was written, known to be well formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    /// No such field.
    Absent,
    Null,
    Bool(bool),
    Number(&'a str),
    /// Between the quotes, without any escape.
    Plain(&'a str),
    /// Between the quotes, with escapes still in it.
    Escaped(&'a str),
    Array(&'a str),
    Object(&'a str),
}

impl<'a> Raw<'a> {
    /// The text of a string; `None` for other values and for halves of surrogate pairs, which are no characters.
    pub(crate) fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Plain(text) => Some(Cow::Borrowed(text)),
            Self::Escaped(text) => unescape(text).map(Cow::Owned),
            _ => None,
        }
    }

    /// The value as it was written, for messages.
    pub(crate) fn shown(self) -> &'a str {
        match self {
            Self::Absent => "nothing",
            Self::Null => "null",
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Number(t) | Self::Plain(t) | Self::Escaped(t) | Self::Array(t) | Self::Object(t) => t,
        }
    }
}

/// Reads values from the front of a text.
///
/// The small steps are inlined by force: a value that goes through memory between them is stored in halves and loaded
/// whole, and the processor waits for that longer than reading the value takes.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Starts on a text that should be one object: whether it is one with fields, without, or (`None`) another value.
    pub(crate) fn begin(&mut self) -> Result<Option<bool>, Fault> {
        self.space();
        if self.peek() != Some(b'{') {
            self.value(0)?;
            self.end()?;
            return Ok(None);
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            self.end()?;
            return Ok(Some(false));
        }
        Ok(Some(true))
    }

    /// Whether the next name is this one, given as `"name":`. Only then is it read.
    #[inline(always)]
    pub(crate) fn name_is(&mut self, quoted: &str) -> bool {
        let (rest, quoted) = (&self.text.as_bytes()[self.at..], quoted.as_bytes());
        // Most wrong guesses end within eight bytes, which are compared without a call.
        let begins = match (rest.first_chunk::<8>(), quoted.first_chunk::<8>()) {
            (Some(rest), Some(quoted)) => rest == quoted,
            _ => true,
        };
        let is = begins && rest.starts_with(quoted);
        if is {
            self.at += quoted.len();
            self.space();
        }
        is
    }

    /// Reads the next name.
    #[inline(always)]
    pub(crate) fn name(&mut self) -> Result<Raw<'a>, Fault> {
        let name = self.string()?;
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(name)
    }

    /// Reads the value of the name that was read, and whether another name follows.
    #[inline(always)]
    pub(crate) fn field(&mut self) -> Result<(Raw<'a>, bool), Fault> {
        let value = self.value(0)?;
        let more = self.more(b'}')?;
        if !more {
            self.end()?;
        }
        Ok((value, more))
    }

    /// Reads the whole text as one array and hands out its values in order.
    pub(crate) fn items<E: From<Fault>>(&mut self, mut each: impl FnMut(Raw<'a>) -> Result<(), E>) -> Result<(), E> {
        self.space();
        self.array(0, &mut each)?;
        Ok(self.end()?)
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        self.space();
        if self.at == self.text.len() { Ok(()) } else { Err(Fault::Syntax(self.at)) }
    }

    #[inline(always)]
    fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Fault::Syntax(self.at))
        }
    }

    /// After a value: `true` when another follows a comma, `false` when `close` ended the list.
    #[inline(always)]
    fn more(&mut self, close: u8) -> Result<bool, Fault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(Fault::Syntax(self.at)),
        }
    }

    /// Skips an object inside another value.
    fn object(&mut self, depth: u32) -> Result<(), Fault> {
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.name()?;
            self.value(depth)?;
            if !self.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn array<E: From<Fault>>(&mut self, depth: u32, each: &mut impl FnMut(Raw<'a>) -> Result<(), E>) -> Result<(), E> {
        self.expect(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let value = self.value(depth)?;
            each(value)?;
            if !self.more(b']')? {
                return Ok(());
            }
        }
    }

    #[inline(always)]
    fn value(&mut self, depth: u32) -> Result<Raw<'a>, Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'{' | b'[') => self.nested(depth + 1),
            _ => self.word(),
        }
    }

    /// Skips an object or an array and keeps its text.
    #[cold]
    fn nested(&mut self, depth: u32) -> Result<Raw<'a>, Fault> {
        let start = self.at;
        if depth > DEEPEST {
            return Err(Fault::TooDeep(start));
        }
        if self.peek() == Some(b'{') {
            self.object(depth)?;
            Ok(Raw::Object(&self.text[start..self.at]))
        } else {
            self.array(depth, &mut |_| Ok::<_, Fault>(()))?;
            Ok(Raw::Array(&self.text[start..self.at]))
        }
    }

    fn word(&mut self) -> Result<Raw<'a>, Fault> {
        let rest = &self.text.as_bytes()[self.at..];
        for (word, value) in [("null", Raw::Null), ("true", Raw::Bool(true)), ("false", Raw::Bool(false))] {
            if rest.starts_with(word.as_bytes()) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(if is_not_finite(rest) { Fault::NotFinite(self.at) } else { Fault::Syntax(self.at) })
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        // Times have nineteen digits: eight of them are looked at together. A byte is a digit when its high half is
        // 3, and still is after adding 6.
        while let Some(chunk) = self.text.as_bytes()[self.at..].first_chunk::<8>() {
            const HALVES: u64 = 0xf0f0_f0f0_f0f0_f0f0;
            const THREES: u64 = 0x3030_3030_3030_3030;
            const SIXES: u64 = 0x0606_0606_0606_0606;
            let word = u64::from_le_bytes(*chunk);
            if word & HALVES != THREES || (word + SIXES) & HALVES != THREES {
                break;
            }
            self.at += 8;
        }
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(Fault::Syntax(start)) } else { Ok(()) }
    }

    #[inline(always)]
    fn number(&mut self) -> Result<Raw<'a>, Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
            if is_not_finite(&self.text.as_bytes()[self.at..]) {
                return Err(Fault::NotFinite(start));
            }
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(Raw::Number(&self.text[start..self.at]))
    }

    #[inline(always)]
    fn string(&mut self) -> Result<Raw<'a>, Fault> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.plain_run();
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..0x20) | None => return Err(Fault::Syntax(self.at)),
                Some(_) => self.at += 1,
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok(if escaped { Raw::Escaped(text) } else { Raw::Plain(text) })
    }

    /// Skips to the next quote, backslash or control character, or near to the end: eight bytes at a time.
    #[inline(always)]
    fn plain_run(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.text.as_bytes()[self.at..].first_chunk::<8>() {
            let word = u64::from_le_bytes(*chunk);
            // The high bit of a byte is set where it is below the byte it is compared with; only the lowest such bit
            // is sure, since the subtraction borrows upwards, and only the lowest is used.
            let below = |limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGH;
            let equal = |byte: u8| {
                let other = word ^ (ONES * u64::from(byte));
                other.wrapping_sub(ONES) & !other & HIGH
            };
            let found = below(0x20) | equal(b'"') | equal(b'\\');
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return;
            }
            self.at += 8;
        }
    }

    #[cold]
    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        let length = match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
            Some(b'u') if hex(self.text.as_bytes().get(self.at + 1..)).is_some() => 5,
            _ => return Err(Fault::Syntax(self.at)),
        };
        self.at += length;
        Ok(())
    }
}

fn is_not_finite(rest: &[u8]) -> bool {
    rest.starts_with(b"NaN") || rest.starts_with(b"Infinity")
}

/// Four hexadecimal digits at the front.
fn hex(bytes: Option<&[u8]>) -> Option<u32> {
    let (digits, _) = bytes?.split_first_chunk::<4>()?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | char::from(digit).to_digit(16)?))
}

/// Resolves the escapes of a well-formed string.
fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (kind, after) = rest.as_bytes()[at + 1..].split_first()?;
        rest = &rest[at + 2..];
        out.push(match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let (character, length) = unicode(after)?;
                rest = &rest[length..];
                character
            }
            other => char::from(*other),
        });
    }
    out.push_str(rest);
    Some(out)
}

/// The character of `XXXX`, or of `XXXX\uXXXX` for a surrogate pair, and how many bytes it took.
fn unicode(bytes: &[u8]) -> Option<(char, usize)> {
    let first = hex(Some(bytes))?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 4));
    }
    let second = hex(bytes.get(4..)?.strip_prefix(b"\\u"))?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    Some((char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, 10))
}

#[cfg(test)]
mod tests;
