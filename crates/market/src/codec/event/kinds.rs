//! Reads each kind of event from its fields.

use std::collections::BTreeMap;

use super::{Field, Read};
use crate::codec::error::{DecodeError, Reason, excerpt};
use crate::codec::trade::{Conditions, TradeRef};
use crate::decimal::Decimal;
use crate::event::{Bar, Cancel, Correction, Gap, GapCause, Heartbeat, News, Quote, Side};
use crate::json::{Raw, Scanner};

pub(super) fn trade<'a>(fields: Read<'a, '_>) -> Result<TradeRef<'a>, DecodeError> {
    Ok(TradeRef {
        venue: fields.text(Field::Venue)?,
        symbol: fields.symbol(Field::Symbol)?,
        trade_id: fields.opt_id(Field::TradeId)?,
        price: fields.price(Field::Price)?,
        quantity: fields.quantity(Field::Quantity)?,
        side: fields.opt_word(Field::Side, Side::parse)?,
        conditions: Conditions::read(fields.raw(Field::Conditions))?,
        event_time: fields.time(Field::EventTime)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
        backfilled: fields.opt_flag(Field::Backfilled)?.unwrap_or(false),
    })
}

pub(super) fn checked(bar: Bar) -> Result<Bar, DecodeError> {
    if bar.high < bar.low {
        return Err(DecodeError::new(Reason::BadValue, format!("high {} is below low {}", bar.high, bar.low)));
    }
    Ok(bar)
}

pub(super) fn quote(fields: Read) -> Result<Quote, DecodeError> {
    let (bid, ask) = (fields.opt_price(Field::Bid)?, fields.opt_price(Field::Ask)?);
    if bid.is_none() && ask.is_none() {
        return Err(DecodeError::new(Reason::MissingField, "bid and ask are both missing"));
    }
    Ok(Quote {
        venue: fields.string(Field::Venue)?,
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        bid,
        bid_quantity: fields.opt_quantity(Field::BidQuantity)?,
        ask,
        ask_quantity: fields.opt_quantity(Field::AskQuantity)?,
        event_time: fields.time(Field::EventTime)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

pub(super) fn bar(fields: Read) -> Result<Bar, DecodeError> {
    let (start, end) = fields.range(Field::Start, Field::End, true)?;
    checked(Bar {
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        interval: fields.word(Field::Interval, |text| text.parse().ok())?,
        start,
        end,
        open: fields.price(Field::Open)?,
        high: fields.price(Field::High)?,
        low: fields.price(Field::Low)?,
        close: fields.price(Field::Close)?,
        volume: fields.quantity(Field::Volume)?,
        extra: extra(fields)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

/// The numbers of a bar that only its source knows.
fn extra(fields: Read) -> Result<BTreeMap<String, Decimal>, DecodeError> {
    let mut extra = BTreeMap::new();
    let text = match fields.raw(Field::Extra) {
        Raw::Absent | Raw::Null => return Ok(extra),
        Raw::Object(text) => text,
        _ => return Err(fields.error(Field::Extra, Reason::WrongType, "is not an object")),
    };
    let mut scanner = Scanner::new(text);
    let mut more = scanner.begin()?.unwrap_or(false);
    while more {
        let name = scanner.name()?;
        let value;
        (value, more) = scanner.field()?;
        let bad = |reason, what: &str| {
            DecodeError::new(reason, format!("extra: {:?}: {:?} {what}", excerpt(name.shown()), excerpt(value.shown())))
        };
        let key = name.text().ok_or_else(|| bad(Reason::NotUtf8, "holds half of a surrogate pair"))?;
        let digits = match value {
            Raw::Number(digits) | Raw::Plain(digits) => digits,
            _ => return Err(bad(Reason::WrongType, "is not a number")),
        };
        let number = Decimal::parse(digits.as_bytes()).map_err(|error| {
            let DecodeError { reason, .. } = fields.not_a_number(Field::Extra, error);
            bad(reason, &error.to_string())
        })?;
        if extra.insert(key.into_owned(), number).is_some() {
            return Err(bad(Reason::DuplicateField, "is given twice"));
        }
    }
    Ok(extra)
}

pub(super) fn gap(fields: Read) -> Result<Gap, DecodeError> {
    let (from, to) = fields.range(Field::From, Field::To, false)?;
    Ok(Gap {
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        from,
        to,
        cause: fields.word(Field::Cause, GapCause::parse)?,
        first_missing: fields.opt_id(Field::FirstMissing)?.map(Into::into),
        last_missing: fields.opt_id(Field::LastMissing)?.map(Into::into),
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

pub(super) fn cancel(fields: Read) -> Result<Cancel, DecodeError> {
    Ok(Cancel {
        venue: fields.string(Field::Venue)?,
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        trade_id: fields.id(Field::TradeId)?,
        price: fields.opt_price(Field::Price)?,
        quantity: fields.opt_quantity(Field::Quantity)?,
        trade_time: fields.opt_time(Field::TradeTime)?,
        event_time: fields.time(Field::EventTime)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

pub(super) fn correction(fields: Read) -> Result<Correction, DecodeError> {
    Ok(Correction {
        venue: fields.string(Field::Venue)?,
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        trade_id: fields.id(Field::TradeId)?,
        corrected_id: fields.opt_id(Field::CorrectedId)?.map(Into::into),
        price: fields.price(Field::Price)?,
        quantity: fields.quantity(Field::Quantity)?,
        conditions: Conditions::read(fields.raw(Field::Conditions))?.to_vec(),
        original_price: fields.opt_price(Field::OriginalPrice)?,
        original_quantity: fields.opt_quantity(Field::OriginalQuantity)?,
        trade_time: fields.opt_time(Field::TradeTime)?,
        event_time: fields.time(Field::EventTime)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

pub(super) fn news(fields: Read) -> Result<News, DecodeError> {
    Ok(News {
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        news_id: fields.id(Field::NewsId)?,
        publisher: fields.opt_string(Field::Publisher)?,
        headline: fields.string(Field::Headline)?,
        summary: fields.opt_string(Field::Summary)?,
        url: fields.opt_string(Field::Url)?,
        sentiment: fields.opt_decimal(Field::Sentiment)?,
        scored_by: fields.opt_string(Field::ScoredBy)?,
        relevance: fields.opt_decimal(Field::Relevance)?,
        event_time: fields.time(Field::EventTime)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

pub(super) fn heartbeat(fields: Read) -> Result<Heartbeat, DecodeError> {
    Ok(Heartbeat {
        venue: fields.string(Field::Venue)?,
        symbol: fields.opt_symbol(Field::Symbol)?.map(Into::into),
        event_time: fields.opt_time(Field::EventTime)?,
        receive_time: fields.time(Field::ReceiveTime)?,
    })
}
