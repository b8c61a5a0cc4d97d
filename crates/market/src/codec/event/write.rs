//! Writes each kind of event: its fields in the order of `docs/topics.md`.

use crate::codec::trade::TradeRef;
use crate::codec::write::Object;
use crate::event::{Bar, Cancel, Correction, Gap, Heartbeat, News, Quote, Side};

/// `conditions`: those of the event, which it may hold in one form or another.
pub(super) fn trade(event: &TradeRef, conditions: &[String], object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.opt_text("trade_id", event.trade_id.as_deref());
    object.number("price", event.price);
    object.number("quantity", event.quantity);
    object.opt_text("side", event.side.map(Side::as_str));
    object.texts("conditions", conditions);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
    if event.backfilled {
        object.flag("backfilled", true);
    }
}

pub(super) fn quote(event: &Quote, object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.opt_number("bid", event.bid);
    object.opt_number("bid_quantity", event.bid_quantity);
    object.opt_number("ask", event.ask);
    object.opt_number("ask_quantity", event.ask_quantity);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

pub(super) fn bar(event: &Bar, object: &mut Object) {
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
        object.object("extra", |extra| event.extra.iter().for_each(|(name, value)| extra.foreign_number(name, *value)));
    }
    object.opt_integer("receive_time", event.receive_time);
}

pub(super) fn gap(event: &Gap, object: &mut Object) {
    object.text("symbol", &event.symbol);
    object.integer("from", event.from);
    object.integer("to", event.to);
    object.text("cause", event.cause.as_str());
    object.opt_text("first_missing", event.first_missing.as_deref());
    object.opt_text("last_missing", event.last_missing.as_deref());
    object.opt_integer("receive_time", event.receive_time);
}

pub(super) fn cancel(event: &Cancel, object: &mut Object) {
    object.text("venue", &event.venue);
    object.text("symbol", &event.symbol);
    object.text("trade_id", &event.trade_id);
    object.opt_number("price", event.price);
    object.opt_number("quantity", event.quantity);
    object.opt_integer("trade_time", event.trade_time);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

pub(super) fn correction(event: &Correction, object: &mut Object) {
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

pub(super) fn news(event: &News, object: &mut Object) {
    object.text("symbol", &event.symbol);
    object.text("news_id", &event.news_id);
    object.opt_text("publisher", event.publisher.as_deref());
    object.text("headline", &event.headline);
    object.opt_text("summary", event.summary.as_deref());
    object.opt_text("url", event.url.as_deref());
    object.opt_number("sentiment", event.sentiment);
    object.opt_text("scored_by", event.scored_by.as_deref());
    object.opt_number("relevance", event.relevance);
    object.integer("event_time", event.event_time);
    object.opt_integer("receive_time", event.receive_time);
}

pub(super) fn heartbeat(event: &Heartbeat, object: &mut Object) {
    object.text("venue", &event.venue);
    object.opt_text("symbol", event.symbol.as_deref());
    object.opt_integer("event_time", event.event_time);
    object.integer("receive_time", event.receive_time);
}
