//! Seeded histories of what goes wrong with a venue. In the end Kafka holds each delivered trade once, whatever was not
//! delivered lies in a gap, and all symbols are subscribed again and known to be.
//!
//! `FINFLOW_TEST_HISTORIES` plays that many per venue (`make soak-feeds`); `FINFLOW_TEST_SEED` begins elsewhere.

mod judge;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::{Context, Registry, Secret, Shutdown};
use ingest::Config;
use testkit::eventually;
use testkit::venues::{FakeVenue, Kind, script};

use self::judge::explained;
pub use self::judge::{Totals, Written, judge, written};
use crate::bed::{Bed, runtime};

/// Played at the same time, each against a venue of its own.
const TOGETHER: u64 = 16;
const LENGTH: usize = 50;
const MOMENT: Duration = Duration::from_millis(8);
/// So long an answer is waited for, which makes some of a script's come in time and some too late.
const DEADLINE: Duration = Duration::from_millis(400);

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
    config.live.acknowledgement = harness::Duration(DEADLINE);
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

/// How requests were answered, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
struct Answers {
    in_time: usize,
    too_late: usize,
    never: usize,
    /// Connections that the venue saw end after it had owed them an answer until their deadline.
    owed: usize,
    /// Connections that were ended for want of an answer.
    ended: usize,
}

impl Answers {
    fn add(&mut self, venue: &FakeVenue) {
        let slowness = venue.slowness();
        let in_time = |after: &&Duration| **after < Duration::from_millis(script::IN_TIME_MS.end);
        let count = slowness.late.iter().filter(in_time).count();
        self.in_time += count;
        self.too_late += slowness.late.len() - count;
        self.never += slowness.never;
        // It hears of the end later than of the request.
        self.owed += slowness.in_vain.iter().filter(|waited| **waited > DEADLINE.mul_f64(0.9)).count();
    }
}

fn unacknowledged(metrics: &Registry) -> usize {
    let text = metrics.render();
    let ends = text.lines().filter(|line| line.starts_with("finflow_ingest_feed_connections_ended_total{"));
    let ends = ends.filter(|line| line.contains(r#"reason="unacknowledged""#));
    ends.filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok()).sum()
}

fn histories(kind: Kind) {
    let env = |name: &str, otherwise: u64| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise);
    let (first, count) = (env("FINFLOW_TEST_SEED", 1), env("FINFLOW_TEST_HISTORIES", 24));
    let (mut sum, mut answers) = (Totals::default(), Answers::default());
    for start in (first..first + count).step_by(TOGETHER as usize) {
        let seeds: Vec<u64> = (start..(start + TOGETHER).min(first + count)).collect();
        sum += together(kind, &seeds, &mut answers);
    }
    println!("{kind:?}: {count} histories, {sum:?}, {answers:?}");
    let count = count as usize;
    // Else nothing was shown.
    assert!(sum.trades > 10 * count && sum.sure > 3 * count && sum.twice >= count / 4, "{sum:?}");
    assert!(sum.given_up * 10 <= sum.sure, "{sum:?}");
    assert!(answers.in_time >= count / 4 && answers.too_late >= count / 8, "{answers:?}");
    assert!(answers.ended > 0 || count < 16 || !kind.acknowledges(), "{answers:?}");
    // A snapshot after each subscription brings nearly all of what was missed.
    let least = if matches!(kind, Kind::Kraken | Kind::Advanced) { 0 } else { count / 2 };
    assert!(sum.missing >= least && sum.gaps > least, "{sum:?}");
}

fn together(kind: Kind, seeds: &[u64], answers: &mut Answers) -> Totals {
    let bed = Bed::new();
    let venues: Vec<FakeVenue> =
        runtime().block_on(async { futures::future::join_all(seeds.iter().map(|_| FakeVenue::start(kind))).await });
    let feeds: Vec<String> =
        seeds.iter().zip(&venues).map(|(seed, venue)| feed(&format!("h{seed}"), venue, "400ms")).collect();
    let mut config = bed.config(&feeds.iter().map(String::as_str).collect::<Vec<_>>());
    fast(&mut config);
    if kind == Kind::Finnhub {
        // It acknowledges nothing: so long after it was asked a symbol is taken for served, also by a slow venue on a busy machine.
        config.live.quiet = harness::Duration::from_millis(1_500);
    }
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("ingest", config, &shutdown);
    let (health, metrics) = (ctx.health.clone(), ctx.metrics.clone());
    let mut running = runtime().spawn(ingest::run(ctx));
    let own_names: Vec<String> = names(kind).2.iter().map(|name| (*name).to_owned()).collect();
    eventually(Duration::from_secs(20), "all symbols are served", || {
        venues.iter().for_each(FakeVenue::heartbeat);
        if running.is_finished() {
            let ended = runtime().block_on(&mut running).unwrap();
            panic!("it has ended: {:#}", ended.unwrap_err());
        }
        // Where nothing is acknowledged it may be ready before the venue is: what is traded by then was never promised.
        (health.is_ready() && venues.iter().all(|venue| venue.serves(&own_names))).then_some(())
    });
    let playing = &AtomicUsize::new(seeds.len());
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
                playing.fetch_sub(1, Ordering::Relaxed);
                while playing.load(Ordering::Relaxed) > 0 {
                    tokio::time::sleep(MOMENT).await;
                    venue.heartbeat();
                }
            }
        });
        futures::future::join_all(played).await;
        // Served perhaps, and not yet acknowledged.
        let known = async {
            while !(health.is_ready() && venues.iter().all(|venue| venue.serves(&own_names))) {
                tokio::time::sleep(MOMENT).await;
                venues.iter().for_each(FakeVenue::heartbeat);
            }
        };
        let known = tokio::time::timeout(Duration::from_secs(10), known).await;
        assert!(known.is_ok(), "{kind:?} seeds {seeds:?}: not ready within 10 s: {:?}", health.report());
        for venue in &venues {
            own_names.iter().for_each(|name| venue.trade(name));
        }
        farewell(&venues).await;
        shutdown.trigger("the histories are over");
        running.await.unwrap().unwrap();
    });
    answers.ended += unacknowledged(&metrics);
    let written = written(&bed);
    let mut sum = Totals::default();
    for (seed, venue) in seeds.iter().zip(&venues) {
        let of = written.get(&format!("h{seed}")).unwrap_or_else(|| panic!("{kind:?} seed {seed}: nothing written"));
        let totals = judge(kind, &venue.made(), of).unwrap_or_else(|problem| panic!("{kind:?} seed {seed}: {problem}"));
        if let Some(holes) = venue.holes() {
            explained(&holes, of).unwrap_or_else(|problem| panic!("{kind:?} seed {seed}: {problem}"));
        }
        assert_eq!(venue.violations(), Vec::<String>::new(), "{kind:?} seed {seed}");
        answers.add(venue);
        sum += totals;
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
