//! Symbols from which nothing comes though they are subscribed.
//!
//! How long is too long is learnt: so many times the usual time between two trades of the symbol, and never less than a
//! least time. A market that is closed is silent, too, so silence is counted and, where subscriptions are never
//! acknowledged, asked about again; it does not end a connection, which would make a gap where there was none.

use std::collections::BTreeMap;

/// So many times the usual distance between trades.
const TIMES: i64 = 20;
/// Weight of the newest distance in the usual one: one in so many.
const SMOOTHING: i64 = 16;

#[derive(Clone, Copy, Debug)]
struct Pulse {
    last: i64,
    usual: i64,
    silent: bool,
}

#[derive(Debug)]
pub struct Silence {
    least_ns: i64,
    pulses: BTreeMap<String, Pulse>,
}

impl Silence {
    pub fn new(least_ns: i64) -> Self {
        Silence { least_ns, pulses: BTreeMap::new() }
    }

    /// The symbol is served from now on: its silence begins here.
    pub fn served(&mut self, symbol: &str, now: i64) {
        let new = Pulse { last: now, usual: 0, silent: false };
        let pulse = self.pulses.entry(symbol.to_owned()).or_insert(new);
        (pulse.last, pulse.silent) = (now, false);
    }

    pub fn gone(&mut self, symbol: &str) {
        self.pulses.remove(symbol);
    }

    pub fn heard(&mut self, symbol: &str, now: i64) {
        if let Some(pulse) = self.pulses.get_mut(symbol) {
            let distance = now.saturating_sub(pulse.last).max(0);
            pulse.usual += (distance - pulse.usual) / SMOOTHING;
            (pulse.last, pulse.silent) = (now, false);
        }
    }

    /// Those that have just become silent.
    pub fn look(&mut self, now: i64) -> Vec<String> {
        let mut found = Vec::new();
        for (symbol, pulse) in &mut self.pulses {
            let patience = self.least_ns.max(pulse.usual.saturating_mul(TIMES));
            if !pulse.silent && now.saturating_sub(pulse.last) >= patience {
                pulse.silent = true;
                found.push(symbol.clone());
            }
        }
        found
    }

    pub fn silent(&self) -> usize {
        self.pulses.values().filter(|pulse| pulse.silent).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    #[test]
    fn silence_is_told_once_and_ends_with_the_next_trade() {
        let mut silence = Silence::new(60 * S);
        silence.served("A", 0);
        assert_eq!(silence.look(60 * S - 1), Vec::<String>::new());
        assert_eq!((silence.look(60 * S), silence.silent()), (vec!["A".to_owned()], 1));
        assert_eq!(silence.look(1_000 * S), Vec::<String>::new());
        silence.heard("A", 1_001 * S);
        assert_eq!(silence.silent(), 0);
        silence.gone("A");
        assert_eq!(silence.look(1_000_000 * S), Vec::<String>::new());
    }

    #[test]
    fn a_symbol_that_seldom_trades_is_given_more_time() {
        let mut silence = Silence::new(60 * S);
        silence.served("A", 0);
        for n in 1..200 {
            silence.look(n * 30 * S);
            silence.heard("A", n * 30 * S);
        }
        let last = 199 * 30 * S;
        assert_eq!(
            silence.look(last + 500 * S),
            Vec::<String>::new(),
            "it trades every 30 s: 10 minutes are 20 times that"
        );
        assert_eq!(silence.look(last + 601 * S), ["A"]);
    }
}
