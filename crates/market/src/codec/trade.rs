//! A trade that borrows from the record it was read from: what the busiest stages read, without allocating.

use std::borrow::Cow;

use super::error::{DecodeError, Reason};
use crate::event::{Side, Trade};
use crate::json::{Raw, Scanner};
use crate::price::{Price, Quantity};

/// A [`Trade`] whose texts are slices of the record, unless they hold escapes. The fields mean the same.
#[derive(Debug, Clone, PartialEq)]
pub struct TradeRef<'a> {
    pub venue: Cow<'a, str>,
    pub symbol: Cow<'a, str>,
    pub trade_id: Option<Cow<'a, str>>,
    pub price: Price,
    pub quantity: Quantity,
    pub side: Option<Side>,
    pub conditions: Conditions<'a>,
    pub event_time: i64,
    pub receive_time: Option<i64>,
    pub backfilled: bool,
}

impl TradeRef<'_> {
    pub fn into_owned(self) -> Trade {
        Trade {
            venue: self.venue.into_owned(),
            symbol: self.symbol.into_owned(),
            trade_id: self.trade_id.map(Cow::into_owned),
            price: self.price,
            quantity: self.quantity,
            side: self.side,
            conditions: self.conditions.to_vec(),
            event_time: self.event_time,
            receive_time: self.receive_time,
            backfilled: self.backfilled,
        }
    }
}

impl Trade {
    /// The same without a copy, but for the conditions: those it holds in another form.
    pub fn borrowed(&self) -> TradeRef<'_> {
        TradeRef {
            venue: Cow::Borrowed(&self.venue),
            symbol: Cow::Borrowed(&self.symbol),
            trade_id: self.trade_id.as_deref().map(Cow::Borrowed),
            price: self.price,
            quantity: self.quantity,
            side: self.side,
            conditions: Conditions::default(),
            event_time: self.event_time,
            receive_time: self.receive_time,
            backfilled: self.backfilled,
        }
    }
}

/// The condition codes of a trade, still as they were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions<'a>(Option<&'a str>);

impl<'a> Conditions<'a> {
    /// Checks that a value is a list of strings, which most often is empty.
    pub(super) fn read(value: Raw<'a>) -> Result<Self, DecodeError> {
        match value {
            Raw::Absent | Raw::Null | Raw::Array("[]") => Ok(Self(None)),
            Raw::Array(text) => {
                let all_strings = Self(Some(text)).each(|_| ());
                all_strings.map(|()| Self(Some(text)))
            }
            _ => Err(wrong_type()),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub fn to_vec(&self) -> Vec<String> {
        let mut codes = Vec::new();
        self.each(|code| codes.push(code.into_owned())).expect("the list was checked when it was read");
        codes
    }

    fn each(&self, mut take: impl FnMut(Cow<'a, str>)) -> Result<(), DecodeError> {
        let Some(text) = self.0 else { return Ok(()) };
        Scanner::new(text).items(|item| {
            take(item.text().ok_or_else(wrong_type)?);
            Ok(())
        })
    }
}

#[cold]
fn wrong_type() -> DecodeError {
    DecodeError::new(Reason::WrongType, "conditions: not a list of strings")
}
