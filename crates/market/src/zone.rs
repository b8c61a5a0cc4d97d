//! The clocks of the places whose exchanges have a calendar, without a database of time zones: New York's rules since 1967 fit a page.
//!
//! Daylight saving time in the United States begins and ends on Sundays at 02:00 local time: from the last Sunday of April to the last of
//! October (Uniform Time Act, 1967); from 6 January 1974 and from 23 February 1975 in the energy crisis; from the first Sunday of April
//! since 1987; from the second of March to the first of November since 2007.

use crate::time::{NS_PER_DAY, year_of};

const HOUR: i64 = 3_600_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    Utc,
    NewYork,
}

impl Zone {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "utc" => Some(Self::Utc),
            "america/new_york" => Some(Self::NewYork),
            _ => None,
        }
    }

    /// How far the local clock is ahead of UTC at an instant; behind is negative.
    pub fn east(self, time: i64) -> i64 {
        match self {
            Self::Utc => 0,
            Self::NewYork => {
                let (from, to) = summer(year_of(time));
                // It begins at 02:00 standard and ends at 02:00 daylight saving time.
                let at = |day: i64, hour: i64| day.saturating_mul(NS_PER_DAY).saturating_add(hour * HOUR);
                let is_summer = time >= at(from, 7) && time < at(to, 6);
                if is_summer { -4 * HOUR } else { -5 * HOUR }
            }
        }
    }

    /// The same at noon of a local day.
    pub fn east_at_noon(self, day: i64) -> i64 {
        match self {
            Self::Utc => 0,
            Self::NewYork => self.east(day.saturating_mul(NS_PER_DAY).saturating_add(17 * HOUR)),
        }
    }
}

/// The instant at which the clocks of New York show `local`, both in nanoseconds since 1970: what a vendor means who writes its
/// times without an offset. Of an hour that is shown twice it is the first; one that is skipped is read as of before the change.
pub fn new_york_to_utc(local: i64) -> i64 {
    let summer = local.saturating_add(4 * HOUR);
    if Zone::NewYork.east(summer) == -4 * HOUR { summer } else { local.saturating_add(5 * HOUR) }
}

/// What the clocks of New York show at an instant, both in nanoseconds since 1970.
pub fn utc_to_new_york(time: i64) -> i64 {
    time.saturating_add(Zone::NewYork.east(time))
}

/// The days since 1970 on which daylight saving time begins and ends.
fn summer(year: i64) -> (i64, i64) {
    let from = match year {
        1974 => first_sunday(1974, 1, 1),
        1975 => first_sunday(1975, 2, 22),
        year if year <= 1986 => first_sunday(year, 4, 24),
        year if year <= 2006 => first_sunday(year, 4, 1),
        _ => first_sunday(year, 3, 8),
    };
    let to = if year <= 2006 { first_sunday(year, 10, 25) } else { first_sunday(year, 11, 1) };
    (from, to)
}

/// The first Sunday on or after a date.
fn first_sunday(year: i64, month: i64, day: i64) -> i64 {
    let date = crate::time::days_of(year, month, day);
    // 1970 began on a Thursday, three days before a Sunday.
    date + (3 - date).rem_euclid(7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_rfc3339;

    /// Every change of its clocks that the tz database (2025b) has from 1970 to 2037, as days of month: March or so, October or so.
    const CHANGES: &str = include_str!("zone/new_york.txt");

    #[test]
    fn new_york_changes_its_clocks_when_the_tz_database_says() {
        let mut years = 0;
        for line in CHANGES.lines().filter(|line| !line.starts_with('#')) {
            let (begins, ends) = line.split_once(' ').unwrap();
            for (time, before, after) in [(begins, -5, -4), (ends, -4, -5)] {
                let time = parse_rfc3339(time).unwrap();
                assert_eq!(
                    (Zone::NewYork.east(time - 1), Zone::NewYork.east(time)),
                    (before * HOUR, after * HOUR),
                    "{line}"
                );
            }
            years += 1;
        }
        assert_eq!(years, 68);
    }

    #[test]
    fn local_times_are_read_as_the_clocks_show_them() {
        let utc = |local: &str| crate::time::rfc3339(new_york_to_utc(crate::time::parse_rfc3339(local).unwrap()));
        for (local, expected) in [
            ("2017-12-18T14:56:00Z", "2017-12-18T19:56:00Z"),
            ("2024-07-01T09:30:00Z", "2024-07-01T13:30:00Z"),
            // Before, at and after the spring change; 02:30 is skipped.
            ("2024-03-10T01:59:00Z", "2024-03-10T06:59:00Z"),
            ("2024-03-10T02:30:00Z", "2024-03-10T07:30:00Z"),
            ("2024-03-10T03:00:00Z", "2024-03-10T07:00:00Z"),
            // 01:30 is shown twice in autumn.
            ("2024-11-03T01:30:00Z", "2024-11-03T05:30:00Z"),
            ("2024-11-03T02:00:00Z", "2024-11-03T07:00:00Z"),
        ] {
            assert_eq!(utc(local), expected, "{local}");
        }
        assert_eq!(utc_to_new_york(new_york_to_utc(1_700_000_000_000_000_000)), 1_700_000_000_000_000_000);
    }
}
