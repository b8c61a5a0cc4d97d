//! The records of `raw-market-data`. The kind decides which fields are looked at; a value without one may be a form
//! that others write there.

mod foreign;
mod kinds;
mod write;

use super::SCHEMA_VERSION;
use super::error::{DecodeError, Reason, excerpt};
use super::fields::{Fields, fields};
use super::trade::TradeRef;
use super::write::Object;
use crate::event::{Event, Kind};

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
        ScoredBy = "scored_by",
        Relevance = "relevance",
        Timestamp = "timestamp",
        Index = "Index",
        Date = "Date",
    }
}

/// A record that is borrowed where that matters.
#[derive(Debug, Clone, PartialEq)]
pub enum EventRef<'a> {
    Trade(TradeRef<'a>),
    /// Never a trade, where it was decoded.
    Other(Event),
}

impl<'a> EventRef<'a> {
    /// Reads any record of `raw-market-data`; a trade without allocating, unless its texts hold escapes.
    pub fn decode(value: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::<Field>::empty();
        fields.read(value)?;
        if !fields.has(Field::Kind) {
            return foreign::read(&fields, value);
        }
        let name = fields.text(Field::Kind)?;
        let Some(kind) = Kind::parse(&name) else {
            return Err(DecodeError::new(Reason::UnknownKind, format!("kind: {:?} is not known", excerpt(&name))));
        };
        fields.schema(Field::SchemaVersion)?;
        let event = match kind {
            Kind::Trade => return kinds::trade(&fields).map(EventRef::Trade),
            Kind::Quote => Event::Quote(kinds::quote(&fields)?),
            Kind::Bar => Event::Bar(kinds::bar(&fields)?),
            Kind::Gap => Event::Gap(kinds::gap(&fields)?),
            Kind::Cancel => Event::Cancel(kinds::cancel(&fields)?),
            Kind::Correction => Event::Correction(kinds::correction(&fields)?),
            Kind::News => Event::News(kinds::news(&fields)?),
            Kind::Heartbeat => Event::Heartbeat(kinds::heartbeat(&fields)?),
        };
        Ok(EventRef::Other(event))
    }

    /// Appends the one form of this event.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Trade(trade) => {
                let mut object = open(Kind::Trade, out);
                write::trade(trade, &trade.conditions.to_vec(), &mut object);
                object.close();
            }
            Self::Other(event) => event.encode(out),
        }
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
        let mut object = open(self.kind(), out);
        match self {
            Self::Trade(event) => write::trade(&event.borrowed(), &event.conditions, &mut object),
            Self::Quote(event) => write::quote(event, &mut object),
            Self::Bar(event) => write::bar(event, &mut object),
            Self::Gap(event) => write::gap(event, &mut object),
            Self::Cancel(event) => write::cancel(event, &mut object),
            Self::Correction(event) => write::correction(event, &mut object),
            Self::News(event) => write::news(event, &mut object),
            Self::Heartbeat(event) => write::heartbeat(event, &mut object),
        }
        object.close();
    }
}

fn open(kind: Kind, out: &mut Vec<u8>) -> Object<'_> {
    let mut object = Object::open(out);
    object.text("kind", kind.as_str());
    object.integer("schema_version", SCHEMA_VERSION);
    object
}

type Read<'a, 'b> = &'b Fields<'a, Field>;

#[cfg(test)]
mod tests;
