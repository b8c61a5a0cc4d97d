//! Seeded histories of what goes wrong with a venue. In the end Kafka holds each delivered trade once, whatever was not
//! delivered lies in a gap, and all symbols are subscribed again.
//!
//! `FINFLOW_TEST_HISTORIES` plays that many per venue (`make soak-feeds`); `FINFLOW_TEST_SEED` begins elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use harness::{Context, Secret, Shutdown};
use ingest::Config;
use market::{Event, Gap, Trade};
use testkit::eventually;
use testkit::venues::{FakeVenue, Kind, Made, script};

use crate::bed::{Bed, header, runtime};

/// Played at the same time, each against a venue of its own.
const TOGETHER: u64 = 16;
const LENGTH: usize = 50;
const MOMENT: Duration = Duration::from_millis(8);

/// The feed's name of a venue, and three symbols: ours, and the venue's own names.
pub fn names(kind: Kind) -> (&'static str, [&'static str; 3], [&'static str; 3]) {
    match kind {
        Kind::Binance => ("binance", ["BINANCE:AUSDT", "BINANCE:BUSDT", "BINANCE:CUSDT"], ["AUSDT", "BUSDT", "CUSDT"]),
        Kind::UsdM => (
            "binance_usdm",
            ["BINANCE_USDM:AUSDT", "BINANCE_USDM:BUSDT", "BINANCE_USDM:CUSDT"],
            ["AUSDT", "BUSDT", "CUSDT"],
        ),
        Kind::Coinbase => {
            ("coinbase", ["COINBASE:A-USD", "COINBASE:B-USD", "COINBASE:C-USD"], ["A-USD", "B-USD", "C-USD"])
        }
        Kind::Advanced => {
            ("coinbase_advanced", ["COINBASE:A-USD", "COINBASE:B-USD", "COINBASE:C-USD"], ["A-USD", "B-USD", "C-USD"])
        }
        Kind::Kraken => ("kraken", ["KRAKEN:A/USD", "KRAKEN:B/USD", "KRAKEN:C/USD"], ["A/USD", "B/USD", "C/USD"]),
        Kind::Finnhub => ("finnhub", ["AAPL", "TSLA", "BINANCE:BTCUSDT"], ["AAPL", "TSLA", "BINANCE:BTCUSDT"]),
        Kind::Massive => ("massive", ["AAPL", "MSFT", "TSLA"], ["T.AAPL", "T.MSFT", "T.TSLA"]),
        Kind::Alpaca => ("alpaca", ["AAPL", "MSFT", "TSLA"], ["AAPL", "MSFT", "TSLA"]),
    }
}

/// A feed of this fake, called so, that takes it for dead after this long.
pub fn feed(name: &str, venue: &FakeVenue, silence: &str) -> String {
    let (of, symbols, _) = names(venue.kind);
    format!(
        "{name}={of}?symbols={}&url={}&silence={silence}&connects=100000/1s&shares=1",
        symbols.join("+"),
        venue.url()
    )
}

/// A life fifty times as fast as a real one.
pub fn fast(config: &mut Config) {
    let ms = harness::Duration::from_millis;
    config.live.handshake = ms(400);
    config.live.acknowledgement = ms(400);
    config.live.backoff_least = ms(10);
    config.live.backoff_most = ms(100);
    config.live.healthy = ms(200);
    config.live.reorder = ms(60);
    config.live.quiet = ms(150);
    config.checkpoint_every = ms(300);
    config.finnhub.api_key = Secret::new("k");
    config.massive.api_key = Secret::new("k");
    config.alpaca.api_key = Secret::new("k");
    config.alpaca.api_secret = Secret::new("s");
}

/// What one feed has in Kafka.
#[derive(Default)]
pub struct Written {
    pub trades: Vec<Trade>,
    pub gaps: Vec<Gap>,
}

pub fn written(bed: &Bed) -> BTreeMap<String, Written> {
    let mut all: BTreeMap<String, Written> = BTreeMap::new();
    for record in bed.output() {
        let of = all.entry(header(&record, "source").trim_start_matches("live:").to_owned()).or_default();
        match Event::decode(record.value.as_ref().unwrap()).unwrap() {
            Event::Trade(trade) => of.trades.push(trade),
            Event::Gap(gap) => of.gaps.push(gap),
            other => panic!("{other:?}"),
        }
    }
    all
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    pub trades: usize,
    pub sure: usize,
    /// Not delivered, and said to be missing.
    pub missing: usize,
    /// Delivered on a connection that was given up before it was read, and said to be missing.
    pub given_up: usize,
    pub gaps: usize,
}

/// Compares what a venue did with what is in Kafka of it.
pub fn judge(kind: Kind, made: &[Made], written: &Written) -> Result<Totals, String> {
    let mut totals = Totals { gaps: written.gaps.len(), ..Totals::default() };
    let (_, symbols, own_names) = names(kind);
    for (symbol, own_name) in symbols.iter().zip(own_names) {
        let mut there: BTreeMap<u64, usize> = BTreeMap::new();
        for trade in written.trades.iter().filter(|trade| trade.symbol == *symbol) {
            // The price of a fake's trade is its id.
            *there.entry(trade.price.to_string().parse().map_err(|_| format!("{trade:?}"))?).or_default() += 1;
        }
        let gaps: Vec<&Gap> = written.gaps.iter().filter(|gap| gap.symbol == *symbol).collect();
        let said = |made: &Made| {
            gaps.iter().any(|gap| {
                let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
                match (number(&gap.first_missing), number(&gap.last_missing)) {
                    (Some(first), Some(last)) => (first..=last).contains(&made.id),
                    _ => (gap.from..=gap.to).contains(&(made.time_ms * 1_000_000)),
                }
            })
        };
        let (first, last) = (there.keys().next().copied(), there.keys().last().copied());
        let last = if kind.counts_trades() { last } else { Some(u64::MAX) };
        for made in made.iter().filter(|made| made.own_name == own_name) {
            let times = there.get(&made.id).copied().unwrap_or(0);
            match times {
                // Without ids nothing tells what a link that was taken for dead still held: all of it is in the gap.
                0 if made.sure && (kind.counts_trades() || !said(made)) => {
                    return Err(format!("{made:?} was delivered and is not there; gaps {gaps:?}"));
                }
                0 if made.sure => totals.given_up += 1,
                0 if first.is_some_and(|first| made.id > first) && last.is_some_and(|last| made.id < last) => {
                    if !said(made) {
                        return Err(format!("{made:?} is missing and not said to be; gaps {gaps:?}"));
                    }
                    totals.missing += 1;
                }
                0 => {}
                1 => totals.trades += 1,
                more => return Err(format!("{made:?} is there {more} times")),
            }
            totals.sure += usize::from(made.sure);
        }
        let all: BTreeSet<u64> = made.iter().filter(|made| made.own_name == own_name).map(|made| made.id).collect();
        if let Some(id) = there.keys().find(|id| !all.contains(id)) {
            return Err(format!("{symbol} {id} was never made"));
        }
    }
    Ok(totals)
}

/// Lets a run end so that all that was sent has been read.
pub async fn farewell(venues: &[FakeVenue]) {
    for venue in venues {
        venue.shut();
        venue.close(1001);
    }
    let gone = async {
        while venues.iter().any(|venue| venue.live_connections() > 0) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("every connection is closed in peace");
}

fn histories(kind: Kind) {
    let env = |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise);
    let (first, count) = (env("FINFLOW_TEST_SEED", 1), env("FINFLOW_TEST_HISTORIES", 24));
    let mut sum = Totals::default();
    for start in (first..first + count).step_by(TOGETHER as usize) {
        let seeds: Vec<u64> = (start..(start + TOGETHER).min(first + count)).collect();
        let totals = together(kind, &seeds);
        sum.trades += totals.trades;
        sum.sure += totals.sure;
        sum.missing += totals.missing;
        sum.given_up += totals.given_up;
        sum.gaps += totals.gaps;
    }
    println!("{kind:?}: {count} histories, {sum:?}");
    // Else nothing was shown.
    assert!(sum.trades > 10 * count as usize && sum.sure > 3 * count as usize, "{sum:?}");
    assert!(sum.given_up * 10 <= sum.sure, "{sum:?}");
    // A snapshot after each subscription brings nearly all of what was missed.
    let least = if matches!(kind, Kind::Kraken | Kind::Advanced) { 0 } else { count as usize / 2 };
    assert!(sum.missing >= least && sum.gaps > least, "{sum:?}");
}

fn together(kind: Kind, seeds: &[u64]) -> Totals {
    let bed = Bed::new();
    let venues: Vec<FakeVenue> =
        runtime().block_on(async { futures::future::join_all(seeds.iter().map(|_| FakeVenue::start(kind))).await });
    let feeds: Vec<String> =
        seeds.iter().zip(&venues).map(|(seed, venue)| feed(&format!("h{seed}"), venue, "400ms")).collect();
    let mut config = bed.config(&feeds.iter().map(String::as_str).collect::<Vec<_>>());
    fast(&mut config);
    if kind == Kind::Finnhub {
        // It acknowledges nothing: so long after it was asked a symbol is taken for served, also by a venue on a busy machine.
        config.live.quiet = harness::Duration::from_millis(1_500);
    }
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("ingest", config, &shutdown);
    let health = ctx.health.clone();
    let mut running = runtime().spawn(ingest::run(ctx));
    eventually(Duration::from_secs(20), "all symbols are served", || {
        venues.iter().for_each(FakeVenue::heartbeat);
        if running.is_finished() {
            let ended = runtime().block_on(&mut running).unwrap();
            panic!("it has ended: {:#}", ended.unwrap_err());
        }
        health.is_ready().then_some(())
    });
    let own_names: Vec<String> = names(kind).2.iter().map(|name| (*name).to_owned()).collect();
    runtime().block_on(async {
        let played = seeds.iter().zip(&venues).map(|(seed, venue)| {
            let own_names = own_names.clone();
            async move {
                script::play(venue, &own_names, &script::steps(kind, *seed, LENGTH), *seed, MOMENT).await;
                // The venue behaves from now on; it shows that it is alive until everything is served.
                let served = async {
                    while !venue.serves(&own_names) {
                        tokio::time::sleep(MOMENT).await;
                        venue.heartbeat();
                    }
                };
                let served = tokio::time::timeout(Duration::from_secs(10), served).await;
                assert!(served.is_ok(), "{kind:?} seed {seed}: not all symbols are subscribed again within 10 s");
                own_names.iter().for_each(|name| venue.trade(name));
            }
        });
        futures::future::join_all(played).await;
        farewell(&venues).await;
        shutdown.trigger("the histories are over");
        running.await.unwrap().unwrap();
    });
    let written = written(&bed);
    let mut sum = Totals::default();
    for (seed, venue) in seeds.iter().zip(&venues) {
        let of = written.get(&format!("h{seed}")).unwrap_or_else(|| panic!("{kind:?} seed {seed}: nothing written"));
        let totals = judge(kind, &venue.made(), of).unwrap_or_else(|problem| panic!("{kind:?} seed {seed}: {problem}"));
        assert_eq!(venue.violations(), Vec::<String>::new(), "{kind:?} seed {seed}");
        sum.trades += totals.trades;
        sum.sure += totals.sure;
        sum.missing += totals.missing;
        sum.given_up += totals.given_up;
        sum.gaps += totals.gaps;
    }
    assert_eq!(bed.dead_letters().len(), 0, "nothing that a fake says is unreadable");
    sum
}

#[test]
fn histories_of_binance() {
    histories(Kind::Binance);
}

#[test]
fn histories_of_binance_usdm() {
    histories(Kind::UsdM);
}

#[test]
fn histories_of_coinbase() {
    histories(Kind::Coinbase);
}

#[test]
fn histories_of_coinbase_advanced() {
    histories(Kind::Advanced);
}

#[test]
fn histories_of_kraken() {
    histories(Kind::Kraken);
}

#[test]
fn histories_of_finnhub() {
    histories(Kind::Finnhub);
}

#[test]
fn histories_of_massive() {
    histories(Kind::Massive);
}

#[test]
fn histories_of_alpaca() {
    histories(Kind::Alpaca);
}
