//! Moving averages over the closing prices of the bars of one kind of window.
//!
//! In: the close of each bar once it is final, in order. Out: the averages up to a bar, which may still be open.
//!
//! With the closes `c[1] … c[n]` of all bars so far and an average over `N` of them, both are null while `n < N`, then
//! - **SMA** `= (c[n-N+1] + … + c[n]) / N`: the exact sum, rounded half-even to 12 digits once;
//! - **EMA** `e[N] = SMA`, and `e[n] = (2·c[n] + (N-1)·e[n-1]) / (N+1)`, each step rounded half-even to 12 digits. That is the usual weight
//!   of `2/(N+1)`; as every step is rounded alike, the same bars give the same digits.

use std::collections::VecDeque;

use crate::average::{Average, AverageKind};
use crate::decimal::Decimal;
use crate::wide::Wide;

use super::bytes::{Reader, Short, Writer};

/// Before the first bar.
const NEVER: i64 = i64::MIN;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trend {
    /// The end of the last bar that was taken, or had no close.
    until: i64,
    /// The latest closes, as many as the longest average needs.
    closes: VecDeque<Decimal>,
    /// Exponential averages, in the order of the settings; of others nothing.
    exponential: Vec<Exponential>,
    pub dirty: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Exponential {
    bars: u64,
    value: Option<Decimal>,
}

impl Trend {
    pub fn new(averages: &[Average]) -> Self {
        let exponential = vec![Exponential::default(); averages.len()];
        Self { until: NEVER, closes: VecDeque::new(), exponential, dirty: false }
    }

    pub fn until(&self) -> i64 {
        self.until
    }

    /// The bar that ends at `end` is final; without a trade it has no close. Either way it is passed for good: what comes late for it
    /// may still be in the panes of longer windows.
    pub fn take_up(&mut self, averages: &[Average], end: i64, close: Option<Decimal>) {
        close.into_iter().for_each(|close| self.push(averages, close));
        self.until = end;
        self.dirty = true;
    }

    /// Takes the close of the next bar.
    pub fn push(&mut self, averages: &[Average], close: Decimal) {
        let longest = averages.iter().map(|a| usize::from(a.bars())).max().unwrap_or(0);
        if self.closes.len() >= longest {
            self.closes.pop_front();
        }
        self.closes.push_back(close);
        for (at, average) in averages.iter().enumerate().filter(|(_, a)| a.kind == AverageKind::Exponential) {
            let bars = i64::from(average.bars());
            let seed = self.simple(average.bars());
            let ours = &mut self.exponential[at];
            ours.bars += 1;
            ours.value = match ours.value {
                None if ours.bars < u64::from(average.bars()) => None,
                None => seed,
                Some(before) => Wide::times(close, 2)
                    .checked_add(Wide::times(before, bars - 1))
                    .and_then(|sum| sum.divide(Wide::count(bars + 1))),
            };
        }
    }

    /// The averages up to the last bar.
    pub fn averages(&self, averages: &[Average]) -> Vec<(Average, Option<Decimal>)> {
        let value = |(at, average): (usize, &Average)| match average.kind {
            AverageKind::Simple => self.simple(average.bars()),
            AverageKind::Exponential => self.exponential[at].value,
        };
        averages.iter().enumerate().map(|(at, average)| (*average, value((at, average)))).collect()
    }

    fn simple(&self, bars: u16) -> Option<Decimal> {
        let first = self.closes.len().checked_sub(usize::from(bars))?;
        let sum = self.closes.range(first..).try_fold(Wide::ZERO, |sum, close| sum.checked_add(Wide::of(*close)))?;
        sum.divide(Wide::count(bars.into()))
    }

    pub fn write(&self, averages: &[Average], w: &mut Writer) {
        w.signed(self.until.into());
        w.unsigned(self.closes.len() as u128);
        let mut before = 0;
        for close in &self.closes {
            w.signed(close.units() - before);
            before = close.units();
        }
        w.unsigned(averages.len() as u128);
        for (average, ours) in averages.iter().zip(&self.exponential) {
            w.text(&average.to_string());
            w.unsigned(ours.bars.into());
            w.byte(ours.value.is_some().into());
            w.signed(ours.value.map_or(0, |value| value.units()));
        }
    }

    /// Averages that are new begin with the closes there are; those that are asked for no more are left behind.
    pub fn read(averages: &[Average], r: &mut Reader<'_>) -> Result<Self, Short> {
        let mut trend = Self { until: r.int()?, ..Self::new(averages) };
        let mut before = 0i128;
        for _ in 0..r.count()? {
            before = r.signed()?.checked_add(before).ok_or(Short)?;
            trend.closes.push_back(Decimal::from_units(before).ok_or(Short)?);
        }
        let longest = averages.iter().map(|a| usize::from(a.bars())).max().unwrap_or(0);
        trend.closes.drain(..trend.closes.len().saturating_sub(longest));
        for _ in 0..r.count()? {
            let (name, bars, some, units) = (r.text()?, r.small()?, r.byte()?, r.signed()?);
            let value = if some == 0 { None } else { Some(Decimal::from_units(units).ok_or(Short)?) };
            if let Some(at) = averages.iter().position(|a| a.to_string() == name) {
                trend.exponential[at] = Exponential { bars, value };
            }
        }
        Ok(trend)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(averages: &[&str], closes: &[&str]) -> Vec<String> {
        let averages: Vec<Average> = averages.iter().map(|a| a.parse().unwrap()).collect();
        let mut trend = Trend::new(&averages);
        let shown = |trend: &Trend| {
            let values = trend.averages(&averages).into_iter();
            values.map(|(_, v)| v.map_or("-".into(), |v| v.to_string())).collect::<Vec<_>>().join(" ")
        };
        let each = closes.iter().map(|close| {
            trend.push(&averages, close.parse().unwrap());
            let mut w = Writer::default();
            trend.write(&averages, &mut w);
            let again = Trend::read(&averages, &mut Reader::new(&w.bytes)).unwrap();
            assert_eq!(shown(&again), shown(&trend));
            shown(&trend)
        });
        each.collect()
    }

    #[test]
    fn averages_are_null_until_there_are_enough_bars() {
        assert_eq!(
            told(&["sma:3", "ema:3"], &["1", "2", "4", "8", "-1"]),
            [
                "- -",
                "- -",
                "2.333333333333 2.333333333333",
                "4.666666666667 5.166666666666",
                "3.666666666667 2.083333333333"
            ]
        );
        assert_eq!(told(&["ema:1", "sma:1"], &["1.5", "7"]), ["1.5 1.5", "7 7"]);
    }

    #[test]
    fn an_average_that_is_new_starts_anew() {
        let (old, new) = (["sma:2".parse().unwrap()], ["ema:2".parse().unwrap(), "sma:3".parse().unwrap()]);
        let mut trend = Trend::new(&old);
        [1, 2].iter().for_each(|n| trend.push(&old, Decimal::from_int(*n)));
        let mut w = Writer::default();
        trend.write(&old, &mut w);
        let mut trend = Trend::read(&new, &mut Reader::new(&w.bytes)).unwrap();
        assert_eq!(trend.averages(&new), [(new[0], None), (new[1], None)]);
        trend.push(&new, Decimal::from_int(6));
        assert_eq!(trend.averages(&new), [(new[0], None), (new[1], Some(Decimal::from_int(3)))]);
    }
}
