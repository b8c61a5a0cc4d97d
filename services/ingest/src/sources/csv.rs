//! Rows of separated fields: trades or bars, in any order of columns.
//!
//! What each column is, is settled once from the header ([`layout`]); then every row is split and read by position.
//! The row itself is [`split`] by the rules of RFC 4180 within one line: a quoted field may hold the separator and
//! doubled quotes; a line break inside quotes is not supported and gives a bad row.

pub mod layout;
pub mod split;

use market::{Bar, Event, Side, Trade};

use super::{Bad, Decode, Found, price, quantity, shown};
use crate::times::TimeFormat;
use layout::{Kind, Layout, SideColumn};
use split::Fields;

/// Decodes the lines of one file, whose layout is known.
pub struct Rows {
    layout: Layout,
    header_seen: bool,
    fields: Fields,
}

impl Rows {
    pub fn new(layout: Layout) -> Self {
        Rows { header_seen: !layout.has_header, layout, fields: Fields::default() }
    }
}

impl Decode for Rows {
    fn decode(&mut self, text: &[u8], found: &mut Found) -> Result<(), Bad> {
        if !self.header_seen {
            self.header_seen = true;
            return found.ignore("header");
        }
        if std::str::from_utf8(text).is_err() {
            return Err(Bad::new("not_utf8", "the row is not UTF-8 text"));
        }
        self.fields.split(text, self.layout.delimiter)?;
        let (layout, row) = (&self.layout, Row(&self.fields));
        let width = row.0.count();
        if text.first() == Some(&layout.delimiter) && (0..width).all(|column| row.get(column).is_empty()) {
            return Err(Bad::new("missing_field", "a row of nothing but separators"));
        }
        // One more, empty field is what a trailing separator makes.
        if width != layout.width && !(width == layout.width + 1 && row.get(layout.width).is_empty()) {
            let expected = layout.width;
            return Err(Bad::new("field_count", format!("the row has {width} fields where the header has {expected}")));
        }
        let time = row.time("time", layout.time, &layout.time_format)?;
        let receive_time = match layout.receive_time {
            Some(column) => Some(row.time("time of receipt", column, &TimeFormat::Auto)?),
            None => None,
        };
        found.recorded = Some(receive_time.unwrap_or(time));
        let (venue, symbol) = row.symbol(layout)?;
        let event = match &layout.kind {
            Kind::Trades { price: at, quantity: size, side, id } => Event::Trade(Trade {
                venue,
                symbol,
                trade_id: id.map(|id| row.get(id)).filter(|id| !id.is_empty()).map(owned),
                price: price("price", row.get(*at))?,
                quantity: match size {
                    Some(size) => quantity("quantity", row.get(*size))?,
                    None => market::Quantity::ZERO,
                },
                side: side.as_ref().map_or(Ok(None), |side| row.side(side))?,
                conditions: Vec::new(),
                event_time: time,
                receive_time,
                backfilled: false,
            }),
            Kind::Bars { open, high, low, close, volume, interval, extra } => {
                let end = time.checked_add(interval.ns()).ok_or_else(|| Bad::time("time", row.get(layout.time)))?;
                Event::Bar(Bar {
                    symbol,
                    interval: *interval,
                    start: time,
                    end,
                    open: price("open", row.get(*open))?,
                    high: price("high", row.get(*high))?,
                    low: price("low", row.get(*low))?,
                    close: price("close", row.get(*close))?,
                    volume: match volume {
                        Some(volume) => quantity("volume", row.get(*volume))?,
                        None => market::Quantity::ZERO,
                    },
                    extra: extra
                        .iter()
                        .filter(|(_, column)| !row.get(*column).is_empty())
                        .map(|(name, column)| Ok((name.clone(), price(name, row.get(*column))?.get())))
                        .collect::<Result<_, Bad>>()?,
                    receive_time,
                })
            }
        };
        found.events.push(event);
        Ok(())
    }
}

struct Row<'a>(&'a Fields);

impl Row<'_> {
    fn get(&self, column: usize) -> &[u8] {
        self.0.get(column).trim_ascii()
    }

    fn time(&self, what: &str, column: usize, format: &TimeFormat) -> Result<i64, Bad> {
        let text = self.get(column);
        if let Some(ns) = format.parse(text) {
            return Ok(ns);
        }
        if text.is_empty() {
            return Err(Bad::new("missing_field", format!("the {what} is empty")));
        }
        let expected = match format {
            TimeFormat::Auto => "an integer of s, ms, us or ns, RFC 3339, or YYYY-MM-DD".to_owned(),
            format => format!("`{format}`, as configured"),
        };
        let hint = if text.contains(&b'/') {
            "; whether the day or the month comes first must be said: set the feed's time_format to DD/MM/YYYY or MM/DD/YYYY"
        } else {
            "; set the feed's time_format, such as YYYY.MM.DD, if it is written otherwise"
        };
        Err(Bad::new("bad_time", format!("{what} `{}` is not {expected}{hint}", shown(text))))
    }

    fn symbol(&self, layout: &Layout) -> Result<(String, String), Bad> {
        let venue = match layout.venue_column {
            Some(column) => layout::venue_name(&owned(self.get(column))),
            None => layout.venue.clone(),
        };
        let raw = match layout.symbol_column {
            Some(column) => owned(self.get(column)),
            None => layout.symbol.clone(),
        };
        if raw.is_empty() {
            return Err(Bad::new("missing_field", "the symbol is empty"));
        }
        let symbol = layout::qualified(&venue, raw);
        Ok((venue, symbol))
    }

    fn side(&self, side: &SideColumn) -> Result<Option<Side>, Bad> {
        let (column, maker) = match side {
            SideColumn::Taker(column) => (*column, false),
            SideColumn::BuyerIsMaker(column) => (*column, true),
        };
        let text = self.get(column);
        let word = text.to_ascii_lowercase();
        Ok(Some(match (word.as_slice(), maker) {
            (b"", _) | (b"unknown" | b"none" | b"null", false) => return Ok(None),
            (b"true" | b"1", true) => Side::Sell,
            (b"false" | b"0", true) => Side::Buy,
            (b"buy" | b"b" | b"bid", false) => Side::Buy,
            (b"sell" | b"s" | b"ask", false) => Side::Sell,
            _ => return Err(Bad::new("unknown_side", format!("side `{}` is neither buy nor sell", shown(text)))),
        }))
    }
}

/// The row is known to be UTF-8, and fields are cut at ASCII bytes.
fn owned(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests;
