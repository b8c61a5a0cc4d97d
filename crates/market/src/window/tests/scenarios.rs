//! `scenarios/*.txt`: trades in, records out, for a reader who knows markets but not this code.
//!
//! A scenario is settings, then events, each followed by what it brought about (lines that begin with `=>`). `UPDATE=1 cargo test -p
//! market scenarios` writes the answers anew; the difference is then to be read, not trusted.
//!
//! ```text
//! windows 1m 5m/1m
//! trade 10:00:00.5 BTC 100 x 2 buy id 7      time of day, symbol, price, size, then side, id, `backfilled` where given
//! gap 10:00:10 10:00:20 BTC [8 12]           the missing ids, where they are known
//! clock 10:01:09 [behind]                    a tick of the caller's clock, caught up unless `behind`
//! restart                                    save, throw away, restore
//! end                                        nothing more will come
//! ```

use std::fmt::Write as _;
use std::path::Path;

use super::*;

struct Scenario {
    options: Options,
    fold: Option<Fold>,
    log: Log,
    offset: i64,
}

fn duration(text: &str) -> i64 {
    if text == "0s" { 0 } else { text.parse::<crate::interval::Interval>().unwrap().ns() }
}

/// `10:00:00.5` as nanoseconds of 1 January 1970.
fn time(text: &str) -> i64 {
    let mut parts = text.split(':');
    let mut next = || parts.next().unwrap_or_else(|| panic!("{text} is not a time of day"));
    let (h, m, s) = (next().parse::<i64>().unwrap(), next().parse::<i64>().unwrap(), next());
    let seconds: Decimal = s.parse().unwrap();
    (h * 3600 + m * 60) * S + (seconds.units() / 1_000_000_000) as i64
}

fn clock(ns: i64) -> String {
    let (ms, s) = ((ns.rem_euclid(S)) / 1_000_000, ns.div_euclid(S));
    let text = format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
    if ms == 0 { text } else { format!("{text}.{ms:03}") }
}

fn shown<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or("-".into(), |v| v.to_string())
}

/// A record in one line; what is as usual is left out.
fn line(r: &Metrics) -> String {
    let mut text = format!("{} {} [{}, {})", r.symbol, r.window, clock(r.window_start), clock(r.window_end));
    let _ = write!(text, " rev {}{}", r.rev, if r.is_final { " final" } else { "" });
    match r.closed_by {
        Some(by) => write!(text, " by {by}:"),
        None => write!(text, " open:"),
    }
    .unwrap();
    let _ = write!(
        text,
        " o {} h {} l {} c {} v {} vwap {} twap {} avg {} chg {} n {} vol {} buy {}",
        shown(r.open),
        shown(r.high),
        shown(r.low),
        shown(r.close),
        r.volume,
        r.vwap.map_or_else(|| shown(r.vwap_reason), |v| v.to_string()),
        shown(r.twap),
        shown(r.average),
        shown(r.change_pct),
        r.trade_count,
        shown(r.volatility),
        shown(r.buy_volume),
    );
    let _ = write!(text, " offsets {}-{}", r.input.first_offset, r.input.last_offset);
    for (name, count) in [("late", r.late), ("duplicate", r.duplicate), ("backfilled", r.backfilled)] {
        if count > 0 {
            let _ = write!(text, " {name} {count}");
        }
    }
    for (average, value) in &r.averages {
        let _ = write!(text, " {average} {}", shown(*value));
    }
    if r.quality.as_str() != "complete" {
        let _ = write!(text, " {}", r.quality);
    }
    text
}

impl Scenario {
    fn fold(&mut self) -> &mut Fold {
        self.fold.get_or_insert_with(|| Fold::new(&self.options, 0).unwrap())
    }

    fn trade(&mut self, words: &[&str], out: &mut Vec<Metrics>) -> String {
        let [at, symbol, price, "x", size, rest @ ..] = words else { panic!("not a trade: {words:?}") };
        let id = rest.iter().position(|w| *w == "id").map(|i| rest[i + 1].to_owned());
        let side = if rest.contains(&"buy") { Some(Side::Buy) } else { rest.contains(&"sell").then_some(Side::Sell) };
        let (price, quantity) = (price.parse().unwrap(), size.parse().unwrap());
        let print = Print { time: time(at), id, price, quantity, side, offset: self.offset };
        self.offset += 1;
        let input = Input { backfilled: rest.contains(&"backfilled"), ..print.input(symbol) };
        match self.fold().trade(&input, out) {
            Outcome::Folded => String::new(),
            other => format!("=> {}\n", format!("{other:?}").to_lowercase()),
        }
    }

    /// Answers one line of a scenario.
    fn run(&mut self, words: &[&str]) -> String {
        let mut out = Vec::new();
        let mut answer = String::new();
        match words {
            ["windows", windows @ ..] => self.options.windows = windows.iter().map(|w| w.parse().unwrap()).collect(),
            ["out_of_orderness", d] => self.options.out_of_orderness_ns = duration(d),
            ["lateness", d] => self.options.lateness_ns = duration(d),
            ["idle", d] => self.options.idle_ns = duration(d),
            ["throttle", d] => self.options.throttle_ns = duration(d),
            ["averages", averages @ ..] => {
                self.options.averages = averages.iter().map(|a| a.parse().unwrap()).collect()
            }
            ["empty", empty] => self.options.empty = serde_json::from_value((*empty).into()).unwrap(),
            ["emit", emit] => self.options.emit = serde_json::from_value((*emit).into()).unwrap(),
            ["trade", words @ ..] => answer = self.trade(words, &mut out),
            ["gap", from, to, symbol, ids @ ..] => {
                self.offset += 1;
                let ids =
                    if let [first, last] = ids { Some((first.parse().unwrap(), last.parse().unwrap())) } else { None };
                self.fold().gap(symbol, Hole { from: time(from), to: time(to), ids });
            }
            ["clock", now, rest @ ..] => {
                let moment = Moment { now: time(now), caught_up: !rest.contains(&"behind"), ending: false };
                self.fold().tick(moment, &mut out);
            }
            ["restart"] => {
                self.fold();
                let mut fold = self.fold.take().unwrap();
                self.log.save(&mut fold);
                self.fold = Some(self.log.restore(&self.options));
            }
            ["end"] => self.fold().tick(END, &mut out),
            other => panic!("not a line of a scenario: {other:?}"),
        }
        for record in &out {
            let _ = writeln!(answer, "=> {}", line(record));
        }
        answer
    }
}

fn answered(text: &str) -> String {
    let options = Options { emit: Emit::OnClose, ..Options::default() };
    let mut scenario = Scenario { options, fold: None, log: Log::new(), offset: 0 };
    let mut result = String::new();
    for line in text.lines().filter(|l| !l.starts_with("=>")) {
        let words: Vec<&str> = line.split('#').next().unwrap_or("").split_whitespace().collect();
        let _ = writeln!(result, "{line}");
        if !words.is_empty() {
            result.push_str(&scenario.run(&words));
        }
    }
    result
}

#[test]
fn scenarios_give_what_they_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "scenarios are missing from {}", folder.display());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let answered = answered(&text);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&file, answered).unwrap();
        } else {
            assert_eq!(text, answered, "{} (UPDATE=1 writes it anew)", file.display());
        }
    }
}
