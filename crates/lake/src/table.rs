//! The tables of the lake and how each is partitioned, in one place.
//!
//! A [`Dir`] is one partition of one table, the unit that a query prunes and an object belongs to. It is decided by
//! event time alone, never by when a record arrived, so a replay of old data lands beside the original.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

pub(crate) mod cells;
pub mod columns;
mod hive;
pub(crate) mod leaf;
mod text;

pub(crate) use text::write_number;

const NS_PER_HOUR: i64 = 3_600_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Trades,
    Quotes,
    Bars,
    Metrics,
    Alerts,
    Gaps,
    /// Cancels and corrections of trades.
    Amendments,
    News,
    DeadLetters,
}

/// The width of one partition of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// `dt=2024-08-08/hour=23`
    Hour,
    /// `dt=2024-08-08`
    Day,
    /// `year=2024`: daily bars reach back decades, and a day of them is one row.
    Year,
}

impl Table {
    pub const ALL: [Table; 9] = [
        Table::Trades,
        Table::Quotes,
        Table::Bars,
        Table::Metrics,
        Table::Alerts,
        Table::Gaps,
        Table::Amendments,
        Table::News,
        Table::DeadLetters,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Table::Trades => "trades",
            Table::Quotes => "quotes",
            Table::Bars => "bars",
            Table::Metrics => "metrics",
            Table::Alerts => "alerts",
            Table::Gaps => "gaps",
            Table::Amendments => "amendments",
            Table::News => "news",
            Table::DeadLetters => "dead_letters",
        }
    }

    pub fn grain(self) -> Grain {
        match self {
            Table::Trades | Table::Quotes => Grain::Hour,
            Table::Bars => Grain::Year,
            _ => Grain::Day,
        }
    }

    pub fn named(name: &str) -> Option<Table> {
        Table::ALL.into_iter().find(|table| table.name() == name)
    }
}

/// One partition of one table. Displays as its path below the prefix: `trades/dt=2024-08-08/hour=23`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dir {
    table: Table,
    /// Hours or days since 1970, or the year, by the table's grain.
    unit: i32,
}

impl Dir {
    /// The partition that a row of this event time (nanoseconds since 1970 UTC) belongs to.
    pub fn of(table: Table, event_time: i64) -> Self {
        let hours = event_time.div_euclid(NS_PER_HOUR);
        let unit = match table.grain() {
            Grain::Hour => hours,
            Grain::Day => hours.div_euclid(24),
            Grain::Year => i64::from(date(hours.div_euclid(24)).year()),
        };
        // Nanoseconds in 64 bits span 584 years: 2.6 million hours each way.
        Self { table, unit: i32::try_from(unit).expect("an hour count of 64-bit nanoseconds fits in 32 bits") }
    }

    pub fn table(self) -> Table {
        self.table
    }

    /// The day or year that it belongs to, which is what expires as a whole: `trades/dt=2024-08-08`.
    pub fn part(self) -> String {
        let path = self.to_string();
        path.split_once("/hour=").map_or(path.clone(), |(day, _)| day.to_owned())
    }

    /// The first moment after that day or year, in nanoseconds since 1970 UTC.
    pub fn part_ends_at(self) -> i128 {
        let days = match self.table.grain() {
            Grain::Hour => i64::from(self.unit).div_euclid(24) + 1,
            Grain::Day => i64::from(self.unit) + 1,
            Grain::Year => days_before_year(self.unit + 1),
        };
        i128::from(days) * 24 * i128::from(NS_PER_HOUR)
    }
}

/// Days from 1970 to the first of January, both UTC.
fn days_before_year(year: i32) -> i64 {
    let leaps = |year: i64| year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let before = i64::from(year) - 1;
    (i64::from(year) - 1970) * 365 + leaps(before) - leaps(1969)
}

fn date(days_since_1970: i64) -> Date {
    let at = Timestamp::from_second(days_since_1970 * 86_400).expect("64-bit nanoseconds reach from 1677 to 2262");
    at.to_zoned(TimeZone::UTC).date()
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = (self.table.name(), i64::from(self.unit));
        match self.table.grain() {
            Grain::Hour => write!(f, "{name}/dt={}/hour={:02}", date(unit.div_euclid(24)), unit.rem_euclid(24)),
            Grain::Day => write!(f, "{name}/dt={}", date(unit)),
            Grain::Year => write!(f, "{name}/year={unit:04}"),
        }
    }
}

impl FromStr for Dir {
    type Err = String;

    /// Only what [`Dir`] displays: a spelling of its own would be a second folder for the same rows.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no partition of a table of the lake");
        let mut parts = text.split('/');
        let table = parts.next().and_then(Table::named).ok_or_else(wrong)?;
        let mut value = |key: &str| parts.next().and_then(|part| part.strip_prefix(key)).ok_or_else(wrong);
        let unit = match table.grain() {
            Grain::Year => value("year=")?.parse().map_err(|_| wrong())?,
            grain => {
                let day: Date = value("dt=")?.parse().map_err(|_| wrong())?;
                let day = day.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_second() / 86_400;
                let day = i32::try_from(day).map_err(|_| wrong())?;
                if grain == Grain::Day {
                    day
                } else {
                    day * 24 + value("hour=")?.parse::<i32>().map_err(|_| wrong())?
                }
            }
        };
        let dir = Self { table, unit };
        if dir.to_string() == text { Ok(dir) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUG_8_2355: i64 = 1_723_161_300_000_000_000;

    #[test]
    fn each_grain_has_its_path() {
        assert_eq!(Dir::of(Table::Trades, AUG_8_2355).to_string(), "trades/dt=2024-08-08/hour=23");
        assert_eq!(Dir::of(Table::Metrics, AUG_8_2355).to_string(), "metrics/dt=2024-08-08");
        assert_eq!(Dir::of(Table::Bars, AUG_8_2355).to_string(), "bars/year=2024");
    }

    #[test]
    fn times_before_1970_and_at_the_edges_of_64_bits_have_a_partition() {
        assert_eq!(Dir::of(Table::Trades, -1).to_string(), "trades/dt=1969-12-31/hour=23");
        assert_eq!(Dir::of(Table::Bars, -157_420_800_000_000_000).to_string(), "bars/year=1965");
        assert_eq!(Dir::of(Table::Trades, i64::MIN).to_string(), "trades/dt=1677-09-21/hour=00");
        assert_eq!(Dir::of(Table::Bars, i64::MAX).to_string(), "bars/year=2262");
    }

    #[test]
    fn a_day_or_a_year_ends_when_the_next_begins() {
        let ends = |table, time| Dir::of(table, time).part_ends_at();
        for table in Table::ALL {
            for time in [AUG_8_2355, -1, 0, 951_782_400_000_000_000, -2_208_988_800_000_000_000] {
                let dir = Dir::of(table, time);
                let end = i64::try_from(dir.part_ends_at()).unwrap();
                assert_eq!(Dir::of(table, end - 1).part(), dir.part(), "{dir}");
                assert_ne!(Dir::of(table, end).part(), dir.part(), "{dir}");
            }
        }
        assert_eq!(Dir::of(Table::Trades, AUG_8_2355).part(), "trades/dt=2024-08-08");
        assert_eq!(ends(Table::Trades, AUG_8_2355), 1_723_161_600_000_000_000);
        assert!(ends(Table::Bars, i64::MAX) > i128::from(i64::MAX), "a year beyond the last moment has its end, too");
    }

    #[test]
    fn a_path_reads_back_and_no_other_spelling_does() {
        for table in Table::ALL {
            for time in [AUG_8_2355, -1, 0, i64::MIN, i64::MAX] {
                let dir = Dir::of(table, time);
                assert_eq!(dir.to_string().parse(), Ok(dir));
            }
        }
        for text in ["trades", "trades/dt=2024-08-08", "trades/dt=2024-08-08/hour=7", "bars/year=24", "x/year=2024"] {
            assert!(text.parse::<Dir>().is_err(), "{text}");
        }
    }
}
