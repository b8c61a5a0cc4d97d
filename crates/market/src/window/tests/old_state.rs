//! State that an older version saved is taken up: `testdata/state/v<n>.txt`, written by that version.

use super::real::{read, root};
use super::*;

/// What older versions did not know or hash.
fn as_then(record: &Metrics) -> Metrics {
    Metrics { config: String::new(), reasons: Default::default(), gap: false, ..record.clone() }
}

/// The file, and a fold of its state.
fn version_1() -> (String, Fold) {
    let text = read(&root().join("testdata/state/v1.txt"));
    let windows = ["1m", "5m/1m", "1h"].map(|w| w.parse().unwrap()).to_vec();
    let options = Options { windows, lateness_ns: 120 * S, ..Options::default() };
    let (mut fold, mut keys) = (Fold::new(&options, 0).unwrap(), 0);
    for line in text.lines().filter_map(|line| line.strip_prefix("STATE ")) {
        let (key, hex) = line.split_once(' ').unwrap();
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let value: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        assert_eq!(value[0], 1);
        fold.restore(key.as_bytes(), Some(&value)).unwrap();
        keys += 1;
    }
    assert!(keys > 10);
    (text, fold)
}

/// What it had told is not told again, save where it could not say all: of a partial window with a gap only that it is partial.
#[test]
fn state_of_version_1_knows_what_was_told() {
    let (_, mut fold) = version_1();
    let mut out = Vec::new();
    fold.tick(Moment { now: 500 * S, caught_up: false, ending: false }, &mut out);
    assert!(out.iter().all(|r| r.partial && r.gap), "{out:?}");
}

#[test]
fn state_of_version_1_goes_on_as_that_version_would_have() {
    let (text, mut fold) = version_1();
    let mut out = Vec::new();
    for (time, id, price) in [(280, 8, 90), (500, 10, 110), (3700, 11, 120)] {
        let print = Print {
            time: time * S,
            id: Some(id.to_string()),
            price: Decimal::from_int(price),
            quantity: Decimal::from_int(id),
            side: Some(Side::Buy),
            offset: id,
        };
        assert_eq!(fold.trade(&print.input("A"), &mut out), Outcome::Folded);
    }
    fold.tick(END, &mut out);
    let told = text.lines().filter_map(|line| line.strip_prefix("TOLD "));
    let told: Vec<Metrics> = told.map(|line| Metrics::decode(line.as_bytes()).unwrap()).collect();
    assert_eq!(out.len(), told.len());
    for (ours, theirs) in out.iter().zip(&told) {
        assert_eq!(as_then(ours), as_then(theirs));
    }
}
