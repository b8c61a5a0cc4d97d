//! One record as one line for a person: time, symbol, kind, price and size in columns, then what else there is.
//!
//! Symbols and texts come from outside, so control characters are replaced: a record must not be able to move the
//! cursor or recolour the terminal of whoever looks at it.

use std::fmt::Write as _;

use market::time::Civil;
use market::{Alert, AlertState, Bar, Event, Metrics, Side};

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const DIM: &str = "\u{1b}[2m";
const PLAIN: &str = "\u{1b}[0m";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Usual,
    Up,
    Down,
    Warning,
    Aside,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    pub time: Option<i64>,
    pub symbol: String,
    pub kind: String,
    pub price: String,
    pub size: String,
    pub rest: String,
    pub tone: Tone,
}

impl Line {
    pub fn of_event(event: &Event) -> Self {
        let mut line = Line {
            time: event.event_time(),
            symbol: event.symbol().unwrap_or("-").to_owned(),
            kind: event.kind().as_str().to_owned(),
            ..Line::default()
        };
        match event {
            Event::Trade(trade) => {
                line.price = trade.price.to_string();
                line.size = trade.quantity.to_string();
                line.rest = join([trade.side.map_or("", Side::as_str), trade.trade_id.as_deref().unwrap_or("")]);
                if trade.backfilled {
                    line.rest = join([&line.rest, "backfilled"]);
                }
                line.tone =
                    trade.side.map_or(Tone::Usual, |side| if side == Side::Buy { Tone::Up } else { Tone::Down });
            }
            Event::Quote(quote) => {
                line.price = text(quote.bid.as_ref());
                line.size = text(quote.bid_quantity.as_ref());
                line.rest = format!("ask {} x {}", text(quote.ask.as_ref()), text(quote.ask_quantity.as_ref()));
                line.tone = Tone::Aside;
            }
            Event::Bar(bar) => {
                let Bar { open, high, low, close, volume, interval, .. } = bar;
                line.time = Some(bar.start);
                line.price = close.to_string();
                line.size = volume.to_string();
                line.rest = format!("{interval} open {open} high {high} low {low}");
                line.tone = if close < open { Tone::Down } else { Tone::Up };
            }
            Event::Gap(gap) => {
                line.rest = format!("{} since {}", gap.cause, clock(gap.from));
                line.tone = Tone::Warning;
            }
            Event::Cancel(cancel) => {
                line.price = text(cancel.price.as_ref());
                line.size = text(cancel.quantity.as_ref());
                line.rest = format!("of trade {}", cancel.trade_id);
                line.tone = Tone::Warning;
            }
            Event::Correction(correction) => {
                line.price = correction.price.to_string();
                line.size = correction.quantity.to_string();
                line.rest = format!("of trade {}", correction.trade_id);
                line.tone = Tone::Warning;
            }
            Event::News(news) => line.rest = join([&text(news.sentiment.as_ref()), &news.headline]),
            Event::Heartbeat(heartbeat) => {
                line.rest.clone_from(&heartbeat.venue);
                line.tone = Tone::Aside;
            }
        }
        line
    }

    pub fn of_metrics(metrics: &Metrics) -> Self {
        let Metrics { window, trade_count, rev, .. } = metrics;
        let (vwap, change) = (text(metrics.vwap.as_ref()), text(metrics.change_pct.as_ref()));
        let state = if metrics.is_final { "final" } else { "open" };
        Line {
            time: Some(metrics.window_start),
            symbol: metrics.symbol.clone(),
            kind: window.to_string(),
            price: text(metrics.close.as_ref()),
            size: metrics.volume.to_string(),
            rest: format!("vwap {vwap} change {change}% trades {trade_count} rev {rev} {state}"),
            tone: if metrics.close < metrics.open { Tone::Down } else { Tone::Up },
        }
    }

    pub fn of_alert(alert: &Alert) -> Self {
        let Alert { rule, metric, direction, threshold, state, window, .. } = alert;
        Line {
            time: Some(alert.event_time),
            symbol: alert.symbol.clone(),
            kind: "alert".to_owned(),
            price: alert.value.to_string(),
            rest: format!("{rule} {state}: {metric} {direction} {threshold} in {window}"),
            tone: if *state == AlertState::Fired { Tone::Warning } else { Tone::Aside },
            ..Line::default()
        }
    }

    /// Appends the line with its end.
    pub fn write(&self, out: &mut String, colour: bool) {
        let start = match (colour, self.tone) {
            (false, _) | (true, Tone::Usual) => "",
            (true, Tone::Up) => GREEN,
            (true, Tone::Down) => RED,
            (true, Tone::Warning) => YELLOW,
            (true, Tone::Aside) => DIM,
        };
        let end = if start.is_empty() { "" } else { PLAIN };
        let time = self.time.map_or_else(|| "-".to_owned(), clock);
        let (symbol, kind, rest) = (tame(&self.symbol), tame(&self.kind), tame(&self.rest));
        let columns = format!("{time:<23}  {symbol:<20}  {kind:<10}  {:>18}  {:>18}  {rest}", self.price, self.size);
        writeln!(out, "{start}{}{end}", columns.trim_end()).expect("a string takes any text");
    }
}

/// `2024-08-08 23:54:15.342`, UTC, always as wide.
fn clock(ns: i64) -> String {
    let Civil { hour, minute, second, nanosecond, .. } = Civil::of(ns);
    format!("{} {hour:02}:{minute:02}:{second:02}.{:03}", Civil::of(ns).date(), nanosecond / 1_000_000)
}

fn text(value: Option<&impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), ToString::to_string)
}

fn join<const N: usize>(words: [&str; N]) -> String {
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn tame(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use market::{Gap, GapCause, Trade};

    use super::*;

    fn trade() -> Trade {
        Trade {
            venue: "BINANCE".to_owned(),
            symbol: "BINANCE:BTCUSDT".to_owned(),
            trade_id: Some("3735683259".to_owned()),
            price: "61837.63".parse().unwrap(),
            quantity: "0.02".parse().unwrap(),
            side: Some(Side::Sell),
            conditions: Vec::new(),
            event_time: 1_723_161_255_342_000_000,
            receive_time: None,
            backfilled: false,
        }
    }

    fn written(event: &Event, colour: bool) -> String {
        let mut out = String::new();
        Line::of_event(event).write(&mut out, colour);
        out
    }

    #[test]
    fn a_trade_in_columns() {
        let expected = "2024-08-08 23:54:15.342  BINANCE:BTCUSDT       trade                 61837.63                0.02  sell 3735683259\n";
        assert_eq!(written(&Event::Trade(trade()), false), expected);
        let coloured = written(&Event::Trade(trade()), true);
        assert_eq!(coloured, format!("{RED}{}{PLAIN}\n", expected.trim_end()));
    }

    #[test]
    fn columns_of_different_records_line_up() {
        let gap = Gap {
            symbol: "AAPL".to_owned(),
            from: -1,
            to: 0,
            cause: GapCause::Restart,
            first_missing: None,
            last_missing: None,
            receive_time: None,
        };
        let (gap, trade) = (written(&Event::Gap(gap), false), written(&Event::Trade(trade()), false));
        assert_eq!(gap.find("gap"), trade.find("trade"));
        assert!(gap.starts_with("1970-01-01 00:00:00.000  AAPL "), "{gap}");
        assert!(gap.ends_with("restart since 1969-12-31 23:59:59.999\n"), "{gap}");
        assert_eq!(gap.find("restart"), trade.find("sell"));
    }

    #[test]
    fn a_record_cannot_steer_the_terminal() {
        let mut evil = trade();
        evil.symbol = "A\u{1b}[2J\r\n".to_owned();
        let line = written(&Event::Trade(evil), false);
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\u{1b}') && !line.contains('\r'), "{line:?}");
    }
}
