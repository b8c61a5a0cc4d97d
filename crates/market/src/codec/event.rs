//! The records of `raw-market-data`, and the two forms that others write there: the plain trade and the seeds' index row.

use std::collections::BTreeMap;

use super::SCHEMA_VERSION;
use super::error::{DecodeError, Reason, excerpt};
use super::fields::{Fields, fields};
use super::trade::{Conditions, TradeRef};
use super::write::Object;
use crate::decimal::{Decimal, NumberError};
use crate::event::{Bar, Cancel, Correction, Event, Gap, GapCause, Heartbeat, Kind, News, Quote, Side, Trade};
use crate::interval::Interval;
use crate::json::{Raw, Scanner};
use crate::{symbol, time};

fields! {
    Field {
        Kind = "kind",
        SchemaVersion = "schema_version",
        Venue = "venue",
        Symbol = "symbol",
        TradeId = "trade_id",
        Price = "price",
        Quantity = "quantity",
        Side = "side",
        Conditions = "conditions",
        EventTime = "event_time",
        ReceiveTime = "receive_time",
        Backfilled = "backfilled",
        Bid = "bid",
        BidQuantity = "bid_quantity",
        Ask = "ask",
        AskQuantity = "ask_quantity",
        Interval = "interval",
        Start = "start",
        End = "end",
        Open = "open",
        High = "high",
        Low = "low",
        Close = "close",
        Volume = "volume",
        Extra = "extra",
        From = "from",
        To = "to",
        Cause = "cause",
        FirstMissing = "first_missing",
        LastMissing = "last_missing",
        CorrectedId = "corrected_id",
        OriginalPrice = "original_price",
        OriginalQuantity = "original_quantity",
        TradeTime = "trade_time",
        NewsId = "news_id",
        Publisher = "publisher",
        Headline = "headline",
        Summary = "summary",
        Url = "url",
        Sentiment = "sentiment",
        Relevance = "relevance",
        Timestamp = "timestamp",
        Index = "Index",
        Date = "Date",
    }
}

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

/// A record that is borrowed where that matters.
#[derive(Debug, Clone, PartialEq)]
pub enum EventRef<'a> {
    Trade(TradeRef<'a>),
    /// Never a trade.
    Other(Event),
}

impl<'a> EventRef<'a> {
    /// Reads any record of `raw-market-data`; a trade without allocating, unless its texts hold escapes.
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        let fields = Fields::<Field>::read(value)?;
        if !fields.has(Field::Kind) {
            return foreign(&fields, value);
        }
        let name = fields.text(Field::Kind)?;
        let Some(kind) = Kind::parse(&name) else {
            return Err(DecodeError::new(Reason::UnknownKind, format!("kind: {:?} is not known", excerpt(&name))));
        };
        fields.schema(Field::SchemaVersion)?;
        let event = match kind {
            Kind::Trade => return trade(&fields).map(EventRef::Trade),
            Kind::Quote => Event::Quote(quote(&fields)?),
            Kind::Bar => Event::Bar(bar(&fields)?),
            Kind::Gap => Event::Gap(gap(&fields)?),
            Kind::Cancel => Event::Cancel(cancel(&fields)?),
            Kind::Correction => Event::Correction(correction(&fields)?),
            Kind::News => Event::News(news(&fields)?),
            Kind::Heartbeat => Event::Heartbeat(heartbeat(&fields)?),
        };
        Ok(EventRef::Other(event))
    }

    pub fn into_owned(self) -> Event {
        match self {
            EventRef::Trade(trade) => Event::Trade(trade.into_owned()),
            EventRef::Other(event) => event,
        }
    }
}

impl Event {
    pub fn decode(value: &[u8]) -> Result<Self, DecodeError> {
        EventRef::decode(value).map(EventRef::into_owned)
    }

    /// Appends the one form of this event.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        object.text("kind", self.kind().as_str());
        object.integer("schema_version", SCHEMA_VERSION);
        match self {
            Self::Trade(event) => write_trade(event, &mut object),
            Self::Quote(event) => write_quote(event, &mut object),
            Self::Bar(event) => write_bar(event, &mut object),
            Self::Gap(event) => write_gap(event, &mut object),
            Self::Cancel(event) => write_cancel(event, &mut object),
            Self::Correction(event) => write_correction(event, &mut object),
            Self::News(event) => write_news(event, &mut object),
            Self::Heartbeat(event) => write_heartbeat(event, &mut object),
        }
        object.close();
    }
}

type Read<'a, 'b> = &'b Fields<'a, Field>;

/// A value without `kind`: the plain form, an index row, or nothing we know.
fn foreign<'a>(fields: Read<'a, '_>, value: &'a [u8]) -> Result<EventRef<'a>, DecodeError> {
    if fields.has(Field::Index) || fields.has(Field::Date) {
        return index_row(value).map(|bar| EventRef::Other(Event::Bar(bar)));
    }
    if fields.has(Field::Timestamp) || (fields.has(Field::Symbol) && fields.has(Field::Price)) {
        return plain(fields).map(EventRef::Trade);
    }
    Err(DecodeError::new(Reason::MissingField, "kind is missing, and it is no plain trade and no index row either"))
}

fn trade<'a>(fields: Read<'a, '_>) -> Result<TradeRef<'a>, DecodeError> {
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

/// `{"symbol","price","volume","timestamp"(ms)[,"trade_id"]}`, with the symbol's venue where it names one.
fn plain<'a>(fields: Read<'a, '_>) -> Result<TradeRef<'a>, DecodeError> {
    let name = fields.symbol(Field::Symbol)?;
    let venue = match &name {
        std::borrow::Cow::Borrowed(name) => symbol::venue(name).into(),
        std::borrow::Cow::Owned(name) => symbol::venue(name).to_owned().into(),
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
        Raw::Number(digits) => match digits.parse::<i64>() {
            Ok(ms) => ms.checked_mul(NS).ok_or_else(|| bad("milliseconds are beyond 64 bits of nanoseconds")),
            Err(_) => {
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
    let fields = Fields::<IndexField>::read(value)?;
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

fn checked(bar: Bar) -> Result<Bar, DecodeError> {
    if bar.high < bar.low {
        return Err(DecodeError::new(Reason::BadValue, format!("high {} is below low {}", bar.high, bar.low)));
    }
    Ok(bar)
}

fn quote(fields: Read) -> Result<Quote, DecodeError> {
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

fn bar(fields: Read) -> Result<Bar, DecodeError> {
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
    Scanner::new(text).fields(|name, value| {
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
        match extra.insert(key.into_owned(), number) {
            None => Ok(()),
            Some(_) => Err(bad(Reason::DuplicateField, "is given twice")),
        }
    })?;
    Ok(extra)
}

fn gap(fields: Read) -> Result<Gap, DecodeError> {
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

fn cancel(fields: Read) -> Result<Cancel, DecodeError> {
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

fn correction(fields: Read) -> Result<Correction, DecodeError> {
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

fn news(fields: Read) -> Result<News, DecodeError> {
    Ok(News {
        symbol: fields.symbol(Field::Symbol)?.into_owned(),
        news_id: fields.id(Field::NewsId)?,
        publisher: fields.opt_string(Field::Publisher)?,
        headline: fields.string(Field::Headline)?,
        summary: fields.opt_string(Field::Summary)?,
        url: fields.opt_string(Field::Url)?,
        sentiment: fields.opt_decimal(Field::Sentiment)?,
        relevance: fields.opt_decimal(Field::Relevance)?,
        event_time: fields.time(Field::EventTime)?,
        receive_time: fields.opt_time(Field::ReceiveTime)?,
    })
}

fn heartbeat(fields: Read) -> Result<Heartbeat, DecodeError> {
    Ok(Heartbeat {
        venue: fields.string(Field::Venue)?,
        symbol: fields.opt_symbol(Field::Symbol)?.map(Into::into),
        event_time: fields.opt_time(Field::EventTime)?,
        receive_time: fields.time(Field::ReceiveTime)?,
    })
}

fn write_trade(event: &Trade, object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.opt_text("trade_id", event.trade_id.as_deref());
    object.number("price", event.price);
    object.number("quantity", event.quantity);
    object.opt_text("side", event.side.map(Side::as_str));
    object.texts("conditions", &event.conditions);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
    if event.backfilled {
        object.flag("backfilled", true);
    }
}

fn write_quote(event: &Quote, object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.opt_number("bid", event.bid);
    object.opt_number("bid_quantity", event.bid_quantity);
    object.opt_number("ask", event.ask);
    object.opt_number("ask_quantity", event.ask_quantity);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

fn write_bar(event: &Bar, object: &mut Object) {
    object.text("symbol", &event.symbol);
    object.text("interval", &event.interval.to_string());
    object.integer("start", event.start);
    object.integer("end", event.end);
    object.number("open", event.open);
    object.number("high", event.high);
    object.number("low", event.low);
    object.number("close", event.close);
    object.number("volume", event.volume);
    if !event.extra.is_empty() {
        object.object("extra", |extra| event.extra.iter().for_each(|(name, value)| extra.number(name, *value)));
    }
    object.opt_integer("receive_time", event.receive_time);
}

fn write_gap(event: &Gap, object: &mut Object) {
    object.text("symbol", &event.symbol);
    object.integer("from", event.from);
    object.integer("to", event.to);
    object.text("cause", event.cause.as_str());
    object.opt_text("first_missing", event.first_missing.as_deref());
    object.opt_text("last_missing", event.last_missing.as_deref());
    object.opt_integer("receive_time", event.receive_time);
}

fn write_cancel(event: &Cancel, object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.text("trade_id", &event.trade_id);
    object.opt_number("price", event.price);
    object.opt_number("quantity", event.quantity);
    object.opt_integer("trade_time", event.trade_time);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

fn write_correction(event: &Correction, object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.text("trade_id", &event.trade_id);
    object.opt_text("corrected_id", event.corrected_id.as_deref());
    object.number("price", event.price);
    object.number("quantity", event.quantity);
    object.texts("conditions", &event.conditions);
    object.opt_number("original_price", event.original_price);
    object.opt_number("original_quantity", event.original_quantity);
    object.opt_integer("trade_time", event.trade_time);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

fn write_news(event: &News, object: &mut Object) {
    object.text("symbol", &event.symbol);
    object.text("news_id", &event.news_id);
    object.opt_text("publisher", event.publisher.as_deref());
    object.text("headline", &event.headline);
    object.opt_text("summary", event.summary.as_deref());
    object.opt_text("url", event.url.as_deref());
    object.opt_number("sentiment", event.sentiment);
    object.opt_number("relevance", event.relevance);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

fn write_heartbeat(event: &Heartbeat, object: &mut Object) {
    object.text("venue", &event.venue);
    object.opt_text("symbol", event.symbol.as_deref());
    object.opt_integer("event_time", event.event_time);
    object.integer("receive_time", event.receive_time);
}
