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
}
