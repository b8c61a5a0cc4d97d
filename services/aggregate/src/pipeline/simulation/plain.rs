//! Bars the plain way: keep every trade of every window that still takes it, then look at all of them. Whole numbers of
//! cents and shares; nothing of the windows' code.

use std::collections::{BTreeMap, HashMap, HashSet};

use market::metrics::Undefined;
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
    amended: Amended,
}

const CENT: i128 = 10_000_000_000_000_000;
const SHARE: i128 = 100 * CENT;

/// One trade in cents and shares.
#[derive(Clone)]
struct Print {
    /// Symbol and trade id.
    id: Option<(String, String)>,
    order: (i64, u64, i64),
    price: i128,
    quantity: i128,
    bought: Option<bool>,
}

/// The worst that amendments did to a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Amended {
    #[default]
    Exactly,
    /// A trade was taken out whose neighbours were gone.
    Settled,
    /// One could not be taken out.
    Unknown,
}

impl Bar {
    fn of(record: &Metrics) -> Bar {
        let price = |price: Option<market::Price>| price.map_or(-1, |price| cents(price.get()));
        Bar {
            prices: [record.open, record.high, record.low, record.close].map(price),
            volume: shares(record.volume.get()),
            quote_volume: record.quote_volume.map_or(-1, Decimal::units) / CENT,
            vwap: record.vwap.map(|vwap| vwap.units() / 1_000_000),
            bought: record.buy_volume.map(|volume| shares(volume.get())),
            trades: record.trade_count,
            offsets: (record.input.first_offset, record.input.last_offset),
            amended: Amended::Exactly,
        }
    }

    /// Whether the record says the same. It may lack what is lost only where something was, and then it says so.
    pub fn agrees(&self, record: &Metrics) -> bool {
        let mut theirs = Bar { amended: self.amended, ..Bar::of(record) };
        if self.amended == Amended::Unknown && !record.partial {
            return false;
        }
        if self.amended >= Amended::Settled && record.partial {
            theirs.prices = self.prices;
        }
        if record.reasons.buy_volume == Some(Undefined::Amended) && (self.amended >= Amended::Settled || record.partial)
        {
            theirs.bought = self.bought;
        }
        *self == theirs
    }

    fn from(window: Window) -> Bar {
        let Window { mut prints, amended, offsets, .. } = window;
        prints.sort_by_key(|print| print.order);
        let prices = || prints.iter().map(|print| print.price);
        let volume = prints.iter().map(|print| print.quantity).sum();
        let quote_volume = prints.iter().map(|print| print.price * print.quantity).sum();
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
            offsets: offsets.unwrap_or((-1, -1)),
            amended,
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

type Key = (String, String, i64);

/// What is known while the input is read.
#[derive(Default)]
struct Day<'a> {
    windows: BTreeMap<Key, Window>,
    latest: BTreeMap<String, i64>,
    /// Event times of the trades that were taken, by symbol and id.
    ids: HashMap<(String, String), i64>,
    /// Trades that were taken back.
    void: HashSet<(String, String)>,
    /// Trades that were corrected under their own ids.
    renewed: HashSet<(String, String)>,
    corrected: HashSet<&'a [u8]>,
}

#[derive(Default)]
struct Window {
    end: i64,
    prints: Vec<Print>,
    /// Of all that came, void or not.
    offsets: Option<(i64, i64)>,
    amended: Amended,
}

impl Window {
    fn came(&mut self, offset: i64) {
        let (first, last) = self.offsets.unwrap_or((offset, offset));
        self.offsets = Some((first.min(offset), last.max(offset)));
    }
}

/// The bars of one partition, by symbol, window and start.
pub fn bars(config: &Config, input: &[OwnedRecord]) -> BTreeMap<Key, Bar> {
    let mut day = Day::default();
    for record in input {
        let value = record.value.as_deref().unwrap_or_default();
        match Event::decode(value) {
            Ok(Event::Trade(trade)) => day.trade(config, trade, record.offset),
            Ok(Event::Cancel(c)) => {
                let says = c.price.is_some();
                day.amend(config, (c.symbol, c.trade_id), says, None, record.offset);
            }
            Ok(Event::Correction(c)) if !day.corrected.contains(value) => {
                let says = c.original_price.is_some();
                let right = (cents(c.price.get()), shares(c.quantity.get()), c.corrected_id);
                if day.amend(config, (c.symbol, c.trade_id), says, Some(right), record.offset) {
                    day.corrected.insert(value);
                }
            }
            _ => {}
        }
    }
    day.windows.into_iter().map(|(key, window)| (key, Bar::from(window))).collect()
}

impl Day<'_> {
    fn horizon(&self, config: &Config, symbol: &str) -> i64 {
        let behind = config.out_of_orderness.as_ns() + config.lateness.as_ns();
        self.latest.get(symbol).map_or(i64::MIN, |latest| latest - behind)
    }

    fn trade(&mut self, config: &Config, t: Trade, offset: i64) {
        let id = t.trade_id.as_ref().map(|id| (t.symbol.clone(), id.clone()));
        if is_from_the_future(&t) || id.as_ref().is_some_and(|id| self.ids.contains_key(id)) {
            return;
        }
        let horizon = self.horizon(config, &t.symbol);
        let print = Print {
            id: id.clone(),
            order: (t.event_time, number(&t), offset),
            price: cents(t.price.get()),
            quantity: shares(t.quantity.get()),
            bought: t.side.map(|side| side == market::Side::Buy),
        };
        let mut taken = false;
        for span in &config.windows {
            for start in starts(*span, t.event_time).filter(|start| start + span.size().ns() > horizon) {
                let window = self.windows.entry((t.symbol.clone(), span.to_string(), start)).or_default();
                window.end = start + span.size().ns();
                window.came(offset);
                window.prints.push(print.clone());
                taken = true;
            }
        }
        if taken {
            self.ids.extend(id.map(|id| (id, t.event_time)));
            let latest = self.latest.entry(t.symbol).or_insert(i64::MIN);
            *latest = t.event_time.max(*latest);
        }
    }

    /// Returns whether the trade was amended in some window.
    fn amend(
        &mut self,
        config: &Config,
        id: (String, String),
        says: bool,
        right: Option<(i128, i128, Option<String>)>,
        offset: i64,
    ) -> bool {
        let Some(time) = self.ids.get(&id).copied().filter(|_| !self.void.contains(&id)) else { return false };
        let horizon = self.horizon(config, &id.0);
        let is_settled = time < horizon;
        let is_known = !is_settled || says && !self.renewed.contains(&id);
        let new_id = right.as_ref().map(|(_, _, new)| new.clone().map_or(id.clone(), |new| (id.0.clone(), new)));
        let mut done = false;
        for window in self.windows.values_mut().filter(|window| window.end > horizon) {
            let Some(at) = window.prints.iter().position(|print| print.id.as_ref() == Some(&id)) else { continue };
            window.amended = window.amended.max(match (is_known, is_settled) {
                (false, _) => Amended::Unknown,
                (true, true) => Amended::Settled,
                (true, false) => Amended::Exactly,
            });
            if !is_known {
                continue;
            }
            done = true;
            window.came(offset);
            match &right {
                None => drop(window.prints.remove(at)),
                Some((price, quantity, _)) => {
                    let print = &mut window.prints[at];
                    (print.price, print.quantity, print.id) = (*price, *quantity, new_id.clone());
                }
            }
        }
        if done {
            match new_id {
                Some(new) if new == id => drop(self.renewed.insert(id)),
                new => {
                    self.ids.extend(new.map(|new| (new, time)));
                    self.void.insert(id);
                }
            }
        }
        done
    }
}

fn cents(price: Decimal) -> i128 {
    price.units() / CENT
}

fn shares(quantity: Decimal) -> i128 {
    quantity.units() / SHARE
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
