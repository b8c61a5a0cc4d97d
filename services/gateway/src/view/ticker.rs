//! The latest price of one symbol, what its change is measured against, and its sparkline.

use std::collections::VecDeque;

use market::time::NS_PER_DAY;
use market::{Decimal, Side, Wide};

use crate::wire::{PriceKind, Reference, ReferenceKind, Time};

/// Points of a sparkline.
pub(crate) const SPARK_POINTS: usize = 60;
/// This many events in a row, all older than the latest price, mean that the feed began anew: a recording is being
/// replayed. Fewer are late prints, which must not become the latest price.
const REWIND_AFTER: u32 = 20;
/// An event this far ahead of the time at which it was received is not believed (the aggregate stage refuses it too);
/// believed once, it would hold the price for as long.
const FUTURE_NS: i64 = 5_000_000_000;

/// One price, with its place in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Print {
    pub(crate) kind: PriceKind,
    pub(crate) price: Decimal,
    pub(crate) size: Option<Decimal>,
    pub(crate) side: Option<Side>,
    pub(crate) event_time: i64,
    pub(crate) receive_time: Option<i64>,
    /// When Kafka took it.
    pub(crate) seen: i64,
}

#[derive(Clone, Debug)]
pub(crate) struct Ticker {
    pub(crate) last: Print,
    pub(crate) reference: Reference,
    pub(crate) bid: Option<Decimal>,
    pub(crate) ask: Option<Decimal>,
    spark: VecDeque<Decimal>,
    spark_step: i64,
    /// Which step of event time the last point belongs to.
    spark_slot: i64,
    pub(crate) spark_at: u64,
    older_in_a_row: u32,
}

impl Ticker {
    pub(crate) fn new(first: Print, spark_step: i64) -> Self {
        let spark_step = spark_step.max(1);
        Ticker {
            last: first,
            reference: Reference { kind: ReferenceKind::FirstSeen, price: first.price, time: Time(first.event_time) },
            bid: None,
            ask: None,
            spark: VecDeque::from([first.price]),
            spark_step,
            spark_slot: first.event_time.div_euclid(spark_step),
            spark_at: 1,
            older_in_a_row: 0,
        }
    }

    /// Takes a price if it is the latest. Says whether it did.
    pub(crate) fn take(&mut self, print: Print) -> bool {
        if is_future(&print) || is_weaker(print.kind, self.last.kind) {
            return false;
        }
        if print.event_time < self.last.event_time && print.kind == self.last.kind {
            self.older_in_a_row += 1;
            if self.older_in_a_row < REWIND_AFTER {
                return false;
            }
            let (bid, ask, spark_at) = (self.bid, self.ask, self.spark_at);
            *self = Ticker { bid, ask, spark_at: spark_at + 1, ..Ticker::new(print, self.spark_step) };
            return true;
        }
        self.older_in_a_row = 0;
        let (day, last_day) = (print.event_time.div_euclid(NS_PER_DAY), self.last.event_time.div_euclid(NS_PER_DAY));
        // A daily bar ends at the next midnight, so each bar is a day of its own.
        if day != last_day {
            self.reference = Reference {
                kind: ReferenceKind::PreviousClose,
                price: self.last.price,
                time: Time(self.last.event_time),
            };
        }
        self.extend_spark(&print);
        self.last = print;
        true
    }

    fn extend_spark(&mut self, print: &Print) {
        let slot = print.event_time.div_euclid(self.spark_step);
        if slot == self.spark_slot
            && let Some(point) = self.spark.back_mut()
        {
            *point = print.price;
            return;
        }
        self.spark_slot = slot;
        self.spark_at += 1;
        self.spark.push_back(print.price);
        if self.spark.len() > SPARK_POINTS {
            self.spark.pop_front();
        }
    }

    pub(crate) fn spark(&self) -> Vec<Decimal> {
        self.spark.iter().copied().collect()
    }

    /// (last − reference) / reference × 100, to 12 digits; none where the reference is zero.
    pub(crate) fn change_pct(&self) -> Option<Decimal> {
        let moved = self.last.price.checked_sub(self.reference.price)?;
        Wide::product(moved, Decimal::from_int(100)).divide(Wide::of(self.reference.price))
    }
}

pub(crate) fn is_future(print: &Print) -> bool {
    let received = print.receive_time.unwrap_or(i64::MIN).max(print.seen);
    print.event_time.saturating_sub(received) > FUTURE_NS
}

/// Metrics stand in only for a symbol of which nothing better is known.
fn is_weaker(new: PriceKind, known: PriceKind) -> bool {
    new == PriceKind::Metrics && known != PriceKind::Metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const NOW: i64 = 1_723_161_255 * SECOND;

    fn print(price: i64, event_time: i64) -> Print {
        Print {
            kind: PriceKind::Trade,
            price: Decimal::from_int(price),
            size: None,
            side: None,
            event_time,
            receive_time: None,
            seen: NOW + 100 * NS_PER_DAY,
        }
    }

    #[test]
    fn the_latest_by_event_time_is_the_price_and_a_late_print_is_not() {
        let mut ticker = Ticker::new(print(100, NOW), 5 * SECOND);
        assert!(ticker.take(print(101, NOW + SECOND)));
        assert!(!ticker.take(print(90, NOW - 3600 * SECOND)), "a late print");
        assert!(ticker.take(print(102, NOW + SECOND)), "of two at one time the later record counts");
        assert_eq!(ticker.last.price, Decimal::from_int(102));
        assert_eq!(ticker.change_pct(), Some(Decimal::from_int(2)));
    }

    #[test]
    fn a_replay_from_an_earlier_time_takes_over_after_a_while() {
        let mut ticker = Ticker::new(print(100, NOW), 5 * SECOND);
        let taken = (0..30).filter(|n| ticker.take(print(50 + n, NOW - 600 * SECOND + n * SECOND))).count();
        assert_eq!(taken, 11, "the twentieth begins anew, the ten after it follow");
        assert_eq!(ticker.reference.price, Decimal::from_int(69));
        for n in 0..100 {
            ticker.take(print(1, NOW - 900 * SECOND));
            assert!(ticker.take(print(200 + n, NOW + n * SECOND)), "late prints among the others never add up");
        }
    }

    #[test]
    fn a_price_from_the_future_is_not_believed() {
        let mut ticker = Ticker::new(print(100, NOW), SECOND);
        let mut wrong = print(999, NOW + 400 * NS_PER_DAY);
        assert!(!ticker.take(wrong));
        wrong.receive_time = Some(wrong.event_time);
        assert!(ticker.take(wrong), "a recording moved forward in time has receive times that moved along");
    }

    #[test]
    fn a_new_day_is_measured_against_the_last_price_of_the_old_one() {
        let midnight = NOW.div_euclid(NS_PER_DAY) * NS_PER_DAY + NS_PER_DAY;
        let mut ticker = Ticker::new(print(100, midnight - 2 * SECOND), SECOND);
        ticker.take(print(110, midnight - SECOND));
        assert_eq!(ticker.reference.kind, ReferenceKind::FirstSeen);
        ticker.take(print(121, midnight));
        ticker.take(print(99, midnight + SECOND));
        assert_eq!(
            ticker.reference,
            Reference {
                kind: ReferenceKind::PreviousClose,
                price: Decimal::from_int(110),
                time: Time(midnight - SECOND)
            }
        );
        assert_eq!(ticker.change_pct(), Some(Decimal::from_int(-10)));
    }

    #[test]
    fn the_sparkline_has_one_point_per_step_and_sixty_at_most() {
        let start = NOW.div_euclid(10 * SECOND) * 10 * SECOND;
        let mut ticker = Ticker::new(print(1, start), 10 * SECOND);
        ticker.take(print(2, start + SECOND));
        ticker.take(print(3, start + 9 * SECOND));
        assert_eq!((ticker.spark(), ticker.spark_at), (vec![Decimal::from_int(3)], 1));
        for n in 1..100 {
            ticker.take(print(n, start + n * 10 * SECOND));
        }
        assert_eq!((ticker.spark().len(), ticker.spark_at), (SPARK_POINTS, 100));
    }

    #[test]
    fn a_change_against_zero_is_no_number() {
        let mut ticker = Ticker::new(print(0, NOW), SECOND);
        ticker.take(print(5, NOW + SECOND));
        assert_eq!(ticker.change_pct(), None);
    }

    #[test]
    fn metrics_stand_in_only_until_something_better_comes() {
        let metrics = |price, time| Print { kind: PriceKind::Metrics, ..print(price, time) };
        let mut ticker = Ticker::new(metrics(100, NOW), SECOND);
        assert!(ticker.take(metrics(101, NOW + SECOND)));
        assert!(ticker.take(print(99, NOW - SECOND)), "a trade is better, though its time is before the window's end");
        assert!(!ticker.take(metrics(105, NOW + 60 * SECOND)));
    }
}
