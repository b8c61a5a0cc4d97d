//! Best bids and offers of live venues, beside the trades.

use std::time::Duration;

use market::Event;
use testkit::eventually;
use testkit::venues::Kind;

use crate::bed::{Bed, runtime};
use crate::histories::{farewell, feed, judge, names};
use crate::live::{one, start, trade, venue, wait_for};

/// As each fake's venue would say it.
const SAID: [(Kind, &str); 4] = [
    (
        Kind::Binance,
        r#"{"stream":"btcusdt@bookTicker","data":{"u":1,"s":"NAME","b":"10.5","B":"3","a":"10.6","A":"4"}}"#,
    ),
    (
        Kind::Kraken,
        r#"{"channel":"ticker","type":"update","data":[{"symbol":"NAME","bid":10.5,"bid_qty":3,"ask":10.6,"ask_qty":4}]}"#,
    ),
    (Kind::Massive, r#"[{"ev":"Q","sym":"NAME","bp":10.5,"bs":3,"ap":10.6,"as":4,"t":1536036818784}]"#),
    (Kind::Alpaca, r#"[{"T":"q","S":"NAME","bp":10.5,"bs":3,"ap":10.6,"as":4,"t":"2021-02-22T15:51:45Z"}]"#),
];

#[test]
fn quotes_are_asked_for_and_written_beside_the_trades() {
    for (kind, said) in SAID {
        let (bed, venue) = (Bed::new(), venue(kind));
        let folder = bed.dir.path().join("recordings").to_str().unwrap().to_owned();
        let running = start(&bed, &format!("{}&quotes=true", feed("f", &venue, "8s")), |config| {
            config.live.record.clone_from(&folder);
        });
        running.serves(&venue);
        eventually(Duration::from_secs(10), "quotes are asked for", || {
            let asked = venue.requests();
            ["bookTicker", "ticker", "Q.", "quotes"]
                .iter()
                .any(|word| asked.iter().any(|text| text.contains(word)))
                .then_some(())
        });
        trade(&venue, 2);
        venue.say(&said.replace("NAME", names(kind).2[0].trim_start_matches("T.")));
        trade(&venue, 1);
        let quotes = |bed: &Bed| -> Vec<Event> {
            bed.events().into_iter().filter(|event| matches!(event, Event::Quote(_))).collect()
        };
        let quote = eventually(Duration::from_secs(10), "a quote in Kafka", || quotes(&bed).pop());
        let Event::Quote(quote) = &quote else { unreachable!() };
        assert_eq!(quote.symbol, names(kind).1[0], "{kind:?}");
        assert_eq!(
            (quote.bid.unwrap().to_string(), quote.ask_quantity.unwrap().to_string()),
            ("10.5".into(), "4".into())
        );
        runtime().block_on(farewell(std::slice::from_ref(&venue)));
        running.stop();
        let mut written = one_without_quotes(&bed);
        judge(kind, &venue.made(), &written).unwrap_or_else(|problem| panic!("{kind:?}: {problem}"));
        assert_eq!((written.trades.len(), venue.violations()), (9, Vec::new()), "{kind:?}");
        written.trades.clear();
        // What was recorded comes to the same records.
        let again = Bed::new();
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect::<Vec<_>>();
        let [file] = &files[..] else { panic!("{files:?}") };
        again.run(again.config(&[&format!("frames:{}", file.display())])).unwrap();
        assert_eq!((quotes(&again), again.events().len()), (quotes(&bed), bed.events().len()), "{kind:?}");
    }
}

fn one_without_quotes(bed: &Bed) -> crate::histories::Written {
    let mut written = crate::histories::Written::default();
    for event in bed.events() {
        match event {
            Event::Trade(trade) => written.trades.push(trade),
            Event::Gap(gap) => written.gaps.push(gap),
            _ => {}
        }
    }
    written
}

#[test]
fn who_does_not_ask_gets_none() {
    let (bed, venue) = (Bed::new(), venue(Kind::Kraken));
    let running = start(&bed, &feed("f", &venue, "8s"), |_| {});
    running.serves(&venue);
    venue.say(&SAID[1].1.replace("NAME", names(Kind::Kraken).2[0]));
    trade(&venue, 1);
    wait_for(&bed, "f", 3, &venue);
    assert!(!venue.requests().iter().any(|text| text.contains("ticker")));
    running.stop();
    assert_eq!(one(&bed, "f").trades.len(), 3);
}
