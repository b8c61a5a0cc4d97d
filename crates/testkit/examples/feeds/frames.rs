//! Recorded frames of trades, repeated with ids that go on.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _};

/// Takes the trades out of captures and writes so many of them, one line per frame as in the captures: the ids of each symbol are
/// consecutive over all repetitions.
pub fn write(venue: &str, count: u64, file: &str, from: &[&str]) {
    let (kind, id, symbol) = words(venue);
    let mut trades: Vec<String> = Vec::new();
    for path in from {
        let text = std::fs::read_to_string(path).expect("a capture, unpacked");
        trades.extend(text.lines().filter(|line| line.contains(kind)).map(str::to_owned));
    }
    assert!(!trades.is_empty(), "no line of the captures has `{kind}`");
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    let mut out = BufWriter::new(std::fs::File::create(file).expect("the file can be written"));
    for line in trades.iter().cycle().take(usize::try_from(count).expect("fits")) {
        let next = next.entry(after(line, symbol).trim_matches('"').to_owned()).or_insert(1_000_000);
        *next += 1;
        let (before, old) = (line.find(id).expect("a trade has an id") + id.len(), after(line, id));
        writeln!(out, "{}{next}{}", &line[..before], &line[before + old.len()..]).expect("the file can be written");
    }
    out.flush().expect("the file can be written");
}

/// What a line of a trade has in it, and what its id and its symbol follow.
fn words(venue: &str) -> (&'static str, &'static str, &'static str) {
    match venue {
        "binance" => (r#""e":"trade""#, r#""t":"#, r#""s":"#),
        "coinbase" => (r#""type":"match""#, r#""trade_id":"#, r#""product_id":"#),
        _ => panic!("frames of binance and coinbase are known here"),
    }
}

fn after<'a>(line: &'a str, word: &str) -> &'a str {
    let rest = &line[line.find(word).unwrap_or_else(|| panic!("no {word} in {line}")) + word.len()..];
    &rest[..rest.find([',', '}']).unwrap_or(rest.len())]
}

/// The frames of such a file, without the times of their receipt.
pub fn read(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(|line| line.split_once(' ').map_or(line, |(_, frame)| frame))
}

/// The venue's own names of the symbols in the file.
pub fn symbols(venue: &str, text: &str) -> Vec<String> {
    let symbol = words(venue).2;
    let names: std::collections::BTreeSet<&str> =
        read(text).take(20_000).map(|frame| after(frame, symbol).trim_matches('"')).collect();
    names.into_iter().map(str::to_owned).collect()
}
