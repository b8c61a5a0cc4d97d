//! The windows over a symbol by name: `1m` one after the other, `5m/1m` hopping (size/slide), both aligned to 1970 UTC; `1w` from
//! Monday to Monday and `1mo` from the first of a month to the next, by the UTC calendar; `5m@xnys` from the opening of each session of
//! a [calendar](crate::calendar) on.

use std::fmt;
use std::str::FromStr;

use crate::interval::{Interval, IntervalError, serde_as_text};

const WEEK: Interval = Interval::days(7);
/// The longest month.
const MONTH: Interval = Interval::days(31);

/// What the starts of windows are aligned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Align {
    /// Multiples of the slide since 1970 UTC.
    Epoch,
    /// Mondays, 00:00 UTC.
    Week,
    /// Firsts of months, 00:00 UTC.
    Month,
    /// The openings of the sessions of a calendar. The last window of a session ends with it, and the time until the next is one window.
    Session(CalendarName),
}

/// The name of a calendar: up to twelve lower-case letters and digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CalendarName([u8; 12]);

impl CalendarName {
    pub fn as_str(&self) -> &str {
        let length = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        std::str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl FromStr for CalendarName {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let mut name = [0; 12];
        let fits = !text.is_empty() && text.len() <= name.len();
        if !fits || !text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(IntervalError::Name(text.chars().take(40).collect()));
        }
        name[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(name))
    }
}

impl fmt::Display for CalendarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CalendarName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The windows over a symbol: each `size` long, one starting every `slide`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    size: Interval,
    slide: Interval,
    align: Align,
}

impl Span {
    pub const WEEK: Self = Self { size: WEEK, slide: WEEK, align: Align::Week };
    pub const MONTH: Self = Self { size: MONTH, slide: MONTH, align: Align::Month };

    pub const fn tumbling(size: Interval) -> Self {
        Self { size, slide: size, align: Align::Epoch }
    }

    /// `None` when the size is no multiple of the slide: panes would not fit.
    pub const fn hopping(size: Interval, slide: Interval) -> Option<Self> {
        if size.ns() % slide.ns() == 0 { Some(Self { size, slide, align: Align::Epoch }) } else { None }
    }

    /// Windows of each session of a calendar.
    pub const fn session(size: Interval, calendar: CalendarName) -> Self {
        Self { size, slide: size, align: Align::Session(calendar) }
    }

    /// How long a window is; of those that differ in length, the longest.
    pub const fn size(self) -> Interval {
        self.size
    }

    /// The time from one start to the next; of those that differ, the longest.
    pub const fn slide(self) -> Interval {
        self.slide
    }

    pub const fn align(self) -> Align {
        self.align
    }

    /// One window begins where another ends.
    pub fn is_tumbling(self) -> bool {
        self.size == self.slide
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.align {
            Align::Week => f.write_str("1w"),
            Align::Month => f.write_str("1mo"),
            Align::Session(calendar) => write!(f, "{}@{calendar}", self.size),
            Align::Epoch if self.is_tumbling() => write!(f, "{}", self.size),
            Align::Epoch => write!(f, "{}/{}", self.size, self.slide),
        }
    }
}

impl FromStr for Span {
    type Err = IntervalError;

    fn from_str(text: &str) -> Result<Self, IntervalError> {
        let calendar = |name: &str| matches!(name, "1w" | "1mo") || name.contains('@');
        match text.split_once('/') {
            None if text == "1w" => Ok(Self::WEEK),
            None if text == "1mo" => Ok(Self::MONTH),
            None => match text.split_once('@') {
                None => Ok(Self::tumbling(text.parse()?)),
                Some((size, calendar)) => Ok(Self::session(size.parse()?, calendar.parse()?)),
            },
            Some((size, slide)) if calendar(size) || calendar(slide) => Err(IntervalError::Calendar(text.to_owned())),
            Some((size, slide)) => {
                Self::hopping(size.parse()?, slide.parse()?).ok_or_else(|| IntervalError::Uneven(text.to_owned()))
            }
        }
    }
}

serde_as_text!(Span);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_a_size_or_a_size_and_a_slide() {
        let span: Span = "5m/1m".parse().unwrap();
        assert_eq!((span.size(), span.slide()), ("5m".parse().unwrap(), Interval::MINUTE));
        assert_eq!(span.to_string(), "5m/1m");
        assert_eq!("1m/1m".parse::<Span>().unwrap().to_string(), "1m");
        assert!(matches!("5m/2m".parse::<Span>(), Err(IntervalError::Uneven(_))));
        assert!("5m/".parse::<Span>().is_err());
        assert_eq!(serde_json::to_string(&span).unwrap(), "\"5m/1m\"");
        assert_eq!(serde_json::from_str::<Span>("\"5m/1m\"").unwrap(), span);
    }

    #[test]
    fn weeks_and_months_are_of_the_calendar() {
        for (text, span) in [("1w", Span::WEEK), ("1mo", Span::MONTH)] {
            assert_eq!((text.parse(), span.to_string().as_str()), (Ok(span), text));
        }
        // Seven days are not a week: they begin on the weekday that 1970 began on.
        assert_ne!("7d".parse::<Span>().unwrap(), Span::WEEK);
        assert_eq!("7d".parse::<Span>().unwrap().to_string(), "7d");
        let session = Span::session("5m".parse().unwrap(), "xnys".parse().unwrap());
        assert_eq!(("5m@xnys".parse(), session.to_string().as_str()), (Ok(session), "5m@xnys"));
        for text in [
            "1w@xnys",
            "5m@",
            "@xnys",
            "5m/1m@xnys",
            "5m@xnys/1m",
            "5m@XNYS",
            "5m@longer-than-12",
            "1w/1d",
            "1mo/1w",
            "2w",
            "3mo",
            "1M",
        ] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
