//! Symbols that are wanted and not wanted any more, as fast as anybody likes.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::{Bench, MS, Output, SECOND, sent};
use crate::connection::Input;
use crate::venues::Rate;

fn names(numbers: &BTreeSet<u8>) -> BTreeSet<String> {
    numbers.iter().map(|number| format!("S{number}USDT")).collect()
}

/// A venue that grants whatever it is asked.
#[derive(Default)]
struct Granting {
    serves: BTreeSet<String>,
    /// When each message came.
    times: Vec<Duration>,
}

impl Granting {
    /// Hears what was sent, and what is sent upon its answers. Gives back all that was put out.
    fn obey(&mut self, bench: &mut Bench, mut out: Vec<Output>) -> Vec<Output> {
        let mut all = Vec::new();
        while !out.is_empty() {
            let mut more = Vec::new();
            for text in sent(&out) {
                self.times.push(bench.now);
                let id = self.hear(text);
                more.extend(bench.frame(1, &format!(r#"{{"result":null,"id":{id}}}"#)));
            }
            all.append(&mut out);
            out = more;
        }
        all
    }

    fn hear(&mut self, text: &str) -> serde_json::Value {
        let message: serde_json::Value = serde_json::from_str(text).unwrap();
        let list = message["params"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
        let list = list.map(|name| name.trim_end_matches("@trade").to_uppercase());
        match message["method"].as_str().unwrap() {
            "SUBSCRIBE" => self.serves.extend(list),
            _ => self.serves = self.serves.difference(&list.collect()).cloned().collect(),
        }
        message["id"].clone()
    }
}

proptest! {
    /// However the wishes change, no more messages go out than the venue allows, and in the end it serves the last wish.
    #[test]
    fn the_last_wish_is_served_within_the_limit(
        wishes in prop::collection::vec((prop::collection::btree_set(0u8..12, 1..10), 0u64..800), 1..30),
    ) {
        let mut bench = Bench::with("binance", |limits| {
            limits.sends = Rate::new(2, SECOND);
            limits.batch = 4;
            limits.silence = SECOND * 1_000;
        });
        let mut venue = Granting::default();
        bench.put(Input::Tick);
        let out = bench.put(Input::Opened(1));
        venue.obey(&mut bench, out);
        let mut last = BTreeSet::new();
        for (numbers, wait) in wishes {
            last = names(&numbers);
            let out = bench.put(Input::Desire(&last));
            venue.obey(&mut bench, out);
            let out = bench.after(MS * u32::try_from(wait).unwrap());
            venue.obey(&mut bench, out);
        }
        // Time for all that is left to be said.
        for _ in 0..60 {
            let out = bench.after(SECOND / 4);
            venue.obey(&mut bench, out);
        }
        prop_assert_eq!(venue.serves, last);
        prop_assert_eq!(bench.machine.trouble(), None);
        for window in venue.times.windows(3) {
            prop_assert!(window[2] - window[0] >= SECOND, "{:?}", window);
        }
    }
}

#[test]
fn what_is_wanted_again_before_it_was_let_go_is_neither_let_go_nor_asked_for() {
    let mut bench = Bench::with("binance", |limits| limits.sends = Rate::new(1, SECOND));
    bench.put(Input::Tick);
    let both: BTreeSet<String> = ["BTCUSDT", "ETHUSDT"].map(str::to_owned).into();
    let mut venue = Granting::default();
    let out = bench.put(Input::Opened(1));
    let out = venue.obey(&mut bench, out);
    assert!(out.contains(&Output::Covered("BTCUSDT".to_owned())), "{out:?}");
    // The limit is used up: nothing can be said now.
    let one: BTreeSet<String> = ["ETHUSDT".to_owned()].into();
    let out = bench.put(Input::Desire(&one));
    assert_eq!(out, [Output::Uncovered("BTCUSDT".to_owned())]);
    let out = bench.put(Input::Desire(&both));
    assert_eq!(out, [Output::Covered("BTCUSDT".to_owned())]);
    assert_eq!((sent(&bench.after(SECOND)), venue.serves), (Vec::new(), both));
}
