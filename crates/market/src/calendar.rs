//! When an exchange is open: its regular sessions, from a small text.
//!
//! In: lines such as those of `calendars/xnys.txt`, which is built in. Out: the session of a day, and the sessions around an instant.
//!
//! ```text
//! name xnys                          as in `5m@xnys`
//! zone america/new_york              or utc
//! hours 09:30 16:00                  from Monday to Friday, local time
//! closed 2024 01-01 01-15            days without a session
//! early 13:00 2024 07-03 11-29       days that close earlier
//! ```

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use crate::span::CalendarName;
use crate::time::{NS_PER_DAY, parse_date};
use crate::zone::Zone;

const MINUTE: i64 = 60_000_000_000;
/// No exchange rests longer; a calendar that says so is wrong.
const LONGEST_REST: i64 = 31;

/// The sessions of one exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    pub name: CalendarName,
    zone: Zone,
    /// Nanoseconds since local midnight.
    open: i64,
    close: i64,
    /// Days since 1970 that are not like the others, in order; when they close, if they open at all.
    special: Vec<(i64, Option<i64>)>,
    hash: u64,
}

/// Why a text is no calendar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("line {0} is none of name, zone, hours, closed, early: {1:?}")]
    Line(usize, String),
    #[error("no `{0}` line")]
    Missing(&'static str),
    #[error("it closes before it opens")]
    Hours,
    #[error("closed for more than {LONGEST_REST} days on end")]
    Closed,
}

static XNYS: LazyLock<Arc<Calendar>> =
    LazyLock::new(|| Arc::new(include_str!("../calendars/xnys.txt").parse().expect("the built-in calendar is tested")));

impl Calendar {
    /// The New York Stock Exchange.
    pub fn xnys() -> Arc<Self> {
        XNYS.clone()
    }

    /// A hash of all that decides over its sessions.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Opening and close of the day's session.
    fn session(&self, day: i64) -> Option<(i64, i64)> {
        // 1970 began on a Thursday.
        if (day + 3).rem_euclid(7) > 4 {
            return None;
        }
        let close = match self.special.binary_search_by_key(&day, |(day, _)| *day) {
            Ok(at) => self.special[at].1?,
            Err(_) => self.close,
        };
        let midnight = day.saturating_mul(NS_PER_DAY).saturating_sub(self.zone.east_at_noon(day));
        Some((midnight.saturating_add(self.open), midnight.saturating_add(close)))
    }

    /// The session that holds `time`, or else the pair of the last close and the next opening around it, and whether it is a session.
    pub(crate) fn around(&self, time: i64) -> (i64, i64, bool) {
        let day = time.saturating_add(self.zone.east(time)).div_euclid(NS_PER_DAY);
        let search =
            |days: &mut dyn Iterator<Item = i64>| days.take(LONGEST_REST as usize + 3).find_map(|d| self.session(d));
        match self.session(day) {
            Some((open, close)) if open <= time && time < close => (open, close, true),
            Some((open, _)) if time < open => {
                (search(&mut (1..).map(|n| day - n)).map_or(i64::MIN, |(_, close)| close), open, false)
            }
            Some((_, close)) => (close, search(&mut (1..).map(|n| day + n)).map_or(i64::MAX, |(open, _)| open), false),
            None => {
                let before = search(&mut (1..).map(|n| day - n)).map_or(i64::MIN, |(_, close)| close);
                (before, search(&mut (1..).map(|n| day + n)).map_or(i64::MAX, |(open, _)| open), false)
            }
        }
    }
}

/// `09:30` in nanoseconds.
fn time_of_day(text: &str) -> Option<i64> {
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute): (i64, i64) = (hour.parse().ok()?, minute.parse().ok()?);
    ((0..=24).contains(&hour) && (0..60).contains(&minute)).then_some((hour * 60 + minute) * MINUTE)
}

/// Days since 1970 of `2024 01-01 01-15`.
fn days<'a>(words: &'a [&'a str]) -> Option<Vec<i64>> {
    let (year, days) = words.split_first()?;
    days.iter().map(|day| Some(parse_date(&format!("{year}-{day}"))? / NS_PER_DAY)).collect()
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        let (mut name, mut zone, mut hours, mut special) = (None, None, None, Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default();
            let words: Vec<&str> = line.split_whitespace().collect();
            let understood = match words.as_slice() {
                [] => Some(()),
                ["name", word] => word.parse().ok().map(|word| name = Some(word)),
                ["zone", word] => Zone::parse(word).map(|word| zone = Some(word)),
                ["hours", open, close] => {
                    time_of_day(open).zip(time_of_day(close)).map(|(open, close)| hours = Some((open, close)))
                }
                ["closed", rest @ ..] => days(rest).map(|days| special.extend(days.into_iter().map(|day| (day, None)))),
                ["early", close, rest @ ..] => days(rest).zip(time_of_day(close)).map(|(days, close)| {
                    special.extend(days.into_iter().map(|day| (day, Some(close))));
                }),
                _ => None,
            };
            understood.ok_or_else(|| CalendarError::Line(number, line.trim().to_owned()))?;
        }
        let name = name.ok_or(CalendarError::Missing("name"))?;
        let zone = zone.ok_or(CalendarError::Missing("zone"))?;
        let (open, close) = hours.ok_or(CalendarError::Missing("hours"))?;
        special.sort_unstable();
        special.dedup();
        if open >= close || special.iter().any(|(_, close)| close.is_some_and(|close| close <= open)) {
            return Err(CalendarError::Hours);
        }
        let mut calendar = Self { name, zone, open, close, special, hash: 0 };
        calendar.check_rests()?;
        calendar.hash = calendar.hashed();
        Ok(calendar)
    }
}

impl Calendar {
    fn check_rests(&self) -> Result<(), CalendarError> {
        let closed = |day: i64| self.session(day).is_none();
        let too_long = self.special.iter().any(|(day, _)| (0..=LONGEST_REST).all(|n| closed(day.saturating_add(n))));
        if too_long { Err(CalendarError::Closed) } else { Ok(()) }
    }

    /// FNV-1a over the meaning, not the text: comments change nothing.
    fn hashed(&self) -> u64 {
        let text = format!("{:?} {:?} {} {} {:?}", self.name, self.zone, self.open, self.close, self.special);
        text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.name, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{parse_rfc3339, rfc3339};

    fn around(time: &str) -> (String, String, bool) {
        let (from, to, is_session) = Calendar::xnys().around(parse_rfc3339(time).unwrap());
        (rfc3339(from), rfc3339(to), is_session)
    }

    fn said(from: &str, to: &str, is_session: bool) -> (String, String, bool) {
        (from.to_owned(), to.to_owned(), is_session)
    }

    #[test]
    fn sessions_of_new_york_follow_its_clocks_and_holidays() {
        // A winter and a summer session; the clocks changed in between.
        let winter = said("2024-03-08T14:30:00Z", "2024-03-08T21:00:00Z", true);
        assert_eq!(around("2024-03-08T14:30:00Z"), winter);
        assert_eq!(around("2024-03-08T20:59:59.999999999Z"), winter);
        let weekend = said("2024-03-08T21:00:00Z", "2024-03-11T13:30:00Z", false);
        for time in ["2024-03-08T21:00:00Z", "2024-03-10T07:00:00Z", "2024-03-11T13:29:59Z"] {
            assert_eq!(around(time), weekend, "{time}");
        }
        assert_eq!(around("2024-03-11T13:30:00Z"), said("2024-03-11T13:30:00Z", "2024-03-11T20:00:00Z", true));
        // Closed at one on 3 July, then Independence Day.
        assert_eq!(around("2024-07-03T16:59:00Z"), said("2024-07-03T13:30:00Z", "2024-07-03T17:00:00Z", true));
        assert_eq!(around("2024-07-04T15:00:00Z"), said("2024-07-03T17:00:00Z", "2024-07-05T13:30:00Z", false));
        // The longest rest of our time.
        assert_eq!(around("2001-09-13T15:00:00Z"), said("2001-09-10T20:00:00Z", "2001-09-17T13:30:00Z", false));
        // Evening in New York, the next day in UTC.
        assert_eq!(around("2024-01-04T01:00:00Z"), said("2024-01-03T21:00:00Z", "2024-01-04T14:30:00Z", false));
        assert_eq!(around("1970-07-01T15:00:00Z"), said("1970-07-01T13:30:00Z", "1970-07-01T20:00:00Z", true));
    }

    #[test]
    fn the_years_have_as_many_sessions_as_the_exchange_had() {
        // Trading days per year as counted by others.
        for (year, count) in
            [(1987, 253), (1996, 254), (2001, 248), (2012, 250), (2018, 251), (2020, 253), (2022, 251), (2024, 252)]
        {
            let day = |year: i32| parse_date(&format!("{year}-01-01")).unwrap() / NS_PER_DAY;
            let sessions = (day(year)..day(year + 1)).filter(|day| Calendar::xnys().session(*day).is_some()).count();
            assert_eq!(sessions, count, "{year}");
        }
    }

    #[test]
    fn what_is_no_calendar_is_refused_by_line() {
        let text = "name a\nzone utc\nhours 09:00 17:00\n";
        let plain: Calendar = text.parse().unwrap();
        assert_eq!(format!("{text}# comment\n").parse::<Calendar>().unwrap().hash(), plain.hash());
        assert_ne!(format!("{text}closed 2024 01-01\n").parse::<Calendar>().unwrap().hash(), plain.hash());
        for (wrong, line) in
            [("holiday 2024", 4), ("closed 2024 02-30", 4), ("early 25:00 2024 01-02", 4), ("zone mars", 4)]
        {
            let error = format!("{text}{wrong}").parse::<Calendar>().unwrap_err();
            assert_eq!(error, CalendarError::Line(line, wrong.to_owned()));
        }
        assert_eq!("zone utc\nhours 1:00 2:00".parse::<Calendar>(), Err(CalendarError::Missing("name")));
        assert_eq!(format!("{text}early 08:00 2024 01-02").parse::<Calendar>(), Err(CalendarError::Hours));
        let closed =
            (1..=12).flat_map(|m| (1..=28).map(move |d| format!("{m:02}-{d:02}"))).collect::<Vec<_>>().join(" ");
        let closed = format!("{text}closed 2024 {closed} 01-29 01-30 01-31 02-29 03-29");
        assert_eq!(closed.parse::<Calendar>(), Err(CalendarError::Closed));
    }
}
