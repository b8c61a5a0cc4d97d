//! Durations and sizes as text with a unit: `5s`, `8MiB`. A bare number is refused, because nobody can see its unit,
//! and because templates turn large bare numbers into `1e+06`.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration as StdDuration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Written as `250ms`, `5s`, `1m`, `1h30m`, `7d`. Derefs to [`std::time::Duration`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub StdDuration);

/// Written as `512B`, `64KiB`, `8MiB`, `1GiB`, or in powers of ten `10kB`, `10MB`, `1GB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const TIME_UNITS: &[(&str, u128)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

const SIZE_UNITS: &[(&str, u64)] = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl Duration {
    pub const fn from_secs(seconds: u64) -> Self {
        Duration(StdDuration::from_secs(seconds))
    }

    pub const fn from_millis(millis: u64) -> Self {
        Duration(StdDuration::from_millis(millis))
    }

    /// Saturates at about 292 years.
    pub fn as_ns(&self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

impl ByteSize {
    pub const fn kib(n: u64) -> Self {
        ByteSize(n << 10)
    }

    pub const fn mib(n: u64) -> Self {
        ByteSize(n << 20)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl Deref for Duration {
    type Target = StdDuration;

    fn deref(&self) -> &StdDuration {
        &self.0
    }
}

impl From<StdDuration> for Duration {
    fn from(duration: StdDuration) -> Self {
        Duration(duration)
    }
}

impl From<Duration> for StdDuration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not a duration such as 250ms, 5s, 1m, 1h30m or 7d");
        let mut rest = text.trim();
        let mut total_ns: u128 = 0;
        if rest.is_empty() {
            return Err(expected());
        }
        while !rest.is_empty() {
            let (number, after) = leading_number(rest).ok_or_else(expected)?;
            let unit_len = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, tail) = after.split_at(unit_len);
            let (_, unit_ns) = TIME_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
            let part = u128::from(number).checked_mul(*unit_ns).ok_or_else(expected)?;
            total_ns = total_ns.checked_add(part).ok_or_else(expected)?;
            rest = tail;
        }
        let total_ns = u64::try_from(total_ns).map_err(|_| expected())?;
        Ok(Duration(StdDuration::from_nanos(total_ns)))
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_nanos();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, unit_ns) in TIME_UNITS {
            if left >= *unit_ns {
                write!(f, "{}{unit}", left / unit_ns)?;
                left %= unit_ns;
            }
        }
        Ok(())
    }
}

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("{text:?} is not a size such as 512B, 64KiB, 8MiB or 10MB");
        let (number, unit) = leading_number(text.trim()).ok_or_else(expected)?;
        let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(expected)?;
        number.checked_mul(*factor).map(ByteSize).ok_or_else(expected)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |factor: u64| self.0 >= factor && self.0.is_multiple_of(factor);
        let (unit, factor) = SIZE_UNITS.iter().find(|(_, factor)| exact(*factor)).unwrap_or(&("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    Some((number.parse().ok()?, rest))
}

macro_rules! serde_as_text {
    ($type:ty, $expected:literal) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$type, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_any(Text)
            }
        }
    };
}

serde_as_text!(Duration, "a duration with its unit, such as 250ms, 5s or 1h");
serde_as_text!(ByteSize, "a size with its unit, such as 64KiB or 8MiB");

/// `104224` as `104,224`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_themselves() {
        for (text, ns, written) in [
            ("0s", 0, "0s"),
            ("5s", 5_000_000_000, "5s"),
            ("250ms", 250_000_000, "250ms"),
            ("90m", 5_400_000_000_000, "1h30m"),
            ("1h30m", 5_400_000_000_000, "1h30m"),
            ("7d", 604_800_000_000_000, "7d"),
            ("1s1ns", 1_000_000_001, "1s1ns"),
            ("15us", 15_000, "15us"),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.as_ns(), ns, "{text}");
            assert_eq!(duration.to_string(), written);
            assert_eq!(written.parse(), Ok(duration));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", "5 s", "-5s", "5S", "1.5s", "5s3", "5min", "99999999999999999999s", "600000000d"] {
            let error = text.parse::<Duration>().unwrap_err();
            assert!(error.contains("is not a duration such as"), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_read_and_write_themselves() {
        for (text, bytes, written) in [
            ("0B", 0, "0B"),
            ("8MiB", 8 << 20, "8MiB"),
            ("1536KiB", 1536 << 10, "1536KiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("10MB", 10_000_000, "10MB"),
            ("1000B", 1000, "1kB"),
            ("1 KiB", 1024, "1KiB"),
        ] {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), written);
            assert_eq!(written.parse(), Ok(size));
        }
        for text in ["", "8", "MiB", "8mib", "-1B", "1.5MiB", "99999999999GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 104_224, 1_000_000].map(grouped), ["0", "999", "1,000", "104,224", "1,000,000"]);
    }
}
