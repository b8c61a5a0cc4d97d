//! The record of a window, from its sums and its path. Everything is rounded here, once.

use crate::decimal::Decimal;
use crate::interval::Interval;
use crate::metrics::{Bars, ClosedBy, Input, Metrics, Quality, Reasons, Undefined, VwapReason};
use crate::price::{Price, Quantity};
use crate::wide::Wide;

use super::edges::Edges;
use super::fold::Settings;
use super::gaps::State;
use super::pane::Sums;
use super::path::{Path, Tick};

/// Digits after the point of the volatility, whose 16 significant digits are those of a double.
const VOLATILITY_DIGITS: usize = 18;

/// How the record is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    pub rev: u32,
    pub is_final: bool,
    pub closed_by: Option<ClosedBy>,
}

/// What is known of the input's completeness.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coverage {
    pub partial: bool,
    pub gaps: State,
}

impl Coverage {
    fn quality(self, backfilled: u64) -> Quality {
        match self {
            Self { partial: true, .. } => Quality::Partial,
            Self { gaps: State::Broken, .. } => Quality::Gap,
            Self { gaps: State::Healed, .. } => Quality::Backfilled,
            _ if backfilled > 0 => Quality::Backfilled,
            _ => Quality::Complete,
        }
    }
}

/// `(close - open) / open × 100`; undefined unless the opening price is positive.
fn change_pct(open: Decimal, close: Decimal) -> Option<Decimal> {
    if open.is_negative() || open.is_zero() {
        return None;
    }
    Wide::product(close.checked_sub(open)?, Decimal::from_int(100)).divide(Wide::of(open))
}

fn no_change(open: Decimal) -> Undefined {
    if open > Decimal::ZERO { Undefined::Precision } else { Undefined::NotPositive }
}

/// A number that is there needs no reason.
fn reason<T>(value: Option<T>, why: Undefined) -> Option<Undefined> {
    value.is_none().then_some(why)
}

/// A sum as a size. Beyond 20 digits before the point the largest size there is; no market trades that much.
fn size(sum: Wide) -> Quantity {
    Quantity::new(sum.sum().unwrap_or(Decimal::MAX)).unwrap_or(Quantity::ZERO)
}

/// Which window it is.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub symbol: &'a str,
    /// The number of the window.
    pub window: usize,
    pub start: i64,
    pub coverage: Coverage,
}

/// What a record is made from.
pub(crate) struct Content<'a> {
    pub place: Place<'a>,
    pub sums: &'a Sums,
    pub path: &'a Path,
}

/// A window in which nothing is known of any price.
fn blank(settings: &Settings, place: &Place<'_>, told: Told) -> Metrics {
    let Place { symbol, start, coverage, .. } = *place;
    let window = &settings.layout.windows[place.window];
    Metrics {
        symbol: symbol.to_owned(),
        window: window.span,
        window_start: start,
        window_end: window.end_of(start),
        rev: told.rev,
        is_final: told.is_final,
        closed_by: told.closed_by,
        open: None,
        high: None,
        low: None,
        close: None,
        volume: Quantity::ZERO,
        quote_volume: None,
        vwap: None,
        vwap_reason: None,
        twap: None,
        average: None,
        min: None,
        max: None,
        change_pct: None,
        trade_count: 0,
        volatility: None,
        buy_volume: None,
        partial: coverage.partial,
        quality: coverage.quality(0),
        input: Input { partition: settings.partition, first_offset: 0, last_offset: 0 },
        input_before: Vec::new(),
        late: 0,
        duplicate: 0,
        backfilled: 0,
        config: settings.config.clone(),
        bars: None,
        averages: Vec::new(),
        gap: coverage.gaps == State::Broken,
        reasons: Reasons::default(),
        // Joined when it leaves.
        sentiment: None,
    }
}

/// What trades and bars tell alike; the rest is undefined.
fn common(settings: &Settings, content: &Content<'_>, edges: &Edges, told: Told) -> Metrics {
    let Edges { open, close, low, high } = *edges;
    let change_pct = change_pct(open.price, close.price);
    Metrics {
        open: Some(Price::new(open.price)),
        high: Some(Price::new(high)),
        low: Some(Price::new(low)),
        close: Some(Price::new(close.price)),
        volume: size(content.sums.volume),
        min: Some(Price::new(low)),
        max: Some(Price::new(high)),
        change_pct,
        reasons: Reasons { change_pct: reason(change_pct, no_change(open.price)), ..Reasons::default() },
        ..provenance(settings, content, told)
    }
}

/// Where it comes from, and nothing of prices.
fn provenance(settings: &Settings, Content { place, sums, .. }: &Content<'_>, told: Told) -> Metrics {
    let coverage = Coverage { partial: place.coverage.partial || sums.lost.edges, ..place.coverage };
    Metrics {
        partial: coverage.partial,
        quality: coverage.quality(sums.backfilled),
        input: Input { partition: settings.partition, first_offset: sums.first_offset, last_offset: sums.last_offset },
        late: sums.late,
        duplicate: sums.duplicate,
        backfilled: sums.backfilled,
        ..blank(settings, place, told)
    }
}

/// A window of which every trade was taken back.
fn taken_back(settings: &Settings, content: &Content<'_>, told: Told) -> Metrics {
    let none = Some(Undefined::NoTrades);
    let reasons =
        Reasons { quote_volume: None, twap: none, average: none, change_pct: none, volatility: none, buy_volume: none };
    Metrics {
        quote_volume: Some(Decimal::ZERO),
        vwap_reason: Some(VwapReason::NoTrades),
        reasons,
        ..provenance(settings, content, told)
    }
}

/// A window without a trade after the trade `last`: its price, no volume, and no average of prices that were not paid.
pub(crate) fn carried(settings: &Settings, place: &Place<'_>, last: &Tick, told: Told) -> Metrics {
    let price = Some(Price::new(last.price));
    let (partition, offset) = (settings.partition, last.order.offset);
    let change_pct = change_pct(last.price, last.price);
    let none = Some(Undefined::NoTrades);
    let reasons = Reasons {
        quote_volume: None,
        twap: none,
        average: none,
        change_pct: reason(change_pct, no_change(last.price)),
        volatility: none,
        buy_volume: none,
    };
    let no_bars = settings.bars.map(|interval| Bars { interval, count: 0 });
    Metrics {
        open: price,
        high: price,
        low: price,
        close: price,
        quote_volume: Some(Decimal::ZERO),
        vwap_reason: Some(VwapReason::NoTrades),
        min: price,
        max: price,
        change_pct,
        reasons,
        input: Input { partition, first_offset: offset, last_offset: offset },
        bars: no_bars,
        ..blank(settings, place, told)
    }
}

pub(crate) fn metrics(settings: &Settings, content: &Content<'_>, told: Told) -> Metrics {
    let Content { sums, path, .. } = *content;
    let Some(edges) = &sums.edges else { return taken_back(settings, content, told) };
    let common = common(settings, content, edges, told);
    if let Some(interval) = settings.bars {
        return rolled_up(interval, sums, common);
    }
    let exact = |value: Option<Decimal>| if sums.overflow { None } else { value };
    let vwap = exact(sums.quote.divide(sums.volume));
    let no_vwap = if sums.volume.is_zero() { VwapReason::ZeroVolume } else { VwapReason::Precision };
    let trades = i64::try_from(sums.trades).unwrap_or(i64::MAX);
    let quote_volume = exact(sums.quote.product_sum());
    let lost = sums.lost;
    let twap = path.twap(common.window_end).filter(|_| !lost.path);
    let average = exact(sums.prices.divide(Wide::count(trades)));
    let volatility = path.volatility().and_then(|v| Decimal::from_f64(v, VOLATILITY_DIGITS)).filter(|_| !lost.path);
    let buy_volume = (sums.sided > 0 && !lost.sides).then(|| size(sums.buys));
    let unless = |lost: bool, why: Undefined| if lost { Undefined::Amended } else { why };
    let reasons = Reasons {
        quote_volume: reason(quote_volume, Undefined::Precision),
        twap: reason(twap, unless(lost.path, path.no_twap())),
        average: reason(average, Undefined::Precision),
        volatility: reason(volatility, unless(lost.path, path.no_volatility())),
        buy_volume: reason(buy_volume, unless(lost.sides, Undefined::NoSide)),
        ..common.reasons
    };
    Metrics {
        quote_volume,
        reasons,
        vwap,
        vwap_reason: vwap.is_none().then_some(no_vwap),
        twap,
        average,
        trade_count: sums.trades,
        volatility,
        buy_volume,
        ..common
    }
}

/// Bars tell prices and volumes, and their quote volume where each of them does; nothing of the trades they were made of.
fn rolled_up(interval: Interval, sums: &Sums, common: Metrics) -> Metrics {
    let quote_is_known = sums.sided == sums.trades && !sums.overflow;
    let quote_volume = if quote_is_known { sums.quote.product_sum() } else { None };
    let none = Some(Undefined::FromBars);
    let no_quote = if quote_is_known { Undefined::Precision } else { Undefined::FromBars };
    let reasons = Reasons {
        quote_volume: reason(quote_volume, no_quote),
        twap: none,
        average: none,
        volatility: none,
        buy_volume: none,
        ..common.reasons
    };
    Metrics {
        quote_volume,
        reasons,
        vwap_reason: Some(VwapReason::FromBars),
        bars: Some(Bars { interval, count: sums.trades }),
        ..common
    }
}
