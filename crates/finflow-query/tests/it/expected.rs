//! What each named query should answer, computed from the very rows in plain Rust.

use std::collections::{BTreeMap, BTreeSet};

use crate::rows::{BTC, Bar, Daily, ETH, GAPS, LETTERS, NEWS, News, Trade, day, hour, rfc3339, trades};

pub type Answer = Vec<Vec<String>>;

/// Cells as text; numbers are compared as such.
macro_rules! row {
    ($($cell:expr),+) => { vec![$($cell.to_string()),+] };
}

pub fn of(name: &str, daily: &Daily) -> Answer {
    match name {
        "correlation" => correlation(daily),
        "daily_average" => daily_average(daily),
        "data_quality" => data_quality(),
        "dead_letters" => dead_letters(),
        "drawdown" => drawdown(daily),
        "gaps" => gaps(),
        "latency" => latency(1),
        "moving_average" => moving_average(daily),
        "price_history" => price_history(),
        "sentiment" => sentiment(),
        "symbol_comparison" => symbol_comparison(),
        "top_gainers" => movers(true),
        "top_losers" => movers(false),
        "volatility" => volatility(daily),
        "volume_leaders" => volume_leaders(),
        "vwap_by_hour" => vwap_by_hour(),
        _ => panic!("{name} has no expected answer"),
    }
}

fn all_trades() -> Vec<Trade> {
    trades(BTC).into_iter().chain(trades(ETH)).collect()
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

/// A value of which so many digits are asked for. Where it lies in the middle between two of those, such as 11696.15005, either
/// will do: half a century of averages has such, and doubles cannot tell.
fn digits(value: f64, digits: u32) -> String {
    format!("{value}~{digits}")
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Bars of each symbol in the order of time.
fn series(daily: &Daily) -> BTreeMap<&str, Vec<&Bar>> {
    let mut by_symbol = BTreeMap::<&str, Vec<&Bar>>::new();
    daily.bars.iter().for_each(|bar| by_symbol.entry(&bar.symbol).or_default().push(bar));
    by_symbol.values_mut().for_each(|bars| bars.sort_by_key(|bar| bar.start));
    by_symbol
}

fn returns(bars: &[&Bar]) -> BTreeMap<i64, f64> {
    bars.windows(2).map(|pair| (pair[1].start, pair[1].close / pair[0].close - 1.0)).collect()
}

/// Values by symbol, day and hour, in that order.
fn by_hour<T>(trades: &[Trade], value: impl Fn(&Trade) -> T) -> BTreeMap<(String, String, String), Vec<T>> {
    let mut hours = BTreeMap::<_, Vec<T>>::new();
    for trade in trades {
        let key = (trade.symbol.to_owned(), day(trade.event_time), hour(trade.event_time));
        hours.entry(key).or_default().push(value(trade));
    }
    hours
}

fn correlation(daily: &Daily) -> Answer {
    let series = series(daily);
    let (a, b) = (returns(&series[daily.first]), returns(&series[daily.second]));
    let pairs: Vec<(f64, f64)> = a.iter().filter_map(|(start, x)| Some((*x, *b.get(start)?))).collect();
    let (xs, ys): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (mean_x, mean_y) = (mean(&xs), mean(&ys));
    let sum = |term: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|(x, y)| term(x - mean_x, y - mean_y)).sum::<f64>();
    let correlation = sum(&|x, y| x * y) / (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    vec![row![pairs.len(), rounded(correlation, 6)]]
}

fn daily_average(daily: &Daily) -> Answer {
    let mut days = BTreeMap::<(String, String), Vec<f64>>::new();
    for trade in all_trades() {
        days.entry((trade.symbol.to_owned(), day(trade.event_time))).or_default().push(trade.price);
    }
    for bar in &daily.bars {
        days.entry((bar.symbol.clone(), day(bar.start))).or_default().push(bar.close);
    }
    days.into_iter().map(|((symbol, day), prices)| row![symbol, day, digits(mean(&prices), 2)]).collect()
}

/// The windows that hold a trade: a minute, and the five that reach over five minutes.
fn windows(trade: &Trade) -> impl Iterator<Item = (&'static str, i64)> {
    let minute = trade.minute();
    let hops = (0..5).map(move |back| ("5m/1m", minute - back * 60_000_000_000));
    std::iter::once(("1m", minute)).chain(hops)
}

/// The first trade of each symbol was sent twice, and the windows that hold it began before it: they are partial.
fn data_quality() -> Answer {
    let mut counts = BTreeMap::<_, (u64, u64)>::new();
    for symbol in [BTC, ETH] {
        let trades = trades(symbol);
        let first: BTreeSet<_> = windows(&trades[0]).collect();
        for (window, start) in trades.iter().flat_map(windows).collect::<BTreeSet<_>>() {
            let is_first = first.contains(&(window, start));
            let of_kind = counts.entry((day(start), if is_first { "partial" } else { "complete" })).or_default();
            *of_kind = (of_kind.0 + 1, of_kind.1 + u64::from(is_first));
        }
    }
    counts.into_iter().map(|((day, quality), (windows, twice))| row![day, quality, windows, 0, twice]).collect()
}

fn dead_letters() -> Answer {
    let mut counts = BTreeMap::<_, u64>::new();
    for (time_ms, stage, reason) in LETTERS {
        *counts.entry((day(time_ms * 1_000_000), stage, reason)).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|((day, stage, reason), count)| (day.clone(), std::cmp::Reverse(*count), *stage, *reason));
    counts.into_iter().map(|((day, stage, reason), count)| row![day, stage, reason, count]).collect()
}

fn drawdown(daily: &Daily) -> Answer {
    let mut falls = Vec::new();
    for (symbol, bars) in series(daily) {
        let (mut peak, mut deepest) = (f64::MIN, f64::MAX);
        for bar in &bars {
            peak = peak.max(bar.close);
            deepest = deepest.min(bar.close / peak - 1.0);
        }
        falls.push((rounded(deepest * 100.0, 4), symbol, bars.len()));
    }
    falls.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(b.1)));
    falls.into_iter().map(|(deepest, symbol, bars)| row![symbol, deepest, bars]).collect()
}

fn gaps() -> Answer {
    let [first, second, other] = &GAPS;
    vec![
        row![ETH, first.cause, 2, rfc3339(first.from), rfc3339(second.to)],
        row![BTC, other.cause, 1, rfc3339(other.from), rfc3339(other.to)],
    ]
}

fn sentiment() -> Answer {
    let mut by_day = BTreeMap::<(String, &str), Vec<&News>>::new();
    NEWS.iter().for_each(|news| by_day.entry((day(news.event_time), news.symbol)).or_default().push(news));
    let row = |((day, symbol), items): ((String, &str), Vec<&News>)| {
        let scored: Vec<(f64, f64)> =
            items.iter().filter_map(|news| Some((news.score?, news.relevance.unwrap_or(1.0)))).collect();
        let weight: f64 = scored.iter().map(|(_, weight)| weight).sum();
        let sum: f64 = scored.iter().map(|(score, weight)| score * weight).sum();
        let mean = if weight == 0.0 { String::new() } else { rounded(sum / weight, 6).to_string() };
        let lowest = scored.iter().map(|(score, _)| *score).reduce(f64::min).expect("each has a score");
        let highest = scored.iter().map(|(score, _)| *score).reduce(f64::max).expect("each has a score");
        row![day, symbol, items.len(), scored.len(), mean, lowest, highest]
    };
    by_day.into_iter().map(row).collect()
}

/// Between times that an engine rounds to so many nanoseconds when it reads them, and then cuts to milliseconds.
pub fn latency(precision_ns: i64) -> Answer {
    let ms = |ns: i64| ((ns + precision_ns / 2).div_euclid(precision_ns) * precision_ns).div_euclid(1_000_000);
    let waits = by_hour(&all_trades(), |trade| ms(trade.receive_time) - ms(trade.event_time));
    let row = |((symbol, day, hour), waits): ((String, String, String), Vec<i64>)| {
        let (shortest, longest) = (waits.iter().min().expect("a trade"), waits.iter().max().expect("a trade"));
        let average = waits.iter().sum::<i64>() as f64 / waits.len() as f64;
        row![symbol, day, hour, waits.len(), shortest, rounded(average, 3), longest]
    };
    waits.into_iter().map(row).collect()
}

fn moving_average(daily: &Daily) -> Answer {
    let closes: Vec<(i64, f64)> = series(daily)[daily.first].iter().map(|bar| (bar.start, bar.close)).collect();
    let average = |at: usize, length: usize| {
        let last: Vec<f64> = closes[(at + 1).saturating_sub(length)..=at].iter().map(|(_, close)| *close).collect();
        digits(mean(&last), 4)
    };
    let row =
        |(at, (start, close)): (usize, &(i64, f64))| row![rfc3339(*start), close, average(at, 20), average(at, 50)];
    closes.iter().enumerate().map(row).collect()
}

fn price_history() -> Answer {
    let mut minutes = BTreeMap::<i64, Vec<Trade>>::new();
    trades(BTC).into_iter().for_each(|trade| minutes.entry(trade.minute()).or_default().push(trade));
    let row = |(start, mut trades): (i64, Vec<Trade>)| {
        trades.sort_by_key(|trade| (trade.event_time, trade.id));
        let prices: Vec<f64> = trades.iter().map(|trade| trade.price).collect();
        let (high, low) =
            (prices.iter().copied().fold(f64::MIN, f64::max), prices.iter().copied().fold(f64::MAX, f64::min));
        let volume: f64 = trades.iter().map(|trade| trade.quantity).sum();
        let turnover: f64 = trades.iter().map(|trade| trade.price * trade.quantity).sum();
        let (open, close) = (prices[0], prices[prices.len() - 1]);
        row![rfc3339(start), open, high, low, close, volume, turnover / volume, trades.len(), true]
    };
    minutes.into_iter().map(row).collect()
}

fn symbol_comparison() -> Answer {
    let hours = by_hour(&all_trades(), |trade| trade.price);
    let mut rows = Answer::new();
    for ((_, day, hour), prices) in hours.iter().filter(|((symbol, ..), _)| symbol == BTC) {
        let (first, second) = (mean(prices), mean(&hours[&(ETH.to_owned(), day.clone(), hour.clone())]));
        rows.push(row![day, hour, rounded(first, 6), rounded(second, 6), rounded(first / second, 6)]);
    }
    rows
}

fn movers(best_first: bool) -> Answer {
    let change = |symbol| {
        let mut trades = trades(symbol);
        // Offsets are in the order of the recording; the sort keeps it among equal times.
        trades.sort_by_key(|trade| trade.event_time);
        let (first, last) = (trades[0].price, trades[trades.len() - 1].price);
        (rounded((last - first) / first * 100.0, 4), symbol, first, last)
    };
    let mut changes = [change(BTC), change(ETH)];
    changes.sort_by(|a, b| if best_first { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) });
    changes.into_iter().map(|(change, symbol, first, last)| row![symbol, first, last, change]).collect()
}

fn volatility(daily: &Daily) -> Answer {
    let mut all = Vec::new();
    for (symbol, bars) in series(daily) {
        let returns: Vec<f64> = returns(&bars).into_values().collect();
        let average = mean(&returns);
        let variance = returns.iter().map(|x| (x - average).powi(2)).sum::<f64>() / (returns.len() - 1) as f64;
        all.push((rounded(variance.sqrt() * 252f64.sqrt(), 6), symbol, returns.len()));
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    all.into_iter().map(|(yearly, symbol, days)| row![symbol, days, yearly]).collect()
}

fn volume_leaders() -> Answer {
    let of = |symbol| {
        let trades = trades(symbol);
        let volume: f64 = trades.iter().map(|trade| trade.quantity).sum();
        let turnover: f64 = trades.iter().map(|trade| trade.price * trade.quantity).sum();
        row![symbol, trades.len(), volume, rounded(turnover, 2)]
    };
    // Of bitcoin more is traded.
    vec![of(BTC), of(ETH)]
}

fn vwap_by_hour() -> Answer {
    let row = |((_, day, hour), trades): ((String, String, String), Vec<(f64, f64)>)| {
        let volume: f64 = trades.iter().map(|(_, quantity)| quantity).sum();
        let turnover: f64 = trades.iter().map(|(price, quantity)| price * quantity).sum();
        row![day, hour, rounded(turnover / volume, 6), volume, trades.len()]
    };
    by_hour(&trades(BTC), |trade| (trade.price, trade.quantity)).into_iter().map(row).collect()
}
