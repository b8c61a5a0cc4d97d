//! The same metrics computed the plain way: sort the trades of a window, then look at all of them. Shares no code with the fold
//! but the exact numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::average::{Average, AverageKind};
use crate::metrics::{Quality, Reasons, Undefined, VwapReason};
use crate::span::Span;
use crate::time::{Civil, NS_PER_DAY as DAY};
use crate::wide::Wide;

fn sum(values: impl Iterator<Item = Wide>) -> Wide {
    values.fold(Wide::ZERO, |a, b| a.checked_add(b).unwrap())
}

fn sort_key(p: &Print) -> (i64, u64, i64) {
    (p.time, p.id.as_ref().and_then(|id| id.parse().ok()).unwrap_or(u64::MAX), p.offset)
}

/// Every window that holds a trade, as [`content`] leaves it, and those that carry a price.
pub(crate) fn metrics(symbol: &str, prints: &[Print], options: &Options, config: &str) -> Vec<Metrics> {
    metrics_without(symbol, prints, &BTreeSet::new(), options, config)
}

/// The same where the trades at the offsets `void` were taken back: windows that hold others too know only those.
pub(crate) fn metrics_without(
    symbol: &str,
    prints: &[Print],
    void: &BTreeSet<i64>,
    options: &Options,
    config: &str,
) -> Vec<Metrics> {
    let spans = &options.windows;
    let first = prints.iter().map(|p| p.time).min().unwrap_or(0);
    let mut windows: BTreeMap<(Span, i64, i64), Vec<&Print>> = BTreeMap::new();
    for print in prints {
        for span in spans {
            for (start, end) in around(*span, print.time) {
                windows.entry((*span, start, end)).or_default().push(print);
            }
        }
    }
    if options.empty == Empty::Carry {
        let latest = prints.iter().map(|p| p.time).max().unwrap_or(0);
        for span in spans {
            silences(*span, latest - options.out_of_orderness_ns - options.lateness_ns, &mut windows);
        }
    }
    let mut sorted: Vec<&Print> = prints.iter().filter(|p| !void.contains(&p.offset)).collect();
    sorted.sort_by_key(|p| sort_key(p));
    let records = windows.into_iter().filter_map(|((span, start, end), mut trades)| {
        trades.sort_by_key(|p| sort_key(p));
        let had_some = !trades.is_empty();
        trades.retain(|p| !void.contains(&p.offset));
        if trades.is_empty() {
            // One that was cancelled tells no price; one that carries needs a trade before it.
            let before = sorted.partition_point(|p| p.time < start).checked_sub(1);
            let last = match had_some {
                true => prints.iter().find(|p| p.time >= start && p.time < end)?,
                false => sorted[before?],
            };
            let one = record(symbol, span, (start, end), &[last], false, config);
            let none = (Quantity::ZERO, Some(Decimal::ZERO), None, Some(VwapReason::NoTrades));
            let (volume, quote_volume, vwap, vwap_reason) = none;
            let carried = Metrics { volume, quote_volume, vwap, vwap_reason, twap: None, average: None, ..one };
            let none = Some(Undefined::NoTrades);
            let reasons = Reasons { twap: none, average: none, buy_volume: none, ..carried.reasons };
            let carried = Metrics { trade_count: 0, buy_volume: None, reasons, ..carried };
            let of_change = Reasons { change_pct: none, ..reasons };
            let partial = start < first;
            return Some(match had_some {
                true => Metrics {
                    open: None,
                    high: None,
                    low: None,
                    close: None,
                    min: None,
                    max: None,
                    change_pct: None,
                    reasons: of_change,
                    partial,
                    quality: if partial { Quality::Partial } else { Quality::Complete },
                    ..carried
                },
                false => carried,
            });
        }
        Some(record(symbol, span, (start, end), &trades, start < first, config))
    });
    let mut records: Vec<Metrics> = records.collect();
    for of_span in records.chunk_by_mut(|a, b| a.window == b.window) {
        let mut closes: Vec<Decimal> = Vec::new();
        for record in of_span {
            closes.extend(record.close.map(Price::get));
            record.averages = options.averages.iter().map(|a| (*a, average(*a, &closes))).collect();
        }
    }
    records
}

/// From the first bar on, each time.
fn average(average: Average, closes: &[Decimal]) -> Option<Decimal> {
    let bars = usize::from(average.bars());
    let mean = |of: &[Decimal]| sum(of.iter().map(|c| Wide::of(*c))).divide(Wide::count(bars as i64));
    if closes.len() < bars {
        return None;
    }
    if average.kind == AverageKind::Simple {
        return mean(&closes[closes.len() - bars..]);
    }
    closes[bars..].iter().fold(mean(&closes[..bars]), |before, close| {
        let weighted = sum([Wide::times(*close, 2), Wide::times(before.unwrap(), bars as i64 - 1)].into_iter());
        weighted.divide(Wide::count(bars as i64 + 1))
    })
}

/// Walks over all windows of a kind, one after the other, and adds the empty ones that end up to `upto`: an hour of seconds in a row.
fn silences(span: Span, upto: i64, windows: &mut BTreeMap<(Span, i64, i64), Vec<&Print>>) {
    let ours: Vec<(i64, i64)> = windows.keys().filter(|key| key.0 == span).map(|key| (key.1, key.2)).collect();
    let (mut start, mut end) = ours[0];
    let mut quiet = 0;
    while end <= upto {
        if ours.binary_search(&(start, end)).is_ok() {
            quiet = 0;
        } else {
            quiet += 1;
            let is_rest = span.to_string().contains('@') && is_rest(start);
            if quiet <= 3_600 && !is_rest {
                windows.insert((span, start, end), Vec::new());
            }
        }
        (start, end) = match span.is_tumbling() {
            true => around(span, end)[0],
            false => (start + span.slide().ns(), end + span.slide().ns()),
        };
    }
}

/// Whether a window that starts there lies outside the sessions: it begins at a close.
fn is_rest(start: i64) -> bool {
    let (day, of_day) = (start.div_euclid(DAY), start.rem_euclid(DAY) / (60 * S));
    let date = Civil::of(day * DAY).date();
    of_day
        == match date.as_str() {
            "2024-11-29" => 18 * 60,
            date if date.starts_with("2024-08") => 20 * 60,
            _ => 21 * 60,
        }
}

/// Every window that holds `time`: start and end.
fn around(span: Span, time: i64) -> Vec<(i64, i64)> {
    match span.to_string().as_str() {
        "1w" => {
            // Day by day back to a Monday: four days after 1970 began, there was one.
            let mut day = time.div_euclid(DAY);
            while (day - 4).rem_euclid(7) != 0 {
                day -= 1;
            }
            vec![(day * DAY, (day + 7) * DAY)]
        }
        "1mo" => {
            let month = |day: i64| Civil::of(day * DAY).date()[..7].to_owned();
            let today = time.div_euclid(DAY);
            let first = (0..).map(|n| today - n).find(|day| month(day - 1) != month(today)).unwrap();
            let next = (1..).map(|n| today + n).find(|day| month(*day) != month(today)).unwrap();
            vec![(first * DAY, next * DAY)]
        }
        text if text.contains('@') => vec![in_session(span.size().ns(), time)],
        _ => {
            let (size, slide) = (span.size().ns(), span.slide().ns());
            let last = time.div_euclid(slide) * slide;
            let starts = (0..).map(|n| last - n * slide).take_while(|start| *start > time - size);
            starts.map(|start| (start, start + size)).collect()
        }
    }
}

/// New York by hand, for the days that the tests trade on: summer time in August 2024 only, Thanksgiving 2024 and the short day after it.
fn in_session(size: i64, time: i64) -> (i64, i64) {
    const HOUR: i64 = 3_600 * S;
    let behind = if Civil::of(time).date().starts_with("2024-08") { 4 } else { 5 };
    let (mut from, mut to) = (i64::MIN, i64::MAX);
    for day in time.div_euclid(DAY) - 8..time.div_euclid(DAY) + 8 {
        let date = Civil::of(day * DAY).date();
        // Day 2 was a Saturday.
        if (day - 2).rem_euclid(7) < 2 || date == "2024-11-28" {
            continue;
        }
        let open = day * DAY + behind * HOUR + 9 * HOUR + HOUR / 2;
        let close = day * DAY + behind * HOUR + if date == "2024-11-29" { 13 } else { 16 } * HOUR;
        // Every border there is, one after the other.
        let borders = (0..).map(|n| open + n * size).take_while(|border| *border < close).chain([close]);
        for border in borders {
            if border <= time {
                from = from.max(border);
            } else {
                to = to.min(border);
            }
        }
    }
    (from, to)
}

fn record(
    symbol: &str,
    span: Span,
    (start, end): (i64, i64),
    trades: &[&Print],
    partial: bool,
    config: &str,
) -> Metrics {
    let (open, close) = (trades[0].price, trades[trades.len() - 1].price);
    let high = trades.iter().map(|t| t.price).max().unwrap();
    let low = trades.iter().map(|t| t.price).min().unwrap();
    let volume = sum(trades.iter().map(|t| Wide::of(t.quantity)));
    let quote = sum(trades.iter().map(|t| Wide::product(t.price, t.quantity)));
    let bought = sum(trades.iter().filter(|t| t.side == Some(Side::Buy)).map(|t| Wide::of(t.quantity)));
    let until = |i: usize| trades.get(i + 1).map_or(end, |t| t.time);
    let weighted = sum(trades.iter().enumerate().map(|(i, t)| Wide::times(t.price, until(i) - t.time)));
    let change = Wide::product(close.checked_sub(open).unwrap(), Decimal::from_int(100)).divide(Wide::of(open));
    let quantity = |sum: Wide| Quantity::new(sum.sum().unwrap()).unwrap();
    let vwap = quote.divide(volume);
    Metrics {
        symbol: symbol.into(),
        window: span,
        window_start: start,
        window_end: end,
        rev: 0,
        is_final: true,
        closed_by: None,
        open: Some(Price::new(open)),
        high: Some(Price::new(high)),
        low: Some(Price::new(low)),
        close: Some(Price::new(close)),
        volume: quantity(volume),
        quote_volume: quote.product_sum(),
        vwap,
        vwap_reason: vwap.is_none().then_some(VwapReason::ZeroVolume),
        twap: weighted.divide(Wide::count(end - trades[0].time)),
        average: sum(trades.iter().map(|t| Wide::of(t.price))).divide(Wide::count(trades.len() as i64)),
        min: Some(Price::new(low)),
        max: Some(Price::new(high)),
        change_pct: if open > Decimal::ZERO { change } else { None },
        trade_count: trades.len() as u64,
        volatility: None,
        buy_volume: trades.iter().any(|t| t.side.is_some()).then(|| quantity(bought)),
        partial,
        quality: if partial { Quality::Partial } else { Quality::Complete },
        input: Offsets { partition: 0, first_offset: 0, last_offset: 0 },
        late: 0,
        duplicate: 0,
        backfilled: 0,
        config: config.to_owned(),
        bars: None,
        averages: Vec::new(),
        input_before: Vec::new(),
        gap: false,
        reasons: Reasons {
            change_pct: (open <= Decimal::ZERO).then_some(Undefined::NotPositive),
            volatility: None,
            buy_volume: trades.iter().all(|t| t.side.is_none()).then_some(Undefined::NoSide),
            ..Reasons::default()
        },
        sentiment: None,
    }
}

/// The volatility of trades in order, two passes in doubles; and the sum of the squared returns, the size of what cancels in it.
pub(crate) fn volatility(prints: &mut [Print]) -> Option<(f64, f64)> {
    prints.sort_by_key(sort_key);
    let prices: Vec<f64> = prints.iter().map(|p| p.price.to_f64()).collect();
    if prices.len() < 3 || prices.iter().any(|p| *p <= 0.0) {
        return None;
    }
    let r: Vec<f64> = prices.windows(2).map(|w| ((w[1] - w[0]) / w[0]).ln_1p()).collect();
    let mean = r.iter().sum::<f64>() / r.len() as f64;
    let variance = r.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (r.len() - 1) as f64;
    Some((variance.sqrt(), r.iter().map(|x| x * x).sum()))
}
