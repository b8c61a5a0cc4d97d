//! What a venue says afterwards about a trade: that it is void, or what it should have been.

use crate::decimal::Decimal;
use crate::event::{Cancel, Correction};

use super::seen::Id;

/// A cancel or a correction as the fold needs it.
#[derive(Clone, Copy, Debug)]
pub struct Amendment<'a> {
    pub venue: &'a str,
    pub symbol: &'a str,
    pub trade_id: &'a str,
    /// What the trade was and when, as far as the venue repeats it.
    pub price: Option<Decimal>,
    pub quantity: Option<Decimal>,
    pub trade_time: Option<i64>,
    /// The trade in its place, if it is a correction.
    pub right: Option<Right<'a>>,
    /// Where the amendment stands in its partition.
    pub offset: i64,
}

/// What a trade should have been.
#[derive(Clone, Copy, Debug)]
pub struct Right<'a> {
    /// Its id, where it gets another.
    pub trade_id: Option<&'a str>,
    pub price: Decimal,
    pub quantity: Decimal,
    /// When the venue said so.
    pub event_time: i64,
}

impl<'a> Amendment<'a> {
    pub fn of_cancel(cancel: &'a Cancel, offset: i64) -> Self {
        Self {
            venue: &cancel.venue,
            symbol: &cancel.symbol,
            trade_id: &cancel.trade_id,
            price: cancel.price.map(|price| price.get()),
            quantity: cancel.quantity.map(|quantity| quantity.get()),
            trade_time: cancel.trade_time,
            right: None,
            offset,
        }
    }

    pub fn of_correction(correction: &'a Correction, offset: i64) -> Self {
        let right = Right {
            trade_id: correction.corrected_id.as_deref(),
            price: correction.price.get(),
            quantity: correction.quantity.get(),
            event_time: correction.event_time,
        };
        Self {
            venue: &correction.venue,
            symbol: &correction.symbol,
            trade_id: &correction.trade_id,
            price: correction.original_price.map(|price| price.get()),
            quantity: correction.original_quantity.map(|quantity| quantity.get()),
            trade_time: correction.trade_time,
            right: Some(right),
            offset,
        }
    }

    /// Marks that the trade was corrected under its own id: what it is afterwards is known only as long as it is in the tail.
    pub(super) fn own_place(&self) -> Id {
        Id::new(&format!("{}\n", self.trade_id))
    }

    /// Tells a correction from another one of the same trade. A cancel needs none: a trade is void once.
    pub(super) fn id(&self) -> Option<Id> {
        let Right { trade_id, price, quantity, event_time } = self.right?;
        let id = trade_id.unwrap_or_default();
        Some(Id::new(&format!("{}\n{id}\n{price}\n{quantity}\n{event_time}", self.trade_id)))
    }
}
