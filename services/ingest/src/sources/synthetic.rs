//! A seeded random market: the same settings give the same trades, for ever.
//!
//! Each symbol's price is a random walk in ticks of a ten-thousandth of its first price. A share of the trades carries
//! an event time before those already given, as real feeds do; the time of receipt is always in order. Recorded time
//! begins at `start` and moves on by `1/rate` seconds per trade, so pacing and `--rebase now` work as for a recording.

use std::collections::BTreeMap;
use std::io;

use market::{Decimal, Event, Price, Quantity, Side, Trade};

use super::{Piece, Source, Step, csv::layout};
use crate::rng::Rng;
use crate::times;

const DEFAULT_SYMBOLS: &str = "AAPL+GOOGL+MSFT+TSLA+BINANCE:BTCUSDT+BINANCE:ETHUSDT";
const VENUE: &str = "SYNTHETIC";
/// 18 fraction digits, as a price holds.
const ONE: i128 = 1_000_000_000_000_000_000;

/// What kind of market it is. Options of the feed, `synthetic:AAPL+MSFT?seed=7&rate=1000`.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub symbols: Vec<String>,
    pub seed: u64,
    /// Trades per recorded second, all symbols together.
    pub rate: f64,
    /// How many trades; 0 never ends.
    pub count: u64,
    /// Share of trades whose event time lies before an earlier one's.
    pub disorder: f64,
    /// How far back at most, in milliseconds.
    pub delay_ms: u64,
    /// Recorded time of the first trade, ns since 1970.
    pub start: i64,
}

impl Settings {
    /// `symbols` separated by `+`; a seed in the options wins over the process's.
    pub fn new(symbols: &str, options: &BTreeMap<String, String>, seed: u64) -> Result<Settings, String> {
        let symbols = if symbols.is_empty() { DEFAULT_SYMBOLS } else { symbols };
        let mut settings = Settings {
            symbols: symbols.split('+').map(str::to_owned).collect(),
            seed,
            rate: 100.0,
            count: 0,
            disorder: 0.02,
            delay_ms: 2_000,
            // 2024-01-01T00:00:00Z.
            start: 1_704_067_200_000_000_000,
        };
        if settings.symbols.iter().any(String::is_empty) {
            return Err(format!("`{symbols}` has an empty symbol: separate them by one `+`"));
        }
        for (key, value) in options {
            let bad = || format!("synthetic option {key}=`{value}` cannot be read");
            match key.as_str() {
                "seed" => settings.seed = value.parse().map_err(|_| bad())?,
                "rate" => settings.rate = value.parse().map_err(|_| bad())?,
                "count" => settings.count = value.parse().map_err(|_| bad())?,
                "disorder" => settings.disorder = value.parse().map_err(|_| bad())?,
                "delay_ms" => settings.delay_ms = value.parse().map_err(|_| bad())?,
                "start" => settings.start = times::rfc3339(value.as_bytes()).ok_or_else(bad)?,
                _ => {
                    return Err(format!(
                        "synthetic option `{key}` is not known: use seed, rate, count, disorder, delay_ms, start"
                    ));
                }
            }
        }
        let sane = settings.rate > 0.0 && settings.rate <= 1e9 && (0.0..=1.0).contains(&settings.disorder);
        if !sane || settings.delay_ms > 86_400_000 {
            return Err("synthetic: rate must be above 0, disorder between 0 and 1, delay_ms at most a day".to_owned());
        }
        Ok(settings)
    }
}

pub struct Market {
    settings: Settings,
    rng: Rng,
    produced: u64,
    tapes: Vec<Tape>,
}

struct Tape {
    venue: String,
    symbol: String,
    /// Size of one step of the walk, in units of a price.
    tick: i128,
    /// In ticks, never below 1.
    price: i128,
    trade_id: u64,
}

impl Market {
    pub fn new(settings: Settings) -> Self {
        let mut rng = Rng::new(settings.seed);
        let tapes = settings
            .symbols
            .iter()
            .map(|symbol| {
                // First prices from 10 to 1000 in whole cents; a tick is a ten-thousandth.
                let cents = 1_000 + rng.below(99_000);
                let venue = symbol.split_once(':').map_or(VENUE, |(venue, _)| venue);
                Tape {
                    venue: layout::venue_name(venue),
                    symbol: symbol.clone(),
                    tick: i128::from(cents) * (ONE / 100) / 10_000,
                    price: 10_000,
                    trade_id: 0,
                }
            })
            .collect();
        Market { settings, rng, produced: 0, tapes }
    }

    fn trade(&mut self) -> Option<Trade> {
        let step = (1e9 / self.settings.rate) as i64;
        let received = self.settings.start.checked_add(step.checked_mul(i64::try_from(self.produced).ok()?)?)?;
        let late = if self.rng.chance(self.settings.disorder) {
            self.rng.below(self.settings.delay_ms * 1_000_000)
        } else {
            0
        };
        let tape = self.rng.below(self.tapes.len() as u64) as usize;
        let moved = self.rng.below(21) as i128 - 10;
        let size = 1 + self.rng.below(500);
        let side = if self.rng.chance(0.5) { Side::Buy } else { Side::Sell };
        let tape = &mut self.tapes[tape];
        tape.price = (tape.price + moved).clamp(1, 1_000_000);
        tape.trade_id += 1;
        Some(Trade {
            venue: tape.venue.clone(),
            symbol: tape.symbol.clone(),
            trade_id: Some(tape.trade_id.to_string()),
            price: Price::new(Decimal::from_units(tape.price * tape.tick)?),
            quantity: Quantity::new(Decimal::from_units(i128::from(size) * (ONE / 100))?).ok()?,
            side: Some(side),
            conditions: Vec::new(),
            event_time: received - late as i64,
            receive_time: Some(received),
            backfilled: false,
        })
    }
}

impl Source for Market {
    fn next(&mut self, piece: &mut Piece) -> io::Result<Step> {
        if self.settings.count > 0 && self.produced >= self.settings.count {
            return Ok(Step::End);
        }
        // `None` is the year 2262: the end of what nanoseconds can count.
        let Some(trade) = self.trade() else { return Ok(Step::End) };
        self.produced += 1;
        piece.line = self.produced;
        piece.text.clear();
        piece.bad = None;
        piece.found.clear();
        piece.found.recorded = trade.receive_time;
        piece.found.events.push(Event::Trade(trade));
        Ok(Step::Piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trades(options: &[(&str, &str)]) -> Vec<Trade> {
        let options = options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut market = Market::new(Settings::new("", &options, 42).unwrap());
        let mut piece = Piece::default();
        let mut out = Vec::new();
        while market.next(&mut piece).unwrap() == Step::Piece {
            let Event::Trade(trade) = piece.found.events.remove(0) else { panic!() };
            out.push(trade);
        }
        out
    }

    #[test]
    fn a_seed_is_a_market() {
        let one = trades(&[("count", "5000")]);
        assert_eq!(one, trades(&[("count", "5000")]));
        assert_ne!(one, trades(&[("count", "5000"), ("seed", "43")]));
        assert_eq!(one.len(), 5000);
    }

    #[test]
    fn some_event_times_are_out_of_order_and_no_time_of_receipt_is() {
        let trades = trades(&[("count", "5000"), ("disorder", "0.1")]);
        assert!(trades.is_sorted_by_key(|trade| trade.receive_time));
        let late = trades.iter().filter(|trade| Some(trade.event_time) < trade.receive_time).count();
        assert!((400..600).contains(&late), "{late} of 5000");
        assert!(trades.iter().all(|trade| trade.price.get() > Decimal::ZERO && !trade.quantity.is_zero()));
    }

    #[test]
    fn wrong_options_are_named() {
        for (key, value) in [("rate", "0"), ("rate", "x"), ("disorder", "2"), ("colour", "red"), ("start", "yesterday")]
        {
            let options = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert!(Settings::new("", &options, 1).is_err(), "{key}={value}");
        }
        assert!(Settings::new("AAPL++MSFT", &BTreeMap::new(), 1).is_err());
    }
}
