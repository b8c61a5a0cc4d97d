//! The latest trades one by one: those that can still get a new neighbour, and be taken out again exactly.

use crate::decimal::Decimal;
use crate::event::Side;

use super::bytes::{Reader, Short, Writer};
use super::path::{Order, Tick};
use super::seen::Id;

/// What a trade adds to sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    pub price: Decimal,
    pub quantity: Decimal,
    pub side: Option<Side>,
}

/// A trade of the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub tick: Tick,
    pub quantity: Decimal,
    pub side: Option<Side>,
    /// Venue and trade id. A corrected trade has its own but keeps the place of the one it replaced.
    pub id: Option<(u8, Id)>,
}

/// Bits of a kept trade.
const BUY: u8 = 1;
const SELL: u8 = 2;
const HAS_ID: u8 = 4;
/// Its id is not the number that orders it.
const OTHER_ID: u8 = 8;

impl Kept {
    pub fn worth(&self) -> Worth {
        Worth { price: self.tick.price, quantity: self.quantity, side: self.side }
    }

    fn write(&self, w: &mut Writer) {
        let side = self.side.map_or(0, |side| if side == Side::Buy { BUY } else { SELL });
        let Some((venue, id)) = self.id else {
            w.byte(side);
            w.signed(self.quantity.units());
            return;
        };
        let is_order = id.number() == Some(self.tick.order.tie);
        w.byte(side | HAS_ID | if is_order { 0 } else { OTHER_ID });
        w.signed(self.quantity.units());
        w.byte(venue);
        if !is_order {
            w.unsigned(id.bits());
        }
    }

    fn read(tick: Tick, r: &mut Reader<'_>) -> Result<Self, Short> {
        let flags = r.byte()?;
        let quantity = Decimal::from_units(r.signed()?).ok_or(Short)?;
        let side = match flags & (BUY | SELL) {
            0 => None,
            BUY => Some(Side::Buy),
            _ => Some(Side::Sell),
        };
        let mut id = None;
        if flags & HAS_ID != 0 {
            let venue = r.byte()?;
            let bits = if flags & OTHER_ID != 0 { r.unsigned()? } else { tick.order.tie.into() };
            id = Some((venue, Id::of_bits(bits)));
        }
        Ok(Self { tick, quantity, side, id })
    }
}

pub(crate) fn write<'a>(tail: impl ExactSizeIterator<Item = &'a Kept>, w: &mut Writer) {
    w.unsigned(tail.len() as u128);
    let mut before = Tick::ZERO;
    for kept in tail {
        kept.tick.write_after(&before, w);
        kept.write(w);
        before = kept.tick;
    }
}

/// Versions 1 and 2 kept only what orders a trade and its price: such a trade is not found by its id, and what takes it back is taken for an
/// amendment of a trade that is kept no more.
pub(crate) fn read(version: u8, r: &mut Reader<'_>) -> Result<Vec<Kept>, Short> {
    let mut before = Tick::ZERO;
    (0..r.count()?)
        .map(|_| {
            before = Tick::read_after(&before, r)?;
            match version {
                1 | 2 => Ok(Kept { tick: before, quantity: Decimal::ZERO, side: None, id: None }),
                _ => Kept::read(before, r),
            }
        })
        .collect()
}

/// The place in the order of trades at which a trade with this time stands.
pub(crate) fn place(tail: &std::collections::VecDeque<Kept>, order: Order) -> usize {
    match tail.back() {
        Some(last) if last.tick.order > order => tail.partition_point(|kept| kept.tick.order < order),
        _ => tail.len(),
    }
}
