//! Alpha Vantage: bars, quotes and scored news of US stocks, by REST alone.
//!
//! Whatever it has to say comes with HTTP 200: what an answer is shows only in its top-level keys. All numbers are texts, and
//! times of prices are those of New York's clocks. The key goes into the address, as nothing else is taken.

mod decode;
mod messages;
mod refuse;

#[cfg(test)]
mod tests;

use std::time::Duration;

use market::{Interval, new_york_to_utc, symbol, utc_to_new_york};

use super::Rate;
use super::limits::{DAY, MINUTE};
use super::poll::{Ask, Page, Poll, PollLimits, Reach, Refusal, Request, quoted};
use crate::times;

pub const VENUE: &str = "ALPHAVANTAGE";

/// Of the free key. Paid plans have so many a minute: option `rate`.
const LIMITS: PollLimits = PollLimits {
    name: "alphavantage",
    address: "https://www.alphavantage.co",
    keys_of: "alphavantage",
    symbols: &["AAPL", "GOOGL", "MSFT", "TSLA"],
    reads: &["intraday", "quote", "news"],
    // One per second, and a little: it counts arrivals.
    rates: &[Rate::new(1, Duration::from_millis(1_200)), Rate::new(5, MINUTE), Rate::new(25, DAY)],
    every: MINUTE,
};

/// Rows of a short answer.
const COMPACT: i64 = 100;
/// Items of an answer with news, as many as it gives.
const NEWS: usize = 1_000;
const DAY_NS: i64 = 86_400_000_000_000;
/// News that is published late is looked for so far back.
const OVERLAP_NS: i64 = DAY_NS;

pub struct AlphaVantage {
    /// Of its bars.
    interval: Interval,
}

impl Default for AlphaVantage {
    fn default() -> Self {
        AlphaVantage { interval: INTERVALS[0].0.parse().expect("it is one of ours") }
    }
}

/// Ours and its.
const INTERVALS: [(&str, &str); 5] =
    [("1m", "1min"), ("5m", "5min"), ("15m", "15min"), ("30m", "30min"), ("1h", "60min")];

impl Poll for AlphaVantage {
    fn limits(&self) -> &'static PollLimits {
        &LIMITS
    }

    fn set(&mut self, option: &str, value: &str) -> Option<Result<(), String>> {
        if option != "interval" {
            return None;
        }
        let known = INTERVALS.iter().find(|(ours, _)| *ours == value).and_then(|(ours, _)| ours.parse().ok());
        Some(match known {
            Some(interval) => {
                self.interval = interval;
                Ok(())
            }
            None => Err(format!("its bars are of {}", INTERVALS.map(|(ours, _)| ours).join(", "))),
        })
    }

    fn own_name(&self, name: &str) -> Option<String> {
        (symbol::is_valid(name) && !name.contains(':')).then(|| name.to_owned())
    }

    fn request(&self, ask: &Ask, reach: Reach, key: &str) -> Request {
        let (name, key) = (quoted(&ask.own_name), quoted(key));
        let query = match ask.what {
            "intraday" => {
                let size = if self.wants_long(reach) { "full" } else { "compact" };
                format!("TIME_SERIES_INTRADAY&symbol={name}&interval={}&outputsize={size}", self.its_interval())
            }
            "quote" => format!("GLOBAL_QUOTE&symbol={name}"),
            _ => {
                let from = match (reach.newest, reach.follows) {
                    (Some(newest), true) => newest,
                    (newest, _) => newest.unwrap_or(reach.now).saturating_sub(OVERLAP_NS),
                };
                let from = times::compact_minute(from);
                format!("NEWS_SENTIMENT&tickers={name}&time_from={from}&sort=EARLIEST&limit={NEWS}")
            }
        };
        Request { path: format!("/query?function={query}&apikey={key}"), header: None }
    }

    fn stream(&self, ask: &Ask) -> String {
        match ask.what {
            "intraday" => format!("bar {} {}", self.interval, ask.symbol),
            what => format!("{what} {}", ask.symbol),
        }
    }

    /// The day's end in New York or in London, whichever comes first: the vendor does not say whose day it is.
    fn day_ends(&self, now: i64) -> i64 {
        let next = |time: i64| (time.div_euclid(DAY_NS) + 1).saturating_mul(DAY_NS);
        next(now).min(new_york_to_utc(next(utc_to_new_york(now))))
    }

    fn read(&self, ask: &Ask, reach: Reach, answer: &[u8]) -> Result<Page, Refusal> {
        let top = match refuse::judged(answer, ask.what == "intraday" && self.wants_long(reach)) {
            // Of the time that was asked for there is no news, and that is an answer.
            Err(Refusal::Nothing(_)) if ask.what == "news" => return Ok(Page::default()),
            judged => judged?,
        };
        match ask.what {
            "intraday" => decode::bars(&top, &ask.symbol, self.interval, reach),
            "quote" => decode::quote(&top, &ask.symbol, reach.now),
            _ => decode::news(&top, ask, reach.now, NEWS),
        }
        .map(|mut page| {
            // Stable: what has the same time stays in the venue's order.
            page.events.sort_by_key(|event| event.event_time());
            page
        })
    }
}

impl AlphaVantage {
    fn its_interval(&self) -> &'static str {
        let ours = self.interval.to_string();
        INTERVALS.iter().find(|(known, _)| *known == ours).expect("no other is taken").1
    }

    /// A short answer would not reach back to what was taken last.
    fn wants_long(&self, reach: Reach) -> bool {
        let span = (COMPACT - 10).saturating_mul(self.interval.ns());
        !reach.short && reach.newest.is_some_and(|newest| reach.now.saturating_sub(newest) > span)
    }
}
