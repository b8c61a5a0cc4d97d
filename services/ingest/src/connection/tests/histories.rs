//! Random histories: no limit of the venue is ever exceeded, nothing counts as served that is not, what may have been served
//! is told to be over with its link, and once the venue behaves, every symbol is served.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::{Bench, MS, SECOND};
use crate::connection::{Input, LinkId, Output};
use crate::venues::{Acknowledgement, NAMES, Rate, Said};

/// What the venue does with what it is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mood {
    #[default]
    Good,
    /// Answers nothing.
    Deaf,
    /// Answers after so many milliseconds, also to who has left.
    Slow(u32),
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
        Mood::Slow(3_000),
        Mood::Slow(9_900),
        Mood::Slow(14_000),
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
#[derive(Default)]
struct Fake {
    mood: Mood,
    open: BTreeSet<LinkId>,
    greets: bool,
    opens: Vec<Duration>,
    sends: Vec<(LinkId, Duration)>,
    /// What was asked for on each open link, and what of it was granted.
    asked: BTreeMap<LinkId, BTreeSet<String>>,
    granted: BTreeMap<LinkId, BTreeSet<String>>,
    /// Of these something may have come since they were last told to be over.
    perhaps: BTreeSet<String>,
    /// Answers on their way.
    late: Vec<(Duration, LinkId, Said)>,
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
                    self.ask(bench, link, &text);
                    more.extend(self.answer(bench, link, &text));
                }
                Output::Close(link) => {
                    self.open.remove(&link);
                }
                Output::Uncovered(name) => {
                    self.perhaps.remove(&name);
                }
                Output::Stopped(reason) => panic!("stopped: {reason}"),
                _ => {}
            }
        }
        more
    }

    fn say(&mut self, bench: &mut Bench, link: LinkId, said: Said) -> Vec<Output> {
        if let Mood::Slow(ms) = self.mood {
            self.late.push((bench.now + MS * ms, link, said));
            return Vec::new();
        }
        if self.open.contains(&link) { self.tell(bench, link, said) } else { Vec::new() }
    }

    fn tell(&mut self, bench: &mut Bench, link: LinkId, said: Said) -> Vec<Output> {
        let asked = self.asked.get(&link).cloned().unwrap_or_default();
        let granted = self.granted.entry(link).or_default();
        match &said {
            Said::Subscribed(name) => drop(granted.insert(name.clone())),
            // Not to the request: the machine is what is tested, and it numbers them.
            Said::Granted(_) => granted.extend(asked),
            _ => {}
        }
        bench.put(Input::Frame(link, &[said], None))
    }

    /// What is on its way and due comes, whether its link is still there or not.
    fn catch_up(&mut self, bench: &mut Bench) -> Vec<Output> {
        let (due, later) = std::mem::take(&mut self.late).into_iter().partition(|(at, ..)| *at <= bench.now);
        self.late = later;
        let due: Vec<(Duration, LinkId, Said)> = due;
        due.into_iter().flat_map(|(_, link, said)| self.tell(bench, link, said)).collect()
    }

    fn ask(&mut self, bench: &Bench, link: LinkId, text: &str) {
        let id = text.contains(r#""id""#);
        for name in &bench.machine.desired {
            let stream = format!("{}@", name.to_lowercase());
            if text.contains(&format!("{name}\""))
                || text.contains(&format!("{name},"))
                || (id && text.contains(&stream))
            {
                self.asked.entry(link).or_default().insert(name.clone());
                self.perhaps.insert(name.clone());
            }
        }
    }

    /// Nothing is served but what an open link was granted, and what came of the others is told to be over.
    fn check(&self, bench: &Bench) -> Result<(), TestCaseError> {
        let on = |all: &BTreeMap<LinkId, BTreeSet<String>>, name: &String| {
            self.open.iter().any(|link| all.get(link).is_some_and(|names| names.contains(name)))
        };
        if bench.machine.limits.acknowledgement != Acknowledgement::None {
            let wrong = bench.machine.covered.iter().find(|name| !on(&self.granted, name));
            prop_assert_eq!(wrong, None, "it counts as served");
        }
        let forgotten = self.perhaps.iter().find(|name| !on(&self.asked, name));
        prop_assert_eq!(forgotten, None, "nobody says that it is over");
        Ok(())
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
            Mood::Good | Mood::Leaves | Mood::Slow(_) => {
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
            let mut out = self.catch_up(bench);
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
            self.check(bench)?;
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
        let mut fake = Fake { mood: Mood::Good, greets: limits.greets, ..Fake::default() };
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
