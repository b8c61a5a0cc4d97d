//! The forms that others write on `raw-market-data`: the plain trade, and the seeds' index row as a day's bar.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::kinds::checked;
use super::{Field, Read};
use crate::codec::EventRef;
use crate::codec::error::{DecodeError, Reason};
use crate::codec::fields::{Fields, fields, integer};
use crate::codec::trade::{Conditions, TradeRef};
use crate::decimal::{Decimal, NumberError};
use crate::event::{Bar, Event};
use crate::interval::Interval;
use crate::json::Raw;
use crate::{symbol, time};

fields! {
    IndexField {
        Index = "Index",
        Date = "Date",
        Open = "Open",
        High = "High",
        Low = "Low",
        Close = "Close",
        AdjClose = "Adj Close",
        Volume = "Volume",
        CloseUsd = "CloseUSD",
    }
}

/// A value without `kind`: the plain form, an index row, or nothing we know.
pub(super) fn read<'a>(fields: Read<'a, '_>, value: &'a [u8]) -> Result<EventRef<'a>, DecodeError> {
    if fields.has(Field::Index) || fields.has(Field::Date) {
        return index_row(value).map(|bar| EventRef::Other(Event::Bar(bar)));
    }
    if fields.has(Field::Timestamp) || (fields.has(Field::Symbol) && fields.has(Field::Price)) {
        return plain(fields).map(EventRef::Trade);
    }
    Err(DecodeError::new(Reason::MissingField, "kind is missing, and it is no plain trade and no index row either"))
}

/// `{"symbol","price","volume","timestamp"(ms)[,"trade_id"]}`, with the symbol's venue where it names one.
fn plain<'a>(fields: Read<'a, '_>) -> Result<TradeRef<'a>, DecodeError> {
    let name = fields.symbol(Field::Symbol)?;
    let venue = match &name {
        Cow::Borrowed(name) => symbol::venue(name).into(),
        Cow::Owned(name) => symbol::venue(name).to_owned().into(),
    };
    Ok(TradeRef {
        venue,
        trade_id: fields.opt_id(Field::TradeId)?,
        price: fields.price(Field::Price)?,
        quantity: fields.quantity(Field::Volume)?,
        side: None,
        conditions: Conditions::default(),
        event_time: milliseconds(fields)?,
        receive_time: None,
        backfilled: false,
        symbol: name,
    })
}

/// A time in milliseconds, which may have a fraction down to the nanosecond.
fn milliseconds(fields: Read) -> Result<i64, DecodeError> {
    const NS: i64 = time::NS_PER_MS;
    let bad = |what| fields.error(Field::Timestamp, Reason::BadTime, what);
    match fields.raw(Field::Timestamp) {
        Raw::Number(digits) => match integer(digits) {
            Some(ms) => ms.checked_mul(NS).ok_or_else(|| bad("milliseconds are beyond 64 bits of nanoseconds")),
            None => {
                let ms = match Decimal::parse(digits.as_bytes()) {
                    Ok(ms) => ms,
                    Err(NumberError::Precision) => {
                        return Err(bad("milliseconds are finer than a nanosecond or too far"));
                    }
                    Err(error) => return Err(fields.not_a_number(Field::Timestamp, error)),
                };
                const UNITS_PER_NS: i128 = Decimal::ONE.units() / NS as i128;
                let exact = ms.units() % UNITS_PER_NS == 0;
                let ns = i64::try_from(ms.units() / UNITS_PER_NS).ok().filter(|_| exact);
                ns.ok_or_else(|| bad("milliseconds are finer than a nanosecond or too far"))
            }
        },
        Raw::Absent | Raw::Null => fields.time(Field::Timestamp),
        _ => Err(fields.error(Field::Timestamp, Reason::WrongType, "is not a number of milliseconds")),
    }
}

/// A row of the seeds' index file: a day of an index, with two prices more than a bar has.
fn index_row(value: &[u8]) -> Result<Bar, DecodeError> {
    let mut fields = Fields::<IndexField>::empty();
    fields.read(value)?;
    let date = fields.text(IndexField::Date)?;
    let start = time::parse_date(&date)
        .ok_or_else(|| fields.error(IndexField::Date, Reason::BadTime, "is not a day written YYYY-MM-DD"))?;
    let mut extra = BTreeMap::new();
    for (name, field) in [("adj_close", IndexField::AdjClose), ("close_usd", IndexField::CloseUsd)] {
        if let Some(value) = fields.opt_decimal(field)? {
            extra.insert(name.to_owned(), value);
        }
    }
    let end = start
        .checked_add(time::NS_PER_DAY)
        .ok_or_else(|| fields.error(IndexField::Date, Reason::BadTime, "ends beyond 64 bits of nanoseconds"))?;
    checked(Bar {
        symbol: fields.symbol(IndexField::Index)?.into_owned(),
        interval: Interval::DAY,
        start,
        end,
        open: fields.price(IndexField::Open)?,
        high: fields.price(IndexField::High)?,
        low: fields.price(IndexField::Low)?,
        close: fields.price(IndexField::Close)?,
        volume: fields.quantity(IndexField::Volume)?,
        extra,
        receive_time: None,
    })
}
