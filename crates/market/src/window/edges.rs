//! First, last, lowest and highest of some trades: what a sum has no part in, since it cannot be subtracted.

use crate::decimal::Decimal;

use super::bytes::{Reader, Short, Writer};
use super::path::Tick;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edges {
    pub open: Tick,
    pub close: Tick,
    pub low: Decimal,
    pub high: Decimal,
}

impl Edges {
    pub fn of(tick: Tick) -> Self {
        Self { open: tick, close: tick, low: tick.price, high: tick.price }
    }

    pub fn add(edges: &mut Option<Self>, tick: Tick) {
        match edges {
            Some(edges) => edges.take(tick),
            None => *edges = Some(Self::of(tick)),
        }
    }

    fn take(&mut self, tick: Tick) {
        if tick.order < self.open.order {
            self.open = tick;
        }
        if tick.order > self.close.order {
            self.close = tick;
        }
        self.reach(tick.price);
    }

    /// A price of which it is known that its trade is neither first nor last.
    pub fn reach(&mut self, price: Decimal) {
        self.low = self.low.min(price);
        self.high = self.high.max(price);
    }

    pub fn join(ours: &mut Option<Self>, theirs: Option<&Self>) {
        let (Some(us), Some(them)) = (ours.as_mut(), theirs) else {
            *ours = ours.or(theirs.copied());
            return;
        };
        if them.open.order < us.open.order {
            us.open = them.open;
        }
        if them.close.order > us.close.order {
            us.close = them.close;
        }
        us.low = us.low.min(them.low);
        us.high = us.high.max(them.high);
    }

    /// Whether a trade of this time and price may be one of them.
    pub fn may_be(&self, time: i64, price: Decimal) -> bool {
        let is = |tick: &Tick| tick.order.time == time && tick.price == price;
        price <= self.low || price >= self.high || is(&self.open) || is(&self.close)
    }

    pub fn write(edges: Option<&Self>, w: &mut Writer) {
        w.byte(edges.is_some().into());
        if let Some(edges) = edges {
            edges.write_all(w);
        }
    }

    pub fn write_all(&self, w: &mut Writer) {
        self.open.write_after(&Tick::ZERO, w);
        self.close.write_after(&self.open, w);
        w.signed(self.low.units());
        w.signed(self.high.units());
    }

    pub fn read(r: &mut Reader<'_>) -> Result<Option<Self>, Short> {
        Ok(if r.byte()? == 0 { None } else { Some(Self::read_all(r)?) })
    }

    pub fn read_all(r: &mut Reader<'_>) -> Result<Self, Short> {
        let open = Tick::read_after(&Tick::ZERO, r)?;
        let close = Tick::read_after(&open, r)?;
        let mut price = || Decimal::from_units(r.signed()?).ok_or(Short);
        Ok(Self { open, close, low: price()?, high: price()? })
    }
}
