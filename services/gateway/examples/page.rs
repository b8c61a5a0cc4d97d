//! The page over recorded trades, without Kafka: for working on its looks.
//!
//! `cargo run -p gateway --example page -- [SPEED]` replays the trades of `testdata/binance` as if they happened now. What
//! the other stages would do is imitated roughly (bars in floating point, an alert now and then).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use gateway::{Config, DeadLetters, Hub, PipelineState, Server, Size, State, Time};
use harness::{Clock, Context, Shutdown, SystemClock};
use market::{
    Alert, AlertState, Coordinates, Decimal, Direction, Event, Input, Metrics, Price, Quality, Quantity, RuleKind,
    Side, Span, Trade,
};

const FILES: [(&str, &str); 3] = [
    ("spot_btcusdt_20240808", "BINANCE:BTCUSDT"),
    ("spot_ethusdt_20240808", "BINANCE:ETHUSDT"),
    ("usdm_btcusdt_20240808", "BINANCE_USDM:BTCUSDT"),
];
const WINDOWS: [&str; 3] = ["10s", "1m", "5m/1m"];

fn trades(file: &str, symbol: &str) -> Vec<Trade> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/binance").join(format!("{file}.trades.csv.gz"));
    let mut text = String::new();
    GzDecoder::new(File::open(path).expect("the recording is in testdata")).read_to_string(&mut text).expect("gzip");
    let row = |line: &str| {
        let f: Vec<&str> = line.split(',').collect();
        Trade {
            venue: String::new(),
            symbol: symbol.to_owned(),
            trade_id: Some(f[2].to_owned()),
            price: f[3].parse().expect("a price"),
            quantity: f[4].parse().expect("a quantity"),
            side: Some(if f[8] == "true" { Side::Sell } else { Side::Buy }),
            conditions: Vec::new(),
            event_time: f[5].parse::<i64>().expect("milliseconds") * 1_000_000,
            receive_time: None,
            backfilled: false,
        }
    };
    text.lines().skip(1).map(row).collect()
}

struct Bar {
    metrics: Metrics,
    spent: f64,
}

fn decimal(value: f64) -> Decimal {
    Decimal::from_f64(value, 12).expect("small enough")
}

fn fold(bars: &mut BTreeMap<(String, String, i64), Bar>, trade: &Trade, offset: i64, hub: &Hub, seen: i64) {
    for window in WINDOWS {
        let span: Span = window.parse().expect("a window");
        let (size, slide) = (span.size().ns(), span.slide().ns());
        let last = trade.event_time.div_euclid(slide) * slide;
        for start in (0..size / slide).map(|n| last - n * slide) {
            let key = (trade.symbol.clone(), window.to_owned(), start);
            let bar = bars.entry(key).or_insert_with(|| empty(trade, span, start, offset));
            let m = &mut bar.metrics;
            let (price, size) = (trade.price, trade.quantity);
            bar.spent += price.get().to_f64() * size.get().to_f64();
            m.high = m.high.max(Some(price));
            m.low = m.low.min(Some(price));
            m.close = Some(price);
            m.volume =
                Quantity::new(m.volume.get().checked_add(size.get()).expect("small")).expect("a sum of quantities");
            m.vwap = (!m.volume.is_zero()).then(|| decimal(bar.spent / m.volume.get().to_f64()));
            let open = m.open.map_or(1.0, |open| open.get().to_f64());
            m.change_pct = Some(decimal((price.get().to_f64() / open - 1.0) * 100.0));
            m.trade_count += 1;
            m.input.last_offset = offset;
            hub.view().metrics(m, seen);
        }
    }
    // Those that are over, once.
    bars.retain(|_, bar| {
        let over = bar.metrics.symbol == trade.symbol && bar.metrics.window_end <= trade.event_time;
        if over {
            bar.metrics.is_final = true;
            bar.metrics.rev += 1;
            bar.metrics.closed_by = Some(market::ClosedBy::EventTime);
            hub.view().metrics(&bar.metrics, seen);
            alert(&bar.metrics, hub);
        }
        !over
    });
}

fn empty(trade: &Trade, span: Span, start: i64, offset: i64) -> Bar {
    let price: Option<Price> = Some(trade.price);
    let metrics = Metrics {
        symbol: trade.symbol.clone(),
        window: span,
        window_start: start,
        window_end: start + span.size().ns(),
        rev: 0,
        is_final: false,
        closed_by: None,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: Quantity::ZERO,
        quote_volume: None,
        vwap: None,
        vwap_reason: None,
        twap: None,
        average: None,
        min: price,
        max: price,
        change_pct: None,
        trade_count: 0,
        volatility: None,
        buy_volume: None,
        partial: offset < 50,
        quality: if offset < 50 { Quality::Partial } else { Quality::Complete },
        input: Input { partition: 0, first_offset: offset, last_offset: offset },
        late: 0,
        duplicate: 0,
        backfilled: 0,
        config: "example".to_owned(),
        bars: None,
        averages: Vec::new(),
        input_before: Vec::new(),
        gap: false,
        reasons: Default::default(),
        sentiment: None,
    };
    Bar { metrics, spent: 0.0 }
}

fn alert(m: &Metrics, hub: &Hub) {
    let change = m.change_pct.map_or(0.0, Decimal::to_f64);
    if change.abs() < 0.02 || m.window.to_string() != "10s" {
        return;
    }
    hub.view().alert(&Alert {
        alert_id: Alert::id("fast-move", &m.symbol, m.window, m.window_start, AlertState::Fired),
        rule: "fast-move".to_owned(),
        rule_kind: RuleKind::Move,
        state: AlertState::Fired,
        symbol: m.symbol.clone(),
        metric: "change_pct".to_owned(),
        window: m.window,
        window_start: m.window_start,
        window_end: m.window_end,
        direction: if change > 0.0 { Direction::Up } else { Direction::Down },
        value: decimal(change),
        threshold: decimal(0.02),
        event_time: m.window_end,
        input: Coordinates { partition: 0, offset: m.input.last_offset, rev: m.rev },
        config: "example".to_owned(),
    });
}

fn pipeline(offset: i64, rate: f64) -> PipelineState {
    let topic = |role, topic: &str, end, rate| gateway::Topic {
        role,
        topic: topic.to_owned(),
        partitions: 3,
        end,
        records: end,
        rate,
        age_seconds: Some(0.1),
    };
    let group = |stage: &str, lag, seconds| gateway::StageLag {
        stage: stage.to_owned(),
        group: format!("finflow-{stage}"),
        lag: Some(lag),
        lag_seconds: Some(seconds),
        lag_at_least: false,
        behind: false,
        problem: None,
    };
    PipelineState {
        as_of: Time(SystemClock.now_ns()),
        state: State::Flowing,
        waiting_for: None,
        problem: None,
        topics: vec![
            topic("events", "raw-market-data", offset, rate),
            topic("metrics", "aggregated-metrics", offset * 9, rate),
        ],
        groups: vec![
            group("aggregate", 0, 0.0),
            group("alert", 0, 0.0),
            group("store", offset % 97, 1.4),
            group("logger", 3, 0.2),
        ],
        dead_letters: DeadLetters::default(),
        view: Size::default(),
    }
}

fn replay(hub: &Hub, shutdown: &Shutdown, speed: f64) {
    let mut all: Vec<Trade> = FILES.iter().flat_map(|(file, symbol)| trades(file, symbol)).collect();
    all.sort_by_key(|trade| trade.event_time);
    let first = all[0].event_time;
    let (began, began_ns) = (Instant::now(), SystemClock.now_ns());
    let mut bars = BTreeMap::new();
    let mut told = Instant::now();
    for (offset, mut trade) in all.into_iter().enumerate() {
        let due = Duration::from_nanos((trade.event_time - first) as u64).div_f64(speed);
        if shutdown.wait_timeout(due.saturating_sub(began.elapsed())) {
            return;
        }
        // Past trades at once, then as they were recorded.
        trade.event_time += began_ns - first - Duration::from_secs(60).as_nanos() as i64 * 5;
        trade.event_time = trade.event_time.min(SystemClock.now_ns());
        let (seen, offset) = (SystemClock.now_ns(), offset as i64);
        hub.view().event(&Event::Trade(trade.clone()), seen);
        fold(&mut bars, &trade, offset, hub, seen);
        if offset % 1500 == 0 {
            hub.view().dead_letter("aggregate", if offset % 4500 == 0 { "precision" } else { "missing_field" });
        }
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            hub.view().pipeline(pipeline(offset, offset as f64 / began.elapsed().as_secs_f64()));
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let speed = std::env::args().nth(1).map_or(Ok(1.0), |text| text.parse())?;
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("gateway", Config::default(), &shutdown);
    let hub = Hub::new(&ctx.config.view, "example".to_owned());
    let server = Server::bind(ctx.config.http)?;
    println!("http://{}", server.address());
    let (feed, stop) = (hub.clone(), Arc::new(shutdown.clone()));
    std::thread::spawn(move || replay(&feed, &stop, speed));
    gateway::serve_view(&ctx, server, hub).await;
    Ok(())
}
