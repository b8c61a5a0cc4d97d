//! What depends on the *order* of trades: TWAP and volatility.
//!
//! In: trades in the order of [`Order`] (event time, then trade id, then offset). Out: a [`Path`] that can be joined to the path of
//! the next pane, so a window of many panes needs no look at its trades again.
//!
//! - **TWAP**: each price weighted by the time until the next trade, the last until the end of the window; the window starts at its
//!   first trade. Exact sums, rounded once.
//! - **Volatility**: the sample standard deviation of the log returns from trade to trade, not annualised. With the `m = n - 1` returns
//!   `r = ln(p[i] / p[i-1])` of `n` trades it is `sqrt((Σr² - (Σr)²/m) / (m - 1))`, where `Σr` is `ln(close / open)`. Undefined
//!   (`null`) below two returns or when a price is not positive. Each `r²` is rounded to a multiple of 2⁻⁹⁶ and those are added as
//!   integers: like every other sum here, it does not depend on where panes are cut. Formula: the realised volatility of Andersen
//!   and Bollerslev (1998) with the mean taken off, sample form (n - 1).

use crate::decimal::Decimal;
use crate::metrics::Undefined;
use crate::wide::Wide;

use super::bytes::{Reader, Short, Writer};

/// One unit of the sum of squares.
const SQUARE: f64 = (1u128 << 96) as f64;

/// A place in the order of trades. Ties at one event time: trades with a numeric id first, by id, then the others by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Order {
    pub time: i64,
    /// The numeric id, or [`Order::NO_ID`].
    pub tie: u64,
    pub offset: i64,
}

impl Order {
    pub const NO_ID: u64 = u64::MAX;
}

/// A trade as the path sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    pub order: Order,
    pub price: Decimal,
}

impl Tick {
    pub const ZERO: Self = Self { order: Order { time: 0, tie: 0, offset: 0 }, price: Decimal::ZERO };

    /// Writes what differs from the tick before: neighbours are alike.
    pub fn write_after(&self, before: &Self, w: &mut Writer) {
        let (a, b) = (&before.order, &self.order);
        w.signed(i128::from(b.time) - i128::from(a.time));
        w.signed(i128::from(b.tie.wrapping_add(1)) - i128::from(a.tie.wrapping_add(1)));
        w.signed(i128::from(b.offset) - i128::from(a.offset));
        w.signed(self.price.units() - before.price.units());
    }

    pub fn read_after(before: &Self, r: &mut Reader<'_>) -> Result<Self, Short> {
        let a = &before.order;
        let mut sum = |base: i128| r.signed()?.checked_add(base).ok_or(Short);
        let time = i64::try_from(sum(a.time.into())?).map_err(|_| Short)?;
        let tie = u64::try_from(sum(a.tie.wrapping_add(1).into())?).map_err(|_| Short)?.wrapping_sub(1);
        let offset = i64::try_from(sum(a.offset.into())?).map_err(|_| Short)?;
        let price = Decimal::from_units(sum(before.price.units())?).ok_or(Short)?;
        Ok(Self { order: Order { time, tie, offset }, price })
    }
}

/// What lies between two neighbouring trades.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    /// The earlier price times the nanoseconds until the later trade.
    weighted: Wide,
    /// The squared log return in units of 2⁻⁹⁶; `None` where there is no such return.
    square: Option<i128>,
}

impl Step {
    pub fn new(from: (i64, Decimal), to: (i64, Decimal)) -> Self {
        let ns = to.0.saturating_sub(from.0);
        let weighted = if ns == 0 { Wide::ZERO } else { Wide::times(from.1, ns) };
        Self { weighted, square: square(from.1, to.1) }
    }
}

fn square(from: Decimal, to: Decimal) -> Option<i128> {
    if from == to && !from.is_negative() && !from.is_zero() {
        return Some(0);
    }
    let r = log_return(from, to)?;
    Some((r * r * SQUARE) as i128)
}

/// `ln(to / from)`; `None` when a price is not positive. By the exact difference, since neighbouring prices differ little.
fn log_return(from: Decimal, to: Decimal) -> Option<f64> {
    let (a, b) = (from.units(), to.units());
    if a <= 0 || b <= 0 {
        return None;
    }
    Some(if b > a / 2 && b / 2 < a { ((b - a) as f64 / a as f64).ln_1p() } else { (b as f64 / a as f64).ln() })
}

/// The settled trades of one pane, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    ends: Option<Ends>,
    ticks: u64,
    /// Steps without a log return.
    undefined: u64,
    squares: i128,
    weighted: Wide,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ends {
    first: (i64, Decimal),
    last: (i64, Decimal),
}

impl Path {
    /// The last trade, from which the step to the next one starts.
    pub fn last(&self) -> Option<(i64, Decimal)> {
        self.ends.map(|e| e.last)
    }

    /// Adds the next trade. `step` leads to it from the trade before, and counts only when that one is in this pane.
    pub fn push(&mut self, to: (i64, Decimal), step: &Step) {
        self.ticks += 1;
        match &mut self.ends {
            None => self.ends = Some(Ends { first: to, last: to }),
            Some(ends) => {
                ends.last = to;
                self.step(step);
            }
        }
    }

    /// Adds the next trade, whatever came before.
    pub fn append(&mut self, to: (i64, Decimal)) {
        self.push(to, &Step::new(self.last().unwrap_or(to), to));
    }

    /// Joins the path of a later pane.
    pub fn join(&mut self, later: &Path) {
        let Some(theirs) = later.ends else { return };
        let Some(ours) = self.ends else {
            self.clone_from(later);
            return;
        };
        self.step(&Step::new(ours.last, theirs.first));
        self.ends = Some(Ends { first: ours.first, last: theirs.last });
        self.ticks += later.ticks;
        self.undefined += later.undefined;
        self.add(later.weighted, later.squares);
    }

    fn step(&mut self, step: &Step) {
        self.undefined += u64::from(step.square.is_none());
        self.add(step.weighted, step.square.unwrap_or(0));
    }

    fn add(&mut self, weighted: Wide, squares: i128) {
        // A price of 38 digits times three centuries in nanoseconds is 10^57, of the 10^76 there is room for.
        self.weighted = self.weighted.checked_add(weighted).unwrap_or(self.weighted);
        match self.squares.checked_add(squares) {
            Some(sum) => self.squares = sum,
            None => self.undefined += 1,
        }
    }

    /// The time-weighted average price of a window that ends at `end`.
    pub fn twap(&self, end: i64) -> Option<Decimal> {
        let ends = self.ends?;
        let rest = Wide::times(ends.last.1, end.checked_sub(ends.last.0)?);
        self.weighted.checked_add(rest)?.divide(Wide::count(end.checked_sub(ends.first.0)?))
    }

    /// Why there is no time-weighted average.
    pub fn no_twap(&self) -> Undefined {
        if self.ends.is_none() { Undefined::Late } else { Undefined::Precision }
    }

    /// Why there is no volatility.
    pub fn no_volatility(&self) -> Undefined {
        if self.ticks < 3 { Undefined::FewTrades } else { Undefined::NotPositive }
    }

    pub fn volatility(&self) -> Option<f64> {
        let (ends, returns) = (self.ends?, self.ticks.saturating_sub(1));
        if returns < 2 || self.undefined > 0 {
            return None;
        }
        let m = returns as f64;
        let sum = log_return(ends.first.1, ends.last.1)?;
        let variance = (self.squares as f64 / SQUARE - sum * sum / m) / (m - 1.0);
        // Equal returns leave a difference of two equal numbers, which rounding may put below zero.
        Some(variance.max(0.0).sqrt())
    }

    pub fn write(&self, w: &mut Writer) {
        w.unsigned(self.ticks.into());
        let Some(ends) = self.ends else { return };
        for (time, price) in [ends.first, ends.last] {
            w.signed(time.into());
            w.signed(price.units());
        }
        w.unsigned(self.undefined.into());
        w.signed(self.squares);
        w.wide(self.weighted);
    }

    pub fn read(r: &mut Reader<'_>) -> Result<Self, Short> {
        let ticks = r.small()?;
        if ticks == 0 {
            return Ok(Self::default());
        }
        let mut end = || Ok((r.int()?, Decimal::from_units(r.signed()?).ok_or(Short)?));
        let ends = Some(Ends { first: end()?, last: end()? });
        Ok(Self { ends, ticks, undefined: r.small()?, squares: r.signed()?, weighted: r.wide()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(ticks: &[(i64, i64)]) -> Path {
        let mut path = Path::default();
        for (time, cents) in ticks {
            path.append((*time, Decimal::from_units(i128::from(*cents) * 10i128.pow(16)).unwrap()));
        }
        path
    }

    #[test]
    fn prices_are_weighted_until_the_next_trade_or_the_end() {
        // 1.00 for 10, 2.00 for 20, 4.00 for 30 of 60.
        assert_eq!(path(&[(0, 100), (10, 200), (30, 400)]).twap(60).unwrap().to_string(), "2.833333333333");
        // The window starts at its first trade.
        assert_eq!(path(&[(50, 100)]).twap(60).unwrap().to_string(), "1");
        // Of trades at one instant only the last lasts.
        assert_eq!(path(&[(0, 100), (0, 900), (30, 300)]).twap(60).unwrap().to_string(), "6");
        assert_eq!(Path::default().twap(60), None);
    }

    #[test]
    fn volatility_needs_two_returns_and_positive_prices() {
        assert_eq!(path(&[(0, 100), (1, 110)]).volatility(), None);
        assert_eq!(path(&[(0, 100), (1, 0), (2, 100), (3, 100)]).volatility(), None);
        assert_eq!(path(&[(0, 100), (1, 100), (2, 100)]).volatility(), Some(0.0));
        // ln(1.1), ln(1/1.1): mean 0, so sqrt(2 r² / 1).
        let r = 1.1f64.ln();
        let v = path(&[(0, 100), (1, 110), (2, 100)]).volatility().unwrap();
        assert!((v - r * 2f64.sqrt()).abs() < 1e-15, "{v}");
    }

    /// The textbook, two passes, doubles.
    fn reference(ticks: &[(i64, i64)]) -> f64 {
        let r: Vec<f64> = ticks.windows(2).map(|w| (w[1].1 as f64 / w[0].1 as f64).ln()).collect();
        let mean = r.iter().sum::<f64>() / r.len() as f64;
        (r.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (r.len() - 1) as f64).sqrt()
    }

    proptest! {
        #[test]
        fn volatility_agrees_with_the_textbook(prices in prop::collection::vec(5_000_000i64..7_000_000, 3..200)) {
            let ticks: Vec<_> = (0i64..).zip(prices).collect();
            let (ours, theirs) = (path(&ticks).volatility().unwrap(), reference(&ticks));
            prop_assert!((ours - theirs).abs() <= 1e-9 * theirs.max(1e-9), "{} {}", ours, theirs);
        }

        #[test]
        fn where_panes_are_cut_changes_no_bit(prices in prop::collection::vec(1i64..1000, 1..60), cuts in prop::collection::vec(0usize..60, 0..6)) {
            let ticks: Vec<_> = (0i64..).map(|i| i * 7).zip(prices).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(ticks.len())).chain([0, ticks.len()]).collect();
            cuts.sort_unstable();
            let mut joined = Path::default();
            for cut in cuts.windows(2) {
                joined.join(&path(&ticks[cut[0]..cut[1]]));
            }
            prop_assert_eq!(&joined, &path(&ticks));
            let mut w = Writer::default();
            joined.write(&mut w);
            let mut r = Reader::new(&w.bytes);
            prop_assert_eq!(Path::read(&mut r), Ok(joined));
            prop_assert_eq!(r.end(), Ok(()));
        }
    }
}
