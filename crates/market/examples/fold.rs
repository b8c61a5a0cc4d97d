//! Nanoseconds per trade of the windows: `cargo run --release -p market --example fold [TRADES]`.
//!
//! The work of the benchmark: an hour of trades of 50 symbols (zipf), 1 % out of order by up to two seconds, in the default windows;
//! decoding alone stands beside it, and saving the state as often as a backlog commits. Then one window with more and more overlap.

use std::time::Instant;

use market::window::{Fold, Input, Moment, Options};
use market::{EventRef, Metrics};

const T0_MS: i64 = 1_767_225_600_000;
const SYMBOLS: u64 = 50;
const COMMIT: usize = 16_000;

struct Rng(u64);

impl Rng {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn trades(count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng(42);
    let weights: Vec<f64> = (1..=SYMBOLS).map(|i| 1.0 / i as f64).collect();
    let total: f64 = weights.iter().sum();
    let mut prices: Vec<f64> = (0..SYMBOLS).map(|_| 10f64.powf(rng.next() * 5.0 - 0.5)).collect();
    let trade = |i: usize| {
        let mut left = rng.next() * total;
        let symbol = weights
            .iter()
            .position(|w| {
                left -= w;
                left < 0.0
            })
            .unwrap_or(0);
        prices[symbol] *= 1.0 + (rng.next() - 0.5) * 2e-4;
        let volume = (rng.next() * rng.next() * 2.0).max(1e-8);
        let mut time = T0_MS + (i as i64 * 3_600_000) / count as i64;
        if rng.next() < 0.01 {
            time -= (rng.next() * 2000.0) as i64;
        }
        let price = prices[symbol];
        format!(
            r#"{{"symbol":"BINANCE:S{symbol}USDT","price":{price:.8},"volume":{volume:.8},"timestamp":{time},"trade_id":{}}}"#,
            4_500_000_000_000u64 + i as u64
        )
        .into_bytes()
    };
    (0..count).map(trade).collect()
}

/// CPU time of this thread, which company on the machine does not change; wall time where nobody tells.
fn cpu_ns(start: Instant) -> u128 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let spent = spent.as_deref().and_then(|text| text.split(' ').next()?.parse().ok());
    spent.unwrap_or_else(|| start.elapsed().as_nanos())
}

fn timed<T>(name: &str, count: usize, run: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let before = cpu_ns(start);
    let result = run();
    println!("{name:<40} {:>8.1} ns per trade", (cpu_ns(start) - before) as f64 / count as f64);
    result
}

fn fold_all(values: &[Vec<u8>], options: &Options, save: bool) -> (Vec<Metrics>, usize, usize) {
    let mut fold = Fold::new(options, 0).expect("the windows can be served");
    let (mut out, mut bytes, mut keys) = (Vec::new(), 0, 0);
    for (offset, value) in (0..).zip(values) {
        let Ok(EventRef::Trade(trade)) = EventRef::decode(value) else { continue };
        fold.trade(&Input::of(&trade, offset), &mut out);
        if save && (offset as usize).is_multiple_of(COMMIT) {
            fold.save(|key, value| {
                keys += 1;
                bytes += key.len() + value.map_or(0, <[u8]>::len);
            });
        }
    }
    fold.tick(Moment { now: i64::MAX, caught_up: true, ending: true }, &mut out);
    (out, keys, bytes)
}

fn main() {
    let count = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let values = trades(count);
    for _ in 0..3 {
        timed("decode", count, || values.iter().filter(|v| EventRef::decode(v).is_ok()).count());
        let (out, ..) = timed("decode and fold", count, || fold_all(&values, &Options::default(), false));
        let (_, keys, bytes) = timed("decode, fold and save", count, || fold_all(&values, &Options::default(), true));
        println!("{} records, {keys} keys saved, {bytes} bytes", out.len());
    }
    // Windows of five minutes that overlap ever more: each trade goes into one pane, whatever their number.
    for windows in ["5m", "5m/1m", "5m/30s", "5m/10s"] {
        let options = Options { windows: vec![windows.parse().expect("a window")], ..Options::default() };
        let (out, ..) = timed(windows, count, || fold_all(&values, &options, false));
        println!("{:<40} {:>8} records", "", out.len());
    }
}
