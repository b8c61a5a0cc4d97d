//! Recordings of live feeds: all that a line was told, in its order, so that a replay comes to the very records that it wrote.
//!
//! A recording is text, one entry per line, compressed with zstd: `<our time, ns> <link> <word> <rest>`.
//!
//! | Word | Rest | Told |
//! |---|---|---|
//! | `begin` | JSON | the first entry of each part: whose recording it is, and what was known of each symbol |
//! | `frame` | the frame | it came, byte for byte |
//! | `bytes` | hexadecimal | a frame that does not fit into a line |
//! | `served`, `unserved`, `missed` | a symbol | what the connection said of it |
//! | `left` | a symbol | nobody wants it any more |
//! | `known` | JSON | a symbol that is wanted now has been there before: what was known of it |
//! | `fetched` | a trade, as on `raw-market-data` | REST gave it to fill a gap |
//! | `tick` | | time was up for something: gaps were said |
//! | `end` | | the line stopped: what was missing was said |
//!
//! What Kafka was away for too long to take is in the recording all the same. [`parts`] are one recording to whoever reads the
//! first of them.

pub mod parts;
pub mod recorder;

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::coverage::{Patience, Saved};
use crate::sources::{Bad, shown};
use crate::times;

/// Whose recording it is, and where it begins. Fields may be added, never renamed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Begin {
    pub version: u32,
    pub feed: String,
    /// Its name on the command line.
    pub venue: String,
    /// When the line started, which tells it from all others.
    pub session: u64,
    /// Of the lines of a feed.
    pub line: usize,
    pub part: u32,
    /// Best bids and offers were read, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub quotes: bool,
    pub reorder_ns: i64,
    pub quiet_ns: i64,
    pub unsure_ns: i64,
    pub symbols: BTreeMap<String, Saved>,
}

impl Begin {
    pub fn patience(&self) -> Patience {
        Patience { reorder_ns: self.reorder_ns, quiet_ns: self.quiet_ns, unsure_ns: self.unsure_ns }
    }

    /// The part after `before`, of the same run: it goes on where that ended.
    pub fn follows(&self, before: &Begin) -> bool {
        (&self.feed, self.session, self.line) == (&before.feed, before.session, before.line)
            && self.part == before.part + 1
    }
}

#[derive(Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    Begin(Box<Begin>),
    Frame(Cow<'a, [u8]>),
    Served(&'a str),
    Unserved(&'a str),
    Missed(&'a str),
    Left(&'a str),
    Known(BTreeMap<String, Saved>),
    Fetched(&'a [u8]),
    Tick,
    End,
}

/// When, and what. The link is for the reader of the file: all that depends on it has been decided before.
pub fn read(line: &[u8]) -> Result<(i64, Entry<'_>), Bad> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let mut word = || words.next().unwrap_or_default();
    let (time, _link, kind, rest) = (word(), word(), word(), word());
    let now = times::count(time, 1).ok_or_else(|| Bad::time("the time of an entry", time))?;
    let symbol = || {
        let text = std::str::from_utf8(rest).ok().filter(|text| !text.is_empty());
        text.ok_or_else(|| Bad::new("missing_field", format!("`{}` is not a symbol", shown(rest))))
    };
    let entry = match kind {
        b"frame" => Entry::Frame(Cow::Borrowed(rest)),
        b"bytes" => Entry::Frame(Cow::Owned(from_hex(rest)?)),
        b"begin" => Entry::Begin(serde_json::from_slice(rest).map_err(|error| Bad::json(&error))?),
        b"served" => Entry::Served(symbol()?),
        b"unserved" => Entry::Unserved(symbol()?),
        b"missed" => Entry::Missed(symbol()?),
        b"left" => Entry::Left(symbol()?),
        b"known" => Entry::Known(serde_json::from_slice(rest).map_err(|error| Bad::json(&error))?),
        b"fetched" => Entry::Fetched(rest),
        b"tick" => Entry::Tick,
        b"end" => Entry::End,
        other => return Err(Bad::new("missing_field", format!("`{}` is no word of a recording", shown(other)))),
    };
    Ok((now, entry))
}

/// Adds an entry to `out`.
pub fn write(out: &mut Vec<u8>, now: i64, link: u64, word: &str, rest: &[u8]) {
    out.extend_from_slice(format!("{now} {link} {word} ").as_bytes());
    out.extend_from_slice(rest);
    out.push(b'\n');
}

/// Adds a frame. A line ends at its newline, and readers of lines take a carriage return before it for a part of that.
pub fn write_frame(out: &mut Vec<u8>, now: i64, link: u64, frame: &[u8]) {
    if frame.contains(&b'\n') || frame.ends_with(b"\r") {
        let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
        write(out, now, link, "bytes", hex.as_bytes());
    } else {
        write(out, now, link, "frame", frame);
    }
}

fn from_hex(text: &[u8]) -> Result<Vec<u8>, Bad> {
    let digit = |byte: &u8| (*byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.chunks(2).map(|pair| match pair {
        [high, low] => Some(digit(high)? << 4 | digit(low)?),
        _ => None,
    });
    let bytes: Option<Vec<u8>> = pairs.collect();
    bytes.ok_or_else(|| Bad::new("cut_off", format!("`{}` is not hexadecimal", shown(text))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn entries_read_back() {
        let begin = Begin { version: 1, venue: "kraken".to_owned(), session: 7, part: 2, ..Begin::default() };
        let mut out = Vec::new();
        write(&mut out, 1, 0, "begin", &serde_json::to_vec(&begin).unwrap());
        write(&mut out, 2, 0, "served", b"KRAKEN:BTC/USD");
        write(&mut out, 3, 0, "tick", b"");
        let lines: Vec<&[u8]> = out.split(|byte| *byte == b'\n').collect();
        assert_eq!(read(lines[0]), Ok((1, Entry::Begin(Box::new(begin.clone())))));
        assert_eq!(read(lines[1]), Ok((2, Entry::Served("KRAKEN:BTC/USD"))));
        assert_eq!(read(lines[2]), Ok((3, Entry::Tick)));
        let next = Begin { part: 3, ..begin.clone() };
        assert!(next.follows(&begin) && !begin.follows(&next) && !Begin { session: 8, ..next }.follows(&begin));
    }

    #[test]
    fn what_is_no_entry_is_refused_with_a_reason() {
        for (line, reason) in [
            ("x 0 tick", "bad_time"),
            ("1 0 dance", "missing_field"),
            ("1 0 served ", "missing_field"),
            ("1 0 bytes 7", "cut_off"),
            ("1 0 begin {", "not_json"),
            ("", "bad_time"),
        ] {
            assert_eq!(read(line.as_bytes()).unwrap_err().reason, reason, "{line}");
        }
    }

    /// Older recordings stay readable.
    #[test]
    fn the_form_never_changes() {
        let line = br#"1700000000000000000 3 frame {"a": 1}"#;
        assert_eq!(read(line), Ok((1_700_000_000_000_000_000, Entry::Frame(Cow::Borrowed(br#"{"a": 1}"#)))));
        let begin = br#"5 0 begin {"version":1,"feed":"b","venue":"binance","session":9,"line":0,"part":0,"reorder_ns":1,"quiet_ns":2,"unsure_ns":0,"symbols":{"BINANCE:A":{"time":5,"low":1,"high":9}}}"#;
        let Ok((5, Entry::Begin(begin))) = read(begin) else { panic!("it is a beginning") };
        assert_eq!((begin.session, begin.symbols["BINANCE:A"].high), (9, Some(9)));
    }

    proptest! {
        #[test]
        fn every_frame_is_one_line_and_reads_back(frame: Vec<u8>, now: i64, link: u64) {
            let mut out = Vec::new();
            write_frame(&mut out, now, link, &frame);
            let line = out.strip_suffix(b"\n").expect("a line");
            prop_assert!(!line.contains(&b'\n') && !line.ends_with(b"\r"));
            prop_assert_eq!(read(line).unwrap(), (now, Entry::Frame(Cow::Owned(frame))));
        }

        #[test]
        fn no_line_makes_it_panic(line: Vec<u8>) {
            let _ = read(&line);
        }
    }
}
