//! Lengths of time with a short name: `1s 1m 5m 1h 1d`. The windows made of them: [`span`](crate::span).

use std::fmt;
use std::str::FromStr;

const SECOND: i64 = 1_000_000_000;
const UNITS: [(&str, i64); 5] =
    [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND), ("ms", 1_000_000)];
/// Longer than any window that is meant seriously, and short enough that no end of a window overflows by surprise.
const LONGEST: i64 = 366 * 86_400 * SECOND;

/// A length of time of whole milliseconds, at least one, at most 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(i64);

/// Why a text or a number is not an [`Interval`] or a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    #[error("{0:?} is not a length of time: write a whole number and one of ms, s, m, h, d, such as 5m")]
    Syntax(String),
    #[error("{0:?} is not between 1ms and 366d")]
    Range(String),
    #[error("{0:?} does not slide evenly: the size must be a multiple of the slide")]
    Uneven(String),
    #[error("{0:?} is no name of a calendar: up to twelve lower-case letters and digits, such as xnys")]
    Name(String),
    #[error("{0:?} cannot slide: windows of the calendar follow each other")]
    Calendar(String),
}

impl Interval {
    pub const SECOND: Self = Self(SECOND);
    pub const MINUTE: Self = Self(60 * SECOND);
    pub const HOUR: Self = Self(3_600 * SECOND);
    pub const DAY: Self = Self(86_400 * SECOND);

    pub(crate) const fn days(days: i64) -> Self {
        assert!(days > 0 && days <= 366, "no interval is that long");
        Self(days * 86_400 * SECOND)
    }

    /// From whole milliseconds in nanoseconds; `None` outside 1 ms to 366 days.
    pub const fn from_ns(ns: i64) -> Option<Self> {
        if ns > 0 && ns <= LONGEST && ns % 1_000_000 == 0 { Some(Self(ns)) } else { None }
    }

    pub const fn ns(self) -> i64 {
        self.0
    }

    /// The latest multiple of this length, counted from 1970 UTC, that is not after `time`; saturates at the first
    /// instant.
    pub const fn floor(self, time: i64) -> i64 {
        time.saturating_sub(time.rem_euclid(self.0))
    }
}

impl fmt::Display for Interval {
    /// In the largest unit that divides it: 60 seconds are `1m`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, ns) = UNITS.iter().find(|(_, ns)| self.0 % ns == 0).expect("every interval is whole milliseconds");
        write!(f, "{}{unit}", self.0 / ns)
    }
}

impl FromStr for Interval {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let syntax = || IntervalError::Syntax(text.chars().take(40).collect());
        let range = || IntervalError::Range(text.chars().take(40).collect());
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).ok_or_else(syntax)?);
        let &(_, ns) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(syntax)?;
        if digits.is_empty() {
            return Err(syntax());
        }
        let count: i64 = digits.parse().map_err(|_| range())?;
        count.checked_mul(ns).and_then(Self::from_ns).ok_or_else(range)
    }
}

macro_rules! serde_as_text {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_text!(Interval);

pub(crate) use serde_as_text;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_round_trip_in_the_largest_unit() {
        for (text, shown, ns) in [
            ("1s", "1s", SECOND),
            ("1m", "1m", 60 * SECOND),
            ("5m", "5m", 300 * SECOND),
            ("60s", "1m", 60 * SECOND),
            ("1h", "1h", 3_600 * SECOND),
            ("24h", "1d", 86_400 * SECOND),
            ("1500ms", "1500ms", 1_500_000_000),
        ] {
            let interval: Interval = text.parse().unwrap();
            assert_eq!((interval.to_string().as_str(), interval.ns()), (shown, ns));
        }
        for text in ["", "m", "1", "0s", "-1s", "1.5m", "1w", "1 m", "400d", "99999999999999999999s"] {
            assert!(text.parse::<Interval>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn floors_are_aligned_before_1970_too() {
        assert_eq!(Interval::MINUTE.floor(61 * SECOND), 60 * SECOND);
        assert_eq!(Interval::MINUTE.floor(-1), -60 * SECOND);
        assert_eq!(Interval::DAY.floor(-86_400 * SECOND), -86_400 * SECOND);
        assert_eq!(Interval::DAY.floor(i64::MIN), i64::MIN);
    }
}
