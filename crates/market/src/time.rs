//! Civil dates and RFC 3339, to and from integer nanoseconds since 1970 UTC. No clock and no time zones beyond a
//! given offset.
//!
//! The days are those of the proleptic Gregorian calendar; 64 bits of nanoseconds reach from 1677 to 2262.

use std::fmt;

pub const NS_PER_MS: i64 = 1_000_000;
pub const NS_PER_SECOND: i64 = 1_000_000_000;
pub const NS_PER_DAY: i64 = 86_400 * NS_PER_SECOND;

/// A time of day on a civil date, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    pub year: i32,
    pub month: u8,
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    pub second: u8,
    pub nanosecond: u32,
}

impl Civil {
    pub fn of(ns: i64) -> Self {
        let (days, rest) = (ns.div_euclid(NS_PER_DAY), ns.rem_euclid(NS_PER_DAY));
        let (year, month, day) = date_of(days);
        let seconds = rest / NS_PER_SECOND;
        Self {
            year,
            month,
            day,
            hour: (seconds / 3_600) as u8,
            minute: (seconds / 60 % 60) as u8,
            second: (seconds % 60) as u8,
            nanosecond: (rest % NS_PER_SECOND) as u32,
        }
    }

    /// `YYYY-MM-DD`: the lake's `dt`.
    pub fn date(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Display for Civil {
    /// RFC 3339 in UTC with as many digits of the second as are needed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second, nanosecond } = self;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if *nanosecond != 0 {
            write!(f, ".{}", format!("{nanosecond:09}").trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// RFC 3339 in UTC, as the HTTP API writes times.
pub fn rfc3339(ns: i64) -> String {
    Civil::of(ns).to_string()
}

/// Reads RFC 3339: `T`, `t` or a space between, any offset, at most nine digits of the second that count. `None` for
/// anything else, for dates that do not exist, and beyond 64 bits. A leap second is the last of its minute.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() < 20 || !matches!(b[10], b'T' | b't' | b' ') || b[13] != b':' || b[16] != b':' {
        return None;
    }
    let days = days(&b[..10])?;
    let (hour, minute, second) = (number(&b[11..13])?, number(&b[14..16])?, number(&b[17..19])?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, rest) = fraction(&b[19..])?;
    let seconds = hour * 3_600 + minute * 60 + second.min(59) - offset(rest)?;
    at(days, seconds, fraction)
}

/// Midnight UTC of a `YYYY-MM-DD`.
pub fn parse_date(text: &str) -> Option<i64> {
    at(days(text.as_bytes())?, 0, 0)
}

/// The UTC year that holds `ns`.
pub(crate) fn year_of(ns: i64) -> i64 {
    date_of(ns.div_euclid(NS_PER_DAY)).0.into()
}

/// The first instant of the UTC month that holds `ns`.
pub(crate) fn month_of(ns: i64) -> i64 {
    let civil = Civil::of(ns);
    first_of(civil.year, civil.month.into()).unwrap_or(i64::MIN)
}

/// The first instant of the UTC month after the one that holds `ns`.
pub(crate) fn next_month_of(ns: i64) -> i64 {
    let civil = Civil::of(ns);
    let next =
        if civil.month == 12 { first_of(civil.year + 1, 1) } else { first_of(civil.year, i64::from(civil.month) + 1) };
    next.unwrap_or(i64::MAX)
}

fn first_of(year: i32, month: i64) -> Option<i64> {
    at(days_of(year.into(), month, 1), 0, 0)
}

fn at(days: i64, seconds: i64, fraction: i64) -> Option<i64> {
    let ns = i128::from(days * 86_400 + seconds) * i128::from(NS_PER_SECOND) + i128::from(fraction);
    i64::try_from(ns).ok()
}

/// Days from 1970 to a `YYYY-MM-DD` that exists.
fn days(b: &[u8]) -> Option<i64> {
    if b.len() != 10 || b[4] != b'-' || b[7] != b'-' {
        return None;
    }
    let (year, month, day) = (number(&b[..4])?, number(&b[5..7])?, number(&b[8..])?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    Some(days_of(year, month, day))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
}

/// `.123456789…` in nanoseconds, and what follows it.
fn fraction(b: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = b.split_first() else {
        return Some((0, b));
    };
    let (digits, rest) = rest.split_at(rest.iter().position(|d| !d.is_ascii_digit())?);
    let (kept, cut) = digits.split_at(digits.len().min(9));
    if kept.is_empty() || cut.iter().any(|&d| d != b'0') {
        return None;
    }
    Some((number(kept)? * 10i64.pow(9 - kept.len() as u32), rest))
}

/// `Z` or `+hh:mm` in seconds east of UTC.
fn offset(b: &[u8]) -> Option<i64> {
    match b {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let east = hours * 3_600 + minutes * 60;
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -east } else { east })
        }
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01. Years begin in March, so the leap day is the last of its year, and 400 years are one era of
/// 146,097 days (Howard Hinnant, "chrono-compatible low-level date algorithms").
pub(crate) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_of`].
fn date_of(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    ((year + era * 400 + i64::from(month <= 2)) as i32, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_of_the_index_data() {
        assert_eq!(parse_date("1986-12-31"), Some(536_371_200_000_000_000));
        assert_eq!(parse_date("1965-01-05"), Some(-157_420_800_000_000_000));
        assert_eq!(parse_date("1970-01-01"), Some(0));
        assert_eq!(parse_date("2000-02-29").map(|ns| Civil::of(ns).date()).as_deref(), Some("2000-02-29"));
        for wrong in [
            "",
            "2021-02-29",
            "1900-02-29",
            "2021-13-01",
            "2021-00-10",
            "2021-01-00",
            "31/12/1986",
            "86-12-31",
            "2021-1-1",
            "9999-12-31",
            "2021-06-1x",
        ] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_of_the_venues() {
        for (text, ns) in [
            ("2024-08-08T23:54:15.342Z", 1_723_161_255_342_000_000),
            ("2023-10-06T17:35:55.440295Z", 1_696_613_755_440_295_000),
            ("2021-02-22T15:51:44.123456789Z", 1_614_009_104_123_456_789),
            ("1969-12-31T23:59:59.999999999Z", -1),
        ] {
            assert_eq!(parse_rfc3339(text), Some(ns), "{text}");
            assert_eq!(rfc3339(ns), text);
        }
        assert_eq!(parse_rfc3339("2026-04-07 14:30:10.000000000+00:00"), Some(1_775_572_210_000_000_000));
        assert_eq!(parse_rfc3339("1970-01-01T01:00:00.0000000000000-05:30"), Some(23_400_000_000_000));
        assert_eq!(parse_rfc3339("2016-12-31T23:59:60Z"), parse_rfc3339("2016-12-31T23:59:59Z"));
        for wrong in [
            "",
            "2024-08-08",
            "2024-08-08T23:54:15",
            "2024-08-08T24:00:00Z",
            "2024-08-08T23:54:15.Z",
            "2024-08-08T23:54:15.1234567891Z",
            "2024-08-08T23:54:15+0000",
            "2024-08-08T23:54:15+24:00",
            "2024-02-30T00:00:00Z",
            "3000-01-01T00:00:00Z",
        ] {
            assert_eq!(parse_rfc3339(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_instant_round_trips(ns in any::<i64>()) {
            prop_assert_eq!(parse_rfc3339(&rfc3339(ns)), Some(ns));
        }

        #[test]
        fn days_follow_each_other(days in -106_000i64..106_000) {
            let (today, tomorrow) = (date_of(days), date_of(days + 1));
            prop_assert!(tomorrow > today);
            prop_assert_eq!(days_of(today.0.into(), today.1.into(), today.2.into()), days);
        }

        #[test]
        fn any_text_is_answered(text in "\\PC{0,40}") {
            let _ = (parse_rfc3339(&text), parse_date(&text));
        }
    }
}
