//! Random histories: no limit of the venue is ever exceeded, and once the venue behaves, every symbol is served.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::{Bench, MS, SECOND};
use crate::connection::{Input, LinkId, Output};
use crate::venues::{NAMES, Rate, Said};

/// What the venue does with what it is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Good,
    /// Answers nothing.
    Deaf,
    /// Refuses handshakes.
    Closed(u16),
    /// Cuts each link a moment after it is opened.
    Cuts,
    /// Says that we are too fast, or that the key is in use.
    TooFast,
    KeyInUse,
    Leaves,
}

fn moods() -> impl Strategy<Value = Vec<(Mood, u32)>> {
    let mood = prop::sample::select(vec![
        Mood::Good,
        Mood::Deaf,
        Mood::Closed(429),
        Mood::Closed(503),
        Mood::Cuts,
        Mood::TooFast,
        Mood::KeyInUse,
        Mood::Leaves,
    ]);
    prop::collection::vec((mood, 1u32..40_000), 0..12)
}

/// A venue that greets, takes the key and grants what is asked, as its mood allows.
struct Fake {
    mood: Mood,
    open: BTreeSet<LinkId>,
    greets: bool,
    opens: Vec<Duration>,
    sends: Vec<(LinkId, Duration)>,
}

impl Fake {
    /// Takes what the machine does; returns what the machine then hears.
    fn react(&mut self, bench: &mut Bench, out: Vec<Output>) -> Vec<Output> {
        let mut more = Vec::new();
        for out in out {
            match out {
                Output::Open(link) => {
                    self.opens.push(bench.now);
                    match self.mood {
                        Mood::Closed(status) => more.extend(bench.put(Input::Refused(link, status, None))),
                        Mood::Deaf => {}
                        _ => {
                            self.open.insert(link);
                            more.extend(bench.put(Input::Opened(link)));
                            if self.greets {
                                more.extend(self.say(bench, link, Said::Welcome));
                            }
                        }
                    }
                }
                Output::Send(link, text) => {
                    self.sends.push((link, bench.now));
                    more.extend(self.answer(bench, link, &text));
                }
                Output::Close(link) => {
                    self.open.remove(&link);
                }
                Output::Stopped(reason) => panic!("stopped: {reason}"),
                _ => {}
            }
        }
        more
    }

    fn say(&mut self, bench: &mut Bench, link: LinkId, said: Said) -> Vec<Output> {
        if self.open.contains(&link) { bench.put(Input::Frame(link, &[said], None)) } else { Vec::new() }
    }

    fn answer(&mut self, bench: &mut Bench, link: LinkId, text: &str) -> Vec<Output> {
        match self.mood {
            Mood::Deaf | Mood::Closed(_) => Vec::new(),
            Mood::Cuts => {
                self.open.remove(&link);
                bench.put(Input::Closed(link))
            }
            Mood::TooFast => self.say(bench, link, Said::TooFast("slow down".to_owned())),
            Mood::KeyInUse => self.say(bench, link, Said::KeyInUse("evicted".to_owned())),
            Mood::Good | Mood::Leaves => {
                let json: serde_json::Value = serde_json::from_str(text).unwrap();
                let mut out = Vec::new();
                if json["action"] == "auth" {
                    out.extend(self.say(bench, link, Said::Authenticated));
                } else if let Some(id) = json["id"].as_u64() {
                    out.extend(self.say(bench, link, Said::Granted(id)));
                } else {
                    for name in bench.machine.desired.clone() {
                        if text.contains(&name) {
                            out.extend(self.say(bench, link, Said::Subscribed(name)));
                        }
                    }
                }
                if self.mood == Mood::Leaves {
                    self.mood = Mood::Good;
                    out.extend(self.say(bench, link, Said::Leaving));
                }
                out
            }
        }
    }

    /// Lets time pass until `end`, and life be given now and then.
    fn run(&mut self, bench: &mut Bench, end: Duration) -> Result<(), TestCaseError> {
        let mut turns = 0;
        while bench.now < end {
            let wake = bench.machine.wake().max(bench.now + MS).min(end).min(bench.now + SECOND);
            turns += 1;
            prop_assert!(turns < 100_000, "it is woken all the time");
            bench.now = wake;
            let mut out = Vec::new();
            if self.mood == Mood::Good {
                for link in self.open.clone() {
                    out.extend(bench.put(Input::Alive(link)));
                }
            }
            out.extend(bench.put(Input::Tick));
            while !out.is_empty() {
                out = self.react(bench, out);
                let most = if bench.machine.limits.overlap { 2 } else { 1 };
                prop_assert!(bench.machine.links.len() <= most && self.open.len() <= most, "{} links", self.open.len());
            }
        }
        Ok(())
    }
}

fn never_exceeded(times: &[Duration], rate: Rate) -> bool {
    times.windows(rate.burst as usize + 1).all(|window| window[rate.burst as usize] - window[0] >= rate.per)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn limits_hold_and_all_symbols_are_served_in_the_end(
        venue in prop::sample::select(NAMES.to_vec()),
        moods in moods(),
        luck in 0.0f64..=1.0,
        symbols in 1usize..60,
    ) {
        let mut bench = Bench::with(venue, |limits| limits.batch = limits.batch.min(7));
        bench.luck = luck;
        let prefix = bench.machine.desired.first().cloned().unwrap();
        bench.machine.desired = (0..symbols).map(|n| format!("{prefix}x{n:03}y")).collect();
        let limits = bench.machine.limits;
        let mut fake = Fake { mood: Mood::Good, open: BTreeSet::new(), greets: limits.greets, opens: Vec::new(), sends: Vec::new() };
        for (mood, ms) in moods {
            fake.mood = mood;
            let end = bench.now + MS * ms;
            fake.run(&mut bench, end)?;
        }
        fake.mood = Mood::Good;
        // The longest wait, a handshake that hangs, and the time that the venue's own limits take.
        let patience = SECOND * 60 + SECOND * 10 + limits.silence.min(SECOND * 400) + limits.connects.per + limits.sends.per * 60;
        let end = bench.now + patience;
        fake.run(&mut bench, end)?;
        prop_assert_eq!(bench.machine.trouble(), None);
        prop_assert!(never_exceeded(&fake.opens, limits.connects), "handshakes");
        for link in fake.sends.iter().map(|(link, _)| *link).collect::<BTreeSet<_>>() {
            let of_link: Vec<Duration> = fake.sends.iter().filter(|(of, _)| *of == link).map(|(_, at)| *at).collect();
            prop_assert!(never_exceeded(&of_link, limits.sends), "messages");
        }
    }
}
