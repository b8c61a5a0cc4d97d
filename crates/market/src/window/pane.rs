//! What is known of one stretch of time: sums, extremes, first and last, all of them independent of the order in which trades come.
//!
//! In: trades or bars, once each. Out: panes that join with their neighbours into the window a record is made from.

use crate::decimal::Decimal;
use crate::event::{Bar, Side};
use crate::wide::Wide;

use super::bytes::{Reader, Short, Writer};
use super::fold::Input;
use super::path::{Order, Path, Tick};

/// A trade on its way into panes; what costs something is computed once for all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Folded {
    pub tick: Tick,
    pub quantity: Decimal,
    pub product: Wide,
    pub side: Option<Side>,
    pub backfilled: bool,
    /// It came behind the watermark.
    pub late: bool,
}

impl Folded {
    pub fn new(tick: Tick, input: &Input<'_>, late: bool) -> Self {
        let quantity = input.quantity.get();
        let product = Wide::product(tick.price, quantity);
        Self { tick, quantity, product, side: input.side, backfilled: input.backfilled, late }
    }
}

/// The trades of `[start, start + length of a pane)`; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pane {
    pub start: i64,
    /// Grows with everything that can alter a record, so equal versions mean equal records.
    pub version: u64,
    pub sums: Sums,
    /// The settled trades in order; the unsettled ones are in the book's tail.
    pub path: Path,
    /// Not yet saved.
    pub dirty: bool,
    /// Has been saved, so its end must be saved too.
    pub saved: bool,
}

/// Everything about trades but their path; or what bars add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    pub open: Tick,
    pub close: Tick,
    pub low: Decimal,
    pub high: Decimal,
    /// Trades, or bars.
    pub trades: u64,
    /// Trades that say who was the taker; bars that tell their quote volume.
    pub sided: u64,
    pub backfilled: u64,
    pub late: u64,
    pub duplicate: u64,
    pub prices: Wide,
    pub volume: Wide,
    pub quote: Wide,
    pub buys: Wide,
    /// A sum went past 256 bits: sums are no more to be trusted and are given as null.
    pub overflow: bool,
    pub first_offset: i64,
    pub last_offset: i64,
}

impl Sums {
    fn of(t: &Folded) -> Self {
        let bought = if t.side == Some(Side::Buy) { Wide::of(t.quantity) } else { Wide::ZERO };
        Self {
            open: t.tick,
            close: t.tick,
            low: t.tick.price,
            high: t.tick.price,
            trades: 1,
            sided: t.side.is_some().into(),
            backfilled: t.backfilled.into(),
            late: t.late.into(),
            duplicate: 0,
            prices: Wide::of(t.tick.price),
            volume: Wide::of(t.quantity),
            quote: t.product,
            buys: bought,
            overflow: false,
            first_offset: t.tick.order.offset,
            last_offset: t.tick.order.offset,
        }
    }

    /// One bar. Its opening and its closing price are those of the earliest and of the latest bar.
    pub fn of_bar(bar: &Bar, offset: i64, late: bool) -> Self {
        let order = Order { time: bar.start, tie: Order::NO_ID, offset };
        let quote = bar.extra.get("quote_volume");
        Self {
            open: Tick { order, price: bar.open.get() },
            close: Tick { order, price: bar.close.get() },
            low: bar.low.get(),
            high: bar.high.get(),
            trades: 1,
            sided: quote.is_some().into(),
            backfilled: 0,
            late: late.into(),
            duplicate: 0,
            prices: Wide::ZERO,
            volume: Wide::of(bar.volume),
            quote: quote.map_or(Wide::ZERO, |quote| Wide::product(*quote, Decimal::ONE)),
            buys: Wide::ZERO,
            overflow: false,
            first_offset: offset,
            last_offset: offset,
        }
    }

    fn add(&mut self, t: &Folded) {
        let (tick, price) = (t.tick, t.tick.price);
        if tick.order < self.open.order {
            self.open = tick;
        }
        if tick.order > self.close.order {
            self.close = tick;
        }
        self.low = self.low.min(price);
        self.high = self.high.max(price);
        self.trades += 1;
        self.backfilled += u64::from(t.backfilled);
        self.late += u64::from(t.late);
        sum(&mut self.prices, Wide::of(price), &mut self.overflow);
        if !t.quantity.is_zero() {
            sum(&mut self.volume, Wide::of(t.quantity), &mut self.overflow);
            sum(&mut self.quote, t.product, &mut self.overflow);
        }
        if let Some(side) = t.side {
            self.sided += 1;
            if side == Side::Buy {
                sum(&mut self.buys, Wide::of(t.quantity), &mut self.overflow);
            }
        }
        self.first_offset = self.first_offset.min(tick.order.offset);
        self.last_offset = self.last_offset.max(tick.order.offset);
    }

    /// Joins the sums of another pane.
    pub fn join(&mut self, other: &Sums) {
        if other.open.order < self.open.order {
            self.open = other.open;
        }
        if other.close.order > self.close.order {
            self.close = other.close;
        }
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        self.trades += other.trades;
        self.sided += other.sided;
        self.backfilled += other.backfilled;
        self.late += other.late;
        self.duplicate += other.duplicate;
        self.overflow |= other.overflow;
        for (ours, theirs) in [
            (&mut self.prices, other.prices),
            (&mut self.volume, other.volume),
            (&mut self.quote, other.quote),
            (&mut self.buys, other.buys),
        ] {
            sum(ours, theirs, &mut self.overflow);
        }
        self.first_offset = self.first_offset.min(other.first_offset);
        self.last_offset = self.last_offset.max(other.last_offset);
    }
}

fn sum(total: &mut Wide, value: Wide, overflow: &mut bool) {
    match total.checked_add(value) {
        Some(sum) => *total = sum,
        None => *overflow = true,
    }
}

impl Pane {
    pub fn new(start: i64, t: &Folded) -> Self {
        Self::of(start, Sums::of(t))
    }

    pub fn of(start: i64, sums: Sums) -> Self {
        Self { start, version: 1, sums, path: Path::default(), dirty: true, saved: false }
    }

    pub fn join(&mut self, sums: &Sums) {
        self.sums.join(sums);
        self.touch();
    }

    pub fn add(&mut self, t: &Folded) {
        self.sums.add(t);
        self.touch();
    }

    pub fn add_duplicate(&mut self) {
        self.sums.duplicate += 1;
        self.touch();
    }

    /// Notes that records made from this pane are no more what they were.
    fn touch(&mut self) {
        self.version += 1;
        self.dirty = true;
    }

    pub fn write(&self, w: &mut Writer) {
        let s = &self.sums;
        w.unsigned(self.version.into());
        s.open.write_after(&Tick::ZERO, w);
        s.close.write_after(&s.open, w);
        w.signed(s.low.units());
        w.signed(s.high.units());
        for count in [s.trades, s.sided, s.backfilled, s.late, s.duplicate] {
            w.unsigned(count.into());
        }
        for total in [s.prices, s.volume, s.quote, s.buys] {
            w.wide(total);
        }
        w.byte(s.overflow.into());
        w.signed(s.first_offset.into());
        w.signed(s.last_offset.into());
        self.path.write(w);
    }

    pub fn read(start: i64, r: &mut Reader<'_>) -> Result<Self, Short> {
        let version = r.small()?;
        let open = Tick::read_after(&Tick::ZERO, r)?;
        let close = Tick::read_after(&open, r)?;
        let mut price = || Decimal::from_units(r.signed()?).ok_or(Short);
        let (low, high) = (price()?, price()?);
        let mut count = || r.small();
        let [trades, sided, backfilled, late, duplicate] = [count()?, count()?, count()?, count()?, count()?];
        let mut wide = || r.wide();
        let [prices, volume, quote, buys] = [wide()?, wide()?, wide()?, wide()?];
        let overflow = r.byte()? != 0;
        let (first_offset, last_offset) = (r.int()?, r.int()?);
        let sums = Sums {
            open,
            close,
            low,
            high,
            trades,
            sided,
            backfilled,
            late,
            duplicate,
            prices,
            volume,
            quote,
            buys,
            overflow,
            first_offset,
            last_offset,
        };
        Ok(Self { start, version, sums, path: Path::read(r)?, dirty: false, saved: true })
    }
}
