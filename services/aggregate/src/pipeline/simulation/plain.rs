//! Bars the plain way: keep every trade of every window that still takes it, then look at all of them. Whole numbers of
//! cents and shares; nothing of the windows' code.

use std::collections::{BTreeMap, HashSet};

use market::{Decimal, Event, Metrics, Span, Trade};
use streams::OwnedRecord;

use crate::config::Config;

/// What a window says that needs no rounding but the VWAP's.
#[derive(Debug, PartialEq)]
pub struct Bar {
    /// Open, high, low, close.
    prices: [i128; 4],
    volume: i128,
    quote_volume: i128,
    vwap: Option<i128>,
    bought: Option<i128>,
    trades: u64,
    offsets: (i64, i64),
}

const CENT: i128 = 10_000_000_000_000_000;
const SHARE: i128 = 100 * CENT;

/// One trade in cents and shares.
#[derive(Clone, Copy)]
struct Print {
    order: (i64, u64, i64),
    price: i128,
    quantity: i128,
    bought: Option<bool>,
}

impl Bar {
    pub fn of(record: &Metrics) -> Bar {
        let cents = |price: Option<market::Price>| price.map_or(-1, |price| price.get().units() / CENT);
        let units = |value: Decimal| value.units();
        Bar {
            prices: [record.open, record.high, record.low, record.close].map(cents),
            volume: units(record.volume.get()) / SHARE,
            quote_volume: record.quote_volume.map_or(-1, units) / CENT,
            vwap: record.vwap.map(|vwap| units(vwap) / 1_000_000),
            bought: record.buy_volume.map(|volume| units(volume.get()) / SHARE),
            trades: record.trade_count,
            offsets: (record.input.first_offset, record.input.last_offset),
        }
    }

    fn from(prints: &mut [Print]) -> Bar {
        prints.sort_by_key(|print| print.order);
        let prices = || prints.iter().map(|print| print.price);
        let volume = prints.iter().map(|print| print.quantity).sum();
        let quote_volume = prints.iter().map(|print| print.price * print.quantity).sum();
        let offsets = || prints.iter().map(|print| print.order.2);
        let bought = prints.iter().filter(|print| print.bought == Some(true)).map(|print| print.quantity).sum();
        let edge = |print: Option<&Print>| print.map_or(-1, |print| print.price);
        let (high, low) = (prices().max().unwrap_or(-1), prices().min().unwrap_or(-1));
        Bar {
            prices: [edge(prints.first()), high, low, edge(prints.last())],
            volume,
            quote_volume,
            // Cents have two digits after the point, a VWAP twelve.
            vwap: (volume > 0).then(|| half_even(quote_volume * 10i128.pow(10), volume)),
            bought: prints.iter().any(|print| print.bought.is_some()).then_some(bought),
            trades: prints.len() as u64,
            offsets: (offsets().min().unwrap_or(-1), offsets().max().unwrap_or(-1)),
        }
    }
}

fn half_even(a: i128, b: i128) -> i128 {
    let (whole, rest) = (a / b, a % b);
    let up = 2 * rest > b || (2 * rest == b && whole % 2 == 1);
    whole + i128::from(up)
}

pub fn is_from_the_future(trade: &Trade) -> bool {
    trade.receive_time.is_some_and(|received| trade.event_time - received > 5_000_000_000)
}

/// The bars of one partition, by symbol, window and start.
pub fn bars(config: &Config, input: &[OwnedRecord]) -> BTreeMap<(String, String, i64), Bar> {
    let mut windows: BTreeMap<(String, String, i64), Vec<Print>> = BTreeMap::new();
    let mut latest: BTreeMap<String, i64> = BTreeMap::new();
    let mut ids = HashSet::new();
    for record in input {
        let Ok(Event::Trade(t)) = Event::decode(record.value.as_deref().unwrap_or_default()) else { continue };
        let known = t.trade_id.as_ref().is_some_and(|id| ids.contains(&(t.symbol.clone(), id.clone())));
        if is_from_the_future(&t) || known {
            continue;
        }
        let behind = config.out_of_orderness.as_ns() + config.lateness.as_ns();
        let horizon = latest.get(&t.symbol).map_or(i64::MIN, |latest| latest - behind);
        let mut taken = false;
        for span in &config.windows {
            for start in starts(*span, t.event_time).filter(|start| start + span.size().ns() > horizon) {
                let print = Print {
                    order: (t.event_time, number(&t), record.offset),
                    price: t.price.get().units() / CENT,
                    quantity: t.quantity.get().units() / SHARE,
                    bought: t.side.map(|side| side == market::Side::Buy),
                };
                windows.entry((t.symbol.clone(), span.to_string(), start)).or_default().push(print);
                taken = true;
            }
        }
        if taken {
            ids.extend(t.trade_id.map(|id| (t.symbol.clone(), id)));
            let latest = latest.entry(t.symbol).or_insert(i64::MIN);
            *latest = t.event_time.max(*latest);
        }
    }
    windows.into_iter().map(|(key, mut prints)| (key, Bar::from(&mut prints))).collect()
}

/// Ties go by the numeric id, those without one last.
fn number(trade: &Trade) -> u64 {
    trade.trade_id.as_ref().and_then(|id| id.parse().ok()).unwrap_or(u64::MAX)
}

/// Every window that holds this time, by its start.
fn starts(span: Span, time: i64) -> impl Iterator<Item = i64> {
    let (size, slide) = (span.size().ns(), span.slide().ns());
    let last = time.div_euclid(slide) * slide;
    (0..).map(move |n| last - n * slide).take_while(move |start| *start > time - size)
}
