//! Compares what `load` traded with what Kafka holds.

use std::collections::BTreeMap;

use harness::Shutdown;
use market::Event;
use serde_json::json;
use streams::{Admin, Env, KafkaConfig, topic};

fn kafka(brokers: &str) -> KafkaConfig {
    KafkaConfig { brokers: brokers.to_owned(), ..KafkaConfig::default() }
}

/// The topics of one run.
pub fn topics(brokers: &str, name: &str) {
    let admin = Admin::new(&Env::standalone("topics", &Shutdown::new()), &kafka(brokers)).expect("an admin client");
    let named = |end: &str| format!("{name}-{end}");
    let specs = [
        topic::Spec::delete(named("out"), 3),
        topic::Spec::delete(named("dead"), 1),
        topic::Spec::compact(named("leases"), 1),
    ];
    admin.apply(&specs, 1).expect("the topics are made");
}

struct Traded {
    first: u64,
    last: u64,
    /// How often each is in Kafka.
    times: Vec<u8>,
    gaps: Vec<(u64, u64)>,
}

/// Prints what it finds; an error if a trade is missing and in no gap, or is there twice.
pub fn run(out: &str, brokers: &str, topic: &str) {
    let text = std::fs::read_to_string(out).expect("what `load` has written");
    let lines: BTreeMap<String, (u64, u64)> = serde_json::from_str(&text).expect("what `load` has written");
    let traded = |(symbol, (first, last)): (String, (u64, u64))| {
        let times = vec![0; usize::try_from(last + 1 - first).expect("fits")];
        (format!("BINANCE:{symbol}"), Traded { first, last, times, gaps: Vec::new() })
    };
    let mut all: BTreeMap<String, Traded> = lines.into_iter().map(traded).collect();
    let env = Env::standalone("check", &Shutdown::new());
    let (mut records, mut alien, mut causes) = (0u64, 0u64, BTreeMap::<&str, u64>::new());
    streams::read_topic(&env, &kafka(brokers), topic, &BTreeMap::new(), |record| {
        records += 1;
        let id = |text: &Option<String>| text.as_deref().and_then(|text| text.parse::<u64>().ok());
        match record.value.map(|value| Event::decode(value).expect("a record of the topic")) {
            Some(Event::Trade(trade)) => {
                let of = all.get_mut(&trade.symbol);
                match of.zip(id(&trade.trade_id)) {
                    Some((of, id)) if (of.first..=of.last).contains(&id) => {
                        let times = &mut of.times[usize::try_from(id - of.first).expect("fits")];
                        *times = times.saturating_add(1);
                    }
                    _ => alien += 1,
                }
            }
            Some(Event::Gap(gap)) => {
                *causes.entry(gap.cause.as_str()).or_default() += 1;
                if let (Some(of), Some(first), Some(last)) =
                    (all.get_mut(&gap.symbol), id(&gap.first_missing), id(&gap.last_missing))
                {
                    of.gaps.push((first, last));
                }
            }
            _ => {}
        }
    })
    .expect("the topic can be read");
    let (mut made, mut once, mut twice, mut declared, mut lost) = (0u64, 0u64, 0u64, 0u64, 0u64);
    for of in all.values() {
        for (id, times) in (of.first..).zip(&of.times) {
            made += 1;
            match times {
                0 if of.gaps.iter().any(|(first, last)| (*first..=*last).contains(&id)) => declared += 1,
                0 => lost += 1,
                1 => once += 1,
                _ => twice += 1,
            }
        }
    }
    let found = json!({
        "records": records, "traded": made, "once": once, "in_a_gap": declared, "lost": lost, "twice": twice, "alien": alien,
        "gaps": causes,
    });
    println!("{found}");
    assert!(lost == 0 && twice == 0 && alien == 0 && once > 0, "{found}");
}
