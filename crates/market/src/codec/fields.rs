//! The fields of one object, found by name and read by type.
//!
//! One pass over the text puts every known field into its slot, as it was written; the kind may come last, so nothing
//! is interpreted before the pass is over, and a field that the kind does not have is never looked at.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::SCHEMA_VERSION;
use super::error::{DecodeError, Reason, excerpt};
use crate::decimal::{Decimal, NumberError};
use crate::json::{Raw, Scanner};
use crate::price::{Price, Quantity, QuantityError};
use crate::symbol;

/// Slots for the largest vocabulary.
const ROOM: usize = 48;
/// No known name is longer.
const LONGEST_NAME: usize = 24;
/// No more known names share a length.
const SAME_LENGTH: usize = 16;
const NO_FIELD: u8 = u8::MAX;

/// The slots of the names of each length.
pub(super) type ByLength = [[u8; SAME_LENGTH]; LONGEST_NAME];

/// The names that some form of record can have.
pub(super) trait Names: Copy {
    const NAMES: &'static [&'static str];
    /// Each as `"name":`.
    const QUOTED: &'static [&'static str];
    const BY_LENGTH: &'static ByLength;
    fn slot(self) -> usize;
}

/// Sorts names by their length, so that a name is compared with two or three and not with all.
pub(super) const fn by_length(names: &[&str]) -> ByLength {
    assert!(names.len() <= ROOM, "more names than slots");
    let mut table = [[NO_FIELD; SAME_LENGTH]; LONGEST_NAME];
    let mut i = 0;
    while i < names.len() {
        let row = names[i].len();
        let mut free = 0;
        while table[row][free] != NO_FIELD {
            free += 1;
        }
        table[row][free] = i as u8;
        i += 1;
    }
    table
}

/// Declares a vocabulary: an enum of the fields and their names.
macro_rules! fields {
    ($vocabulary:ident { $($field:ident = $name:literal,)+ }) => {
        #[derive(Debug, Clone, Copy)]
        enum $vocabulary { $($field,)+ }

        impl $crate::codec::fields::Names for $vocabulary {
            const NAMES: &'static [&'static str] = &[$($name,)+];
            const QUOTED: &'static [&'static str] = &[$(concat!("\"", $name, "\":"),)+];
            const BY_LENGTH: &'static $crate::codec::fields::ByLength = &$crate::codec::fields::by_length(Self::NAMES);

            #[inline]
            fn slot(self) -> usize {
                self as usize
            }
        }
    };
}

pub(super) use fields;

/// The known fields of one object.
pub(super) struct Fields<'a, F> {
    slots: [Raw<'a>; ROOM],
    names: PhantomData<F>,
}

impl<'a, F: Names> Fields<'a, F> {
    /// No field at all. To be filled in place: the slots are a kilobyte, which is not to be moved about.
    pub(super) fn empty() -> Self {
        Self { slots: [Raw::Absent; ROOM], names: PhantomData }
    }

    /// Takes the fields of a record's value.
    #[inline]
    pub(super) fn read(&mut self, value: &'a [u8]) -> Result<(), DecodeError> {
        match std::str::from_utf8(value) {
            Ok("") => Err(DecodeError::new(Reason::Empty, "no value")),
            Ok(text) => self.read_text(text),
            Err(error) => Err(DecodeError::new(Reason::NotUtf8, format!("not UTF-8 at byte {}", error.valid_up_to()))),
        }
    }

    /// Takes the fields of an object inside an object.
    pub(super) fn read_text(&mut self, text: &'a str) -> Result<(), DecodeError> {
        let mut scanner = Scanner::new(text);
        let Some(mut more) = scanner.begin()? else {
            return Err(DecodeError::new(Reason::NotJson, "a JSON value, but not an object"));
        };
        // Our own records have their fields in the order of the names, so the next name is known before it is read.
        let mut expected = 0;
        while more {
            let slot = match F::QUOTED.get(expected) {
                Some(quoted) if scanner.name_is(quoted) => Some(expected),
                _ => slot_of::<F>(scanner.name()?),
            };
            let value;
            (value, more) = scanner.field()?;
            let Some(slot) = slot else { continue };
            if !matches!(self.slots[slot], Raw::Absent) {
                return Err(DecodeError::new(Reason::DuplicateField, format!("{} is given twice", F::NAMES[slot])));
            }
            self.slots[slot] = value;
            expected = slot + 1;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn raw(&self, field: F) -> Raw<'a> {
        self.slots[field.slot()]
    }

    pub(super) fn has(&self, field: F) -> bool {
        !matches!(self.raw(field), Raw::Absent)
    }

    #[cold]
    pub(super) fn error(&self, field: F, reason: Reason, what: &str) -> DecodeError {
        let shown = excerpt(self.raw(field).shown());
        DecodeError::new(reason, format!("{}: {shown:?} {what}", F::NAMES[field.slot()]))
    }

    #[cold]
    fn missing(&self, field: F) -> DecodeError {
        let what = if self.has(field) { "null" } else { "missing" };
        DecodeError::new(Reason::MissingField, format!("{} is {what}", F::NAMES[field.slot()]))
    }

    fn required<T>(&self, field: F, value: Option<T>) -> Result<T, DecodeError> {
        value.ok_or_else(|| self.missing(field))
    }

    pub(super) fn opt_text(&self, field: F) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.raw(field) {
            Raw::Absent | Raw::Null => Ok(None),
            Raw::Plain(text) => Ok(Some(Cow::Borrowed(text))),
            raw @ Raw::Escaped(_) => match raw.text() {
                Some(text) => Ok(Some(text)),
                None => Err(self.error(field, Reason::NotUtf8, "holds half of a surrogate pair")),
            },
            _ => Err(self.error(field, Reason::WrongType, "is not a string")),
        }
    }

    pub(super) fn text(&self, field: F) -> Result<Cow<'a, str>, DecodeError> {
        let text = self.opt_text(field)?;
        self.required(field, text)
    }

    pub(super) fn string(&self, field: F) -> Result<String, DecodeError> {
        self.text(field).map(Cow::into_owned)
    }

    pub(super) fn opt_string(&self, field: F) -> Result<Option<String>, DecodeError> {
        Ok(self.opt_text(field)?.map(Cow::into_owned))
    }

    pub(super) fn opt_symbol(&self, field: F) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.opt_text(field)? {
            Some(text) if !symbol::is_valid(&text) => Err(self.error(field, Reason::BadSymbol, "is not a symbol")),
            text => Ok(text),
        }
    }

    pub(super) fn symbol(&self, field: F) -> Result<Cow<'a, str>, DecodeError> {
        let text = self.opt_symbol(field)?;
        self.required(field, text)
    }

    /// An id: a string, or an integer as it was written. An empty string is no id.
    pub(super) fn opt_id(&self, field: F) -> Result<Option<Cow<'a, str>>, DecodeError> {
        match self.raw(field) {
            Raw::Number(digits) if !digits.contains(['.', 'e', 'E']) => Ok(Some(Cow::Borrowed(digits))),
            Raw::Number(_) => Err(self.error(field, Reason::WrongType, "is neither a string nor an integer")),
            _ => Ok(self.opt_text(field)?.filter(|id| !id.is_empty())),
        }
    }

    pub(super) fn id(&self, field: F) -> Result<String, DecodeError> {
        let id = self.opt_id(field)?;
        self.required(field, id.map(Cow::into_owned))
    }

    /// The digits of a number, which may be written as a string.
    fn digits(&self, field: F) -> Result<Option<&'a str>, DecodeError> {
        match self.raw(field) {
            Raw::Number(digits) | Raw::Plain(digits) => Ok(Some(digits)),
            Raw::Absent | Raw::Null => Ok(None),
            _ => Err(self.error(field, Reason::WrongType, "is not a number")),
        }
    }

    #[cold]
    pub(super) fn not_a_number(&self, field: F, error: NumberError) -> DecodeError {
        let reason = match error {
            NumberError::Syntax => Reason::WrongType,
            NumberError::NotFinite => Reason::NotFinite,
            NumberError::Precision => Reason::Precision,
        };
        self.error(field, reason, &error.to_string())
    }

    pub(super) fn opt_decimal(&self, field: F) -> Result<Option<Decimal>, DecodeError> {
        match self.digits(field)? {
            None => Ok(None),
            Some(digits) => {
                Decimal::parse(digits.as_bytes()).map(Some).map_err(|error| self.not_a_number(field, error))
            }
        }
    }

    pub(super) fn decimal(&self, field: F) -> Result<Decimal, DecodeError> {
        let value = self.opt_decimal(field)?;
        self.required(field, value)
    }

    pub(super) fn opt_price(&self, field: F) -> Result<Option<Price>, DecodeError> {
        Ok(self.opt_decimal(field)?.map(Price::new))
    }

    pub(super) fn price(&self, field: F) -> Result<Price, DecodeError> {
        self.decimal(field).map(Price::new)
    }

    pub(super) fn opt_quantity(&self, field: F) -> Result<Option<Quantity>, DecodeError> {
        match self.opt_decimal(field)?.map(Quantity::new) {
            None => Ok(None),
            Some(Ok(quantity)) => Ok(Some(quantity)),
            Some(Err(QuantityError::Number(error))) => Err(self.not_a_number(field, error)),
            Some(Err(QuantityError::Negative)) => Err(self.error(field, Reason::NegativeSize, "is below zero")),
        }
    }

    pub(super) fn quantity(&self, field: F) -> Result<Quantity, DecodeError> {
        let quantity = self.opt_quantity(field)?;
        self.required(field, quantity)
    }

    fn opt_integer(&self, field: F, too_large: Reason) -> Result<Option<i64>, DecodeError> {
        match self.raw(field) {
            Raw::Absent | Raw::Null => Ok(None),
            Raw::Number(digits) => match integer(digits) {
                Some(value) => Ok(Some(value)),
                None if digits.contains(['.', 'e', 'E']) => {
                    Err(self.error(field, Reason::WrongType, "is not a plain integer"))
                }
                None => Err(self.error(field, too_large, "does not fit 64 bits")),
            },
            _ => Err(self.error(field, Reason::WrongType, "is not an integer")),
        }
    }

    pub(super) fn integer(&self, field: F) -> Result<i64, DecodeError> {
        let value = self.opt_integer(field, Reason::BadValue)?;
        self.required(field, value)
    }

    /// An integer of a narrower range, such as a count that cannot be negative.
    pub(super) fn narrow<T: TryFrom<i64>>(&self, field: F) -> Result<T, DecodeError> {
        T::try_from(self.integer(field)?).map_err(|_| self.error(field, Reason::BadValue, "is out of range"))
    }

    pub(super) fn opt_time(&self, field: F) -> Result<Option<i64>, DecodeError> {
        self.opt_integer(field, Reason::BadTime)
    }

    pub(super) fn time(&self, field: F) -> Result<i64, DecodeError> {
        let time = self.opt_time(field)?;
        self.required(field, time)
    }

    /// Two times of which the second is not before the first, and after it where `strict`.
    pub(super) fn range(&self, from: F, to: F, strict: bool) -> Result<(i64, i64), DecodeError> {
        let range = (self.time(from)?, self.time(to)?);
        if range.0 > range.1 || (strict && range.0 == range.1) {
            return Err(self.error(to, Reason::BadTime, &format!("ends before {}", F::NAMES[from.slot()])));
        }
        Ok(range)
    }

    pub(super) fn opt_flag(&self, field: F) -> Result<Option<bool>, DecodeError> {
        match self.raw(field) {
            Raw::Absent | Raw::Null => Ok(None),
            Raw::Bool(value) => Ok(Some(value)),
            _ => Err(self.error(field, Reason::WrongType, "is neither true nor false")),
        }
    }

    pub(super) fn flag(&self, field: F) -> Result<bool, DecodeError> {
        let flag = self.opt_flag(field)?;
        self.required(field, flag)
    }

    /// A word of a closed vocabulary.
    pub(super) fn opt_word<T>(&self, field: F, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, DecodeError> {
        match self.opt_text(field)? {
            None => Ok(None),
            Some(text) => match parse(&text) {
                Some(value) => Ok(Some(value)),
                None => Err(self.error(field, Reason::BadValue, "is not one of its values")),
            },
        }
    }

    pub(super) fn word<T>(&self, field: F, parse: impl Fn(&str) -> Option<T>) -> Result<T, DecodeError> {
        let word = self.opt_word(field, parse)?;
        self.required(field, word)
    }

    /// Refuses what a newer Finflow wrote: its fields may mean something else.
    pub(super) fn schema(&self, field: F) -> Result<(), DecodeError> {
        match self.integer(field)? {
            version if version > SCHEMA_VERSION => Err(self.error(
                field,
                Reason::FutureSchema,
                &format!("is newer than {SCHEMA_VERSION}, the newest known"),
            )),
            version if version < 1 => Err(self.error(field, Reason::BadValue, "is no version")),
            _ => Ok(()),
        }
    }
}

/// Where a name belongs, if it is a known one.
#[inline]
fn slot_of<F: Names>(name: Raw) -> Option<usize> {
    match name {
        Raw::Plain(name) => find::<F>(name),
        escaped => escaped.text().and_then(|name| find::<F>(&name)),
    }
}

#[inline]
fn find<F: Names>(name: &str) -> Option<usize> {
    let row = F::BY_LENGTH.get(name.len())?;
    for &slot in row {
        if slot == NO_FIELD {
            return None;
        }
        if same(F::NAMES[slot as usize].as_bytes(), name.as_bytes()) {
            return Some(slot as usize);
        }
    }
    None
}

/// Whether two names of the same length are equal: by two words that may overlap, instead of a call.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    match a.len() {
        4..=8 => a.first_chunk::<4>() == b.first_chunk::<4>() && a.last_chunk::<4>() == b.last_chunk::<4>(),
        9..=16 => a.first_chunk::<8>() == b.first_chunk::<8>() && a.last_chunk::<8>() == b.last_chunk::<8>(),
        _ => a == b,
    }
}

/// The integer of a JSON number without fraction and exponent; `None` beyond 64 bits too.
#[inline]
pub(super) fn integer(number: &str) -> Option<i64> {
    let (negative, digits) = match number.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // Nineteen digits fit 64 bits without a sign.
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    let mut value = 0u64;
    for digit in digits.iter().map(|byte| byte.wrapping_sub(b'0')) {
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::integer;

    #[test]
    fn integers_reach_to_both_ends_of_64_bits() {
        for number in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(integer(&number.to_string()), Some(number));
        }
        for beyond in
            ["9223372036854775808", "-9223372036854775809", "99999999999999999999", "", "-", "1.0", "1e3", "+1"]
        {
            assert_eq!(integer(beyond), None, "{beyond}");
        }
    }

    proptest! {
        #[test]
        fn integers_are_those_of_the_standard_library(text in "-?(0|[1-9][0-9]{0,19})") {
            prop_assert_eq!(integer(&text), text.parse().ok());
        }
    }
}
