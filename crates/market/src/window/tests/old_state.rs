//! State that an older version saved is taken up: `testdata/state/v<n>.txt`, written by that version.

use super::real::{read, root};
use super::*;

/// What older versions did not know or hash.
fn as_then(record: &Metrics) -> Metrics {
    Metrics { config: String::new(), reasons: Default::default(), gap: false, ..record.clone() }
}

/// The file, and a fold of its state.
fn version(version: u8) -> (String, Fold) {
    let text = read(&root().join(format!("testdata/state/v{version}.txt")));
    let windows = ["1m", "5m/1m", "1h"].map(|w| w.parse().unwrap()).to_vec();
    let options = Options { windows, lateness_ns: 120 * S, ..Options::default() };
    let (mut fold, mut keys) = (Fold::new(&options, 0).unwrap(), 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("STATE ")) {
        let (key, hex) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let value: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        assert_eq!(value[0], version);
        fold.restore(key.as_bytes(), Some(&value)).unwrap();
        keys += 1;
    }
    assert!(keys > 10);
    (text, fold)
}

/// What it had told is not told again, save where it could not say all: of a partial window with a gap only that it is partial.
#[test]
fn state_of_version_1_knows_what_was_told() {
    let (_, mut fold) = version(1);
    let mut out = Vec::new();
    fold.tick(Moment { now: 500 * S, caught_up: false, ending: false }, &mut out);
    assert!(out.iter().all(|r| r.partial && r.gap), "{out:?}");
}

fn goes_on(text: &str, mut fold: Fold, side: Side, as_then: impl Fn(&Metrics) -> Metrics) {
    let mut out = Vec::new();
    for (time, id, price) in [(280, 8, 90), (500, 10, 110), (3700, 11, 120)] {
        let print = print(time, id, price);
        let side = if id == 11 { Some(side) } else { print.side };
        let print = Print { side, ..print };
        assert_eq!(fold.trade(&print.input(SYMBOL), &mut out), Outcome::Folded);
    }
    fold.tick(END, &mut out);
    let told = text.lines().filter_map(|line| line.strip_prefix("TOLD "));
    let told: Vec<Metrics> = told.map(|line| Metrics::decode(line.as_bytes()).unwrap()).collect();
    assert_eq!(out.len(), told.len());
    for (ours, theirs) in out.iter().zip(&told) {
        assert_eq!(as_then(ours), as_then(theirs));
    }
}

const SYMBOL: &str = "A";

fn print(time: i64, id: i64, price: i64) -> Print {
    Print {
        time: time * S,
        id: Some(id.to_string()),
        price: Decimal::from_int(price),
        quantity: Decimal::from_int(id),
        side: Some(if id % 2 == 0 { Side::Buy } else { Side::Sell }),
        offset: id,
    }
}

#[test]
fn state_of_version_1_goes_on_as_that_version_would_have() {
    let (text, fold) = version(1);
    goes_on(&text, fold, Side::Buy, as_then);
}

#[test]
fn state_of_version_2_goes_on_as_that_version_would_have() {
    let (text, fold) = version(2);
    goes_on(&text, fold, Side::Sell, Metrics::clone);
}

/// Its tail is long, and lies in stretches of its own.
#[test]
fn state_of_version_3_goes_on_as_that_version_would_have() {
    let (text, fold) = version(3);
    assert!(text.contains("STATE A#tail/"));
    goes_on(&text, fold, Side::Sell, Metrics::clone);
}

/// It did not keep what an amendment needs: sums are exact all the same, and what is not says so.
#[test]
fn an_amendment_of_a_trade_in_state_of_version_2_is_in_doubt() {
    for (time, id, price) in [(70, 3, 80), (200, 5, 105), (290, 6, 102)] {
        let (_, mut fold) = version(2);
        let (trade, mut out) = (print(time, id, price), Vec::new());
        let cancel = Amendment { symbol: SYMBOL, ..super::amend::of(&trade, true, None, 20) };
        assert_eq!(fold.amend(&cancel), Outcome::Folded);
        assert_eq!(fold.amend(&cancel), Outcome::Duplicate);
        fold.tick(END, &mut out);
        let hour = out.iter().find(|r| r.window.to_string() == "1h").unwrap();
        assert_eq!((hour.trade_count, hour.volume.get()), (6, Decimal::from_int(28 - id)));
        // The first was alone in its pane, so nothing is left in doubt; the others were in the tail.
        assert_eq!(hour.partial, id > 3, "{hour:?}");
    }
}
