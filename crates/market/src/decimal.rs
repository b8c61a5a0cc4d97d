//! Exact decimals: what a venue wrote is what is kept, added and written back.
//!
//! In: the digits of a JSON number or a string. Out: fixed point with 18 digits after the point and at most 20 before
//! it, which is Parquet's `decimal(38,18)`. A text that needs more digits is refused, never rounded, and nothing on
//! the wire passes through a binary float: 0.1 stays 0.1.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Digits kept after the point.
pub const FRACTION_DIGITS: u32 = 18;
/// Digits allowed before the point.
pub const INTEGER_DIGITS: u32 = 20;

/// Units in one: 10^18.
const ONE: i128 = 10i128.pow(FRACTION_DIGITS);
/// The first magnitude that does not fit, in units: 10^38.
const LIMIT: u128 = 10u128.pow(FRACTION_DIGITS + INTEGER_DIGITS);
/// The longest run of digits that surely fits 64 bits.
const FAST_DIGITS: usize = 19;

/// 10^0 … 10^38.
pub(crate) const POW10: [u128; 39] = {
    let mut table = [1u128; 39];
    let mut i = 1;
    while i < table.len() {
        table[i] = table[i - 1] * 10;
        i += 1;
    }
    table
};

/// Why a text is not a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("not a number")]
    Syntax,
    #[error("not a finite number")]
    NotFinite,
    #[error("needs more than 20 digits before the point or 18 after it")]
    Precision,
}

/// A number of at most 20 digits before and 18 after the point, exact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i128);

impl Decimal {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(ONE);
    pub const MAX: Self = Self(LIMIT as i128 - 1);
    pub const MIN: Self = Self(-(LIMIT as i128 - 1));

    /// From a count of 10^-18; `None` when it has more than 20 digits before the point.
    pub const fn from_units(units: i128) -> Option<Self> {
        if units.unsigned_abs() < LIMIT { Some(Self(units)) } else { None }
    }

    /// The value as a count of 10^-18: what Parquet's `decimal(38,18)` stores.
    pub const fn units(self) -> i128 {
        self.0
    }

    pub const fn from_int(value: i64) -> Self {
        Self(value as i128 * ONE)
    }

    /// The nearest decimal of `decimals` digits. For numbers that are born as doubles (logarithms, square roots),
    /// never for the wire. `None` when it is not finite or too large.
    pub fn from_f64(value: f64, decimals: usize) -> Option<Self> {
        let decimals = decimals.min(FRACTION_DIGITS as usize);
        if !value.is_finite() {
            return None;
        }
        Self::parse(format!("{value:.decimals$}").as_bytes()).ok()
    }

    /// The nearest double: for plots and statistics, never for sums that are promised exact.
    pub fn to_f64(self) -> f64 {
        // Above 2^53 units the quotient of two doubles is off by a rounding; the parser of the standard library is
        // not.
        self.to_string().parse().expect("the display form is a valid number")
    }

    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub const fn abs(self) -> Self {
        Self(self.0.abs())
    }

    pub fn checked_add(self, other: Self) -> Option<Self> {
        // Both are below 10^38 and i128 reaches 1.7 × 10^38, so the sum may overflow before the limit is looked at.
        Self::from_units(self.0.checked_add(other.0)?)
    }

    pub fn checked_sub(self, other: Self) -> Option<Self> {
        Self::from_units(self.0.checked_sub(other.0)?)
    }

    /// Half-even to `decimals` digits after the point.
    pub fn rounded(self, decimals: u32) -> Option<Self> {
        let step = POW10[(FRACTION_DIGITS - decimals.min(FRACTION_DIGITS)) as usize] as i128;
        let (quotient, rest) = (self.0.div_euclid(step), self.0.rem_euclid(step));
        let up = rest * 2 > step || (rest * 2 == step && quotient % 2 != 0);
        Self::from_units((quotient + i128::from(up)).checked_mul(step)?)
    }

    /// Reads `-12.5`, `3.844E-5`, `007`: an optional minus, digits, an optional fraction, an optional exponent.
    /// Trailing zeros need no room: `1.0000000000000000000000` is one.
    pub fn parse(text: &[u8]) -> Result<Self, NumberError> {
        match parse_short(text) {
            Some(units) => Ok(Self(units)),
            None => parse_long(text).map(Self),
        }
    }

    /// Appends the shortest exact form: no exponent, no trailing zeros, no plus, no minus on zero.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.0 < 0 {
            out.push(b'-');
        }
        let magnitude = self.0.unsigned_abs();
        let (whole, fraction) = match u64::try_from(magnitude) {
            Ok(small) => ((small / ONE as u64) as u128, small % ONE as u64),
            Err(_) => {
                let whole = magnitude / ONE as u128;
                (whole, (magnitude - whole * ONE as u128) as u64)
            }
        };
        match u64::try_from(whole) {
            Ok(small) => write_u64(small, out),
            Err(_) => out.extend_from_slice(whole.to_string().as_bytes()),
        }
        if fraction != 0 {
            write_fraction(fraction, out);
        }
    }
}

/// `00` to `99`: two digits for one division.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut i = 0;
    while i < 100 {
        pairs[i] = [b'0' + (i / 10) as u8, b'0' + (i % 10) as u8];
        i += 1;
    }
    pairs
};

/// Appends an integer in decimal.
pub fn write_u64(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    while value >= 10 {
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[(value % 100) as usize]);
        value /= 100;
    }
    if value > 0 || at == digits.len() {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(value.unsigned_abs(), out);
}

fn write_fraction(mut fraction: u64, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 1 + FRACTION_DIGITS as usize];
    digits[0] = b'.';
    for pair in digits[1..].rchunks_exact_mut(2) {
        pair.copy_from_slice(&PAIRS[(fraction % 100) as usize]);
        fraction /= 100;
    }
    let end = digits.iter().rposition(|&d| d != b'0').expect("the point is not a zero") + 1;
    out.extend_from_slice(&digits[..end]);
}

/// The form nearly every venue writes: few digits, no exponent. `None` sends everything else, right or wrong, to
/// [`parse_long`].
#[inline]
fn parse_short(text: &[u8]) -> Option<i128> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if digits.is_empty() || digits.len() > FAST_DIGITS {
        return None;
    }
    let (mut value, mut point) = (0u64, usize::MAX);
    for (i, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + u64::from(digit);
        } else if byte == b'.' && point == usize::MAX && i > 0 && i + 1 < digits.len() {
            point = i;
        } else {
            return None;
        }
    }
    // At most 19 bytes hold the point and a digit before it, so the fraction has at most 17 digits.
    let fraction = if point == usize::MAX { 0 } else { digits.len() - 1 - point };
    let units = i128::from(value) * POW10[FRACTION_DIGITS as usize - fraction] as i128;
    Some(if negative { -units } else { units })
}

/// The general form, and the place where errors are told apart.
#[cold]
fn parse_long(text: &[u8]) -> Result<i128, NumberError> {
    let (negative, unsigned) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    if is_not_finite(unsigned) {
        return Err(NumberError::NotFinite);
    }
    let (whole, rest) = split_digits(unsigned);
    let (fraction, rest) = match rest.split_first() {
        Some((b'.', rest)) => {
            let (fraction, rest) = split_digits(rest);
            if fraction.is_empty() {
                return Err(NumberError::Syntax);
            }
            (fraction, rest)
        }
        _ => (&rest[..0], rest),
    };
    if whole.is_empty() {
        return Err(NumberError::Syntax);
    }
    let units = place(whole, fraction, exponent(rest)?)?;
    Ok(if negative { -units } else { units })
}

/// What others' programs print for numbers that are none.
fn is_not_finite(text: &[u8]) -> bool {
    ["nan", "inf", "infinity", "+inf", "+infinity"].iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()))
}

fn split_digits(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len()))
}

/// The exponent after the digits; one beyond every use stops growing instead of overflowing.
fn exponent(text: &[u8]) -> Result<i64, NumberError> {
    let signed = match text.split_first() {
        None => return Ok(0),
        Some((b'e' | b'E', rest)) => rest,
        Some(_) => return Err(NumberError::Syntax),
    };
    let (negative, digits) = match signed.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, signed),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    let value = digits.iter().fold(0i64, |n, d| n.saturating_mul(10).saturating_add(i64::from(d - b'0')));
    Ok(if negative { -value } else { value })
}

/// Puts the significant digits at their place, or finds that there is no room for them.
fn place(whole: &[u8], fraction: &[u8], exponent: i64) -> Result<i128, NumberError> {
    let length = whole.len() + fraction.len();
    let digit = |i: usize| if i < whole.len() { whole[i] } else { fraction[i - whole.len()] };
    let Some(first) = (0..length).find(|&i| digit(i) != b'0') else {
        return Ok(0);
    };
    let last = (first..length).rev().find(|&i| digit(i) != b'0').unwrap_or(first);
    // Where the point stands, counted in digits from the first of `whole`.
    let point = (whole.len() as i64).saturating_add(exponent);
    let before = point.saturating_sub(first as i64);
    let after = (last as i64 + 1).saturating_sub(point);
    if before > i64::from(INTEGER_DIGITS) || after > i64::from(FRACTION_DIGITS) {
        return Err(NumberError::Precision);
    }
    let value = (first..=last).fold(0u128, |n, i| n * 10 + u128::from(digit(i) - b'0'));
    // At most 38 digits stand between the two limits, so neither the index nor the product can leave its range.
    let zeros = (i64::from(FRACTION_DIGITS) - after) as usize;
    Ok((value * POW10[zeros]) as i128)
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(40);
        self.write(&mut text);
        f.pad(std::str::from_utf8(&text).expect("digits, a point and a minus are ASCII"))
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Decimal {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        Self::parse(text.as_bytes())
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::from_int(value)
    }
}

impl std::ops::Neg for Decimal {
    type Output = Self;

    fn neg(self) -> Self {
        Self(-self.0)
    }
}

/// A number in configuration and HTTP answers. Always the exact value: an integer or a double where that is the same
/// number, else (JSON only) the digits themselves.
impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % ONE == 0
            && let Ok(whole) = i64::try_from(self.0 / ONE)
        {
            return serializer.serialize_i64(whole);
        }
        let text = self.to_string();
        let double = self.to_f64();
        if double.to_string() == text {
            return serializer.serialize_f64(double);
        }
        serde_json::value::RawValue::from_string(text).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// A number or a string of digits. A double of more than 15 digits is refused, since it may not be what was written:
/// such a number is to be given as a string. (The wire forms do not come this way: they are read from their digits.)
impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;

        impl Visitor<'_> for Number {
            type Value = Decimal;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a string of its digits")
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Decimal, E> {
                Ok(Decimal::from_int(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Decimal, E> {
                Decimal::from_units(i128::from(value) * ONE).ok_or_else(|| E::custom(NumberError::Precision))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Decimal, E> {
                let text = value.to_string();
                let digits = text.replace(['-', '.'], "");
                if value.is_finite() && digits.trim_matches('0').len() > 15 {
                    return Err(E::custom(format!("{text} has more digits than a double keeps: write it as a string")));
                }
                self.visit_str(&text)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Decimal, E> {
                text.parse().map_err(|error| E::custom(format!("{text:?}: {error}")))
            }
        }

        deserializer.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests;
