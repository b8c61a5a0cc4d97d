use market::{ClosedBy, Decimal, Input, Interval, Price, Quality, Quantity, Span};

use super::*;
use crate::wire::Time;

const SECOND: i64 = 1_000_000_000;
const NOW: i64 = 1_723_161_255 * SECOND;

/// One second long, with metrics behind it.
pub(crate) fn bar(start: i64, rev: u32) -> Bar {
    let one = Some(Decimal::ONE);
    Bar {
        start: Time(start),
        end: Time(start + SECOND),
        rev,
        is_final: false,
        closed_by: None,
        open: one,
        high: one,
        low: one,
        close: one,
        volume: Decimal::ONE,
        quote_volume: one,
        vwap: one,
        vwap_reason: None,
        twap: one,
        average: one,
        change_pct: Some(Decimal::ZERO),
        trade_count: Some(1),
        volatility: None,
        buy_volume: None,
        partial: false,
        quality: Quality::Complete,
        input: Some(Input { partition: 0, first_offset: 0, last_offset: 1 }),
        late: 0,
        duplicate: 0,
        backfilled: 0,
    }
}

fn trade(symbol: &str, price: &str, event_time: i64) -> Event {
    Event::Trade(Trade {
        venue: "BINANCE".to_owned(),
        symbol: symbol.to_owned(),
        trade_id: None,
        price: price.parse().unwrap(),
        quantity: "0.5".parse().unwrap(),
        side: None,
        conditions: Vec::new(),
        event_time,
        receive_time: None,
        backfilled: false,
    })
}

pub(crate) fn metrics(symbol: &str, start: i64, rev: u32, close: &str) -> Metrics {
    let price: Option<Price> = Some(close.parse().unwrap());
    let number = price.map(Price::get);
    Metrics {
        symbol: symbol.to_owned(),
        window: Span::tumbling(Interval::MINUTE),
        window_start: start,
        window_end: start + 60 * SECOND,
        rev,
        is_final: rev > 1,
        closed_by: (rev > 1).then_some(ClosedBy::EventTime),
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Quantity::ZERO,
        quote_volume: number,
        vwap: number,
        vwap_reason: None,
        twap: number,
        average: number,
        min: price,
        max: price,
        change_pct: None,
        trade_count: 3,
        volatility: None,
        buy_volume: None,
        partial: false,
        quality: Quality::Complete,
        input: Input { partition: 1, first_offset: 10, last_offset: 12 },
        late: 0,
        duplicate: 0,
        backfilled: 0,
        config: "c".to_owned(),
        bars: None,
        averages: Vec::new(),
        input_before: Vec::new(),
        gap: false,
        reasons: Default::default(),
        sentiment: None,
    }
}

fn alert(id: &str, value: i64) -> market::Alert {
    market::Alert {
        alert_id: id.to_owned(),
        rule: "r".to_owned(),
        rule_kind: market::RuleKind::Threshold,
        state: market::AlertState::Fired,
        symbol: "A".to_owned(),
        metric: "close".to_owned(),
        window: Span::tumbling(Interval::MINUTE),
        window_start: NOW,
        window_end: NOW + 60 * SECOND,
        direction: market::Direction::Above,
        value: Decimal::from_int(value),
        threshold: Decimal::ONE,
        event_time: NOW,
        input: market::Coordinates { partition: 0, offset: 0, rev: 0 },
        config: "c".to_owned(),
    }
}

fn view() -> View {
    View::new(config::View::default())
}

fn small() -> View {
    View::new(config::View { symbols: 3, bars: 100, bars_total: 128, alerts: 2, ..config::View::default() })
}

#[test]
fn a_round_holds_the_latest_of_each_and_nothing_twice() {
    let mut view = view();
    assert!(view.take_round().is_none(), "nothing has happened");
    for n in 0..100 {
        view.event(&trade("A", &format!("{n}.5"), NOW + n), NOW);
        view.metrics(&metrics("A", NOW, n as u32, "7"), NOW);
    }
    view.event(&trade("B", "2", NOW), NOW);
    let (round, changes) = view.take_round().unwrap();
    let prices: Vec<(String, String)> =
        changes.quotes.iter().map(|q| (q.symbol.to_string(), q.price.to_string())).collect();
    assert_eq!((round, prices), (1, vec![("A".to_owned(), "99.5".to_owned()), ("B".to_owned(), "2".to_owned())]));
    assert_eq!(changes.bars.iter().map(|(_, window, bar)| (&**window, bar.rev)).collect::<Vec<_>>(), [("1m", 99)]);
    assert!(view.take_round().is_none());
    view.event(&trade("B", "3", NOW), NOW);
    let (round, changes) = view.take_round().unwrap();
    assert_eq!((round, changes.quotes.len(), changes.bars.len()), (2, 1, 0));
}

#[test]
fn windows_are_told_when_they_change_and_not_again() {
    let mut view = view();
    view.event(&trade("A", "1", NOW), NOW);
    view.metrics(&metrics("A", NOW, 0, "1"), NOW);
    let told = |view: &mut View| view.take_round().unwrap().1.quotes[0].windows.clone();
    assert_eq!(told(&mut view).map(|windows| windows.len()), Some(1));
    view.event(&trade("A", "2", NOW), NOW);
    assert_eq!(told(&mut view), None);
}

#[test]
fn what_a_client_missed_is_the_latest_of_what_changed() {
    let mut view = view();
    view.event(&trade("A", "1", NOW), NOW);
    view.metrics(&metrics("A", NOW, 0, "1"), NOW);
    view.alert(&alert("first", 1));
    view.take_round();
    for n in 1..=5 {
        view.event(&trade("B", &n.to_string(), NOW + n), NOW);
        view.metrics(&metrics("B", NOW, n as u32, "2"), NOW);
        view.take_round();
    }
    view.alert(&alert("second", 2));
    let missed = view.changed_since(1, |_| true, |_, _| true);
    assert_eq!(missed.quotes.iter().map(|q| (&*q.symbol, q.price)).collect::<Vec<_>>(), [("B", Decimal::from_int(5))]);
    assert_eq!(missed.bars.iter().map(|(symbol, _, bar)| (&**symbol, bar.rev)).collect::<Vec<_>>(), [("B", 5)]);
    assert_eq!(missed.alerts.iter().map(|alert| &*alert.alert_id).collect::<Vec<_>>(), ["second"]);
    let of_a = view.changed_since(0, |symbol| symbol == "A", |symbol, window| (symbol, window) == ("A", "1m"));
    assert_eq!((of_a.quotes.len(), of_a.bars.len()), (1, 1));
}

#[test]
fn rounds_that_nobody_saw_are_not_lost_to_those_who_come_back() {
    let mut view = view();
    view.event(&trade("A", "1", NOW), NOW);
    view.skip_round();
    view.event(&trade("A", "2", NOW), NOW);
    view.skip_round();
    assert!(view.take_round().is_none());
    assert_eq!(view.changed_since(1, |_| true, |_, _| true).quotes[0].price, Decimal::from_int(2));
}

#[test]
fn every_kind_of_thing_is_bounded_and_what_finds_no_room_is_counted() {
    let mut view = small();
    for symbol in ["A", "B", "C", "D", &"X".repeat(65)] {
        view.event(&trade(symbol, "1", NOW), NOW);
    }
    assert_eq!((view.size().symbols, view.size().refused), (3, 2));
    for n in 0..1000 {
        for symbol in ["A", "B", "C"] {
            view.metrics(&metrics(symbol, NOW + n * 60 * SECOND, 0, "1"), i64::MAX / 2);
        }
        assert!(view.size().bars <= 128, "{:?}", view.size());
    }
    let counted: usize = ["A", "B", "C"].iter().map(|s| view.bars(s, "1m", usize::MAX).unwrap().len()).sum();
    assert_eq!(counted, view.size().bars, "the count is the truth");
    for n in 0..100 {
        view.alert(&alert(&n.to_string(), 1));
        view.dead_letter("aggregate", &format!("reason {n}"));
    }
    assert_eq!(view.alerts(100, |_| true).len(), 2);
    assert!(view.reasons.len() <= REASONS + 1);
    assert_eq!(view.reasons().iter().map(|reason| reason.count).sum::<u64>(), 100);
}

#[test]
fn an_alert_seen_twice_is_one() {
    let mut view = view();
    view.alert(&alert("same", 1));
    view.alert(&alert("other", 1));
    view.alert(&alert("same", 5));
    let alerts = view.alerts(10, |_| true);
    assert_eq!(
        alerts.iter().map(|a| (&*a.alert_id, a.value)).collect::<Vec<_>>(),
        [("same", Decimal::from_int(5)), ("other", Decimal::ONE)]
    );
}

#[test]
fn backfilled_trades_and_records_without_a_price_move_nothing() {
    let mut view = view();
    let Event::Trade(filled) = trade("A", "9", NOW) else { unreachable!() };
    view.event(&Event::Trade(Trade { backfilled: true, ..filled }), NOW);
    let beat = market::Heartbeat { venue: "V".to_owned(), symbol: None, event_time: None, receive_time: NOW };
    view.event(&Event::Heartbeat(beat), NOW);
    assert!(view.take_round().is_none());
}

#[test]
fn a_bar_that_came_as_a_bar_is_a_price_and_a_series_of_its_interval() {
    let mut view = view();
    let day = 86_400 * SECOND;
    for (n, close) in [(0, "100"), (1, "110")] {
        let bar = PlainBar {
            symbol: "HSI".to_owned(),
            interval: Interval::DAY,
            start: n * day,
            end: (n + 1) * day,
            open: "100".parse().unwrap(),
            high: "120".parse().unwrap(),
            low: "90".parse().unwrap(),
            close: close.parse().unwrap(),
            volume: "0".parse().unwrap(),
            extra: BTreeMap::new(),
            receive_time: None,
        };
        view.event(&Event::Bar(bar), NOW);
    }
    let quote = &view.quotes(|_| true)[0];
    assert_eq!(
        (quote.kind, quote.price, quote.change_pct),
        (PriceKind::Bar, Decimal::from_int(110), Some(Decimal::from_int(10)))
    );
    let bars = view.bars("HSI", "1d", 10).unwrap();
    assert_eq!((bars.len(), bars[1].change_pct, bars[1].is_final), (2, Some(Decimal::from_int(10)), true));
}

#[test]
fn a_symbol_of_which_only_metrics_were_read_has_their_close() {
    let mut view = view();
    view.metrics(&metrics("A", NOW, 0, "7"), NOW + 90 * SECOND);
    assert_eq!(view.quotes(|_| true)[0].kind, PriceKind::Metrics);
    view.event(&trade("A", "8", NOW + 5 * SECOND), NOW + 91 * SECOND);
    let quote = &view.quotes(|_| true)[0];
    assert_eq!((quote.kind, quote.price), (PriceKind::Trade, Decimal::from_int(8)));
}
