//! What is known of one stretch of time: sums, extremes, first and last, all of them independent of the order in which trades come.
//!
//! In: trades or bars, once each. Out: panes that join with their neighbours into the window a record is made from.

use crate::decimal::Decimal;
use crate::event::{Bar, Side};
use crate::price::Price;
use crate::wide::Wide;

use super::bytes::{Reader, Short, Writer};
use super::edges::Edges;
use super::fold::Input;
use super::path::{Order, Path, Step, Tick};
use super::tail::Worth;

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
    /// Those of the settled trades alone: what is left when the tail is looked at anew.
    settled: Option<Edges>,
    /// Not yet saved.
    pub dirty: bool,
    /// Has been saved, so its end must be saved too.
    pub saved: bool,
}

/// Everything about trades but their path; or what bars add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    /// `None` when every trade was taken back.
    pub edges: Option<Edges>,
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
    /// What amendments of settled trades have made unknown.
    pub lost: Lost,
    pub first_offset: i64,
    pub last_offset: i64,
}

/// What cannot be known any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The path still leads over a trade that is void.
    pub path: bool,
    /// Open, high, low or close may be of a trade that is void, or a void trade is still in the sums.
    pub edges: bool,
    /// Whether it was bought.
    pub sides: bool,
    /// Nobody knows what an amendment meant: all of this is lost, and stays so even where no trade is left.
    pub doubt: bool,
}

impl Lost {
    const ALL: Self = Self { path: true, edges: true, sides: true, doubt: true };
}

impl Sums {
    fn of(t: &Folded) -> Self {
        let bought = if t.side == Some(Side::Buy) { Wide::of(t.quantity) } else { Wide::ZERO };
        Self {
            edges: Some(Edges::of(t.tick)),
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
            lost: Lost::default(),
            first_offset: t.tick.order.offset,
            last_offset: t.tick.order.offset,
        }
    }

    /// One bar. Its opening and its closing price are those of the earliest and of the latest bar.
    pub fn of_bar(bar: &Bar, offset: i64, late: bool) -> Self {
        let order = Order { time: bar.start, tie: Order::NO_ID, offset };
        let quote = bar.extra.get("quote_volume");
        let tick = |price: Price| Tick { order, price: price.get() };
        let (open, close) = (tick(bar.open), tick(bar.close));
        Self {
            edges: Some(Edges { open, close, low: bar.low.get(), high: bar.high.get() }),
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
            lost: Lost::default(),
            first_offset: offset,
            last_offset: offset,
        }
    }

    fn add(&mut self, t: &Folded) {
        Edges::add(&mut self.edges, t.tick);
        self.backfilled += u64::from(t.backfilled);
        self.late += u64::from(t.late);
        self.put_in(&Worth { price: t.tick.price, quantity: t.quantity, side: t.side }, t.product);
        self.first_offset = self.first_offset.min(t.tick.order.offset);
        self.last_offset = self.last_offset.max(t.tick.order.offset);
    }

    fn put_in(&mut self, worth: &Worth, product: Wide) {
        self.trades += 1;
        sum(&mut self.prices, Wide::of(worth.price), &mut self.overflow);
        if !worth.quantity.is_zero() {
            sum(&mut self.volume, Wide::of(worth.quantity), &mut self.overflow);
            sum(&mut self.quote, product, &mut self.overflow);
        }
        if let Some(side) = worth.side {
            self.sided += 1;
            if side == Side::Buy {
                sum(&mut self.buys, Wide::of(worth.quantity), &mut self.overflow);
            }
        }
    }

    /// The opposite of [`Sums::put_in`].
    fn take_out(&mut self, worth: &Worth) {
        self.trades = self.trades.saturating_sub(1);
        difference(&mut self.prices, Wide::of(worth.price), &mut self.overflow);
        difference(&mut self.volume, Wide::of(worth.quantity), &mut self.overflow);
        difference(&mut self.quote, Wide::product(worth.price, worth.quantity), &mut self.overflow);
        if let Some(side) = worth.side {
            self.sided = self.sided.saturating_sub(1);
            if side == Side::Buy {
                difference(&mut self.buys, Wide::of(worth.quantity), &mut self.overflow);
            }
        }
    }

    /// Which side a trade was that is kept no more: known where all trades were alike. Nothing tells the side of a trade of no size.
    fn side_of_each(&self, old: &Worth) -> Option<Option<Side>> {
        match (self.sided, self.buys) {
            (0, _) if !self.lost.sides => Some(None),
            (sided, buys) if sided == self.trades && !old.quantity.is_zero() && !self.lost.sides => {
                let side = if buys == self.volume { Some(Side::Buy) } else { Some(Side::Sell) };
                (buys == self.volume || buys.is_zero()).then_some(side)
            }
            _ => None,
        }
    }

    /// Without a trade nothing is unknown; what came is still told.
    fn clear(&mut self) {
        let none = Wide::ZERO;
        let lost = if self.lost.doubt { Lost::ALL } else { Lost::default() };
        (self.edges, self.sided, self.overflow, self.lost) = (None, 0, false, lost);
        (self.prices, self.volume, self.quote, self.buys) = (none, none, none, none);
    }

    /// Joins the sums of another pane.
    pub fn join(&mut self, other: &Sums) {
        Edges::join(&mut self.edges, other.edges.as_ref());
        self.trades += other.trades;
        self.sided += other.sided;
        self.backfilled += other.backfilled;
        self.late += other.late;
        self.duplicate += other.duplicate;
        self.overflow |= other.overflow;
        self.lost.path |= other.lost.path;
        self.lost.edges |= other.lost.edges;
        self.lost.sides |= other.lost.sides;
        self.lost.doubt |= other.lost.doubt;
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

fn difference(total: &mut Wide, value: Wide, overflow: &mut bool) {
    match total.checked_sub(value) {
        Some(rest) => *total = rest,
        None => *overflow = true,
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
        Self { start, version: 1, sums, path: Path::default(), settled: None, dirty: true, saved: false }
    }

    pub fn join(&mut self, sums: &Sums) {
        self.sums.join(sums);
        self.touch();
    }

    pub fn add(&mut self, t: &Folded) {
        self.sums.add(t);
        self.touch();
    }

    /// A trade that has been added gets no new neighbour any more. `step` leads to it from `before`, the trade that was settled
    /// last: the last of this pane, unless an amendment has put another in its place.
    pub fn settle(&mut self, tick: Tick, before: (i64, Decimal), step: &Step) {
        let to = (tick.order.time, tick.price);
        match self.path.last() {
            Some(last) if last != before => self.path.append(to),
            _ => self.path.push(to, step),
        }
        self.settle_late(tick);
    }

    /// One that came too late for the path.
    pub fn settle_late(&mut self, tick: Tick) {
        Edges::add(&mut self.settled, tick);
        self.dirty = true;
    }

    pub fn add_duplicate(&mut self) {
        self.sums.duplicate += 1;
        self.touch();
    }

    /// Takes out a trade of the tail and puts in the one in its place; `rest` is the tail as it is now.
    pub fn amend_kept(&mut self, old: &Worth, new: Option<Worth>, rest: impl Iterator<Item = Tick>) {
        self.sums.take_out(old);
        if let Some(new) = new {
            self.sums.put_in(&new, Wide::product(new.price, new.quantity));
        }
        self.sums.edges = self.settled;
        rest.for_each(|tick| Edges::add(&mut self.sums.edges, tick));
        self.clear_if_empty();
        self.touch();
    }

    /// Whether a settled trade like this may be here.
    pub fn may_hold(&self, old: &Worth) -> bool {
        self.settled.is_some_and(|edges| edges.low <= old.price && old.price <= edges.high)
            && self.sums.volume.checked_sub(Wide::of(old.quantity)).is_some_and(|rest| !rest.is_negative())
    }

    /// Takes out a settled trade and puts in the one in its place.
    pub fn amend_settled(&mut self, time: i64, old: &Worth, new: Option<Worth>) {
        let Some(edges) = &mut self.settled else { return };
        self.sums.lost.path = true;
        self.sums.lost.edges |= edges.may_be(time, old.price);
        let order = edges.open.order;
        let side = self.sums.side_of_each(old);
        self.sums.take_out(&Worth { side: side.flatten(), ..*old });
        self.sums.lost.sides |= side.is_none();
        self.clear_if_empty();
        let Some(new) = new else { return self.touch() };
        let new = Worth { side: side.flatten(), ..new };
        self.sums.lost.sides |= side.is_none();
        self.sums.put_in(&new, Wide::product(new.price, new.quantity));
        match (&mut self.settled, &mut self.sums.edges) {
            (Some(settled), Some(all)) => {
                settled.reach(new.price);
                all.reach(new.price);
            }
            // It was the only one.
            _ => {
                let tick = Tick { order, price: new.price };
                self.path.append((time, new.price));
                Edges::add(&mut self.settled, tick);
                Edges::add(&mut self.sums.edges, tick);
            }
        }
        self.touch();
    }

    /// A trade that is void is still in here.
    pub fn doubt(&mut self) {
        if !self.sums.lost.doubt {
            self.sums.lost = Lost::ALL;
            self.touch();
        }
    }

    /// An amendment is part of what a record was made from.
    pub fn note_offset(&mut self, offset: i64) {
        self.sums.first_offset = self.sums.first_offset.min(offset);
        self.sums.last_offset = self.sums.last_offset.max(offset);
    }

    fn clear_if_empty(&mut self) {
        if self.sums.trades == 0 {
            self.sums.clear();
            (self.settled, self.path) = (None, Path::default());
        }
    }

    /// Notes that records made from this pane are no more what they were.
    fn touch(&mut self) {
        self.version += 1;
        self.dirty = true;
    }

    pub fn write(&self, w: &mut Writer) {
        let s = &self.sums;
        w.unsigned(self.version.into());
        Edges::write(s.edges.as_ref(), w);
        for count in [s.trades, s.sided, s.backfilled, s.late, s.duplicate] {
            w.unsigned(count.into());
        }
        for total in [s.prices, s.volume, s.quote, s.buys] {
            w.wide(total);
        }
        let flags = [s.overflow, s.lost.path, s.lost.edges, s.lost.sides, self.settled == s.edges, s.lost.doubt];
        w.byte((0u8..).zip(flags).map(|(bit, flag)| u8::from(flag) << bit).sum());
        w.signed(s.first_offset.into());
        w.signed(s.last_offset.into());
        self.path.write(w);
        if self.settled != s.edges {
            Edges::write(self.settled.as_ref(), w);
        }
    }

    /// Versions 1 and 2 did not keep the edges of the settled part: those of all trades then stand for it, so what takes one of them back is
    /// in doubt.
    pub fn read(start: i64, version_of_state: u8, r: &mut Reader<'_>) -> Result<Self, Short> {
        let is_old = version_of_state < 3;
        let version = r.small()?;
        let edges = if is_old { Some(Edges::read_all(r)?) } else { Edges::read(r)? };
        let mut count = || r.small();
        let [trades, sided, backfilled, late, duplicate] = [count()?, count()?, count()?, count()?, count()?];
        let mut wide = || r.wide();
        let [prices, volume, quote, buys] = [wide()?, wide()?, wide()?, wide()?];
        let flags = r.byte()?;
        let flag = |bit: u8| flags & 1 << bit != 0;
        let lost = Lost { path: flag(1), edges: flag(2), sides: flag(3), doubt: flag(5) };
        let (first_offset, last_offset) = (r.int()?, r.int()?);
        let path = Path::read(r)?;
        let settled = if is_old || flag(4) { edges } else { Edges::read(r)? };
        let sums = Sums {
            edges,
            trades,
            sided,
            backfilled,
            late,
            duplicate,
            prices,
            volume,
            quote,
            buys,
            overflow: flag(0),
            lost,
            first_offset,
            last_offset,
        };
        Ok(Self { start, version, sums, path, settled, dirty: false, saved: true })
    }
}
