//! Live feeds against fake venues: stops, kills, refused keys, and Kafka away.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::{Context, Drain, Health, Registry, Shutdown};
use ingest::Summary;
use market::GapCause;
use streams::KafkaConfig;
use testkit::eventually;
use testkit::venues::{FakeVenue, Kind, Made};
use tokio::task::JoinHandle;

use crate::bed::{Bed, runtime};
use crate::histories::{Written, farewell, fast, feed, judge, names, written};

pub fn venue(kind: Kind) -> FakeVenue {
    runtime().block_on(FakeVenue::start(kind))
}

pub struct Running {
    shutdown: Shutdown,
    pub health: Health,
    pub metrics: Registry,
    ended: JoinHandle<anyhow::Result<Summary>>,
}

pub fn start(bed: &Bed, feed: &str, change: impl FnOnce(&mut ingest::Config)) -> Running {
    let mut config = bed.config(&[feed]);
    fast(&mut config);
    change(&mut config);
    let shutdown = Shutdown::new();
    let ctx = Context::hosted("ingest", config, &shutdown);
    let (health, metrics) = (ctx.health.clone(), ctx.metrics.clone());
    Running { shutdown, health, metrics, ended: runtime().spawn(ingest::run(ctx)) }
}

impl Running {
    pub fn serves(&self, venue: &FakeVenue) {
        eventually(Duration::from_secs(20), "all symbols are served", || {
            venue.heartbeat();
            (self.health.is_ready() && venue.serves(&names(venue.kind).2.map(str::to_owned))).then_some(())
        });
    }

    pub fn stop(self) -> Summary {
        self.shutdown.trigger("the test is over");
        runtime().block_on(self.ended).unwrap().unwrap()
    }
}

pub fn trade(venue: &FakeVenue, rounds: usize) {
    for _ in 0..rounds {
        names(venue.kind).2.iter().for_each(|name| venue.trade(name));
    }
}

/// How many trades are in Kafka, once as many are.
pub fn wait_for(bed: &Bed, name: &str, trades: usize, venue: &FakeVenue) {
    eventually(Duration::from_secs(20), &format!("{trades} trades in Kafka"), || {
        venue.heartbeat();
        (written(bed).get(name).map_or(0, |written| written.trades.len()) >= trades).then_some(())
    });
}

pub fn one(bed: &Bed, name: &str) -> Written {
    written(bed).remove(name).unwrap_or_default()
}

#[test]
fn a_restart_says_what_it_missed_from_the_last_record_of_each_symbol_on() {
    for kind in [Kind::Binance, Kind::Finnhub, Kind::Coinbase] {
        let (bed, venue) = (Bed::new(), venue(kind));
        let feed = feed("f", &venue, "8s");
        let first = start(&bed, &feed, |_| {});
        first.serves(&venue);
        trade(&venue, 3);
        wait_for(&bed, "f", 9, &venue);
        first.stop();
        assert_eq!(one(&bed, "f").gaps.len(), 0, "{kind:?}");
        trade(&venue, 2);
        let second = start(&bed, &feed, |_| {});
        second.serves(&venue);
        trade(&venue, 3);
        wait_for(&bed, "f", 18, &venue);
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        second.stop();
        let written = one(&bed, "f");
        let totals = judge(kind, &venue.made(), &written).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
        let causes: Vec<GapCause> = written.gaps.iter().map(|gap| gap.cause).collect();
        let restarts = causes.iter().filter(|cause| **cause == GapCause::Restart).count();
        assert_eq!((restarts, totals.gaps >= 3), (3, true), "{kind:?}: one per symbol, {causes:?}");
        // A last match of Coinbase brings the latest of what was missed.
        assert_eq!(totals.missing, if kind == Kind::Coinbase { 3 } else { 6 }, "{kind:?}");
    }
}

/// Does not outlive its test, however that ends.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The process itself, so that it can be killed.
pub fn process(bed: &Bed, feed: &str, more: &[&str]) -> Child {
    command(bed, feed, more).spawn().expect("ingest starts")
}

pub fn command(bed: &Bed, feed: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingest"));
    let settings = [
        ("kafka.brokers", bed.kafka.brokers.as_str()),
        ("output", &bed.output),
        ("dead_letters", &bed.dead_letters),
        ("leases", &bed.leases),
        ("checkpoint_every", "150ms"),
        ("live.backoff_least", "10ms"),
        ("live.backoff_most", "100ms"),
        ("live.reorder", "60ms"),
        ("live.quiet", "150ms"),
        ("log.level", "error"),
    ];
    command.args(["--feed", feed, "--admin", "off"]);
    command.args(settings.iter().flat_map(|(key, value)| ["--set".to_owned(), format!("{key}={value}")]));
    command.args(more);
    // Not on the command line, where every user of the machine would see it.
    for key in ["FINNHUB__API_KEY", "MASSIVE__API_KEY", "ALPACA__API_KEY", "ALPACA__API_SECRET"] {
        command.env(format!("FINFLOW_{key}"), "k");
    }
    command.current_dir(bed.dir.path()).stdout(Stdio::null()).stderr(Stdio::inherit());
    command
}

#[test]
fn a_killed_process_loses_nothing_unsaid_and_writes_nothing_twice() {
    for kind in [Kind::Binance, Kind::Finnhub, Kind::Kraken] {
        let (bed, venue) = (Bed::new(), venue(kind));
        let feed = feed("f", &venue, "8s");
        let own_names: Vec<String> = names(kind).2.iter().map(|name| (*name).to_owned()).collect();
        let served = |what: &str| {
            eventually(Duration::from_secs(20), what, || {
                venue.heartbeat();
                venue.serves(&own_names).then_some(())
            });
        };
        for round in 0..4 {
            let mut child = process(&bed, &feed, &[]);
            served("all symbols are subscribed");
            let before = one(&bed, "f").trades.len();
            trade(&venue, 10);
            wait_for(&bed, "f", before + 5, &venue);
            // In the middle of things: some of these are in Kafka, some on their way, some not yet read.
            trade(&venue, 10 + round);
            child.kill().unwrap();
            child.wait().unwrap();
            venue.abort();
            trade(&venue, 1);
        }
        let last = start(&bed, &feed, |_| {});
        last.serves(&venue);
        let before = one(&bed, "f").trades.len();
        trade(&venue, 1);
        wait_for(&bed, "f", before + 3, &venue);
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        last.stop();
        let written = one(&bed, "f");
        let totals = judge(kind, &venue.made(), &written).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
        assert!(totals.trades > 60, "{kind:?}: {totals:?}");
        let restarts = written.gaps.iter().filter(|gap| gap.cause == GapCause::Restart).count();
        assert!(kind == Kind::Kraken || restarts >= 3, "{kind:?}: {restarts} gaps of restarts");
    }
}

#[test]
fn a_refused_key_stops_the_feed_and_ready_says_why() {
    let (bed, venue) = (Bed::new(), venue(Kind::Finnhub));
    venue.refuse(&[401]);
    let running = start(&bed, &feed("f", &venue, "8s"), |_| {});
    let reason = eventually(Duration::from_secs(20), "a reason", || {
        let report = running.health.report();
        let mut reasons = report.checks.values().filter_map(|check| check.reason.clone());
        reasons.find(|reason| reason.contains("401"))
    });
    assert!(reason.contains("stopped") && reason.contains("key"), "{reason}");
    assert!(!running.health.is_ready());
    assert_eq!(venue.opened(), 0, "it is not tried again");
    running.stop();
}

#[test]
fn a_live_feed_ends_when_it_is_told_to() {
    let (bed, venue) = (Bed::new(), venue(Kind::Kraken));
    let mut config = bed.config(&[&feed("f", &venue, "8s")]);
    fast(&mut config);
    let ctx = Context::hosted("ingest", config, &Shutdown::new()).with_drain(Drain::already());
    let summary = runtime().block_on(ingest::run(ctx)).unwrap();
    assert_eq!((summary.total(), summary.feeds.len()), (0, 1));
}

/// Kafka goes away while trades go on. The reader never waits: what fits into memory, and onto the disk if that is allowed, comes
/// later, and what does not is said to have been dropped.
fn away(memory: &str, spill_most: Option<&str>) -> (usize, usize, usize) {
    let addr = testkit::free_addr();
    let dir = tempfile::tempdir().unwrap();
    let broker = || runtime().block_on(devbroker::Broker::start(devbroker::Options::new(dir.path(), addr))).unwrap();
    let first = broker();
    let bed = Bed::without_topics(KafkaConfig { brokers: addr.to_string(), ..KafkaConfig::default() });
    bed.create_topics();
    let venue = venue(Kind::Binance);
    let running = start(&bed, &feed("f", &venue, "8s"), |config| {
        config.live.memory = serde_json::from_value(memory.into()).unwrap();
        if let Some(most) = spill_most {
            config.live.spill = bed.dir.path().join("spill").to_str().unwrap().to_owned();
            config.live.spill_most = serde_json::from_value(most.into()).unwrap();
        }
        // Else the producer's own queue would take everything.
        config.kafka.librdkafka.insert("queue.buffering.max.messages".to_owned(), "50".to_owned());
    });
    running.serves(&venue);
    trade(&venue, 5);
    wait_for(&bed, "f", 15, &venue);
    let opened = venue.opened();
    runtime().block_on(first.stop());
    for _ in 0..40 {
        trade(&venue, 10);
        venue.heartbeat();
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(venue.opened(), opened, "the socket was read all the time");
    if spill_most.is_some() {
        let value = |name: &str| -> u64 {
            let text = running.metrics.render();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name} in {text}"));
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        let limit = serde_json::from_value::<harness::ByteSize>(memory.into()).unwrap().bytes();
        assert!(value("finflow_ingest_feed_queued_bytes") <= limit);
        eventually(Duration::from_secs(10), "it is told how much is on disk, while Kafka is away", || {
            venue.heartbeat();
            let files = std::fs::read_dir(bed.dir.path().join("spill")).unwrap().map(|file| file.unwrap().metadata());
            let on_disk: u64 = files.map(|data| data.unwrap().len()).sum();
            (on_disk > 0 && value("finflow_ingest_feed_spilled_bytes") == on_disk).then_some(())
        });
    }
    let again = broker();
    let own_names = names(Kind::Binance).2;
    eventually(Duration::from_secs(30), "trades come through again", || {
        venue.trade(own_names[0]);
        venue.heartbeat();
        let last = venue.made().last()?.id.saturating_sub(20);
        let written = one(&bed, "f").trades;
        written
            .iter()
            .any(|trade| trade.trade_id.as_deref().is_some_and(|id| id.parse::<u64>().unwrap() >= last))
            .then_some(())
    });
    trade(&venue, 3);
    runtime().block_on(farewell(std::slice::from_ref(&venue)));
    running.stop();
    let written = one(&bed, "f");
    // Delivered, and dropped all the same: that is what is to be said.
    let made: Vec<Made> = venue.made().into_iter().map(|made| Made { sure: 0, ..made }).collect();
    let totals = judge(Kind::Binance, &made, &written).unwrap();
    let dropped = written.gaps.iter().filter(|gap| gap.cause == GapCause::Dropped).count();
    runtime().block_on(again.stop());
    (totals.trades, totals.missing, dropped)
}

#[test]
fn with_kafka_away_what_fits_into_memory_is_late_and_nothing_is_lost() {
    let (trades, missing, dropped) = away("16MiB", None);
    assert!(trades >= 1_215, "{trades} trades, {missing} missing, {dropped} gaps");
    assert_eq!((missing, dropped), (0, 0));
}

#[test]
fn with_kafka_away_for_too_long_what_is_dropped_is_said() {
    let (trades, missing, dropped) = away("64KiB", None);
    assert!(trades > 100 && missing > 300 && dropped >= 3, "{trades} trades, {missing} missing, {dropped} gaps");
}

#[test]
fn with_kafka_away_for_too_long_the_disk_takes_what_memory_cannot_and_nothing_is_lost() {
    let (trades, missing, dropped) = away("256KiB", Some("16MiB"));
    assert!(trades >= 1_215, "{trades} trades, {missing} missing, {dropped} gaps");
    assert_eq!((missing, dropped), (0, 0));
}

#[test]
fn what_the_disk_may_not_hold_either_is_said() {
    let (trades, missing, dropped) = away("64KiB", Some("32KiB"));
    assert!(trades > 150 && missing > 200 && dropped >= 3, "{trades} trades, {missing} missing, {dropped} gaps");
}
