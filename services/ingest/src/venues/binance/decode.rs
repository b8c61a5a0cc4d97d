//! Binance market streams, spot and USD-M futures: trades, and best quotes if asked for.
//!
//! Frames come raw or in the combined stream's envelope `{"stream":"btcusdt@trade","data":{…}}`. A trade, spot:
//! `{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}`
//! and USD-M, which adds the order type `X` (only `MARKET` trades are trades of the market; the others are the
//! insurance fund and liquidations settled aside). `m` says that the buyer is the maker: the taker sold.
//!
//! **Invariant:** spot and USD-M are two markets with equal symbols. They differ in the venue and are never mixed: a
//! frame that belongs to the other market than the one configured is refused.

use market::{Event, Quote, Side, Trade};
use serde_json::value::RawValue;

use super::messages::{AnyFrame, BookTicker, Envelope, Refusal, TradeFrame};
use crate::sources::{Bad, Found, price, quantity, shown};
use crate::times;
use crate::venues::{Heard, Said};

/// Which market's frames these are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Market {
    Spot,
    UsdM,
}

impl Market {
    pub fn venue(self) -> &'static str {
        match self {
            Market::Spot => "BINANCE",
            Market::UsdM => "BINANCE_USDM",
        }
    }

    pub fn of_venue(venue: &str) -> Option<Market> {
        match venue.to_ascii_uppercase().as_str() {
            "BINANCE" | "BINANCE_SPOT" => Some(Market::Spot),
            "BINANCE_USDM" => Some(Market::UsdM),
            _ => None,
        }
    }

    /// From a file's name such as `usdm_btcusdt_20240808.gz`.
    pub fn of_name(name: &str) -> Option<Market> {
        let name = name.to_ascii_lowercase();
        if ["usdm", "usd-m", "futures", "fstream"].iter().any(|word| name.contains(word)) {
            Some(Market::UsdM)
        } else if name.contains("spot") {
            Some(Market::Spot)
        } else {
            None
        }
    }
}

/// Decodes frames of one market, or of either if it is not known: USD-M frames can be told by their fields.
#[derive(Clone, Debug)]
pub struct Frames {
    pub market: Option<Market>,
    pub quotes: bool,
}

impl Frames {
    /// One frame; `received` is the recorder's or our own clock.
    pub fn decode(&self, frame: &[u8], received: Option<i64>, found: &mut Found) -> Result<(), Bad> {
        let (stream, data) = open(frame)?;
        if data.starts_with(br#"{"e":"trade""#) {
            return self.trade(data, received, found);
        }
        // Most of a capture is order book updates: told by their first bytes they cost next to nothing.
        if let Some(rest) = data.strip_prefix(br#"{"e":""#)
            && let Some(kind) = kind_of(rest.split(|byte| *byte == b'"').next().unwrap_or_default())
            && kind != "book_ticker"
        {
            return found.ignore(kind);
        }
        if stream.ends_with(b"@bookTicker") || data.starts_with(br#"{"e":"bookTicker""#) {
            return if self.quotes { self.quote(data, received, found) } else { found.ignore("book_ticker") };
        }
        let any: AnyFrame = serde_json::from_slice(data).map_err(|error| Bad::json(&error))?;
        match any.e {
            Some("trade") => self.trade(data, received, found),
            Some(kind) => found.ignore(kind_of(kind.as_bytes()).unwrap_or("other")),
            None if any.last_update_id.is_some() => found.ignore("depth_snapshot"),
            None if any.error.is_some() || any.code.is_some() => Err(Bad::new("venue_error", shown(data))),
            None if any.result.is_some() || data.starts_with(br#"{"result":null"#) => found.ignore("answer"),
            None => found.ignore("other"),
        }
    }

    /// A frame of a live connection: beside its event, what it says about the connection.
    pub fn hear(&self, frame: &[u8], received: i64, heard: &mut Heard) -> Result<(), Bad> {
        let (_, data) = open(frame)?;
        // Answers are rare and short; trades are neither and go straight on.
        if !data.starts_with(br#"{"e":"#)
            && let Ok(any) = serde_json::from_slice::<AnyFrame>(data)
            && any.e.is_none()
            && let Some(said) = answer(data, &any)
        {
            return heard.say("answer", said);
        }
        self.decode(frame, Some(received), &mut heard.found)?;
        match heard.found.ignored {
            Some("server_shutdown") => heard.said.push(Said::Leaving),
            // Its id is one of the sequence.
            Some("not_a_market_trade") => {
                let frame: TradeFrame = serde_json::from_slice(data).map_err(|error| Bad::json(&error))?;
                let symbol = symbol(self.market.unwrap_or(Market::UsdM), frame.s);
                heard.said.push(Said::Used { symbol, id: frame.t, time: time("T", frame.traded)? });
            }
            _ => {}
        }
        Ok(())
    }

    /// The market of a frame whose fields tell it, or do not.
    fn market_of(&self, seen: Option<Market>) -> Result<Market, Bad> {
        match (self.market, seen) {
            (Some(market), Some(seen)) if market != seen => Err(Bad::new(
                "wrong_market",
                format!("a frame of {} in a recording of {}: set the feed's venue", seen.venue(), market.venue()),
            )),
            (market, seen) => Ok(market.or(seen).unwrap_or(Market::Spot)),
        }
    }

    fn trade(&self, data: &[u8], received: Option<i64>, found: &mut Found) -> Result<(), Bad> {
        let frame: TradeFrame = serde_json::from_slice(data).map_err(|error| Bad::json(&error))?;
        let spot = frame.ignore.map(|_| Market::Spot);
        let market = self.market_of(frame.order.map(|_| Market::UsdM).or(spot))?;
        if !matches!(frame.order, None | Some("MARKET")) {
            return found.ignore("not_a_market_trade");
        }
        let event_time = time("T", frame.traded)?;
        found.recorded.get_or_insert(event_time);
        found.events.push(Event::Trade(Trade {
            venue: market.venue().to_owned(),
            symbol: symbol(market, frame.s),
            trade_id: Some(frame.t.to_string()),
            price: price("p", frame.p.as_bytes())?,
            quantity: quantity("q", frame.q.as_bytes())?,
            side: Some(if frame.m { Side::Sell } else { Side::Buy }),
            conditions: Vec::new(),
            event_time,
            receive_time: received,
            backfilled: false,
        }));
        Ok(())
    }

    fn quote(&self, data: &[u8], received: Option<i64>, found: &mut Found) -> Result<(), Bad> {
        let frame: BookTicker = serde_json::from_slice(data).map_err(|error| Bad::json(&error))?;
        let market = self.market_of(Some(if frame.traded.is_some() { Market::UsdM } else { Market::Spot }))?;
        // Spot quotes carry no time of the venue: the time of receipt is all there is.
        let event_time = match frame.traded {
            Some(text) => time("T", text)?,
            None => received.ok_or_else(|| Bad::new("bad_time", "a quote without any time"))?,
        };
        found.recorded.get_or_insert(event_time);
        found.events.push(Event::Quote(Quote {
            venue: market.venue().to_owned(),
            symbol: symbol(market, frame.s),
            bid: Some(price("b", frame.bid.as_bytes())?),
            bid_quantity: Some(quantity("B", frame.bid_size.as_bytes())?),
            ask: Some(price("a", frame.ask.as_bytes())?),
            ask_quantity: Some(quantity("A", frame.ask_size.as_bytes())?),
            event_time,
            receive_time: received,
        }));
        Ok(())
    }
}

/// What an answer to a request says.
fn answer(data: &[u8], any: &AnyFrame) -> Option<Said> {
    let request = any.id.and_then(|id| id.get().trim_matches('"').parse().ok());
    let refusal = any.error.map(|error| error.get().as_bytes()).or(any.code.map(|_| data));
    match (refusal, request) {
        (Some(refusal), _) => {
            let reason = match serde_json::from_slice::<Refusal>(refusal) {
                Ok(refusal) => refusal.msg.into_owned(),
                Err(_) => shown(refusal),
            };
            Some(Said::Refused { own_name: None, request, reason })
        }
        (None, Some(request)) => Some(Said::Granted(request)),
        (None, None) => None,
    }
}

/// Takes a frame out of its envelope. The envelope's own form is recognised without parsing; any other order of its
/// fields is parsed.
fn open(frame: &[u8]) -> Result<(&[u8], &[u8]), Bad> {
    const HEAD: &[u8] = br#"{"stream":""#;
    const MIDDLE: &[u8] = br#"","data":"#;
    let frame = frame.trim_ascii();
    if let Some(rest) = frame.strip_prefix(HEAD)
        && let Some(end) = memchr::memchr(b'"', rest)
        && let Some(data) = rest[end..].strip_prefix(MIDDLE).and_then(|data| data.strip_suffix(b"}"))
    {
        return Ok((&rest[..end], data));
    }
    if memchr::memmem::find(&frame[..frame.len().min(4096)], br#""data""#).is_none()
        && memchr::memmem::find(&frame[frame.len().saturating_sub(4096)..], br#""stream""#).is_none()
    {
        return Ok((b"", frame));
    }
    match serde_json::from_slice::<Envelope>(frame) {
        Ok(envelope) => Ok((envelope.stream.unwrap_or_default().as_bytes(), envelope.data.get().as_bytes())),
        Err(_) => Ok((b"", frame)),
    }
}

fn kind_of(event: &[u8]) -> Option<&'static str> {
    Some(match event {
        b"depthUpdate" => "depth_update",
        b"aggTrade" => "agg_trade",
        b"bookTicker" => "book_ticker",
        b"kline" => "kline",
        b"24hrTicker" | b"24hrMiniTicker" => "ticker",
        b"markPriceUpdate" => "mark_price",
        b"forceOrder" => "liquidation",
        b"serverShutdown" => "server_shutdown",
        _ => return None,
    })
}

fn symbol(market: Market, raw: &str) -> String {
    let venue = market.venue();
    let mut symbol = String::with_capacity(venue.len() + 1 + raw.len());
    symbol.push_str(venue);
    symbol.push(':');
    symbol.push_str(raw);
    symbol
}

/// Milliseconds, or microseconds where the stream was asked for them: told apart by size.
fn time(what: &str, value: &RawValue) -> Result<i64, Bad> {
    let text = value.get().as_bytes();
    let unit = if text.len() > 14 { 1_000 } else { 1_000_000 };
    times::count(text, unit).ok_or_else(|| Bad::time(what, text))
}

#[cfg(test)]
mod tests;
