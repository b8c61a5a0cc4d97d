//! From the records of the topics to what the API shows.

use std::sync::Arc;

use market::{Decimal, Metrics, Quality, Wide};

use super::ticker::Ticker;
use crate::wire::{Bar, Quote, Time};

pub(super) fn quote(
    name: &Arc<str>,
    ticker: &Ticker,
    spark: Option<Vec<Decimal>>,
    windows: Option<Vec<Arc<str>>>,
) -> Quote {
    let last = &ticker.last;
    Quote {
        symbol: name.clone(),
        kind: last.kind,
        price: last.price,
        size: last.size,
        side: last.side,
        bid: ticker.bid,
        ask: ticker.ask,
        time: Time(last.event_time),
        seen: Time(last.seen),
        change_pct: ticker.change_pct(),
        reference: ticker.reference.clone(),
        spark_at: ticker.spark_at,
        spark,
        windows,
    }
}

pub(super) fn bar(metrics: &Metrics) -> Bar {
    Bar {
        start: Time(metrics.window_start),
        end: Time(metrics.window_end),
        rev: metrics.rev,
        is_final: metrics.is_final,
        closed_by: metrics.closed_by,
        open: metrics.open.map(|price| price.get()),
        high: metrics.high.map(|price| price.get()),
        low: metrics.low.map(|price| price.get()),
        close: metrics.close.map(|price| price.get()),
        volume: metrics.volume.get(),
        quote_volume: metrics.quote_volume,
        vwap: metrics.vwap,
        vwap_reason: metrics.vwap_reason,
        twap: metrics.twap,
        average: metrics.average,
        change_pct: metrics.change_pct,
        trade_count: Some(metrics.trade_count),
        volatility: metrics.volatility,
        buy_volume: metrics.buy_volume.map(|volume| volume.get()),
        partial: metrics.partial,
        quality: metrics.quality,
        input: Some(metrics.input),
        late: metrics.late,
        duplicate: metrics.duplicate,
        backfilled: metrics.backfilled,
    }
}

/// A bar that came as a bar has what its source said, and nothing that only trades could tell.
pub(super) fn plain(bar: &market::Bar) -> Bar {
    let (open, close) = (bar.open.get(), bar.close.get());
    let change =
        close.checked_sub(open).and_then(|moved| Wide::product(moved, Decimal::from_int(100)).divide(Wide::of(open)));
    Bar {
        start: Time(bar.start),
        end: Time(bar.end),
        rev: 0,
        is_final: true,
        closed_by: None,
        open: Some(open),
        high: Some(bar.high.get()),
        low: Some(bar.low.get()),
        close: Some(close),
        volume: bar.volume.get(),
        quote_volume: None,
        vwap: None,
        vwap_reason: None,
        twap: None,
        average: None,
        change_pct: change,
        trade_count: None,
        volatility: None,
        buy_volume: None,
        partial: false,
        quality: Quality::Complete,
        input: None,
        late: 0,
        duplicate: 0,
        backfilled: 0,
    }
}
