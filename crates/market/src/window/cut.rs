//! Where time is cut into windows and panes that follow each other.

use std::sync::Arc;

use crate::calendar::Calendar;
use crate::span::{Align, Span};
use crate::time::{NS_PER_DAY, month_of, next_month_of};

/// 5 January 1970 was a Monday.
const MONDAY: i64 = 4 * NS_PER_DAY;

/// The instants at which one piece of time ends and the next begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Multiples of so many nanoseconds, before 1970 too.
    Every(i64),
    Weeks,
    Months,
    /// Within each session multiples of so many nanoseconds since it opened, and its close.
    Sessions(Arc<Calendar>, i64),
}

impl Cut {
    /// Where windows of `span` begin; `None` when none of the calendars has the name.
    pub fn of(span: Span, calendars: &[Arc<Calendar>]) -> Option<Self> {
        Some(match span.align() {
            Align::Epoch => Self::Every(span.slide().ns()),
            Align::Week => Self::Weeks,
            Align::Month => Self::Months,
            Align::Session(name) => {
                let built_in = Some(Calendar::xnys()).filter(|calendar| calendar.name == name);
                let calendar = calendars.iter().find(|calendar| calendar.name == name).cloned().or(built_in)?;
                Self::Sessions(calendar, span.size().ns())
            }
        })
    }

    /// Names it in saved state: two cuts of one name are the same.
    pub fn name(&self, span: Span) -> String {
        match self {
            Self::Every(step) => step.to_string(),
            Self::Weeks | Self::Months => span.to_string(),
            Self::Sessions(calendar, _) => format!("{span}-{:016x}", calendar.hash()),
        }
    }

    /// Whether time is cut into windows here, or rests: the time between two sessions.
    pub fn is_rest(&self, time: i64) -> bool {
        match self {
            Self::Sessions(calendar, _) => !calendar.around(time).2,
            _ => false,
        }
    }

    /// The last cut that is not after `time`.
    #[inline]
    pub fn floor(&self, time: i64) -> i64 {
        match self {
            Self::Every(step) => floor(time, *step),
            Self::Weeks => floor(time.saturating_sub(MONDAY), 7 * NS_PER_DAY).saturating_add(MONDAY),
            Self::Months => month_of(time),
            Self::Sessions(calendar, size) => match calendar.around(time) {
                (open, _, true) => open.saturating_add(floor(time.saturating_sub(open), *size)),
                (close, _, false) => close,
            },
        }
    }

    /// The first cut after `time`.
    pub fn next(&self, time: i64) -> i64 {
        match self {
            Self::Every(step) => floor(time, *step).saturating_add(*step),
            Self::Weeks => self.floor(time).saturating_add(7 * NS_PER_DAY),
            Self::Months => next_month_of(time),
            Self::Sessions(calendar, size) => match calendar.around(time) {
                (open, close, true) => {
                    close.min(open.saturating_add(floor(time.saturating_sub(open), *size)).saturating_add(*size))
                }
                (_, open, false) => open,
            },
        }
    }
}

/// The greatest multiple of `step` that is not above `time`; before 1970 too.
#[inline]
pub(crate) fn floor(time: i64, step: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::{Civil, parse_date};

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        for (day, monday, first, next) in [
            ("1970-01-01", "1969-12-29", "1970-01-01", "1970-02-01"),
            ("1965-01-05", "1965-01-04", "1965-01-01", "1965-02-01"),
            ("2000-02-29", "2000-02-28", "2000-02-01", "2000-03-01"),
            ("2021-05-31", "2021-05-31", "2021-05-01", "2021-06-01"),
            ("2023-12-31", "2023-12-25", "2023-12-01", "2024-01-01"),
        ] {
            let day = parse_date(day).unwrap();
            for time in [day, day + NS_PER_DAY - 1] {
                assert_eq!(Civil::of(Cut::Weeks.floor(time)).date(), monday);
                assert_eq!(Civil::of(Cut::Months.floor(time)).date(), first);
                assert_eq!(Civil::of(Cut::Months.next(time)).date(), next);
            }
        }
    }

    proptest! {
        #[test]
        fn every_instant_lies_between_two_neighbouring_cuts(time in -8_000_000_000_000_000_000i64..8_000_000_000_000_000_000) {
            let sessions = |size| Cut::Sessions(Calendar::xnys(), size);
            for cut in [Cut::Every(60_000_000_000), Cut::Weeks, Cut::Months, sessions(3_600_000_000_000), sessions(NS_PER_DAY)] {
                let (start, end) = (cut.floor(time), cut.next(time));
                prop_assert!(start <= time && time < end);
                prop_assert_eq!((cut.floor(start), cut.floor(end - 1), cut.floor(end)), (start, start, end));
                prop_assert_eq!(cut.next(start), end);
            }
        }
    }
}
