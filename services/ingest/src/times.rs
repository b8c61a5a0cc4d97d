//! Times as files write them, to integer nanoseconds since 1970 UTC.
//!
//! In: the bytes of one field. Out: nanoseconds, exact to the digits given. Nothing is guessed that could be read two
//! ways: `03/04/2021` is refused until the order of day and month is configured. Times without a zone are UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NS_PER_S: i64 = 1_000_000_000;
const NS_PER_DAY: i64 = 86_400 * NS_PER_S;

/// How a time column is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TimeFormat {
    /// Plain integers by their size (s, ms, µs or ns), else RFC 3339, else `YYYY-MM-DD[ HH:MM:SS[.f]]`.
    #[default]
    Auto,
    /// A count since 1970; the field says how many nanoseconds one unit is. Fractions are allowed.
    Unit(i64),
    /// `YYYY-MM-DDTHH:MM:SS[.f](Z|±HH:MM)`; a blank instead of the `T` and a missing zone (UTC) are accepted.
    Rfc3339,
    /// `YYYY-MM-DD`: midnight UTC.
    Date,
    /// A pattern of `YYYY MM DD HH mm ss` and separators, such as `DD/MM/YYYY`.
    Pattern(Pattern),
}

/// A parsed time pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    Literal(u8),
}

impl TimeFormat {
    /// Nanoseconds since 1970 UTC, or `None` if the text is not of this form or lies outside the years 1678–2262.
    pub fn parse(&self, text: &[u8]) -> Option<i64> {
        let text = text.trim_ascii();
        match self {
            TimeFormat::Auto => auto(text),
            TimeFormat::Unit(ns) => count(text, *ns),
            TimeFormat::Rfc3339 => rfc3339(text),
            TimeFormat::Date => date(text),
            TimeFormat::Pattern(pattern) => pattern.parse(text),
        }
    }
}

impl fmt::Display for TimeFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TimeFormat::Auto => "auto",
            TimeFormat::Unit(NS_PER_S) => "s",
            TimeFormat::Unit(1_000_000) => "ms",
            TimeFormat::Unit(1_000) => "us",
            TimeFormat::Unit(_) => "ns",
            TimeFormat::Rfc3339 => "rfc3339",
            TimeFormat::Date => "date",
            TimeFormat::Pattern(pattern) => &pattern.text,
        })
    }
}

impl FromStr for TimeFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "" | "auto" => TimeFormat::Auto,
            "s" => TimeFormat::Unit(NS_PER_S),
            "ms" => TimeFormat::Unit(1_000_000),
            "us" => TimeFormat::Unit(1_000),
            "ns" => TimeFormat::Unit(1),
            "rfc3339" => TimeFormat::Rfc3339,
            "date" | "YYYY-MM-DD" => TimeFormat::Date,
            pattern => TimeFormat::Pattern(Pattern::new(pattern)?),
        })
    }
}

impl Serialize for TimeFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TimeFormat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Pattern {
    fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.bytes().next() {
            const WORDS: [(&str, Part); 6] = [
                ("YYYY", Part::Year),
                ("MM", Part::Month),
                ("DD", Part::Day),
                ("HH", Part::Hour),
                ("mm", Part::Minute),
                ("ss", Part::Second),
            ];
            if let Some((word, part)) = WORDS.iter().find(|(word, _)| rest.starts_with(word)) {
                parts.push(*part);
                rest = &rest[word.len()..];
            } else if first.is_ascii_alphanumeric() || !first.is_ascii() {
                return Err(unknown_format(text));
            } else {
                parts.push(Part::Literal(first));
                rest = &rest[1..];
            }
        }
        if [Part::Year, Part::Month, Part::Day].iter().any(|needed| !parts.contains(needed)) {
            return Err(unknown_format(text));
        }
        Ok(Pattern { text: text.to_owned(), parts })
    }

    fn parse(&self, text: &[u8]) -> Option<i64> {
        let (mut year, mut month, mut day, mut hour, mut minute, mut second) = (0, 0, 0, 0, 0, 0);
        let mut rest = text;
        for part in &self.parts {
            let (slot, widest) = match part {
                Part::Year => (&mut year, 4),
                Part::Month => (&mut month, 2),
                Part::Day => (&mut day, 2),
                Part::Hour => (&mut hour, 2),
                Part::Minute => (&mut minute, 2),
                Part::Second => (&mut second, 2),
                Part::Literal(byte) => {
                    rest = rest.strip_prefix(&[*byte])?;
                    continue;
                }
            };
            let digits = rest.iter().take(widest).take_while(|byte| byte.is_ascii_digit()).count();
            *slot = small(&rest[..digits])?;
            rest = &rest[digits..];
        }
        if !rest.is_empty() {
            return None;
        }
        at(civil(year, month, day)?, hour, minute, second, 0, 0)
    }
}

fn unknown_format(text: &str) -> String {
    format!(
        "time format `{text}` is not known: use auto, s, ms, us, ns, rfc3339, date, or a pattern of YYYY MM DD HH mm ss such as DD/MM/YYYY"
    )
}

/// Integers are told apart by size: seconds reach 12 digits in the year 5138, milliseconds have had 12 since 1973, and
/// so on by thousands, so for anything this pipeline sees there is one reading.
fn auto(text: &[u8]) -> Option<i64> {
    if text.len() == 10 && text[4] == b'-' {
        return date(text);
    }
    let whole = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if whole == text.len() || (whole > 4 && text[whole] == b'.') {
        return match whole {
            0..=4 => None,
            5..=11 => count(text, NS_PER_S),
            12..=14 => count(text, 1_000_000),
            15..=17 => count(text, 1_000),
            _ => count(text, 1),
        };
    }
    rfc3339(text)
}

/// A decimal count of units; digits finer than a nanosecond are cut off, as a clock does.
pub fn count(text: &[u8], unit_ns: i64) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let point = digits.iter().position(|byte| *byte == b'.').unwrap_or(digits.len());
    let (whole, fraction) = (&digits[..point], digits.get(point + 1..).unwrap_or_default());
    if whole.is_empty() || (point < digits.len() && fraction.is_empty()) {
        return None;
    }
    let mut value: i64 = 0;
    for byte in whole {
        value = value.checked_mul(10)?.checked_add(digit(*byte)?)?;
    }
    let mut ns = value.checked_mul(unit_ns)?;
    let mut scale = unit_ns;
    for byte in fraction {
        scale /= 10;
        ns = ns.checked_add(digit(*byte)? * scale)?;
    }
    Some(if negative { -ns } else { ns })
}

/// `YYYY-MM-DD`, midnight UTC.
pub fn date(text: &[u8]) -> Option<i64> {
    at(days(text)?, 0, 0, 0, 0, 0)
}

fn days(text: &[u8]) -> Option<i64> {
    if text.len() != 10 || text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    civil(small(&text[..4])?, small(&text[5..7])?, small(&text[8..])?)
}

/// `YYYYMMDDTHHMMSS`, UTC.
pub fn compact(text: &[u8]) -> Option<i64> {
    if text.len() != 15 || text[8] != b'T' {
        return None;
    }
    let days = civil(small(&text[..4])?, small(&text[4..6])?, small(&text[6..8])?)?;
    at(days, small(&text[9..11])?, small(&text[11..13])?, small(&text[13..])?, 0, 0)
}

/// An instant as `YYYYMMDDTHHMM`, UTC: the minute it is in.
pub fn compact_minute(ns: i64) -> String {
    let text = market::time::rfc3339(ns);
    text.bytes().filter(|byte| !b"-:".contains(byte)).take(13).map(char::from).collect()
}

/// RFC 3339 with any number of fraction digits.
pub fn rfc3339(text: &[u8]) -> Option<i64> {
    let (day, clock) = (text.get(..10)?, text.get(10..)?);
    let days = days(day)?;
    if clock.is_empty() {
        return at(days, 0, 0, 0, 0, 0);
    }
    if clock.len() < 9 || !matches!(clock[0], b'T' | b't' | b' ') || clock[3] != b':' || clock[6] != b':' {
        return None;
    }
    let (hour, minute, second) = (small(&clock[1..3])?, small(&clock[4..6])?, small(&clock[7..9])?);
    let mut rest = &clock[9..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        let mut scale = NS_PER_S;
        for byte in &fraction[..digits] {
            scale /= 10;
            nanos += digit(*byte)? * scale;
        }
        rest = &fraction[digits..];
    }
    let offset = match rest {
        b"" | b"Z" | b"z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let minutes = small(&[*h1, *h2])? * 60 + small(&[*m1, *m2])?;
            if *sign == b'+' { minutes } else { -minutes }
        }
        _ => return None,
    };
    at(days, hour, minute, second, nanos, offset)
}

fn at(days: i64, hour: i64, minute: i64, second: i64, nanos: i64, offset_minutes: i64) -> Option<i64> {
    // 60 is a leap second: it counts as the first of the next minute, as on every POSIX clock.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let clock = (hour * 3600 + minute * 60 + second - offset_minutes * 60) * NS_PER_S + nanos;
    days.checked_mul(NS_PER_DAY)?.checked_add(clock)
}

/// Days since 1970-01-01 of a proleptic Gregorian date (Howard Hinnant's algorithm).
fn civil(year: i64, month: i64, day: i64) -> Option<i64> {
    const LENGTHS: [i64; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let longest = *LENGTHS.get(usize::try_from(month - 1).ok()?)? - i64::from(month == 2 && !leap);
    if !(1..=9999).contains(&year) || !(1..=longest).contains(&day) {
        return None;
    }
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn digit(byte: u8) -> Option<i64> {
    byte.is_ascii_digit().then(|| i64::from(byte - b'0'))
}

fn small(text: &[u8]) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0, |value, byte| Some(value * 10 + digit(*byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(format: &str, text: &str) -> Option<i64> {
        format.parse::<TimeFormat>().unwrap().parse(text.as_bytes())
    }

    #[test]
    fn dates_are_midnight_utc_also_before_1970() {
        assert_eq!(parse("date", "1986-12-31"), Some(536_371_200 * NS_PER_S));
        assert_eq!(parse("date", "1965-01-05"), Some(-157_420_800 * NS_PER_S));
        assert_eq!(parse("date", "2000-02-29"), Some(951_782_400 * NS_PER_S));
        for bad in ["2021-02-29", "2021-13-01", "2021-00-10", "2021-01-00", "21-01-01", "31/12/1986", "", "2021-1-1"] {
            assert_eq!(parse("date", bad), None, "{bad}");
        }
    }

    #[test]
    fn rfc3339_keeps_every_digit_and_the_zone() {
        assert_eq!(parse("rfc3339", "2021-04-17T16:43:37.089723Z"), Some(1_618_677_817_089_723_000));
        assert_eq!(parse("rfc3339", "2021-04-17T18:43:37.089723+02:00"), Some(1_618_677_817_089_723_000));
        assert_eq!(parse("rfc3339", "2021-04-17 16:43:37"), Some(1_618_677_817_000_000_000));
        assert_eq!(parse("rfc3339", "2021-04-17T16:43:37.123456789Z"), Some(1_618_677_817_123_456_789));
        for bad in ["2021-04-17T24:00:00Z", "2021-04-17T16:43:37.Z", "2021-04-17T16:43", "2021-04-17T16:43:37+2", "x"] {
            assert_eq!(parse("rfc3339", bad), None, "{bad}");
        }
    }

    #[test]
    fn auto_tells_the_units_apart_by_size() {
        for text in ["1723161255342", "1723161255342000", "1723161255342000000", "1723161255.342"] {
            assert_eq!(parse("auto", text), Some(1_723_161_255_342_000_000), "{text}");
        }
        assert_eq!(parse("auto", "2021-04-17"), parse("date", "2021-04-17"));
        assert_eq!(parse("auto", "31/12/1986"), None, "day and month are never guessed");
    }

    #[test]
    fn python_float_seconds_lose_nothing() {
        assert_eq!(parse("s", "1762795433.9717445"), Some(1_762_795_433_971_744_500));
        assert_eq!(parse("s", "-1.5"), Some(-1_500_000_000));
        assert_eq!(parse("ms", "1570752011620"), Some(1_570_752_011_620_000_000));
        for bad in ["1.", ".5", "1e9", "", "-", "99999999999999999999"] {
            assert_eq!(parse("s", bad), None, "{bad}");
        }
    }

    #[test]
    fn patterns_say_the_order_of_day_and_month() {
        assert_eq!(parse("DD/MM/YYYY", "31/12/1986"), parse("date", "1986-12-31"));
        assert_eq!(parse("MM/DD/YYYY", "12/31/1986"), parse("date", "1986-12-31"));
        assert_eq!(parse("DD.MM.YYYY HH:mm:ss", "1.2.2021 03:04:05"), parse("rfc3339", "2021-02-01T03:04:05Z"));
        assert_eq!(parse("DD/MM/YYYY", "12/31/1986"), None);
        assert!("DD/MM".parse::<TimeFormat>().unwrap_err().contains("DD/MM/YYYY"));
        assert_eq!("DD/MM/YYYY".parse::<TimeFormat>().unwrap().to_string(), "DD/MM/YYYY");
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            for format in ["auto", "s", "ns", "rfc3339", "date", "DD/MM/YYYY HH:mm:ss"] {
                let _ = format.parse::<TimeFormat>().unwrap().parse(&bytes);
            }
        }

        #[test]
        fn arbitrary_digits_never_panic(text in "[0-9TZ:+. /-]{0,40}") {
            for format in ["auto", "s", "ns", "rfc3339", "date", "DD/MM/YYYY HH:mm:ss"] {
                let _ = parse(format, &text);
            }
        }

        #[test]
        fn every_day_reads_back(day in -106_751_i64..106_751) {
            // The inverse by walking: the next day is one day later, whatever the calendar does.
            let ns = day * NS_PER_DAY;
            let text = civil_text(day);
            proptest::prop_assert_eq!(parse("date", &text), Some(ns));
        }
    }

    fn civil_text(days: i64) -> String {
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        format!("{:04}-{:02}-{:02}", yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
    }
}
